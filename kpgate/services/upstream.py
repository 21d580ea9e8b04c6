"""UPSTREAM: one attempt at one deployment. Turns what went wrong there into one of kpgate's errors.

Owns the three time-outs of an attempt. Never sends anything to the client.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from kpgate._fast.heading import Heading
from kpgate._fast.http1 import Connection, UpstreamLost
from kpgate._fast.wait import Timer, Wait, Wheel
from kpgate.domain.call import Call
from kpgate.domain.dialect import Framing, Way
from kpgate.domain.errors import (
    ContentFiltered,
    GatewayError,
    RateLimited,
    UpstreamFailed,
    UpstreamTimeout,
)
from kpgate.domain.filtering import Watch
from kpgate.domain.refusals import is_flagged, is_unpaid
from kpgate.domain.resets import PREFIXES
from kpgate.domain.whole import Whole
from kpgate.services.exchange import Exchange
from kpgate.services.pool import Made, Pool, PoolFull
from kpgate.services.route import Target

REPLY_BYTES_MAX = 256 * 1024 * 1024
REFUSAL_BYTES_MAX = 1024 * 1024
RETRY_AFTER_MAX_S = 3600
METERED_BYTES = 2048
Instant = int
"""Said by another name: compiled, it is a machine's number, as the room's `.pxd` has it."""


class Rest(Protocol):
    """What sends the rest of a body that has not come yet."""

    def begin(self, connection: Connection, head: bytes) -> None:
        """Send the head, and what there is of the body behind it. Errors: UpstreamLost."""


class Attempt(Timer):
    """One try upstream: the connection in use, its deadline, and the way to end it from outside. Its own timer.

    Order: `attempt_at` makes one. `send`, or what it is made of, then `whole` or any number of `chunk`, then `close`;
    `fail` at any time.
    Shape: a `metered` reply comes in short pieces, so that little of it is beyond what was asked about; `unpaid` says
    that the provider wants kpgate's account to be paid, with a status that others answer callers' mistakes with.
    Units: `began_us` and `over_us` are the instants of its beginning and of what it came to.
    """

    __slots__ = (
        "_clock",
        "_ended",
        "_opening",
        "_reads",
        "_rest",
        "_total_at_us",
        "_wheel",
        "began_us",
        "connection",
        "metered",
        "over_us",
        "target",
        "unpaid",
    )

    def begin(self, target: Target, wheel: Wheel, clock: Callable[[], int], began_us: Whole) -> None:
        """It is a try at this deployment from now on. Order: first of all."""
        self.target = target
        self.connection: Connection | None = None
        self._wheel = wheel
        self._clock = clock
        self._ended: GatewayError | None = None
        self._opening: Wait | None = None
        self._reads = -1
        self.began_us = began_us
        self.over_us = 0
        self._total_at_us = began_us + target.total_us
        self.metered = False
        self.unpaid = False
        self._rest = b""

    async def send(self, head: bytes, body: bytes, rest: Rest | None = None) -> Made:
        """Send the request, or with a `rest` how it begins, and wait for the reply's head.

        What has not come yet could not be sent again: it gets a fresh connection at once.
        Errors: UpstreamFailed, UpstreamTimeout, or whatever `fail` was given.
        """
        if rest is not None:
            return await self._send_fresh(head, body, rest)
        try:
            await self.ask(head, body)
        except UpstreamLost as error:
            await self.ask_again(error, head, body)
        return self.reply()

    def ask(self, head: bytes, body: bytes) -> Awaitable[object]:
        """Send the request by a connection that rests, or else by a fresh one: what to await for the reply's head.

        Order: UpstreamLost, here or awaited, goes to `ask_again`.
        Errors: as `send`.
        """
        target = self.target
        pool: Pool = target.pool
        connection = pool.take()
        if connection is None:
            return self._send_fresh(head, body, None)
        self.connection = connection
        self._arm(self.began_us + target.first_byte_us)
        connection.send(head, body)
        return connection.head()

    async def ask_again(self, error: UpstreamLost, head: bytes, body: bytes) -> None:
        """A kept-alive connection that turned out dead before any byte of a reply is replaced by a fresh one.

        Errors: as `send`.
        """
        if self._ended is not None or error.reply_started:
            raise self._translate(error) from error
        self.close()
        await self._send_fresh(head, body, None)

    async def _send_fresh(self, head: bytes, body: bytes, rest: Rest | None) -> Made:
        target = self.target
        pool = target.pool
        try:
            if rest is not None:
                pool.make_room()
            self._opening = pool.open(self._clock() + target.connect_us)
            connection: Connection = await self._opening
            self._opening = None
            if self._ended is not None:
                # It was given in the same turn of the loop: nothing is sent any more.
                pool.give(connection)
                raise self._ended
            self.connection = connection
            self._arm(self._clock() + target.first_byte_us)
            if rest is None:
                connection.send(head, body)
            else:
                rest.begin(connection, head + body)
            await connection.head()
            return connection
        except PoolFull:
            raise self._failed("all connections to it are in use") from None
        except UpstreamLost as error:
            raise self._translate(error) from error

    def pause(self) -> int:
        """The provider has all that there is of the request: none of its time-outs runs. When the attempt must end."""
        self.cancel()
        return self._total_at_us

    def resume(self) -> None:
        """It is the provider's turn to take what there is of the request, or to answer it."""
        connection = self.connection
        began = connection is not None and connection.status != 0
        self._arm(self._clock() + (self.target.idle_us if began else self.target.first_byte_us))

    def reply(self) -> Connection:
        """The connection whose reply has begun."""
        assert self.connection is not None, "a reply has begun"
        return self.connection

    def take_whole(self) -> bytes | None:
        """The whole body of the reply if it is here. None: `await whole`."""
        body: bytes | None = self.reply().take_whole()
        return body

    async def whole(self, bytes_max: int) -> bytes:
        """The whole body of the reply.

        Errors: UpstreamFailed when it is cut short or larger than `bytes_max`, UpstreamTimeout.
        """
        connection = self.reply()
        self._reads = connection.reads
        self._arm(self._clock() + self.target.idle_us)
        try:
            return await connection.whole(bytes_max)
        except UpstreamLost as error:
            raise self._translate(error) from error

    async def chunk(self) -> bytes:
        """The next piece of a streamed reply, empty at its end; a short one where the reply is metered.

        Errors: UpstreamFailed when the stream is cut, UpstreamTimeout when it stands still.
        """
        piece = self._rest
        if not piece:
            connection = self.reply()
            self._arm(self._clock() + self.target.idle_us)
            try:
                piece = await connection.chunk()
            except UpstreamLost as error:
                raise self._translate(error) from error
        if not self.metered or len(piece) <= METERED_BYTES:
            self._rest = b""
            return piece
        self._rest = piece[METERED_BYTES:]
        return piece[:METERED_BYTES]

    def pass_on(self, headers: Heading) -> None:
        """Add the headers of the reply that the caller sees. A provider's limits, where they are read, are kpgate's."""
        connection = self.reply()
        if self.target.key is None:
            headers.paste(connection.passing)
        else:
            headers.extend([one for one in connection.passed if not one[0].startswith(PREFIXES)])

    def hold(self) -> None:
        """Read no more of a stream before the next `chunk`: the client does not follow."""
        if self.connection is not None:
            self.connection.hold()

    def fail(self, error: GatewayError) -> None:
        """End the attempt from outside: whatever waits on it fails with `error`, the connection is aborted."""
        self._ended = error
        if self.connection is not None:
            self.connection.fail(error)
        elif self._opening is not None:
            self._opening.fail(error)

    def close(self) -> None:
        """Give the connection back if it is fit for another call, else abort it."""
        self.cancel()
        connection, self.connection = self.connection, None
        if connection is not None:
            pool: Pool = self.target.pool
            pool.give(connection)

    def _arm(self, late_at_us: Instant) -> None:
        self._wheel.add(self, late_at_us if late_at_us < self._total_at_us else self._total_at_us)

    def fire(self) -> None:
        """The wheel: a time-out has come, unless a body that is read as a whole has moved meanwhile."""
        connection, now_us = self.connection, self._clock()
        if connection is not None and 0 <= self._reads < connection.reads and now_us < self._total_at_us:
            self._reads = connection.reads
            self._arm(now_us + self.target.idle_us)
            return
        self.fail(UpstreamTimeout(f"provider {self.target.provider} did not answer within its time-out"))

    def _failed(self, reason: str) -> UpstreamFailed:
        return UpstreamFailed(f"provider {self.target.provider}: {reason}")

    def _translate(self, error: UpstreamLost) -> GatewayError:
        if self._ended is not None:
            return self._ended
        if error.timeout:
            return UpstreamTimeout(f"provider {self.target.provider}: {error.reason}")
        return self._failed(error.reason)


