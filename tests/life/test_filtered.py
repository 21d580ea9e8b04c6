"""What a provider's filter takes is answered by a fallback, before anything has gone to the caller; charged once."""

import json
from typing import Any

import pytest

from kpgate.app.ways import ENDPOINTS, find
from kpgate.domain.settings import Deployment, Model, Retries, Settings
from kpgate.domain.settings import Provider as Named
from tests.kit.equipment import Bench, bench
from tests.kit.exchange import FakeExchange
from tests.kit.loops import looped
from tests.kit.provider import Provider, Step, answer, completion, events, stream

HELLO = [{"role": "user", "content": "hello"}]
PATHS: dict[str, tuple[str, dict[str, Any]]] = {
    "openai": ("/v1/chat/completions", {"messages": HELLO}),
    "responses": ("/v1/responses", {"input": "hello"}),
    "anthropic": ("/v1/messages", {"messages": HELLO, "max_tokens": 9}),
    "gemini": (
        "/v1beta/models/m:generateContent",
        {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]},
    ),
}
STREAMED = {"gemini": "/v1beta/models/m:streamGenerateContent"}


def chat(reason: str, text: str | None = None) -> dict[str, Any]:
    reply = completion()
    message = {"role": "assistant", "content": text, "refusal": None}
    results = {"content_filter_results": {"hate": {"filtered": True}}}
    return reply | {"choices": [{"index": 0, "message": message, "finish_reason": reason} | results]}


def claude(text: str = "") -> dict[str, Any]:
    content = [{"type": "text", "text": text}] if text else []
    usage = {"input_tokens": 5, "output_tokens": 1}
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "c", "content": content,
        "stop_reason": "refusal", "stop_sequence": None, "usage": usage,
    }  # fmt: skip


def gemini(**more: Any) -> dict[str, Any]:
    return more | {"usageMetadata": {"promptTokenCount": 5, "totalTokenCount": 5}, "modelVersion": "g"}


WHOLE: list[tuple[str, dict[str, Any]]] = [
    ("openai", chat("content_filter")),
    ("openai", chat("content_filter", "  ")),
    (
        "responses",
        {
            "id": "resp_1", "object": "response", "created_at": 1, "model": "r", "status": "incomplete",
            "incomplete_details": {"reason": "content_filter"}, "output": [],
            "usage": {"input_tokens": 5, "output_tokens": 0, "total_tokens": 5},
        },
    ),
    ("anthropic", claude()),
    ("anthropic", claude("I will")),
    ("gemini", gemini(promptFeedback={"blockReason": "SAFETY"})),
    ("gemini", gemini(candidates=[{"finishReason": "SAFETY", "index": 0}])),
]  # fmt: skip


def setting(dialect: str, first: Provider, second: Provider, **more: Any) -> Settings:
    base = "" if dialect == "anthropic" else "/v1beta" if dialect == "gemini" else "/v1"
    one = Named(name="p0", base_url=f"{first.url}{base}", dialect=dialect)  # type: ignore[arg-type]
    other = Named(name="p1", base_url=f"{second.url}/v1")
    return Settings(
        providers=(one, other),
        models=(
            Model(name="m", deployments=(Deployment(provider="p0", model="up"),), fallbacks=("n",)),
            Model(name="n", deployments=(Deployment(provider="p1", model="other"),)),
        ),
        **more,
    )


async def ask(gate: Bench, caller: str, streamed: bool = False) -> FakeExchange:
    path, body = PATHS[caller]
    query = b""
    if caller != "gemini":
        body = body | {"model": "m"} | ({"stream": True} if streamed else {})
    elif streamed:
        path, query = STREAMED[caller], b"alt=sse"
    endpoint = {one.path: one for one in ENDPOINTS}.get(path) or find(path.encode(), query)
    assert endpoint is not None
    exchange = FakeExchange(path.encode(), json.dumps(body).encode(), [(b"authorization", b"Bearer sk-test")])
    await gate.gateway.serve(exchange, endpoint)
    assert not gate.alarms, gate.alarms
    return exchange


def model_of(exchange: FakeExchange) -> tuple[int, str, str]:
    headers = exchange.reply_headers
    return exchange.status, headers[b"x-kpgate-model"].decode(), headers[b"x-kpgate-attempts"].decode()


@looped
async def test_a_whole_reply_that_a_filter_took_is_answered_by_the_fallback_in_every_dialect() -> None:
    for dialect, refusal in WHOLE:
        async with Provider() as first, Provider() as second:
            with bench(setting(dialect, first, second)) as gate:
                for caller in PATHS:
                    first.reply(refusal)
                    exchange = await ask(gate, caller)
                    assert model_of(exchange) == (200, "n", "2"), (dialect, caller, exchange.body)
                    assert b"Hello there." in exchange.body
                    assert gate.lines[-1]["input_tokens"] == 9, "what the fallback used, and no more"
                peer = gate.gateway.equipment.routes.plans[0].peers[0]
                assert peer.look(0)["lost"] == 0, "no refusal is a failure"


