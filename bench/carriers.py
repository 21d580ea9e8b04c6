"""Transports that go nowhere: what a connection writes is dropped, what it reads is put there by hand.

Knows neither gateway nor load. Less than a test's transport: what is done here is measured with what uses it.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any


class Plug:
    """A transport, and a loop that runs nothing by itself."""

    def __init__(self) -> None:
        self.ready: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self.written = 0

    # A loop

    def call_soon(self, callback: Callable[..., object], *args: Any, context: object = None) -> None:
        """Keep it for `turn`."""
        self.ready.append((callback, args))

    def turn(self) -> None:
        """Run what was ready."""
        while self.ready:
            callback, args = self.ready.popleft()
            callback(*args)

    def alarm(self, error: BaseException) -> None:
        """Nothing may escape here."""
        raise error

    # A transport

    def write(self, data: bytes) -> None:
        """One write."""
        self.written += 1

    def writelines(self, pieces: Iterable[bytes]) -> None:
        """One write of several pieces."""
        self.written += 1

    def abort(self) -> None:
        """Nothing is open."""

    close = abort
    pause_reading = abort
    resume_reading = abort

    def is_closing(self) -> bool:
        """It never is."""
        return False

    def is_reading(self) -> bool:
        """It always is."""
        return True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There is no buffer."""

    def get_write_buffer_size(self) -> int:
        """Nothing is held back."""
        return 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Who the client is."""
        return ("127.0.0.1", 40_000) if name == "peername" else default


def request(body: bytes, key: str = "kpg-0123456789abcdef0123456789abcdef") -> bytes:
    """A chat call as the official client sends it, fewer headers."""
    lines = (
        b"POST /v1/chat/completions HTTP/1.1",
        b"host: 127.0.0.1:8080",
        b"authorization: Bearer " + key.encode(),
        b"accept: application/json",
        b"content-type: application/json",
        b"user-agent: OpenAI/Python 2.8.1",
        b"content-length: %d" % len(body),
    )
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