def attempt_at(target: Target, wheel: Wheel, clock: Callable[[], int], began_us: Whole) -> Attempt:
    """A try at a deployment that begins."""
    # Timer's own __init__ is not needed: it has no callback, `fire` is ours.
    attempt = Attempt.__new__(Attempt)
    attempt.begin(target, wheel, clock, began_us)
    return attempt


def opening(way: Way, call: Call, exchange: Exchange, sent: bytes) -> bytes:
    """The fixed part of a request's head, with what the caller passes on and what signs it."""
    head = way.stream_head if call.stream else way.head
    if way.begin is not None:
        head = way.begin(call) + head
    for name, value in exchange.headers if way.passes else ():
        if name in way.passes:
            head += b"%b: %b\r\n" % (name, value)
    return head + way.sign(head, sent) if way.sign is not None else head


def is_stream(connection: Connection, way: Way) -> bool:
    """Whether the reply is a stream that succeeded."""
    kind, wanted = connection.content_type, way.stream_type
    if not wanted:
        return connection.status < 300 and connection.status not in (204, 205)
    return connection.status < 300 and kind is not None and kind.lower().startswith(wanted)


async def first_events(attempt: Attempt, framer: Framing, watch: Watch | None) -> bytes:
    """A stream's first events; where it is watched none before there is something said.

    Errors: as `Attempt.chunk`, the framing's, the watch's.
    """
    held = b""
    while chunk := await attempt.chunk():
        held += framer.feed(chunk)
        if (watch is None or not watch.keeps(chunk)) and held:
            return held
    if watch is not None:
        watch.keeps(b"")
    return held + framer.finish()


