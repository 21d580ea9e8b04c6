"""Responses requests: read strictly, counted, forwarded, and put into the neutral form and out of it."""

import dataclasses
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpgate.dialects.responses import ask, count, neutral, request
from kpgate.domain.chat import (
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
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from kpgate.domain.dialect import Aim, Unspeakable
from kpgate.domain.errors import InvalidRequest
from kpgate.domain.seals import ANTHROPIC, GOOGLE, OPENAI
from tests.kit.chats import CHATS


class Letters:
    """Counts characters."""

    def count(self, text: str) -> int:
        return len(text)


def body_of(**more: Any) -> bytes:
    return msgspec.json.encode({"model": "m", "input": "hi", **more})


def asked(**more: Any) -> Chat:
    raw = body_of(**more)
    return neutral.neutral(raw, request.decode_response(raw, 64))


def sent(chat: Chat, aim: Aim | None = None) -> dict[str, Any]:
    said: dict[str, Any] = msgspec.json.decode(ask.encode_chat(chat, aim or Aim("up")))
    return said


@settings(max_examples=200, deadline=None)
@given(CHATS.map(lambda chat: dataclasses.replace(chat, stop=[])))
def test_what_is_encoded_is_read_the_same(chat: Chat) -> None:
    body = ask.encode_chat(chat, Aim("up"))
    assert neutral.neutral(body, request.decode_response(body, 64)) == chat


def test_every_field_has_its_place() -> None:
    chat = asked(
        instructions="be kind",
        input=[
            {"role": "developer", "content": "be brief"},
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "see"},
                    {"type": "input_image", "image_url": "data:image/png;base64,QQ==", "detail": "low"},
                    {"type": "input_image", "image_url": "https://e.com/a.png", "detail": "auto"},
                    {
                        "type": "input_file",
                        "file_data": "data:application/pdf;base64,QQ==",
                        "filename": "a.pdf",
                    },
                    {"type": "input_file", "file_url": "https://e.com/a.pdf"},
                ],
            },
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "hm"}],
                "encrypted_content": "seal",
            },
            {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "hidden"},
            {
                "type": "reasoning",
                "id": "rs_3",
                "summary": [],
                "encrypted_content": "kpgate:redacted:google:x",
            },
            {"type": "reasoning", "id": "rs_4", "summary": []},
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [
                    {"type": "output_text", "text": "one", "annotations": []},
                    {"type": "refusal", "refusal": "no"},
                ],
            },
            {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": '{"a":1}'},
            {"type": "function_call", "call_id": "c2", "name": "g", "arguments": ""},
            {"type": "function_call_output", "call_id": "c1", "output": "42"},
            {
                "type": "function_call_output",
                "call_id": "c2",
                "output": [{"type": "input_image", "image_url": "https://e.com/b.png", "detail": "high"}],
            },
        ],
        tools=[
            {
                "type": "function",
                "name": "f",
                "description": "d",
                "parameters": {"type": "object"},
                "strict": True,
            }
        ],
        tool_choice={"type": "function", "name": "f"},
        text={
            "format": {"type": "json_schema", "name": "s", "schema": {"type": "object"}},
            "verbosity": "low",
        },
        reasoning={"effort": "high", "summary": "auto"},
        include=["reasoning.encrypted_content", "message.output_text.logprobs"],
        top_logprobs=3,
        max_output_tokens=50,
        temperature=0.5,
        top_p=0.9,
        parallel_tool_calls=False,
        user="u",
        metadata={"a": "b"},
        store=True,
        truncation="disabled",
        background=False,
        previous_response_id=None,
        prompt_cache_key="k",
        moderation={"model": "x"},
    )
    system, developer, user, assistant, one, two = chat.turns
    assert (system.role, system.parts) == (Role.SYSTEM, [Text("be kind")])
    assert (developer.role, developer.parts) == (Role.DEVELOPER, [Text("be brief")])
    assert user.parts == [
        Text("see"),
        Image("image/png", "QQ==", "", "low"),
        Image("", "", "https://e.com/a.png"),
        File("application/pdf", "QQ==", "", "", "a.pdf"),
        File("", "", "https://e.com/a.pdf"),
    ]
    assert assistant.parts == [
        Thinking("hm", "seal", "", OPENAI),
        Thinking(signature="hidden", vendor=OPENAI),
        Thinking(redacted="x", vendor=GOOGLE),
        Text("one"),
        Refusal("no"),
        ToolCall("c1", "f", '{"a":1}'),
        ToolCall("c2", "g", "{}"),
    ]
    assert one.parts == [ToolResult("c1", [Text("42")])]
    assert two.parts == [ToolResult("c2", [Image(url="https://e.com/b.png", detail="high")])]
    assert chat.tools == [Tool("f", "d", {"type": "object"}, True)]
    assert chat.tool_choice == ToolChoice(Choosing.NAMED, "f")
    assert chat.format == Format({"type": "object"}, "s") and chat.verbosity == "low"
    assert chat.reasoning == Reasoning("high", None, True)
    assert (chat.logprobs, chat.top_logprobs, chat.output_cap) == (True, 3, 50)
    assert (chat.temperature, chat.top_p, chat.parallel_tools) == (0.5, 0.9, False)
    assert (chat.user, chat.metadata) == ("u", {"a": "b"})
    assert chat.hints == {"store": True, "prompt_cache_key": "k"} and chat.unknown == ["moderation"]


