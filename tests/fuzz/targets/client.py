"""A client's connection: what it asks in any pieces is served once, in order and whole, and it always ends.

Shape: a byte that says how it is served, a byte that says where it is cut, what the client sends.
"""

import re
from collections.abc import Iterable
from itertools import chain, repeat

from kpgate._fast.client import Client
from kpgate._fast.lane import Lane
from kpgate._fast.outbox import Outbox
from kpgate._fast.wait import Wait, Wheel
from tests.fuzz.target import pieces
from tests.kit.oracle.http1 import Request, Verdict, read, read_requests
from tests.kit.wire import StillLoop

WORDS = (
    b"POST /v1/x HTTP/1.1\r\nhost: a\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
    b"GET / HTTP/1.0\r\nhost: a\r\n",
    b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n",
    b"content-length: 5\r\n",
    b"transfer-encoding: chunked\r\n",
    b"connection: close\r\n",
    b"connection: keep-alive\r\n",
    b"expect: 100-continue\r\n",
    b"\r\n\r\n",
    b"\r\n",
    b"\n",
    b"hello",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b";ext=1",
    b"x-trailer: t\r\n",
    b"http://a/",
    b"?",
    b"-1",
    b"+",
    b"\0",
    b"\t",
    b" ",
)
BODY_BYTES_MAX = 1 << 20
READ_BYTES = 65_536
# What is read of a call that does not go on; of a head that does not end, the same and a head.
HELD_BYTES_MAX = 16_384 + READ_BYTES
HEAD_BYTES_MAX = 65_536 + READ_BYTES
TAIL_BYTES = 64
TAILS = 3_000
SECOND_US = 1_000_000
PATIENCE_S = 200
# One for all runs: making one takes longer than a run. Nothing is left on it.
WHEEL = Wheel()


class Refusal(Exception):
    """What a lane's `error` makes."""


