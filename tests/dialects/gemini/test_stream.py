"""Gemini streams: byte for byte to callers of Gemini's, event by event to others, however they were cut on the way."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate.dialects.bridge import STREAM_BYTES_MAX, Translator
from kpgate.dialects.gemini.endpoints import GENERATE, STREAM, VENDOR
from kpgate.dialects.gemini.neutral import neutral
from kpgate.dialects.gemini.parts import UNSEALED, seal
from kpgate.dialects.gemini.request import decode_generate
from kpgate.dialects.gemini.stream import Frames, StreamReader, StreamWriter
from kpgate.domain.call import Call
from kpgate.domain.dialect import Heads
from kpgate.domain.errors import UpstreamFailed
from kpgate.domain.events import EVENT_BYTES_MAX, Events
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
from kpgate.domain.seals import GOOGLE
from kpgate.domain.usage import Usage
from tests.kit.turns import ARGUMENTS, BASE64, NAMES, WORDS, usages
from tests.kit.vendors import gemini
from tests.kit.vendors.server import CALLS, PIECES, SIGNATURE, TEXT, THOUGHT, Asked

USED = Usage(21, 9, 5, 0, "provider")


def streamed(model: str) -> bytes:
    path = f"/v1beta/models/{model}:streamGenerateContent?alt=sse"
    return b"".join(gemini.answer(Asked(path, {}, None)).pieces)


def asked(listed: bool = False, shows: bool = True, choices: int = 1) -> Call:
    config = {"thinkingConfig": {"includeThoughts": shows}, "candidateCount": choices}
    body = json.dumps({"contents": [{"parts": [{"text": "a"}]}], "generationConfig": config}).encode()
    call = decode_generate(body, 64, "m", True, listed)
    neutral(body, call)
    return call


def pieces_of(raw: bytes, cuts: list[int] | None = None) -> list[Piece]:
    events, reader = Events(EVENT_BYTES_MAX), StreamReader()
    found: list[Piece] = []
    for chunk in cut(raw, cuts or []):
        for name, data in events.feed(chunk):
            found += reader.read(name, data)
    for name, data in events.finish():
        found += reader.read(name, data)
    return [*found, *reader.end()]


def cut(raw: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(place % (len(raw) + 1) for place in cuts), len(raw)]
    return [raw[start:end] for start, end in pairwise(places)]


def written(pieces: list[Piece], **how: Any) -> bytes:
    writer = StreamWriter(asked(**how))
    return b"".join(writer.write(piece) for piece in pieces)


def items(raw: bytes) -> list[Any]:
    return [json.loads(data) for _, data in Events(EVENT_BYTES_MAX).feed(raw)]


def test_what_a_stream_says() -> None:
    assert pieces_of(streamed("plain")) == [
        Begun(gemini.RESPONSE_ID, "plain"),
        *(Said(text) for text in PIECES),
        Finished(Finish.STOP),
        Used(USED),
        Over(),
    ]


def test_calls_and_thoughts_in_a_stream() -> None:
    calls = [piece for piece in pieces_of(streamed("tools")) if isinstance(piece, Called | Argued)]
    assert [(piece.name, piece.call, piece.signature) for piece in calls if isinstance(piece, Called)] == [
        (CALLS[0][0], 0, SIGNATURE),
        (CALLS[1][0], 1, ""),
    ]
    assert [json.loads(piece.text) for piece in calls if isinstance(piece, Argued)] == [
        args for _, args in CALLS
    ]
    assert Finished(Finish.TOOL_CALLS) in pieces_of(streamed("tools"))
    thinking = pieces_of(streamed("thinking"))
    assert [piece for piece in thinking if isinstance(piece, Thought)] == [
        Thought(THOUGHT),
        Thought("", signature=SIGNATURE, vendor=GOOGLE),
    ]
    assert thinking[-2] == Used(Usage(21, 9, 5, 4, "provider"))


def test_blocked_filtered_and_broken_streams() -> None:
    assert pieces_of(streamed("blocked"))[1] == Finished(Finish.FILTERED)
    assert Finished(Finish.FILTERED) in pieces_of(streamed("refusal"))
    assert Finished(Finish.LENGTH) in pieces_of(streamed("length"))
    with pytest.raises(ValueError, match="MALFORMED_FUNCTION_CALL"):
        pieces_of(streamed("malformed"))
    with pytest.raises(ValueError, match="before any choice"):
        pieces_of(streamed("cut"))
    error = b'data: {"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}\n\n'
    assert StreamReader().read(b"", error[6:]) == [Broke("The model is overloaded.", 503)]


@given(st.sampled_from(("plain", "tools", "thinking", "schema")), st.lists(st.integers(0), max_size=8))
def test_a_stream_cut_anywhere_says_the_same(model: str, cuts: list[int]) -> None:
    raw = streamed(model)
    assert pieces_of(raw, cuts) == pieces_of(raw)


@given(st.sampled_from(("plain", "tools", "thinking", "schema")), st.lists(st.integers(0), max_size=8))
def test_to_a_caller_of_gemini_s_it_is_the_same_bytes_however_it_was_cut(model: str, cuts: list[int]) -> None:
    raw = streamed(model)
    frames, listed = Frames(False), Frames(True)
    chunks = cut(raw, cuts)
    assert b"".join(map(frames.feed, chunks)) + frames.finish() == raw
    assert json.loads(b"".join(map(listed.feed, chunks)) + listed.finish()) == items(raw)
    assert frames.usage == listed.usage == Usage(21, 9, 5, 4 if model == "thinking" else 0, "provider")
    assert frames.take_text() == listed.take_text() != ""
    assert frames.text_bytes == 0 and frames.events == len(items(raw))


def test_every_text_is_collected() -> None:
    frames = Frames(False)
    frames.feed(streamed("thinking"))
    assert frames.text_bytes == len((THOUGHT + TEXT).encode()) and frames.take_text() == THOUGHT + TEXT
    frames.feed(streamed("tools"))
    assert frames.take_text().startswith('get_weather{"city": "Paris"}')


def test_a_figure_from_the_midst_is_not_what_was_used() -> None:
    raw = streamed("plain")
    frames = Frames(False)
    frames.feed(raw[: raw.index(b"\r\n\r\n") + 4])
    assert frames.events == 1 and frames.usage is None
    frames.finish()
    assert frames.usage == Usage(21, 1, 5, 0, "provider"), "unless nothing better comes"


@pytest.mark.parametrize(
    "data", [b'{"error":{"code":500,"message":"no"}}', b"<html>", b'{"candidates":7}', b'"text"']
)
def test_a_stream_that_fails_is_the_provider_s_failure(data: bytes) -> None:
    with pytest.raises(UpstreamFailed):
        Frames(False).feed(b"data: " + data + b"\n\n")


def test_keep_alives_pass_and_say_nothing() -> None:
    frames = Frames(False)
    assert frames.feed(b": ping\n\n") == b": ping\n\n"
    assert frames.events == 0


@pytest.mark.parametrize("listed", [False, True])
def test_the_end_of_a_stream_that_the_gateway_cuts(listed: bool) -> None:
    way = VENDOR.native(STREAM, Heads(b"", b""))
    frames = way.framer(asked(listed))
    sent = frames.feed(streamed("plain")[:-200]) + way.cut(frames, "r", "m", 2)
    told = json.loads(sent) if listed else items(sent)
    assert [one["finishReason"] for one in told[-1]["candidates"]] == ["MAX_TOKENS"] * 2
    assert "".join(one["candidates"][0]["content"]["parts"][0]["text"] for one in told[:-1]) == "Hello, wör"
    writer = StreamWriter(asked(listed, choices=2))
    sent = writer.write(Begun("r", "m")) + writer.write(Said("Hello")) + writer.cut()
    told = json.loads(sent) if listed else items(sent)
    assert [one["finishReason"] for one in told[-1]["candidates"]] == ["MAX_TOKENS"] * 2


def test_an_empty_list_is_a_list() -> None:
    assert json.loads(Frames(True).finish()) == []


@st.composite
def streams(draw: st.DrawFn) -> list[Piece]:
    """The pieces of a stream, as a provider's reader gives them: arguments in bits, choices one after another."""
    pieces: list[Piece] = [Begun(draw(NAMES), draw(NAMES))]
    choices = draw(st.integers(1, 2))
    ends: list[Piece] = []
    for choice in range(choices):
        for _ in range(draw(st.integers(0, 2))):
            seal = draw(st.just("") | BASE64)
            pieces.append(Thought(draw(WORDS), choice, seal, "", GOOGLE if seal else ""))
        pieces += [Said(text, choice) for text in draw(st.lists(WORDS, max_size=3))]
        calls = draw(st.integers(0, 2))
        for call in range(calls):
            pieces.append(
                Called(f"call_{choice}_{call}", draw(NAMES), call, choice, draw(st.just("") | BASE64))
            )
            arguments = draw(ARGUMENTS)
            place = draw(st.integers(0, len(arguments)))
            pieces += [Argued(bit, call, choice) for bit in (arguments[:place], arguments[place:]) if bit]
        finish = Finish.TOOL_CALLS if calls else draw(st.sampled_from((Finish.STOP, Finish.LENGTH)))
        ends.append(Finished(finish, choice))
    return [*pieces, *ends, Used(draw(usages())), Over()]


