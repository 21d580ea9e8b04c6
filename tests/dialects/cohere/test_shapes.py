"""No field is invented: what Cohere is sent, and what its fake answers, has places in the types of Cohere's own client.

`chat.json` has the path of every field of a chat, of its reply and of each event of a stream, out of the types of
Cohere's client 7.3.1 and, for `message-start`, docs.cohere.com, API reference, "Chat with Streaming" (November 2026);
`*` stands for whatever somebody else puts there.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from kpgate.dialects.cohere.ask import encode_chat
from kpgate.domain.chat import (
    Chat,
    Choosing,
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
from kpgate.domain.events import Events
from tests.kit.turns import anything
from tests.kit.vendors import cohere
from tests.kit.vendors.server import Asked

SHAPES: dict[str, Any] = json.loads((Path(__file__).parent / "chat.json").read_text())
EVERYTHING = Chat(
    [
        Turn(Role.SYSTEM, [Text("Be kind.")]),
        Turn(Role.USER, [Text("What is it?"), Image("image/png", "aGk=", detail="low")]),
        Turn(Role.ASSISTANT, [Thinking("a"), Text("b")]),
        Turn(Role.ASSISTANT, [Thinking("a"), ToolCall("c", "f", '{"a":1}')]),
        Turn(Role.TOOL, [ToolResult("c", [Text("r")])]),
    ],
    tools=[Tool("f", "Does.", {"type": "object"}, True)],
    tool_choice=ToolChoice(Choosing.REQUIRED),
    format=Format({"type": "object"}, "shape"),
    reasoning=Reasoning("low"),
    output_cap=100,
    temperature=0.5,
    top_p=0.5,
    top_k=4,
    frequency_penalty=0.5,
    presence_penalty=0.5,
    seed=1,
    stop=["x"],
    logprobs=True,
)


def paths(said: Any, at: str = "") -> Iterator[str]:
    """Where something stands that is no list and no object, or is one with nothing in it."""
    if isinstance(said, dict) and said:
        for name, value in said.items():
            yield from paths(value, f"{at}.{name}" if at else name)
    elif isinstance(said, list):
        yield f"{at}[]"
        for one in said:
            yield from paths(one, f"{at}[]")
    else:
        yield at


def misfits(said: Any, known: list[str]) -> list[str]:
    """The paths that have no place."""
    open_ended = tuple(one.removesuffix("*") for one in known if one.endswith(".*"))
    return [
        path
        for path in paths(said)
        if not f"{path}.".startswith(open_ended or ("\0",))
        and not any(one == path or one.startswith((f"{path}.", f"{path}[")) for one in known)
    ]


def sent(chat: Chat) -> Any:
    return json.loads(encode_chat(chat, Aim("m", stream=False, drops=True, dropped=[])))


@given(anything())
def test_any_chat_has_its_places(chat: Chat) -> None:
    assert misfits(sent(chat), SHAPES["request"]) == []


def test_all_that_can_be_said_has_its_places() -> None:
    asked = sent(EVERYTHING)
    assert misfits(asked, SHAPES["request"]) == []
    unsaid = {"citation_options", "documents", "priority", "safety_mode"}
    assert {one.split(".")[0].split("[")[0] for one in SHAPES["request"]} - set(asked) == unsaid


@pytest.mark.parametrize("scenario", ["plain", "tools", "thinking", "schema", "length", "refusal", "broken"])
def test_the_fake_answers_as_cohere_does(scenario: str) -> None:
    def answered(**more: Any) -> bytes:
        body = {"model": scenario, "messages": []} | more
        return b"".join(cohere.answer(Asked("/v2/chat", {}, body)).pieces)

    assert misfits(json.loads(answered()), SHAPES["reply"]) == []
    for name, payload in Events().feed(answered(stream=True)):
        said = json.loads(payload)
        assert said.pop("type") == name.decode()
        assert misfits(said, SHAPES["events"][name.decode()]) == []


def test_what_has_no_place_is_found() -> None:
    said = {
        "messages": [{"name": "a", "content": [{"text": "a"}]}],
        "n": 1,
        "response_format": {"schema": {}},
    }
    assert misfits(said, SHAPES["request"]) == ["messages[].name", "n", "response_format.schema"]
    assert misfits({"response_format": {"json_schema": {"any": {"a": 1}}}}, SHAPES["request"]) == []
