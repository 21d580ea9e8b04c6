"""Anthropic messages: what is read of requests, what is sent on, what crosses to other dialects and back."""

import dataclasses
import json
from base64 import b64encode
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpgate._fast.tokens import Vocabulary
from kpgate.dialects.anthropic import ask, count, neutral, reply, request, usage
from kpgate.domain.call import Call
from kpgate.domain.chat import (
    Audio,
    Chat,
    Choosing,
    File,
    Format,
    Image,
    Reasoning,
    Refusal,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from kpgate.domain.claude import takes
from kpgate.domain.dialect import Aim, Unspeakable
from kpgate.domain.errors import InvalidRequest, Overloaded, UpstreamFailed
from kpgate.domain.reply import Choice, Failure, Finish, Reply
from kpgate.domain.seals import ANTHROPIC
from kpgate.domain.usage import NOTHING, Usage
from kpgate.stores.vocabulary import open_vocabulary
from tests.kit.chats import ARGUMENTS, CHATS, NAMES, WORDS

HELLO: dict[str, Any] = {"model": "m", "max_tokens": 64, "messages": [{"role": "user", "content": "hello"}]}
USER = [Turn(Role.USER, [Text("hello")])]


def encoded(**more: Any) -> bytes:
    return json.dumps({name: one for name, one in (HELLO | more).items() if one is not ...}).encode()


def decoded(**more: Any) -> Call:
    return request.decode_messages(encoded(**more), 64)


def refusal(body: bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        neutral.neutral(body, request.decode_messages(body, 64))
    return caught.value


def chat_of(**more: Any) -> Chat:
    body = encoded(**more)
    return neutral.neutral(body, request.decode_messages(body, 64))


def asked(chat: Chat, model: str = "up", **aim: Any) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(ask.encode_chat(chat, Aim(model, **{"dropped": [], **aim})))
    return said


def test_a_request_says_its_model_cap_and_stream() -> None:
    call = decoded(stream=True)
    assert (call.model, call.output_cap, call.stream, call.choices) == ("m", 64, True, 1)
    assert decoded(max_tokens=...).output_cap == 0
    assert decoded(max_tokens=0).output_cap == 0


@pytest.mark.parametrize(
    ("body", "message", "param"),
    [
        (b"{", "body: ended too early (at byte 1)", None),
        (b'{"model":"m"}', "messages: this field is required", "messages"),
        (encoded(messages=[]), "messages: expected at least one message", "messages"),
        (
            encoded(messages=[{"role": "user", "content": 7}]),
            "messages[0].content: expected a string or a list, got an integer",
            "messages[0].content",
        ),
        (encoded(max_tokens=-1), "max_tokens: expected an integer from 0 to 2147483648", "max_tokens"),
        (encoded(max_tokens="64"), "max_tokens: expected an integer, got a string", "max_tokens"),
        (encoded(system=5), "system: expected a string or a list, got an integer", "system"),
    ],
)
def test_what_is_wrong_is_named(body: bytes, message: str, param: str | None) -> None:
    found = refusal(body)
    assert found.message.startswith(message) and found.param == param


@pytest.mark.parametrize(
    "key", ["model", "messages", "system", "max_tokens", "stream", "tools", "tool_choice", "thinking"]
)
def test_a_key_that_stands_there_twice_is_refused(key: str) -> None:
    value = json.dumps((HELLO | {"system": "s", "stream": True, "tools": []}).get(key))
    body = encoded(**{key: json.loads(value)})[:-1] + f', "{key}": {value}}}'.encode()
    assert refusal(body).param == key


def test_a_body_is_forwarded_with_the_model_and_the_cap_only() -> None:
    body = encoded(new_field={"a": [1]}, messages=[{"role": "user", "content": [{"type": "novel", "x": 1}]}])
    call = request.decode_messages(body, 64)
    assert request.forward(body, call, "m") is body
    sent = request.forward(body, call, "up", 10)
    assert json.loads(sent) == json.loads(body) | {"model": "up", "max_tokens": 10}
    assert request.forward(body, call, "m", 64) is body, "a cap that is no less changes nothing"
    bare = encoded(max_tokens=...)
    assert request.forward(bare, request.decode_messages(bare, 64), "m") is bare, "the provider's to refuse"
    assert json.loads(request.forward(bare, request.decode_messages(bare, 64), "m", 7))["max_tokens"] == 7


def test_a_budget_that_does_not_fit_under_the_cap_is_refused_by_name() -> None:
    body = encoded(max_tokens=9000, thinking={"type": "enabled", "budget_tokens": 5000})
    call = request.decode_messages(body, 64)
    assert json.loads(request.forward(body, call, "m", 6000))["max_tokens"] == 6000
    with pytest.raises(InvalidRequest) as caught:
        request.forward(body, call, "m", 4096)
    assert caught.value.param == "thinking.budget_tokens"


# Of what crosses to Anthropic and back nothing is lost: without what its API has no field for.
SPEAKABLE = CHATS.filter(lambda chat: chat.format is None or chat.format.schema is not None)


def settled(chat: Chat) -> Chat:
    """A chat as Anthropic has it: alternating turns, choices with tools only, the defaults spelled out."""
    turns: list[Turn] = []
    for turn in chat.turns:
        if turns and turns[-1].role is turn.role:
            turns[-1] = Turn(turn.role, turns[-1].parts + turn.parts)
        else:
            turns.append(turn)
    choice = chat.tool_choice
    single = chat.parallel_tools is False
    if single and choice is None and chat.tools:
        choice = ToolChoice(Choosing.AUTO)
    if not chat.tools:
        choice, single = None, False
    if choice is not None and choice.how is Choosing.NONE:
        single = False
    shape = None if chat.format is None else Format(chat.format.schema, "output")
    tools = [dataclasses.replace(tool, parameters=_typed(tool.parameters)) for tool in chat.tools]
    reasoning = chat.reasoning and Reasoning(chat.reasoning.effort, -1)
    return dataclasses.replace(
        chat,
        turns=turns,
        tool_choice=choice,
        parallel_tools=False if single else None,
        format=shape,
        tools=tools,
        output_cap=chat.output_cap or 4096,
        stop=[stop for stop in chat.stop if stop.strip()],
        reasoning=reasoning,
    )


def _typed(schema: dict[str, Any] | None) -> dict[str, Any]:
    return {"type": "object"} | (schema or {"properties": {}})


@settings(max_examples=300, deadline=None)
@given(SPEAKABLE)
def test_what_is_encoded_is_read_the_same(chat: Chat) -> None:
    body = ask.encode_chat(chat, Aim("up", drops=True, dropped=[]))
    assert neutral.neutral(body, request.decode_messages(body, 64)) == settled(chat)
    roles = [message["role"] for message in json.loads(body)["messages"]]
    assert all(one != other for one, other in pairwise(roles)), "they alternate"


PNG = b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x03\xe8\0\0\x01\xf4").decode()
# Source: platform.claude.com, "Messages", "Vision", "PDF support", "Prompt caching", "Handle tool calls", "Thinking"
# (checked November 2026).
EVERYTHING: dict[str, Any] = {
    "system": [{"type": "text", "text": "be kind", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "see"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                {"type": "image", "source": {"type": "url", "url": "https://e.com/a.png"}},
                {
                    "type": "document",
                    "title": "a.pdf",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": "QQ=="},
                    "cache_control": {"type": "ephemeral"},
                },
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}},
                {"type": "document", "source": {"type": "url", "url": "https://e.com/a.pdf"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "sig"},
                {"type": "redacted_thinking", "data": "enc"},
                {"type": "text", "text": "I look"},
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": [1.5]}},
                {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [
                        {"type": "text", "text": "42"},
                        {"type": "image", "source": {"type": "url", "url": "https://e.com/b.png"}},
                    ],
                },
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_2",
                    "is_error": True,
                    "content": [{"type": "text", "text": "no"}],
                },
                {"type": "text", "text": "go on"},
            ],
        },
    ],
    "tools": [
        {
            "name": "f",
            "description": "F.",
            "input_schema": {"type": "object", "properties": {"a": {"type": "array"}}},
            "cache_control": {"type": "ephemeral"},
            "strict": True,
        }
    ],
    "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
    "stop_sequences": ["END"],
    "temperature": 0.5,
    "top_k": 5,
    "metadata": {"user_id": "u"},
    "thinking": {"type": "adaptive", "display": "summarized"},
    "output_config": {
        "effort": "low",
        "format": {"type": "json_schema", "schema": {"type": "object", "properties": {}}},
    },
}


