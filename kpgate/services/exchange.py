"""One conversation with a client, whatever carries it: the seam between transports and the gateway.

Transports implement it, `gateway.py` uses it, neither knows the other.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from kpgate._fast.head import Head

Header = tuple[bytes, bytes]


class Exchange(Protocol):
    """What a conversation with one client can do.

    Order: `take_body` or `read_body` first, then `reply` once, or `open`, any number of writes and `finish` or
    `abort`.
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

        Errors: BodyTooLarge.
        """

    def read_body(self, bytes_max: int) -> Awaitable[bytes]:
        """The request's body.

        Errors: BodyTooLarge, RequestTimeout when it stalls, ClientGone when it ends early.
        """

    def reply(self, status: int, headers: list[Header], body: bytes) -> None:
        """Send a whole reply; `content-length` is added."""

    def open(self, status: int, headers: list[Header]) -> None:
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