def check_whole(attempt: Attempt, body: bytes) -> None:
    """Refuse a successful reply that is not JSON, as a proxy's HTML page or an empty body; and a refusal that is not
    the caller's.

    Errors: UpstreamFailed, ContentFiltered.
    """
    connection, target = attempt.reply(), attempt.target
    if connection.status >= 300:
        _check_refusal(attempt, connection.status, body)
        return
    if connection.status in (204, 205):
        return
    kind = connection.content_type
    if kind is not None and kind != b"application/json" and b"json" not in kind.lower():
        shown = kind[:80].decode("latin-1")
        raise UpstreamFailed(
            f"provider {target.provider} answered {connection.status} with {shown}, not JSON"
        )
    if not body.startswith(b"{") and not body.lstrip().startswith(b"{"):
        raise UpstreamFailed(
            f"provider {target.provider} answered {connection.status} with a body that is not JSON"
        )


def _check_refusal(attempt: Attempt, status: int, body: bytes) -> None:
    """What a status means that says several things: it takes the body to know whether a refusal is about kpgate.

    A 403 is about its credential, but where a filter before the model took the content.
    """
    provider = attempt.target.provider
    if status == 400 and is_unpaid(body):
        attempt.unpaid = True
        raise UpstreamFailed(f"provider {provider} wants kpgate's account to be paid ({status})")
    if status == 403 and is_flagged(body):
        raise ContentFiltered(f"provider {provider} filters this content for {attempt.target.model}")
    if status == 403:
        raise UpstreamFailed(f"provider {provider} refused kpgate's credential ({status})")


def judge(connection: Connection, target: Target) -> GatewayError | None:
    """What a reply's status means for the attempt. None: `check_whole` has the last word.

    A provider's 401, 402 and 403 are about kpgate's credential, not the caller's, and are never forwarded.
    """
    status = connection.status
    if status < 400:
        if status < 300:
            return None
        return UpstreamFailed(f"provider {target.provider} redirected ({status}); redirects are refused")
    if status == 429:
        wait_us = retry_after_us(connection.retry_after)
        return RateLimited(f"provider {target.provider} is limiting requests", retry_after_us=wait_us)
    if status == 402:
        return UpstreamFailed(f"provider {target.provider} wants kpgate's account to be paid ({status})")
    if status == 401:
        return UpstreamFailed(f"provider {target.provider} refused kpgate's credential ({status})")
    # 424 is Bedrock's for a model that failed.
    if status >= 500 or status in (408, 424):
        return UpstreamFailed(f"provider {target.provider} answered {status}")
    return None


def retry_after_us(value: bytes | None) -> int:
    """A `retry-after` header in microseconds; one second where it is absent or a date. At most an hour."""
    if value is None or not value.isdigit():
        return 1_000_000
    return min(int(value[:10]), RETRY_AFTER_MAX_S) * 1_000_000 or 1_000_000