def test_every_documented_field_has_its_place_and_comes_back() -> None:
    chat = chat_of(**EVERYTHING)
    assert (chat.unknown, chat.hints) == ([], {})
    system, user, assistant, results, more = chat.turns
    assert system == Turn(Role.SYSTEM, [Text("be kind", True, "1h")])
    assert user.parts == [
        Text("see"),
        Image("image/png", PNG),
        Image(url="https://e.com/a.png"),
        File("application/pdf", "QQ==", name="a.pdf", cached=True),
        File("text/plain", b64encode(b"plain").decode()),
        File(url="https://e.com/a.pdf"),
    ]
    assert assistant.parts == [
        Thinking("hm", "sig", "", ANTHROPIC),
        Thinking("", "", "enc", ANTHROPIC),
        Text("I look"),
        ToolCall("toolu_1", "f", '{"a": [1.5]}'),
        ToolCall("toolu_2", "g", "{}"),
    ]
    assert (results.role, more) == (Role.TOOL, Turn(Role.USER, [Text("go on")]))
    assert results.parts == [
        ToolResult("toolu_1", [Text("42"), Image(url="https://e.com/b.png")]),
        ToolResult("toolu_2", [Text("no")], failed=True),
    ]
    assert chat.reasoning == Reasoning("low", -1, True)
    assert chat.tool_choice == ToolChoice(Choosing.NAMED, "f") and chat.parallel_tools is False
    assert (chat.stop, chat.temperature, chat.top_k, chat.user) == (["END"], 0.5, 5, "u")
    assert asked(chat) == HELLO | EVERYTHING | {"model": "up"}


