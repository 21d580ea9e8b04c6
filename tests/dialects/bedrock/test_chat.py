"""Chats as Converse is asked for them, and its whole replies."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate.dialects.bedrock.ask import encode_chat
from kpgate.dialects.bedrock.blocks import spell_id
from kpgate.dialects.bedrock.reply import decode_failure, decode_reply
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
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from kpgate.domain.dialect import Aim, Unspeakable
from kpgate.domain.reply import Choice, Failure, Finish, Reply
from kpgate.domain.seals import ANTHROPIC, GOOGLE
from kpgate.domain.usage import Usage
from tests.kit.turns import anything
from tests.kit.vendors import bedrock
from tests.kit.vendors.server import CACHED, CALLS, INPUT, OUTPUT, SIGNATURE, TEXT, THOUGHT, Asked

CLAUDE, NEWER, NOVA, OTHER = (
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "global.anthropic.claude-opus-4-8",
    "us.amazon.nova-2-lite-v1:0",
    "meta.llama4-scout-17b-instruct-v1:0",
)
HELLO = Turn(Role.USER, [Text("hello")])


def asked(*turns: Turn, model: str = OTHER, cap: int = 0, drops: bool = False, **more: Any) -> Any:
    aim = Aim(model, cap, drops=drops, dropped=[])
    found = json.loads(encode_chat(Chat([*turns] or [HELLO], **more), aim))
    found["dropped"] = aim.dropped
    return found


def test_a_plain_chat() -> None:
    assert asked(
        Turn(Role.SYSTEM, [Text("Be kind.")]), HELLO, temperature=0.5, top_p=0.9, stop=["x"], cap=9
    ) == {
        "system": [{"text": "Be kind."}],
        "messages": [{"role": "user", "content": [{"text": "hello"}]}],
        "inferenceConfig": {"maxTokens": 9, "temperature": 0.5, "topP": 0.9, "stopSequences": ["x"]},
        "dropped": [],
    }


def test_the_lower_cap_counts() -> None:
    assert asked(cap=9, output_cap=5)["inferenceConfig"] == {"maxTokens": 5}
    assert asked(cap=9, output_cap=50)["inferenceConfig"] == {"maxTokens": 9}
    assert "inferenceConfig" not in asked()


def test_turns_alternate_and_results_come_first() -> None:
    call = ToolCall("call_1", "f", '{"a":1}')
    found = asked(
        HELLO,
        Turn(Role.USER, [Text("  "), Text("more")]),
        Turn(Role.ASSISTANT, [Text("I call"), call]),
        Turn(Role.USER, [Text("meanwhile")]),
        Turn(Role.TOOL, [ToolResult("call_1", [Text("r")], failed=True, cached=True)]),
        Turn(Role.DEVELOPER, [Text("late")]),
        tools=[Tool("f")],
    )
    assert found["system"] == [{"text": "late"}]
    assert found["messages"] == [
        {"role": "user", "content": [{"text": "hello"}, {"text": "more"}]},
        {
            "role": "assistant",
            "content": [
                {"text": "I call"},
                {"toolUse": {"toolUseId": "call_1", "name": "f", "input": {"a": 1}}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "call_1", "content": [{"text": "r"}], "status": "error"}},
                {"cachePoint": {"type": "default"}},
                {"text": "meanwhile"},
            ],
        },
    ]


def test_media_go_as_data_and_are_never_fetched() -> None:
    parts: list[Any] = [
        Image("image/png", "aGk="),
        File("application/pdf", "aGk=", name="My report (v1.2).pdf"),
        File("text/plain", "aGk=", name="My//report (v1 2).txt"),
        Audio("wav", "aGk="),
    ]
    assert asked(Turn(Role.USER, parts))["messages"][0]["content"] == [
        {"image": {"format": "png", "source": {"bytes": "aGk="}}},
        {"document": {"format": "pdf", "name": "My report (v1 2)", "source": {"bytes": "aGk="}}},
        {"document": {"format": "txt", "name": "My report (v1 2) 2", "source": {"bytes": "aGk="}}},
        {"audio": {"format": "wav", "source": {"bytes": "aGk="}}},
    ]
    for part, name in (
        (Image(url="https://example.com/a.png"), "image.url"),
        (Image("image/png", url="s3://bucket/a.png"), "image.url"),
        (Image("image/tiff", "aGk="), "image"),
        (File(url="s3://bucket/a.pdf", media_type="application/pdf"), "file"),
        (File(id="file-1"), "file"),
        (Audio("nothing", "aGk="), "audio"),
    ):
        with pytest.raises(Unspeakable) as caught:
            asked(Turn(Role.USER, [part]))
        assert caught.value.name == name
        assert asked(Turn(Role.USER, [part, Text("a")]), drops=True)["dropped"] == [name]


def test_cache_points_with_their_time_to_live() -> None:
    found = asked(
        Turn(Role.SYSTEM, [Text("long", cached=True, ttl="1h")]),
        HELLO,
        tools=[Tool("f", cached=True), Tool("g")],
    )
    assert found["system"] == [{"text": "long"}, {"cachePoint": {"type": "default", "ttl": "1h"}}]
    assert [list(tool) for tool in found["toolConfig"]["tools"]] == [
        ["toolSpec"],
        ["cachePoint"],
        ["toolSpec"],
    ]


def test_sealed_thoughts_go_back_to_claude_and_no_others() -> None:
    thoughts = [
        Thinking("a", "c2VhbA==", "", ANTHROPIC),
        Thinking(redacted="AAEC", vendor=ANTHROPIC),
        Thinking("unsealed"),
        Thinking(redacted="~", vendor=ANTHROPIC),
        Thinking("c", "c2VhbA==", "", GOOGLE),
    ]
    turn = Turn(Role.ASSISTANT, [*thoughts, Text("b"), Refusal("no")])
    for model in (CLAUDE, "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/a1b2c3"):
        found = asked(HELLO, turn, HELLO, model=model)
        assert found["messages"][1]["content"] == [
            {"reasoningContent": {"reasoningText": {"text": "a", "signature": "c2VhbA=="}}},
            {"reasoningContent": {"redactedContent": "AAEC"}},
            {"text": "b"},
            {"text": "no"},
        ]
        assert found["dropped"] == ["thinking"]
    for model in (NOVA, OTHER):
        found = asked(HELLO, turn, HELLO, model=model)
        assert found["messages"][1]["content"] == [{"text": "b"}, {"text": "no"}]
        assert found["dropped"] == ["thinking"]


def test_a_mark_is_kept_as_long_as_was_asked_wherever_it_stands() -> None:
    """What is kept longer comes first, or Bedrock refuses it: tools, instructions, turns."""
    within = ToolResult("c", [Text("r", True, "1h"), Text("s")])
    found = asked(
        Turn(Role.SYSTEM, [Text("kind", True, "1h")]),
        Turn(Role.USER, [Image("image/png", "aGk=", "", "high", True, "1h"), Text("a")]),
        Turn(Role.ASSISTANT, [ToolCall("c", "f", "{}", "", True, "1h")]),
        Turn(Role.TOOL, [within, ToolResult("d", [], cached=True)]),
        tools=[Tool("f", cached=True, ttl="1h")],
    )
    long = {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert found["toolConfig"]["tools"][1] == found["system"][1] == long
    user, called, results = [message["content"] for message in found["messages"]]
    assert user[1] == called[1] == results[1] == long
    assert results[3] == {"cachePoint": {"type": "default"}}
    assert found["dropped"] == ["detail"]


def test_tools_and_which_is_to_be_called() -> None:
    tools = [Tool("f", "Does.", {"type": "object", "properties": {}}, True), Tool("g")]
    bare = {"json": {"type": "object", "properties": {}}}
    assert asked(tools=tools)["toolConfig"] == {
        "tools": [
            {"toolSpec": {"name": "f", "inputSchema": bare, "description": "Does.", "strict": True}},
            {"toolSpec": {"name": "g", "inputSchema": bare}},
        ]
    }
    for how, spelled in (
        (ToolChoice(Choosing.AUTO), {"auto": {}}),
        (ToolChoice(Choosing.REQUIRED), {"any": {}}),
        (ToolChoice(Choosing.NAMED, "g"), {"tool": {"name": "g"}}),
    ):
        assert asked(tools=tools, tool_choice=how)["toolConfig"]["toolChoice"] == spelled
    none = ToolChoice(Choosing.NONE)
    assert "toolConfig" not in asked(tools=tools, tool_choice=none)
    history = (HELLO, Turn(Role.ASSISTANT, [ToolCall("c", "f")]), Turn(Role.TOOL, [ToolResult("c", [])]))
    with pytest.raises(Unspeakable, match="tool_choice"):
        asked(*history, tools=tools, tool_choice=none)
    assert asked(*history, tools=tools, tool_choice=none, drops=True)["dropped"] == ["tool_choice"]
    with pytest.raises(Unspeakable, match="parallel_tools"):
        asked(tools=tools, parallel_tools=False)
    named = asked(tools=tools, tool_choice=ToolChoice(Choosing.NAMED, "g"), parallel_tools=False)
    assert named["dropped"] == ["parallel_tools"], "one call is what comes of it"


def test_a_schema_goes_as_text() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    shape = asked(format=Format(schema, "person", "Who."))["outputConfig"]["textFormat"]
    assert shape["type"] == "json_schema"
    found = shape["structure"]["jsonSchema"]
    assert json.loads(found.pop("schema")) == schema and found == {"name": "person", "description": "Who."}
    with pytest.raises(Unspeakable, match="format"):
        asked(format=Format())


def test_reasoning_as_each_family_takes_it() -> None:
    found = asked(model=CLAUDE, reasoning=Reasoning("medium"), output_cap=20_000)
    assert found["additionalModelRequestFields"] == {"thinking": {"type": "enabled", "budget_tokens": 8192}}
    uncapped = asked(model=CLAUDE, reasoning=Reasoning(budget=2000))
    assert uncapped["additionalModelRequestFields"]["thinking"]["budget_tokens"] == 2000
    assert uncapped["inferenceConfig"]["maxTokens"] == 2000 + 4096
    with pytest.raises(Unspeakable, match="reasoning"):
        asked(model=CLAUDE, reasoning=Reasoning("low"), output_cap=1000)
    assert "additionalModelRequestFields" not in asked(model=CLAUDE, reasoning=Reasoning("none"))
    newer = asked(model=NEWER, reasoning=Reasoning("minimal"))
    assert newer["additionalModelRequestFields"] == {"thinking": {"type": "adaptive"}}
    assert newer["outputConfig"] == {"effort": "low"}
    assert asked(model=NEWER, reasoning=Reasoning("xhigh"))["outputConfig"] == {"effort": "xhigh"}
    older = asked(model="anthropic.claude-opus-4-6-v1", reasoning=Reasoning("xhigh"))
    assert older["outputConfig"] == {"effort": "high"}
    nova = asked(model=NOVA, reasoning=Reasoning("high"))["additionalModelRequestFields"]
    assert nova == {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}
    gpt = asked(model="openai.gpt-oss-120b-1:0", reasoning=Reasoning("low"))
    assert gpt["additionalModelRequestFields"] == {"reasoning_effort": "low"}
    with pytest.raises(Unspeakable, match="reasoning"):
        asked(reasoning=Reasoning("low"))
    assert "additionalModelRequestFields" not in asked(reasoning=Reasoning("none"))


def test_top_k_as_each_family_takes_it() -> None:
    assert asked(model=CLAUDE, top_k=5)["additionalModelRequestFields"] == {"top_k": 5}
    assert asked(model=NOVA, top_k=5)["additionalModelRequestFields"] == {"inferenceConfig": {"topK": 5}}
    for model in (OTHER, NEWER):
        with pytest.raises(Unspeakable, match="top_k"):
            asked(model=model, top_k=5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 1.5),
        ("choices", 2),
        ("seed", 0),
        ("frequency_penalty", 0.5),
        ("presence_penalty", 0.5),
        ("logit_bias", {"1": 1.0}),
        ("logprobs", True),
        ("top_logprobs", 1),
        ("modalities", ["audio"]),
        ("voice", {"voice": "a"}),
        ("verbosity", "low"),
        ("stop", [" "]),
    ],
)
def test_what_converse_has_nothing_for_is_refused_by_name_or_dropped(name: str, value: Any) -> None:
    with pytest.raises(Unspeakable) as caught:
        asked(**{name: value})
    assert caught.value.name == name
    assert asked(drops=True, **{name: value})["dropped"] == [name]


def test_hints_are_left_out_and_named() -> None:
    assert asked(Turn(Role.USER, [Text("a")], "Ada"), user="u", metadata={"a": "b"})["dropped"] == [
        "name",
        "user",
        "metadata",
    ]


def test_a_chat_of_instructions_alone_and_arguments_that_are_none() -> None:
    with pytest.raises(Unspeakable, match="turns"):
        asked(Turn(Role.SYSTEM, [Text("a")]))
    with pytest.raises(Unspeakable, match="no JSON object"):
        asked(HELLO, Turn(Role.ASSISTANT, [ToolCall("c", "f", "[1]")]))


def test_ids_are_spelled_as_bedrock_takes_them() -> None:
    assert spell_id("call_1.a:b-c") == "call_1.a:b-c"
    assert spell_id("call|é") == "call__"
    long = "x" * 60 + "|12345"
    assert len(spell_id(long)) == 64 and spell_id(long) != spell_id(long + "6")


@given(anything(), st.sampled_from((CLAUDE, NEWER, NOVA, OTHER)))
def test_any_chat_is_as_converse_takes_it(chat: Chat, model: str) -> None:
    # A chat of nothing but pictures by their addresses would have nothing left to ask.
    chat.turns.append(HELLO)
    found = json.loads(encode_chat(chat, Aim(model, drops=True, dropped=[])))
    assert set(found) <= bedrock.FIELDS
    roles = [message["role"] for message in found["messages"]]
    assert all(one != other for one, other in pairwise(roles))
    blocks = [block for message in found["messages"] for block in message["content"]]
    calls = [block["toolUse"]["toolUseId"] for block in blocks if "toolUse" in block]
    results = [block["toolResult"]["toolUseId"] for block in blocks if "toolResult" in block]
    assert calls == results
    texts = {part.text for turn in chat.turns for part in turn.parts if isinstance(part, Text)}
    said = {block["text"] for block in blocks + found.get("system", []) if "text" in block}
    assert said == {text for text in texts if text.strip()}


def answered(scenario: str) -> Reply:
    body = {"messages": [{"role": "user"}]}
    given = bedrock.answer(Asked(f"/model/{scenario}/converse", {"authorization": "Bearer k"}, body))
    return decode_reply(b"".join(given.pieces))


def test_whole_replies() -> None:
    used = Usage(
        INPUT,
        OUTPUT,
        CACHED,
        source="provider",
        cache_write=bedrock.WRITTEN - bedrock.KEPT,
        cache_write_long=bedrock.KEPT,
    )
    assert answered("plain") == Reply("", "", [Choice([Text(TEXT)])], used)
    assert answered("thinking").choices[0].parts == [Thinking(THOUGHT, SIGNATURE, "", ANTHROPIC), Text(TEXT)]
    calls = answered("tools").choices[0]
    assert calls.finish is Finish.TOOL_CALLS
    assert [(c.id, c.name, json.loads(c.arguments)) for c in calls.parts if isinstance(c, ToolCall)] == [
        (f"tooluse_{at}Kz", name, given) for at, (name, given) in enumerate(CALLS)
    ]
    assert answered("length").choices[0].finish is Finish.LENGTH
    assert answered("refusal").choices[0].finish is Finish.FILTERED
    assert answered("silent").usage.source == "none"


def reply(content: list[Any], usage: Any = None, reason: str = "end_turn") -> Reply:
    body = {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": reason}
    return decode_reply(json.dumps(body | ({"usage": usage} if usage else {})).encode())


def test_what_is_cited_is_a_part_of_the_answer() -> None:
    cited = {
        "citationsContent": {"content": [{"text": "It is "}, {"text": "so."}], "citations": [{"title": "a"}]}
    }
    redacted = {"reasoningContent": {"redactedContent": "AAEC"}}
    server = {"toolUse": {"toolUseId": "t", "name": "n", "input": {}, "type": "server_tool_use"}}
    assert reply([redacted, server, cited, {"video": {}}]).choices[0].parts == [
        Thinking(redacted="AAEC", vendor=ANTHROPIC),
        Text("It is so."),
    ]


@pytest.mark.parametrize(
    ("said", "used"),
    [
        ((10, 5, 15, 0, 0), (10, 5, 0)),
        ((10, 5, 22, 4, 3), (17, 5, 4)),
        ((17, 5, 22, 4, 3), (17, 5, 4)),
        ((0, 0, 0, 0, 0), (0, 0, 0)),
        ((-1, 5, 4, 0, 0), (0, 0, 0)),
        ((1 << 50, 5, 4, 0, 0), (0, 0, 0)),
    ],
)
def test_usage_with_caches_beside_the_input_or_within_it(
    said: tuple[int, ...], used: tuple[int, ...]
) -> None:
    names = ("inputTokens", "outputTokens", "totalTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
    found = reply([{"text": "a"}], dict(zip(names, said, strict=True))).usage
    assert (found.input, found.output, found.cached) == used


@pytest.mark.parametrize(
    ("details", "written"),
    [
        (None, (8, 0)),
        ([], (8, 0)),
        ([{"ttl": "1h", "inputTokens": 3}, {"ttl": "5m", "inputTokens": 5}], (5, 3)),
        ([{"ttl": "1h", "inputTokens": 8}], (0, 8)),
        ([{"ttl": "1h", "inputTokens": 9}], (0, 8)),
        ([{"ttl": "1h", "inputTokens": -9}], (8, 0)),
        ([{"ttl": "1d", "inputTokens": 8}], (8, 0)),
    ],
)
def test_what_went_into_a_cache_is_told_apart_by_how_long_it_is_kept(
    details: Any, written: tuple[int, int]
) -> None:
    said: Any = {"inputTokens": 10, "outputTokens": 5, "totalTokens": 27, "cacheReadInputTokens": 4}
    said |= {"cacheWriteInputTokens": 8} | ({} if details is None else {"cacheDetails": details})
    found = reply([{"text": "a"}], said).usage
    assert (found.input, found.output, found.cached) == (22, 5, 4)
    assert (found.cache_write, found.cache_write_long) == written


CALLED = b'{"output":{"message":{"content":[{"toolUse":%b}]}},"stopReason":"tool_use"}'


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"{}",
        b'{"output":{"message":{"content":[]}}}',
        b'{"output":{"message":{"content":[{"text":1}]}},"stopReason":"end_turn"}',
        CALLED % b'{"name":"f","input":{}}',
        CALLED % b'{"toolUseId":"t","name":"f","input":"{oops"}',
        b'{"output":{"message":{"content":[]}},"stopReason":"malformed_model_output"}',
    ],
)
def test_what_is_no_reply(body: bytes) -> None:
    with pytest.raises(ValueError):
        decode_reply(body)


def test_failures() -> None:
    assert decode_failure(400, b'{"message":"bad"}') == Failure("bad")
    assert decode_failure(400, b'{"Message":"bad"}') == Failure("bad")
    assert decode_failure(500, b"<html>") == Failure("the provider answered 500")
