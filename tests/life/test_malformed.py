"""Whole replies whose bytes go through, and that are no answers: an error in the caller's dialect, tried elsewhere,
counted against whoever sent it, and charged to nobody.

What a reply legitimately leaves out, its usage first of all, makes it no less of an answer.
"""

import json
import zlib
from typing import Any

import pytest

from kpgate.app.ways import ENDPOINTS, find
from kpgate.domain.settings import Deployment, Model, Retries, Settings
from kpgate.domain.settings import Provider as Named
from tests.kit.equipment import Bench, bench
from tests.kit.exchange import FakeExchange
from tests.kit.loops import looped
from tests.kit.payer import Payer
from tests.kit.provider import Provider, answer, completion
from tests.kit.whole import Whole
from tests.life.test_charging import own

__all__ = ["own"]

HELLO = [{"role": "user", "content": "hello"}]
GENERATE, COUNT = "/v1beta/models/m:generateContent", "/v1beta/models/m:countTokens"
ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "/v1/chat/completions": ("openai", {"messages": HELLO}),
    "/v1/completions": ("openai", {"prompt": "hello"}),
    "/v1/embeddings": ("openai", {"input": "hello"}),
    "/v1/moderations": ("openai", {"input": "hello"}),
    "/v1/images/generations": ("openai", {"prompt": "a boat"}),
    "/v1/responses": ("responses", {"input": "hello"}),
    "/v1/messages": ("anthropic", {"messages": HELLO, "max_tokens": 9}),
    "/v1/messages/count_tokens": ("anthropic", {"messages": HELLO}),
    GENERATE: ("gemini", {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}),
    COUNT: ("gemini", {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}),
}
BASES = {"anthropic": "", "gemini": "/v1beta"}
ENDED: dict[str, Any] = {"role": "assistant", "content": "Hi."}
CALLED = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"half": '}}
WELL: dict[str, list[dict[str, Any]]] = {
    "/v1/chat/completions": [
        {"choices": [{"index": 0, "message": ENDED, "finish_reason": "stop"}]},
        {"choices": [{"message": {"role": "assistant", "content": None, "tool_calls": [CALLED]}}]},
        {"choices": [{"message": {"content": [{"type": "text", "text": "Hi."}]}}], "error": None},
        {"choices": [{"finish_reason": "content_filter", "index": 0}]},
        {"choices": [{"message": {"content": ""}}], "usage": {"prompt_tokens": 5, "completion_tokens": 0}},
        {"choices": [{"message": ENDED}], "usage": None},
    ],
    "/v1/completions": [{"choices": [{"text": "", "index": 0, "finish_reason": "stop"}]}],
    "/v1/embeddings": [
        {"object": "list", "data": [{"index": 0, "embedding": [0.1]}]},
        {"data": [{"embedding": "AAAA"}], "usage": {"prompt_tokens": 1, "total_tokens": 1}},
    ],
    "/v1/moderations": [{"id": "modr-1", "results": [{"flagged": False}]}],
    "/v1/images/generations": [{"created": 1, "data": [{"url": "https://images.invalid/1"}]}],
    "/v1/responses": [
        {"id": "r", "status": "completed", "output": [{"type": "message", "content": []}]},
        {"id": "r", "status": "queued", "output": [], "usage": None, "error": None},
        {"id": "r", "status": "incomplete", "output": []},
    ],
    "/v1/messages": [
        {"type": "message", "content": [{"type": "text", "text": "Hi."}]},
        {"content": [], "stop_reason": "end_turn", "usage": {"input_tokens": 5, "output_tokens": 0}},
    ],
    "/v1/messages/count_tokens": [{"input_tokens": 9}],
    GENERATE: [
        {"candidates": [{"finishReason": "SAFETY", "index": 0}]},
        {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 5}},
    ],
    COUNT: [{"totalTokens": 9}],
}
NOTHING: dict[str, list[Any]] = {
    "/v1/chat/completions": [
        {"choices": []},
        {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 0}},
        {"choices": None},
        {"choices": {"0": {}}},
        {"choices": [{"index": 0}]},
        {"choices": [{"message": "Hi."}]},
        {"choices": [{"message": {"content": 7}}]},
    ],
    "/v1/completions": [{"choices": []}, {"choices": [{"text": ["Hi."]}]}],
    "/v1/embeddings": [{"data": []}, {"data": "AAAA"}],
    "/v1/moderations": [{"results": []}],
    "/v1/images/generations": [{"created": 1, "data": []}],
    "/v1/responses": [
        {"output": []},
        {"status": "completed", "output": [], "usage": {"input_tokens": 5, "output_tokens": 0}},
        {"status": "completed", "output": "Hi."},
        {"status": "failed", "output": [], "error": {"code": "server_error", "message": "boom"}},
    ],
    "/v1/messages": [{"content": []}, {"content": "Hi."}, {"content": {"type": "text"}}],
    "/v1/messages/count_tokens": [{"tokens": 9}],
    GENERATE: [{"candidates": []}, {"candidates": [7]}, {"usageMetadata": {"promptTokenCount": 5}}],
    COUNT: [{"tokens": 9}],
}
ERROR: dict[str, Any] = {"error": {"message": "boom", "code": 500}}
BAD = [
    (path, json.dumps(one).encode())
    for path in ASKED
    for one in (*NOTHING[path], {}, ERROR, {"type": "error", **ERROR}, {"error": "boom"})
]
BAD += [
    (path, json.dumps(one).encode()[:cut]) for path, all in WELL.items() for one in all[:1] for cut in (-1, 9)
]
BAD += [
    # Its end looks like one: the object that is closed last is not the reply.
    ("/v1/chat/completions", b'{"choices":[{"message":{"content":"Hi."}'),
    ("/v1/chat/completions", b'{"choices":[{"message":{"content":"Hi."},"usage":{"prompt_tokens":5}}'),
    (
        "/v1/messages",
        b'{"content":[{"type":"text","text":"Hi."}],"usage":{"input_tokens":5,"output_tokens":2}',
    ),
    (
        GENERATE,
        b'{"candidates":[{"content":{"parts":[{"text":"Hi."}]}}],"usageMetadata":{"promptTokenCount":5}',
    ),
    ("/v1/responses", b'{"output":[{"type":"message"}],"usage":{"input_tokens":5,"output_tokens":2}'),
    ("/v1/chat/completions", zlib.compress(json.dumps(completion()).encode())),
]


