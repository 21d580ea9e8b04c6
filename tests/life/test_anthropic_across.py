"""Anthropic's own client to providers that speak OpenAI's API, and OpenAI's client to one that speaks Anthropic's."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from tests.kit.gateway_process import TRANSPORTS
from tests.kit.provider import answer, completion, events, page, stream
from tests.kit.vendors import anthropic as vendor
from tests.kit.vendors.server import (
    CACHED,
    CALLS,
    INPUT,
    OBJECT,
    OUTPUT,
    PIECES,
    REASONING,
    TEXT,
    THOUGHT,
    VendorServer,
)
from tests.kit.whole import Whole

HELLO: list[Any] = [{"role": "user", "content": "Hello there friend"}]
SHOWING: Any = {"type": "adaptive", "display": "summarized"}


@pytest.fixture(scope="module")
def claude() -> Iterator[VendorServer]:
    with VendorServer(vendor.answer) as server:
        yield server


@pytest.fixture(scope="module", params=TRANSPORTS)
def gate(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, claude: VendorServer
) -> Iterator[Whole]:
    more = "".join(
        f'[[models]]\nname = "{name}"\ndeployments = [{{provider = "{provider}", model = "{model}"}}]\n'
        for name, provider, model in (
            ("older", "a", "claude-opus-4-5"),
            ("newer", "a", "claude-opus-5"),
            ("lenient", "lenient", "claude-opus-5"),
        )
    )
    lenient = (
        f'[[providers]]\nname = "lenient"\ndialect = "anthropic"\nbase_url = "{claude.url}/v1"\n'
        'api_key = "env:KPGATE_TEST_UPSTREAM"\ndrop_unsupported = true\n'
        'headers = { anthropic-version = "2026-10-21" }\n'
    )
    folder = tmp_path_factory.mktemp("across")
    with Whole(folder, vendor.settings(claude.url) + lenient + more, transport=request.param) as gate:
        yield gate


@pytest.fixture(scope="module")
def client(gate: Whole) -> Iterator[anthropic.Anthropic]:
    url = f"http://127.0.0.1:{gate.port}"
    with anthropic.Anthropic(base_url=url, api_key=gate.key(), max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def other(gate: Whole) -> Iterator[openai.OpenAI]:
    base = f"http://127.0.0.1:{gate.port}/v1"
    with openai.OpenAI(base_url=base, api_key=gate.key(), max_retries=0) as client:
        yield client


def last(gate: Whole) -> Any:
    """What the provider that speaks OpenAI was asked last."""
    return gate.provider.requests[-1].json()


def ask(client: anthropic.Anthropic, streamed: bool = False, **more: Any) -> anthropic.types.Message:
    asked: dict[str, Any] = {"model": "m", "max_tokens": 50, "messages": HELLO} | more
    if not streamed:
        message: anthropic.types.Message = client.messages.create(**asked)
        return message
    with client.messages.stream(**asked) as stream:
        return stream.get_final_message()


# Anthropic's client, OpenAI's API behind it.


def test_a_whole_message_and_a_stream(client: anthropic.Anthropic, gate: Whole) -> None:
    message = ask(client, system="Be kind.", stop_sequences=["x"], metadata={"user_id": "u"})
    assert (message.content[0].text, message.stop_reason, message.model) == (
        "Hello there.",
        "end_turn",
        "gpt-test",
    )  # type: ignore[union-attr]
    assert (message.usage.input_tokens, message.usage.output_tokens) == (9, 3)
    sent = last(gate)
    assert [one["role"] for one in sent["messages"]] == ["system", "user"]
    assert (sent["model"], sent["max_completion_tokens"], sent["stop"], sent["user"]) == (
        "up",
        50,
        ["x"],
        "u",
    )
    with client.messages.stream(model="m", max_tokens=50, messages=HELLO) as stream:
        texts = list(stream.text_stream)
        message = stream.get_final_message()
    assert texts == ["Hello", "there."], "event by event"
    assert (message.stop_reason, message.usage.input_tokens, message.usage.output_tokens) == (
        "end_turn",
        9,
        3,
    )


def test_echo_answers_whole_streamed_and_cut_at_its_cap(client: anthropic.Anthropic) -> None:
    for streamed in (False, True):
        message = ask(client, streamed, model="echo")
        assert message.content[0].text == "Hello there friend"  # type: ignore[union-attr]
        assert message.usage.output_tokens == 3
        assert ask(client, streamed, model="echo", max_tokens=2).stop_reason == "max_tokens"


def called(index: int, id: str | None, name: str | None, arguments: str) -> dict[str, Any]:
    return {"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def chunks(*deltas: dict[str, Any], reason: str = "tool_calls") -> list[bytes]:
    """A stream of OpenAI's with its usage."""
    told: list[Any] = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    told.append({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    told.append({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3}})
    sent = [b"data: " + json.dumps({"id": "c", "model": "up"} | one).encode() + b"\n\n" for one in told]
    return [*sent, b"data: [DONE]\n\n"]


INTERLEAVED = [
    [called(0, "call_a", "f", "")],
    [called(1, "call_b", "g", '{"y"')],
    [called(0, None, None, '{"x":1}')],
    [called(1, None, None, ":2}")],
]
IN_ORDER = [
    [called(0, "call_a", "f", "")],
    [called(0, None, None, '{"x":')],
    [called(0, None, None, "1}")],
    [called(1, "call_b", "g", '{"y":2}')],
]


@pytest.mark.parametrize("how", ["whole", "in order", "interleaved"])
def test_tools_in_parallel_and_their_results(client: anthropic.Anthropic, gate: Whole, how: str) -> None:
    if how == "whole":
        calls = [called(0, "call_a", "f", '{"x":1}'), called(1, "call_b", "g", '{"y":2}')]
        told: Any = completion("")
        told["choices"][0] |= {
            "message": {"role": "assistant", "content": None, "tool_calls": calls},
            "finish_reason": "tool_calls",
        }
        gate.script(answer(told))
    else:
        bits = IN_ORDER if how == "in order" else INTERLEAVED
        gate.script(stream(chunks(*({"tool_calls": bit} for bit in bits))))
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    message = ask(
        client,
        how != "whole",
        tools=[{"name": "f", "description": "F.", "input_schema": schema}],
        tool_choice={"type": "any", "disable_parallel_tool_use": False},
    )
    assert message.stop_reason == "tool_use"
    calls = [block for block in message.content if block.type == "tool_use"]
    assert [(one.id, one.name, one.input) for one in calls] == [
        ("call_a", "f", {"x": 1}),
        ("call_b", "g", {"y": 2}),
    ]
    sent = last(gate)
    assert sent["tools"] == [
        {"type": "function", "function": {"name": "f", "description": "F.", "parameters": schema}}
    ]
    assert (sent["tool_choice"], sent["parallel_tool_calls"]) == ("required", True)
    results = [{"type": "tool_result", "tool_use_id": one.id, "content": "ok"} for one in calls]
    said = {"role": "user", "content": [*results, {"type": "text", "text": "and?"}]}
    ask(client, messages=[*HELLO, {"role": "assistant", "content": message.content}, said])
    messages = last(gate)["messages"]
    assert [one["role"] for one in messages] == ["user", "assistant", "tool", "tool", "user"]
    assert [one["id"] for one in messages[1]["tool_calls"]] == ["call_a", "call_b"]
    assert [json.loads(one["function"]["arguments"]) for one in messages[1]["tool_calls"]] == [
        {"x": 1},
        {"y": 2},
    ]
    assert [(one["tool_call_id"], one["content"]) for one in messages[2:4]] == [
        ("call_a", "ok"),
        ("call_b", "ok"),
    ]


def test_a_picture_a_schema_and_an_effort(client: anthropic.Anthropic, gate: Whole) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "additionalProperties": False}
    picture = {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
    }
    link = {"type": "image", "source": {"type": "url", "url": "https://e.com/a.png"}}
    gate.script(answer(completion(json.dumps(OBJECT))))
    message = ask(
        client,
        messages=[{"role": "user", "content": [picture, link]}],
        output_config={"effort": "low", "format": {"type": "json_schema", "schema": schema}},
    )
    assert json.loads(message.content[0].text) == OBJECT  # type: ignore[union-attr]
    sent = last(gate)
    urls = [one["image_url"]["url"] for one in sent["messages"][0]["content"]]
    assert urls == ["data:image/png;base64,iVBORw0KGgo=", "https://e.com/a.png"]
    assert sent["response_format"]["json_schema"]["schema"] == schema
    assert sent["reasoning_effort"] == "low"


