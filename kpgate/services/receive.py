"""RECEIVE: the head of a request, and a place among the calls in flight. Knows no dialect's body."""

from collections import deque
from random import getrandbits

from kpgate._fast.digits import numbered
from kpgate._fast.head import Head
from kpgate._fast.onward import write_head
from kpgate._fast.wait import Timer, Wait, Wheel
from kpgate.domain.errors import (
    GatewayError,
    HeadersTooLarge,
    InvalidRequest,
    Overloaded,
    RequestTimeout,
    UnsupportedEncoding,
)
from kpgate.domain.tier import PRIORITY_MAX
from kpgate.domain.trace import continue_trace
from kpgate.domain.whole import Whole

_ID_BYTES = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


_REFUSALS: dict[int, type[GatewayError]] = {
    400: InvalidRequest,
    408: RequestTimeout,
    415: UnsupportedEncoding,
    431: HeadersTooLarge,
}


def check_head(head: Head) -> Head:
    """The head of a request, if it is fit to be served.

    Errors: InvalidRequest, HeadersTooLarge, UnsupportedEncoding, RequestTimeout: as the transport found it.
    """
    if head.fault_status:
        raise _REFUSALS[head.fault_status](head.fault or "")
    return head


def onward(opening: bytes, head: Head, request_id: str, body_bytes: Whole) -> bytes:
    """The head of an upstream request: what its deployment gives, then length, trace, and what callers may pass on.

    Units: `body_bytes` is -1 for a body of which nobody knows: it goes in chunks.
    """
    parent: bytes | None = None
    if head.traceparent is not None:
        parent = continue_trace(head.traceparent, getrandbits(64) | 1)
    return write_head(opening, head, request_id, body_bytes, parent)


def is_request_id(value: bytes) -> bool:
    """Whether a caller's id may be kept: 1 to 128 of letters, digits, dot, underscore and hyphen."""
    return 0 < len(value) <= 128 and _ID_BYTES.issuperset(value)


class Ids:
    """Request ids of one worker: never twice, in order, told from other workers' by their start."""

    def __init__(self, start: str) -> None:
        self._start = start
        self._count = 0

    def next(self) -> str:
        """A new id."""
        self._count += 1
        return numbered(self._start, self._count)

    @property
    def given(self) -> int:
        """How many there have been."""
        return self._count

    def keep(self, sent: bytes | None) -> str | None:
        """The caller's own id, if it sent one that may be kept."""
        return sent.decode("ascii") if sent is not None and is_request_id(sent) else None


class _Place(Timer):
    """One caller in the queue, or lately in it."""

    __slots__ = ("queued", "wait")

    queued: bool
    wait: Wait

    def fire(self) -> None:
        if not self.wait.done:
            self.wait.fail(
                Overloaded("no place among the calls in flight came free in time", retry_after_us=500_000)
            )


class Inflight:
    """How many calls are under way in this worker, and the queue before them, no longer than that.

    Shape: one queue a priority; the highest comes first, and where all are full the lowest goes.
    Units: `queue_wait_us` microseconds.
    """

    def __init__(self, places: int, queue_wait_us: int, wheel: Wheel, loop: object) -> None:
        self.places = places
        self.taken = 0
        self.queue_wait_us = queue_wait_us
        self._wheel = wheel
        self._loop = loop
        self._queues: tuple[deque[_Place], ...] = tuple([deque() for _ in range(PRIORITY_MAX + 1)])
        self._waiting = 0

    def follow(self, places: int, queue_wait_us: int) -> None:
        """Take new bounds. Who has a place keeps it; who waits for one has as long as it was told."""
        self.places = places
        self.queue_wait_us = queue_wait_us
        self._hand_on()

    def enter(self) -> bool:
        """Take a place if one is free. False: `await queue()`."""
        if self.taken < self.places:
            self.taken += 1
            return True
        return False

    async def queue(self, now_us: int, priority: int) -> None:
        """Wait for a place, before everybody of a lower priority.

        Errors: Overloaded when the queue is full, a higher priority took the room in it, or no place came free
        in time.
        """
        if self._waiting >= self.places and not self._displace(priority):
            raise Overloaded("too many calls are in flight and waiting", retry_after_us=500_000)
        place = _Place()
        place.wait = Wait(self._loop)
        place.queued = True
        waiting = self._queues[priority]
        waiting.append(place)
        self._waiting += 1
        self._wheel.add(place, now_us + self.queue_wait_us)
        try:
            await place.wait
        finally:
            place.cancel()
            if place.queued:
                waiting.remove(place)
                self._waiting -= 1

    def leave(self) -> None:
        """Give a place back, to the first of the highest priority that waits for one."""
        self.taken -= 1
        if self._waiting:
            self._hand_on()

    def _displace(self, priority: int) -> bool:
        """Make room in the queue: the last of the lowest priority that waits, if that is lower, waits in vain."""
        for waiting in self._queues[:priority]:
            if waiting:
                place = waiting.pop()
                place.queued = False
                self._waiting -= 1
                place.wait.fail(Overloaded("calls of a higher priority came first", retry_after_us=500_000))
                return True
        return False

    def _hand_on(self) -> None:
        for waiting in reversed(self._queues):
            while waiting and self.taken < self.places:
                place = waiting.popleft()
                place.queued = False
                self._waiting -= 1
                if not place.wait.done:
                    self.taken += 1
                    place.wait.resolve(None)
