"""From Gemini requests to the neutral form and back: nothing is lost, what cannot be carried is named."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate.dialects.bridge import Allowance, bridge
from kpgate.dialects.gemini.ask import encode_chat
from kpgate.dialects.gemini.endpoints import GENERATE
from kpgate.dialects.gemini.neutral import neutral
from kpgate.dialects.gemini.parts import UNSEALED, encode_parts
from kpgate.dialects.gemini.request import decode_generate, forward
from kpgate.dialects.openai import endpoints as openai
from kpgate.domain.chat import (
    Audio,
    Chat,
    Choosing,
    File,
    Image,
    Part,
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
from kpgate.domain.dialect import Aim, Heads, Unspeakable
from kpgate.domain.errors import InvalidRequest
from kpgate.domain.seals import ANTHROPIC, GOOGLE, OPENAI
from tests.kit.chats import REASONINGS, asking
from tests.kit.turns import DATA, anything, chats
from tests.kit.vendors.gemini_fields import check

OLDER, NEWER = "gemini-2.5-flash", "gemini-3.8-flash"
HELLO = [{"parts": [{"text": "hello"}], "role": "user"}]


def read(stream: bool = False, **body: Any) -> Chat:
    raw = json.dumps({"contents": HELLO} | body).encode()
    return neutral(raw, decode_generate(raw, 64, "m", stream))


def sent(chat: Chat, model: str = OLDER, **aim: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(encode_chat(chat, Aim(model, dropped=[], **aim)))
    return found


def ask(**more: Any) -> Chat:
    return Chat([Turn(Role.USER, [Text("hello")])], **more)


def lacking(chat: Chat, model: str = OLDER) -> str:
    with pytest.raises(Unspeakable) as caught:
        encode_chat(chat, Aim(model, dropped=[]))
    return caught.value.name


SAYS = ("top_k", "frequency_penalty", "presence_penalty", "seed", "logprobs", "top_logprobs", "choices")


@given(asking(chats(), *SAYS))
def test_a_chat_is_the_same_after_it_was_sent(chat: Chat) -> None:
    body = encode_chat(chat, Aim(OLDER, dropped=[]))
    assert neutral(body, decode_generate(body, 64, OLDER, chat.stream)) == chat


@given(anything(), st.sampled_from((OLDER, NEWER)))
def test_of_any_chat_only_what_google_has_is_sent(chat: Chat, model: str) -> None:
    body = sent(chat, model, drops=True)
    assert check(body, model, DATA) == ""


def test_the_request_of_the_documentation() -> None:
    """ai.google.dev, API reference, "Generating content", and guide "Function calling" (November 2026)."""
    chat = read(
        systemInstruction={"parts": [{"text": "You are a cat."}]},
        tools=[
            {
                "functionDeclarations": [
                    {
                        "name": "get_weather",
                        "description": "The weather.",
                        "parameters": {
                            "type": "OBJECT",
                            "properties": {
                                "city": {"type": "STRING", "nullable": True},
                                "days": {"type": "ARRAY", "items": {"type": "INTEGER"}, "minItems": "1"},
                                "unit": {"type": "STRING", "format": "enum", "enum": ["C", "F"]},
                            },
                            "required": ["city"],
                            "propertyOrdering": ["city", "days"],
                        },
                    }
                ]
            }
        ],
        toolConfig={"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["get_weather"]}},
        generationConfig={
            "stopSequences": ["Title"],
            "responseMimeType": "application/json",
            "responseSchema": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
            "candidateCount": 2,
            "maxOutputTokens": 800,
            "temperature": 1.0,
            "topP": 0.8,
            "topK": 10,
            "seed": 7,
            "presencePenalty": 0.5,
            "frequencyPenalty": 0.25,
            "responseLogprobs": True,
            "logprobs": 3,
            "thinkingConfig": {"thinkingBudget": 1024, "includeThoughts": True},
        },
    )
    assert chat.turns == [Turn(Role.SYSTEM, [Text("You are a cat.")]), Turn(Role.USER, [Text("hello")])]
    assert chat.tools == [
        Tool(
            "get_weather",
            "The weather.",
            {
                "type": "object",
                "properties": {
                    "city": {"type": ["string", "null"]},
                    "days": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
                    "unit": {"type": "string", "enum": ["C", "F"]},
                },
                "required": ["city"],
            },
        )
    ]
    assert chat.tool_choice == ToolChoice(Choosing.NAMED, "get_weather")
    assert chat.format is not None
    assert chat.format.schema == {"type": "object", "properties": {"a": {"type": "string"}}}
    assert (chat.stop, chat.choices, chat.output_cap, chat.seed) == (["Title"], 2, 800, 7)
    assert (chat.temperature, chat.top_p, chat.top_k) == (1.0, 0.8, 10)
    assert (chat.presence_penalty, chat.frequency_penalty) == (0.5, 0.25)
    assert (chat.logprobs, chat.top_logprobs) == (True, 3)
    assert chat.reasoning == Reasoning("", 1024, True)
    assert chat.unknown == []


def test_snake_case_and_single_objects_are_read_alike() -> None:
    """Google's own examples have both."""
    chat = read(
        system_instruction={"parts": {"text": "A cat."}},
        contents={
            "parts": [
                {"text": "what is it?"},
                {"inline_data": {"mime_type": "image/jpeg", "data": "aGVsbG8="}},
            ]
        },
        generation_config={"max_output_tokens": "800", "response_mime_type": "application/json"},
        tools={"function_declarations": {"name": "f", "parameters": {"properties": {"a_b": {"any_of": []}}}}},
        tool_config={"function_calling_config": {"mode": "NONE"}},
    )
    assert chat.turns[0] == Turn(Role.SYSTEM, [Text("A cat.")])
    assert chat.turns[1].parts == [Text("what is it?"), Image("image/jpeg", "aGVsbG8=")]
    assert chat.output_cap == 800
    assert chat.tools[0].parameters == {"properties": {"a_b": {"anyOf": []}}}, "own names stay as they are"
    assert chat.tool_choice == ToolChoice(Choosing.NONE)