def test_shorthands_and_what_is_no_turn_of_its_own_are_understood() -> None:
    chat = chat_of(
        system="s",
        messages=[
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x"}]},
            {"role": "system", "content": "now speak French"},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]},
        ],
        output_format={"type": "json_schema", "schema": {}},
        thinking={"type": "disabled"},
        tool_choice={"type": "any"},
        metadata={},
    )
    assert [turn.role for turn in chat.turns] == [Role.SYSTEM, Role.TOOL, Role.SYSTEM, Role.TOOL]
    assert chat.turns[1].parts == [ToolResult("t", [Text("x")])]
    assert chat.turns[3].parts == [ToolResult("t", [])]
    assert chat.format == Format({}, "output") and chat.reasoning == Reasoning("none", 0)
    assert chat.tool_choice == ToolChoice(Choosing.REQUIRED)


def test_what_the_neutral_form_cannot_carry_is_named() -> None:
    chat = chat_of(
        container="c",
        mcp_servers=[],
        service_tier="auto",
        context_management={"edits": []},
        top_p=None,
        tools=[
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
            {"name": "f", "input_schema": {"type": "object"}, "defer_loading": True},
        ],
        messages=[
            {
                "role": "user",
                "content": [
                    {
                        "type": "document",
                        "source": {"type": "file", "file_id": "f"},
                        "citations": {"enabled": True},
                    },
                    {"type": "image", "source": {"type": "file", "file_id": "f"}},
                    {"type": "search_result", "source": "s", "title": "t", "content": []},
                ],
            },
            {
                "role": "assistant",
                "content": [{"type": "server_tool_use", "id": "s", "name": "w", "input": {}}],
            },
        ],
    )
    assert set(chat.unknown) == {
        "container",
        "mcp_servers",
        "tools.web_search_20250305",
        "document.citations",
        "document.source.file",
        "image.source.file",
        "search_result",
        "server_tool_use",
    }
    assert set(chat.hints) == {"service_tier", "context_management", "tools.defer_loading"}
    assert [tool.name for tool in chat.tools] == ["f"]


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages[0].content[0].source"),
        (
            {
                "messages": [
                    {
                        "role": "assistant",
                        "content": [{"type": "tool_use", "id": "a", "name": "b", "input": 1}],
                    }
                ]
            },
            "messages[0].content[0].input",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": [5]}]}
                ]
            },
            "messages[0].content[0].content",
        ),
        ({"tool_choice": {"type": "tool"}}, "tool_choice"),
        ({"tool_choice": {"type": "perhaps"}}, "tool_choice"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "wild"}}, "thinking.type"),
        ({"temperature": "hot"}, "temperature"),
        ({"tools": [{"name": "f", "input_schema": 5}]}, "tools.input_schema"),
    ],
)
def test_what_cannot_be_understood_is_refused_by_name(more: dict[str, Any], param: str) -> None:
    assert refusal(encoded(**more)).param == param


