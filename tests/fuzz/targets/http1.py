"""An upstream's reply in any pieces, read in any way: its framing is obeyed, and nothing behind it is carried on.

Shape: a byte that says how it is read, a byte that says where it is cut, the reply.
"""

from collections.abc import Coroutine, Iterator
from itertools import chain, repeat
from typing import Any, NamedTuple

from httptools import HttpParserCallbackError, HttpResponseParser

from kpgate._fast import http1
from kpgate._fast.http1 import Connection, UpstreamLost
from kpgate._fast.wait import Wait
from tests.fuzz.target import pieces
from tests.kit.oracle.http1 import Reply, Verdict
from tests.kit.oracle.http1 import read as oracle_read
from tests.kit.wire import Wire

WORDS = (
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.0 200 OK\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 204 N\r\n",
    b"content-length: 5\r\n",
    b"transfer-encoding: chunked\r\n",
    b"connection: close\r\n",
    b"connection: keep-alive\r\n",
    b"connection: upgrade\r\nupgrade: x\r\n",
    b"content-type: a\r\n",
    b"openai-x: y\r\n",
    b"\r\n\r\n",
    b"\r\n",
    b"\n",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"0\r\n",
    b";ext=1",
    b"x-trailer: t\r\n",
    b"-1",
    b"+",
    b"ffffffffffffffff",
    b"18446744073709551617",
    b"\0",
    b"\t",
    b" ",
)
REQUEST = b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n"
SECOND = b"HTTP/1.1 203 S\r\ncontent-length: 6\r\n\r\nsecond"
BODY_BYTES_MAX = (1 << 20, 64)
# What one read may bring on top of what makes the connection hold back; a head is at most one read too long.
UNREAD_BYTES_MAX = 16_384 + 32_768
HEAD_BYTES_MAX = 65_536 + 32_768
TAIL_BYTES = 64
TAILS = 3_000


class Parser:
    """The parser, saying so where a callback of ours failed: the connection would take that for bad HTTP."""

    def __init__(self, protocol: object) -> None:
        self.parser = HttpResponseParser(protocol)
        self.get_status_code = self.parser.get_status_code
        self.should_keep_alive = self.parser.should_keep_alive

    def feed_data(self, data: memoryview) -> None:
        try:
            self.parser.feed_data(data)
        except HttpParserCallbackError as error:
            raise AssertionError("a callback failed") from error


http1.HttpResponseParser = Parser  # type: ignore[attr-defined]


class Outcome(NamedTuple):
    """How a call ended: `lost` for all that is not a whole reply."""

    lost: bool
    status: int = 0
    seen: tuple[object, ...] = ()
    body: bytes = b""


class Call:
    """One call over a wire, its coroutine stepped from within the callbacks, as the gateway's are."""

    def __init__(self, way: int) -> None:
        self.wire = Wire()
        self.way = way
        self.outcome: Outcome | None = None
        self.kept = False
        self.gate = Wait(self.wire.loop)
        self.coroutine = self.call()
        self.step()

    def step(self) -> None:
        """Go on: what it waited for has ended."""
        wait = next_wait(self.coroutine)
        if wait is not None:
            wait.waiter = self

    async def call(self) -> None:
        connection = self.wire.connection
        connection.send(REQUEST, b"{}")
        try:
            await connection.head()
            body = await self.body(connection)
        except UpstreamLost:
            self.outcome = Outcome(lost=True)
            assert not connection.rest(), "a call that failed left a connection that may carry another"
        else:
            seen = (
                connection.content_type,
                connection.retry_after,
                connection.request_id,
                *connection.passed,
            )
            self.outcome = Outcome(False, connection.status, seen, body)
            self.kept = connection.rest()

    async def body(self, connection: Connection) -> bytes:
        if self.way in (0, 1):
            return await connection.whole(BODY_BYTES_MAX[self.way])
        body = b""
        while True:
            piece = connection.take() if self.way == 3 else None
            if piece is None:
                piece = await connection.chunk()
            if not piece:
                return body
            body += piece
            if self.way == 3:
                self.gate.reset()
                await self.gate

    def feed(self, stream: Iterator[bytes]) -> None:
        """Let it arrive as long as the connection reads; a slow reader goes on where it must."""
        for piece in stream:
            if not self.wire.reading:
                self.gate.resolve()
            if self.wire.closed:
                return
            assert self.wire.reading or self.outcome is not None
            self.wire.feed(piece)
            unread = unread_bytes(self.wire.connection)
            assert unread <= UNREAD_BYTES_MAX or self.way == 0, "more is held than a reader left behind"

    def drain(self) -> None:
        """The slow reader takes what is there."""
        while self.outcome is None and self.gate.resolve():
            pass

    def end(self, lost: bool) -> Outcome:
        """The connection ends. Returns how the call did."""
        if lost:
            self.wire.lose(ConnectionResetError(104, "x"))
        else:
            self.wire.eof()
        self.drain()
        assert self.outcome is not None, "a call waits on a connection that has gone"
        assert not self.wire.connection.rest()
        return self.outcome


