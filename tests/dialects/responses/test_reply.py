"""Responses replies, whole and streamed: as the vendor's own types have them, and the same there and back."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from kpgate.dialects.responses import answer, endpoints, request, stream, writer
from kpgate.dialects.responses.usage import decode_usage, encode_usage
from kpgate.domain.call import Call
from kpgate.domain.chat import Refusal, Text, Thinking, ToolCall
from kpgate.domain.dialect import Heads
from kpgate.domain.errors import UpstreamFailed
from kpgate.domain.events import Events
from kpgate.domain.reply import (
    Argued,
    Begun,
    Broke,
    Called,
    Choice,
    Finish,
    Finished,
    Over,
    Refused,
    Reply,
    Said,
    Thought,
    Used,
)
from kpgate.domain.seals import OPENAI
from kpgate.domain.usage import Usage
from tests.kit.chats import WORDS
from tests.kit.vendors import responses as vendor
from tests.kit.vendors.server import CACHED, INPUT, OUTPUT, PIECES, SIGNATURE, TEXT, Asked

USAGE = Usage(21, 9, 5, 4, "provider")
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def call(**more: Any) -> Call:
    raw = msgspec.json.encode({"model": "m", "input": "hi", **more})
    return request.decode_response(raw, 64)


def known(model: Any) -> None:
    """Nothing in it that the vendor's types do not have; `store` stands in the documentation's examples alone."""
    if isinstance(model, BaseModel):
        assert set(model.model_extra or ()) <= {"store"}, model.model_extra
        for name in type(model).model_fields:
            known(getattr(model, name))
    elif isinstance(model, list):
        for one in model:
            known(one)


def checked(events: list[dict[str, Any]]) -> None:
    """Events as the vendor has them, numbered from 0 without a gap."""
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    for event in events:
        known(EVENT.validate_python(event))


REPLY = Reply(
    "resp_1",
    "up",
    [
        Choice(
            [
                Thinking("hm", "seal", "", OPENAI),
                Text("Hello"),
                Refusal("no"),
                ToolCall("c1", "f", '{"a":1}'),
                ToolCall("c2", "g", "{}"),
            ],
            Finish.TOOL_CALLS,
        )
    ],
    USAGE,
    17,
)


def test_a_reply_is_as_the_vendor_has_it_and_says_again_what_was_asked() -> None:
    tools = [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}]
    asked = call(
        instructions="be kind",
        tools=tools,
        tool_choice="required",
        temperature=0.5,
        metadata={"a": "b"},
        max_output_tokens=50,
        text={"format": {"type": "json_object"}},
        reasoning={"effort": "low"},
        user=None,
    )
    body = msgspec.json.decode(answer.encode_reply(REPLY, asked))
    known(Response.model_validate(body))
    assert [item["type"] for item in body["output"]] == [
        "reasoning",
        "message",
        "function_call",
        "function_call",
    ]
    assert [part["type"] for part in body["output"][1]["content"]] == ["output_text", "refusal"]
    assert body["output"][0]["encrypted_content"] == "seal"
    assert (body["status"], body["error"], body["incomplete_details"]) == ("completed", None, None)
    assert (body["instructions"], body["tools"], body["tool_choice"]) == ("be kind", tools, "required")
    assert (body["temperature"], body["metadata"], body["max_output_tokens"]) == (0.5, {"a": "b"}, 50)
    assert body["text"] == {"format": {"type": "json_object"}} and body["reasoning"] == {"effort": "low"}
    assert body["usage"]["input_tokens_details"]["cached_tokens"] == 5
    assert len({item["id"] for item in body["output"]}) == 4


def test_a_reply_is_read_as_it_was_written() -> None:
    read = answer.decode_reply(answer.encode_reply(REPLY, call()))
    thought = read.choices[0].parts[0]
    assert isinstance(thought, Thinking) and thought.signature.endswith(".seal")
    read.choices[0].parts[0] = Thinking("hm", "seal", "", OPENAI)
    assert read == REPLY


@pytest.mark.parametrize("finish", list(Finish))
def test_why_it_ended(finish: Finish) -> None:
    reply = Reply("r", "up", [Choice([Text("x")], finish)], USAGE)
    body = msgspec.json.decode(answer.encode_reply(reply, call()))
    known(Response.model_validate(body))
    why = {
        Finish.LENGTH: "max_output_tokens",
        Finish.CONTEXT: "max_output_tokens",
        Finish.FILTERED: "content_filter",
        Finish.REFUSED: "content_filter",
    }.get(finish)
    assert body["incomplete_details"] == ({"reason": why} if why else None)
    assert body["status"] == ("incomplete" if why else "completed")


def asked_of(scenario: str, **more: Any) -> Asked:
    return Asked("/v1/responses", {}, {"model": scenario, "input": "hi", **more})


def whole(scenario: str) -> bytes:
    return b"".join(vendor.answer(asked_of(scenario)).pieces)


def streamed(scenario: str) -> bytes:
    return b"".join(vendor.answer(asked_of(scenario, stream=True)).pieces)


@pytest.mark.parametrize("scenario", ["plain", "tools", "schema", "thinking", "refusal", "length"])
def test_the_fake_is_as_the_vendor_s_types_have_it(scenario: str) -> None:
    Response.model_validate_json(whole(scenario))
    for _, data in Events(1 << 20).feed(streamed(scenario)):
        EVENT.validate_python(msgspec.json.decode(data))


@pytest.mark.parametrize(
    "body", [b"<html>", b'{"id":"x"}', b'{"output":[{"type":"message","content":5}]}', b'{"output":[']
)
def test_a_reply_that_is_none_is_not_passed_on(body: bytes) -> None:
    with pytest.raises((ValueError, msgspec.MsgspecError)):
        answer.decode_reply(body)


@pytest.mark.parametrize("scenario", ["bad-arguments", "failed", "empty"])
def test_a_reply_that_failed_is_not_passed_on(scenario: str) -> None:
    with pytest.raises((ValueError, msgspec.MsgspecError)):
        answer.decode_reply(whole(scenario))


def read(data: bytes, cuts: list[int]) -> list[Any]:
    events, reader, found = Events(), stream.StreamReader(), []
    for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        for name, one in events.feed(data[begin:end]):
            found += reader.read(name, one)
    return [*found, *reader.end()]


def test_a_vendor_s_stream_is_read() -> None:
    used = Usage(INPUT, OUTPUT, CACHED, 0, "provider")
    begun = Begun(vendor.ID, "up-2026-11-01", created_s=vendor.CREATED_S)
    assert read(streamed("plain"), []) == [
        begun,
        *map(Said, PIECES),
        Finished(Finish.STOP),
        Used(used),
        Over(),
    ]
    assert read(streamed("tools"), [])[1:5] == [
        Called("call_0", "get_weather"),
        Argued('{"cit'),
        Argued('y": "Paris"}'),
        Called("call_1", "get_time", 1),
    ]
    assert read(streamed("tools"), [])[-3] == Finished(Finish.TOOL_CALLS)
    assert read(streamed("thinking"), [])[1:4] == [
        Thought("Let "),
        Thought("me think."),
        Thought(signature=f"rs_1.{SIGNATURE}", vendor=OPENAI),
    ]
    assert read(streamed("refusal"), [])[1:3] == [Refused("I can't "), Refused("help with that.")]
    assert read(streamed("length"), [])[-3] == Finished(Finish.LENGTH)


@pytest.mark.parametrize("scenario", ["broken", "failing"])
def test_a_failure_within_a_stream_is_read(scenario: str) -> None:
    reader = stream.StreamReader()
    found = [piece for _, data in Events().feed(streamed(scenario)) for piece in reader.read(b"", data)]
    assert Broke("Overloaded.") in found


def test_a_flat_error_is_read_and_a_stream_that_breaks_off_is_told() -> None:
    reader = stream.StreamReader()
    assert reader.read(b"", b'{"type":"error","code":"x","message":"bad","sequence_number":1}') == (
        Broke("bad"),
    )
    with pytest.raises(ValueError, match="before its end"):
        reader.end()


PIECES_OF = [
    Begun("resp_1", "up", Usage(), 17),
    Thought("hm"),
    Thought(" ok"),
    Thought(signature="seal", vendor=OPENAI),
    Said("Hel"),
    Said("lo"),
    Refused("no"),
    Called("c1", "f", 0),
    Argued('{"a"', 0),
    Called("c2", "g", 1),
    Argued("{}", 1),
    Argued(":1}", 0),
    Finished(Finish.TOOL_CALLS),
    Used(USAGE),
    Over(),
]


def written(pieces: list[Any], **more: Any) -> bytes:
    made = writer.StreamWriter(call(**more))
    return b"".join(made.write(piece) for piece in pieces)


def events_of(data: bytes) -> list[dict[str, Any]]:
    found = []
    for name, one in Events(1 << 20).feed(data):
        event = msgspec.json.decode(one)
        assert event["type"] == name.decode()
        found.append(event)
    return found


def test_a_stream_is_as_the_vendor_has_it() -> None:
    events = events_of(written(PIECES_OF, instructions="be kind"))
    checked(events)
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "content_part.added",
        "refusal.delta",
        "refusal.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    last = events[-1]["response"]
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert last["output"] == done and last["usage"]["output_tokens"] == 9
    assert last["instructions"] == "be kind"
    assert done[2]["arguments"] == '{"a":1}' and done[0]["encrypted_content"] == "seal"


def test_a_whole_reply_and_its_stream_are_one() -> None:
    last = events_of(written(PIECES_OF))[-1]["response"]
    parts = [
        Thinking("hm ok", "seal"),
        Text("Hello"),
        Refusal("no"),
        ToolCall("c1", "f", '{"a":1}'),
        ToolCall("c2", "g"),
    ]
    reply = Reply("resp_1", "up", [Choice(parts, Finish.TOOL_CALLS)], USAGE, 17)
    assert msgspec.json.decode(answer.encode_reply(reply, call())) == last


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 9000), max_size=5))
def test_a_stream_cut_anywhere_is_read_as_it_was_written(cuts: list[int]) -> None:
    data = written(PIECES_OF)
    found = read(data, sorted(min(cut, len(data)) for cut in cuts))
    seals = [piece for piece in found if isinstance(piece, Thought) and piece.signature]
    assert [seal.signature.partition(".")[2] for seal in seals] == ["seal"]
    seals[0].signature = "seal"
    assert found == PIECES_OF


@given(st.lists(WORDS, min_size=1, max_size=5))
def test_any_text_goes_through_a_stream(words: list[str]) -> None:
    pieces = [Begun("resp_i", "m"), *map(Said, words), Finished(Finish.STOP), Over()]
    assert read(written(pieces), []) == pieces


@given(st.lists(st.sampled_from([Said("x"), Thought("t"), Thought(redacted="r"), Refused("n")]), max_size=8))
def test_any_order_of_pieces_makes_whole_items(pieces: list[Any]) -> None:
    events = events_of(written([Begun("r", "m"), *pieces, Finished(Finish.STOP), Used(USAGE), Over()]))
    checked(events)
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert events[-1]["response"]["output"] == done


def test_a_stream_that_is_cut_or_fails_says_what_was_said() -> None:
    made = writer.StreamWriter(call())
    head = made.write(Begun("r", "m")) + made.write(Said("Hel"))
    made.mark()
    events = events_of(head + made.cut())
    checked(events)
    assert events[-1]["type"] == "response.incomplete"
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "Hel"
    made = writer.StreamWriter(call())
    head = made.write(Begun("r", "m")) + made.write(Said("Hel"))
    events = events_of(head + made.fail(UpstreamFailed("it broke")))
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    error, failed = events[-2:]
    assert error["error"] == {
        "type": "server_error",
        "code": "upstream_failed",
        "message": "it broke",
        "param": None,
    }
    assert (error["message"], error["code"]) == ("it broke", "upstream_failed")
    assert failed["response"]["error"] == {"code": "server_error", "message": "it broke"}
    Response.model_validate(failed["response"])


@given(st.integers(0, len(PIECES_OF) - 2), st.integers(0, len(PIECES_OF) - 2))
def test_a_cut_takes_back_what_was_not_sent(one: int, other: int) -> None:
    sent, held = sorted((one, other))
    made = writer.StreamWriter(call())
    data = b"".join(made.write(piece) for piece in PIECES_OF[:sent])
    made.mark()
    for piece in PIECES_OF[sent:held]:
        made.write(piece)
    events = events_of(data + made.cut())
    checked(events)
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    last = events[-1]["response"]
    assert sorted(done, key=str) == sorted(last["output"], key=str)
    spoken = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    texts = [
        part["text"]
        for item in done
        if item["type"] == "message"
        for part in item["content"]
        if "text" in part
    ]
    assert "".join(spoken) == "".join(texts)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(["plain", "tools", "thinking"]), st.lists(st.integers(0, 9000), max_size=5))
def test_the_vendor_s_own_bytes_go_through_however_they_arrive(scenario: str, cuts: list[int]) -> None:
    data = streamed(scenario)
    frames, sent, places = stream.Frames(), [], sorted(min(cut, len(data)) for cut in cuts)
    for begin, end in zip([0, *places], [*places, len(data)], strict=True):
        sent.append(frames.feed(data[begin:end]))
    sent.append(frames.finish())
    assert b"".join(sent) == data
    assert frames.usage is not None and (frames.usage.input, frames.usage.output) == (INPUT, OUTPUT)
    text = frames.take_text()
    assert text == {"plain": TEXT, "thinking": "Let me think." + TEXT}.get(scenario, text)
    assert frames.id == vendor.ID and frames.number == data.count(b"sequence_number")


def test_what_goes_through_ends_in_its_own_numbers() -> None:
    way = endpoints.native(endpoints.RESPONSES, Heads(b"", b""))
    frames = way.framer(call())
    assert frames.feed(b"data: not JSON\n\n") == b"data: not JSON\n\n"
    frames.feed(streamed("cut"))
    end = events_of(way.cut(frames, "id", "m", 1))
    assert end[0]["sequence_number"] == streamed("cut").count(b"sequence_number")
    Response.model_validate(end[0]["response"])
    told = endpoints.RESPONSES.encode_break
    assert told is not None
    error = events_of(told(frames, UpstreamFailed("x"), "id"))[0]
    assert error["sequence_number"] == end[0]["sequence_number"]


def test_what_a_whole_reply_says_is_counted_where_usage_is_not_told() -> None:
    assert answer.decode_text(whole("plain")) == TEXT
    assert json.dumps({"city": "Paris"}) in answer.decode_text(whole("tools"))
    assert answer.decode_text(b"<html>") == ""


def test_what_went_into_a_cache_is_read_by_how_long_it_is_kept() -> None:
    said: dict[str, Any] = {"input_tokens": 20, "output_tokens": 5}
    for parts, kept in (
        (None, 0),
        ({"ttl_30m_tokens": 3, "ttl_12h_tokens": 4}, 4),
        ({"ttl_12h_tokens": 9}, 7),
    ):
        details = {"cached_tokens": 6, "cache_write_tokens": 7, "cache_write_tokens_details": parts}
        found = decode_usage(json.dumps(said | {"input_tokens_details": details}).encode())
        assert found == Usage(20, 5, 6, 0, "provider", cache_write=7 - kept, cache_write_long=kept)
        assert encode_usage(found)["input_tokens_details"] == {"cached_tokens": 6, "cache_write_tokens": 7}
    for wrong in (-1, 1 << 70):
        body = json.dumps(said | {"input_tokens_details": {"cache_write_tokens": wrong}})
        assert decode_usage(body.encode()) is None
