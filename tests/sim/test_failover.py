"""Load before providers that fail: what callers see, how often it is tried again, and what is charged.

Figures that issue 5 asks for. Every call is one of a real gateway, before real sockets; the faults are drawn by a seed.
"""

import asyncio
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kpgate.domain.routing import Ejection
from kpgate.domain.settings import Deployment, Model, Retries, Settings, Timeouts
from kpgate.domain.settings import Provider as Named
from tests.kit.equipment import Bench, bench
from tests.kit.exchange import FakeExchange
from tests.kit.gateway_process import until as state
from tests.kit.loops import looped, until
from tests.kit.provider import Provider, Talk, answer, behave, hang_up, silence
from tests.kit.whole import Whole
from tests.life.test_routing import CHAT, ask

QUICK = Timeouts(connect_s=5, first_byte_s=1, idle_s=1, total_s=20)
AT_ONCE = 16


def settings(providers: list[Provider], retries: Retries, ejection: Ejection, **more: Any) -> Settings:
    named = tuple(
        Named(name=f"p{place}", base_url=f"{one.url}/v1", timeouts=QUICK)
        for place, one in enumerate(providers)
    )
    deployments = tuple(Deployment(provider=one.name, model="up") for one in named)
    return Settings(
        providers=named,
        models=(Model(name="m", deployments=deployments, **more),),
        retries=retries,
        ejection=ejection,
    )


async def load(gate: Bench, calls: int) -> list[FakeExchange]:
    """So many calls, some at once; each as it ended."""
    done: list[FakeExchange] = []
    left = iter(range(calls))

    async def one() -> None:
        for number in left:
            exchange = ask("m", stream=number % 2 == 0)
            await gate.gateway.serve(exchange, CHAT)
            done.append(exchange)

    await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    return done


def failed(done: list[FakeExchange]) -> list[FakeExchange]:
    return [one for one in done if one.status != 200 or b"error" in one.body]


@looped
async def test_of_three_deployments_one_dies_under_load_and_comes_back() -> None:
    ejection = Ejection(failures=5, base_s=0.3, max_s=0.3, slow_start_s=3)
    async with Provider() as one, Provider() as two, Provider() as three:
        with bench(settings([one, two, three], Retries(), ejection)) as gate:
            plan = gate.gateway.equipment.routes.plans[0]
            assert not failed(await load(gate, 300))
            three.default = hang_up()
            dying = await load(gate, 1_500)
            assert plan.peers[2].look(0)["ejections"] > 0
            assert len(failed(dying)) <= len(dying) / 1000, "0.1 % in all"
            asked = len(three.requests)
            later = await load(gate, 300)
            assert not failed(later), "none after its ejection"
            assert len(three.requests) - asked <= 5, "it is probed, one call at a time"
            three.default = behave
            await until(lambda: gate.ground.clock() > plan.peers[2].ejected_until_us)
            asked = len(three.requests)
            assert not failed(await load(gate, 200))
            back = len(three.requests) - asked
            assert 1 <= back <= 60, "it is back, and its share grows: a tenth of a third at first"
            await until(
                lambda: plan.peers[2].state(gate.ground.clock(), gate.gateway.equipment.health.rules) == 0
            )
            asked = len(three.requests)
            assert not failed(await load(gate, 300))
            assert 60 <= len(three.requests) - asked <= 140, "then it has its whole share"


def faulty(numbers: random.Random, percent: int, seen: Counter[str]) -> Any:
    """Answers that are 5xx, resets and stalls, at a rate."""

    async def step(talk: Talk) -> None:
        if numbers.random() * 100 >= percent:
            seen["well"] += 1
            await behave(talk)
            return
        kind, fault = numbers.choice(
            [
                ("5xx", answer({"error": "x"}, status=503)),
                ("reset", hang_up(reset=True)),
                ("stall", silence()),
            ]
        )
        seen[kind] += 1
        await fault(talk)

    return step


@pytest.mark.parametrize("seed", [1, 2])
def test_a_tenth_of_all_answers_fails_and_callers_hardly_notice(seed: int) -> None:
    @looped
    async def run() -> None:
        numbers, seen = random.Random(seed), Counter[str]()
        retries = Retries(max=3, backoff_min_ms=1, backoff_max_ms=5)
        async with Provider() as one, Provider() as two, Provider() as three:
            for provider in (one, two, three):
                provider.default = faulty(numbers, 10, seen)
            with bench(settings([one, two, three], retries, Ejection())) as gate:
                done = await load(gate, 2_000)
                broken = failed(done)
                assert len(broken) <= len(done) / 1000, f"{len(broken)} of {len(done)}: {seen}"
                asked = sum(len(provider.requests) for provider in (one, two, three))
                assert asked <= len(done) * 1.2, f"{asked} attempts for {len(done)} calls"
                told = sum(line["attempts"] for line in gate.lines)
                # A kept-alive connection that turns out dead is replaced within its attempt.
                assert told <= asked <= told + seen["reset"]

    run()


PAID = 9 * 250 + 3 * 1_000
FUNDS = 10**12


def test_whatever_fails_on_the_way_each_answer_is_charged_once(tmp_path: Path) -> None:
    settings = """
[ledger]
enabled = true
[retries]
max = 5
backoff_min_ms = 1
backoff_max_ms = 5
[ejection]
failures = 3
base_s = 0.2
max_s = 0.2
[[providers]]
name = "q"
base_url = "{url}/v1"
timeouts = {{ first_byte_s = 0.3 }}
[[models]]
name = "two"
deployments = [
    {{ provider = "p", model = "up", timeouts = {{ first_byte_s = 0.3 }} }},
    {{ provider = "q", model = "up" }},
]
price = {{ input = 2.5, output = 10 }}
output_tokens_max = 50
"""
    numbers, seen = random.Random(7), Counter[str]()
    gate = Whole(tmp_path, server="workers = 2")
    gate.configure(gate.text(settings.format(url=gate.provider.url), server="workers = 2"))
    with gate:
        gate.background.call(setattr, gate.provider, "default", faulty(numbers, 10, seen))
        gate.fund("testers", FUNDS)
        secret = gate.key()
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: gate.chat(secret, "two")[0], range(400)))
        gate.settled()
        well = answers.count(200)
        assert len(answers) - well <= 1, Counter(answers)
        state(lambda: gate.balance("testers")["held_microkpt"] == 0)
        assert gate.balance("testers")["balance_microkpt"] == FUNDS - well * PAID
        assert min(seen[kind] for kind in ("5xx", "reset", "stall")) > 3, "they did fail"
