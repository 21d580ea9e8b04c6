"""ConverseStream's messages as the neutral pieces, and as OpenAI's callers get them, however they were cut."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate.dialects.bedrock.endpoints import TONGUE
from kpgate.dialects.bedrock.framing import Messages
from kpgate.dialects.bedrock.stream import StreamReader
from kpgate.dialects.bridge import Translator
from kpgate.dialects.openai.stream import StreamWriter
from kpgate.domain.call import Call
from kpgate.domain.errors import UpstreamFailed
from kpgate.domain.reply import (
    Argued,
    Begun,
    Broke,
    Called,
    Finish,
    Finished,
    Over,
    Piece,
    Said,
    Thought,
    Used,
)
from kpgate.domain.seals import ANTHROPIC
from kpgate.domain.usage import Usage
from tests.kit.vendors import bedrock
from tests.kit.vendors.server import CACHED, CALLS, INPUT, OUTPUT, PIECES, SIGNATURE, THOUGHT, Asked

WRITTEN = {"cache_write": bedrock.WRITTEN - bedrock.KEPT, "cache_write_long": bedrock.KEPT}
USED = Used(Usage(INPUT, OUTPUT, CACHED, source="provider", **WRITTEN))


def streamed(scenario: str) -> bytes:
    asked = Asked(
        f"/model/{scenario}/converse-stream", {"authorization": "Bearer k"}, {"messages": [{"role": "user"}]}
    )
    return b"".join(bedrock.answer(asked).pieces)


def pieces_of(raw: bytes, cuts: tuple[int, ...] = ()) -> list[Piece]:
    messages, reader = Messages(), StreamReader()
    found: list[Piece] = []
    for start, end in zip((0, *cuts), (*cuts, len(raw)), strict=True):
        for name, data in messages.feed(raw[start:end]):
            found += reader.read(name, data)
    return found + list(reader.end())


def test_text_and_usage() -> None:
    said = [Said(piece) for piece in PIECES]
    assert pieces_of(streamed("plain")) == [Begun("", ""), *said, Finished(Finish.STOP), USED, Over()]
    assert Finished(Finish.LENGTH) in pieces_of(streamed("length"))
    assert Finished(Finish.FILTERED) in pieces_of(streamed("refusal"))
    assert USED not in pieces_of(streamed("silent"))


def test_calls_in_parallel() -> None:
    pieces = pieces_of(streamed("tools"))
    assert [piece for piece in pieces if isinstance(piece, Called)] == [
        Called(f"tooluse_{at}Kz", name, at) for at, (name, _) in enumerate(CALLS)
    ]
    assert [piece.call for piece in pieces if isinstance(piece, Argued)] == [0, 0, 1, 1]
    assert Finished(Finish.TOOL_CALLS) in pieces


def test_a_call_without_arguments_has_an_empty_object() -> None:
    started = {"start": {"toolUse": {"toolUseId": "t", "name": "f"}}, "contentBlockIndex": 0}
    raw = bedrock.event("contentBlockStart", started) + bedrock.event(
        "contentBlockStop", {"contentBlockIndex": 0}
    )
    raw += bedrock.event("messageStop", {"stopReason": "tool_use"})
    assert pieces_of(raw)[:2] == [Called("t", "f"), Argued("{}")]


def test_thoughts_and_their_seal() -> None:
    pieces = pieces_of(streamed("thinking"))
    thoughts = [piece for piece in pieces if isinstance(piece, Thought)]
    assert "".join(piece.text for piece in thoughts) == THOUGHT
    assert thoughts[-1].signature == SIGNATURE
    hidden = {"delta": {"reasoningContent": {"redactedContent": "AAEC"}}, "contentBlockIndex": 0}
    raw = bedrock.event("contentBlockDelta", hidden) + bedrock.event(
        "messageStop", {"stopReason": "end_turn"}
    )
    assert pieces_of(raw)[0] == Thought(redacted="AAEC", vendor=ANTHROPIC)


def test_what_bedrock_does_itself_is_left_behind() -> None:
    call = {"toolUse": {"toolUseId": "t", "name": "web", "type": "server_tool_use"}}
    raw = bedrock.event("contentBlockStart", {"start": call, "contentBlockIndex": 0})
    raw += bedrock.event("contentBlockDelta", {"delta": {"toolUse": {"input": "{}"}}, "contentBlockIndex": 0})
    raw += bedrock.event("contentBlockDelta", {"delta": {"citation": {"title": "a"}}, "contentBlockIndex": 1})
    raw += bedrock.event("contentBlockStop", {"contentBlockIndex": 0}) + bedrock.event("newEvent", {"a": 1})
    raw += bedrock.event("messageStop", {"stopReason": "end_turn"})
    assert pieces_of(raw) == [Finished(Finish.STOP), Over()]


def test_failures_midway() -> None:
    reader = StreamReader()
    assert reader.read(b"!throttlingException", b'{"message":"slow down"}') == [
        Broke("throttlingException: slow down", 429)
    ]
    assert reader.read(b"!InternalError", b"gone") == [Broke("InternalError: gone")]
    with pytest.raises(ValueError, match="messageStop"):
        pieces_of(bedrock.event("messageStart", {"role": "assistant"}))
    with pytest.raises(ValueError, match="malformed_tool_use"):
        pieces_of(bedrock.event("messageStop", {"stopReason": "malformed_tool_use"}))


@given(st.sampled_from(("plain", "tools", "thinking", "schema")), st.data())
def test_a_stream_cut_anywhere_says_the_same(scenario: str, data: st.DataObject) -> None:
    raw = streamed(scenario)
    cuts = tuple(sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=6))))
    assert pieces_of(raw, cuts) == pieces_of(raw)


def translator() -> Translator:
    writer = StreamWriter(Call("m", None, None, True, True))
    return Translator("bedrock", TONGUE.split(1 << 20), TONGUE.reader(), writer)


@pytest.mark.parametrize(("scenario", "why"), [("broken", "the model is gone"), ("damaged", "is damaged")])
def test_what_came_before_a_failure_is_sent_then_the_failure_is_said(scenario: str, why: str) -> None:
    made, out = translator(), []

    def feed(sent: bytes) -> None:
        for at in range(0, len(sent) + 50, 50):
            out.append(made.feed(sent[at : at + 50]))

    with pytest.raises(UpstreamFailed, match=why):
        feed(streamed(scenario))
    assert b"Hello" in b"".join(out)


def test_openai_s_callers_get_chunks() -> None:
    made = translator()
    out = made.feed(streamed("plain")) + made.finish()
    assert out.count(b'"content":') == 1 + len(PIECES) and out.endswith(b"data: [DONE]\n\n")
    usage: Any = made.usage
    assert (usage.input, usage.output, usage.cached) == (INPUT, OUTPUT, CACHED)
