"""Whole calls where an attempt that takes long gets another one beside it: who answers, who pays, what is left."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from kpgate._fast.commit import DEPLOYMENT
from kpgate.dialects.openai.endpoints import CHAT
from kpgate.domain.limits import Limits
from kpgate.domain.routing import Hedge
from kpgate.domain.settings import Ledger, Model, Prices, Retries, Settings
from tests.kit.equipment import Bench, bench
from tests.kit.exchange import FakeExchange
from tests.kit.gateway_process import TRANSPORTS
from tests.kit.gateway_process import until as seen
from tests.kit.loops import looped, until
from tests.kit.payer import Payer, read_until
from tests.kit.provider import Provider, Step, Talk, answer, completion, events, page, silence, stream
from tests.kit.whole import Background, Whole
from tests.life.test_routing import ask, at, provider

HEDGE = Hedge(delay_s=0.1, budget_percent=100)
SECOND = completion("second")
ONE = Limits(concurrency=1)


def several(*providers: Provider, **more: Any) -> Settings:
    """A model at several deployments, asked in this order, each of which takes one call at a time."""
    model = {
        "name": "m",
        "deployments": tuple(at(f"p{place}", priority=place, limits=ONE) for place in range(len(providers))),
        "price": Prices(input=1, output=2),
        "hedge": HEDGE,
    }
    return Settings(
        providers=tuple(provider(f"p{place}", one) for place, one in enumerate(providers)),
        models=(Model(**(model | more)),),
        retries=Retries(max=1, backoff_min_ms=0, backoff_max_ms=0),
        ledger=Ledger(enabled=False),
    )


async def serve(gate: Bench, exchange: FakeExchange) -> dict[str, str]:
    """Serve it; its headers, with `status` among them."""
    await gate.gateway.serve(exchange, CHAT)
    assert not gate.alarms, gate.alarms
    found = {name.decode(): value.decode() for name, value in exchange.reply_headers.items()}
    return found | {"status": str(exchange.status)}


def hedges(gate: Bench) -> dict[str, float]:
    """What became of second attempts so far."""
    shown = gate.metrics().items()
    return {name.split('"')[3]: value for name, value in shown if name.startswith("kpgate_hedges_total{")}


async def at_rest(gate: Bench) -> None:
    """Wait until no place, limit or connection is taken."""
    kit = gate.gateway.equipment
    targets = kit.routes.plans[0].targets

    def rests() -> bool:
        busy = [pool.counts.open - pool.counts.idle for pool in gate.ground.pools.values()]
        places = [gate.limits.in_use(DEPLOYMENT, target.number) for target in targets]
        open_there = [target.pulse.open for target in targets]
        return not any((*busy, *places, *open_there, gate.limits.open_calls(), kit.retrying.under_way))

    await until(rests)


def late(step: Step, within_s: float) -> Step:
    """The same after a moment."""

    async def later(talk: Talk) -> None:
        await talk.rest_of_body()
        await asyncio.sleep(within_s)
        await step(talk)

    return later


@looped
async def test_the_second_answers_for_a_first_that_takes_long() -> None:
    async with Provider() as first, Provider() as second:
        with bench(several(first, second, route="least_busy")) as gate:
            for streamed in (False, True):
                first.script(silence())
                second.script(stream(events("second", usage=True)) if streamed else answer(SECOND))
                exchange = ask("m", stream=streamed)
                said = await serve(gate, exchange)
                assert (said["status"], said["x-kpgate-provider"]) == ("200", "p1")
                assert (said["x-kpgate-attempts"], said["x-kpgate-route"]) == ("2", "least_busy;hedge=won")
                assert b"second" in exchange.body
                await at_rest(gate)
                await until(lambda: first.open == 0)
                line = gate.lines[-1]
                assert (line["attempts"], line["provider"], line["end"]) == (2, "p1", "ok@respond")
                assert line["output_tokens"] == 3, "what the one that answered says was used"
            assert hedges(gate) == {"won": 2}
            shown = gate.metrics()
            prompts = 2 * gate.lines[-1]["prompt_tokens"]
            assert shown['kpgate_credit_microkpt_total{kind="hedged"}'] == prompts * 100
            ended = 'kpgate_upstream_attempts_total{provider="p0",outcome="hedge_lost"}'
            assert shown[ended] == 2
            pulse = gate.gateway.equipment.routes.plans[0].targets[0].pulse
            assert pulse.look(0)["lost"] == 0, "to be slower than another is no failure"


@looped
async def test_a_first_that_answers_ends_the_second() -> None:
    async with Provider() as first, Provider() as second:
        with bench(several(first, second)) as gate:
            for streamed in (False, True):
                whole = stream(events("first", usage=True)) if streamed else answer(completion("first"))
                first.script(late(whole, 0.4))
                second.script(silence())
                exchange = ask("m", stream=streamed)
                said = await serve(gate, exchange)
                assert (said["status"], said["x-kpgate-provider"]) == ("200", "p0")
                assert (said["x-kpgate-attempts"], said["x-kpgate-route"]) == ("2", "hedge=lost")
                assert b"first" in exchange.body
                await at_rest(gate)
                await until(lambda: second.open == 0)
            assert hedges(gate) == {"lost": 2}
            assert len(second.requests) == 2


@looped
async def test_who_answers_in_time_gets_no_second() -> None:
    async with Provider() as first, Provider() as second:
        with bench(several(first, second)) as gate:
            assert (await serve(gate, ask("m")))["x-kpgate-attempts"] == "1"
            # A whole reply that has begun is waited for.
            first.script(answer(completion("word " * 400), bytewise=True))
            assert (await serve(gate, ask("m")))["x-kpgate-provider"] == "p0"
            assert hedges(gate) == {}
            await at_rest(gate)


@looped
async def test_a_second_that_fails_leaves_the_call_to_the_first() -> None:
    refusals: list[Step] = [
        page(503),
        answer({"error": {"message": "no"}}, status=400),
        answer({}, status=429),
    ]
    async with Provider() as first, Provider() as second:
        with bench(several(first, second)) as gate:
            for refusal in refusals:
                first.script(late(answer(completion("first")), 0.35))
                second.script(refusal)
                said = await serve(gate, ask("m"))
                assert (said["status"], said["x-kpgate-provider"]) == ("200", "p0")
                assert said["x-kpgate-route"] == "hedge=failed"
                await at_rest(gate)
            assert hedges(gate) == {"failed": 3}


@looped
async def test_a_first_that_fails_leaves_the_call_to_the_second() -> None:
    async with Provider() as first, Provider() as second:
        with bench(several(first, second)) as gate:
            first.script(late(page(503), 0.3))
            second.script(late(answer(SECOND), 0.4))
            said = await serve(gate, ask("m"))
            assert (said["status"], said["x-kpgate-provider"], said["x-kpgate-attempts"]) == (
                "200",
                "p1",
                "2",
            )
            assert len(first.requests) == len(second.requests) == 1, "no third while the second is under way"
            assert gate.lines[-1]["upstream_us"] > 300_000, "waiting for the second is waiting for a provider"
            await at_rest(gate)


@looped
async def test_both_that_fail_are_all_that_retries_allow() -> None:
    async with Provider() as first, Provider() as second, Provider() as third:
        with bench(several(first, second, third)) as gate:
            first.script(late(page(503), 0.3))
            second.script(page(500))
            said = await serve(gate, ask("m"))
            assert (said["status"], said["x-kpgate-attempts"]) == ("502", "2")
            assert third.requests == []
            # Who fails at once is followed by the next, which may have another beside it in turn.
            first.script(page(500))
            second.script(silence())
            said = await serve(gate, ask("m"))
            assert (said["status"], said["x-kpgate-provider"], said["x-kpgate-attempts"]) == (
                "200",
                "p2",
                "3",
            )
            await at_rest(gate)


@looped
async def test_a_call_is_forgotten_at_once_whoever_answered() -> None:
    async with Provider() as first, Provider() as second:
        with bench(several(first, second)) as gate:
            for one, other in (
                (silence(), answer(SECOND)),
                (late(answer(completion("first")), 0.3), silence()),
                (late(page(503), 0.3), page(503)),
            ):
                first.script(one)
                second.script(other)
                exchange = ask("m")
                kept = weakref.ref(exchange)
                gc.disable()
                try:
                    await gate.gateway.serve(exchange, CHAT)
                    assert exchange.replies == 1
                    del exchange
                    await at_rest(gate)
                    assert kept() is None, "nothing waits for the collector"
                finally:
                    gc.enable()


@looped
async def test_two_that_never_answer_end_by_their_time_outs() -> None:
    async with Provider() as first, Provider() as second:
        with bench(several(first, second)) as gate:
            first.script(silence())
            second.script(silence())
            said = await serve(gate, ask("m", stream=True))
            assert (said["status"], said["x-kpgate-attempts"], said["x-kpgate-route"]) == (
                "504",
                "2",
                "hedge=failed",
            )
            await until(lambda: first.open == second.open == 0)
            await at_rest(gate)


@looped
async def test_a_second_is_a_retry_to_the_retry_budget() -> None:
    async with Provider() as first, Provider() as second:
        settings = several(first, second)
        nothing = Retries(budget_percent=0, budget_min=0)
        with bench(msgspec.structs.replace(settings, retries=nothing)) as gate:
            retrying = gate.gateway.equipment.retrying
            while retrying.affords(0):
                retrying.spend()
            first.script(late(answer(completion("first")), 0.3))
            assert (await serve(gate, ask("m")))["x-kpgate-attempts"] == "1"
            assert hedges(gate) == {"over_budget": 1} and second.requests == []


@looped
async def test_a_client_that_leaves_ends_both() -> None:
    async with Provider() as first, Provider() as second:
        with bench(several(first, second)) as gate:
            first.script(silence())
            second.script(silence())
            exchange = ask("m", stream=True)
            serving = asyncio.ensure_future(serve(gate, exchange))
            await until(lambda: second.requests)
            exchange.walk_away()
            await serving
            await until(lambda: first.open == second.open == 0)
            await at_rest(gate)
            assert (gate.lines[-1]["end"], gate.lines[-1]["attempts"]) == ("caller@upstream", 2)
            assert hedges(gate) == {"ended": 1}


@looped
async def test_a_first_may_answer_while_the_second_still_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Provider() as first, Provider() as second:
        with bench(several(first, second)) as gate:
            pool = gate.gateway.equipment.routes.plans[0].targets[1].pool

            resolve = gate.loop.getaddrinfo

            async def stand_still(host: str, port: int, **how: Any) -> Any:
                """The second's name does not resolve."""
                if port == second.port:
                    await asyncio.get_running_loop().create_future()
                return await resolve(host, port, **how)

            monkeypatch.setattr(gate.loop, "getaddrinfo", stand_still)
            first.script(late(answer(completion("first")), 0.3))
            serving = asyncio.ensure_future(serve(gate, ask("m")))
            await until(lambda: pool.counts.waiting == 1)
            assert (await serving)["x-kpgate-route"] == "hedge=lost"
            assert pool.counts.waiting == 0 and second.requests == []
            assert gate.metrics()['kpgate_credit_microkpt_total{kind="hedged"}'] == 0, "nobody was asked"


