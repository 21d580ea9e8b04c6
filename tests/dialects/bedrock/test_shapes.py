"""No field is invented: what Bedrock is sent, and what its fake answers, has places in Amazon's own model of the API.

`converse.json` has the names and kinds of every field of Converse and ConverseStream, out of botocore 1.44.8's model of
them (November 2026), without the model's id, which goes into the path. One of several words is
written with bars.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate.dialects.bedrock.ask import encode_chat
from kpgate.dialects.bedrock.framing import Messages
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
from kpgate.domain.dialect import Aim
from kpgate.domain.seals import ANTHROPIC
from tests.kit.turns import anything
from tests.kit.vendors import bedrock
from tests.kit.vendors.server import Asked

SHAPES: dict[str, Any] = json.loads((Path(__file__).parent / "converse.json").read_text())
KINDS = {"text": str, "bool": bool, "int": int, "float": (int, float)}
MODELS = (
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "global.anthropic.claude-opus-4-8",
    "us.amazon.nova-2-lite-v1:0",
    "meta.llama4-scout-17b-instruct-v1:0",
    "openai.gpt-oss-120b-1:0",
)
HELLO = Turn(Role.USER, [Text("hello")])
EVERYTHING = Chat(
    [
        Turn(Role.SYSTEM, [Text("Be kind.", cached=True, ttl="1h")]),
        Turn(
            Role.USER,
            [
                Image("image/png", "aGk="),
                File("application/pdf", "aGk=", name="a.pdf", cached=True),
                Audio("wav", "aGk="),
            ],
        ),
        Turn(
            Role.ASSISTANT,
            [
                Thinking("a", "c2VhbA==", "", ANTHROPIC),
                Thinking("", "", "AAEC", ANTHROPIC),
                ToolCall("c", "f", '{"a":1}'),
            ],
        ),
        Turn(Role.TOOL, [ToolResult("c", [Text("r"), Image("image/png", "aGk=")], failed=True, cached=True)]),
    ],
    tools=[Tool("f", "Does.", {"type": "object"}, True, cached=True)],
    tool_choice=ToolChoice(Choosing.NAMED, "f"),
    format=Format({"type": "object"}, "shape", "Which."),
    reasoning=Reasoning("xhigh"),
    top_k=4,
    temperature=1.0,
    top_p=1.0,
    stop=["x"],
)


def misfits(said: Any, shape: Any, at: str) -> Iterator[str]:
    """Where something is that has no place, or is of another kind."""
    if isinstance(shape, dict) and isinstance(said, dict):
        for name, value in said.items():
            if name in shape:
                yield from misfits(value, shape[name], f"{at}.{name}")
            else:
                yield f"{at}.{name}"
    elif isinstance(shape, list) and isinstance(said, list):
        for one in said:
            yield from misfits(one, shape[0], f"{at}[]")
    elif shape in KINDS:
        if not isinstance(said, KINDS[shape]):
            yield f"{at}: {said!r}"
    elif shape != "any" and (not isinstance(shape, str) or said not in shape.split("|")):
        yield f"{at}: {said!r}"


def sent(chat: Chat, model: str) -> Any:
    return json.loads(encode_chat(chat, Aim(model, cap=40_000, drops=True, dropped=[])))


@given(anything(), st.sampled_from(MODELS))
def test_any_chat_has_its_places(chat: Chat, model: str) -> None:
    chat.turns.append(HELLO)
    assert list(misfits(sent(chat, model), SHAPES["request"], "request")) == []


@pytest.mark.parametrize("model", MODELS)
def test_all_that_can_be_said_has_its_places(model: str) -> None:
    assert list(misfits(sent(EVERYTHING, model), SHAPES["request"], "request")) == []


@pytest.mark.parametrize("scenario", ["plain", "tools", "thinking", "schema", "length", "refusal", "broken"])
def test_the_fake_answers_as_amazon_does(scenario: str) -> None:
    body = {"messages": [{"role": "user"}]}

    def answered(method: str) -> bytes:
        asked = Asked(f"/model/{scenario}/{method}", {"authorization": "Bearer k"}, body)
        return b"".join(bedrock.answer(asked).pieces)

    assert list(misfits(json.loads(answered("converse")), SHAPES["reply"], "reply")) == []
    for name, payload in Messages().feed(answered("converse-stream")):
        spelled = name.decode().lstrip("!")
        said = json.loads(payload)
        said.pop("p", None)
        assert list(misfits(said, SHAPES["events"][spelled], spelled)) == []


def test_what_has_no_place_is_found() -> None:
    said = {"messages": [{"role": "tool", "content": [{"texts": "a", "text": 1}]}], "seed": 1}
    assert list(misfits(said, SHAPES["request"], "r")) == [
        "r.messages[].role: 'tool'",
        "r.messages[].content[].texts",
        "r.messages[].content[].text: 1",
        "r.seed",
    ]
