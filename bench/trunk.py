"""A governed call in memory: the real gateway between two transports that go nowhere, with a stamp at each phase.

Owns the stamps and what a phase comes to; run as a module it is counted by callgrind. The configuration is that of
the throughput benchmark. Knows no network and no process.
"""

import gc
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import Any, cast

import kpgate.gateway
from bench.bodies import conversation
from bench.books import Books
from bench.callgrind import Part, count, mark
from bench.carriers import Plug, request
from bench.load import chat
from bench.provider import REPLY
from bench.target import PATH, Shape, Target, settings
from kpgate._fast import limit, metric, pulse
from kpgate._fast.client import Client
from kpgate._fast.commit import Life, Region, Seat
from kpgate._fast.http1 import Connection
from kpgate._fast.lane import Lane
from kpgate._fast.limit import Limits
from kpgate._fast.metric import Shard
from kpgate._fast.outbox import Outbox
from kpgate._fast.pulse import Pulses
from kpgate._fast.wait import Wheel, clock
from kpgate.app.config import load
from kpgate.app.equipment import Ground, equip, names
from kpgate.dialects.openai.endpoints import ENDPOINTS
from kpgate.domain.phase import Phase
from kpgate.gateway import Gateway
from kpgate.life import Equipment
from kpgate.life import Life as Call
from kpgate.services.auth import Auth, Keyring, Terms
from kpgate.services.meters import Meters
from kpgate.services.offload import Offload
from kpgate.services.receive import Ids, Inflight
from kpgate.services.route import Plan
from tests.kit.exchange import FakeExchange
from tests.kit.keyrings import PEPPER, START_US, Keys

RECORD = "record"
END = "end"
WHOLE = "whole"
ORDER = (
    *(Phase.RECEIVE, Phase.AUTH, Phase.DECODE, Phase.ADMIT, Phase.ROUTE),
    *(Phase.UPSTREAM, Phase.SETTLE, Phase.RESPOND, RECORD),
)
"""The phases as a call goes through them: a stranger is turned away before anything is decoded."""
WITH_CREDITS = (*ORDER[:4], Phase.HOLD, *ORDER[4:])
"""The same where calls cost something."""
READ_BYTES = 131_072
"""What one read of a socket gives at the most."""
SLICE_BYTES = 262_144
"""What is written to a provider at once."""
ROUND_CALLS = 200
COUNTED_CALLS = 100
WATCHED_CALLS = 15

Stamp = Callable[[str], None]


def ignore(name: str) -> None:
    """The stamp of calls that are not looked into."""


class Stamps:
    """Stands in for `Phase` where the gateway enters one: each look at a phase is stamped."""

    def __init__(self, stamp: Stamp) -> None:
        self.stamp = stamp

    @classmethod
    def learn(cls, name: str, phase: str) -> None:
        """Stamp the looks at that one; by a property, as a stamp ought to cost little."""

        def look(stamps: Stamps) -> str:
            stamps.stamp(phase)
            return phase

        setattr(cls, name, property(look))


for one_name, one_phase in vars(Phase).items():
    if one_name.isupper():
        Stamps.learn(one_name, one_phase)


class Watched(Gateway):
    """A gateway that also stamps where the call's end begins."""

    stamp: Stamp = staticmethod(ignore)

    def _end(self, kit: Equipment, life: Call) -> None:
        self.stamp(RECORD)
        super()._end(kit, life)


