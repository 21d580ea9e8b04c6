"""Deployments that cannot be asked what a call asks: passed over as if they were not there, in a virtual model, among
several of one and as fallbacks; only where nobody can be asked the call is refused, by the field's name.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from kpgate.app.ways import ENDPOINTS
from kpgate.domain.dialect import Endpoint
from kpgate.domain.limits import Limits
from kpgate.domain.routing import Ejection, Hedge
from kpgate.domain.settings import Deployment, Model, Retries, Settings
from kpgate.domain.settings import Provider as Named
from kpgate.services.choose import Asked
from kpgate.services.explain import explain
from tests.kit.equipment import CALLER, Bench, bench
from tests.kit.exchange import FakeExchange
from tests.kit.loops import looped
from tests.kit.payer import Payer
from tests.kit.provider import Provider, answer, completion, events, silence, stream
from tests.kit.whole import Whole

CHAT = ENDPOINTS[0]
SEED = {"seed": 7}
UNSAID: list[dict[str, Any]] = [
    SEED,
    {"n": 2},
    {"logprobs": True},
    {"frequency_penalty": 0.5},
    {"presence_penalty": 0.5},
    {"logit_bias": {"7": 1}},
]
"""What Anthropic's API has nothing for."""
CLAUDE: dict[str, Any] = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "c", "stop_reason": "end_turn",
    "content": [{"type": "text", "text": "Hi."}], "usage": {"input_tokens": 5, "output_tokens": 2},
}  # fmt: skip


def named(name: str, at: Provider, dialect: str = "openai", **more: Any) -> Named:
    base = "" if dialect == "anthropic" else "/v1"
    return Named(name=name, base_url=f"{at.url}{base}", dialect=dialect, **more)  # type: ignore[arg-type]


def at(provider: str, **more: Any) -> Deployment:
    return Deployment(provider=provider, model="up", **more)


def setting(first: Provider, second: Provider, *models: Model, **more: Any) -> Settings:
    """OpenAI at the first, Anthropic at the second."""
    return Settings(
        providers=(named("gpt", first), named("claude", second, "anthropic")),
        models=models,
        retries=Retries(max=more.pop("retries", 1), backoff_min_ms=1, backoff_max_ms=1),
        **more,
    )


async def say(gate: Bench, body: dict[str, Any], endpoint: Endpoint = CHAT) -> FakeExchange:
    asked = {"model": "m", "messages": [{"role": "user", "content": "hello"}]} | body
    key = [(b"authorization", b"Bearer sk-test")]
    exchange = FakeExchange(endpoint.path.encode(), json.dumps(asked).encode(), key)
    await gate.gateway.serve(exchange, endpoint)
    assert not gate.alarms, gate.alarms
    return exchange


def told(exchange: FakeExchange) -> tuple[int, str, str]:
    """The status, who answered, and how many were asked."""
    headers = exchange.reply_headers
    return exchange.status, headers[b"x-kpgate-provider"].decode(), headers[b"x-kpgate-attempts"].decode()


@looped
async def test_one_of_several_deployments_is_passed_over_for_every_field_that_it_has_not() -> None:
    async with Provider() as first, Provider() as second:
        with bench(
            setting(first, second, Model(name="m", deployments=(at("claude"), at("gpt", priority=1))))
        ) as gate:
            for field in UNSAID:
                for streamed in (False, True):
                    if streamed:
                        first.script(stream(events(usage=True)))
                    exchange = await say(gate, field | {"stream": streamed})
                    assert told(exchange) == (200, "gpt", "1"), (field, exchange.body)
            assert not second.requests, "nobody was asked who cannot answer"
            assert gate.gateway.equipment.routes.plans[0].peers[0].look(0)["lost"] == 0
            second.script(answer(CLAUDE))
            assert told(await say(gate, {})) == (200, "claude", "1"), "it is there for any other call"
            metrics = gate.metrics()
            assert not [
                name for name in metrics if "attempts" in name and "invalid_request" in name and metrics[name]
            ]


