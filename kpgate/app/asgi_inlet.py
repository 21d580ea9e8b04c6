"""A request's body on the ASGI transport: read whole, looked at, or passed on as it comes.

It owns when `receive` is called: never for more than somebody wants, and one piece ahead. Knows neither the reply nor
what a body means. Source: ASGI 3.0, HTTP spec 2.3 (checked November 2026); Granian 2.8 (measured).
"""

import asyncio
from collections.abc import Callable
from typing import Any

from kpgate._fast.head import Head
from kpgate._fast.step import Aside
from kpgate._fast.wait import Wait, Wheel
from kpgate.app.bounds import Bounds
from kpgate.domain.errors import BodyTooLarge, ClientGone, GatewayError, InvalidRequest, RequestTimeout
from kpgate.services.exchange import Sink

WATCH_AFTER_US = 100_000
AHEAD_BYTES_MAX = 16_384
TOO_LONG = "the body is longer than the %d bytes that are read"

Message = dict[str, Any]
Receive = Callable[[], "asyncio.Future[Message]"]
"""It answers with a future of the server's, which is no task's to wait for: what it calls once done crosses threads."""


class AsgiInlet(Aside):
    """What an exchange does with a body. It is its own timer: while it receives, for how long.

    Order: as `services/exchange.py` says.
    """

    __slots__ = (
        "_ahead",
        "_arriving",
        "_backlog",
        "_bounds",
        "_bytes_max",
        "_cut",
        "_deadline_us",
        "_got",
        "_peeked",
        "_receive",
        "_receiving",
        "_sink",
        "_stopped",
        "_whole",
        "head",
        "loop",
        "wheel",
    )

    def __init__(
        self, head: Head, receive: Receive, wheel: Wheel, loop: asyncio.AbstractEventLoop, bounds: Bounds
    ) -> None:
        # Timer's own __init__ is not needed: it has no callback, `fire` is ours.
        self.head = head
        self._receive = receive
        self.wheel = wheel
        self.loop = loop
        self._bounds = bounds
        self._receiving: asyncio.Future[Message] | None = None
        self._ahead: asyncio.Future[Message] | None = None
        self._peeked: bytes | None = None
        self._sink: Sink | None = None
        self._cut: GatewayError | None = None
        self._got = 0
        self._backlog = b""
        self._stopped = self._whole = False

    def ask_ahead(self) -> None:
        """Have a short body come before anybody wants it: it mostly came with the head. Not if its client waits to be
        asked."""
        if 0 < self.head.content_length <= AHEAD_BYTES_MAX and not self.head.expects:
            self._ahead = self._receive()

    def take_body(self, bytes_max: int) -> bytes | None:
        """The request's body, as `Exchange.take_body`.

        Errors: BodyTooLarge, ClientGone.
        """
        length, ahead = self.head.content_length, self._ahead
        if length == 0:
            return b""
        if ahead is None or length > bytes_max or not ahead.done():
            return None
        self._ahead = None
        body = self._note(ahead.result())
        if len(body) == length:
            return body
        self._peeked = body
        return None

    async def read_body(self, bytes_max: int) -> bytes:
        """The request's body, as `Exchange.read_body`.

        Errors: BodyTooLarge, RequestTimeout, ClientGone; InvalidRequest for a chunked body that ends badly.
        """
        length, body = self.head.content_length, self._peeked
        self._peeked = None
        if length > bytes_max:
            raise BodyTooLarge(f"the body is {length} bytes; at most {bytes_max} are read")
        if length == 0:
            return b""
        if body is None:
            body = await self._more()
            # The first message of a body always says that more will come: the length knows better.
            if len(body) == length:
                return body
        pieces = [body]
        while not self._whole:
            self._bound(bytes_max)
            pieces.append(await self._more())
        self._bound(bytes_max)
        return b"".join(pieces)

    async def peek(self, seen: int, bytes_max: int) -> bytes:
        """More of the body than `seen` bytes, as `Exchange.peek`.

        Errors: as `read_body`.
        """
        length, here = self.head.content_length, self._peeked or b""
        if length > bytes_max:
            raise BodyTooLarge(f"the body is {length} bytes; at most {bytes_max} are read")
        self._bytes_max = bytes_max
        self._peeked, self._backlog, self._stopped = here, b"", True
        while len(here) <= seen and not self._whole:
            here += await self._more()
            self._peeked = here
            self._bound(bytes_max)
        return here

    def pour(self, sink: Sink | None, seen: int = 0) -> None:
        """Give the body to `sink`, as `Exchange.pour`."""
        self._sink = sink
        self._backlog = (self._peeked or b"")[seen:] + self._backlog
        self._peeked, self._stopped = None, False
        if sink is None:
            self._backlog = b""
        elif self._cut is not None:
            sink.fail(self._cut)
        else:
            self._deadline_us = self.wheel.now_us + self._bounds.body_idle_us
            self._deliver()

    def follow(self) -> None:
        """The sink takes again. While it did not, its client's time stood still."""
        if self._sink is not None and self._stopped:
            self._stopped = False
            self._deadline_us = self.wheel.now_us + self._bounds.body_idle_us
            self._deliver()

    @property
    def _is_coming(self) -> bool:
        """Whether more of the body is to be given on, now or later."""
        return self._sink is not None or (self._peeked is not None and not self._whole)

    # What an exchange does besides

    def _left(self) -> None:
        """The client has gone."""
        raise NotImplementedError

    def _poured(self) -> None:
        """All of the body was given on."""
        raise NotImplementedError

    def _heard(self, heard: Any) -> None:
        """What came of which nobody wants more."""
        raise NotImplementedError

    # Inside

    def _bound(self, bytes_max: int) -> None:
        if self._got > bytes_max:
            raise BodyTooLarge(TOO_LONG % bytes_max)

    def _following(self) -> "asyncio.Future[Message]":
        """More of it, asked for ahead or now."""
        ahead, self._ahead = self._ahead, None
        return self._receive() if ahead is None else ahead

    async def _more(self) -> bytes:
        receiving = self._following()
        if not receiving.done():
            self._receiving = receiving
            now_us = self.wheel.now_us
            self._deadline_us = now_us + self._bounds.body_idle_us
            if not self.armed:
                # At first as far as the watch will need it: one link on the wheel does for both.
                self.wheel.add(self, now_us + WATCH_AFTER_US)
            self._arriving = arriving = Wait(self.loop)
            receiving.add_done_callback(self._arrived)
            try:
                await arriving
            finally:
                self._receiving = None
        if receiving.cancelled():
            raise RequestTimeout("the body stopped arriving")
        return self._note(receiving.result())

    def _arrived(self, _: object) -> None:
        # Nothing here keeps the future, which keeps this: no collector sees into the server's.
        self._arriving.resolve()

    def _note(self, message: Message) -> bytes:
        """What a message has of the body, once it is noted whether that is all.

        Errors: ClientGone, InvalidRequest for a body that was cut.
        """
        body: bytes = message.get("body", b"")
        length, got = self.head.content_length, self._got + len(body)
        more = message["type"] == "http.request" and message.get("more_body", False)
        self._got = got
        self._whole = got == length or not more
        if message["type"] != "http.request" or (self._whole and got < length):
            if length > 0:
                self._left()
                raise ClientGone("the client left before its body was complete")
            raise InvalidRequest("the body ended early or its chunks are malformed")
        return body

    def _deliver(self) -> None:
        """Give on what is here, if it is wanted now, and have more come."""
        sink, piece = self._sink, self._backlog
        if sink is None:
            return
        if not self._stopped and (piece or self._whole):
            self._backlog = b""
            if self._whole:
                self._sink = None
            self._stopped = not sink.take(piece, self._whole)
            if self._whole:
                self._poured()
        if self._sink is sink:
            self._ask()

    def _ask(self) -> None:
        """Have more come, if there is room for it: that it ends is seen by nothing else."""
        if self._whole or self._receiving is not None or len(self._backlog) > AHEAD_BYTES_MAX:
            return
        self._deadline_us = self.wheel.now_us + self._bounds.body_idle_us
        if not self.armed:
            self.wheel.add(self, self._deadline_us)
        self._receiving = receiving = self._following()
        receiving.add_done_callback(self._came)

    def _came(self, received: Any) -> None:
        self._receiving = None
        if not self._is_coming:
            self._heard(received)
            return
        try:
            if received.cancelled():
                raise RequestTimeout("the body stopped arriving")
            if received.exception() is not None:
                self._left()
                raise ClientGone("the client left before its body was complete")
            body = self._note(received.result())
            self._bound(self._bytes_max)
        except GatewayError as error:
            sink, self._sink, self._cut = self._sink, None, error
            if sink is not None:
                sink.fail(error)
        else:
            self._backlog += body
            if self._sink is None:
                self._ask()
            self._deliver()

    def _is_late(self, now_us: int) -> bool:
        """Whether what is received has taken too long: then it ends. Order: while it receives, once the wheel fires."""
        if now_us < self._deadline_us:
            self.wheel.add(self, self._deadline_us)
        elif self._is_coming and self._stopped:
            self.wheel.add(self, now_us + self._bounds.body_idle_us)
        else:
            return True
        return False