def test_what_was_allowed_is_all_there_is() -> None:
    tools = [{"type": "function", "name": name, "parameters": None, "strict": False} for name in "fgh"]
    allowed = [{"type": "function", "name": "g"}]
    chat = asked(tools=tools, tool_choice={"type": "allowed_tools", "mode": "required", "tools": allowed})
    assert chat.tools == [Tool("g")] and chat.tool_choice == ToolChoice(Choosing.REQUIRED)


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"reasoning": {"effort": "banana"}}, "reasoning.effort"),
        ({"input": [{"type": "custom_tool_call", "input": "x"}]}, "input[0]"),
        ({"tool_choice": "perhaps"}, "tool_choice"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0]"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input[0].content[0]",
        ),
        ({"input": [{"role": "user", "content": [{"type": "video"}]}]}, "input[0].content[0]"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": 5}]}, "input[0].output"),
        ({"input": [{"type": "function_call", "name": "f"}]}, "input[0]"),
        ({"text": {"format": {"type": "xml"}}}, "text.format"),
        ({"temperature": "hot"}, "temperature"),
        ({"input": None}, "input"),
    ],
)
def test_what_only_a_provider_can_do_or_nobody_understands_is_refused_by_name(
    more: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        asked(**more)
    assert caught.value.param == param and caught.value.message.startswith(param)


def test_what_a_provider_s_own_machinery_does_is_named() -> None:
    """Refused by these names, or left out and said where the operator lets it be."""
    function = {"type": "function", "name": "shell", "parameters": {"type": "object"}, "strict": False}
    chat = asked(
        tools=[
            function,
            {"type": "custom", "name": "apply_patch", "format": {"type": "grammar", "syntax": "lark"}},
            {"type": "web_search", "external_web_access": False},
            {"type": "web_search"},
        ],
        tool_choice={"type": "custom", "name": "apply_patch"},
        input=[
            {"role": "user", "content": "go"},
            {"type": "web_search_call", "id": "ws_1", "status": "completed"},
            {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": "*** Begin"},
            {"type": "custom_tool_call_output", "call_id": "c1", "output": "done"},
        ],
    )
    assert chat.unknown == ["tools.custom", "tools.web_search", "tool_choice.custom", "input.web_search_call"]
    assert [tool.name for tool in chat.tools] == ["shell"] and chat.tool_choice is None
    assert [turn.parts for turn in chat.turns] == [
        [Text("go")],
        [ToolCall("c1", "apply_patch", '{"input":"*** Begin"}')],
        [ToolResult("c1", [Text("done")])],
    ]
    nothing = asked(tools=[{"type": "web_search"}], tool_choice="required")
    assert nothing.tools == [] and nothing.tool_choice is None, "there is nothing left to choose from"


def test_what_changes_no_answer_is_named_wherever_it_stands() -> None:
    chat = asked(
        input=[
            {"role": "assistant", "phase": "commentary", "content": "hm"},
            {"role": "user", "content": "go"},
        ],
        tools=[{"type": "function", "name": "f", "parameters": None, "strict": None, "defer_loading": True}],
        reasoning={"effort": "max", "context": "all_turns"},
        top_logprobs=3,
    )
    assert set(chat.hints) == {"input.phase", "tools.defer_loading", "reasoning.context", "top_logprobs"}
    assert chat.logprobs is None and chat.top_logprobs is None
    assert chat.reasoning == Reasoning("xhigh") and chat.unknown == []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"model":"m","input":"x","model":"n"}', "model"),
        (b'{"model":"m","input":"x","max_output_tokens":-1}', "max_output_tokens"),
        (b'{"model":"m","input":"x","background":true}', "background"),
        (b'{"input":"x"}', "model"),
        (b'{"model":"m","input":[{"role":"user","content":5}]}', "input[0].content"),
        (b'{"model":"m","input":', None),
    ],
)
def test_a_body_is_read_strictly(body: bytes, param: str | None) -> None:
    with pytest.raises(InvalidRequest) as caught:
        request.decode_response(body, 64)
    assert caught.value.param == param