@looped
async def test_there_are_no_more_than_the_budget_has() -> None:
    async with Provider() as first, Provider() as second:
        with bench(several(first, second, hedge=Hedge(delay_s=0.1, budget_percent=25))) as gate:
            for _ in range(9):
                first.script(late(answer(completion("first")), 0.25))
                await serve(gate, ask("m"))
            assert len(second.requests) == 2, "one of four calls, and none before they were made"
            assert hedges(gate)["over_budget"] == 7
            await at_rest(gate)


@looped
async def test_a_second_takes_its_deployment_s_limits_or_does_not_begin() -> None:
    async with Provider() as first, Provider() as second:
        with bench(several(first, second)) as gate:
            first.script(silence(), late(answer(completion("first")), 0.35))
            second.script(stream(events("second"), every_s=0.2))
            streaming = asyncio.ensure_future(serve(gate, ask("m", stream=True)))
            await until(lambda: second.requests)
            targets = gate.gateway.equipment.routes.plans[0].targets
            await until(lambda: gate.limits.in_use(DEPLOYMENT, targets[0].number) == 0)
            assert gate.limits.in_use(DEPLOYMENT, targets[1].number) == 1, "for as long as the stream runs"
            said = await serve(gate, ask("m"))
            assert (said["x-kpgate-provider"], said["x-kpgate-attempts"]) == ("p0", "1")
            assert hedges(gate) == {"won": 1, "none_free": 1}
            assert (await streaming)["x-kpgate-provider"] == "p1"
            await at_rest(gate)