class AtOnce:
    """Work that would go off the loop, done where it is asked for."""

    def __init__(self, loop: Any) -> None:
        self.loop = loop

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call it."""
        return function(*arguments)


class Trunk:
    """The gateway, a connection to a provider that answers at once, and a client's way in: `call` makes one call."""

    def __init__(self, folder: Path, transport: str, shape: Shape, body: bytes) -> None:
        self.body = body
        self.plug = Plug()
        self.stamp: Stamp = ignore
        self.lines: list[bytes] = []
        self.writes = 1 if len(body) <= SLICE_BYTES else -(-len(body) // SLICE_BYTES)
        self._wheel = Wheel(now_us=clock())
        loaded = _settings(folder, shape)
        areas = limit.areas() | metric.areas(1) | pulse.areas(4) | Books.areas(loaded.ledger)
        region = Region.create(areas, 4)
        # The first seat is the clerk's.
        self._life = Life.claim(folder, 1, 4)
        seat = Seat(region, self._life)
        self._books = Books(folder, region, loaded.ledger) if shape.credits else None
        offload = cast(Offload, AtOnce(self.plug))
        if self._books is not None:
            self.key = self._books.key()
            keyring = self._books.keyring()
            holds = self._books.holds(seat, offload)
        else:
            keys, holds = Keys(), None
            self.key = str(keys.create("bench")["key"])
            keyring = Keyring(keys.store, region, PEPPER, lambda: START_US)
        self._ground = Ground(
            loop=self.plug,
            wheel=self._wheel,
            clock=clock,
            environ={},
            cache=folder,
            limits=Limits(region, seat, 3_600_000_000),
            pulses=Pulses(region, seat),
            meters=Meters(Shard(region, 0)),
            offload=offload,
            inflight=Inflight(0, 0, self._wheel, self.plug),
            ids=Ids("req-0123456789ab-"),
            auth=lambda settings: Auth(Terms(settings.auth.enabled), keyring),
            write=self.lines.append,
            alarm=self._alarm,
            created_s=1_700_000_000,
            holds=holds,
        )
        numbers = {name: number for number, name in enumerate(names(loaded), 1)}
        self.gateway = Watched(equip(loaded, self._ground, numbers), clock)
        self._connection = self._connect(self.gateway.equipment.routes.plans[0])
        self._buffer = self._connection.get_buffer(-1)
        self._endpoint = next(endpoint for endpoint in ENDPOINTS if endpoint.path == PATH)
        self.call = self._by_lane() if transport == "direct" else self._in_memory

    @contextmanager
    def watched(self, stamp: Stamp) -> Iterator[None]:
        """Stamp each phase of the calls made meanwhile; the gateway's real `Phase` is back afterwards."""
        module: Any = kpgate.gateway
        module.Phase, self.stamp, self.gateway.stamp = Stamps(stamp), stamp, stamp
        try:
            yield
        finally:
            module.Phase, self.stamp, self.gateway.stamp = Phase, ignore, ignore

    def close(self) -> None:
        """Everything must have been given back."""
        assert self._ground.limits.open_calls() == 0 and not self.gateway.lives
        self._life.close()
        if self._books is not None:
            self._books.close()

    def _connect(self, plan: Plan) -> Connection:
        """A connection that rests in the pool."""
        connection = Connection(cast(Any, self.plug), (b"openai-",))
        connection.connection_made(self.plug)
        connection.born_us = self._wheel.now_us
        pool = plan.targets[0].pool
        connection.owner = pool
        pool.give(connection)
        return connection

    def _answer(self) -> None:
        """The provider's reply arrives."""
        self._buffer[: len(REPLY)] = REPLY
        self._connection.buffer_updated(len(REPLY))

    def _in_memory(self) -> None:
        """A call by an exchange without a transport, its coroutine stepped by hand."""
        headers = [(b"authorization", b"Bearer " + self.key.encode())]
        exchange = FakeExchange(PATH.encode(), self.body, headers)
        stamp = self.stamp
        stamp(Phase.RECEIVE)
        coroutine = self.gateway.serve(exchange, self._endpoint)
        coroutine.send(None)
        self._answer()
        try:
            coroutine.send(None)
        except StopIteration:
            stamp(END)
        assert exchange.status == 200
        self.lines.clear()

    def _by_lane(self) -> Callable[[], None]:
        """Calls by the compiled transport, from the request's bytes to the reply's."""
        holds = self._ground.holds
        lane = Lane(
            lambda exchange: self.gateway.serve(exchange, self._endpoint),
            wheel=self._wheel,
            loop=cast(Any, self.plug),
            outbox=Outbox(cast(Any, self.plug), holds.gather(streams=True) if holds is not None else None),
            error=lambda code, words: RuntimeError(words),
            alarm=self.plug.alarm,
            clients_max=10,
        )
        lane.bound(
            head_us=10_000_000,
            idle_us=75_000_000,
            body_idle_us=30_000_000,
            write_stall_us=60_000_000,
            bytes_a_second_min=240,
        )
        client = Client(lane)
        client.connection_made(self.plug)
        data = memoryview(request(self.body, self.key))

        def call() -> None:
            stamp = self.stamp
            written = self.plug.written
            stamp(Phase.RECEIVE)
            at = 0
            while at < len(data):
                buffer = client.get_buffer(-1)
                size = min(len(buffer), len(data) - at, READ_BYTES)
                buffer[:size] = data[at : at + size]
                at += size
                client.buffer_updated(size)
            self.plug.turn()
            self._answer()
            self.plug.turn()
            stamp(END)
            assert self.plug.written == written + 1 + self.writes, "writes to the provider, one to the client"
            self.lines.clear()

        return call

    def _alarm(self, error: Exception, record: object) -> None:
        raise error


BODY = chat()


def _settings(folder: Path, shape: Shape) -> Any:
    path = folder / "kpgate.toml"
    path.write_text(settings(Target("nobody", 9), shape))
    loaded = load(path, {})
    assert loaded.settings is not None, loaded.problems
    return loaded.settings


@contextmanager
def trunk(transport: str, shape: Shape | None = None, body: bytes = BODY) -> Iterator[Trunk]:
    """A gateway in memory, warm."""
    with tempfile.TemporaryDirectory() as folder:
        one = Trunk(Path(folder), transport, shape or Shape(), body)
        for _ in range(50):
            one.call()
        gc.collect()
        gc.freeze()
        yield one
        gc.unfreeze()
        one.close()


def timed(transport: str, rounds: int = 9) -> dict[str, float]:
    """What each phase takes: the median of all calls, less what a stamp takes. Units: nanoseconds.

    Shape: by phase, in order; `whole` is a call without stamps.
    """
    spans: dict[str, list[int]] = defaultdict(list)
    wholes: list[int] = []
    stamps: list[tuple[str, int]] = []
    with trunk(transport) as one:
        for _ in range(rounds):
            for _ in range(ROUND_CALLS):
                began_ns = perf_counter_ns()
                one.call()
                wholes.append(perf_counter_ns() - began_ns)
            with one.watched(lambda name: stamps.append((name, perf_counter_ns()))):
                for _ in range(ROUND_CALLS):
                    one.call()
            for (name, at_ns), (_, then_ns) in pairwise(stamps):
                spans[name].append(then_ns - at_ns)
            stamps.clear()
    stamp_ns = _stamp_ns()
    found = {name: max(0.0, median(spans[name]) - stamp_ns) for name in ORDER}
    return found | {WHOLE: median(wholes)}


def _stamp_ns() -> float:
    """What a stamp itself takes."""
    kept: list[tuple[str, int]] = []
    stamps = Stamps(lambda name: kept.append((name, perf_counter_ns())))
    for _ in range(1001):
        _ = stamps.AUTH  # type: ignore[attr-defined]
    return median(then[1] - now[1] for now, then in pairwise(kept))


def counted(
    transport: str, body_bytes: int = 0, governed: bool = True, credits: bool = False
) -> tuple[Part, dict[str, float]]:
    """Instructions of a call, by place, and by phase. Shape: the part's places are those of all counted calls;
    `body_bytes` 0 is the ordinary body.

    Errors: bench.callgrind.Unavailable.
    """
    words = ["governed"] * governed + ["credits"] * credits
    parts, said = count("bench.trunk", transport, str(body_bytes), *words)
    spans: dict[str, list[Part]] = defaultdict(list)
    for name, part in zip(json.loads(said), parts, strict=True):
        spans[name].append(part)
    single, double = spans["single"][0], spans["double"][0]
    empty = median(part.total for part in spans["empty"])
    places = double.places.copy()
    places.subtract(single.places)
    call = Part(double.total - single.total, places)
    order = WITH_CREDITS if credits else ORDER
    return call, {name: float(median(part.total for part in spans[name]) - empty) for name in order}


def main(transport: str, body_bytes: int, *words: str) -> None:
    """What callgrind counts: calls, twice as many, nothing, and each phase of a few calls."""
    seen: list[str] = []

    def stamp(name: str) -> None:
        seen.append(name)
        mark()

    body = conversation(body_bytes) if body_bytes else BODY
    shape = Shape(governed="governed" in words, credits="credits" in words)
    with trunk(transport, shape, body) as one:
        stamp("single")
        for _ in range(COUNTED_CALLS):
            one.call()
        stamp("double")
        for _ in range(2 * COUNTED_CALLS):
            one.call()
        stamps = Stamps(stamp)
        # The interpreter specialises what it runs often: a stamp is dearer at first.
        for name in (*("empty",) * 20, "rest"):
            _ = stamps.AUTH  # type: ignore[attr-defined]
            seen[-1] = name
        with one.watched(stamp):
            for _ in range(WATCHED_CALLS):
                one.call()
    # A name for each part: the last stamp begins none.
    print(json.dumps(seen[:-1]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
