"""Anthropic's own client with nothing changed but its base URL, to an Anthropic provider: bytes through."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import anthropic
import pytest

from kpgate.domain.limits import Limits
from tests.kit.gateway_process import TRANSPORTS, until
from tests.kit.vendors import anthropic as vendor
from tests.kit.vendors.server import (
    CACHED,
    CALLS,
    INPUT,
    OBJECT,
    OUTPUT,
    REASONING,
    SIGNATURE,
    TEXT,
    THOUGHT,
    VendorServer,
)
from tests.kit.whole import SECRET, Whole

HELLO: list[Any] = [{"role": "user", "content": "Hello there friend"}]


@pytest.fixture(scope="module")
def claude() -> Iterator[VendorServer]:
    with VendorServer(vendor.answer) as server:
        yield server


@pytest.fixture(scope="module", params=TRANSPORTS)
def gate(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, claude: VendorServer
) -> Iterator[Whole]:
    folder = tmp_path_factory.mktemp("anthropic")
    with Whole(folder, vendor.settings(claude.url), transport=request.param) as gate:
        yield gate


def connect(gate: Whole, key: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=f"http://127.0.0.1:{gate.port}", api_key=key, max_retries=0)


@pytest.fixture(scope="module")
def client(gate: Whole) -> Iterator[anthropic.Anthropic]:
    with connect(gate, gate.key()) as client:
        yield client


def test_a_whole_message(client: anthropic.Anthropic, claude: VendorServer) -> None:
    message = client.messages.create(
        model="alias",
        max_tokens=50,
        messages=HELLO,
        system="Be kind.",
        extra_headers={"anthropic-version": "2023-06-01"},
        extra_body={"temperature": 0.5},
    )
    assert (message.content[0].text, message.stop_reason, message.model) == (TEXT, "end_turn", "claude-test")  # type: ignore[union-attr]
    used = message.usage
    assert (
        used.input_tokens + (used.cache_read_input_tokens or 0) + (used.cache_creation_input_tokens or 0)
        == INPUT
    )
    asked = claude.asked[-1]
    assert (asked.path, asked.headers["x-api-key"]) == ("/v1/messages", SECRET)
    assert "authorization" not in asked.headers
    assert asked.body == {
        "model": "plain",
        "max_tokens": 50,
        "messages": HELLO,
        "system": "Be kind.",
        "temperature": 0.5,
    }


def test_a_stream_is_the_provider_s_bytes(
    client: anthropic.Anthropic, gate: Whole, claude: VendorServer
) -> None:
    with client.messages.stream(model="plain", max_tokens=50, messages=HELLO) as stream:
        assert "".join(stream.text_stream) == TEXT
        message = stream.get_final_message()
    assert (message.usage.output_tokens, message.stop_reason) == (OUTPUT, "end_turn")
    asked = {"model": "plain", "max_tokens": 50, "messages": HELLO, "stream": True}
    with client.messages.with_streaming_response.create(**asked) as raw:  # type: ignore[call-overload]
        assert raw.headers["content-type"].startswith("text/event-stream")
        sent = b"".join(raw.iter_bytes())
    assert sent == b"".join(vendor.answer(claude.asked[-1]).pieces)


def test_tools_in_parallel_and_their_results(client: anthropic.Anthropic, claude: VendorServer) -> None:
    tools: Any = [{"name": "get_weather", "input_schema": {"type": "object"}}]
    asked: dict[str, Any] = {"model": "tools", "max_tokens": 50, "messages": HELLO, "tools": tools}
    whole = client.messages.create(**asked)
    with client.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    for message in (whole, streamed):
        assert message.stop_reason == "tool_use"
        calls = [block for block in message.content if block.type == "tool_use"]
        assert [(call.name, call.input) for call in calls] == list(CALLS)
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "ok"} for call in calls]
    back = [*HELLO, {"role": "assistant", "content": streamed.content}, {"role": "user", "content": results}]
    assert client.messages.create(model="plain", max_tokens=50, messages=back, tools=tools).content
    assert [block["type"] for block in claude.asked[-1].body["messages"][1]["content"]] == [
        "text",
        "tool_use",
        "tool_use",
    ]


def test_pictures_schemas_and_what_is_new_go_through_as_they_are(
    client: anthropic.Anthropic, claude: VendorServer
) -> None:
    picture = {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
    }
    novel = {"type": "search_result", "source": "https://e.com", "title": "t", "content": []}
    messages: list[Any] = [
        {"role": "user", "content": [picture, novel, {"type": "text", "text": "What is it?"}]}
    ]
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "additionalProperties": False}
    shape: Any = {"format": {"type": "json_schema", "schema": schema}}
    message = client.messages.create(model="schema", max_tokens=50, messages=messages, output_config=shape)
    assert json.loads(message.content[0].text) == OBJECT  # type: ignore[union-attr]
    assert claude.asked[-1].body["messages"] == messages
    assert claude.asked[-1].body["output_config"] == shape


def test_thoughts_keep_their_seals(client: anthropic.Anthropic, claude: VendorServer) -> None:
    asked: dict[str, Any] = {
        "model": "thinking",
        "max_tokens": 50,
        "messages": HELLO,
        "thinking": {"type": "adaptive", "display": "summarized"},
    }
    whole = client.messages.create(**asked)
    with client.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    for message in (whole, streamed):
        thought, redacted, _ = message.content
        assert thought.type == "thinking" and (thought.thinking, thought.signature) == (THOUGHT, SIGNATURE)
        assert redacted.type == "redacted_thinking" and redacted.data == "ZW5j"
        details = message.usage.output_tokens_details
        assert details is not None and details.thinking_tokens == REASONING
    back = [*HELLO, {"role": "assistant", "content": streamed.content}, *HELLO]
    client.messages.create(model="plain", max_tokens=50, messages=back)
    assert claude.asked[-1].body["messages"][1]["content"][0]["signature"] == SIGNATURE


def test_versions_and_betas_are_passed_on(
    client: anthropic.Anthropic, gate: Whole, claude: VendorServer
) -> None:
    client.messages.create(model="plain", max_tokens=9, messages=HELLO)
    assert claude.asked[-1].headers["anthropic-version"] == "2026-10-21", "the client's own"
    with pytest.raises(anthropic.BadRequestError, match="temperature: Extra inputs are not permitted"):
        client.messages.create(model="plain", max_tokens=9, messages=HELLO, extra_body={"temperature": 1})
    client.beta.messages.create(
        model="plain", max_tokens=9, messages=HELLO, betas=["a-2026-01-01", "b-2026-02-02"]
    )
    assert claude.asked[-1].headers["anthropic-beta"] == "a-2026-01-01,b-2026-02-02"
    body = json.dumps({"model": "plain", "max_tokens": 9, "messages": HELLO}).encode()
    assert gate.post("/v1/messages", gate.key(), body)[0] == 200
    assert claude.asked[-1].headers["anthropic-version"] == "2023-06-01", "where the caller says none"


def test_tokens_are_counted_by_the_provider(
    client: anthropic.Anthropic, gate: Whole, claude: VendorServer
) -> None:
    assert client.messages.count_tokens(model="alias", messages=HELLO).input_tokens == vendor.COUNTED
    assert claude.asked[-1].path == "/v1/messages/count_tokens"
    assert claude.asked[-1].body == {"model": "plain", "messages": HELLO}
    until(lambda: any(one["path"] == "/v1/messages/count_tokens" for one in gate.records()))
    record = next(one for one in gate.records() if one["path"] == "/v1/messages/count_tokens")
    assert (record["status"], record["input_tokens"], record["output_tokens"]) == (200, 0, 0)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("length", "max_tokens"),
        ("stopped", "stop_sequence"),
        ("paused", "pause_turn"),
        ("full", "model_context_window_exceeded"),
        ("refusal", "refusal"),
        ("search", "end_turn"),
        ("bare-call", "tool_use"),
    ],
)
def test_every_end_comes_through(client: anthropic.Anthropic, model: str, reason: str) -> None:
    whole = client.messages.create(model=model, max_tokens=9, messages=HELLO)
    with client.messages.stream(model=model, max_tokens=9, messages=HELLO) as stream:
        streamed = stream.get_final_message()
    for message in (whole, streamed):
        assert message.stop_reason == reason
        assert message.stop_sequence == ("END" if model == "stopped" else None)
    if model == "refusal":
        assert streamed.stop_details is not None and streamed.stop_details.explanation == vendor.REFUSED


@pytest.mark.parametrize(
    ("model", "error", "kind"),
    [
        ("error-400", anthropic.BadRequestError, "invalid_request_error"),
        ("error-404", anthropic.NotFoundError, "not_found_error"),
        ("error-413", anthropic.APIStatusError, "request_too_large"),
        ("error-429", anthropic.RateLimitError, "rate_limit_error"),
        ("error-401", anthropic.InternalServerError, "api_error"),
        ("error-500", anthropic.InternalServerError, "api_error"),
        ("error-529", anthropic.InternalServerError, "api_error"),
        ("nobody's", anthropic.NotFoundError, "not_found_error"),
    ],
)
def test_errors_are_the_client_s_own_classes(
    client: anthropic.Anthropic, model: str, error: type[anthropic.APIStatusError], kind: str
) -> None:
    with pytest.raises(error) as caught:
        client.messages.create(model=model, max_tokens=9, messages=HELLO)
    assert caught.value.type == kind
    assert caught.value.request_id == caught.value.response.headers["x-request-id"]
    assert SECRET not in str(caught.value)
    if model == "error-401":
        assert "credential" in str(caught.value), "the provider's 401 is about kpgate's key"


def test_what_kpgate_refuses_is_in_shape(gate: Whole, client: anthropic.Anthropic) -> None:
    with connect(gate, "sk-wrong") as stranger, pytest.raises(anthropic.AuthenticationError) as refused:
        stranger.messages.create(model="plain", max_tokens=9, messages=HELLO)
    body: Any = refused.value.body
    assert body["type"] == "error" and body["error"]["type"] == "authentication_error"
    assert body["request_id"] == refused.value.request_id
    with pytest.raises(
        anthropic.BadRequestError, match=r"messages\[0\].content: expected a string or a list"
    ):
        client.messages.create(model="plain", max_tokens=9, messages=[{"role": "user", "content": 7}])  # type: ignore[typeddict-item,list-item]
    status, answered = gate.get("/v1/messages")
    assert status == 405 and json.loads(answered)["type"] == "error"


def test_a_token_stands_for_the_key(gate: Whole) -> None:
    url = f"http://127.0.0.1:{gate.port}"
    with anthropic.Anthropic(base_url=url, auth_token=gate.key(), api_key=None) as client:
        assert client.messages.create(model="plain", max_tokens=9, messages=HELLO).content


@pytest.mark.parametrize("model", ["broken", "cut", "early"])
def test_a_stream_that_breaks_is_an_error_not_an_end(client: anthropic.Anthropic, model: str) -> None:
    with pytest.raises(anthropic.APIError) as caught:
        list(client.messages.create(model=model, max_tokens=9, messages=HELLO, stream=True))
    assert "provider" in str(caught.value) and ("Overloaded" in str(caught.value)) == (model == "broken")


def test_limits_are_said_in_anthropic_s_headers(gate: Whole) -> None:
    key = gate.key(limits=Limits(requests="2/h", tokens="10000/h"))
    with connect(gate, key) as client:
        raw = client.messages.with_raw_response.create(model="plain", max_tokens=9, messages=HELLO)
        headers = raw.headers
        assert headers["anthropic-ratelimit-requests-limit"] == "2"
        assert headers["anthropic-ratelimit-requests-remaining"] == "1"
        assert 0 < int(headers["anthropic-ratelimit-tokens-remaining"]) < 10_000
        now = datetime.now(UTC)
        reset = datetime.fromisoformat(headers["anthropic-ratelimit-requests-reset"])
        assert timedelta(minutes=29) < reset - now < timedelta(minutes=31)
        assert headers["request-id"] == raw.parse()._request_id
        client.messages.create(model="plain", max_tokens=9, messages=HELLO)
        with pytest.raises(anthropic.RateLimitError) as limited:
            client.messages.create(model="plain", max_tokens=9, messages=HELLO)
    assert int(limited.value.response.headers["retry-after"]) > 60
    assert limited.value.response.headers["x-should-retry"] == "true"


def test_the_record_has_what_was_used(gate: Whole, client: anthropic.Anthropic) -> None:
    for streamed in (False, True):
        raw = client.messages.with_raw_response.create(
            model="thinking", max_tokens=9, messages=HELLO, stream=streamed
        )
        if streamed:
            list(raw.parse())  # type: ignore[call-overload]
        id = raw.headers["request-id"]
        until(lambda id=id: any(one["id"] == id for one in gate.records()))  # type: ignore[misc]
        record = next(one for one in gate.records() if one["id"] == id)
        assert (record["input_tokens"], record["output_tokens"]) == (INPUT, OUTPUT)
        assert (record["cached_tokens"], record["reasoning_tokens"]) == (CACHED, REASONING)
