"""The ASGI transport: the exchange of one request over Granian's `scope`, `receive` and `send`.

It owns how `send` is driven, and when `receive` is called once nobody wants more of the body (each call costs a thread
hop, so none that is not needed); the body is its inlet's. It knows no dialect and no phase. It drives a request's
coroutine itself; what that waits for ends by a callback or by the wheel, never by a task.
Source: ASGI 3.0, HTTP spec 2.3 (checked November 2026); Granian 2.8 (measured);
docs/decisions/0011-no-task-on-granian.md.
"""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Protocol

from kpgate._fast.head import gather
from kpgate._fast.outbox import Outbox
from kpgate._fast.wait import Wait, Wheel, clock
from kpgate.app.asgi_inlet import WATCH_AFTER_US, AsgiInlet, Message, Receive
from kpgate.app.bounds import Bounds
from kpgate.app.crossing import Crossing
from kpgate.domain.errors import ClientGone
from kpgate.services.exchange import Header, Sink

PIECE_BYTES_MAX = 8192
PIECE_BYTES_MIN = 2048
PROVEN_BYTES = 524_288
"""A client that has taken so much reads. Until then a stream goes in smaller pieces: of those the server has taken over
it keeps a number, whatever their size, for a reader that stands still."""
START, BODY = "http.response.start", "http.response.body"
SERVER = (b"server", b"kpgate")
FAILED_BODY = b'{"error":{"message":"kpgate failed","type":"server_error","param":null,"code":"internal"}}'
LEFT_BODY = (
    b'{"error":{"message":"the body ended early","type":"invalid_request_error","param":null,'
    b'"code":"invalid_request"}}'
)
JSON = (b"content-type", b"application/json")

Send = Callable[[Message], object]
Serve = Callable[["AsgiExchange"], Coroutine[Any, Any, None]]


class Proto(Protocol):
    """The two ways of an ASGI application."""

    @property
    def receive(self) -> Receive:
        """What comes of the request."""

    @property
    def send(self) -> Send:
        """Where the reply goes. A future if the client has to take something first."""


class Incoming(Protocol):
    """A request, as the server hands it over."""

    @property
    def scope(self) -> dict[str, Any]:
        """Its head."""

    @property
    def proto(self) -> Proto:
        """Its body, and its reply."""

    def done(self) -> None:
        """The application has ended: a stream without an end is cut, a request without a reply gets a bare 500."""


class Transport:
    """What all exchanges of a listener share.

    Shape: `alarm` is told what escapes the application; whole replies wait for `before` where there is one.
    """

    def __init__(
        self,
        serve: Serve,
        wheel: Wheel,
        crossing: Crossing,
        bounds: Bounds,
        alarm: Callable[[BaseException], None],
        before: Callable[[], bool] | None = None,
    ) -> None:
        self.serve = serve
        self.wheel = wheel
        self.crossing = crossing
        self.bounds = bounds
        self.alarm = alarm
        self.outbox = None if before is None else Outbox(crossing.loop, before)

    def take(self, incoming: Incoming) -> None:
        """Take over a request, on the thread of the server that read it. Nothing may escape."""
        try:
            exchange = AsgiExchange(self, incoming)
            exchange.ask_ahead()
        except Exception as error:  # noqa: BLE001 - the edge of a server's callback
            self.crossing.call_soon_threadsafe(self.alarm, error)
            incoming.done()
        else:
            self.crossing.call_soon_threadsafe(exchange.start)


def _let_go(*_: object) -> Any:
    """What a request's ways are once it has ended."""
    raise AssertionError("the request has ended")