def by_choice(pieces: list[Piece]) -> list[Piece]:
    """Each choice's pieces in their order: how choices take turns says nothing."""
    return sorted(pieces, key=lambda piece: getattr(piece, "choice", -1))


def joined(pieces: list[Piece]) -> list[Piece]:
    """Arguments whole."""
    found: list[Piece] = []
    for piece in pieces:
        last = found[-1] if found else None
        if isinstance(piece, Argued) and isinstance(last, Argued):
            found[-1] = Argued(last.text + piece.text, last.call, last.choice)
        else:
            found.append(piece)
    return found


@given(streams(), st.booleans())
def test_a_stream_is_the_same_after_it_was_written(pieces: list[Piece], listed: bool) -> None:
    raw = written(pieces, listed=listed, choices=2)
    if listed:
        raw = b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in json.loads(raw))
    got = [piece for piece in pieces_of(raw) if not isinstance(piece, Said) or piece.text]
    assert by_choice(got) == by_choice(joined(pieces))


def test_a_call_is_given_whole_as_soon_as_it_is() -> None:
    writer = StreamWriter(asked())
    assert writer.write(Begun("r", "m")) == b""
    assert (
        writer.write(Called("a", "f")) == writer.write(Argued('{"x"')) == writer.write(Argued(":1}")) == b""
    )
    (event,) = items(writer.write(Called("b", "g", 1)))
    assert event["candidates"][0]["content"]["parts"] == [
        {
            "functionCall": {"name": "f", "args": {"x": 1}, "id": "a"},
            # What a model of Gemini's is to be told if the caller goes on with one: this call bears no seal.
            "thoughtSignature": UNSEALED,
        }
    ]
    assert event["responseId"] == "r" and event["modelVersion"] == "m"
    last = writer.write(Finished(Finish.TOOL_CALLS))
    assert b'"args":{}' in last and b"thoughtSignature" not in last, (
        "of a step the first call alone bears one"
    )