@pytest.mark.parametrize("streamed", [False, True])
def test_thoughts_of_openai_s_providers_are_shown_to_who_asks(
    client: anthropic.Anthropic, gate: Whole, streamed: bool
) -> None:
    for thinking, expected in ((SHOWING, ["thinking", "text"]), (anthropic.omit, ["text"])):
        if streamed:
            gate.script(stream(chunks({"reasoning_content": "hm"}, {"content": "x"}, reason="stop")))
        else:
            told: Any = completion("x")
            told["choices"][0]["message"]["reasoning_content"] = "hm"
            gate.script(answer(told))
        message = ask(client, streamed, thinking=thinking)
        assert [block.type for block in message.content] == expected
        if len(expected) == 2:
            assert message.content[0].thinking == "hm"  # type: ignore[union-attr]
            back = [*HELLO, {"role": "assistant", "content": message.content}, *HELLO]
            raw = client.messages.with_raw_response.create(model="m", max_tokens=9, messages=back)
            assert raw.headers["x-kpgate-dropped"] == "messages: thinking", "it has no field for it, and that is said"


def test_what_openai_cannot_say_is_refused_by_anthropic_s_name(
    client: anthropic.Anthropic, gate: Whole
) -> None:
    seen = len(gate.provider.requests)
    for more, name in (
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools.web_search_20250305"),
        ({"container": "c"}, "container"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "document", "source": {"type": "file", "file_id": "f"}}],
                    }
                ]
            },
            "document.source.file",
        ),
    ):
        with pytest.raises(anthropic.BadRequestError, match=name):
            ask(client, **more)
    assert len(gate.provider.requests) == seen