def test_turns_alternate_and_results_come_first() -> None:
    chat = Chat(
        [
            Turn(Role.SYSTEM, [Text("a")]),
            Turn(Role.DEVELOPER, [Text("b")]),
            Turn(Role.USER, [Text("x")], "ann"),
            Turn(Role.USER, [Text("y"), Text("")]),
            Turn(
                Role.ASSISTANT,
                [Thinking("unsealed"), ToolCall("c|1", "f", ""), ToolCall("c2", "g", '{"a":1}')],
            ),
            Turn(Role.USER, [Text("wait")]),
            Turn(Role.TOOL, [ToolResult("c|1", [Text("1")])]),
            Turn(Role.TOOL, [ToolResult("c2", [], failed=True)]),
            Turn(Role.ASSISTANT, [Text("")]),
            Turn(Role.DEVELOPER, [Text("late")]),
        ]
    )
    aim = Aim("claude-opus-4-5", dropped=[])
    sent = json.loads(ask.encode_chat(chat, aim))
    assert [block["text"] for block in sent["system"]] == ["a", "b", "late"]
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "user"]
    assert [block["text"] for block in sent["messages"][0]["content"]] == ["x", "y"]
    assert sent["messages"][1]["content"][0] == {"type": "tool_use", "id": "c_1", "name": "f", "input": {}}
    assert [block["type"] for block in sent["messages"][2]["content"]] == [
        "tool_result",
        "tool_result",
        "text",
    ]
    assert sent["messages"][2]["content"][0]["tool_use_id"] == "c_1"
    assert aim.dropped == ["name", "thinking"]


def test_an_instruction_stays_at_its_place_where_the_model_takes_it_there() -> None:
    chat = Chat([*USER, Turn(Role.DEVELOPER, [Text("late")]), Turn(Role.ASSISTANT, [Text("yes")]), *USER])
    assert [one["role"] for one in asked(chat, "claude-opus-5")["messages"]][:3] == [
        "user",
        "system",
        "assistant",
    ]
    assert asked(chat, "claude-sonnet-4-5")["system"] == [{"type": "text", "text": "late"}]
    misplaced = Chat([*USER, Turn(Role.ASSISTANT, [Text("yes")]), Turn(Role.SYSTEM, [Text("late")]), *USER])
    assert asked(misplaced, "claude-opus-5")["system"] == [{"type": "text", "text": "late"}]


def test_the_cap_is_what_is_held_else_asked_for_else_the_default() -> None:
    assert asked(Chat(USER))["max_tokens"] == 4096
    assert asked(Chat(USER, output_cap=50))["max_tokens"] == 50
    assert asked(Chat(USER, output_cap=50), cap=20)["max_tokens"] == 20
    assert asked(Chat(USER), output_default=7)["max_tokens"] == 7
    assert asked(Chat(USER), stream=True)["stream"] is True


@pytest.mark.parametrize(
    ("model", "reasoning", "thinking", "effort"),
    [
        ("claude-opus-5", Reasoning("minimal"), {"type": "adaptive"}, "low"),
        ("claude-opus-5", Reasoning("xhigh"), {"type": "adaptive"}, "xhigh"),
        ("claude-opus-4-6", Reasoning("xhigh"), {"type": "adaptive"}, "high"),
        ("claude-opus-5", Reasoning("", 9000, True), {"type": "adaptive", "display": "summarized"}, "high"),
        ("claude-opus-5", Reasoning("", -1), {"type": "adaptive"}, None),
        ("claude-opus-5", Reasoning("none"), {"type": "disabled"}, None),
        ("claude-sonnet-5-5", Reasoning("none"), {"type": "between_tools"}, None),
        ("claude-haiku-4-5-20251001", Reasoning("none"), {"type": "disabled"}, None),
        ("claude-haiku-4-5-20251001", Reasoning("low"), {"type": "enabled", "budget_tokens": 2048}, None),
        ("claude-3-7-sonnet-20250219", Reasoning("high"), {"type": "enabled", "budget_tokens": 10_000}, None),
        ("claude-sonnet-4-20250514", Reasoning("", 5000), {"type": "enabled", "budget_tokens": 5000}, None),
        ("my-own", Reasoning("high"), {"type": "adaptive"}, "high"),
    ],
)
def test_an_effort_is_spelled_as_the_model_takes_it(
    model: str, reasoning: Reasoning, thinking: dict[str, Any], effort: str | None
) -> None:
    sent = asked(Chat(USER, reasoning=reasoning, output_cap=20_000), model)
    assert (sent["thinking"], sent.get("output_config", {}).get("effort")) == (thinking, effort)


