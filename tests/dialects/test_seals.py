"""Seals on thoughts, over turns of one conversation that models of several vendors answer: each has its own back as it
gave it, and no other ever sees it, whichever dialect the caller speaks."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate.dialects.anthropic import ask as to_anthropic
from kpgate.dialects.anthropic import request as anthropic
from kpgate.dialects.anthropic.endpoints import MESSAGES
from kpgate.dialects.anthropic.reply import decode_reply as from_anthropic
from kpgate.dialects.bedrock import ask as to_bedrock
from kpgate.dialects.bedrock.reply import decode_reply as from_bedrock
from kpgate.dialects.cohere import ask as to_cohere
from kpgate.dialects.gemini import ask as to_gemini
from kpgate.dialects.gemini import request as gemini
from kpgate.dialects.gemini.endpoints import GENERATE
from kpgate.dialects.gemini.reply import decode_reply as from_gemini
from kpgate.dialects.responses import ask as to_responses
from kpgate.dialects.responses import request as responses
from kpgate.dialects.responses.answer import decode_reply as from_responses
from kpgate.dialects.responses.endpoints import RESPONSES
from kpgate.domain.call import Call
from kpgate.domain.chat import Chat, Text, Thinking
from kpgate.domain.dialect import Aim, Endpoint
from kpgate.domain.reply import Begun, Called, Finish, Finished, Over, Piece, Reply, Said, Thought
from kpgate.domain.seals import ANTHROPIC, GOOGLE, MARK, OPENAI, UNKNOWN, Seal, unwrap, wrap, wrap_redacted

Json = dict[str, Any]

SEALS = {ANTHROPIC: "RXFRQkNrWUk=", GOOGLE: "Q2lRQmdvNXE=", OPENAI: "rs_7.gAAAAABo"}
HELLO = {"role": "user", "content": "hello"}
ANSWERS: dict[str, tuple[Callable[[bytes], Reply], Json]] = {
    "anthropic": (
        from_anthropic,
        {
            "type": "message",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": SEALS[ANTHROPIC]},
                {"type": "text", "text": "So."},
            ],
        },
    ),
    "bedrock": (
        from_bedrock,
        {
            "stopReason": "end_turn",
            "output": {
                "message": {
                    "content": [
                        {
                            "reasoningContent": {
                                "reasoningText": {"text": "hm", "signature": SEALS[ANTHROPIC]}
                            }
                        },
                        {"text": "So."},
                    ]
                }
            },
        },
    ),
    "gemini": (
        from_gemini,
        {
            "candidates": [
                {
                    "finishReason": "STOP",
                    "content": {
                        "parts": [
                            {"text": "hm", "thought": True, "thoughtSignature": SEALS[GOOGLE]},
                            {"text": "So."},
                        ]
                    },
                }
            ]
        },
    ),
    "responses": (
        from_responses,
        {
            "id": "resp_1",
            "status": "completed",
            "output": [
                {
                    "type": "reasoning",
                    "id": "rs_7",
                    "summary": [{"type": "summary_text", "text": "hm"}],
                    "encrypted_content": "gAAAAABo",
                },
                {
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": "So."}],
                },
            ],
        },
    ),
}
"""By a provider's dialect, how its answers are read, and one with a thought under its seal."""
VENDORS = {"anthropic": ANTHROPIC, "bedrock": ANTHROPIC, "gemini": GOOGLE, "responses": OPENAI}
ASKING: dict[str, tuple[Any, str]] = {
    "anthropic": (to_anthropic, "claude-opus-4-8"),
    "bedrock": (to_bedrock, "anthropic.claude-opus-4-8"),
    "nova": (to_bedrock, "amazon.nova-2-lite-v1:0"),
    "gemini": (to_gemini, "gemini-3.8-flash"),
    "responses": (to_responses, "gpt-5.6"),
    "cohere": (to_cohere, "command-a"),
}
TAKES = {"anthropic": ANTHROPIC, "bedrock": ANTHROPIC, "gemini": GOOGLE, "responses": OPENAI}
"""Whose seals a provider takes, by what it is asked in."""


def call_of(caller: str, body: Json) -> tuple[bytes, Call]:
    raw = json.dumps(body).encode()
    return raw, CALLERS[caller].decode(raw, 64)


