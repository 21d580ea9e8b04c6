"""Google's own client to providers that speak OpenAI's API, and OpenAI's own client to one that speaks Gemini's."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic as anthropic_client
import openai
import pytest
from google import genai
from google.genai import errors, types

from tests.kit.gateway_process import TRANSPORTS
from tests.kit.provider import answer, completion, events, page, stream
from tests.kit.vendors import anthropic, gemini
from tests.kit.vendors.server import (
    CACHED,
    CALLS,
    INPUT,
    OBJECT,
    OUTPUT,
    PIECES,
    REASONING,
    SCENARIOS,
    SIGNATURE,
    TEXT,
    THOUGHT,
    VendorServer,
)
from tests.kit.whole import Whole

HELLO = "Hello there friend"
ASK: list[Any] = [{"role": "user", "content": HELLO}]


@pytest.fixture(scope="module")
def google() -> Iterator[VendorServer]:
    with VendorServer(gemini.answer) as server:
        yield server


@pytest.fixture(scope="module")
def claude() -> Iterator[VendorServer]:
    with VendorServer(anthropic.answer) as server:
        yield server


@pytest.fixture(scope="module", params=TRANSPORTS)
def gate(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    google: VendorServer,
    claude: VendorServer,
) -> Iterator[Whole]:
    models = "".join(
        f'[[models]]\nname = "{name}"\ndeployments = [{{provider = "g", model = "{name}"}}]\n'
        for name in (*SCENARIOS, "blocked", "bad-key", "cut", "malformed", "gemini-3-flash")
    )
    settings = (
        f'[[providers]]\nname = "g"\ndialect = "gemini"\nbase_url = "{google.url}/v1beta"\n'
        f'api_key = "env:KPGATE_TEST_UPSTREAM"\n[retries]\nmax = 0\n{models}'
        f'[[providers]]\nname = "a"\ndialect = "anthropic"\nbase_url = "{claude.url}/v1"\n'
    )
    for name in ("plain", "tools", "thinking", "schema"):
        settings += (
            f'[[models]]\nname = "claude-{name}"\ndeployments = [{{provider = "a", model = "{name}"}}]\n'
        )
    with Whole(tmp_path_factory.mktemp("across"), settings, transport=request.param) as gate:
        yield gate


@pytest.fixture(scope="module")
def client(gate: Whole) -> Iterator[genai.Client]:
    options = types.HttpOptions(base_url=f"http://127.0.0.1:{gate.port}")
    with genai.Client(api_key=gate.key(), http_options=options) as client:
        yield client


@pytest.fixture(scope="module")
def other(gate: Whole) -> Iterator[openai.OpenAI]:
    base = f"http://127.0.0.1:{gate.port}/v1"
    with openai.OpenAI(base_url=base, api_key=gate.key(), max_retries=0) as client:
        yield client


# Google's client, OpenAI's API behind it.


def test_a_whole_reply_and_a_stream(client: genai.Client, gate: Whole) -> None:
    reply = client.models.generate_content(
        model="m",
        contents=HELLO,
        config=types.GenerateContentConfig(
            system_instruction="Be kind.", temperature=0.5, stop_sequences=["x"]
        ),
    )
    assert reply.text == "Hello there." and reply.model_version is not None
    assert reply.usage_metadata is not None and reply.usage_metadata.total_token_count == 12
    sent = gate.provider.requests[-1].json()
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    assert (sent["model"], sent["temperature"], sent["stop"]) == ("up", 0.5, ["x"])
    chunks = list(client.models.generate_content_stream(model="m", contents=HELLO))
    assert "".join(chunk.text or "" for chunk in chunks) == "Hellothere."
    assert len(chunks) > 2, "event by event"
    last = chunks[-1]
    assert last.candidates is not None and last.candidates[0].finish_reason is types.FinishReason.STOP
    assert last.usage_metadata is not None and last.usage_metadata.total_token_count == 12


def test_echo_answers_whole_and_streamed(client: genai.Client) -> None:
    assert client.models.generate_content(model="echo", contents=HELLO).text == HELLO
    chunks = list(client.models.generate_content_stream(model="echo", contents=HELLO))
    assert "".join(chunk.text or "" for chunk in chunks) == HELLO and len(chunks) == 4
    chat = client.chats.create(model="echo")
    assert [chat.send_message(text).text for text in ("one", "two")] == ["one", "two"]


def called(index: int, id: str, name: str, arguments: str) -> dict[str, Any]:
    return {
        "index": index,
        "id": id,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_in_parallel_and_their_results(client: genai.Client, gate: Whole, streamed: bool) -> None:
    calls = [called(0, "call_a", "f", '{"x":1}'), called(1, "call_b", "g", "")]
    if streamed:
        begun = [called(0, "call_a", "f", ""), called(1, "call_b", "g", "")]
        bits: list[Any] = [
            begun[:1],
            [{"index": 0, "function": {"arguments": '{"x"'}}],
            [{"index": 0, "id": None, "function": {"arguments": ":1}"}}],
            begun[1:],
        ]
        deltas: list[Any] = [
            {"choices": [{"index": 0, "delta": {"tool_calls": bit}, "finish_reason": None}]} for bit in bits
        ]
        deltas.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
        sent = [
            b"data: " + json.dumps({"id": "c", "model": "up"} | delta).encode() + b"\n\n" for delta in deltas
        ]
        gate.script(stream([*sent, b"data: [DONE]\n\n"]))
    else:
        told = completion("")
        told["choices"][0] |= {
            "message": {"role": "assistant", "content": None, "tool_calls": calls},
            "finish_reason": "tool_calls",
        }
        gate.script(answer(told))
    declared = types.FunctionDeclaration(
        name="f",
        parameters=types.Schema(
            type=types.Type.OBJECT, properties={"x": types.Schema(type=types.Type.INTEGER)}
        ),
    )
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[declared])],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        tool_config=types.ToolConfig(
            function_calling_config=types.FunctionCallingConfig(mode=types.FunctionCallingConfigMode.ANY)
        ),
    )
    ask: dict[str, Any] = {"model": "m", "contents": HELLO, "config": config}
    replies = (
        list(client.models.generate_content_stream(**ask))
        if streamed
        else [client.models.generate_content(**ask)]
    )
    got = [call for reply in replies for call in reply.function_calls or ()]
    assert [(call.id, call.name, call.args) for call in got] == [
        ("call_a", "f", {"x": 1}),
        ("call_b", "g", {}),
    ]
    body = gate.provider.requests[-1].json()
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    assert body["tools"][0]["function"]["parameters"] == schema and body["tool_choice"] == "required"
    results = [
        types.Part(
            function_response=types.FunctionResponse(id=call.id, name=call.name, response={"output": "ok"})
        )
        for call in got
    ]
    parts = [part for reply in replies for part in reply.candidates[0].content.parts]  # type: ignore[index,union-attr]
    contents = [types.UserContent(HELLO), types.ModelContent(parts), types.UserContent(results)]
    client.models.generate_content(model="m", contents=contents)
    messages = gate.provider.requests[-1].json()["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "tool"]
    assert [call["id"] for call in messages[1]["tool_calls"]] == ["call_a", "call_b"]
    assert [(one["tool_call_id"], one["content"]) for one in messages[2:]] == [
        ("call_a", "ok"),
        ("call_b", "ok"),
    ]


def test_a_picture_and_a_schema(client: genai.Client, gate: Whole) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    picture = types.Part.from_bytes(data=b"\xff\xef", mime_type="image/png")
    gate.script(answer(completion(json.dumps(OBJECT))))
    reply = client.models.generate_content(
        model="m",
        contents=["What is it?", picture],
        config=types.GenerateContentConfig(
            response_mime_type="application/json", response_json_schema=schema
        ),
    )
    assert json.loads(reply.text or "") == OBJECT
    sent = gate.provider.requests[-1].json()
    assert sent["messages"][0]["content"][1]["image_url"]["url"] == "data:image/png;base64,/+8="
    assert sent["response_format"]["json_schema"]["schema"] == schema


def test_what_openai_cannot_say_is_refused_by_google_s_name(client: genai.Client, gate: Whole) -> None:
    with pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(
            model="m", contents=HELLO, config=types.GenerateContentConfig(cached_content="cachedContents/a")
        )
    violation = caught.value.details["error"]["details"][1]["fieldViolations"][0]
    assert (caught.value.code, violation["field"]) == (400, "cachedContent")
    with pytest.raises(errors.ClientError, match="googleSearch"):
        client.models.generate_content(
            model="m",
            contents=HELLO,
            config=types.GenerateContentConfig(tools=[types.Tool(google_search=types.GoogleSearch())]),
        )
    assert client.models.count_tokens(model="m", contents=HELLO).total_tokens == 6


def test_failures_of_openai_s_are_google_s_errors(client: genai.Client, gate: Whole) -> None:
    gate.script(
        answer({"error": {"message": "too long", "type": "x", "param": "messages", "code": None}}, status=400)
    )
    with pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(model="m", contents=HELLO)
    assert (caught.value.status, caught.value.message) == ("INVALID_ARGUMENT", "too long")
    gate.script(page(503))
    with pytest.raises(errors.ServerError):
        client.models.generate_content(model="m", contents=HELLO)
    gate.script(answer({"choices": []}))
    with pytest.raises(errors.ServerError):
        client.models.generate_content(model="m", contents=HELLO)
    gate.script(stream(events("one two")[:2], cut=True))
    with pytest.raises(errors.APIError, match="provider p"):
        list(client.models.generate_content_stream(model="m", contents=HELLO))
    told = completion("")
    told["choices"][0]["message"]["tool_calls"] = [called(0, "a", "f", "not JSON")]
    gate.script(answer(told))
    with pytest.raises(errors.ServerError, match="upstream_failed"):
        client.models.generate_content(model="m", contents=HELLO)


def test_a_json_list_is_written_across_too(gate: Whole) -> None:
    body = json.dumps({"contents": [{"parts": [{"text": HELLO}]}]}).encode()
    said: Any
    status, headers, said = gate.post("/v1beta/models/echo:streamGenerateContent", gate.key(), body)
    assert (status, headers["content-type"]) == (200, "application/json; charset=utf-8")
    assert "".join(one["candidates"][0]["content"]["parts"][0]["text"] for one in said) == HELLO
    assert said[-1]["candidates"][0]["finishReason"] == "STOP" and "usageMetadata" in said[-1]


# Google's client, Anthropic's API behind it.


@pytest.mark.parametrize("streamed", [False, True])
def test_thoughts_and_calls_of_claude_s_go_back_under_their_seals_and_to_no_gemini(
    client: genai.Client, claude: VendorServer, google: VendorServer, streamed: bool
) -> None:
    def ask(model: str, contents: Any, **config: Any) -> list[types.GenerateContentResponse]:
        asked: dict[str, Any] = {
            "model": model,
            "contents": contents,
            "config": types.GenerateContentConfig(
                automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True), **config
            ),
        }
        if streamed:
            return list(client.models.generate_content_stream(**asked))
        return [client.models.generate_content(**asked)]

    def parts_of(replies: list[types.GenerateContentResponse]) -> list[types.Part]:
        return [part for reply in replies for part in reply.candidates[0].content.parts or ()]  # type: ignore[index,union-attr]

    thinking = types.ThinkingConfig(thinking_budget=2048, include_thoughts=True)
    thoughts = parts_of(ask("claude-thinking", HELLO, thinking_config=thinking, max_output_tokens=4096))
    assert "".join(part.text or "" for part in thoughts if part.thought) == THOUGHT
    assert "".join(part.text or "" for part in thoughts if not part.thought) == TEXT
    ask("claude-plain", [types.UserContent(HELLO), types.ModelContent(thoughts), types.UserContent("So?")])
    said = claude.asked[-1].body["messages"][1]["content"]
    assert said[0] == {"type": "thinking", "thinking": THOUGHT, "signature": SIGNATURE}
    assert said[1] == {"type": "redacted_thinking", "data": "ZW5j"}
    # Google refuses what is sealed by another, as here.
    ask("plain", [types.UserContent(HELLO), types.ModelContent(thoughts), types.UserContent("So?")])
    told = google.asked[-1].body["contents"][1]["parts"]
    assert "".join(part["text"] for part in told if part.get("thought")) == THOUGHT
    assert not any("thoughtSignature" in part for part in told)

    declared = [{"name": name, "parameters_json_schema": {"type": "object"}} for name, _ in CALLS]
    tools = [types.Tool(function_declarations=[types.FunctionDeclaration(**one) for one in declared])]
    parts = parts_of(ask("claude-tools", HELLO, tools=tools))
    calls = [part.function_call for part in parts if part.function_call is not None]
    assert [(call.id, call.name, call.args) for call in calls] == [
        (f"toolu_{number}", *call) for number, call in enumerate(CALLS)
    ]
    results = [
        types.Part(
            function_response=types.FunctionResponse(id=one.id, name=one.name, response={"output": "ok"})
        )
        for one in calls
    ]
    contents = [types.UserContent(HELLO), types.ModelContent(parts), types.UserContent(results)]
    ask("claude-plain", contents, tools=tools)
    back = claude.asked[-1].body["messages"][2]["content"]
    assert [block["tool_use_id"] for block in back] == ["toolu_0", "toolu_1"]
    # It refuses calls without a seal as well, unless it is told why they have none.
    ask("gemini-3-flash", contents, tools=tools)
    made = [part for part in google.asked[-1].body["contents"][1]["parts"] if "functionCall" in part]
    assert [part.get("thoughtSignature") for part in made] == ["skip_thought_signature_validator", None]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_conversation_goes_from_gemini_to_claude_and_back(
    gate: Whole, claude: VendorServer, google: VendorServer, streamed: bool
) -> None:
    base, thinking = f"http://127.0.0.1:{gate.port}", {"type": "enabled", "budget_tokens": 2048}
    with anthropic_client.Anthropic(base_url=base, api_key=gate.key(), max_retries=0) as client:

        def ask(model: str, messages: Any) -> Any:
            asked = {"model": model, "max_tokens": 4096, "messages": messages, "thinking": thinking}
            if not streamed:
                return client.messages.create(**asked).content
            with client.messages.stream(**asked) as stream:
                return stream.get_final_message().content

        turns = [*ASK, {"role": "assistant", "content": ask("thinking", ASK)}, *ASK]
        claude_s = ask("claude-thinking", turns)
        told = claude.asked[-1].body["messages"][1]["content"]
        assert {block["type"] for block in told} == {"text"}, "Claude refuses what Gemini thought"
        assert "".join(block["text"] for block in told) == TEXT
        ask("plain", [*turns, {"role": "assistant", "content": claude_s}, *ASK])
    first, second = [one["parts"] for one in google.asked[-1].body["contents"] if one["role"] == "model"]
    assert SIGNATURE in [part.get("thoughtSignature") for part in first], "its own comes back to Gemini"
    assert {"text": THOUGHT, "thought": True} in second
    assert not any("thoughtSignature" in part for part in second)


# OpenAI's client, Gemini's API behind it.


def test_openai_s_client_gets_a_whole_reply_and_a_stream(other: openai.OpenAI, google: VendorServer) -> None:
    reply = other.chat.completions.create(
        model="plain", messages=[{"role": "system", "content": "Be kind."}, *ASK], max_completion_tokens=50
    )
    assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == (TEXT, "stop")
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (INPUT, OUTPUT)
    assert reply.usage.prompt_tokens_details is not None
    assert reply.usage.prompt_tokens_details.cached_tokens == CACHED
    asked = google.asked[-1]
    assert asked.path == "/v1beta/models/plain:generateContent"
    assert asked.body == {
        "systemInstruction": {"parts": [{"text": "Be kind."}]},
        "contents": [{"parts": [{"text": HELLO}], "role": "user"}],
        "generationConfig": {"maxOutputTokens": 50},
    }
    chunks = list(
        other.chat.completions.create(
            model="plain", messages=ASK, stream=True, stream_options={"include_usage": True}
        )
    )
    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert [text for text in texts if text] == list(PIECES)
    assert chunks[-1].usage is not None and chunks[-1].usage.completion_tokens == OUTPUT
    assert google.asked[-1].path.endswith(":streamGenerateContent?alt=sse")


@pytest.mark.parametrize("streamed", [False, True])
def test_openai_s_client_calls_tools(other: openai.OpenAI, google: VendorServer, streamed: bool) -> None:
    tool: Any = {
        "type": "function",
        "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}},
    }
    ask: dict[str, Any] = {"model": "tools", "messages": ASK, "tools": [tool], "tool_choice": "required"}
    if streamed:
        calls: dict[int, dict[str, str]] = {}
        for chunk in other.chat.completions.create(**ask, stream=True):
            for delta in chunk.choices[0].delta.tool_calls or ():
                one = calls.setdefault(delta.index, {"id": "", "name": "", "arguments": ""})
                one["id"] += delta.id or ""
                one["name"] += delta.function.name or ""
                one["arguments"] += delta.function.arguments or ""
            reason = chunk.choices[0].finish_reason
        got = list(calls.values())
    else:
        choice = other.chat.completions.create(**ask).choices[0]
        reason = choice.finish_reason
        got = [
            {"id": call.id, "name": call.function.name, "arguments": call.function.arguments}
            for call in choice.message.tool_calls or ()
        ]
    assert reason == "tool_calls"
    assert [(call["name"], json.loads(call["arguments"])) for call in got] == list(CALLS)
    body = google.asked[-1].body
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "ANY"}}
    assert body["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"]["type"] == "object"
    back: list[Any] = [
        {
            "role": "assistant",
            "tool_calls": [
                {"id": one["id"], "type": "function", "function": {"name": one["name"], "arguments": one["arguments"]}}
                for one in got
            ],
        },
        *({"role": "tool", "tool_call_id": one["id"], "content": "done"} for one in got),
    ]  # fmt: skip
    other.chat.completions.create(model="plain", messages=[*ASK, *back])
    model, results = google.asked[-1].body["contents"][1:]
    assert [part["functionCall"]["id"] for part in model["parts"]] == [one["id"] for one in got]
    assert [part["functionResponse"]["name"] for part in results["parts"]] == [name for name, _ in CALLS]


def test_openai_s_client_sends_pictures_and_schemas(other: openai.OpenAI, google: VendorServer) -> None:
    parts: list[Any] = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,/+8="}},
        {"type": "image_url", "image_url": {"url": "https://there.example/a.jpg"}},
    ]
    shape: Any = {"type": "json_schema", "json_schema": {"name": "person", "schema": {"type": "object"}}}
    reply = other.chat.completions.create(
        model="schema",
        messages=[{"role": "user", "content": parts}],
        response_format=shape,
        reasoning_effort="low",
    )
    assert json.loads(reply.choices[0].message.content or "") == OBJECT
    body = google.asked[-1].body
    assert body["contents"][0]["parts"][1:] == [
        {"inlineData": {"mimeType": "image/png", "data": "/+8="}},
        {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://there.example/a.jpg"}},
    ]
    assert body["generationConfig"]["responseMimeType"] == "application/json"
    assert body["generationConfig"]["responseJsonSchema"] == {"type": "object"}
    assert body["generationConfig"]["thinkingConfig"] == {"thinkingLevel": "LOW"}
    thinking = other.chat.completions.create(model="thinking", messages=ASK)
    assert thinking.choices[0].message.content == TEXT
    assert thinking.usage is not None and thinking.usage.completion_tokens_details is not None
    assert thinking.usage.completion_tokens_details.reasoning_tokens == REASONING


def test_openai_s_client_is_told_of_ends_and_errors(other: openai.OpenAI) -> None:
    def ended(model: str) -> str | None:
        return other.chat.completions.create(model=model, messages=ASK).choices[0].finish_reason

    assert [ended(name) for name in ("length", "refusal", "blocked")] == [
        "length",
        "content_filter",
        "content_filter",
    ]
    with pytest.raises(openai.BadRequestError, match="temperature"):
        ended("error-400")
    with pytest.raises(openai.RateLimitError):
        ended("error-429")
    for name in ("error-500", "bad-key", "malformed"):
        with pytest.raises(openai.InternalServerError) as caught:
            ended(name)
        assert caught.value.code == "upstream_failed"
    with pytest.raises(openai.APIError):
        list(other.chat.completions.create(model="cut", messages=ASK, stream=True))
    with pytest.raises(openai.BadRequestError) as lacking:
        other.chat.completions.create(model="plain", messages=ASK, logit_bias={"1": 5})
    assert lacking.value.param == "logit_bias"