def test_arguments_that_are_no_object_break_the_stream() -> None:
    with pytest.raises(UpstreamFailed):
        written([Begun("r", "m"), Called("a", "f"), Argued("[1"), Finished(Finish.TOOL_CALLS)])


def test_thoughts_that_nobody_asked_for_are_kept_for_their_seal() -> None:
    pieces: list[Piece] = [
        Begun("r", "m"),
        Thought("a"),
        Thought("b"),
        Thought(signature=SIGNATURE),
        Said("c"),
    ]
    parts = [one["candidates"][0]["content"]["parts"][0] for one in items(written(pieces, shows=False))]
    assert parts == [{"text": "ab", "thought": True, "thoughtSignature": SIGNATURE}, {"text": "c"}]


def thoughts(*pieces: Piece) -> list[Any]:
    """The parts that come of them, where thoughts were asked for."""
    said = items(written([Begun("r", "m"), *pieces, Finished(Finish.STOP), Over()], shows=True))
    return [one["candidates"][0]["content"]["parts"][0] for one in said[:-1]]


def test_a_seal_comes_with_the_last_of_what_was_thought() -> None:
    """The AI SDK has no place for a seal on a part without text."""
    first, last = {"text": "a", "thought": True}, {"text": "b", "thought": True}
    sealed, said = last | {"thoughtSignature": SIGNATURE}, {"text": "c"}
    assert thoughts(Thought("a"), Thought("b"), Thought(signature=SIGNATURE), Said("c")) == [
        first,
        sealed,
        said,
    ]
    assert thoughts(Thought("a"), Thought("b"), Said("c")) == [first, last, said]
    assert thoughts(Thought("a"), Thought("b")) == [first, last]
    redacted = {"text": "", "thought": True, "thoughtSignature": seal("", "x")}
    assert thoughts(Thought("a"), Thought(redacted="x"), Thought("b")) == [first, redacted, last]
    writer = StreamWriter(asked(shows=True))
    assert writer.write(Thought("b")) == b"" and b'"text":"b"' in writer.cut()


