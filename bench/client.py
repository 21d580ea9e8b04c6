"""An open-loop client on uvloop: calls leave at their time whether or not others came back; one pool a target.

Owns connections and the times at which bytes came. Knows HTTP/1.1 just far enough to find a reply's end.
"""

import asyncio
import ssl
from collections import deque
from dataclasses import dataclass, field
from time import perf_counter
from typing import cast

from bench.load import Failed
from bench.target import Target


@dataclass
class Call:
    """One call. Units: seconds of the process's clock; 0 for what has not happened."""

    sent: float = 0.0
    first: float = 0.0
    ended: float = 0.0
    chunks: int = 0
    done: asyncio.Event | None = field(default=None, repr=False)


class Line(asyncio.Protocol):
    """A connection with at most one call open."""

    def __init__(self, pool: "Pool") -> None:
        self.pool = pool
        self.call: Call | None = None
        self.need = -1
        self.seen = 0
        self.chunked = False
        self.last = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's: connected."""
        self.transport = cast(asyncio.Transport, transport)

    def send(self, request: bytes, call: Call) -> None:
        """Begin a call."""
        self.call, self.need, self.seen, self.last = call, -1, 0, b""
        call.sent = perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Asyncio's: bytes came."""
        call = self.call
        if call is None:
            self.pool.failed = "bytes that nobody asked for"
            return
        if self.need < 0:
            data = self.last + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self.last = data
                return
            self._head(data[:end].lower())
            data, self.last = data[end + 4 :], b""
        if data and not call.first:
            call.first = perf_counter()
        self.seen += len(data)
        if self.chunked:
            call.chunks += data.count(b"chat.completion.chunk")
            self.last = (self.last + data)[-7:]
            if self.last == b"\r\n0\r\n\r\n":
                self._end(call)
        elif self.seen >= self.need:
            self._end(call)

    def _head(self, head: bytes) -> None:
        if not head.startswith(b"http/1.1 200"):
            self.pool.failed = head[:60].decode("latin-1")
        self.chunked = b"transfer-encoding: chunked" in head
        at = head.find(b"content-length: ")
        self.need = 0 if self.chunked else int(head[at + 16 :].split(b"\r\n", 1)[0])

    def _end(self, call: Call) -> None:
        call.ended = perf_counter()
        self.call = None
        self.pool.free.append(self)
        if call.done is not None:
            call.done.set()
        self.pool.ended()

    def connection_lost(self, error: Exception | None) -> None:
        """Asyncio's: gone."""
        if not self.pool.closing:
            self.pool.failed = "a connection closed"
            self.pool.ended()


class Pool:
    """Connections to one target, opened when they are wanted and kept."""

    def __init__(
        self, target: Target, context: ssl.SSLContext | None = None, line: "type[Line]" = Line
    ) -> None:
        self.target = target
        self.context = context
        self.line = line
        self.free: deque[Line] = deque()
        self.lines: list[Line] = []
        self.open = 0
        self.failed = ""
        self.closing = False
        self._idle = asyncio.Event()

    async def connect(self, count: int) -> None:
        """Open that many connections."""
        loop = asyncio.get_running_loop()
        for _ in range(count):
            _, line = await loop.create_connection(
                lambda: self.line(self), self.target.host, self.target.port, ssl=self.context
            )
            self.lines.append(line)
            self.free.append(line)

    def begin(self, request: bytes, call: Call) -> None:
        """Send on a free connection. Errors: Failed if there is none."""
        if not self.free:
            raise Failed(f"{self.target.name}: all {len(self.lines)} connections are busy")
        self.open += 1
        self._idle.clear()
        self.free.popleft().send(request, call)

    def ended(self) -> None:
        """A call is over."""
        self.open -= 1
        if self.open <= 0 or self.failed:
            self._idle.set()

    async def drain(self) -> None:
        """Wait for all open calls. Errors: Failed if one did not succeed."""
        if self.open and not self.failed:
            await self._idle.wait()
        if self.failed:
            raise Failed(f"{self.target.name}: {self.failed}")

    def close(self) -> None:
        """Close every connection."""
        self.closing = True
        for line in self.lines:
            line.transport.abort()


def request(target: Target, body: bytes) -> bytes:
    """A chat call as bytes."""
    return (
        f"POST {target.path} HTTP/1.1\r\nhost: {target.host}:{target.port}\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {target.key or 'none'}\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body


def share(values: list[float], part: float) -> float:
    """The value that this part of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
