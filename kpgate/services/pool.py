"""The connections of one worker to one provider: bounded, reused last-in-first-out, never when unclean.

Owns connecting (addresses raced, egress proxy, TLS, one deadline over all of it), the queue for a connection,
and their rest and retirement. Knows no request; what went wrong is an UpstreamLost or a PoolFull.
"""

import ssl
from asyncio import AbstractEventLoop, BaseProtocol, Task, TimerHandle, Transport
from collections.abc import Callable
from socket import SOCK_STREAM, AddressFamily, gaierror
from typing import cast

from msgspec import Struct

from kpgate._fast.http1 import Connection, UpstreamLost
from kpgate._fast.outbox import Outbox
from kpgate._fast.wait import Timer, Wait, Wheel
from kpgate.domain.upstream import Origin, PoolOptions

TLS_IDLE_MAX = 64
# From that many connections in use on, the next one is opened before it is needed: few calls at a time need none.
# Source: Envoy, "Connection pooling", preconnecting (checked November 2026).
AHEAD_FROM = 8
# Not at once: the call that took the last one comes first, and a handshake is work.
AHEAD_S = 0.005
# RFC 8305, section 5: how long before the next address is tried as well. A wheel's tick rounds it up.
STAGGER_US = 250_000

Made = Connection
"""What a coroutine gives says so by another name: compiled, the coroutine itself would be taken for it."""
Address = tuple[AddressFamily, str, int]


class PoolFull(Exception):
    """All connections are in use, and the queue for one is full or took too long."""


class Counts(Struct, frozen=True):
    """A pool at one moment: sockets open or being opened, how many rest, how many calls wait for one."""

    open: int
    idle: int
    dialing: int
    waiting: int