class AsgiExchange(AsgiInlet):
    """One request and its reply. It is its own timer: body idle, then the watch for leaving, then stalled writes.

    Order: as `services/exchange.py` says.
    """

    __slots__ = (
        "_done",
        "_ended",
        "_finishing",
        "_leave",
        "_opened",
        "_over",
        "_piece",
        "_reply",
        "_rest",
        "_room",
        "_send",
        "_sent",
        "_settling",
        "_transport",
        "_waiting",
        "_watched",
        "cut",
        "gone",
        "headers",
        "method",
        "path",
        "peer",
        "query",
        "received_us",
        "unsent",
    )

    def __init__(self, transport: Transport, incoming: Incoming) -> None:
        scope, proto = incoming.scope, incoming.proto
        self.received_us = clock()
        self.method: str = scope["method"]
        self.path: bytes = scope["raw_path"]
        self.query: bytes = scope["query_string"]
        self.headers: list[Header] = scope["headers"]
        super().__init__(
            gather(self.headers), proto.receive, transport.wheel, transport.crossing.loop, transport.bounds
        )
        client = scope["client"]
        self.peer: str = client[0] if client else ""
        self.gone = self.cut = self.unsent = False
        self._transport = transport
        self._done = incoming.done
        self._send = proto.send
        self._settling = False
        self._opened = self._ended = self._watched = self._finishing = self._waiting = self._over = False
        self._reply: tuple[Message, Message] | None = None
        self._leave: Callable[[], None] | None = None
        self._room: Wait | None = None
        self._rest: memoryview | None = None
        self._piece = PIECE_BYTES_MIN
        self._sent = 0

    # Receiving

    def watch(self, leave: Callable[[], None]) -> None:
        """Call `leave` once if the client goes away from now on."""
        if self.gone:
            leave()
            return
        self._leave = leave
        if self._opened:
            self._watch()
        else:
            self.wheel.add(self, self.wheel.now_us + WATCH_AFTER_US)

    def pour(self, sink: Sink | None, seen: int = 0) -> None:
        """Give the body to `sink`, as `Exchange.pour`. What nobody wants is watched for the client's leaving."""
        super().pour(sink, seen)
        if sink is None:
            self._watched = self._watched or self._receiving is not None
            self._poured()

    def _poured(self) -> None:
        if self._leave is not None:
            self.watch(self._leave)

    def _watch(self) -> None:
        if self._is_coming:
            self._ask()
        elif not self._watched and not self._ended:
            self._watched = True
            self._listen()

    def _listen(self) -> None:
        self._following().add_done_callback(self._heard)

    def _heard(self, heard: Any) -> None:
        """What came after the body: its end, or that the connection is gone."""
        if self._ended or heard.cancelled():
            return
        if heard.exception() is None and heard.result()["type"] == "http.request":
            self._listen()
        else:
            self._left()

    def _left(self) -> None:
        if self.gone:
            return
        self.gone = True
        leave, self._leave = self._leave, None
        if self._room is not None:
            self._room.fail(ClientGone("the client closed its connection"))
        if leave is not None:
            leave()

    # Sending

    def reply(self, status: int, headers: Iterable[Header], body: bytes) -> None:
        """Send a whole reply; `content-length` is added."""
        self._check(status)
        self._ended = True
        sent = [*headers, SERVER, (b"content-length", b"%d" % len(body))]
        self._reply = {"type": START, "status": status, "headers": sent}, {"type": BODY, "body": body}
        if self._transport.outbox is None:
            self._say()
        else:
            self._transport.outbox.later(self, self._say_later)

    def _say(self) -> None:
        assert self._reply is not None, "a reply waits"
        (start, body), self._reply = self._reply, None
        # Both return at once and leave as one write.
        self._send(start)
        self._send(body)

    def _say_later(self) -> None:
        try:
            self._say()
        except Exception as error:  # noqa: BLE001 - the edge of the turn's end: the others are to be said
            self._transport.alarm(error)
        if self._over:
            self._part()

    def is_closing(self) -> bool:
        """Never: whether there is still anybody to be told, the server knows."""
        return False

    def open(self, status: int, headers: Iterable[Header]) -> None:
        """Send a stream's head."""
        self._check(status)
        self._opened = True
        self._send({"type": START, "status": status, "headers": [*headers, SERVER]})
        if self._leave is not None:
            self._watch()

    def write(self, chunk: bytes) -> bool:
        """Send a piece of the stream. False: wait for `room` before the next one."""
        if self.gone:
            return False
        if self.unsent:
            # Only a last word may be written without asking for room; it waits its turn.
            self._rest = memoryview(b"".join((self._rest or b"", chunk)))
            return False
        if len(chunk) <= self._piece:
            return self._push(chunk, True)
        self._rest = memoryview(chunk)
        return self._go_on()

    async def room(self) -> None:
        """Wait until what was written has been taken.

        Errors: ClientGone.
        """
        if self.gone:
            raise ClientGone("the client closed its connection")
        if not self.unsent:
            return
        room = self._room
        if room is None:
            room = self._room = Wait(self.loop)
        else:
            room.reset()
        self._waiting = True
        self._stall()
        try:
            await room
        finally:
            self._waiting = False

    def finish(self) -> None:
        """End the stream well, after what is still to be sent."""
        if self._ended:
            return
        self._finishing = True
        if not self.unsent:
            self._end()

    def abort(self) -> None:
        """End the stream so that the client sees it was cut."""
        if self._ended:
            return
        if self._opened:
            self._ended = self.cut = True
            self._rest = None
        else:
            # Silence would be answered by the server, with a bare 500.
            self.reply(400, [JSON], LEFT_BODY)

    def fail(self) -> None:
        """The application broke: a 500 if nothing was sent yet, else a cut."""
        if self._opened:
            self.abort()
        elif not self._ended:
            self.reply(500, [JSON], FAILED_BODY)

    def _check(self, status: int) -> None:
        # One out of range would abort the process inside the server.
        if not 200 <= status <= 599:
            raise ValueError(f"a reply's status is from 200 to 599, not {status}")
        assert not (self._opened or self._ended), "a reply begins once"

    def _push(self, piece: bytes, more: bool) -> bool:
        taking = self._send({"type": BODY, "body": piece, "more_body": more})
        # The server answers with a future only if the client has to take something first.
        later = getattr(taking, "add_done_callback", None)
        if later is None:
            return True
        self.unsent = True
        later(self._taken)
        return False

    def _go_on(self) -> bool:
        while (rest := self._rest) is not None:
            size = self._piece
            self._rest = rest[size:] if len(rest) > size else None
            self._sent += size
            if self._sent > PROVEN_BYTES:
                self._piece = PIECE_BYTES_MAX
            if not self._push(bytes(rest[:size]), True):
                return False
        return True

    def _end(self) -> None:
        self._ended = True
        self._push(b"", False)

    def _taken(self, taking: Any) -> None:
        """The client has taken a piece."""
        self.unsent = False
        if not (self.gone or self.cut):
            if not self._go_on():
                self._stall()
                return
            if self._finishing and not self._ended:
                self._end()
                if self.unsent:
                    return
        if self._room is not None:
            self._room.resolve()

    def _stall(self) -> None:
        now_us = self.wheel.now_us
        self._deadline_us = now_us + self._bounds.write_stall_us
        self.wheel.add(self, min(self._deadline_us, now_us + WATCH_AFTER_US))

    def _shrink(self) -> None:
        """Keep no more of a chunk than is still to be sent: it is a while until the client takes that."""
        if self._rest is not None:
            self._rest = memoryview(bytes(self._rest))

    # Time

    def fire(self) -> None:
        """The wheel's: whichever of the three it was armed for."""
        now_us = self.wheel.now_us
        receiving = self._receiving
        if receiving is not None:
            if self._is_late(now_us):
                self._receiving = None
                receiving.cancel()
        elif self._waiting:
            if now_us < self._deadline_us:
                self._shrink()
                self.wheel.add(self, self._deadline_us)
            else:
                self._left()
        elif self._leave is not None:
            self._watch()

    # Its beginning and its end

    def start(self) -> None:
        """Serve it, on the loop's thread."""
        try:
            serving = self._transport.serve(self)
        except Exception as error:  # noqa: BLE001 - the edge around one request
            self.over(error)
        else:
            self.begin(self.loop, serving)

    def over(self, error: BaseException | None) -> None:
        """The application has ended, or the last of a finished stream was taken, or nobody takes it."""
        if error is not None:
            self._transport.alarm(error)
            self.fail()
        self._close()
        if self.unsent and not self._settling:
            self._settling = True
            self.begin(self.loop, self._settle())
            return
        self._ended = self._over = True
        if self._reply is None:
            self._part()

    def _part(self) -> None:
        """Have the server let go of the request."""
        done = self._done
        # The server closes the connection once nothing here can ask for more of the body.
        self._receive = self._send = self._done = _let_go
        done()

    def _close(self) -> None:
        """Nothing more is asked of it: off the wheel, and a reply that never came is sent."""
        self.cancel()
        if self._opened:
            if not (self._ended or self._finishing):
                self.abort()
        elif not self._ended:
            self.fail()
        self._leave = None
        if self._ahead is not None:
            self._ahead.cancel()
            self._ahead = None

    async def _settle(self) -> None:
        """Wait until the last of a finished stream has been taken, or the client stands still for too long."""
        if self.cut or self.gone:
            return
        try:
            await self.room()
        except ClientGone:
            self.cut = True
        self.cancel()