def asking(caller: str, said: list[Any]) -> Json:
    """A request that goes on after an answer, which is given back as it was."""
    if caller == "anthropic":
        turns = [HELLO, *([{"role": "assistant", "content": said}] if said else []), HELLO]
        return {"model": "m", "max_tokens": 64, "thinking": {"type": "adaptive"}, "messages": turns}
    if caller == "responses":
        return {"model": "m", "input": [HELLO, *said, HELLO]}
    user = {"role": "user", "parts": [{"text": "hello"}]}
    config = {"thinkingConfig": {"includeThoughts": True}}
    turns = [user, *([{"role": "model", "parts": said}] if said else []), user]
    return {"contents": turns, "generationConfig": config}


def kept(caller: str, body: bytes) -> list[Any]:
    """What a caller keeps of an answer, to give it back."""
    answer = json.loads(body)
    if caller == "gemini":
        return list(answer["candidates"][0]["content"]["parts"])
    return list(answer["content" if caller == "anthropic" else "output"])


CALLERS: dict[str, Endpoint] = {"anthropic": MESSAGES, "responses": RESPONSES, "gemini": GENERATE}


def gone_on(caller: str, reply: Reply) -> Chat:
    """The next request of a caller that was answered so, in the neutral form."""
    endpoint = CALLERS[caller]
    assert endpoint.encode_reply is not None and endpoint.neutral is not None
    first, call = call_of(caller, asking(caller, []))
    endpoint.neutral(first, call)
    raw, again = call_of(caller, asking(caller, kept(caller, endpoint.encode_reply(reply, call))))
    return endpoint.neutral(raw, again)


@pytest.mark.parametrize("target", ASKING)
@pytest.mark.parametrize("provider", ANSWERS)
@pytest.mark.parametrize("caller", CALLERS)
def test_a_seal_goes_back_to_its_own_vendor_and_no_other(caller: str, provider: str, target: str) -> None:
    read, answer = ANSWERS[provider]
    chat = gone_on(caller, read(json.dumps(answer).encode()))
    thought = next(part for turn in chat.turns for part in turn.parts if isinstance(part, Thinking))
    vendor = VENDORS[provider]
    assert thought == Thinking("hm", SEALS[vendor], "", vendor)
    ask, model = ASKING[target]
    aim = Aim(model, dropped=[])
    sent = ask.encode_chat(chat, aim).decode()
    seal = SEALS[vendor].removeprefix("rs_7.")
    assert (seal in sent) is (TAKES.get(target) == vendor)
    assert MARK not in sent and "a3BnYXRlO" not in sent
    told = '"hm"' in sent
    assert told is (TAKES.get(target) == vendor or target in ("gemini", "cohere"))
    assert ("thinking" in aim.dropped) is not told, "what nobody gets is named"


@pytest.mark.parametrize("provider", ANSWERS)
@pytest.mark.parametrize("caller", CALLERS)
def test_what_goes_through_as_it_is_has_no_other_vendor_s_seal(caller: str, provider: str) -> None:
    endpoint = CALLERS[caller]
    assert endpoint.encode_reply is not None and endpoint.neutral is not None
    read, answer = ANSWERS[provider]
    first, call = call_of(caller, asking(caller, []))
    endpoint.neutral(first, call)
    said = kept(caller, endpoint.encode_reply(read(json.dumps(answer).encode()), call))
    raw, again = call_of(caller, asking(caller, said))
    sent = forwarding(caller)(raw, again, "m", 0)
    if VENDORS[provider] == TAKES[caller] and caller != "responses":
        assert sent == raw and again.dropped == ""
        return
    assert MARK.encode() not in sent and b"a3BnYXRlO" not in sent and b"So." in sent
    assert bool(again.dropped) is (VENDORS[provider] != TAKES[caller])


def forwarding(caller: str) -> Callable[[bytes, Call, str, int], bytes]:
    from_here = {"anthropic": anthropic.forward, "responses": responses.forward, "gemini": gemini.forward}
    return from_here[caller]