def test_a_provider_gets_the_caller_s_bytes() -> None:
    raw = b'{ "model":"m", "input":"x", "max_output_tokens" : 90, "new_field": {"a":[1,2]} }'
    call = request.decode_response(raw, 64)
    assert (call.output_cap, call.stream, call.usage_wanted) == (90, False, True)
    assert request.forward(raw, call, "m") is raw
    assert request.forward(raw, call, "m", 100) is raw
    assert request.forward(raw, call, "up", 7) == raw.replace(b'"m"', b'"up"').replace(b"90", b"7")
    bare = b'{"model":"m","input":"x"}'
    call = request.decode_response(bare, 64)
    assert msgspec.json.decode(request.forward(bare, call, "m", 7))["max_output_tokens"] == 7


def test_all_that_is_said_counts() -> None:
    def counted(**more: Any) -> int:
        raw = body_of(**more)
        return count.count_response(request.decode_response(raw, 64), Letters(), "gpt-4o")

    plain = counted(input="x" * 50)
    assert plain == counted(input=[{"role": "user", "content": "x" * 50}])
    assert counted(input="x" * 50, instructions="y" * 30) >= plain + 30
    more: list[dict[str, Any]] = [
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "z" * 40},
        {"type": "function_call_output", "call_id": "c", "output": "z" * 40},
        {
            "type": "function_call_output",
            "call_id": "c",
            "output": [{"type": "input_text", "text": "z" * 40}],
        },
        {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "z" * 40}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "z" * 40}]},
        {"role": "user", "content": [{"type": "input_image", "image_url": "https://e.com/a.png"}]},
        {"type": "computer_call_output", "call_id": "c", "output": [{"image_url": "https://e.com/a.png"}]},
    ]
    for item in more:
        assert counted(input=[{"role": "user", "content": "x" * 50}, item]) >= plain + 40, item
    assert counted(tools=[{"type": "function", "name": "f", "description": "d" * 40}]) >= counted() + 40


def test_nothing_is_left_with_a_provider_and_what_it_has_no_field_for_is_named() -> None:
    turns = [Turn(Role.USER, [Text("x")])]
    assert sent(Chat(turns))["store"] is False
    for name, value in (
        ("stop", ["x"]),
        ("seed", 1),
        ("top_k", 5),
        ("presence_penalty", 0.5),
        ("logit_bias", {"1": 2.0}),
        ("choices", 2),
        ("modalities", ["audio"]),
    ):
        chat = dataclasses.replace(Chat(turns), **{name: value})
        with pytest.raises(Unspeakable) as caught:
            sent(chat)
        assert caught.value.name == name
        aim = Aim("up", drops=True, dropped=[])
        sent(chat, aim)
        assert aim.dropped == [name]
    assert sent(Chat(turns, presence_penalty=0.0))["input"]
    assert sent(Chat(turns, output_cap=50), Aim("up", cap=20))["max_output_tokens"] == 20
    hinted = Chat(turns, hints={"prompt_cache_key": "k", "service_tier": "auto"})
    aim = Aim("up", dropped=["prompt_cache_key", "service_tier"])
    assert sent(hinted, aim)["prompt_cache_key"] == "k" and aim.dropped == ["service_tier"]


def test_a_seal_goes_back_with_its_item_and_others_are_left_out() -> None:
    own = Thinking("hm", "rs_7.gAAA.b", "", OPENAI)
    foreign = Thinking("hm", "rs_7.EqQBCkYI", "", ANTHROPIC)
    chat = Chat([Turn(Role.USER, [Text("x")]), Turn(Role.ASSISTANT, [own, foreign, Text("y")])])
    aim = Aim("up", dropped=[])
    items = sent(chat, aim)["input"]
    assert items[1] == {
        "type": "reasoning",
        "id": "rs_7",
        "summary": [{"type": "summary_text", "text": "hm"}],
        "encrypted_content": "gAAA.b",
    }
    assert [item["type"] for item in items] == ["message", "reasoning", "message"]
    assert aim.dropped == ["thinking"]


@given(st.text('ab{}[]",:\\ 1null', max_size=40))
def test_any_body_is_read_or_refused(text: str) -> None:
    body = b'{"model":"m","input":' + text.encode() + b"}"
    try:
        neutral.neutral(body, request.decode_response(body, 64))
    except InvalidRequest:
        pass
