"""What open streams, stalled readers and an idle worker weigh, and how late the chunks of so many streams come.

Owns the streams and the two readings of resident memory around them.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import uvloop

from bench.client import Call, Pool, request, share
from bench.late import CLOCK, Clocked, watched
from bench.load import Failed
from bench.processes import pss_bytes, rss_bytes, settle
from bench.results import Cell, Goal, Result, Table, named
from bench.stream import opened, streaming
from bench.target import Lab, Shape, Target

STALLED = 1000
BIG = "stream-256-100-32768"
KB = 1024
WARM = 50
BATCH = 500
WATCHED_S = 10.0
LATE_MS = 50.0
PATIENCE_S = 30
STEADY_S = 3


@dataclass(frozen=True)
class Asked:
    """What a transport is asked to carry. Units: KB each, a bound and an aim; absent where it does not apply."""

    streams: int
    plain: tuple[float, float | None]
    tls: tuple[float, float | None]
    stalled: tuple[float, float | None]
    http2: tuple[float, float | None] | None = None
    late_ms: float | None = None


GRANIAN = Asked(2000, (32, None), (96, None), (160, None), http2=(44, None))
DIRECT = Asked(8000, (12, 8), (64, None), (64, 32), late_ms=LATE_MS)


def method(streams: int) -> tuple[str, ...]:
    """How it is measured."""
    return (
        f"Resident memory of all of the gateway's processes before and with {streams} open streams of one chunk a "
        f"second, opened over {streams / BATCH:.0f} s, by the number of streams; {WARM} streams were opened and closed "
        "before.",
        f"{STALLED} stalled readers: clients with a small receive buffer that read nothing of a stream of 8 MB; the "
        "reading is taken once the gateway's memory has stopped growing.",
        "An idle worker: the heaviest of the gateway's processes by proportional share (PSS), before any call.",
        "Lateness: from the provider's writing a chunk to its reader's having it, over "
        f"{WATCHED_S:.0f} s with all streams open; `direct` is the same client straight at the provider, both on one "
        "core, and shows what the load itself adds.",
    )


@dataclass
class Held:
    """A target under open streams. Units: bytes a stream; milliseconds of lateness, one a chunk."""

    each_bytes: float
    late_ms: list[float]

    def row(self, name: str) -> list[Cell]:
        """Its lateness, as a table shows it."""
        return [name, *(share(self.late_ms, part) for part in (0.5, 0.99, 0.999)), max(self.late_ms)]


async def hold(target: Target, streams: int) -> Held:
    """Open the streams and watch them. Errors: Failed if one did not stay open."""
    async with _streams(target, WARM):
        pass
    before = rss_bytes(target.pids())
    async with _streams(target, streams) as (pool, calls):
        each = (rss_bytes(target.pids()) - before) / streams
        return Held(each, await watched(pool, calls, WATCHED_S))


@contextlib.asynccontextmanager
async def _streams(target: Target, streams: int) -> AsyncIterator[tuple[Pool, list[Call]]]:
    """So many open streams. A connection is made shortly before its call: silent ones are closed."""
    pool, calls = Pool(target, target.context(), Clocked), list[Call]()
    message = request(target, streaming(CLOCK))
    try:
        while len(calls) < streams:
            batch = [Call() for _ in range(min(BATCH, streams - len(calls)))]
            await pool.connect(len(batch))
            await opened(pool, batch, message, len(batch) / BATCH)
            calls += batch
        await _begun(pool, calls)
        yield pool, calls
    finally:
        pool.close()
        await asyncio.sleep(1)


async def _begun(pool: Pool, calls: list[Call]) -> None:
    """Wait until every stream has brought something, and a little longer. Errors: Failed if one does not."""
    for _ in range(PATIENCE_S):
        await asyncio.sleep(1)
        missing = sum(not call.first for call in calls)
        if pool.failed or pool.open != len(calls):
            raise Failed(f"{pool.target.name}: {pool.failed or 'a stream ended'}")
        if not missing:
            break
    else:
        raise Failed(f"{pool.target.name}: {missing} of {len(calls)} streams never began")
    await asyncio.sleep(STEADY_S)


async def stalled_readers(target: Target, readers: int) -> float:
    """Bytes of resident memory a reader that reads nothing. Errors: Failed if one was not answered 200."""
    async with _streams(target, WARM):
        pass
    before = rss_bytes(target.pids())
    message, loop = request(target, streaming(BIG)), asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        ends = []
        for _ in range(readers):
            one = stack.enter_context(socket.socket())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.setblocking(False)
            await loop.sock_connect(one, (target.host, target.port))
            await loop.sock_sendall(one, message)
            ends.append(one)
        for _ in range(PATIENCE_S):
            await asyncio.sleep(1)
            if all(_answered(target, one) for one in ends):
                break
        else:
            raise Failed(f"{target.name}: a stalled reader was not answered")
        full = await _steady(target, readers * KB)
    return (full - before) / readers


def _answered(target: Target, one: socket.socket) -> bool:
    """Whether the answer is there; it stays unread. Errors: Failed if it is not 200."""
    try:
        said = one.recv(40, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    if not said.startswith(b"HTTP/1.1 200"):
        raise Failed(f"{target.name}: a stalled reader was told {said.decode('latin-1')}")
    return True


async def _steady(target: Target, within_bytes: int) -> int:
    """Resident memory once it has not grown for a while, or at the end of patience."""
    readings = [rss_bytes(target.pids())]
    for _ in range(PATIENCE_S):
        await asyncio.sleep(1)
        readings.append(rss_bytes(target.pids()))
        if len(readings) > STEADY_S and readings[-1] - readings[-1 - STEADY_S] < within_bytes:
            break
    return readings[-1]


def measure(lane: bool = False, streams: int = 0) -> Result:
    """Every figure of this module. Shape: 0 streams are as many as the transport is asked to carry."""
    settle()
    asked = DIRECT if lane else GRANIAN
    streams = streams or asked.streams
    goals, weights, late = [], list[list[Cell]](), list[list[Cell]]()
    shape = Shape(models=(CLOCK, BIG), lane=lane)
    with Lab() as lab:
        provider = lab.provider()
        target = lab.gateway(provider, shape)
        idle = sorted(pss_bytes([pid]) / KB / KB for pid in target.pids())
        goals.append(Goal("idle worker", idle[-1], "at most", 80, "MB"))
        weights.append(["idle, all processes", sum(idle) * KB])
        plain = uvloop.run(hold(target, streams))
        goals.append(_each(f"{streams} open streams", plain.each_bytes, asked.plain))
        late.append(uvloop.run(hold(provider, streams)).row("direct"))
        late.append(plain.row(target.name))
    with Lab() as lab:
        stalled = uvloop.run(stalled_readers(lab.gateway(lab.provider(), shape), STALLED))
        goals.append(_each(f"{STALLED} stalled readers", stalled, asked.stalled))
    if asked.http2:
        with Lab() as lab:
            target = lab.gateway(lab.provider(), Shape(models=(CLOCK,), http2=True, lane=lane))
            found = uvloop.run(hold(target, streams))
            goals.append(_each(f"{streams} open streams, HTTP/2 on", found.each_bytes, asked.http2))
    with Lab() as lab:
        target = lab.gateway(lab.provider(tls=True), shape)
        found = uvloop.run(hold(target, streams))
        goals.append(_each(f"{streams} open streams, the provider behind TLS", found.each_bytes, asked.tls))
        late.append(found.row(f"{target.name}, the provider behind TLS"))
    if asked.late_ms is not None:
        p99 = share(plain.late_ms, 0.99)
        goals.append(
            Goal(f"lateness of a chunk, {streams} streams, p99", p99, "at most", asked.late_ms, "ms")
        )
    columns = ["target", "p50 ms", "p99 ms", "p99.9 ms", "most ms"]
    tables = (
        Table("Memory", ["what", "KB"], weights),
        Table(f"Lateness of a chunk, {streams} streams of one a second", columns, late),
    )
    return Result(*named("memory", "Memory", lane), method(streams), goals=goals, tables=tables)


def _each(what: str, found_bytes: float, asked: tuple[float, float | None]) -> Goal:
    return Goal(f"{what}, each", found_bytes / KB, "at most", asked[0], "KB", asked[1])