@looped
async def test_a_virtual_model_never_refuses_what_one_of_its_candidates_can_be_asked() -> None:
    async with Provider() as first, Provider() as second:
        models = (
            Model(name="m", candidates=("a", "b")),
            Model(name="a", deployments=(at("gpt"),)),
            Model(name="b", deployments=(at("claude"),)),
        )
        with bench(setting(first, second, *models, retries=0)) as gate:
            for _ in range(20):
                assert told(await say(gate, SEED)) == (200, "gpt", "1")
            assert len(first.requests) == 20 and not second.requests


@looped
async def test_a_fallback_that_cannot_be_asked_is_none() -> None:
    async with Provider() as first, Provider() as second:
        models = (
            Model(name="m", deployments=(at("gpt"),), fallbacks=("n",)),
            Model(name="n", deployments=(at("claude"),)),
        )
        with bench(setting(first, second, *models)) as gate:
            first.reply({"error": {"message": "x"}}, status=500)
            first.reply({"error": {"message": "x"}}, status=500)
            exchange = await say(gate, SEED)
            assert exchange.status == 502 and json.loads(exchange.body)["error"]["code"] == "upstream_failed"
            assert exchange.reply_headers[b"x-should-retry"] == b"true"
            first.reply({"error": {"message": "x"}}, status=500)
            assert told(await say(gate, SEED)) == (200, "gpt", "2"), "who can be asked is asked again"
            first.script(answer({"error": {"message": "x"}}, status=429, headers={"retry-after": "1"}))
            exchange = await say(gate, SEED)
            assert exchange.status == 429, "a limit is retried elsewhere only, and there is nobody"
            assert not second.requests


@looped
async def test_what_is_too_long_or_filtered_is_told_as_it_is_where_no_other_model_can_be_asked() -> None:
    async with Provider() as first, Provider() as second:
        models = (
            Model(name="m", deployments=(at("gpt"),), fallbacks=("n",)),
            Model(name="n", deployments=(at("claude"),)),
        )
        filtered = completion() | {
            "choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]
        }
        with bench(setting(first, second, *models)) as gate:
            for code in ("context_length_exceeded", "content_filter"):
                refusal: dict[str, Any] = {"error": {"message": "no", "code": code}}
                first.script(answer(refusal, status=400))
                exchange = await say(gate, SEED)
                assert (exchange.status, json.loads(exchange.body)) == (400, refusal)
                first.script(answer(refusal, status=400))
                second.script(answer(CLAUDE))
                assert told(await say(gate, {})) == (200, "claude", "2")
            first.script(answer(filtered))
            exchange = await say(gate, SEED)
            assert (exchange.status, json.loads(exchange.body)) == (200, filtered)
            first.script(
                stream(
                    [
                        b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"content_filter"}]}\n\n',
                        b"data: [DONE]\n\n",
                    ]
                )
            )
            exchange = await say(gate, SEED | {"stream": True})
            assert (
                exchange.status == 200 and b"content_filter" in exchange.body and b"[DONE]" in exchange.body
            )
            assert len(first.requests) == 6 and len(second.requests) == 2


@looped
async def test_where_nobody_can_be_asked_the_call_is_refused_by_name() -> None:
    async with Provider() as first, Provider() as second:
        for model in (
            Model(name="m", deployments=(at("claude"),)),
            Model(name="m", deployments=(at("claude"), Deployment(provider="claude", model="other"))),
        ):
            with bench(setting(first, second, model)) as gate:
                exchange = await say(gate, SEED)
                error = json.loads(exchange.body)["error"]
                assert (exchange.status, error["code"], error["param"]) == (400, "invalid_request", "seed")
                assert error["message"].startswith("seed: the anthropic API")
                headers = exchange.reply_headers
                assert (headers[b"x-should-retry"], headers[b"x-kpgate-attempts"]) == (b"false", b"0")
                assert not second.requests


@looped
async def test_limits_of_who_is_passed_over_are_given_back_and_those_of_who_answers_are_taken() -> None:
    async with Provider() as first, Provider() as second:
        one = Limits(concurrency=1)
        model = Model(name="m", deployments=(at("claude", limits=one), at("gpt", priority=1, limits=one)))
        with bench(setting(first, second, model)) as gate:
            for _ in range(3):
                assert told(await say(gate, SEED)) == (200, "gpt", "1")


