"""Whole replies through both of OpenAI's spellings: whatever is said comes back as it was; and log probabilities, whole
and streamed, between the two of them.
"""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpgate.dialects.openai import answer as chat
from kpgate.dialects.openai import stream as chat_stream
from kpgate.dialects.responses import answer as responses
from kpgate.dialects.responses import request
from kpgate.dialects.responses import stream as responses_stream
from kpgate.dialects.responses import writer as responses_writer
from kpgate.domain.call import Call
from kpgate.domain.chat import Audio, Part, Refusal, Text, Thinking, ToolCall
from kpgate.domain.events import Events
from kpgate.domain.reply import Begun, Choice, Finish, Finished, Over, Reply, Said, Used
from kpgate.domain.usage import Usage
from tests.kit.turns import ARGUMENTS, NAMES, WORDS, usages

Json = dict[str, Any]


def token(text: str) -> Json:
    """What is said of a token, with an alternative."""
    spelled = list(text.encode())
    other = {"token": "Hi", "logprob": -1.5, "bytes": [72, 105]}
    return {"token": text, "logprob": -0.25, "bytes": spelled, "top_logprobs": [other]}


LOGPROBS = st.none() | st.lists(WORDS.map(token), min_size=1, max_size=3).map(
    lambda found: {"content": found, "refusal": None}
)
CALLS = st.lists(st.builds(ToolCall, NAMES, NAMES, ARGUMENTS), max_size=2, unique_by=lambda call: call.id)
SOUNDS = st.builds(Audio, id=NAMES, data=st.sampled_from(("aGVsbG8=", "d29ybGQh")), transcript=WORDS)


@st.composite
def choices(draw: st.DrawFn) -> Choice:
    """A choice of what a chat completion has places for, in their order there."""
    parts: list[Part] = []
    for one in (WORDS.map(Thinking), WORDS.map(Text), WORDS.map(Refusal), SOUNDS):
        parts += draw(st.lists(one, max_size=1))
    calls = draw(CALLS)
    ends = (Finish.TOOL_CALLS,) if calls else (Finish.STOP, Finish.LENGTH, Finish.FILTERED)
    return Choice([*parts, *calls], draw(st.sampled_from(ends)), "", draw(LOGPROBS))


@st.composite
def responded(draw: st.DrawFn) -> Choice:
    """A choice of what a response has places for: items in any order."""
    spoken = st.lists(WORDS.map(Text) | WORDS.map(Refusal), min_size=1, max_size=2)
    items = draw(st.lists(WORDS.map(Thinking).map(lambda one: [one]) | spoken, max_size=3))
    parts: list[Part] = [part for item in items for part in item]
    calls = draw(CALLS)
    ends = (Finish.TOOL_CALLS,) if calls else (Finish.STOP, Finish.LENGTH)
    there = any(isinstance(part, Text) for part in parts)
    return Choice([*parts, *calls], draw(st.sampled_from(ends)), "", draw(LOGPROBS) if there else None)


@settings(max_examples=150, deadline=None)
@given(NAMES, NAMES, st.lists(choices(), min_size=1, max_size=3), usages(), st.integers(1, 1 << 40))
def test_a_completion_is_read_as_it_was_written(
    id: str, model: str, made: list[Choice], usage: Usage, created_s: int
) -> None:
    reply = Reply(id, model, made, usage, created_s)
    assert chat.decode_reply(chat.encode_reply(reply, Call("m", None, None))) == reply


def responses_call(**more: Any) -> Call:
    body = msgspec.json.encode({"model": "m", "input": "hi"} | more)
    return request.decode_response(body, 64)


@settings(max_examples=150, deadline=None)
@given(NAMES, NAMES, responded(), usages(), st.integers(1, 1 << 40))
def test_a_response_is_read_as_it_was_written(
    id: str, model: str, made: Choice, usage: Usage, created_s: int
) -> None:
    reply = Reply(f"resp_{id}", model, [made], usage, created_s)
    read = responses.decode_reply(responses.encode_reply(reply, responses_call()))
    assert read == reply


REPLY = Reply(
    "r",
    "up",
    [Choice([Text("Hello")], Finish.STOP, "", {"content": [token("Hel"), token("lo")], "refusal": None})],
    Usage(3, 2, source="provider"),
    17,
)


def test_log_probabilities_go_from_either_spelling_to_the_other_whole() -> None:
    completed = msgspec.json.decode(chat.encode_reply(REPLY, Call("m", None, None)))
    assert completed["choices"][0]["logprobs"] == {"content": [token("Hel"), token("lo")], "refusal": None}
    read = chat.decode_reply(msgspec.json.encode(completed))
    responded = msgspec.json.decode(responses.encode_reply(read, responses_call()))
    (message,) = responded["output"]
    assert message["content"][0]["logprobs"] == [token("Hel"), token("lo")]
    again = responses.decode_reply(msgspec.json.encode(responded))
    assert again.choices[0].logprobs == REPLY.choices[0].logprobs


def read(reader: Any, data: bytes) -> list[Any]:
    events, found = Events(), []
    for name, one in events.feed(data):
        found += reader.read(name, one)
    return [*found, *reader.end()]


def spoken(pieces: list[Any]) -> list[tuple[str, Any]]:
    return [(piece.text, piece.logprobs) for piece in pieces if isinstance(piece, Said)]


PIECES: list[Any] = [
    Begun("i", "m", created_s=17),
    Said("Hel", 0, {"content": [token("Hel")], "refusal": None}),
    Said("lo", 0, {"content": [token("lo")], "refusal": None}),
    Finished(Finish.STOP),
    Used(Usage(3, 2, source="provider")),
    Over(),
]


@pytest.mark.parametrize("first", ["chat", "responses"])
def test_log_probabilities_go_from_either_spelling_to_the_other_streamed(first: str) -> None:
    def chatted(pieces: list[Any]) -> list[Any]:
        writer = chat_stream.StreamWriter(Call("m", None, None, stream=True, usage_wanted=True))
        return read(chat_stream.StreamReader(), b"".join(writer.write(piece) for piece in pieces))

    def responded(pieces: list[Any]) -> list[Any]:
        writer = responses_writer.StreamWriter(responses_call(stream=True))
        data = b"".join(writer.write(piece) for piece in pieces)
        done = [one for one in data.split(b"\n") if b'"type":"response.output_text.done"' in one]
        assert len(done) == 1 and done[0].count(b'"logprob":-0.25') == 2, "the end says all of them again"
        return read(responses_stream.StreamReader(), data)

    ways = (chatted, responded) if first == "chat" else (responded, chatted)
    assert spoken(ways[1](ways[0](PIECES))) == spoken(PIECES)