class Pool:
    """Connections to one origin.

    Shape: `before` is asked whether anything may be sent yet.
    Order: `take`, or where that gives None `await open`, and always `give` in the end.
    """

    def __init__(
        self,
        origin: Origin,
        options: PoolOptions,
        wheel: Wheel,
        loop: AbstractEventLoop,
        before: Callable[[], bool] | None = None,
    ) -> None:
        self.origin = origin
        self.options = options
        self._age_us = options.age_us
        self._idle_us = options.idle_us
        self._wheel = wheel
        self._loop = loop
        self._outbox = Outbox(loop, before)
        self._tls = tls_context(options.ca) if origin.secure else None
        default_idle = TLS_IDLE_MAX if origin.secure else options.connections_max
        self._idle_max = default_idle if options.idle_max is None else options.idle_max
        self._live: set[Connection] = set()
        self._idle: list[Connection] = []
        self._waiting: dict[Wait, Timer] = {}
        self._dials: dict[Task[Connection], Timer] = {}
        self._ahead: TimerHandle | None = None
        self._sweeper = Timer(self._sweep)
        self._closed = False

    @property
    def counts(self) -> Counts:
        """How many of each there are."""
        dialing = len(self._dials)
        return Counts(len(self._live) + dialing, len(self._idle), dialing, len(self._waiting))

    def take(self) -> Connection | None:
        """The connection used last, if one rests; else None."""
        idle = self._idle
        while idle:
            connection: Connection = idle.pop()
            if connection.rest() and self._wheel.now_us - connection.born_us < self._age_us:
                if not idle and len(self._live) >= AHEAD_FROM:
                    self._dial_ahead()
                return connection
            connection.abort()
        return None

    def open(self, deadline_us: int) -> Wait:
        """Await a connection: a new one, or one that another call gives back first.

        The wait may be failed from outside; a connection that comes too late for it rests.
        Units: `deadline_us` on the wheel's clock.
        Errors: UpstreamLost when none could be made, PoolFull.
        """
        wait = Wait(self._loop)
        if self._closed:
            wait.fail(UpstreamLost("connect", "the pool is closed"))
            return wait
        if len(self._waiting) - len(self._dials) >= self.options.waiters_max:
            wait.fail(PoolFull("too many calls wait for a connection"))
            return wait
        timer = Timer(lambda: self._expire(wait))
        self._waiting[wait] = timer
        self._wheel.add(timer, deadline_us)
        wait.add_done_callback(self._forget)
        self._dial_more()
        self._dial_ahead()
        return wait

    def make_room(self) -> None:
        """See that the next connection can be a new one, as far as that depends on those that rest."""
        if self._idle and len(self._live) + len(self._dials) >= self.options.connections_max:
            self._idle.pop(0).abort()

    def give(self, connection: Connection) -> None:
        """Take a connection back: for whoever waits, or to rest; aborted where it is not clean or too old."""
        if connection.is_idle() and connection in self._idle:
            return
        if connection.rest():
            if not self._closed and self._wheel.now_us - connection.born_us < self._age_us:
                self._hand(connection)
            else:
                connection.abort()

    def close(self) -> None:
        """Abort everything. Counters are back to zero once the loop has gone round."""
        self._closed = True
        self._sweeper.cancel()
        if self._ahead is not None:
            self._ahead.cancel()
        for wait in list(self._waiting):
            wait.fail(UpstreamLost("connect", "the pool is closed"))
        for task in self._dials:
            task.cancel()
        for connection in list(self._live):
            connection.fail(UpstreamLost("connect", "the pool is closed"))

    def lost(self, connection: Connection) -> None:
        """A connection says that its socket has closed."""
        self._live.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._dial_more()

    # Who waits

    def _next(self) -> Wait | None:
        """The call that has waited longest, out of the queue."""
        while self._waiting:
            wait = next(iter(self._waiting))
            self._waiting.pop(wait).cancel()
            if not wait.done:
                return wait
        return None

    def _hand(self, connection: Connection) -> None:
        wait = self._next()
        if wait is not None:
            wait.resolve(connection)
        elif len(self._idle) < self._idle_max:
            connection.idle_since_us = self._wheel.now_us
            self._idle.append(connection)
            if len(self._idle) == 1:
                self._wheel.add(self._sweeper, connection.idle_since_us + self._idle_us)
        else:
            connection.abort()

    def _expire(self, wait: Wait) -> None:
        full = len(self._live) + len(self._dials) >= self.options.connections_max
        if full:
            wait.fail(PoolFull("no connection came free in time"))
        else:
            wait.fail(UpstreamLost("connect", "connecting took too long", timeout=True))

    def _forget(self, wait: Wait) -> None:
        timer = self._waiting.pop(wait, None)
        if timer is not None:
            timer.cancel()

    def _sweep(self) -> None:
        """Retire what has rested too long. Used last-in-first-out, the oldest stand in front."""
        resting_since_us = self._wheel.now_us - self._idle_us
        stale = [connection for connection in self._idle if connection.idle_since_us <= resting_since_us]
        del self._idle[: len(stale)]
        for connection in stale:
            connection.abort()
        if self._idle:
            self._wheel.add(self._sweeper, self._idle[0].idle_since_us + self._idle_us)

    # Connecting

    def _dial_more(self) -> None:
        """A dial for each call that waits, as far as there is room."""
        while len(self._dials) < len(self._waiting) and self._may_dial():
            self._start_dial()

    def _dial_ahead(self) -> None:
        """A dial for the call to come, in a moment, where many are in use and none rests."""
        if self._ahead is None and self._wants_more():
            # house: waits - one a connection and none a call, and sooner than a tick of the wheel
            self._ahead = self._loop.call_later(AHEAD_S, self._dial_now)

    def _dial_now(self) -> None:
        self._ahead = None
        if self._wants_more():
            self._start_dial()

    def _wants_more(self) -> bool:
        return bool(
            self.options.ahead
            and not self._idle
            and len(self._live) >= AHEAD_FROM
            and len(self._dials) <= len(self._waiting)
            and self._idle_max
            and self._may_dial()
        )

    def _may_dial(self) -> bool:
        return len(self._live) + len(self._dials) < self.options.connections_max and not self._closed

    def _start_dial(self) -> None:
        task = self._loop.create_task(self._dial())
        timer = Timer(task.cancel)
        self._dials[task] = timer
        self._wheel.add(timer, self._wheel.now_us + self._wheel.tick_us + self.options.connect_us)
        task.add_done_callback(self._dialled)

    def _dialled(self, task: Task[Connection]) -> None:
        self._dials.pop(task).cancel()
        error: BaseException | None
        if task.cancelled():
            error = UpstreamLost("connect", "connecting took too long", timeout=True)
        else:
            error = task.exception()
        if error is None:
            connection = task.result()
            if self._closed or not connection.is_idle():
                connection.abort()
            else:
                connection.born_us = self._wheel.now_us
                connection.owner = self
                self._live.add(connection)
                self._hand(connection)
        elif len(self._dials) < len(self._waiting):
            # As long as there are as many dials as calls that wait, each may still get one.
            wait = self._next()
            if wait is not None:
                wait.fail(error)
        self._dial_more()

    async def _dial(self) -> Made:
        """A new connection, by whichever address of the provider, or of the proxy, answers first.

        Errors: UpstreamLost. Order: cancelled when its time is over; what it opened is then aborted.
        """
        target = self.options.proxy or self.origin
        try:
            found = await self._loop.getaddrinfo(target.host, target.port, type=SOCK_STREAM)
        except gaierror as error:
            raise UpstreamLost("connect", f"the name {target.host} does not resolve") from error
        addresses = interleave([(family, str(name[0]), int(name[1])) for family, _, _, _, name in found])
        if len(addresses) == 1:
            return await self._connect(addresses[0])
        return await self._race(addresses)

    async def _race(self, addresses: list[Address]) -> Made:
        """Connect by the first address, after a moment or a failure also by the next; the first one up wins.

        Errors: UpstreamLost, the last address's.
        """
        turn = Wait(self._loop)
        stagger = Timer(turn.resolve)
        running: set[Task[Connection]] = set()
        left = addresses[::-1]
        try:
            while True:
                if left:
                    task = self._loop.create_task(self._connect(left.pop()))
                    task.add_done_callback(lambda _: turn.resolve())
                    running.add(task)
                if left:
                    self._wheel.add(stagger, self._wheel.now_us + STAGGER_US)
                await turn
                turn.reset()
                for task in [task for task in running if task.done()]:
                    error = task.exception()
                    if error is None:
                        running.discard(task)
                        return task.result()
                    if len(running) > 1 or left:
                        running.discard(task)
                    else:
                        raise error
        finally:
            stagger.cancel()
            for task in running:
                task.add_done_callback(_drop)
                task.cancel()

    async def _connect(self, address: Address) -> Made:
        """Connect by one address: socket, then proxy, then TLS, as far as they are asked for.

        Errors: UpstreamLost.
        """
        family, host, port = address
        connection = Connection(self._loop, self.options.passed, self._outbox)
        # uvloop wants `get_buffer` and no inheritance (0.23: asyncio's own base turns buffering off).
        protocol = cast(BaseProtocol, connection)
        connected = False
        try:
            transport, _ = await self._loop.create_connection(lambda: protocol, host, port, family=family)
            if self.options.proxy is not None:
                transport = await self._tunnel(connection)
            if self._tls is not None:
                # Not by `create_connection(ssl=...)`: the socket's own transport is needed to pause it.
                name = self.origin.host
                secured = await self._loop.start_tls(transport, protocol, self._tls, server_hostname=name)
                connection.encrypt(secured)
            connected = True
        except OSError as error:
            raise UpstreamLost("connect", _reason(error)) from error
        finally:
            if not connected:
                connection.abort()
        return connection

    async def _tunnel(self, connection: Connection) -> Transport:
        """Ask the proxy for a way to the origin."""
        proxy, authority = self.options.proxy, self.origin.authority.encode()
        assert proxy is not None
        head = b"CONNECT " + authority + b" HTTP/1.1\r\nhost: " + authority + b"\r\n"
        if proxy.authorization is not None:
            head += b"proxy-authorization: " + proxy.authorization + b"\r\n"
        connection.send(head + b"\r\n")
        try:
            await connection.head()
        except UpstreamLost as error:
            raise UpstreamLost("connect", f"the proxy: {error.reason}") from error
        return cast(Transport, connection.enter_tunnel())

    def __repr__(self) -> str:
        counts = self.counts
        return (
            f"<Pool {self.origin.scheme}://{self.origin.authority} open={counts.open} idle={counts.idle}"
            f" dialing={counts.dialing} waiting={counts.waiting}{' closed' if self._closed else ''}>"
        )


