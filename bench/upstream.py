"""What an upstream call costs: the connection alone, fed by hand, and over loopback through a pool.

Run as `python -m bench.upstream`. The provider of the loopback figures is a process of its own. Beside ours stands
another client of it, a bare Python protocol that neither parses nor pools: the two are compared round by round,
never subtracted, for the bare one has costs that ours has not.
"""

import asyncio
import json
import ssl
import subprocess
import sys
import tempfile
import time
from resource import RUSAGE_SELF, getrusage
from statistics import median
from typing import Any, cast

import trustme
import uvloop

from bench.twins import best_ns
from kpgate._fast.wait import Timer, Wait, Wheel
from kpgate.domain.upstream import Origin, PoolOptions
from kpgate.services.pool import Pool
from tests.kit.wire import Wire

REQUEST = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
    b"content-type: application/json\r\ncontent-length: 500\r\n\r\n"
)
BODY = b"x" * 500
FIELDS = (
    b"HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\ncontent-type: application/json\r\n"
    b"openai-processing-ms: 12\r\nopenai-version: 2020-10-01\r\nx-request-id: req_0123456789\r\nserver: x\r\n"
)
REPLY = FIELDS + b"content-length: 500\r\n\r\n" + b"x" * 500
STREAM_HEAD = FIELDS + b"transfer-encoding: chunked\r\n\r\n"
EVENT = b"c8\r\n" + b"x" * 200 + b"\r\n"
EVENTS = 100

Figures = dict[str, float]


class _Answering(asyncio.Protocol):
    """The trivial provider: a fixed reply to each full request."""

    def __init__(self) -> None:
        self.left = len(REQUEST) + len(BODY)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.left -= len(data)
        if self.left <= 0:
            self.left += len(REQUEST) + len(BODY)
            self.transport.write(REPLY)


class _Bare(asyncio.Protocol):
    """A client that sends and waits for as many bytes as the reply has."""

    def __init__(self, wait: Wait) -> None:
        self.wait = wait
        self.left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.left -= len(data)
        if self.left <= 0:
            self.wait.resolve()


async def _serve(folder: str) -> None:
    context = None
    if folder:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(f"{folder}/server.pem")
    server = await asyncio.get_running_loop().create_server(_Answering, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def fed_by_hand() -> Figures:
    """Send, parse, take and rest, without a socket. Units: nanoseconds, those of the recording transport in it."""
    wire = Wire((b"openai-",))
    connection = wire.connection
    buffer = connection.get_buffer(-1)

    def call() -> None:
        connection.send(REQUEST, BODY)
        connection.head()
        buffer[: len(REPLY)] = REPLY
        connection.buffer_updated(len(REPLY))
        connection.take_whole()
        connection.rest()
        wire.writes.clear()

    def events() -> None:
        connection.send(REQUEST, BODY)
        buffer[: len(STREAM_HEAD)] = STREAM_HEAD
        connection.buffer_updated(len(STREAM_HEAD))
        for _ in range(EVENTS):
            connection.chunk()
            buffer[: len(EVENT)] = EVENT
            connection.buffer_updated(len(EVENT))
        buffer[:5] = b"0\r\n\r\n"
        connection.buffer_updated(5)
        connection.take()
        connection.rest()
        wire.writes.clear()

    wheel, timer = Wheel(), Timer()

    def armed() -> None:
        wheel.add(timer, 120_000_000)
        timer.cancel()

    return {
        "call_ns": round(best_ns(call)),
        "chunk_ns": round(best_ns(events) / EVENTS),
        "timer_add_cancel_ns": round(best_ns(armed)),
    }


class _Round:
    """What a round of calls took. Units: microseconds of this process's CPU a call; page faults a call."""

    def __init__(self, calls: int) -> None:
        self._calls = calls
        self._faults = getrusage(RUSAGE_SELF).ru_minflt
        self._began = time.process_time()

    def end(self) -> tuple[float, float]:
        """CPU and faults."""
        taken = time.process_time() - self._began
        faults = getrusage(RUSAGE_SELF).ru_minflt - self._faults
        return taken / self._calls * 1e6, faults / self._calls


async def _bare(port: int, calls: int, context: ssl.SSLContext | None) -> tuple[float, float]:
    loop = asyncio.get_running_loop()
    wait = Wait(loop)
    transport, protocol = await loop.create_connection(lambda: _Bare(wait), "127.0.0.1", port, ssl=context)
    taken = _Round(calls)
    for _ in range(calls):
        protocol.left = len(REPLY)
        transport.write(REQUEST + BODY)
        await wait
        wait.reset()
    figures = taken.end()
    transport.abort()
    return figures


async def _pooled(port: int, calls: int, ca: str | None) -> tuple[float, float]:
    loop = asyncio.get_running_loop()
    origin = Origin("https" if ca else "http", "127.0.0.1", port)
    pool = Pool(origin, PoolOptions(ca=ca, passed=(b"openai-",)), Wheel(), loop)
    pool.give(await pool.open(5_000_000))
    taken = _Round(calls)
    for _ in range(calls):
        connection = pool.take()
        assert connection is not None
        connection.send(REQUEST, BODY)
        await connection.head()
        assert connection.take_whole() is not None
        pool.give(connection)
    figures = taken.end()
    pool.close()
    while pool.counts.open:
        await asyncio.sleep(0)
    return figures


def _summary(rounds: list[tuple[float, float]]) -> Figures:
    cpu = [one[0] for one in rounds]
    return {
        "cpu_us_median": round(median(cpu), 2),
        "cpu_us_least": round(min(cpu), 2),
        "cpu_us_most": round(max(cpu), 2),
        "faults_most": round(max(one[1] for one in rounds), 2),
    }


def over_loopback(folder: str, calls: int, rounds: int) -> dict[str, Any]:
    """One call after another, rounds of the two clients in turn; the ratio is the median of the rounds'."""
    ca = f"{folder}/ca.pem" if folder else None
    context = ssl.create_default_context(cafile=ca) if ca else None
    bare, pooled = [], []
    command = [sys.executable, "-m", "bench.upstream", "serve", folder]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None and child.stdout is not None
        try:
            port = int(child.stdout.readline())
            for _ in range(rounds):
                bare.append(uvloop.run(_bare(port, calls, context)))
                pooled.append(uvloop.run(_pooled(port, calls, ca)))
        finally:
            child.stdin.close()
    ratios = [ours[0] / theirs[0] for ours, theirs in zip(pooled, bare, strict=True)]
    return {
        "bare": _summary(bare),
        "pooled": _summary(pooled),
        "pooled_over_bare": [round(figure, 2) for figure in (min(ratios), median(ratios), max(ratios))],
    }


def measure(calls: int = 2000, rounds: int = 9) -> dict[str, Any]:
    """Every figure of this module."""
    with tempfile.TemporaryDirectory() as folder:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(f"{folder}/ca.pem")
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(f"{folder}/server.pem")
        return {
            "by_hand": fed_by_hand(),
            "loopback": over_loopback("", calls, rounds),
            "loopback_tls": over_loopback(folder, calls, rounds),
        }


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        uvloop.run(_serve(sys.argv[2]))
    else:
        print(json.dumps(measure(), indent=2))
