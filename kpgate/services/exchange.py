"""One conversation with a client, whatever carries it: the seam between transports and the gateway.

Transports implement it, `gateway.py` uses it, neither knows the other.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

from kpgate._fast.head import Head

Header = tuple[bytes, bytes]


class Sink(Protocol):
    """Where a body goes as it comes."""

    def take(self, piece: bytes, last: bool) -> bool:
        """A piece of it. False: no more before the exchange's `follow`."""

    def fail(self, error: Exception) -> None:
        """It will never be whole: as `Exchange.read_body`."""


class Exchange(Protocol):
    """What a conversation with one client can do.

    Order: `take_body` or `read_body` first, or any number of `peek` and then `read_body` or `pour`; then `reply` once,
    or `open`, any number of writes and `finish` or `abort`.
    """

    method: str
    path: bytes
    """The raw path as it was sent, without the query."""
    query: bytes
    peer: str
    """The address of whoever connected, before any proxy header is believed."""
    received_us: int
    """When the head was there. Units: microseconds, monotonic."""
    gone: bool
    """True once the client is known to have left."""

    @property
    def head(self) -> Head:
        """What kpgate reads of the head."""

    @property
    def headers(self) -> Sequence[Header]:
        """All headers, names in lower case. They may be read anew each time."""

    def watch(self, leave: Callable[[], None]) -> None:
        """Call `leave` once if the client goes away from now on; at once if it has gone."""

    def take_body(self, bytes_max: int) -> bytes | None:
        """The request's body if it is here. None: `await read_body`.

        Errors: BodyTooLarge, ClientGone when it ended early.
        """

    def read_body(self, bytes_max: int) -> Awaitable[bytes]:
        """The request's body.

        Errors: BodyTooLarge, RequestTimeout when it stalls, ClientGone when it ends early.
        """

    def peek(self, seen: int, bytes_max: int) -> Awaitable[bytes]:
        """More of the request's body than `seen` bytes, or as much as that at its end. It stays to be read.

        Errors: as `read_body`.
        """

    def pour(self, sink: Sink | None, seen: int = 0) -> None:
        """Give the body to `sink` as it comes, but for its first `seen` bytes. None: to nobody any more."""

    def follow(self) -> None:
        """The sink takes again."""

    def reply(self, status: int, headers: Iterable[Header], body: bytes) -> None:
        """Send a whole reply; `content-length` is added."""

    def open(self, status: int, headers: Iterable[Header]) -> None:
        """Send a stream's head."""

    def write(self, chunk: bytes) -> bool:
        """Send a piece of the stream. False: wait for `room` before the next one."""

    async def room(self) -> None:
        """Wait until the client has taken what was written.

        Errors: ClientGone when it leaves or stands still for longer than `[server] write_stall_s`.
        """

    def finish(self) -> None:
        """End the stream well."""

    def abort(self) -> None:
        """End the stream so that the client sees it was cut."""