TWICE = "{ input = 5, output = 20 }"
MODEL = """output_tokens_max = 100
hedge = { delay_s = 0.1, budget_percent = 100 }
"""


@pytest.fixture(scope="module", params=TRANSPORTS)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Whole, Background]]:
    """A gateway that spends credit, with a model at `p` and then, at twice the price, at a second provider."""
    second = Background()
    second.start()
    settings = f"""
[ledger]
enabled = true
[[providers]]
name = "q"
base_url = "{second.provider.url}/v1"
[[models]]
name = "h"
deployments = [
  {{ provider = "p", model = "up", limits = {{ concurrency = 4 }} }},
  {{ provider = "q", model = "up", priority = 1, limits = {{ concurrency = 4 }}, price = {TWICE} }},
]
price = {{ input = 2.5, output = 10 }}
{MODEL}"""
    with Whole(tmp_path_factory.mktemp("pair"), settings, transport=request.param) as gate:
        yield gate, second
    second.stop()


ONCE = 9 * 500 + 3 * 2_000
"""What an answer of the second provider costs."""


def test_a_call_is_charged_once_for_whoever_answered(pair: tuple[Whole, Background]) -> None:
    gate, second = pair
    payer = Payer(gate)
    gate.script(silence())
    second.call(second.provider.script, answer(SECOND))
    status, headers, body = gate.chat(payer.key, "h")
    assert (status, headers["x-kpgate-provider"], headers["x-kpgate-attempts"]) == (200, "q", "2")
    assert body["choices"][0]["message"]["content"] == "second"
    assert int(headers["x-kpgate-cost-microkpt"]) == payer.paid() == ONCE
    seen(gate.provider.requests[-1].gone.is_set)
    gate.script(silence())
    with payer.send(model="h", stream=True) as connection:
        assert b"x-kpgate-provider: q" in read_until(connection, b"[DONE]")
    assert payer.paid() == 2 * ONCE
    seen(gate.provider.requests[-1].gone.is_set)
    gate.script(late(answer(completion("first")), 0.4))
    second.call(second.provider.script, silence())
    _, headers, _ = gate.chat(payer.key, "h")
    assert (headers["x-kpgate-provider"], headers["x-kpgate-route"]) == ("p", "hedge=lost")
    assert payer.paid() == 2 * ONCE + 9 * 250 + 3 * 1_000
    seen(second.provider.requests[-1].gone.is_set)
    assert gate.metric("kpgate_hedges_total") == 3
    gate.settled()


def test_a_client_that_leaves_ends_both_and_pays_its_prompt_once(pair: tuple[Whole, Background]) -> None:
    gate, second = pair
    payer = Payer(gate)
    before = len(second.provider.requests)
    gate.script(silence())
    second.call(second.provider.script, silence())
    with payer.send(model="h", stream=True):
        seen(lambda: len(second.provider.requests) > before)
    for one in (gate.provider, second.provider):
        seen(one.requests[-1].gone.is_set)
    gate.settled()
    assert payer.paid() == 8 * 250
    assert payer.record()["attempts"] == 2
    assert gate.chat(payer.key, "h")[0] == 200, "the worker serves on"
    assert not [said for said in gate.said if said.get("event") == "failure"]