def test_arguments_in_snake_case_stay_the_caller_s() -> None:
    args = {"max_tokens": 1, "nested_thing": {"a_b": [1, 2]}}
    chat = read(contents=[{"role": "model", "parts": [{"function_call": {"name": "f", "args": args}}]}])
    (call,) = chat.turns[0].parts
    assert isinstance(call, ToolCall) and json.loads(call.arguments) == args


def test_calls_without_ids_are_matched_by_name_and_order() -> None:
    one, two = {"name": "f", "args": {"n": 1}}, {"name": "f", "args": {"n": 2}}
    chat = read(
        contents=[
            {"role": "model", "parts": [{"functionCall": one}, {"functionCall": two}]},
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"name": "f", "response": {"output": "first"}}},
                    {"functionResponse": {"name": "f", "response": {"temp": 20}}},
                    {"text": "and now?"},
                ],
            },
        ]
    )
    first, second = chat.turns[0].parts
    assert isinstance(first, ToolCall) and isinstance(second, ToolCall) and first.id != second.id
    assert chat.turns[1:] == [
        Turn(
            Role.TOOL,
            [
                ToolResult(first.id, [Text("first")], "f"),
                ToolResult(second.id, [Text('{"temp": 20}')], "f"),
            ],
        ),
        Turn(Role.USER, [Text("and now?")]),
    ]


def test_ids_that_are_given_are_kept_in_whichever_order_results_come() -> None:
    chat = read(
        contents=[
            {
                "role": "model",
                "parts": [
                    {"functionCall": {"name": "f", "id": "a"}},
                    {"functionCall": {"name": "f", "id": "b", "args": {}}},
                ],
            },
            {
                "parts": [
                    {"functionResponse": {"name": "f", "id": "b", "response": {"error": "no"}}},
                    {"functionResponse": {"name": "f", "id": "a", "response": {}}},
                ]
            },
        ]
    )
    assert [part.id for part in chat.turns[0].parts if isinstance(part, ToolCall)] == ["a", "b"]
    assert chat.turns[1].parts == [
        ToolResult("b", [Text("no")], "f", failed=True),
        ToolResult("a", [Text("{}")], "f"),
    ]


def test_a_result_without_a_call_is_refused_where_it_stands() -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(contents=[{"parts": [{"functionResponse": {"name": "f", "response": {}}}]}])
    assert caught.value.param == "contents[0].parts[0]"


