"""A gateway in memory before a real socket: every piece is the real one but the store of keys and the transport."""

import asyncio
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson

from kpgate._fast import limit, metric, pulse
from kpgate._fast.commit import Life, Region, Seat
from kpgate._fast.limit import Limits
from kpgate._fast.metric import Shard
from kpgate._fast.pulse import Pulses
from kpgate._fast.wait import Wheel, clock
from kpgate.app.equipment import Ground, equip, names
from kpgate.domain.call import Record
from kpgate.domain.caller import Caller, Party
from kpgate.domain.errors import InvalidApiKey
from kpgate.domain.metrics import METRICS
from kpgate.domain.settings import Settings
from kpgate.gateway import Gateway
from kpgate.services.auth import Auth
from kpgate.services.meters import Meters
from kpgate.services.offload import Offload
from kpgate.services.receive import Ids, Inflight
from kpgate.services.record import Line
from tests.kit.vocabularies import lend

TICK_S = 0.02
DEFAULTS = dict(zip(Line.__struct_fields__[6:], Line.__struct_defaults__, strict=True))
CALLER = Caller("test", 1, Party(1, "testers"))


class LoopClock:
    """Time as a loop lives it: it moves a step with each tick of the loop's, and never while the loop is not at work.

    A time-out by it leaves whoever shares the loop as many turns as there are ticks in it, however long the machine
    has no core for the process: nothing is late because the test was not run.
    """

    def __init__(self) -> None:
        self.now_us = clock()

    def __call__(self) -> int:
        # As on any clock, what happens later is later.
        self.now_us += 1
        return self.now_us

    def tick(self) -> None:
        self.now_us += round(TICK_S * 1_000_000)


class Bench:
    """A gateway to test, its log lines, its region and its ticking wheel. Its clock is the machine's, or a loop's."""

    def __init__(
        self,
        settings: Settings,
        auth: Auth,
        folder: Path,
        environ: Mapping[str, str],
        lived: LoopClock | None = None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.lived = lived
        self.clock = lived or clock
        self.lines: list[dict[str, Any]] = []
        self.alarms: list[Exception] = []
        areas = limit.areas(64, 64, 64, 64, 256) | metric.areas(1) | pulse.areas(4, 256)
        self.region = Region.create(areas, 4)
        self.life = Life.claim(folder, 0, 4)
        seat = Seat(self.region, self.life)
        self.limits = Limits(self.region, seat, 3_600_000_000)
        self.wheel = Wheel(now_us=self.clock())
        self.offload = Offload(self.loop)
        lend(folder)
        self.ground = Ground(
            loop=self.loop,
            wheel=self.wheel,
            clock=self.clock,
            environ={"SECRET": "sk-upstream-canary", **environ},
            cache=folder,
            limits=self.limits,
            pulses=Pulses(self.region, seat),
            meters=Meters(Shard(self.region, 0)),
            offload=self.offload,
            inflight=Inflight(0, 0, self.wheel, self.loop),
            ids=Ids("req-test-"),
            auth=lambda settings: auth,
            write=lambda line: self.lines.append(full(orjson.loads(line))),
            alarm=self._alarm,
            created_s=1_700_000_000,
        )
        self.numbers = {name: number for number, name in enumerate(names(settings), 1)}
        self.gateway = Gateway(equip(settings, self.ground, self.numbers), self.clock)
        self._ticking = self.loop.call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        if self.lived is not None:
            self.lived.tick()
        assert not self.wheel.advance(self.clock()), "a timer's callback raised"
        self._ticking = self.loop.call_later(TICK_S, self._tick)

    def _alarm(self, error: Exception, record: Record) -> None:
        self.alarms.append(error)

    def metrics(self) -> dict[str, float]:
        """What `/metrics` shows, by name and labels."""
        lines = metric.render(self.region, {one.name: one.meaning for one in METRICS}).decode().splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line[0] != "#"}

    def close(self) -> None:
        """Stop; every place, limit and connection must have been given back."""
        self._ticking.cancel()
        kit = self.gateway.equipment
        assert kit.inflight.taken == 0
        assert not self.gateway.lives
        assert self.limits.open_calls() == 0
        for pool in self.ground.pools.values():
            pool.close()
        self.offload.close()
        self.life.close()


def full(line: dict[str, Any]) -> dict[str, Any]:
    """A log line with what was left out of it."""
    return {name: line.get(name, default) for name, default in DEFAULTS.items()} | line


class OneKey(Auth):
    """A store of keys that knows `sk-test`."""

    def __init__(self) -> None:
        """There is no keyring behind it."""

    def source(self, peer: str, forwarded_for: bytes | None) -> str:
        return peer

    def identify(self, credential: bytes | None, source: str) -> Caller:
        if credential != b"sk-test":
            raise InvalidApiKey("the API key is unknown")
        return CALLER

    def authorise(self, caller: Caller, model: str) -> None:
        assert caller is CALLER

    def allows(self, caller: Caller, model: str) -> bool:
        return caller is CALLER


@contextmanager
def bench(
    settings: Settings,
    environ: Mapping[str, str] = MappingProxyType({}),
    lived: LoopClock | None = None,
) -> Iterator[Bench]:
    """A gateway for one test, inside a running loop."""
    with tempfile.TemporaryDirectory() as folder:
        one = Bench(settings, OneKey(), Path(folder), environ, lived)
        yield one
        one.close()
