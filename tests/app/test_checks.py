"""Active checks: a provider that fails them is asked last, by every worker, and comes back."""

import asyncio
from typing import Any

from kpgate._fast.metric import render
from kpgate._fast.pulse import BACK, ILL, WELL
from kpgate.app.checks import Checker
from kpgate.app.equipment import equip
from kpgate.domain.routing import Checks
from kpgate.domain.settings import Deployment, Model, Prices, Provider, Settings
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


@looped
async def test_a_call_of_one_token_is_a_check_and_what_it_uses_is_the_house_s() -> None:
    async with Upstream() as upstream:
        with bench(settings(upstream.url, kind="call", enough=1, timeout_s=0.3)) as gate:
            watch = Watch(gate)
            assert await watch.once() == WELL
            asked = upstream.requests[0]
            assert (asked.method, asked.path) == ("POST", "/v1/chat/completions")
            assert asked.headers["authorization"] == "Bearer sk-upstream-canary"
            body = asked.json()
            assert body["model"] == "up" and 1 in (body.get("max_tokens"), body.get("max_completion_tokens"))
            used = render(gate.region, {}).decode()
            assert 'kpgate_check_tokens_total{provider="p",kind="input"} 9' in used
            assert 'kpgate_check_tokens_total{provider="p",kind="output"} 3' in used
            assert "kpgate_tokens_total{" not in used and not gate.lines, "it is no caller's"
            for step in (answer(b"{}", status=503), answer(b"<html>"), answer(b"{}", status=401), silence()):
                upstream.script(step)
                assert await watch.once() == ILL
                assert await watch.once() == BACK
            upstream.script(answer(b"{}", status=400))
            assert await watch.once() == BACK, "a provider whose least is more answers, too"


@looped
async def test_the_cheapest_model_is_called_in_its_provider_s_dialect() -> None:
    async with Upstream() as upstream:
        checks = Checks(kind="call", enough=1)
        named = Provider(name="p", base_url=upstream.url, dialect="anthropic", checks=checks)
        models = tuple(
            Model(
                name=name,
                deployments=(Deployment(provider="p", model=name),),
                price=Prices(input=each, output=each),
            )
            for name, each in (("dear", 9), ("cheap", 1), ("middling", 3))
        )
        with bench(Settings(providers=(named,), models=models)) as gate:
            watch = Watch(gate)
            usage = {"input_tokens": 8, "output_tokens": 1}
            upstream.reply(
                {
                    "type": "message",
                    "id": "m",
                    "role": "assistant",
                    "model": "cheap",
                    "content": [],
                    "stop_reason": "max_tokens",
                    "usage": usage,
                }
            )
            assert await watch.once() == WELL
            assert (
                upstream.requests[0].path == "/messages" and upstream.requests[0].json()["model"] == "cheap"
            )
            assert upstream.requests[0].json()["max_tokens"] == 1
            upstream.reply({"odd": True})
            assert await watch.once() == ILL, "a success must be a reply"
