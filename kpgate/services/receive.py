"""RECEIVE: the head of a request, and a place among the calls in flight. Knows no dialect's body."""

from collections import deque
from collections.abc import Sequence
from random import getrandbits

from kpgate._fast.wait import Timer, Wait, Wheel
from kpgate.domain.errors import HeadersTooLarge, InvalidRequest, Overloaded, UnsupportedEncoding
from kpgate.domain.trace import continue_trace

HEADERS_MAX = 100
HEAD_BYTES_MAX = 65_536
_ID_BYTES = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


class Head:
    """The headers kpgate reads, by name; what else came stays in the exchange."""

    host: bytes | None = None
    authorization: bytes | None = None
    x_api_key: bytes | None = None
    google_key: bytes | None = None
    request_id: bytes | None = None
    traceparent: bytes | None = None
    tracestate: bytes | None = None
    content_encoding: bytes | None = None
    forwarded_for: bytes | None = None
    idempotency_key: bytes | None = None
    beta: bytes | None = None

    @property
    def credential(self) -> str | None:
        """The caller's key, from whichever header carries it."""
        if self.authorization is not None:
            scheme, _, bearer = self.authorization.partition(b" ")
            return bearer.strip().decode("latin-1") if scheme.lower() == b"bearer" else None
        key = self.x_api_key or self.google_key
        return key.decode("latin-1") if key is not None else None

    def onward(self, request_id: str, body_bytes: int) -> bytes:
        """The variable end of an upstream request's head: length, trace, and what callers may pass on."""
        lines = b"content-length: %d\r\nx-request-id: %b\r\n" % (body_bytes, request_id.encode())
        if len(self.__dict__) <= 2:
            # Most callers send a host and a key.
            return lines + b"\r\n"
        if self.traceparent is not None:
            parent = continue_trace(self.traceparent, getrandbits(64) | 1)
            if parent is not None:
                lines += b"traceparent: %b\r\n" % parent
                if self.tracestate is not None:
                    lines += b"tracestate: %b\r\n" % self.tracestate
        if self.idempotency_key is not None:
            lines += b"idempotency-key: %b\r\n" % self.idempotency_key
        if self.beta is not None:
            lines += b"openai-beta: %b\r\n" % self.beta
        return lines + b"\r\n"


_NAMES = {
    b"host": "host",
    b"authorization": "authorization",
    b"x-api-key": "x_api_key",
    b"x-goog-api-key": "google_key",
    b"x-request-id": "request_id",
    b"traceparent": "traceparent",
    b"tracestate": "tracestate",
    b"content-encoding": "content_encoding",
    b"x-forwarded-for": "forwarded_for",
    b"idempotency-key": "idempotency_key",
    b"openai-beta": "beta",
}
_LISTS = frozenset({"forwarded_for", "tracestate"})


def read_head(headers: Sequence[tuple[bytes, bytes]]) -> Head:
    """Pick out the headers that kpgate reads.

    Errors: HeadersTooLarge; InvalidRequest for no or several `host`, or a doubled header that must be single.
    """
    if len(headers) > HEADERS_MAX:
        raise HeadersTooLarge(f"{len(headers)} headers were sent; at most {HEADERS_MAX} are read")
    head = Head()
    found = head.__dict__
    size = 0
    for name, value in headers:
        size += len(name) + len(value)
        if name in _NAMES:
            slot = _NAMES[name]
            if slot not in found:
                found[slot] = value
            elif slot in _LISTS:
                found[slot] += b", " + value
            else:
                raise InvalidRequest(f"header {name.decode('latin-1')}: was sent more than once")
    if size > HEAD_BYTES_MAX:
        raise HeadersTooLarge(f"the headers are {size} bytes; at most {HEAD_BYTES_MAX} are read")
    # An absent one comes from the server as an empty one.
    if not head.host:
        raise InvalidRequest("header host: is missing")
    if head.content_encoding is not None and head.content_encoding != b"identity":
        raise UnsupportedEncoding("header content-encoding: send the body as plain JSON, not compressed")
    return head


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
        return f"{self._start}{self._count:x}"

    def keep(self, sent: bytes | None) -> str | None:
        """The caller's own id, if it sent one that may be kept."""
        return sent.decode("ascii") if sent is not None and is_request_id(sent) else None


class _Place(Timer):
    """One caller in the queue."""

    __slots__ = ("wait",)

    wait: Wait

    def fire(self) -> None:
        if not self.wait.done:
            self.wait.fail(
                Overloaded("no place among the calls in flight came free in time", retry_after_us=500_000)
            )


class Inflight:
    """How many calls are under way in this worker, and the queue before them, no longer than that.

    Units: `queue_wait_us` microseconds.
    """

    def __init__(self, places: int, queue_wait_us: int, wheel: Wheel, loop: object) -> None:
        self.places = places
        self.taken = 0
        self.queue_wait_us = queue_wait_us
        self._wheel = wheel
        self._loop = loop
        self._queue: deque[_Place] = deque()

    def enter(self) -> bool:
        """Take a place if one is free. False: `await queue()`."""
        if self.taken < self.places:
            self.taken += 1
            return True
        return False

    async def queue(self, now_us: int) -> None:
        """Wait for a place.

        Errors: Overloaded when the queue is full, or none came free in time.
        """
        if len(self._queue) >= self.places:
            raise Overloaded("too many calls are in flight and waiting", retry_after_us=500_000)
        place = _Place()
        place.wait = Wait(self._loop)
        self._queue.append(place)
        self._wheel.add(place, now_us + self.queue_wait_us)
        try:
            await place.wait
        finally:
            place.cancel()

    def leave(self) -> None:
        """Give a place back, to the first in the queue that still waits for one."""
        while self._queue:
            place = self._queue.popleft()
            if not place.wait.done:
                place.wait.resolve(None)
                return
        self.taken -= 1