class Socket:
    """A transport that keeps what was written. A slow one asks for a pause with each write."""

    def __init__(self, loop: StillLoop, slow: bool) -> None:
        self.loop = loop
        self.slow = slow
        self.written = bytearray()
        self.unsent_bytes = 0
        self.reading = True
        self.closed = False
        self.client: Client | None = None

    def write(self, data: bytes) -> None:
        assert not self.closed, "written to a transport that was closed"
        self.written += data
        if self.slow and not self.unsent_bytes and self.client is not None:
            self.unsent_bytes = len(data)
            self.client.pause_writing()

    def writelines(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def go_on(self) -> None:
        """What was written has left."""
        if self.unsent_bytes and self.client is not None:
            self.unsent_bytes = 0
            self.client.resume_writing()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.loop.call_soon(self.lost, None)

    abort = close

    def lost(self, error: Exception | None) -> None:
        self.closed = True
        client, self.client = self.client, None
        if client is not None:
            client.connection_lost(error)

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        pass

    def get_extra_info(self, name: str) -> tuple[str, int] | None:
        return ("127.0.0.1", 1) if name == "peername" else None

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Basin:
    """Where a body is poured. It asks to be waited for after each piece."""

    def __init__(self, loop: StillLoop, client: Client) -> None:
        self.loop = loop
        self.client = client
        self.got = b""
        self.whole = Wait(loop)

    def take(self, piece: bytes, last: bool) -> bool:
        self.got += piece
        if last:
            self.whole.resolve(self.got)
        else:
            assert piece, "a piece of nothing"
            self.loop.call_soon(self.client.follow)
        return False

    def fail(self, error: Exception) -> None:
        self.whole.fail(error)


class Listener:
    """A lane with one connection and an application that answers in one of four ways: whole, as a stream, without
    asking for the body, and late. Poured, a body is looked at, and then taken as it comes."""

    def __init__(self, way: int, slow: bool, poured: bool = False) -> None:
        self.way = way
        self.poured = poured
        self.loop = StillLoop()
        self.served: list[Request | str] = []
        self.alarms: list[BaseException] = []
        self.gate = Wait(self.loop)
        self.begun = 0
        self.waiting = False
        self.bodiless = False
        self.lane = Lane(
            self.serve,
            wheel=WHEEL,
            loop=self.loop,  # type: ignore[arg-type]
            outbox=Outbox(self.loop),  # type: ignore[arg-type]
            error=lambda code, words: Refusal(code),
            alarm=self.alarms.append,
            failed=(500, [], b"failed"),
            clients_max=1,
        )
        self.lane.bound(
            head_us=9 * SECOND_US,
            idle_us=60 * SECOND_US,
            body_idle_us=9 * SECOND_US,
            write_stall_us=9 * SECOND_US,
            bytes_a_second_min=1,
        )
        self.socket = Socket(self.loop, slow)
        self.client = Client(self.lane)
        self.socket.client = self.client
        self.client.connection_made(self.socket)

    async def serve(self, client: Client) -> None:
        self.begun += 1
        self.bodiless |= client.method == "HEAD"
        if client.head.fault_status:
            self.served.append(f"refused {client.head.fault_status}")
            client.reply(client.head.fault_status, [], b"no")
            return
        body: bytes | None = b""
        try:
            if self.way != 2:
                body = client.take_body(BODY_BYTES_MAX)
                if body is None:
                    body = await (self.pour(client) if self.poured else client.read_body(BODY_BYTES_MAX))
        except Refusal as error:
            self.served.append(str(error))
            client.reply(400, [], b"no")
            return
        assert body is not None
        target = client.path + (b"?" + client.query if client.query else b"")
        self.served.append(Request(client.method, target, body))
        if self.way == 3:
            self.gate.reset()
            self.waiting = True
            await self.gate
            self.waiting = False
        if self.way == 1:
            await self.stream(client, body)
        else:
            client.reply(200, [(b"x-size", b"%d" % len(body))], body)

    async def pour(self, client: Client) -> bytes:
        here: bytes = await client.peek(0, BODY_BYTES_MAX)
        more = await client.peek(len(here), BODY_BYTES_MAX)
        assert more.startswith(here), "it stays where it was looked at"
        basin = Basin(self.loop, client)
        client.watch(lambda: basin.fail(Refusal("client_gone")))
        client.pour(basin, len(here))
        try:
            rest: bytes = await basin.whole
            return here + rest
        finally:
            client.pour(None)

    async def stream(self, client: Client, body: bytes) -> None:
        client.open(200, [(b"x-size", b"%d" % len(body))])
        try:
            for piece in (body[: len(body) // 2], body[len(body) // 2 :]):
                if not client.write(piece):
                    await client.room()
        except Refusal:
            client.abort()
        else:
            client.finish()

    def turn(self) -> None:
        """Let everything happen that can happen without the client."""
        while True:
            while self.loop.ready:
                self.loop.turn()
            self.socket.go_on()
            if not self.loop.ready and not self.gate.resolve():
                return

    def read(self, data: bytes) -> int:
        """Let data arrive as far as the connection reads. Returns how many bytes it took."""
        taken = 0
        while taken < len(data) and self.socket.reading and not self.socket.closed:
            buffer = self.client.get_buffer(READ_BYTES)
            size = min(len(buffer), len(data) - taken)
            assert size, "read into nothing"
            buffer[:size] = data[taken : taken + size]
            self.client.buffer_updated(size)
            taken += size
        return taken

    def feed(self, data: bytes) -> None:
        """Let all of it arrive."""
        while data and not self.socket.closed:
            taken = self.read(data)
            self.turn()
            data = data[taken:]
            assert taken or self.socket.closed, "a connection that does not read, and answers nothing"

    def end(self, lost: bool) -> None:
        """The client leaves; whatever it left behind ends by itself."""
        if lost:
            self.socket.lost(ConnectionResetError(104, "x"))
        elif not self.socket.closed and not self.client.eof_received():
            self.socket.close()
        for _ in range(PATIENCE_S):
            self.turn()
            if self.socket.client is None:
                break
            assert not WHEEL.advance(WHEEL.now_us + SECOND_US)
        assert self.socket.client is None, "a connection that does not end"
        assert not self.lane.clients
        assert not self.alarms, self.alarms
        assert WHEEL.live == 0


def check(data: bytes) -> None:
    if len(data) < 2:
        return
    way, lost, stretched, slow = data[0] & 3, bool(data[0] & 4), data[0] >> 3 == 7, bool(data[0] & 64)
    poured = bool(data[0] & 128)
    sent = data[2:]
    if stretched:
        check_endless(way, slow, sent)
        return
    wanted, verdict = read_requests(sent)
    runs = []
    for cut in (0, data[1]):
        listener = Listener(way, slow, poured)
        for piece in pieces(sent, cut):
            listener.feed(piece)
        listener.end(lost)
        if way == 2 or (way == 1 and b"HTTP/1.0" in sent):
            check_begun(listener, wanted)
        else:
            check_served(listener, wanted, verdict)
        check_written(listener, lost)
        runs.append(listener.served)
    assert way == 2 or runs[0] == runs[1], "the cuts show"


def check_begun(listener: Listener, wanted: list[Request]) -> None:
    """As `check_served`, where a reply may end the connection: to a body that was not read, or without a length."""
    said = [(asked.method, asked.target) for asked in listener.served if isinstance(asked, Request)]
    known = [(asked.method, asked.target) for asked in wanted]
    assert said[: len(known)] == known[: len(said)]


def check_served(listener: Listener, wanted: list[Request], verdict: Verdict) -> None:
    """Every request once, in order; what is cut short or none is not served as one."""
    served = listener.served
    assert served[: len(wanted)] == wanted
    further = served[len(wanted) :]
    if verdict is Verdict.WHOLE:
        assert not further, "served beyond the end of the connection"
    elif verdict is not Verdict.UNSURE:
        assert not any(isinstance(asked, Request) for asked in further)


def check_written(listener: Listener, lost: bool) -> None:
    """What was written are replies, one for each request."""
    if listener.bodiless:
        return
    written = re.sub(rb"\r\ndate: [^\r]+", b"", bytes(listener.socket.written))
    answered = 0
    while written:
        reply = read(written)
        if reply.verdict is Verdict.SHORT and (
            lost or re.fullmatch(rb"(HTTP/1.1 100 Continue\r\n\r\n)+", written)
        ):
            break
        # A stream for a client of HTTP/1.0 ends with the connection.
        assert reply.verdict in (Verdict.WHOLE, Verdict.OPEN), written
        answered += 1
        written = written[reply.end :]
        assert reply.keeps or not written, "written behind the last reply"
    assert answered <= len(listener.served)
    assert lost or answered >= len([asked for asked in listener.served if asked != "client_gone"])


def check_endless(way: int, slow: bool, sent: bytes) -> None:
    """Bytes that come again and again while a call does not go on: they stop being read."""
    listener = Listener(way, slow)
    held = 0
    for piece in chain([sent], repeat(sent[-TAIL_BYTES:] * 100, TAILS // 100)):
        before = listener.begun, len(listener.served)
        taken = listener.read(piece)
        held = held + taken if (listener.begun, len(listener.served)) == before else taken
        # What follows the last request of a connection is read and forgotten.
        if listener.waiting and listener.client.head.keep_alive:
            assert held <= HELD_BYTES_MAX, "more is held than a call left behind"
        elif not listener.begun:
            assert held <= HEAD_BYTES_MAX or listener.socket.closed, "a head without end"
        if not listener.socket.reading:
            listener.turn()
            held = 0
    listener.end(lost=True)
