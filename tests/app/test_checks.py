"""Active checks: a provider that fails them is asked last, by every worker, and comes back."""

import asyncio
from typing import Any

from kpgate._fast.pulse import BACK, ILL, WELL
from kpgate.app.checks import Checker
from kpgate.app.equipment import equip
from kpgate.domain.routing import Checks
from kpgate.domain.settings import Deployment, Model, Provider, Settings
from tests.kit.equipment import Bench, bench
from tests.kit.loops import looped
from tests.kit.provider import Provider as Upstream
from tests.kit.provider import answer, silence


def settings(at: str, **checks: Any) -> Settings:
    named = Provider(
        name="p", base_url=f"{at}/v1", api_key="env:SECRET", checks=Checks(**checks) if checks else None
    )
    return Settings(
        providers=(named,), models=(Model(name="m", deployments=(Deployment(provider="p", model="up"),)),)
    )


class Watch:
    """A gate's checks, made when the test says so."""

    def __init__(self, gate: Bench) -> None:
        self.gate = gate
        self.now_us = gate.ground.clock()
        self.checker = Checker(gate.loop, gate.ground.clock)
        self.pulse = gate.gateway.equipment.routes.plans[0].peers[0]

    async def once(self, later_s: float = 100) -> int:
        """Make what is due, and wait for it: the state that comes of it."""
        self.now_us += int(later_s * 1_000_000)
        self.checker.look(self.gate.gateway.equipment, self.now_us)
        await asyncio.gather(*self.checker._running)
        return self.pulse.state(self.gate.ground.clock(), self.gate.gateway.equipment.health.rules)


@looped
async def test_a_provider_that_fails_its_checks_is_out_until_it_passes_them() -> None:
    async with Upstream() as upstream:
        with bench(settings(upstream.url, kind="models", enough=2, timeout_s=0.3)) as gate:
            watch = Watch(gate)
            assert await watch.once() == WELL
            asked = upstream.requests[0]
            assert (asked.method, asked.path) == ("GET", "/v1/models")
            assert asked.headers["authorization"] == "Bearer sk-upstream-canary"
            upstream.script(answer(b"{}", status=503), silence())
            assert await watch.once() == WELL
            assert await watch.once() == ILL, "a stall is as bad as a 503"
            upstream.script(answer(b"{}", status=401))
            assert await watch.once() == ILL
            upstream.script(answer(b"{}", status=404))
            assert await watch.once() == ILL
            assert await watch.once() == BACK, "it answers, whatever it thinks of the path"


@looped
async def test_a_check_that_is_not_due_is_not_made() -> None:
    async with Upstream() as upstream:
        with bench(settings(upstream.url, kind="models", every_s=40)) as gate:
            watch = Watch(gate)
            for _ in range(4):
                await watch.once(later_s=5)
            assert len(upstream.requests) == 1
            await watch.once(later_s=50)
            assert len(upstream.requests) == 2


@looped
async def test_connecting_is_enough_where_no_more_is_asked_for() -> None:
    async with Upstream() as upstream:
        with bench(settings(upstream.url, kind="tcp", enough=1)) as gate:
            watch = Watch(gate)
            assert await watch.once() == WELL
            assert upstream.accepted == 1 and not upstream.requests
            upstream.refuse()
            assert await watch.once() == ILL
            gate.gateway.swap(equip(settings(upstream.url), gate.ground, gate.numbers))
            assert await watch.once() == WELL, "checks that are made no more say nothing"


@looped
async def test_nobody_is_checked_unless_it_is_asked_for() -> None:
    async with Upstream() as upstream:
        with bench(settings(upstream.url)) as gate:
            assert await Watch(gate).once() == WELL
            assert upstream.accepted == 0