def setting(path: str, *providers: Provider, retries: int = 0) -> Settings:
    dialect = ASKED[path][0]
    named = tuple(
        Named(
            name=f"p{n}",
            base_url=f"{one.url}{BASES.get(dialect, '/v1')}",
            dialect=dialect,  # type: ignore[arg-type]
            api_key="env:SECRET",
        )
        for n, one in enumerate(providers)
    )
    deployments = tuple(Deployment(provider=one.name, model="up", priority=n) for n, one in enumerate(named))
    model = Model(name="m", deployments=deployments)
    return Settings(providers=named, models=(model,), retries=Retries(max=retries))


async def ask(gate: Bench, path: str, **more: Any) -> FakeExchange:
    dialect, body = ASKED[path]
    if dialect != "gemini":
        body = body | {"model": "m"}
    endpoint = {one.path: one for one in ENDPOINTS}.get(path) or find(path.encode(), b"")
    assert endpoint is not None
    key = [(b"authorization", b"Bearer sk-test")]
    exchange = FakeExchange(path.encode(), json.dumps(body | more).encode(), key)
    await gate.gateway.serve(exchange, endpoint)
    assert not gate.alarms, gate.alarms
    return exchange


def failures(gate: Bench) -> int:
    told: int = gate.gateway.equipment.routes.plans[0].peers[0].look(0)["lost"]
    return told