def test_tokens_are_counted_by_kpgate(client: anthropic.Anthropic, gate: Whole) -> None:
    asked: dict[str, Any] = {"model": "m", "messages": HELLO, "system": "Be kind."}
    seen = len(gate.provider.requests)
    raw = client.messages.with_raw_response.count_tokens(**asked)
    assert raw.parse().input_tokens == 3 + 3 + 3 + 3 + 3
    assert raw.headers["x-kpgate-count"] == "calibrated"
    assert len(gate.provider.requests) == seen, "nobody is asked"
    with pytest.raises(anthropic.NotFoundError):
        client.messages.count_tokens(model="none", messages=HELLO)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_refusal_is_one_there_too(client: anthropic.Anthropic, gate: Whole, streamed: bool) -> None:
    if streamed:
        gate.script(stream(chunks({"refusal": "I will not."}, reason="stop")))
    else:
        told: Any = completion("")
        told["choices"][0]["message"] = {"role": "assistant", "content": None, "refusal": "I will not."}
        gate.script(answer(told))
    message = ask(client, streamed)
    assert message.stop_reason == "refusal"
    assert message.stop_details is not None and message.stop_details.explanation == "I will not."


def test_failures_of_openai_s_are_anthropic_s_errors(client: anthropic.Anthropic, gate: Whole) -> None:
    gate.script(
        answer({"error": {"message": "too long", "type": "x", "param": None, "code": None}}, status=400)
    )
    with pytest.raises(anthropic.BadRequestError, match="too long") as refused:
        ask(client)
    assert refused.value.type == "invalid_request_error"
    odd: Any = completion("")
    odd["choices"][0]["message"]["tool_calls"] = [called(0, "a", "f", "not JSON")]
    for step in (
        page(503),
        answer(b'{"choices":['),
        answer({"choices": []}),
        answer({"choices": "x"}),
        page(200),
        answer(odd),
    ):
        gate.script(step)
        with pytest.raises(anthropic.InternalServerError) as failed:
            ask(client)
        assert (failed.value.type, failed.value.status_code) == ("api_error", 502)
    gate.script(answer({"error": {"message": "slow down"}}, status=429, headers={"retry-after": "7"}))
    with pytest.raises(anthropic.RateLimitError) as limited:
        ask(client)
    assert limited.value.response.headers["retry-after"] == "7"
    for step in (
        stream(events("one two")[:2], cut=True),
        stream([*events("one two")[:1], b"data: {\n\n"]),
        stream([*events("one two")[:1], b'data: {"error":{"message":"overloaded"}}\n\n']),
    ):
        gate.script(step)
        with pytest.raises(anthropic.APIError, match="provider"):
            ask(client, True)