def test_a_model_that_thinks_by_a_budget_does_not_after_calls_of_another_s() -> None:
    foreign = {"type": "thinking", "thinking": "hm", "signature": wrap("x", GOOGLE, ANTHROPIC)}
    called = {"type": "tool_use", "id": "t", "name": "f", "input": {"signature": "kpgate:x"}}
    turns = [HELLO, {"role": "assistant", "content": [foreign, called]}, HELLO]
    body = {"model": "m", "max_tokens": 4096, "messages": turns}
    thinking = {"type": "enabled", "budget_tokens": 2048}
    raw, call = call_of("anthropic", body | {"thinking": thinking})
    sent = json.loads(anthropic.forward(raw, call, "m"))
    assert sent["messages"][1]["content"] == [called] and "thinking" not in sent
    assert call.dropped == "messages: thinking,thinking"
    raw, call = call_of("anthropic", body | {"thinking": {"type": "adaptive"}})
    assert json.loads(anthropic.forward(raw, call, "m"))["thinking"] == {"type": "adaptive"}
    turns[1]["content"] = [{"type": "redacted_thinking", "data": wrap("x", OPENAI, ANTHROPIC)}]
    raw, call = call_of("anthropic", body)
    assert json.loads(anthropic.forward(raw, call, "m"))["messages"] == [HELLO, HELLO]
    turns[1]["content"] = [called]
    raw, call = call_of("anthropic", body)
    assert anthropic.forward(raw, call, "m") == raw and call.dropped == ""


@pytest.mark.parametrize("vendor", SEALS)
@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("redacted", [False, True])
def test_a_stream_s_seal_is_kept_as_a_whole_reply_s(caller: str, vendor: str, redacted: bool) -> None:
    endpoint = CALLERS[caller]
    assert endpoint.writer is not None and endpoint.neutral is not None
    first, call = call_of(caller, asking(caller, []))
    endpoint.neutral(first, call)
    seal = SEALS[vendor]
    thought = (
        [Thought("", 0, "", seal, vendor)] if redacted else [Thought("hm"), Thought("", 0, seal, "", vendor)]
    )
    pieces: list[Piece] = [
        Begun("i", "m"),
        *thought,
        Called("c", "f"),
        Said("x"),
        Finished(Finish.STOP),
        Over(),
    ]
    writer = endpoint.writer(call)
    out = b"".join([writer.write(piece) for piece in pieces]).decode()
    events = [
        json.loads(line.removeprefix("data: ")) for line in out.splitlines() if line.startswith("data: {")
    ]
    raw, again = call_of(caller, asking(caller, said_in(caller, events)))
    chat = endpoint.neutral(raw, again)
    found = [part for turn in chat.turns for part in turn.parts if isinstance(part, Thinking)]
    assert found == [Thinking("", "", seal, vendor) if redacted else Thinking("hm", seal, "", vendor)]


def said_in(caller: str, events: list[Json]) -> list[Any]:
    """What a client makes of a stream, as far as it thought."""
    if caller == "responses":
        items = [event["item"] for event in events if event["type"] == "response.output_item.done"]
        return [item for item in items if item["type"] == "reasoning"]
    if caller == "gemini":
        parts = [part for event in events for one in event["candidates"] for part in one["content"]["parts"]]
        return [part for part in parts if part.get("thought")]
    blocks: dict[int, Json] = {}
    for event in events:
        if event["type"] == "content_block_start":
            blocks[event["index"]] = event["content_block"]
        elif event["type"] == "content_block_delta":
            delta = {name: one for name, one in event["delta"].items() if name in ("thinking", "signature")}
            blocks[event["index"]] |= delta
    return [block for block in blocks.values() if "thinking" in block["type"]]


@given(st.text(), st.sampled_from(sorted(SEALS)), st.sampled_from(sorted(SEALS)))
def test_a_mark_says_whose_a_seal_is(seal: str, vendor: str, own: str) -> None:
    assert unwrap(wrap(seal, vendor, own), own) == Seal(seal, vendor if seal else "") or seal.startswith(MARK)
    assert unwrap(wrap_redacted(seal, vendor), own) == Seal(seal, vendor, True)


@pytest.mark.parametrize("forged", ["kpgate:", "kpgate:x", "kpgate:redacted:x", "kpgate:nobody:x"])
def test_a_mark_that_says_nobody_is_nobody_s(forged: str) -> None:
    assert unwrap(forged, ANTHROPIC).vendor == UNKNOWN


def test_texts_are_no_thoughts() -> None:
    read, answer = ANSWERS["gemini"]
    assert read(json.dumps(answer).encode()).choices[0].parts[1] == Text("So.")
