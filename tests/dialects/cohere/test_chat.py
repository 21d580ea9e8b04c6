"""Chats as Cohere is asked for them, its whole replies, and its streams."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate.dialects.cohere.ask import encode_chat
from kpgate.dialects.cohere.reply import decode_failure, decode_reply
from kpgate.dialects.cohere.stream import StreamReader
from kpgate.domain.chat import (
    Audio,
    Chat,
    Choosing,
    File,
    Format,
    Image,
    Reasoning,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from kpgate.domain.dialect import Aim, Unspeakable
from kpgate.domain.events import Events
from kpgate.domain.reply import (
    Argued,
    Begun,
    Broke,
    Called,
    Choice,
    Failure,
    Finish,
    Finished,
    Over,
    Piece,
    Reply,
    Said,
    Thought,
    Used,
)
from kpgate.domain.usage import Usage
from tests.kit.turns import anything
from tests.kit.vendors import cohere
from tests.kit.vendors.server import CACHED, CALLS, INPUT, OUTPUT, PIECES, TEXT, THOUGHT, Asked

HELLO = Turn(Role.USER, [Text("hello")])
USED = Usage(INPUT, OUTPUT, CACHED, source="provider")


def asked(*turns: Turn, cap: int = 0, drops: bool = False, **more: Any) -> Any:
    aim = Aim("command-a-03-2025", cap, drops=drops, dropped=[], stream=more.pop("stream", False))
    found = json.loads(encode_chat(Chat([*turns] or [HELLO], **more), aim))
    found["dropped"] = aim.dropped
    assert set(found) - {"dropped"} <= cohere.FIELDS
    return found


def test_a_plain_chat_with_every_parameter() -> None:
    found = asked(
        Turn(Role.DEVELOPER, [Text("Be kind.")]),
        HELLO,
        Turn(Role.SYSTEM, [Text("Be brief.")]),
        cap=9,
        temperature=0.5,
        top_p=0.5,
        top_k=40,
        frequency_penalty=0.25,
        presence_penalty=0.0,
        seed=7,
        stop=["x"],
        logprobs=True,
        stream=True,
    )
    assert found == {
        "model": "command-a-03-2025",
        "messages": [
            {"role": "system", "content": "Be kind.\n\nBe brief."},
            {"role": "user", "content": "hello"},
        ],
        "max_tokens": 9,
        "temperature": 0.5,
        "p": 0.5,
        "k": 40,
        "frequency_penalty": 0.25,
        "seed": 7,
        "stop_sequences": ["x"],
        "logprobs": True,
        "stream": True,
        "dropped": [],
    }


def test_the_ends_of_p_are_those_of_its_range() -> None:
    assert [asked(top_p=value)["p"] for value in (0.0, 0.01, 0.75, 1.0)] == [0.01, 0.01, 0.75, 0.99]


def test_pictures_by_address_and_as_data() -> None:
    found = asked(
        Turn(Role.USER, [Text("a"), Image(url="https://e.x/a.png", detail="low"), Image("image/png", "aGk=")])
    )
    assert found["messages"][0]["content"] == [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "https://e.x/a.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
    ]
    for part, name in ((File("application/pdf", "aGk="), "file"), (Audio("wav", "aGk="), "audio")):
        with pytest.raises(Unspeakable, match=name):
            asked(Turn(Role.USER, [part]))
        assert asked(Turn(Role.USER, [part, Text("a")]), drops=True)["dropped"] == [name]


def test_calls_results_and_the_plan_before_them() -> None:
    called = [
        Thinking("I will."),
        Thinking(" So I do.", "c2VhbA==", "", "anthropic"),
        Thinking("", "", "c2VhbA==", "anthropic"),
        Text("Wait."),
        ToolCall("c1", "f", '{"a":1}'),
    ]
    found = asked(
        HELLO,
        Turn(Role.ASSISTANT, called),
        Turn(Role.TOOL, [ToolResult("c1", [Text("r"), Text("s")]), ToolResult("c2", [], failed=True)]),
        Turn(Role.ASSISTANT, [Thinking("So."), Text("Done.")]),
    )
    assert found["messages"][1:] == [
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
            ],
            "tool_plan": "I will. So I do.",
            "content": "Wait.",
        },
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": [{"type": "text", "text": "r"}, {"type": "text", "text": "s"}],
        },
        {"role": "tool", "tool_call_id": "c2", "content": []},
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "So."}, {"type": "text", "text": "Done."}],
        },
    ]
    assert found["dropped"] == ["thinking", "tool_result.failed"]
    with pytest.raises(Unspeakable, match=r"tool_result\.image"):
        asked(HELLO, Turn(Role.TOOL, [ToolResult("c", [Image("image/png", "aGk=")])]))


def test_tools_and_which_is_to_be_called() -> None:
    tools = [Tool("f", "Does.", {"type": "object"}, True), Tool("g")]
    found = asked(tools=tools)
    assert found["tools"] == [
        {
            "type": "function",
            "function": {"name": "f", "parameters": {"type": "object"}, "description": "Does."},
        },
        {"type": "function", "function": {"name": "g", "parameters": {"type": "object", "properties": {}}}},
    ]
    assert "tool_choice" not in found and "strict_tools" not in found and found["dropped"] == ["strict"]
    assert asked(tools=tools[:1])["strict_tools"] is True
    assert "tool_choice" not in asked(tools=tools, tool_choice=ToolChoice(Choosing.AUTO))
    assert asked(tools=tools, tool_choice=ToolChoice(Choosing.NONE))["tool_choice"] == "NONE"
    assert asked(tools=tools, tool_choice=ToolChoice(Choosing.REQUIRED))["tool_choice"] == "REQUIRED"
    named = asked(tools=tools, tool_choice=ToolChoice(Choosing.NAMED, "g"))
    assert named["tool_choice"] == "REQUIRED" and [one["function"]["name"] for one in named["tools"]] == ["g"]
    with pytest.raises(Unspeakable, match="tool_choice"):
        asked(tools=tools, tool_choice=ToolChoice(Choosing.NAMED, "h"))
    with pytest.raises(Unspeakable, match="parallel_tools"):
        asked(tools=tools, parallel_tools=False)
    named = asked(tools=tools[1:], tool_choice=ToolChoice(Choosing.NAMED, "g"), parallel_tools=False)
    assert named["dropped"] == ["parallel_tools"], "one call is what comes of it"


def test_formats() -> None:
    assert asked(format=Format())["response_format"] == {"type": "json_object"}
    schema = {"type": "object"}
    assert asked(format=Format(schema))["response_format"] == {"type": "json_object", "json_schema": schema}


@pytest.mark.parametrize(
    ("wanted", "cap", "thinking"),
    [
        (Reasoning("none"), 0, {"type": "disabled"}),
        (Reasoning(budget=0), 0, {"type": "disabled"}),
        (Reasoning("low"), 0, {"type": "enabled", "token_budget": 1024}),
        (Reasoning("high"), 0, {"type": "enabled"}),
        (Reasoning(budget=-1), 0, {"type": "enabled"}),
        (Reasoning(budget=5000), 100, {"type": "enabled", "token_budget": 50}),
        (Reasoning(shown=True), 0, None),
    ],
)
def test_reasoning(wanted: Reasoning, cap: int, thinking: Any) -> None:
    assert asked(cap=cap, reasoning=wanted).get("thinking") == thinking


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("top_k", 501),
        ("choices", 2),
        ("seed", -1),
        ("frequency_penalty", -0.5),
        ("presence_penalty", 1.5),
        ("logit_bias", {"1": 1.0}),
        ("top_logprobs", 1),
        ("modalities", ["audio"]),
        ("voice", {"voice": "a"}),
        ("verbosity", "low"),
        ("stop", list("abcdef")),
    ],
)
def test_what_cohere_has_nothing_for_is_refused_by_name_or_dropped(name: str, value: Any) -> None:
    with pytest.raises(Unspeakable) as caught:
        asked(**{name: value})
    assert caught.value.name == name
    assert asked(drops=True, **{name: value})["dropped"] == [name]


def test_hints_are_left_out_and_named() -> None:
    turn = Turn(Role.USER, [Text("a", cached=True)], "Ada")
    assert asked(turn, user="u", metadata={"a": "b"})["dropped"] == ["name", "cached", "user", "metadata"]


@given(anything())
def test_any_chat_is_as_cohere_takes_it(chat: Chat) -> None:
    found = json.loads(encode_chat(chat, Aim("m", drops=True, dropped=[])))
    assert set(found) <= cohere.FIELDS
    cohere.check(found)
    said = json.dumps(found["messages"], ensure_ascii=False)
    calls = [call for message in found["messages"] for call in message.get("tool_calls", ())]
    for turn in chat.turns:
        for part in turn.parts:
            if isinstance(part, ToolCall):
                function = {"name": part.name, "arguments": part.arguments}
                assert {"id": part.id, "type": "function", "function": function} in calls
            elif isinstance(part, Text):
                assert json.dumps(part.text, ensure_ascii=False)[1:-1] in said


def answered(scenario: str) -> Reply:
    body = {"model": scenario, "messages": []}
    return decode_reply(b"".join(cohere.answer(Asked("/v2/chat", {}, body)).pieces))


def test_whole_replies() -> None:
    assert answered("plain") == Reply(cohere.ID, "", [Choice([Text(TEXT)])], USED)
    assert answered("thinking").choices[0].parts == [Thinking(THOUGHT), Text(TEXT)]
    calls = answered("tools").choices[0]
    assert calls.finish is Finish.TOOL_CALLS and calls.parts[0] == Thinking(cohere.PLAN)
    assert [(c.name, json.loads(c.arguments)) for c in calls.parts if isinstance(c, ToolCall)] == list(CALLS)
    assert answered("length").choices[0].finish is Finish.LENGTH
    assert answered("silent").usage.source == "none"
    with pytest.raises(ValueError, match="did not finish: ERROR"):
        answered("broken")


def reply(**more: Any) -> Reply:
    message = {"role": "assistant", "content": [{"type": "text", "text": "a"}]}
    return decode_reply(
        json.dumps({"id": "i", "finish_reason": "COMPLETE", "message": message} | more).encode()
    )


def test_what_is_billed_counts_else_what_was_counted() -> None:
    counted = {"tokens": {"input_tokens": 7.0, "output_tokens": 2}}
    assert reply(usage=counted).usage == Usage(7, 2, source="provider")
    assert reply(usage={"billed_units": {"input_tokens": 0}}).usage == Usage(0, 0, source="provider")
    for nonsense in ({}, {"billed_units": {"input_tokens": -1}}, {"tokens": {"output_tokens": 1e300}}):
        assert reply(usage=nonsense).usage.source == "none"
    cached = {"billed_units": {"input_tokens": 5}, "cached_tokens": 300}
    assert reply(usage=cached).usage.cached == 5


def test_logprobs_and_citations() -> None:
    logprobs = [{"text": "wö", "token_ids": [1, 2], "logprobs": [-0.5, -0.25]}, {"token_ids": []}]
    found = reply(logprobs=logprobs).choices[0].logprobs
    assert found == {
        "content": [
            {"token": "wö", "logprob": -0.75, "bytes": list("wö".encode()), "top_logprobs": []},
            {"token": "", "logprob": 0, "bytes": [], "top_logprobs": []},
        ],
        "refusal": None,
    }
    message = {"content": [{"type": "text", "text": "a"}], "citations": [{"start": 0, "end": 1, "text": "a"}]}
    assert reply(message=message).choices[0].parts == [Text("a")]


CALLED = b'{"message":{"tool_calls":[{"id":"c","function":%b}]},"finish_reason":"TOOL_CALL"}'


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"{}",
        b'{"message":{"content":"text"},"finish_reason":"COMPLETE"}',
        b'{"message":{"content":[{"text":1}]},"finish_reason":"COMPLETE"}',
        CALLED % b"null",
        CALLED % b'{"name":"f","arguments":"{oops"}',
        CALLED % b'{"name":"f","arguments":"[]"}',
        b'{"message":{},"finish_reason":"TIMEOUT"}',
    ],
)
def test_what_is_no_reply(body: bytes) -> None:
    with pytest.raises(ValueError):
        decode_reply(body)


def test_failures() -> None:
    assert decode_failure(400, b'{"id":"i","message":"bad"}') == Failure("bad")
    assert decode_failure(404, b"[]") == Failure("the provider answered 404")


# Streams.


def streamed(scenario: str) -> bytes:
    body = {"model": scenario, "messages": [], "stream": True}
    return b"".join(cohere.answer(Asked("/v2/chat", {}, body)).pieces)


def pieces_of(raw: bytes, cuts: tuple[int, ...] = ()) -> list[Piece]:
    events, reader = Events(), StreamReader()
    found: list[Piece] = []
    for start, end in pairwise((0, *cuts, len(raw))):
        for name, data in events.feed(raw[start:end]):
            found += reader.read(name, data)
    return found + list(reader.end())


def test_a_stream_of_text() -> None:
    said = [Said(piece) for piece in PIECES]
    assert pieces_of(streamed("plain")) == [
        Begun(cohere.ID, ""),
        *said,
        Finished(Finish.STOP),
        Used(USED),
        Over(),
    ]
    assert Used(USED) not in pieces_of(streamed("silent"))
    assert pieces_of(streamed("plain") + b"data: [DONE]\n\n")[-1] == Over()


def test_a_stream_of_thoughts_and_of_calls() -> None:
    thoughts = [piece.text for piece in pieces_of(streamed("thinking")) if isinstance(piece, Thought)]
    assert "".join(thoughts) == THOUGHT and len(thoughts) == 2
    pieces = pieces_of(streamed("tools"))
    assert pieces[1:3] == [Thought(cohere.PLAN[:7]), Thought(cohere.PLAN[7:])]
    assert [(piece.name, piece.call) for piece in pieces if isinstance(piece, Called)] == [
        (CALLS[0][0], 0),
        (CALLS[1][0], 1),
    ]
    assert [piece.call for piece in pieces if isinstance(piece, Argued)] == [0, 0, 1, 1]


def read(*events: Any) -> list[Piece]:
    reader = StreamReader()
    return [piece for event in events for piece in reader.read(b"", json.dumps(event).encode())]


def test_calls_without_arguments_and_with_all_at_once() -> None:
    def start(at: int, arguments: str) -> Any:
        call = {"id": f"c{at}", "type": "function", "function": {"name": "f", "arguments": arguments}}
        return {"type": "tool-call-start", "index": at, "delta": {"message": {"tool_calls": call}}}

    ends = [{"type": "tool-call-end", "index": at} for at in (0, 1)]
    assert read(start(0, ""), ends[0], start(1, '{"a":1}'), ends[1]) == [
        Called("c0", "f"),
        Argued("{}"),
        Called("c1", "f", 1),
        Argued('{"a":1}', 1),
    ]


def test_what_has_no_place_and_what_makes_no_sense() -> None:
    citation = {"type": "citation-start", "index": 0, "delta": {"message": {"citations": {"start": 0}}}}
    assert read(citation, {"type": "citation-end"}, {"type": "debug"}) == []
    assert read({"message": "gone"}) == [Broke("gone")]
    assert read({"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "e"}}) == [Broke("e")]
    for event in (
        {"type": "tool-call-delta", "index": 3, "delta": {"message": {"tool_calls": {}}}},
        {"type": "tool-call-start", "delta": {"message": {"tool_calls": {"id": "c"}}}},
        {"type": "message-end", "delta": {"finish_reason": "TIMEOUT"}},
        {"type": "content-delta", "delta": {"message": {"content": {"text": 1}}}},
    ):
        with pytest.raises(ValueError):
            read(event)
    with pytest.raises(ValueError, match="message-end"):
        pieces_of(streamed("plain")[:200])


def test_logprobs_of_a_piece() -> None:
    delta = {"message": {"content": {"text": "a"}}}
    logprobs = {"text": "a", "token_ids": [1], "logprobs": [-0.5]}
    (said,) = read({"type": "content-delta", "index": 0, "delta": delta, "logprobs": logprobs})
    assert isinstance(said, Said) and said.logprobs is not None
    assert said.logprobs["content"][0]["logprob"] == -0.5


@given(st.sampled_from(("plain", "tools", "thinking", "schema")), st.data())
def test_a_stream_cut_anywhere_says_the_same(scenario: str, data: st.DataObject) -> None:
    raw = streamed(scenario)
    cuts = tuple(sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=6))))
    assert pieces_of(raw, cuts) == pieces_of(raw)