def test_media_by_their_types() -> None:
    chat = read(
        contents=[
            {
                "parts": [
                    {"inlineData": {"mimeType": "audio/mpeg", "data": "aGVsbG8="}},
                    {"inlineData": {"mimeType": "application/pdf", "data": "aGVsbG8="}},
                    {"fileData": {"mimeType": "image/png", "fileUri": "https://there.example/a.png"}},
                ]
            }
        ]
    )
    assert chat.turns[0].parts == [
        Audio("mp3", "aGVsbG8="),
        File("application/pdf", "aGVsbG8="),
        Image("image/png", url="https://there.example/a.png"),
    ]
    assert chat.unknown == []


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"cachedContent": "cachedContents/a"}, "cachedContent"),
        ({"safetySettings": [{"category": "C", "threshold": "BLOCK_LOW_AND_ABOVE"}]}, "safetySettings"),
        ({"tools": [{"googleSearch": {}}]}, "tools[0].googleSearch"),
        ({"toolConfig": {"retrievalConfig": {}}}, "toolConfig.retrievalConfig"),
        ({"generationConfig": {"mediaResolution": "X"}}, "generationConfig.mediaResolution"),
        ({"generationConfig": {"responseMimeType": "text/x.enum"}}, "generationConfig.responseMimeType"),
        (
            {"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f", "g"]}}},
            "toolConfig.functionCallingConfig.allowedFunctionNames",
        ),
        (
            {"contents": [{"parts": [{"executableCode": {"code": "1"}}]}]},
            "contents[0].parts[0].executableCode",
        ),
        (
            {"contents": [{"parts": [{"fileData": {"fileUri": "gs://bucket/a"}}]}]},
            "contents[0].parts[0].fileData",
        ),
    ],
)
def test_what_only_google_understands_is_named(body: dict[str, Any], name: str) -> None:
    assert read(**body).unknown == [name]