class Resuming(ssl.SSLContext):
    """Trust in one provider, whose next handshake goes on from the last one that brought a ticket.

    A resumed handshake is without certificates: they were verified when the session began.
    Source: RFC 8446, section 2.2.
    """

    _last: ssl.SSLObject | None = None
    _session: ssl.SSLSession | None = None

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """A connection's TLS. Tickets come after the handshake, so the last connection is asked for its own now."""
        if self._last is not None:
            self._session = _ticket(self._last) or self._session
        self._last = super().wrap_bio(
            incoming, outgoing, server_side, server_hostname, session or self._session
        )
        return self._last


def _ticket(connection: ssl.SSLObject) -> ssl.SSLSession | None:
    """The session that can be resumed, None where there is none, or not yet."""
    try:
        session = connection.session
    except ValueError:
        # In the middle of its handshake a session cannot be copied.
        return None
    return session if session is not None and session.has_ticket else None


def tls_context(ca: str | None) -> ssl.SSLContext:
    """What is trusted: the system's authorities, or those of the PEM file `ca` alone. TLS 1.2 and later.

    Errors: OSError when the file cannot be read, ssl.SSLError when it holds no certificate.
    """
    context = Resuming(ssl.PROTOCOL_TLS_CLIENT)
    if ca is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def interleave(addresses: list[Address]) -> list[Address]:
    """Addresses with their families in turn, the first one's family first, and no address twice.

    Source: RFC 8305, section 4.
    """
    families: dict[AddressFamily, list[Address]] = {}
    for address in dict.fromkeys(addresses):
        families.setdefault(address[0], []).append(address)
    rows = list(families.values())
    longest = max(map(len, rows))
    return [row[i] for i in range(longest) for row in rows if i < len(row)]


def _drop(task: Task[Connection]) -> None:
    """End a connection that came second."""
    if not task.cancelled() and task.exception() is None:
        task.result().abort()


def _reason(error: OSError) -> str:
    """What kept a connection from being made, in words that carry no address and no secret."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"the TLS handshake failed: {error.reason}"
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(error, ConnectionResetError):
        return "the connection was reset"
    return f"it cannot be reached: {error.strerror or type(error).__name__}"