def test_a_budget_is_less_than_the_cap_and_needs_a_thought_before_calls() -> None:
    with pytest.raises(Unspeakable, match="reasoning"):
        asked(Chat(USER, reasoning=Reasoning("low"), output_cap=1000), "claude-opus-4-5")
    with pytest.raises(Unspeakable, match="reasoning"):
        asked(Chat(USER, reasoning=Reasoning("none")), "claude-opus-5-5")
    calls = [
        *USER,
        Turn(Role.ASSISTANT, [ToolCall("a", "f")]),
        Turn(Role.TOOL, [ToolResult("a", [Text("1")])]),
    ]
    aim = Aim("claude-opus-4-5", dropped=[])
    assert b"thinking" not in ask.encode_chat(Chat(calls, reasoning=Reasoning("low")), aim)
    assert aim.dropped == ["reasoning"]
    calls[1].parts.insert(0, Thinking("hm", "sig", "", ANTHROPIC))
    assert b"budget_tokens" in ask.encode_chat(Chat(calls, reasoning=Reasoning("low")), aim)


@pytest.mark.parametrize(
    ("field", "value", "model"),
    [
        ("choices", 2, "up"),
        ("seed", 0, "up"),
        ("frequency_penalty", 0.5, "up"),
        ("presence_penalty", -1.0, "up"),
        ("logit_bias", {"1": 5.0}, "up"),
        ("logprobs", True, "up"),
        ("top_logprobs", 3, "up"),
        ("modalities", ["text", "audio"], "up"),
        ("voice", {"voice": "alloy"}, "up"),
        ("verbosity", "low", "up"),
        ("temperature", 1.5, "up"),
        ("temperature", 0.5, "claude-opus-4-7"),
        ("top_p", 0.5, "claude-sonnet-5"),
        ("top_k", 5, "claude-fable-5"),
        ("stop", ["\n"], "up"),
        ("format", Format(), "up"),
    ],
)
def test_what_has_no_field_is_refused_by_name_or_dropped_where_that_is_allowed(
    field: str, value: Any, model: str
) -> None:
    chat = Chat(USER, **{field: value})
    with pytest.raises(Unspeakable) as caught:
        asked(chat, model)
    assert caught.value.name == field
    aim = Aim(model, drops=True, dropped=[])
    ask.encode_chat(chat, aim)
    assert aim.dropped == [field]


def test_what_is_the_default_anyway_is_no_matter() -> None:
    chat = Chat(
        USER,
        temperature=1.0,
        top_p=1.0,
        frequency_penalty=0.0,
        verbosity="medium",
        modalities=["text"],
        logprobs=False,
    )
    assert set(asked(chat, "claude-opus-5")) == {"model", "max_tokens", "messages"}
    assert asked(chat)["temperature"] == 1.0


@pytest.mark.parametrize(
    ("turns", "name"),
    [
        ([Turn(Role.USER, [Audio("wav", "QQ==")])], "audio"),
        ([Turn(Role.USER, [Image("image/tiff", "QQ==")])], "image"),
        ([Turn(Role.USER, [File(id="file-1")])], "file"),
        ([Turn(Role.USER, [File("application/zip", "QQ==")])], "file"),
        ([Turn(Role.ASSISTANT, [Image(url="https://e.com")])], "image"),
        ([*USER, Turn(Role.ASSISTANT, [ToolCall("a", "f", "[1]")])], "turns"),
        ([Turn(Role.SYSTEM, [Text("alone")])], "turns"),
        ([Turn(Role.USER, [File("text/plain", "!")])], "file"),
    ],
)
def test_parts_without_a_place_are_refused_by_name(turns: list[Turn], name: str) -> None:
    with pytest.raises(Unspeakable) as caught:
        asked(Chat(turns))
    assert caught.value.name == name


def test_versions_are_read_out_of_names() -> None:
    assert takes("us.anthropic.claude-3-5-sonnet-20241022-v2:0").budget
    assert takes("claude-opus-4-20250514").budget and takes("claude-opus-4.5").budget
    assert not takes("anthropic/claude-opus-4-6").budget and takes("claude-opus-4-6").sampling
    assert not takes("claude-haiku-5-5").sampling and takes("claude-haiku-5-5").system_turns
    assert takes("claude-mythos-5").unthinking == "" and takes("anything").sampling


