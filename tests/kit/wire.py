"""A transport and a loop that only record, to feed an upstream connection bytes by hand."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from kpgate._fast.http1 import Connection


class StillLoop:
    """A loop that runs nothing by itself."""

    def __init__(self) -> None:
        self.ready: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()

    def call_soon(self, callback: Callable[..., object], *args: Any, context: object = None) -> None:
        """Keep it for `turn`."""
        self.ready.append((callback, args))

    def turn(self) -> None:
        """Run what was ready."""
        for _ in range(len(self.ready)):
            callback, args = self.ready.popleft()
            callback(*args)


class Wire:
    """A transport that records. `unsent_bytes` is what it pretends to hold back."""

    def __init__(self, prefixes: tuple[bytes, ...] = (b"openai-", b"x-ratelimit-")) -> None:
        self.loop = StillLoop()
        self.writes: list[bytes] = []
        self.closed = False
        self.reading = True
        self.unsent_bytes = 0
        self.connection = Connection(self.loop, prefixes)
        self.connection.connection_made(self)

    def write(self, data: bytes) -> None:
        """One write."""
        self.writes.append(bytes(data))

    def writelines(self, pieces: Iterable[bytes]) -> None:
        """One write of several pieces."""
        self.writes.append(b"".join(pieces))

    def abort(self) -> None:
        """Close; the loop would tell the connection in its next turn."""
        if not self.closed:
            self.closed = True
            self.loop.call_soon(self.connection.connection_lost, None)

    def is_closing(self) -> bool:
        """Whether it was aborted."""
        return self.closed

    def get_write_buffer_size(self) -> int:
        """What it pretends to hold back."""
        return self.unsent_bytes

    def pause_reading(self) -> None:
        """Read no more."""
        self.reading = False

    def resume_reading(self) -> None:
        """Read again."""
        self.reading = True

    def feed(self, data: bytes, step: int = 65_536) -> None:
        """Let the connection read this, at most `step` bytes at a time, as long as it is open."""
        start = 0
        while start < len(data) and not self.closed:
            buffer = self.connection.get_buffer(-1)
            piece = data[start : start + min(step, len(buffer))]
            buffer[: len(piece)] = piece
            start += len(piece)
            self.connection.buffer_updated(len(piece))

    def eof(self) -> None:
        """The other side sends no more."""
        self.connection.eof_received()
        self.abort()
        self.loop.turn()

    def lose(self, error: Exception | None = None) -> None:
        """The socket is gone."""
        self.closed = True
        self.connection.connection_lost(error)