def message_of(path: str, exchange: FakeExchange) -> str:
    """An error's message. It is in the caller's dialect."""
    said = json.loads(exchange.body)
    dialect = ASKED[path][0]
    if dialect == "anthropic":
        assert said["type"] == "error" and said["error"]["type"] == "api_error"
    elif dialect == "gemini":
        assert said["error"]["code"] == 502 and said["error"]["status"]
    else:
        assert said["error"]["code"] == "upstream_failed" and said["error"]["type"] == "server_error"
    told: str = said["error"]["message"]
    return told


@looped
async def test_what_is_no_answer_is_an_error_in_the_caller_s_dialect() -> None:
    for path in ASKED:
        async with Provider() as provider:
            with bench(setting(path, provider)) as gate:
                bad = [body for one, body in BAD if one == path]
                for number, body in enumerate(bad, 1):
                    provider.script(answer(body))
                    exchange = await ask(gate, path)
                    assert exchange.status == 502, (path, body, exchange.body)
                    message = message_of(path, exchange)
                    assert ("boom" in message) == (b"boom" in body)
                    line = gate.lines[-1]
                    assert (line["code"], line["output_tokens"]) == ("upstream_failed", 0), body
                    assert failures(gate) == number, "it counts against the provider"


@looped
async def test_what_is_no_answer_is_tried_elsewhere() -> None:
    for path, all in WELL.items():
        async with Provider() as first, Provider() as second:
            with bench(setting(path, first, second, retries=1)) as gate:
                for _, body in [one for one in BAD if one[0] == path][:4]:
                    first.script(answer(body))
                    second.script(answer(all[0]))
                    exchange = await ask(gate, path)
                    assert exchange.status == 200, (path, body, exchange.body)
                    assert json.loads(exchange.body) == all[0]
                    assert exchange.reply_headers[b"x-kpgate-attempts"] == b"2"


@looped
async def test_answers_pass_byte_for_byte_whatever_they_leave_out() -> None:
    for path, all in WELL.items():
        async with Provider() as provider:
            with bench(setting(path, provider)) as gate:
                for one in all:
                    body = json.dumps(one, indent=1).encode() + b"\n"
                    provider.script(answer(body))
                    exchange = await ask(gate, path)
                    assert (exchange.status, exchange.body) == (200, body), (path, one)
                    assert failures(gate) == 0


@looped
async def test_a_whole_error_for_a_stream_is_an_error_too() -> None:
    for path in ("/v1/chat/completions", "/v1/responses", "/v1/messages"):
        async with Provider() as provider:
            with bench(setting(path, provider)) as gate:
                provider.script(answer(ERROR))
                exchange = await ask(gate, path, stream=True)
                assert exchange.status == 502
                assert message_of(path, exchange).endswith("boom")


@looped
async def test_an_error_about_the_credential_is_not_quoted() -> None:
    path = "/v1/chat/completions"
    async with Provider() as provider:
        with bench(setting(path, provider)) as gate:
            for named in ({"code": 401}, {"type": "authentication_error"}, {"code": "invalid_api_key"}):
                provider.script(answer({"error": {"message": "wrong key sk-upstream-canary"} | named}))
                exchange = await ask(gate, path)
                assert exchange.status == 502 and b"canary" not in exchange.body


@pytest.mark.parametrize(
    "body", [b'{"id":"x","choices":[{"mess', b'{"choices":[]}', json.dumps(ERROR).encode()]
)
def test_what_is_no_answer_costs_nothing(own: Whole, body: bytes) -> None:
    payer = Payer(own)
    own.script(answer(body))
    status, headers, said = own.chat(payer.key)
    assert (status, said["error"]["code"]) == (502, "upstream_failed")
    assert headers["x-should-retry"] == "true"
    assert payer.paid() == 0
    own.script(answer(completion()))
    assert own.chat(payer.key)[0] == 200
    assert payer.paid() > 0