def test_filters_that_are_off_are_a_hint() -> None:
    off = [{"category": "HARM_CATEGORY_HATE_SPEECH", "threshold": "BLOCK_NONE"}]
    chat = read(safetySettings=off, labels={"a": "b"})
    assert chat.unknown == [] and set(chat.hints) == {"safetySettings", "labels"}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"generationConfig": {"temperature": "warm"}}, "generationConfig.temperature"),
        ({"generationConfig": {"topK": "nan"}}, "generationConfig.topK"),
        ({"generationConfig": {"thinkingConfig": 3}}, "generationConfig.thinkingConfig"),
        (
            {"toolConfig": {"functionCallingConfig": {"mode": "SOME"}}},
            "toolConfig.functionCallingConfig.mode",
        ),
        ({"contents": [{"role": "assistant", "parts": []}]}, "contents[0].role"),
        (
            {"contents": [{"role": "model", "parts": [{"functionCall": {"args": 3}}]}]},
            "contents[0].parts[0]",
        ),
        ({"systemInstruction": {"parts": [{"inlineData": {}}]}}, "systemInstruction"),
        (
            {"generationConfig": {"responseSchema": {}, "responseMimeType": "text/plain"}},
            "generationConfig.responseMimeType",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_place(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(**body)
    assert caught.value.param == param


def test_thoughts_and_seals_come_back_as_they_were() -> None:
    contents: list[dict[str, Any]] = [
        {
            "role": "model",
            "parts": [
                {"text": "Let", "thought": True},
                {"text": " me.", "thought": True, "thoughtSignature": "c2lnMQ=="},
                {"text": "Well.", "thoughtSignature": "c2lnMg=="},
                {"functionCall": {"name": "f", "args": {"a": 1}, "id": "x"}, "thoughtSignature": "c2lnMw=="},
            ],
        }
    ]
    chat = read(contents=contents)
    assert chat.turns[0].parts == [
        Thinking("Let me.", "c2lnMQ==", "", GOOGLE),
        Text("Well."),
        Thinking("", "c2lnMg==", "", GOOGLE),
        ToolCall("x", "f", '{"a": 1}', "c2lnMw=="),
    ]
    assert sent(chat)["contents"][0]["parts"] == [
        {"text": "Let me.", "thought": True, "thoughtSignature": "c2lnMQ=="},
        *contents[0]["parts"][2:],
    ]


def test_a_caller_keeps_another_vendor_s_seal_in_base64() -> None:
    thoughts = [Thinking("hm", "not-base64_", "", ANTHROPIC), Thinking("", "", "rs_1.gAAA", OPENAI)]
    pieces = json.loads(msgspec.json.encode(encode_parts(thoughts, {}, lambda name, why: None)))
    assert all(part["thoughtSignature"].startswith("a3BnYXRlO") for part in pieces)
    chat = read(contents=[{"role": "model", "parts": pieces}])
    assert chat.turns[0].parts == thoughts


def test_google_gets_no_other_vendor_s_seal_but_what_was_thought() -> None:
    thoughts: list[Part] = [
        Thinking("hm", "c2lnMQ==", "", ANTHROPIC),
        Thinking("", "", "c2lnMQ==", OPENAI),
        Thinking("ah", "c2lnMQ==", "", GOOGLE),
        ToolCall("a", "f"),
    ]
    aim = Aim(NEWER, dropped=[])
    chat = Chat([Turn(Role.ASSISTANT, thoughts), Turn(Role.USER, [Text("so?")])])
    parts = json.loads(encode_chat(chat, aim))["contents"][0]["parts"]
    assert parts[:2] == [
        {"text": "hm", "thought": True},
        {"text": "ah", "thought": True, "thoughtSignature": "c2lnMQ=="},
    ]
    assert parts[2]["thoughtSignature"] == UNSEALED
    assert aim.dropped == ["thinking"], "of what was redacted there is nothing to give"


@pytest.mark.parametrize("kept", ["skip_thought_signature_validator", "skip/thought/signature/validator"])
def test_what_stands_for_a_seal_is_none(kept: str) -> None:
    call = {"functionCall": {"name": "f", "id": "x"}, "thoughtSignature": kept}
    chat = read(contents=[{"role": "model", "parts": [call]}, *HELLO])
    assert chat.turns[0].parts == [ToolCall("x", "f")]
    assert "thoughtSignature" not in sent(chat, OLDER)["contents"][0]["parts"][0]


def forwarded(model: str, *contents: Any) -> tuple[list[Any], str]:
    raw = json.dumps({"contents": contents}).encode()
    call = decode_generate(raw, 64, "m")
    return json.loads(forward(raw, call, model))["contents"], call.dropped


def test_between_google_s_own_other_vendors_seals_are_left_out() -> None:
    carried = encode_parts(
        [Thinking("hm", "EqQB", "", ANTHROPIC), Thinking("", "", "x", ANTHROPIC), Text("a")],
        {},
        lambda *_: None,
    )
    sealed = json.loads(msgspec.json.encode(carried))
    call = {"functionCall": {"name": "f"}, "thoughtSignature": UNSEALED}
    asked = [*HELLO, {"role": "model", "parts": [*sealed, call]}]
    newer, said = forwarded(NEWER, *asked)
    assert newer[1]["parts"] == [{"text": "hm", "thought": True}, {"text": "a"}, call]
    assert said == "thoughtSignature"
    older, _ = forwarded(OLDER, *asked)
    assert older[1]["parts"][-1] == {"functionCall": {"name": "f"}}, "older models know no excuse"
    own = [*HELLO, {"role": "model", "parts": [{"text": "kpgate:", "thoughtSignature": "c2lnMQ=="}, call]}]
    assert forwarded(NEWER, *own) == (own, "")


def test_base64_for_urls_becomes_the_common_one() -> None:
    blob = {"mimeType": "image/png", "data": "_-8"}
    call = {"functionCall": {"name": "f"}, "thoughtSignature": "_-8="}
    chat = read(contents=[{"parts": [{"inlineData": blob}]}, {"role": "model", "parts": [call]}])
    assert chat.turns[0].parts == [Image("image/png", "/+8=")]
    assert chat.turns[1].parts == [ToolCall("call_1_0", "f", signature="/+8=")]


def test_a_foreign_call_is_excused_to_models_that_want_a_seal() -> None:
    calls = [ToolCall("a", "f"), ToolCall("b", "f")]
    chat = Chat([Turn(Role.ASSISTANT, list(calls)), Turn(Role.TOOL, [ToolResult("a", [Text("1")])])])
    parts = sent(chat, NEWER)["contents"][0]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == [UNSEALED, None]
    assert "thoughtSignature" not in sent(chat, OLDER)["contents"][0]["parts"][0]
    assert sent(chat)["contents"][1]["parts"][0]["functionResponse"]["name"] == "f", "found by its call's id"


def test_results_of_parallel_calls_are_one_turn_and_instructions_stand_in_front() -> None:
    chat = Chat(
        [
            Turn(Role.SYSTEM, [Text("one")]),
            Turn(Role.USER, [Text("hello")]),
            Turn(Role.DEVELOPER, [Text("two")]),
            Turn(Role.ASSISTANT, [ToolCall("a", "f"), ToolCall("b", "g")]),
            Turn(Role.TOOL, [ToolResult("a", [Text("1")])]),
            Turn(Role.TOOL, [ToolResult("b", [Text("2"), Image("image/png", "aGVsbG8=")])]),
        ]
    )
    body = sent(chat)
    assert body["systemInstruction"] == {"parts": [{"text": "one"}, {"text": "two"}]}
    assert [content["role"] for content in body["contents"]] == ["user", "model", "user"]
    first, second = body["contents"][2]["parts"]
    assert first["functionResponse"] == {"name": "f", "response": {"output": "1"}, "id": "a"}
    assert second["functionResponse"]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "aGVsbG8="}}
    ]