# Replies.

# Source: platform.claude.com, "Messages", basic request and response (checked November 2026).
MESSAGE = {
    "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
    "type": "message",
    "role": "assistant",
    "content": [{"type": "text", "text": "Hello!"}],
    "model": "claude-opus-5",
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 12, "output_tokens": 6},
}


def test_the_documented_reply_is_read() -> None:
    found = reply.decode_reply(json.dumps(MESSAGE).encode())
    used = Usage(12, 6, source="provider")
    assert found == Reply(MESSAGE["id"], "claude-opus-5", [Choice([Text("Hello!")])], used)


PARTS = st.lists(
    WORDS.map(Text)
    | st.builds(Thinking, WORDS, NAMES, st.just(""), st.just(ANTHROPIC))
    | st.builds(lambda data: Thinking("", "", data, ANTHROPIC), NAMES)
    | st.builds(ToolCall, NAMES, NAMES, ARGUMENTS),
    max_size=4,
)


@settings(max_examples=300, deadline=None)
@given(PARTS, st.sampled_from(sorted(set(Finish) - {Finish.FILTERED})), NAMES, st.data())
def test_a_reply_is_read_as_it_was_encoded(
    parts: list[Any], finish: Finish, word: str, data: st.DataObject
) -> None:
    if finish is Finish.REFUSED and data.draw(st.booleans()):
        parts = [*parts, Refusal(word)]
    choice = Choice(parts, finish, word if finish is Finish.STOP_SEQUENCE else "")
    input = data.draw(st.integers(1, 99))
    used = Usage(input, data.draw(st.integers(0, 99)), data.draw(st.integers(0, input)), 0, "provider")
    told = Reply(word, "m", [choice], data.draw(st.sampled_from([used, NOTHING])))
    showing = decoded(thinking={"type": "adaptive"})
    assert reply.decode_reply(reply.encode_reply(told, showing)) == told


def test_thoughts_go_to_who_asked_for_them() -> None:
    told = Reply("i", "m", [Choice([Thinking("hm"), Thinking("so", "sig"), Text("x")])])
    blocks = json.loads(reply.encode_reply(told, decoded()))["content"]
    assert blocks == [{"type": "thinking", "thinking": "", "signature": "sig"}, {"type": "text", "text": "x"}]


@pytest.mark.parametrize("arguments", ["[1]", "{", "no", '"x"'])
def test_arguments_that_are_no_object_are_the_provider_s_fault(arguments: str) -> None:
    told = Reply("i", "m", [Choice([ToolCall("a", "f", arguments)])])
    with pytest.raises(UpstreamFailed, match="not a JSON object"):
        reply.encode_reply(told, decoded())
    assert json.loads(reply.encode_reply(Reply("i", "m", [Choice([ToolCall("a", "f", "")])]), decoded()))


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b'{"type":"message","content":[',
        b'{"type":"message","content":"x"}',
        b'{"type":"completion","content":[]}',
        b"{}",
        b'{"type":"message","content":[{"type":"tool_use","id":"a","name":"f"}]}',
        b'{"type":"message","content":[{"type":"tool_use","id":"a","name":"f","input":[1]}]}',
        b'{"type":"message","content":[{"text":5}]}',
    ],
)
def test_what_is_no_reply_is_an_error(body: bytes) -> None:
    with pytest.raises(ValueError):
        reply.decode_reply(body)
    assert reply.decode_text(body) in ("", "[1]")


