"""A long run with clients that misbehave: what is held at its end is what was held near its beginning.

Owns the mix of clients and the readings. Whole calls by wrk all along; beside it clients that leave, reset, stand
still, half-close, crawl or talk nonsense. Nothing is judged by speed.
"""

import asyncio
import contextlib
import json
import os
import random
import re
import socket
import struct
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http.client import HTTPConnection
from time import monotonic, sleep

import uvloop

from bench.load import Failed, chat, load
from bench.processes import rss_bytes, settle
from bench.results import Cell, Goal, Result, Table, named
from bench.target import Lab, Shape, Target

SLOW, STREAM, BIG = "slow-2000", "stream-40-20", "stream-64-1000-16384"
CLIENTS = 24
ROUND_S = 5.0
WARM_SHARE = 0.2
SEED = 20_261
METHOD = (
    "wrk keeps 64 connections busy with whole governed calls all along. Beside it, "
    f"{CLIENTS} clients at a time, each taking one of these at random: leave a whole call or a stream, by closing or "
    "by reset; half-close and read the answer; read nothing of a large stream for a while, then leave; stop within a "
    "head or a body; send bytes that are no request; send ten requests ahead and leave after the first answer.",
    "Readings between rounds, with no call open: resident memory and descriptors of all of the gateway's processes, "
    "calls in flight by its own gauge. Compared: the median of the first readings after the warm-up with that of "
    "the last ones.",
)


@dataclass(frozen=True)
class Reading:
    """What the gateway holds while nobody calls."""

    calls: int
    rss_mb: float
    descriptors: int
    inflight: int


def message(target: Target, body: bytes, *lines: str) -> bytes:
    """A request's bytes."""
    head = [f"POST {target.path} HTTP/1.1", "host: bench", f"authorization: Bearer {target.key}", *lines]
    return "\r\n".join([*head, f"content-length: {len(body)}", "", ""]).encode() + body


def body_of(model: str, *, stream: bool = False) -> bytes:
    """A chat request for a model."""
    value = json.loads(chat(model))
    return json.dumps(value | {"stream": stream}).encode()


class Crowd:
    """Clients that misbehave, until told to stop."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.done = 0
        self.stopping = False
        self._dice = random.Random(SEED)
        self._whole = message(target, body_of("gpt-4o-mini"))
        self._slow = message(target, body_of(SLOW))
        self._stream = message(target, body_of(STREAM, stream=True))
        self._big = message(target, body_of(BIG, stream=True))
        self._tricks: tuple[Callable[[], Awaitable[None]], ...] = (
            *(self._leave, self._reset, self._half_close, self._stand_still, self._stop_short, self._babble),
            self._send_ahead,
        )

    async def run(self) -> None:
        """Be a crowd."""
        await asyncio.gather(*(self._client() for _ in range(CLIENTS)))

    async def _client(self) -> None:
        while not self.stopping:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._dice.choice(self._tricks)()
            self.done += 1

    async def _open(self, sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(self.target.host, self.target.port, limit=16_384)
        writer.write(sent)
        return reader, writer

    async def _leave(self) -> None:
        _, writer = await self._open(self._dice.choice((self._slow, self._stream)))
        await asyncio.sleep(self._dice.random() * 0.4)
        writer.close()

    async def _reset(self) -> None:
        _, writer = await self._open(self._dice.choice((self._slow, self._stream, self._big)))
        await asyncio.sleep(self._dice.random() * 0.4)
        made: socket.socket = writer.get_extra_info("socket")
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def _half_close(self) -> None:
        reader, writer = await self._open(self._whole)
        writer.write_eof()
        while await reader.read(65_536):
            pass
        writer.close()

    async def _stand_still(self) -> None:
        _, writer = await self._open(self._big)
        await asyncio.sleep(0.5 + self._dice.random())
        writer.transport.abort()

    async def _stop_short(self) -> None:
        _, writer = await self._open(self._whole[: self._dice.randrange(1, len(self._whole))])
        await asyncio.sleep(self._dice.random() * 0.3)
        writer.close()

    async def _babble(self) -> None:
        reader, writer = await self._open(self._dice.randbytes(200))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await reader.read(65_536)
        writer.close()

    async def _send_ahead(self) -> None:
        reader, writer = await self._open(self._whole * 10)
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()


def descriptors(pids: list[int]) -> int:
    """How many descriptors processes have open."""
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)


def inflight(target: Target) -> int:
    """Calls in flight, by the gateway's own gauge."""
    connection = HTTPConnection(target.host, target.port, timeout=10)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    found = re.search(r"^kpgate_inflight(?:\{[^}]*\})? (\d+)", text, re.M)
    return int(found[1]) if found else -1


def at_rest(target: Target, calls: int) -> Reading:
    """A reading once nothing is in flight. Errors: Failed if that never comes."""
    deadline = monotonic() + 30
    while inflight(target) > 0:
        if monotonic() > deadline:
            raise Failed(f"{inflight(target)} calls never ended")
        sleep(0.1)
    sleep(0.5)
    pids = target.pids()
    return Reading(calls, rss_bytes(pids) / 1e6, descriptors(pids), inflight(target))


def measure(calls: int, lane: bool = False, say: Callable[[str], None] = print) -> Result:
    """Run until so many whole calls were answered."""
    settle()
    readings: list[Reading] = []
    done = misbehaved = 0
    with Lab() as lab:
        target = lab.gateway(lab.provider(), Shape(models=(SLOW, STREAM, BIG), lane=lane))
        while done < calls:
            crowd = Crowd(target)
            thread = threading.Thread(target=lambda one=crowd: uvloop.run(one.run()))
            thread.start()
            done += load(target.url, target.key, ROUND_S).calls
            crowd.stopping = True
            thread.join()
            misbehaved += crowd.done
            readings.append(at_rest(target, done))
            last = readings[-1]
            say(
                f"{done:>9,} calls, {misbehaved:,} bad ones; {last.rss_mb:.1f} MB, {last.descriptors} descriptors"
            )
    warm = max(1, int(len(readings) * WARM_SHARE))
    first, last = middle(readings[warm : 2 * warm + 1]), middle(readings[-warm - 1 :])
    rows: list[list[Cell]] = [[one.calls, one.rss_mb, one.descriptors, one.inflight] for one in readings]
    return Result(
        *named("soak", "A long run with clients that misbehave", lane),
        (*METHOD, f"{done:,} whole calls, {misbehaved:,} that misbehaved."),
        goals=(
            Goal(
                "growth of resident memory", last.rss_mb - first.rss_mb, "at most", 0.05 * first.rss_mb, "MB"
            ),
            Goal("growth of descriptors", last.descriptors - first.descriptors, "at most", 8),
            Goal("calls in flight at the end", last.inflight, "at most", 0),
        ),
        tables=(Table("Readings", ["calls", "RSS MB", "descriptors", "in flight"], rows),),
    )


def middle(readings: list[Reading]) -> Reading:
    """The one with the median memory."""
    return sorted(readings, key=lambda one: one.rss_mb)[len(readings) // 2]
