"""What a worker's application is given, and what is expected of it: the seam between worker and application."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from kpgate._fast.commit import Life
from kpgate._fast.wait import Wheel
from kpgate.app.bounds import Bounds
from kpgate.app.logs import LogWriter
from kpgate.app.node import Node
from kpgate.domain.settings import Settings
from kpgate.services.exchange import Exchange

CLERK_SEAT = 0
"""Workers sit beside the clerk, from the next one on."""


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's surroundings.

    Shape: `seat` is this process's place in the region, of `seats`; `region` the path to open it by; `reload`
    asks the supervisor to reload the configuration in all workers and answers the problems, none when it is done.
    Units: `clock` gives microseconds, monotonic.
    """

    settings: Settings
    environ: Mapping[str, str]
    config: Path | None
    node: Node
    region: str
    seat: int
    seats: int
    life: Life
    demo: bool
    loop: asyncio.AbstractEventLoop
    wheel: Wheel
    clock: Callable[[], int]
    log: LogWriter
    reload: Callable[[], Awaitable[tuple[str, ...]]]

    @property
    def tells(self) -> bool:
        """Whether this is the worker that speaks of what is the node's: metrics of all workers are added up."""
        return self.seat == CLERK_SEAT + 1


class Served(Protocol):
    """One worker's application."""

    before: Callable[[], bool] | None
    """Asked by a transport before what it gathers goes out: whether it may yet."""
    draining: bool
    """Set when the drain begins: readiness then says 503, everything else goes on."""

    @property
    def inflight(self) -> int:
        """Calls under way."""

    def serve(self, exchange: Exchange, *, admin: bool = False) -> Awaitable[None]:
        """Serve one request; `admin` if it came over the admin listener."""

    def prepare(self, settings: Settings) -> Any:
        """Make everything that new settings need. Errors: any, and the old ones go on serving."""

    def swap(self, prepared: Any) -> None:
        """Serve by what `prepare` made. Cannot fail."""

    async def drain(self, deadline_us: int) -> None:
        """Return when no call is under way; those that still are at the deadline are ended with an error.

        Order: may be called again meanwhile, with an earlier deadline.
        """

    def tick(self, now_us: int) -> None:
        """Let time pass; called every 100 ms."""


class Server(Protocol):
    """One listener's transport."""

    async def run(self, serving: Callable[[], None]) -> None:
        """Serve until `leave`; `serving` is called once connections are accepted. Open ones end first."""

    def bound(self, bounds: Bounds) -> None:
        """Say how long clients may take."""

    def leave(self) -> None:
        """Accept no more connections and end once the open ones have."""


Builder = Callable[[Context], Awaitable[Served]]