@looped
async def test_a_second_attempt_beside_the_first_is_at_who_can_be_asked() -> None:
    async with Provider() as first, Provider() as second, Provider() as third:
        settings = Settings(
            providers=(named("gpt", first), named("claude", second, "anthropic"), named("other", third)),
            models=(
                Model(
                    name="m",
                    deployments=(at("gpt"), at("claude", priority=1), at("other", priority=2)),
                    hedge=Hedge(delay_s=0.05, budget_percent=100),
                ),
            ),
            ejection=Ejection(),
        )
        with bench(settings) as gate:
            first.script(silence())
            assert told(await say(gate, SEED)) == (200, "other", "2")
            assert not second.requests


@looped
async def test_what_was_left_out_at_one_is_not_said_of_another() -> None:
    async with Provider() as first, Provider() as second:
        settings = Settings(
            providers=(named("gpt", first), named("claude", second, "anthropic", drop_unsupported=True)),
            models=(Model(name="m", deployments=(at("claude"), at("gpt", priority=1))),),
        )
        with bench(settings) as gate:
            second.script(answer(CLAUDE))
            assert (await say(gate, SEED)).reply_headers[b"x-kpgate-dropped"] == b"seed"
            second.script(answer({"type": "error"}, status=500))
            exchange = await say(gate, SEED)
            assert told(exchange) == (200, "gpt", "2") and b"x-kpgate-dropped" not in exchange.reply_headers


@looped
async def test_whoever_asks_is_told_whom_the_call_would_not_be_asked_of() -> None:
    async with Provider() as first, Provider() as second:
        models = (
            Model(name="m", deployments=(at("claude"), at("gpt", priority=1))),
            Model(name="n", deployments=(at("claude"),)),
        )
        with bench(setting(first, second, *models)) as gate:
            for name, error, place in (("m", None, 1), ("n", "invalid_request", None)):
                body = json.dumps(
                    {"model": name, "messages": [{"role": "user", "content": "hi"}], **SEED}
                ).encode()
                call = CHAT.decode(body, 64)
                asked = Asked(CALLER, call, CHAT, body, [], 3, 7)
                said = explain(gate.gateway.equipment.routes.plan(name).chooser, asked, gate.clock())
                assert said["error"] == error
                rows = {row["provider"]: row for row in said["candidates"]}
                assert rows["claude"]["place"] is None
                assert rows["claude"]["dropped"].startswith("seed: the anthropic API")
                if place:
                    assert (rows["gpt"]["place"], rows["gpt"]["dropped"]) == (place, None)
            assert not first.requests and not second.requests


PRICE = "price = { input = 2.5, output = 10 }"
TWO = f"""
[[providers]]
name = "claude"
dialect = "anthropic"
base_url = "http://127.0.0.1:9"
[[models]]
name = "two"
deployments = [{{provider = "claude", model = "c"}}, {{provider = "p", model = "up", priority = 1}}]
output_tokens_max = 100
{PRICE}
[[models]]
name = "one"
deployments = [{{provider = "claude", model = "c"}}]
output_tokens_max = 100
{PRICE}
[ledger]
enabled = true
"""


@pytest.mark.parametrize("transport", ["granian", "direct"])
def test_who_is_passed_over_is_not_paid_for_and_nothing_stays_held(tmp_path: Path, transport: str) -> None:
    with Whole(tmp_path, TWO, transport=transport) as gate:
        payer = Payer(gate)
        status, headers, said = gate.chat(payer.key, "one", seed=7)
        assert (status, said["error"]["param"]) == (400, "seed")
        assert payer.paid() == 0
        gate.script(answer(completion()))
        status, headers, _ = gate.chat(payer.key, "two", seed=7)
        assert (status, headers["x-kpgate-provider"], headers["x-kpgate-attempts"]) == (200, "p", "1")
        assert payer.paid() == int(headers["x-kpgate-cost-microkpt"]) > 0