@pytest.mark.parametrize(
    ("effort", "older", "newer"),
    [
        ("none", {"thinkingBudget": 0}, {"thinkingLevel": "LOW"}),
        ("minimal", {"thinkingBudget": 1024}, {"thinkingLevel": "LOW"}),
        ("low", {"thinkingBudget": 1024}, {"thinkingLevel": "LOW"}),
        ("high", {"thinkingBudget": 24576}, {"thinkingLevel": "HIGH"}),
        ("xhigh", {"thinkingBudget": 24576}, {"thinkingLevel": "HIGH"}),
        ("max", {"thinkingBudget": 24576}, {"thinkingLevel": "HIGH"}),
    ],
)
def test_an_effort_is_a_budget_or_a_level(effort: str, older: Any, newer: Any) -> None:
    chat = ask(reasoning=Reasoning(effort, shown=True))
    shown = {"includeThoughts": True}
    assert sent(chat, OLDER)["generationConfig"]["thinkingConfig"] == older | shown
    assert sent(chat, NEWER)["generationConfig"]["thinkingConfig"] == newer | shown


@pytest.mark.parametrize(
    ("model", "reasoning", "config"),
    [
        (OLDER, Reasoning("low", -1), {"thinkingBudget": 1024}),
        (OLDER, Reasoning("", -1), {"thinkingBudget": -1}),
        (OLDER, Reasoning("", 31_999), {"thinkingBudget": 24_576}),
        (OLDER, Reasoning("low", 5000), {"thinkingBudget": 5000}),
        ("gemini-2.5-flash-lite", Reasoning("", 100), {"thinkingBudget": 512}),
        ("gemini-2.5-pro", Reasoning("xhigh"), {"thinkingBudget": 32_768}),
        ("gemini-3-pro-preview", Reasoning("medium"), {"thinkingLevel": "HIGH"}),
        ("gemini-3-flash-preview", Reasoning("none", 0), {"thinkingLevel": "MINIMAL"}),
        ("gemini-3.1-flash-image", Reasoning("low"), {"thinkingLevel": "HIGH"}),
        (NEWER, Reasoning("low", -1), {"thinkingLevel": "LOW"}),
        (NEWER, Reasoning("", -1, True), {"includeThoughts": True}),
        (NEWER, Reasoning("", 2000), {"thinkingLevel": "MEDIUM"}),
        (NEWER, Reasoning("", 31_999), {"thinkingLevel": "HIGH"}),
    ],
)
def test_thinking_is_asked_for_as_the_model_takes_it(model: str, reasoning: Reasoning, config: Any) -> None:
    assert sent(ask(reasoning=reasoning), model)["generationConfig"]["thinkingConfig"] == config


@pytest.mark.parametrize(("model", "least"), [("gemini-2.5-pro", 128), (NEWER, "LOW")])
def test_a_model_that_always_thinks_thinks_as_little_as_it_can_and_that_is_said(
    model: str, least: Any
) -> None:
    aim = Aim(model, dropped=[])
    config = json.loads(encode_chat(ask(reasoning=Reasoning("none", 0)), aim))["generationConfig"]
    assert list(config["thinkingConfig"].values()) == [least] and aim.dropped == ["reasoning"]


