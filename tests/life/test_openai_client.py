"""The official client with nothing changed but `base_url`: whole, streamed, tools, embeddings, errors."""

import json
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from kpgate.domain.limits import Limits
from tests.kit.gateway_process import TRANSPORTS
from tests.kit.provider import answer, completion, events, page, stream
from tests.kit.whole import Whole

HELLO: list[openai.types.chat.ChatCompletionMessageParam] = [
    {"role": "user", "content": "Hello there friend"}
]


@pytest.fixture(scope="module", params=TRANSPORTS)
def gate(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    with Whole(tmp_path_factory.mktemp("client"), server="workers = 2", transport=request.param) as gate:
        yield gate


@pytest.fixture(scope="module")
def client(gate: Whole) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"http://127.0.0.1:{gate.port}/v1", api_key=gate.key(), max_retries=0
    ) as client:
        yield client


def test_a_whole_completion(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model="m", messages=HELLO)
    assert reply.choices[0].message.content == "Hello there."
    assert reply.usage is not None and reply.usage.total_tokens == 12


def test_a_stream_without_and_with_usage(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="m", messages=HELLO, stream=True))
    assert all(chunk.choices for chunk in chunks), "no client meets an empty choices it did not ask for"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hellothere."
    options: openai.types.chat.ChatCompletionStreamOptionsParam = {"include_usage": True}
    *_, last = client.chat.completions.create(model="m", messages=HELLO, stream=True, stream_options=options)
    assert last.usage is not None and last.usage.total_tokens == 12


def test_echo_answers_with_what_it_was_asked(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="echo", messages=HELLO)
    assert whole.choices[0].message.content == "Hello there friend"
    pieces = list(client.chat.completions.create(model="echo", messages=HELLO, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in pieces) == "Hello there friend"
    assert len(pieces) == 4, "three tokens and the end"


def test_tool_call_deltas_arrive_as_they_were_sent(gate: Whole, client: openai.OpenAI) -> None:
    calls = [
        [{"index": 0, "id": "call_a", "type": "function", "function": {"name": "f", "arguments": ""}}],
        [{"index": 1, "id": None, "function": {"name": None, "arguments": '{"x'}}],
        [
            {"index": 1, "id": None, "function": {"arguments": '":1}'}},
            {"index": 0, "function": {"arguments": "{}"}},
        ],
    ]
    deltas = [{"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": [
        {"index": 0, "delta": {"tool_calls": call}, "finish_reason": None}]} for call in calls]  # fmt: skip
    sent = [b"data: " + json.dumps(delta).encode() + b"\n\n" for delta in deltas] + [b"data: [DONE]\n\n"]
    gate.script(stream(sent))
    tool: openai.types.chat.ChatCompletionFunctionToolParam = {
        "type": "function",
        "function": {"name": "f", "description": "F.", "parameters": {"type": "object", "properties": {}}},
    }
    got = list(client.chat.completions.create(model="m", messages=HELLO, stream=True, tools=[tool]))
    assert [chunk.choices[0].delta.tool_calls[1].index for chunk in got[2:]] == [0]  # type: ignore[index]
    assert gate.provider.requests[-1].json()["tools"] == [tool]


def test_embeddings_and_completions(client: openai.OpenAI) -> None:
    vectors = client.embeddings.create(model="echo", input=["one", "two", "one"])
    assert vectors.data[0].embedding == vectors.data[2].embedding != vectors.data[1].embedding
    text = client.completions.create(model="echo", prompt="say it again", max_tokens=2)
    assert (text.choices[0].text, text.choices[0].finish_reason) == ("say it", "length")


def test_models_are_listed_and_found(client: openai.OpenAI) -> None:
    assert {model.id for model in client.models.list()} == {"m", "echo"}
    assert client.models.retrieve("m").owned_by == "p"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("none")


def test_errors_are_the_client_s_own_classes(gate: Whole, client: openai.OpenAI) -> None:
    with pytest.raises(openai.AuthenticationError) as refused:
        client.with_options(api_key="sk-wrong").chat.completions.create(model="m", messages=HELLO)
    assert refused.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="none", messages=HELLO)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": 7}])  # type: ignore[typeddict-item,list-item]
    assert wrong.value.param == "messages[0].content"
    gate.script(page(503), page(503))
    with pytest.raises(openai.InternalServerError) as failed:
        client.chat.completions.create(model="m", messages=HELLO)
    assert failed.value.code == "upstream_failed"
    gate.script(answer({"error": {"message": "no"}}, status=422))
    with pytest.raises(openai.UnprocessableEntityError):
        client.chat.completions.create(model="m", messages=HELLO)


def test_a_stream_that_breaks_is_an_error_not_an_end(gate: Whole, client: openai.OpenAI) -> None:
    gate.script(stream(events("one two")[:2], cut=True))
    with pytest.raises(openai.APIError, match="provider p"):
        list(client.chat.completions.create(model="m", messages=HELLO, stream=True))


def test_the_client_waits_as_told_and_is_admitted(gate: Whole) -> None:
    key = gate.key(limits=Limits(requests="20/s", requests_burst=1))
    with openai.OpenAI(base_url=f"http://127.0.0.1:{gate.port}/v1", api_key=key, max_retries=3) as client:
        for _ in range(4):
            assert client.chat.completions.create(model="m", messages=HELLO).choices


def test_headers_say_who_answered(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="m", messages=HELLO)
    for name in (
        "x-request-id",
        "x-kpgate-model",
        "x-kpgate-provider",
        "x-kpgate-attempts",
        "x-kpgate-overhead-us",
    ):
        assert raw.headers[name]
    assert completion()["id"] == raw.parse().id


def test_a_key_file_is_its_owner_s_alone(gate: Whole) -> None:
    assert (Path(gate.directory.root) / "pepper").stat().st_mode & 0o777 == 0o600