# OpenAI's client, Anthropic's API behind it.


def test_openai_s_client_gets_a_whole_reply_and_a_stream(other: openai.OpenAI, claude: VendorServer) -> None:
    reply = other.chat.completions.create(
        model="plain",
        messages=[{"role": "system", "content": "Be kind."}, *HELLO],
        max_completion_tokens=50,
        temperature=0.5,
        stop="END",
        user="u",
    )
    assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == (TEXT, "stop")
    assert reply.usage is not None and reply.usage.prompt_tokens_details is not None
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (INPUT, OUTPUT)
    assert reply.usage.prompt_tokens_details.cached_tokens == CACHED
    asked = claude.asked[-1]
    assert asked.headers["anthropic-version"] == "2023-06-01"
    assert asked.body == {
        "model": "plain",
        "max_tokens": 50,
        "system": [{"type": "text", "text": "Be kind."}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello there friend"}]}],
        "temperature": 0.5,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u"},
    }
    told = list(
        other.chat.completions.create(
            model="plain", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
    )
    texts = [one.choices[0].delta.content for one in told if one.choices]
    assert [text for text in texts if text] == list(PIECES)
    assert told[-1].usage is not None and told[-1].usage.completion_tokens == OUTPUT
    assert claude.asked[-1].body["max_tokens"] == 4096, "which Anthropic always wants"


@pytest.mark.parametrize("streamed", [False, True])
def test_openai_s_client_calls_tools(other: openai.OpenAI, claude: VendorServer, streamed: bool) -> None:
    tool: Any = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
    asked: dict[str, Any] = {
        "model": "tools",
        "messages": HELLO,
        "tools": [tool],
        "tool_choice": "required",
        "parallel_tool_calls": False,
    }
    if streamed:
        calls: dict[int, dict[str, str]] = {}
        for chunk in other.chat.completions.create(**asked, stream=True):
            for delta in chunk.choices[0].delta.tool_calls or ():
                one = calls.setdefault(delta.index, {"id": "", "name": "", "arguments": ""})
                one["id"] += delta.id or ""
                one["name"] += delta.function.name or ""
                one["arguments"] += delta.function.arguments or ""
            reason = chunk.choices[0].finish_reason
        got = list(calls.values())
    else:
        choice = other.chat.completions.create(**asked).choices[0]
        reason = choice.finish_reason
        got = [
            {"id": call.id, "name": call.function.name, "arguments": call.function.arguments}
            for call in choice.message.tool_calls or ()
        ]
    assert reason == "tool_calls"
    assert [(one["name"], json.loads(one["arguments"])) for one in got] == list(CALLS)
    body = claude.asked[-1].body
    assert body["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
    assert body["tools"] == [{"name": "get_weather", "input_schema": {"type": "object"}}]
    back: list[Any] = [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": one["id"],
                    "type": "function",
                    "function": {"name": one["name"], "arguments": one["arguments"]},
                }
                for one in got
            ],
        },
        *({"role": "tool", "tool_call_id": one["id"], "content": "done"} for one in got),
        {"role": "user", "content": "and?"},
    ]
    other.chat.completions.create(model="plain", messages=[*HELLO, *back])
    assistant, user = claude.asked[-1].body["messages"][1:]
    assert [(block["id"], block["input"]) for block in assistant["content"]] == [
        (one["id"], json.loads(one["arguments"])) for one in got
    ]
    assert [block["type"] for block in user["content"]] == ["tool_result", "tool_result", "text"]
    bare = other.chat.completions.create(model="bare-call", messages=HELLO).choices[0].message.tool_calls
    assert bare is not None and bare[0].function.arguments == "{}"  # type: ignore[union-attr]


