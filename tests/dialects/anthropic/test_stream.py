"""Anthropic event streams: read however they are cut, written block by block, forwarded byte for byte."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpgate.dialects.anthropic.endpoints import MESSAGES, VENDOR
from kpgate.dialects.anthropic.framing import Frames
from kpgate.dialects.anthropic.request import decode_messages
from kpgate.dialects.anthropic.stream import StreamReader, StreamWriter
from kpgate.domain.call import Call
from kpgate.domain.errors import UpstreamFailed
from kpgate.domain.events import Events
from kpgate.domain.reply import (
    Argued,
    Begun,
    Broke,
    Called,
    Finish,
    Finished,
    Over,
    Piece,
    Refused,
    Said,
    Thought,
    Used,
)
from kpgate.domain.seals import ANTHROPIC
from kpgate.domain.usage import Usage
from tests.kit.chats import NAMES, OBJECTS, WORDS

FIXTURES = Path(__file__).parent / "fixtures"
TOOLS = (FIXTURES / "tools.sse").read_bytes()
THINKING = (FIXTURES / "thinking.sse").read_bytes()


def call(**more: Any) -> Call:
    asked = {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "x"}]} | more
    return decode_messages(json.dumps(asked).encode(), 64)


SHOWING = {"thinking": {"type": "adaptive", "display": "summarized"}}


def read(stream: bytes, cuts: Iterable[int] = ()) -> list[Piece]:
    """The pieces of a stream that arrives so cut."""
    events, reader, found = Events(), StreamReader(), []
    places = sorted(min(cut, len(stream)) for cut in cuts)
    for begin, end in zip([0, *places], [*places, len(stream)], strict=True):
        for name, data in events.feed(stream[begin:end]):
            found += reader.read(name, data)
    return [*found, *reader.end()]


def write(pieces: Iterable[Piece], **more: Any) -> bytes:
    writer = StreamWriter(call(**more))
    return b"".join(map(writer.write, pieces))


def events_of(stream: bytes) -> list[dict[str, Any]]:
    found = []
    for name, data in Events().feed(stream):
        told = json.loads(data)
        assert told["type"] == name.decode()
        found.append(told)
    return found


def test_the_documented_streams_are_read() -> None:
    assert read(TOOLS) == [
        Begun("msg_014p7gG3wDgGV9EUtLvnow3U", "claude-opus-5"),
        Said("Okay"),
        Said(", let's check"),
        Called("toolu_01T1x1fJ34qAmk2tNTrN7Up6", "get_weather"),
        Argued('{"location":'),
        Argued(' "San Francisco, CA"}'),
        Finished(Finish.TOOL_CALLS),
        Used(Usage(472, 89, source="provider")),
        Over(),
    ]
    assert read(THINKING) == [
        Begun("msg_01", "claude-opus-4-6"),
        Thought("Euclid"),
        Thought(signature="EqQBCgIYAhIM1gbcDa9GJwZA2b3h", vendor=ANTHROPIC),
        Thought(redacted="Emw", vendor=ANTHROPIC),
        Said("21"),
        Finished(Finish.STOP),
        Used(Usage(5, 7, source="provider")),
        Over(),
    ]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([TOOLS, THINKING]), st.lists(st.integers(0, 2500), max_size=8))
def test_a_stream_cut_anywhere_says_the_same_and_is_forwarded_as_it_came(
    stream: bytes, cuts: list[int]
) -> None:
    assert read(stream, cuts) == read(stream)
    frames, whole = Frames(), Frames()
    places = sorted(min(cut, len(stream)) for cut in cuts)
    sent = b""
    for begin, end in zip([0, *places], [*places, len(stream)], strict=True):
        sent += frames.feed(stream[begin:end])
    assert sent + frames.finish() == stream == whole.feed(stream) + whole.finish()
    assert (frames.usage, frames.take_text()) == (whole.usage, whole.take_text())


@st.composite
def streams(draw: st.DrawFn) -> list[Piece]:
    """A stream of one choice as a provider may give it."""
    pieces: list[Piece] = [Begun(draw(NAMES), draw(NAMES))]
    calls = 0
    for kind in draw(st.lists(st.sampled_from(["said", "thought", "redacted", "called"]), max_size=5)):
        if kind == "said":
            pieces += [Said(text) for text in draw(st.lists(WORDS, min_size=1, max_size=3))]
        elif kind == "thought":
            pieces += [Thought(text) for text in draw(st.lists(WORDS, max_size=2))]
            pieces.append(Thought(signature=draw(NAMES), vendor=ANTHROPIC))
        elif kind == "redacted":
            pieces.append(Thought(redacted=draw(NAMES), vendor=ANTHROPIC))
        else:
            arguments = json.dumps(draw(OBJECTS))
            place = draw(st.integers(1, len(arguments)))
            pieces.append(Called(draw(NAMES), draw(NAMES), calls))
            pieces += [Argued(one, calls) for one in (arguments[:place], arguments[place:]) if one]
            calls += 1
    finish = draw(st.sampled_from([one for one in Finish if one is not Finish.FILTERED]))
    if finish is Finish.REFUSED and draw(st.booleans()):
        pieces.append(Refused(draw(WORDS)))
    pieces.append(Finished(finish, stopped_by=draw(NAMES) if finish is Finish.STOP_SEQUENCE else ""))
    input = draw(st.integers(1, 99))
    cached = draw(st.integers(0, input))
    return [*pieces, Used(Usage(input, draw(st.integers(0, 99)), cached, 0, "provider")), Over()]


@settings(max_examples=300, deadline=None)
@given(streams(), st.lists(st.integers(0, 3000), max_size=5))
def test_what_is_written_is_read_the_same(pieces: list[Piece], cuts: list[int]) -> None:
    written = write(pieces, **SHOWING)
    assert read(written, cuts) == pieces
    check_blocks(events_of(written))


def check_blocks(events: list[dict[str, Any]]) -> None:
    """That every block is begun once, in order, and ended once; and that the message begins and ends."""
    assert events[0]["type"] == "message_start" and events[-1]["type"] == "message_stop"
    assert [one["type"] for one in events].count("message_delta") == 1
    begun, ended = [], set()
    for event in events:
        if event["type"] == "content_block_start":
            begun.append(event["index"])
        elif event["type"] == "content_block_delta":
            assert event["index"] in begun and event["index"] not in ended
        elif event["type"] == "content_block_stop":
            assert event["index"] not in ended
            ended.add(event["index"])
    assert begun == list(range(len(begun))) and ended == set(begun)


def test_calls_that_arrive_at_the_same_time_stay_apart() -> None:
    pieces = [
        Begun("i", "m"),
        Called("a", "f", 0),
        Called("b", "g", 1),
        Argued('{"x"', 1),
        Argued('{"y":2}', 0),
        Argued(":1}", 1),
        Said("and"),
        Finished(Finish.TOOL_CALLS),
        Over(),
    ]
    events = events_of(write(pieces))
    check_blocks(events)
    said: dict[int, str] = {}
    for event in events:
        if event["type"] == "content_block_delta" and event["delta"]["type"] == "input_json_delta":
            said[event["index"]] = said.get(event["index"], "") + event["delta"]["partial_json"]
    assert said == {0: '{"y":2}', 1: '{"x":1}'}


def test_one_call_is_ended_before_the_next_begins() -> None:
    pieces = [
        Begun("i", "m"),
        Called("a", "f", 0),
        Argued("{}", 0),
        Called("b", "g", 1),
        Argued("{}", 1),
        Over(),
    ]
    kinds = [(one["type"], one.get("index")) for one in events_of(write(pieces))]
    assert kinds.index(("content_block_stop", 0)) < kinds.index(("content_block_start", 1))


def test_thoughts_are_shown_to_who_asked_for_them_and_kept_for_their_seal() -> None:
    pieces = [Begun("i", "m"), Thought("hm"), Said("x"), Finished(Finish.STOP), Over()]
    assert b"thinking" in write(pieces, **SHOWING) and b"thinking" not in write(pieces)
    sealed = [Begun("i", "m"), Thought("hm"), Thought(signature="s"), Finished(Finish.STOP), Over()]
    assert read(write(sealed))[1:2] == [Thought(signature="s", vendor=ANTHROPIC)]


def test_only_the_first_choice_is_written_and_what_begins_nothing_begins_it() -> None:
    pieces = [
        Said("a"),
        Said("b", 1),
        Argued("{}", 0, 1),
        Finished(Finish.LENGTH, 1),
        Finished(Finish.STOP),
        Over(),
    ]
    events = events_of(write(pieces))
    check_blocks(events)
    assert events[0]["message"]["model"] == "m"
    assert events[-2]["delta"]["stop_reason"] == "end_turn"


@pytest.mark.parametrize("showing", [{}, SHOWING])
def test_a_cut_stream_ends_as_one_that_is_long_enough(showing: dict[str, Any]) -> None:
    writer = StreamWriter(call(**showing))
    sent = b"".join(map(writer.write, [Begun("i", "m"), Said("a"), Called("c", "f"), Argued('{"x')]))
    writer.mark()
    for piece in (Argued('":1}'), Said("held back"), Called("d", "g", 1), Finished(Finish.STOP), Over()):
        writer.write(piece)
    events = events_of(sent + writer.cut())
    check_blocks(events)
    assert events[-2]["delta"]["stop_reason"] == "max_tokens"


@pytest.mark.parametrize("place", range(TOOLS.count(b"\n\n")))
def test_a_forwarded_stream_is_cut_in_shape(place: int) -> None:
    frames = Frames()
    events = [event + b"\n\n" for event in TOOLS.split(b"\n\n")[:-1]]
    sent = b"".join(events[: place + 1])
    assert frames.feed(sent) == sent
    frames.feed(b"".join(events[place + 1 :]))
    end = frames.cut()
    if place + 1 < TOOLS.count(b"\n\n") - 1:
        check_blocks(events_of(sent + end))
        assert events_of(end)[-2]["delta"]["stop_reason"] == "max_tokens"


def test_the_usage_of_a_stream_is_known_at_its_end() -> None:
    frames = Frames()
    last = TOOLS.index(b"event: message_delta")
    frames.feed(TOOLS[:last])
    assert frames.usage is None, "until then what was sent on counts"
    assert frames.take_text() == "Okay, let's checkget_weather" + '{"location": "San Francisco, CA"}'
    frames.feed(TOOLS[last:])
    assert frames.usage == Usage(472, 89, source="provider")


ERROR = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'


def test_a_provider_s_error_within_a_stream_is_told() -> None:
    assert StreamReader().read(b"error", ERROR.split(b"data: ")[1]) == [Broke("Overloaded", 529)]
    frames = Frames()
    events = [event + b"\n\n" for event in TOOLS.split(b"\n\n")]
    frames.feed(b"".join(events[:4]))
    assert frames.take_text() == "Okay"
    assert frames.feed(events[4] + ERROR) == events[4], "what came before it is sent"
    assert frames.take_text() == ", let's check"
    for ended in (lambda: frames.feed(events[5]), frames.finish):
        with pytest.raises(UpstreamFailed, match="Overloaded"):
            ended()


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_an_error_before_a_word_is_one_at_once(ending: bytes) -> None:
    frames = Frames()
    begun = b"".join(event + b"\n\n" for event in TOOLS.split(b"\n\n")[:3]).replace(b"\n", ending)
    with pytest.raises(UpstreamFailed, match="Overloaded"):
        frames.feed(begun + ERROR.replace(b"\n", ending))
    assert frames.take_text() == ""


@pytest.mark.parametrize(
    "wrong",
    [
        b"data: [DONE]\n\n",
        b"data: {\n\n",
        b'data: {"type":5}\n\n',
        b"data: <html>\n\n",
        b'data: {"type":"message_start"}\n\n',
        b'data: {"type":"content_block_start","index":0,"content_block":{"type":"tool_use","name":"f"}}\n\n',
    ],
)
def test_what_makes_no_sense_is_refused(wrong: bytes) -> None:
    with pytest.raises(ValueError):
        read(wrong)


def test_a_stream_that_ends_too_early_is_an_error() -> None:
    early = TOOLS[: TOOLS.index(b"event: message_stop")]
    with pytest.raises(ValueError, match="message_stop"):
        read(early)
    frames = Frames()
    frames.feed(early)
    with pytest.raises(UpstreamFailed, match="message_stop"):
        frames.finish()
    for wrong in (b"data: [DONE]\n\n", b'data: {"type":5}\n\n'):
        with pytest.raises(UpstreamFailed, match="anthropic"):
            Frames().feed(wrong)


def test_events_and_blocks_that_are_still_to_come_are_passed_over() -> None:
    new = (
        b'event: news\ndata: {"type":"news","index":3}\n\n'
        b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":'
        b'{"type":"server_tool_use","id":"s","name":"web_search","input":{}}}\n\n'
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":'
        b'{"type":"input_json_delta","partial_json":"{}"}}\n\n'
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":'
        b'{"type":"citations_delta"}}\n\n'
    )
    assert read(new + TOOLS) == read(TOOLS)


def test_a_call_without_arguments_has_empty_ones() -> None:
    events = TOOLS.replace(b'"{\\"location\\":"', b'""').replace(b'" \\"San Francisco, CA\\"}"', b'""')
    assert Argued("{}") in read(events)


def test_the_rows_are_whole() -> None:
    assert VENDOR.endpoints[0] is MESSAGES and MESSAGES.id_header == b"request-id"