def test_caches_are_a_part_of_the_prompt() -> None:
    said = {
        "input_tokens": 10,
        "cache_creation_input_tokens": 4,
        "cache_read_input_tokens": 6,
        "output_tokens": 5,
        "output_tokens_details": {"thinking_tokens": 2},
    }
    body = json.dumps(MESSAGE | {"usage": said}).encode()
    assert usage.read_usage(body) == Usage(20, 5, 6, 2, "provider", cache_write=4)
    for parts, kept in (({"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 3}, 3), ({}, 0)):
        body = json.dumps(MESSAGE | {"usage": said | {"cache_creation": parts}}).encode()
        found = usage.read_usage(body)
        assert found == Usage(20, 5, 6, 2, "provider", cache_write=4 - kept, cache_write_long=kept)
        assert json.loads(json.dumps(usage.encode_usage(found))).items() >= said.items()
    for hour, kept in ((50, 4), (-1, 0)):
        odd = said | {"cache_creation": {"ephemeral_1h_input_tokens": hour}}
        found = usage.read_usage(json.dumps(MESSAGE | {"usage": odd}).encode())
        assert found is not None and (found.cache_write_long, found.written) == (kept, 4)
    for wrong in ({"input_tokens": -1}, {"input_tokens": "x"}, {"output_tokens": 1 << 50}, None, {}):
        assert usage.read_usage(json.dumps(MESSAGE | {"usage": wrong}).encode()) is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (405, "invalid_request_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_errors_have_anthropic_s_words(status: int, kind: str) -> None:
    told = json.loads(reply.encode_failure(status, Failure("why")))
    assert told == {"type": "error", "error": {"type": kind, "message": "why"}, "request_id": None}


def test_errors_carry_the_request_s_id() -> None:
    error = Overloaded("too much")
    told = {"type": "error", "error": {"type": "overloaded_error", "message": "too much"}, "request_id": "r1"}
    assert json.loads(reply.encode_error(error, "r1")) == told
    event = reply.encode_error_event(error, "r1")
    assert event.startswith(b"event: error\ndata: {") and event.endswith(b"\n\n")


def test_failures_are_read() -> None:
    body = b'{"type":"error","error":{"type":"not_found_error","message":"model: x"},"request_id":"req_1"}'
    assert reply.decode_failure(404, body) == Failure("model: x", "not_found_error")
    assert reply.decode_failure(502, b"<html>") == Failure("the provider answered 502")


# Counting.


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    return open_vocabulary("o200k_base", tmp_path_factory.mktemp("cache"))


def counted(vocabulary: Vocabulary, **more: Any) -> int:
    return count.count_messages(decoded(**more), vocabulary, "m")


def test_every_part_of_a_prompt_counts(vocabulary: Vocabulary) -> None:
    hello = counted(vocabulary)
    assert hello == count.PER_CALL + count.PER_TURN + 1
    assert counted(vocabulary, system="hello") == hello + count.PER_TURN + 1
    blocks = [{"type": "text", "text": "hello"}]
    assert counted(vocabulary, messages=[{"role": "user", "content": blocks}]) == hello
    tools = [{"name": "f", "input_schema": {"type": "object"}}]
    assert counted(vocabulary, tools=tools) > hello + count.TOOLS_INIT
    assert counted(vocabulary, tools=[{"type": "web_search_20250305", "name": "w"}]) > hello + 700
    assert counted(vocabulary, **EVERYTHING) > hello + 2 * count.PICTURE_MOST


def test_pictures_count_by_their_size() -> None:
    assert count.picture_tokens(PNG) == -(-1000 * 500 // 750)
    assert count.picture_tokens("") == count.picture_tokens("nonsense") == count.PICTURE_MOST


BLOCKS = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "image", "document", "tool_use", "tool_result", "thinking", "novel"])},
    optional={
        "text": WORDS,
        "content": WORDS
        | st.lists(st.dictionaries(NAMES, WORDS | st.none()), max_size=2)
        | st.dictionaries(NAMES, WORDS),
        "source": st.fixed_dictionaries(
            {"type": st.sampled_from(["base64", "url", "text", "file"])},
            optional={"data": WORDS, "url": WORDS},
        ),
        "name": NAMES,
        "id": NAMES,
        "tool_use_id": NAMES,
        "input": st.dictionaries(NAMES, WORDS),
        "thinking": WORDS,
        "data": WORDS,
        "cache_control": st.just({"type": "ephemeral"}),
    },
)


@settings(max_examples=300, deadline=None)
@given(st.lists(BLOCKS, max_size=4), st.sampled_from(["user", "assistant", "system"]))
def test_any_blocks_are_counted_forwarded_and_read_or_refused(
    blocks: list[dict[str, Any]], role: str
) -> None:
    body = encoded(messages=[{"role": role, "content": blocks}])
    call = request.decode_messages(body, 64)
    assert count.count_messages(call, Letters(), "m") > 0
    assert request.forward(body, call, "m") is body
    try:
        chat = neutral.neutral(body, call)
        ask.encode_chat(chat, Aim("m", drops=True, dropped=[]))
    except (InvalidRequest, Unspeakable):
        return


class Letters:
    """Counts every character as a token."""

    def count(self, text: str) -> int:
        return len(text)