def test_openai_s_client_sends_pictures_schemas_and_efforts(
    other: openai.OpenAI, claude: VendorServer
) -> None:
    parts: list[Any] = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,/+8="}},
        {"type": "image_url", "image_url": {"url": "https://there.example/a.jpg"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,QQ==", "filename": "a.pdf"}},
    ]
    shape: Any = {"type": "json_schema", "json_schema": {"name": "person", "schema": {"type": "object"}}}
    reply = other.chat.completions.create(
        model="schema",
        messages=[{"role": "user", "content": parts}],
        response_format=shape,
        reasoning_effort="low",
    )
    assert json.loads(reply.choices[0].message.content or "") == OBJECT
    body = claude.asked[-1].body
    assert body["messages"][0]["content"][1:] == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "/+8="}},
        {"type": "image", "source": {"type": "url", "url": "https://there.example/a.jpg"}},
        {
            "type": "document",
            "title": "a.pdf",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "QQ=="},
        },
    ]
    assert body["thinking"] == {"type": "adaptive"}
    assert body["output_config"] == {
        "effort": "low",
        "format": {"type": "json_schema", "schema": {"type": "object"}},
    }
    other.chat.completions.create(model="older", messages=HELLO, reasoning_effort="low")
    assert claude.asked[-1].body["thinking"] == {"type": "enabled", "budget_tokens": 2048}


@pytest.mark.parametrize("streamed", [False, True])
def test_openai_s_client_sees_thoughts_and_what_they_cost(other: openai.OpenAI, streamed: bool) -> None:
    thought, usage = "", None
    if streamed:
        options: Any = {"include_usage": True}
        for chunk in other.chat.completions.create(
            model="thinking", messages=HELLO, stream=True, stream_options=options
        ):
            usage = chunk.usage or usage
            if chunk.choices:
                thought += getattr(chunk.choices[0].delta, "reasoning_content", None) or ""
    else:
        reply = other.chat.completions.create(model="thinking", messages=HELLO)
        thought, usage = reply.choices[0].message.reasoning_content, reply.usage  # type: ignore[attr-defined]
    assert thought == THOUGHT
    assert usage is not None and usage.completion_tokens_details is not None
    assert usage.completion_tokens_details.reasoning_tokens == REASONING


def test_openai_s_client_is_told_of_ends_and_errors(other: openai.OpenAI) -> None:
    def ended(model: str, **more: Any) -> str | None:
        return other.chat.completions.create(model=model, messages=HELLO, **more).choices[0].finish_reason

    assert [ended(name) for name in ("length", "stopped", "full", "search")] == [
        "length",
        "stop",
        "length",
        "stop",
    ]
    assert ended("refusal") in ("stop", "content_filter")
    refused = other.chat.completions.create(model="refusal", messages=HELLO).choices[0].message
    assert refused.refusal == vendor.REFUSED
    with pytest.raises(openai.BadRequestError, match="roles must alternate"):
        ended("error-400")
    with pytest.raises(openai.NotFoundError):
        ended("error-404")
    with pytest.raises(openai.RateLimitError):
        ended("error-429")
    for name in ("error-500", "error-529", "error-401", "malformed", "odd"):
        with pytest.raises(openai.InternalServerError) as caught:
            ended(name)
        assert caught.value.code == "upstream_failed"
    for name in ("cut", "early", "broken"):
        with pytest.raises(openai.APIError) as broken:
            list(other.chat.completions.create(model=name, messages=HELLO, stream=True))
        assert "provider" in str(broken.value)


def test_what_anthropic_cannot_say_is_refused_by_openai_s_name(
    other: openai.OpenAI, claude: VendorServer
) -> None:
    seen = len(claude.asked)
    for model, more, name in (
        ("plain", {"n": 2}, "n"),
        ("plain", {"seed": 7}, "seed"),
        ("plain", {"logprobs": True}, "logprobs"),
        ("plain", {"logit_bias": {"1": 5}}, "logit_bias"),
        ("plain", {"presence_penalty": 1}, "presence_penalty"),
        ("plain", {"response_format": {"type": "json_object"}}, "response_format"),
        ("newer", {"temperature": 0.5}, "temperature"),
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            other.chat.completions.create(model=model, messages=HELLO, **more)  # type: ignore[call-overload]
        assert caught.value.param == name
    assert len(claude.asked) == seen
    raw = other.chat.completions.with_raw_response.create(
        model="lenient", messages=HELLO, temperature=0.5, seed=7, store=True
    )
    assert set(raw.headers["x-kpgate-dropped"].split(",")) == {"temperature", "seed", "store"}
    assert "temperature" not in claude.asked[-1].body
    assert claude.asked[-1].headers["anthropic-version"] == "2026-10-21", "as the configuration says"