@looped
async def test_what_was_cut_short_or_is_the_last_one_s_is_an_answer() -> None:
    async with Provider() as first, Provider() as second:
        with bench(setting("openai", first, second)) as gate:
            first.reply(chat("content_filter", "It was a dark"))
            exchange = await ask(gate, "openai")
            assert model_of(exchange) == (200, "m", "1") and b"It was a dark" in exchange.body
            first.reply(chat("content_filter"))
            second.reply(chat("content_filter"))
            exchange = await ask(gate, "openai")
            assert model_of(exchange) == (200, "n", "2")
            assert json.loads(exchange.body)["choices"][0]["finish_reason"] == "content_filter"
            first.reply(chat("content_filter"))
            second.reply({}, status=500)
            exchange = await ask(gate, "openai")
            assert json.loads(exchange.body)["error"]["code"] == "upstream_failed"
            used = {"prompt_tokens": 9, "completion_tokens": 1}
            first.reply({"choices": "content_filter", "x": ["content_filter"], "usage": used})
            assert model_of(await ask(gate, "openai")) == (200, "m", "1"), "what is no reply is not judged"
        with bench(setting("openai", first, second, retries=Retries(max=0))) as gate:
            first.reply(chat("content_filter"))
            assert model_of(await ask(gate, "openai")) == (200, "m", "1"), "nobody else may be asked"


def sse(*payloads: Any, named: bool = False) -> list[bytes]:
    return [
        (f"event: {one['type']}\n".encode() if named else b"")
        + b"data: "
        + json.dumps(one).encode()
        + b"\n\n"
        for one in payloads
    ]


def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "g", "choices": [choice]}


BEGUN = claude() | {"stop_reason": None}
STREAMS: list[tuple[str, list[bytes]]] = [
    (
        "openai",
        [*sse(chunk({"role": "assistant", "content": ""}), chunk({}, "content_filter")), b"data: [DONE]\n\n"],
    ),
    (
        "anthropic",
        sse(
            {"type": "message_start", "message": BEGUN},
            {"type": "ping"},
            {"type": "message_delta", "delta": {"stop_reason": "refusal"}, "usage": {"output_tokens": 1}},
            {"type": "message_stop"},
            named=True,
        ),
    ),
    ("gemini", sse(gemini(promptFeedback={"blockReason": "PROHIBITED_CONTENT"}))),
    (
        "responses",
        sse(
            {
                "type": "response.created",
                "sequence_number": 0,
                "response": WHOLE[2][1] | {"status": "in_progress"},
            },
            {"type": "response.incomplete", "sequence_number": 1, "response": WHOLE[2][1]},
            named=True,
        ),
    ),
]


@looped
async def test_a_stream_that_a_filter_took_before_its_first_word_is_answered_by_the_fallback() -> None:
    for dialect, refused in STREAMS:
        async with Provider() as first, Provider() as second:
            with bench(setting(dialect, first, second)) as gate:
                for caller in PATHS:
                    first.script(stream(refused))
                    second.script(stream(events(usage=True)))
                    exchange = await ask(gate, caller, streamed=True)
                    assert model_of(exchange) == (200, "n", "2"), (dialect, caller, exchange.body)
                    assert b"Hello" in exchange.body and b"refus" not in exchange.body
                    assert exchange.replies == 1 and gate.lines[-1]["input_tokens"] == 9


@pytest.mark.parametrize("cut", [False, True])
@looped
async def test_a_stream_that_has_spoken_or_is_odd_goes_on_as_it_came(cut: bool) -> None:
    spoken = [
        *sse(
            chunk({"role": "assistant", "content": ""}), chunk({"content": "It"}), chunk({}, "content_filter")
        )
    ]
    sent: list[tuple[Step, list[bytes]]] = [
        (stream([*spoken, b"data: [DONE]\n\n"]), [*spoken, b"data: [DONE]\n\n"]),
        (stream(events(usage=False)), events(usage=False)),
    ]
    async with Provider() as first, Provider() as second:
        with bench(setting("openai", first, second)) as gate:
            for step, wanted in sent:
                if cut:
                    # Every byte in a chunk of its own: nothing is lost between holding back and going on.
                    first.script(stream([bytes([byte]) for byte in b"".join(wanted)]))
                else:
                    first.script(step)
                exchange = await ask(gate, "openai", streamed=True)
                assert model_of(exchange) == (200, "m", "1")
                assert exchange.body == b"".join(wanted)
            silent = [b": keep-alive\n\n"] * 3 + sse(chunk({"content": "x" * 70_000}))
            first.script(stream([*silent, b"data: [DONE]\n\n"]))
            assert len((await ask(gate, "openai", streamed=True)).body) > 70_000
            odd = [b"data: {oops\n\n", *events()]
            first.script(stream(odd))
            assert (await ask(gate, "openai", streamed=True)).body == b"".join(odd)
            assert second.requests == []


@looped
async def test_azure_s_refusal_by_status_is_one_too() -> None:
    refusal: dict[str, object] = {"error": {"code": "content_filter", "message": "filtered", "status": 400}}
    async with Provider() as first, Provider() as second:
        with bench(setting("openai", first, second)) as gate:
            for streamed in (False, True):
                first.script(answer(refusal, status=400))
                second.script(stream(events(usage=True)) if streamed else answer(completion()))
                assert model_of(await ask(gate, "openai", streamed)) == (200, "n", "2")
            assert "content_filtered" not in {line.get("error") for line in gate.lines}