def test_a_model_that_does_not_think_is_not_asked_to() -> None:
    assert lacking(ask(reasoning=Reasoning("low")), "gemini-2.0-flash") == "reasoning"
    assert "generationConfig" not in sent(ask(reasoning=Reasoning("none", 0)), "gemini-2.0-flash")
    assert lacking(ask(reasoning=Reasoning("banana")), NEWER) == "reasoning"


@given(REASONINGS, st.sampled_from((OLDER, NEWER, "gemini-2.5-pro", "gemini-2.5-flash-lite", "gemini-3-pro")))
def test_whatever_is_asked_google_takes_it(reasoning: Reasoning, model: str) -> None:
    assert not check(sent(ask(reasoning=reasoning), model), model)


def test_the_lower_cap_is_sent() -> None:
    assert sent(ask(output_cap=100), cap=50)["generationConfig"] == {"maxOutputTokens": 50}
    assert sent(ask(output_cap=20), cap=50)["generationConfig"] == {"maxOutputTokens": 20}
    assert sent(ask(), cap=50)["generationConfig"] == {"maxOutputTokens": 50}
    assert "generationConfig" not in sent(ask())


@pytest.mark.parametrize(
    ("chat", "name"),
    [
        (ask(logit_bias={"1": 1.0}), "logit_bias"),
        (ask(verbosity="low"), "verbosity"),
        (ask(modalities=["text", "audio"]), "modalities"),
        (ask(tools=[Tool("f")], parallel_tools=False), "parallel_tools"),
        (Chat([Turn(Role.USER, [Audio(id="a")])]), "audio.id"),
        (Chat([Turn(Role.USER, [File(id="file-1")])]), "file.id"),
        (Chat([Turn(Role.SYSTEM, [Text("alone")])]), "turns"),
        (Chat([Turn(Role.ASSISTANT, [ToolCall("a", "f", "[1")])]), "turns"),
        (Chat([Turn(Role.TOOL, [ToolResult("a", [Text("1")])])]), "turns"),
    ],
)
def test_what_gemini_has_nothing_for_is_refused_by_name(chat: Chat, name: str) -> None:
    assert lacking(chat) == name


@pytest.mark.parametrize("how", [Choosing.NAMED, Choosing.REQUIRED, Choosing.NONE])
def test_one_call_is_what_comes_of_one_tool_that_must_be_called(how: Choosing) -> None:
    aim = Aim(OLDER, dropped=[])
    encode_chat(ask(tools=[Tool("f")], tool_choice=ToolChoice(how, "f"), parallel_tools=False), aim)
    assert aim.dropped == ["parallel_tools"]
    several = ask(
        tools=[Tool("f"), Tool("g")], tool_choice=ToolChoice(Choosing.REQUIRED), parallel_tools=False
    )
    assert lacking(several) == "parallel_tools"


def test_hints_are_left_out_and_said() -> None:
    aim = Aim(OLDER, dropped=[])
    parts: list[Part] = [Text("hello", cached=True), Image("image/png", "aGVsbG8=", detail="low")]
    chat = Chat([Turn(Role.USER, parts, "ada")], tools=[Tool("f", strict=True)], user="ada")
    encode_chat(chat, aim)
    assert set(aim.dropped) == {"cached", "detail", "name", "strict", "user"}


def test_what_may_be_left_out_is_named_as_the_caller_does() -> None:
    way = bridge(GENERATE, openai.TONGUE, Heads(b"", b""), Allowance(drops=True))
    assert way is not None
    body = json.dumps({"contents": HELLO, "cachedContent": "a", "labels": {"a": "b"}}).encode()
    call = decode_generate(body, 64, "m")
    assert "messages" in json.loads(way.forward(body, call, "up", 0))
    assert call.dropped == "cachedContent,labels"
    strict = bridge(GENERATE, openai.TONGUE, Heads(b"", b""), Allowance())
    assert strict is not None
    with pytest.raises(InvalidRequest) as caught:
        strict.forward(body, call, "up", 0)
    assert caught.value.param == "cachedContent"
