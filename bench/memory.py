"""What open streams, stalled readers and an idle worker weigh.

Owns the streams and the two readings of resident memory around them.
"""

import asyncio
import contextlib
import socket

import uvloop

from bench.client import Call, Pool, request
from bench.load import Failed
from bench.processes import pss_bytes, rss_bytes, settle
from bench.results import Cell, Goal, Result, Table
from bench.stream import opened, streaming
from bench.target import Lab, Shape, Target

STREAMS = 2000
STALLED = 1000
SLOW = "stream-1000-1"
BIG = "stream-256-100-32768"
KB = 1024
WARM = 50
METHOD = (
    f"Resident memory of all of the gateway's processes before and with {STREAMS} open streams of one chunk a second, "
    f"by the number of streams; {WARM} streams were opened and closed before.",
    f"{STALLED} stalled readers: clients with a small receive buffer that read nothing of a stream of 8 MB; the "
    "reading is taken once the gateway's memory has stopped growing.",
    "An idle worker: the heaviest of the gateway's processes by proportional share (PSS), before any call.",
)


async def open_streams(target: Target, streams: int) -> float:
    """Bytes of resident memory a stream. Errors: Failed if one did not stay open."""
    await _streams(target, WARM)
    before = rss_bytes(target.pids())
    return (await _streams(target, streams) - before) / streams


async def _streams(target: Target, streams: int) -> int:
    pool = Pool(target)
    await pool.connect(streams)
    calls = [Call() for _ in range(streams)]
    try:
        await opened(pool, calls, request(target, streaming(SLOW)), streams / 500)
        await asyncio.sleep(3)
        if pool.failed or pool.open != streams or not all(call.first for call in calls):
            raise Failed(f"{target.name}: {pool.failed or 'streams are missing'}")
        return rss_bytes(target.pids())
    finally:
        pool.close()
        await asyncio.sleep(1)


async def stalled_readers(target: Target, readers: int) -> float:
    """Bytes of resident memory a reader that reads nothing."""
    await _streams(target, WARM)
    before = rss_bytes(target.pids())
    message, loop = request(target, streaming(BIG)), asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        for _ in range(readers):
            one = stack.enter_context(socket.socket())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.setblocking(False)
            await loop.sock_connect(one, (target.host, target.port))
            await loop.sock_sendall(one, message)
        last = 0
        for _ in range(20):
            await asyncio.sleep(1)
            now = rss_bytes(target.pids())
            if abs(now - last) < readers * KB:
                break
            last = now
    return (now - before) / readers


def measure(streams: int = STREAMS) -> Result:
    """Every figure of this module."""
    settle()
    goals, rows = [], list[list[Cell]]()
    shape = Shape(models=(SLOW, BIG))
    with Lab() as lab:
        provider = lab.provider()
        target = lab.gateway(provider, shape)
        weights = sorted(pss_bytes([pid]) / KB / KB for pid in target.pids())
        goals.append(Goal("idle worker", weights[-1], "at most", 80, "MB"))
        rows.append(["idle, all processes", sum(weights) * KB])
        plain = uvloop.run(open_streams(target, streams)) / KB
        goals.append(Goal(f"{streams} open streams, each", plain, "at most", 32, "KB"))
    with Lab() as lab:
        target = lab.gateway(lab.provider(), shape)
        stalled = uvloop.run(stalled_readers(target, STALLED)) / KB
        goals.append(Goal(f"{STALLED} stalled readers, each", stalled, "at most", 160, "KB"))
    for name, bound, tls, http2 in (
        ("HTTP/2 on", 44, False, True),
        ("the provider behind TLS", 96, True, False),
    ):
        with Lab() as lab:
            target = lab.gateway(lab.provider(tls=tls), Shape(models=(SLOW,), http2=http2))
            found = uvloop.run(open_streams(target, streams)) / KB
            goals.append(Goal(f"{streams} open streams, {name}, each", found, "at most", bound, "KB"))
    table = Table("Memory", ["what", "KB"], rows)
    return Result("memory", "Memory", METHOD, goals=goals, tables=(table,))