def test_refusals_logprobs_and_usage_at_the_beginning() -> None:
    logprobs = {"content": [{"token": "a", "logprob": -1.0}]}
    raw = written(
        [
            Begun("r", "m", USED),
            Refused("No."),
            Said("a", 0, logprobs),
            Finished(Finish.REFUSED),
            Over(),
        ]
    )
    refused, said, last = items(raw)
    assert refused["candidates"][0]["content"]["parts"] == [{"text": "No."}]
    assert said["candidates"][0]["logprobsResult"]["chosenCandidates"] == [
        {"token": "a", "logProbability": -1.0}
    ]
    assert last["candidates"][0]["finishReason"] == "SAFETY"
    assert last["usageMetadata"]["totalTokenCount"] == 30


def test_pictures_in_a_stream_are_not_lost_in_silence() -> None:
    parts = [{"inlineData": {"mimeType": "image/png", "data": "aGVsbG8="}}]
    with pytest.raises(ValueError, match="pictures"):
        StreamReader().read(b"", json.dumps({"candidates": [{"content": {"parts": parts}}]}).encode())


@given(st.lists(st.integers(0), max_size=6))
def test_from_gemini_to_gemini_over_the_neutral_form(cuts: list[int]) -> None:
    """The bridge's own translator, fed at any cut."""
    raw = streamed("tools")
    through = Translator("gemini", Events(EVENT_BYTES_MAX), StreamReader(), StreamWriter(asked()))
    sent = b"".join(map(through.feed, cut(raw, cuts))) + through.finish()
    calls = [
        part["functionCall"]
        for one in items(sent)
        for part in one["candidates"][0]["content"]["parts"]
        if "functionCall" in part
    ]
    assert [(call["name"], call["args"]) for call in calls] == list(CALLS)
    assert through.usage == USED


def test_a_whole_reply_goes_through_as_it_came() -> None:
    way = VENDOR.native(GENERATE, Heads(b"", b""))
    body = b'{ "candidates": [{"content":{"parts":[{"text":"a"}]}}] , "usageMetadata":{"promptTokenCount":3}}'
    assert way.turn is not None
    turned = way.turn(200, body, asked())
    assert turned.body is body and turned.usage == Usage(3, 0, source="provider") and turned.text == ""
    assert way.turn(200, body[:54] + b"}", asked()).text == "a", "counted where no usage is said"
    with pytest.raises(UpstreamFailed, match="credential"):
        way.turn(400, b"".join(gemini._bad_key().pieces), asked())


def test_a_stream_without_end_is_ended() -> None:
    through = Translator("gemini", Events(EVENT_BYTES_MAX), StreamReader(), StreamWriter(asked()))
    said = streamed("plain")
    assert through.feed(said)
    silence = b": " + bytes(1 << 19) + b"\n\n"
    for _ in range((STREAM_BYTES_MAX - len(said)) // len(silence)):
        assert through.feed(silence) == b""
    with pytest.raises(UpstreamFailed, match="268435456 bytes"):
        through.feed(silence)