def next_wait(coroutine: Coroutine[Any, Any, None]) -> Any:
    try:
        return coroutine.send(None)
    except StopIteration:
        return None


def unread_bytes(connection: Connection) -> int:
    return int(repr(connection).partition("unread=")[2].split()[0])


def check(data: bytes) -> None:
    if len(data) < 2:
        return
    way, lost, stretched = data[0] & 3, bool(data[0] & 4), data[0] >> 3 == 7
    reply = data[2:]
    if stretched:
        check_endless(way, reply)
        return
    wanted = oracle_read(reply)
    outcomes = set()
    for cut in (0, data[1]):
        call = Call(way)
        call.feed(pieces(reply, cut))
        call.drain()
        check_kept(call, reply, wanted)
        outcome = call.end(lost)
        check_outcome(outcome, wanted, lost, BODY_BYTES_MAX[way == 1])
        outcomes.add(outcome)
    assert len(outcomes) == 1, "the cuts show"


def check_kept(call: Call, reply: bytes, wanted: Reply) -> None:
    """A connection carries another call only if nothing of this one is left, and then it does so well."""
    open_still = call.kept and not call.wire.closed
    # Empty lines behind a reply are nobody's reply: the parser passes over them.
    surplus = reply[wanted.end :].strip(b"\r\n")
    if wanted.verdict in (Verdict.REFUSED, Verdict.SHORT, Verdict.OPEN):
        assert not call.kept
    elif wanted.verdict is Verdict.WHOLE and (surplus or not wanted.keeps):
        assert not open_still, "bytes behind a reply are carried on to the next call"
    elif wanted.verdict is Verdict.WHOLE and wanted.end == len(reply):
        assert open_still or call.way == 1, "a spent connection that was not"
    if open_still:
        connection = call.wire.connection
        connection.send(REQUEST, b"{}")
        body = connection.whole(6)
        call.wire.feed(SECOND)
        assert body.result() == b"second"  # type: ignore[attr-defined]
        assert connection.status == 203
        assert connection.clean


def check_outcome(outcome: Outcome, wanted: Reply, lost: bool, body_bytes_max: int) -> None:
    """As the oracle has it, where that is sure."""
    if wanted.verdict is Verdict.UNSURE:
        return
    ends_well = wanted.verdict is Verdict.WHOLE or (wanted.verdict is Verdict.OPEN and not lost)
    if len(wanted.body) > body_bytes_max:
        ends_well = ends_well and not outcome.lost
    assert outcome.lost is not ends_well, wanted.verdict
    if ends_well:
        passed = [header for header in wanted.headers if header[0].startswith((b"openai-", b"x-ratelimit-"))]
        named = (wanted.header(name) for name in (b"content-type", b"retry-after", b"x-request-id"))
        assert outcome == Outcome(False, wanted.status, (*named, *passed), wanted.body)


def check_endless(way: int, reply: bytes) -> None:
    """A reply whose last bytes come again and again: little is held, and it ends where it makes no progress."""
    call = Call(way)
    head_bytes = 0
    for piece in chain([reply], repeat(reply[-TAIL_BYTES:] * 100, TAILS // 100)):
        if call.wire.closed or call.outcome is not None:
            break
        call.feed(iter((piece,)))
        head_bytes += len(piece)
        if call.wire.connection.status == 0:
            assert head_bytes <= HEAD_BYTES_MAX or call.wire.closed, "a head without end"
    call.end(lost=True)
