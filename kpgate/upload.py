"""A body that goes on to the provider as it comes, once it is known what is asked for: nobody keeps it.

Owns what of it is here: its beginning, for as long as another attempt could need that, and at most a piece more; who
waits for whom, the client for the provider or the other way; and what may still be wrong with it, or still be asked
for in it: its last piece goes on when that is settled. Knows neither transport nor vendor.
"""

from functools import partial

from kpgate._fast.http1 import Connection
from kpgate._fast.wait import Timer
from kpgate.domain.call import Call
from kpgate.domain.dialect import Intake
from kpgate.domain.errors import GatewayError, InsufficientCredit, Internal, MaxCostExceeded, RequestTimeout
from kpgate.life import Equipment, Life
from kpgate.services.pool import Made
from kpgate.services.receive import onward
from kpgate.services.upstream import Attempt

KEPT_BYTES_MAX = 65_536
"""What is not larger is read whole; what is not known within so much of a body, never goes on as it comes."""
LAST_CHUNK = b"0\r\n\r\n"


async def take_in(kit: Equipment, life: Life) -> bytes:
    """Read a body until it is known whether it may go on as it comes, and then its beginning; else all of it.

    Errors: as the exchange's `read_body`; as the endpoint's `decode`.
    """
    exchange, size, asked = life.exchange, life.head.content_length, life.endpoint.intake
    assert asked is not None, "only where the endpoint has one"
    if not 0 <= size <= KEPT_BYTES_MAX:
        intake, seen = asked(size), -1
        # Without a length there may be no body at all; with one it is known to be too large before any of it has come.
        here = await exchange.peek(-1 if size > 0 else 0, kit.body_bytes_max)
        intake.feed(here)
        while intake.goes_on is None and seen < len(here) < KEPT_BYTES_MAX:
            seen = len(here)
            here = await exchange.peek(seen, kit.body_bytes_max)
            intake.feed(here[seen:])
        if intake.goes_on and (here or size > 0):
            call = intake.call()
            life.upload = Upload(kit, life, intake, call, len(here))
            life.endpoint = life.endpoint.read_by(partial(_known, call))
            return here
    return await exchange.read_body(kit.body_bytes_max)


def _known(call: Call, beginning: bytes, depth_max: int) -> Call:
    """What is asked for: it was read already."""
    return call


class Upload(Timer):
    """The rest of one call's body, on its way. It is where the client's transport gives it, and what the provider's
    connection asks for more; it is the timer of a client that takes as long as no provider may.

    Shape: `spent` says that something was sent on that nobody can send again, `whole` that the provider has it all.
    Order: `send` for each attempt, `close` once.
    """

    __slots__ = (
        "_beginning_bytes",
        "_call",
        "_chunked",
        "_connection",
        "_intake",
        "_kit",
        "_last",
        "_life",
        "_piece",
        "_pouring",
        "spent",
        "whole",
    )

    def __init__(self, kit: Equipment, life: Life, intake: Intake, call: Call, beginning_bytes: int) -> None:
        # Timer's own __init__ is not needed: it has no callback, `fire` is ours.
        self._kit = kit
        self._life = life
        self._intake = intake
        self._call = call
        self._beginning_bytes = beginning_bytes
        self._chunked = life.head.content_length < 0
        self._connection: Connection | None = None
        self._piece = b""
        self._last = self._pouring = False
        self.spent = self.whole = False

    async def send(self, attempt: Attempt, head: bytes, beginning: bytes) -> Made:
        """Send a request that begins so, and the rest of the body as it comes, and wait for the reply's head.

        Errors: as `Attempt.send`; what is wrong with the rest ends the call.
        """
        life, size = self._life, len(beginning)
        rest = life.head.content_length - self._beginning_bytes
        body_bytes = -1 if self._chunked else size + rest
        head = onward(head, life.head, life.record.request_id, body_bytes)
        connection = await attempt.send(head, self._framed(beginning), self)
        if connection.status >= 300:
            # It may be refused before it is all there: this provider gets no more, another might.
            self._connection = None
            self.cancel()
        return connection

    def begin(self, connection: Connection, head: bytes) -> None:
        """Send how it begins, and have the rest follow. Errors: UpstreamLost."""
        self._connection = connection
        connection.begin(head, self)
        if self._pouring:
            self.follow()
            return
        self._pouring = True
        self._wait(True)
        self._life.exchange.pour(self, self._beginning_bytes)

    def take(self, piece: bytes, last: bool) -> bool:
        """A piece has come. False: no more before `follow`. What is wrong with it ends the call."""
        life = self._life
        life.record.request_bytes += len(piece)
        try:
            self._intake.feed(piece)
            if last:
                self._settle(self._intake.end())
        except GatewayError as error:
            self.fail(error)
            return False
        except Exception as error:  # noqa: BLE001 - the edge around one request, in a protocol's callback
            self._kit.alarm(error, life.record)
            self.fail(Internal("kpgate failed; the log has the cause under this request's id"))
            return False
        self._piece, self._last = piece, last
        return self._go_on()

    def follow(self) -> None:
        """The provider takes again: what is here, then more."""
        life = self._life
        if life.ended is None and self._go_on():
            life.exchange.follow()

    def fail(self, error: Exception) -> None:
        """It will never be whole: the call ends."""
        assert isinstance(error, GatewayError), "transports speak of nothing else"
        self._life.fail(error)

    def close(self) -> None:
        """No more of it is wanted."""
        self.cancel()
        self._connection = None
        self._piece = b""
        if self._pouring and not self._last:
            self._pouring = False
            self._life.exchange.pour(None)

    def _go_on(self) -> bool:
        """Send what is here, if the attempt under way still takes it. Whether more may come."""
        connection, piece = self._connection, self._piece
        if connection is None or not connection.takes:
            return False
        if not (piece or self._last):
            self._wait(True)
            return True
        self._piece = b""
        self.spent = True
        framed = self._framed(piece)
        if self._last:
            self.whole = True
            if self._chunked:
                framed += LAST_CHUNK
            if self._life.hold is not None:
                self._life.hold.sent()
        follows = connection.push(framed)
        if self._last:
            connection.end()
        self._wait(follows and not self._last)
        return follows

    def _wait(self, for_caller: bool) -> None:
        """Whose turn it is, and whose time runs."""
        attempt = self._life.attempt
        assert attempt is not None, "an attempt sends it"
        if for_caller:
            self._kit.wheel.add(self, attempt.pause())
        else:
            self.cancel()
            attempt.resume()

    def fire(self) -> None:
        """The wheel: all of an attempt's time has passed, and it was the client that was waited for."""
        self.fail(RequestTimeout("the body was not there in the time that a provider has for all of it"))

    def _framed(self, piece: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked and piece else piece

    def _settle(self, asked: Call | None) -> None:
        """What stood behind the files counts as if it had come first: before the provider has the last of it.

        Errors: InsufficientCredit, MaxCostExceeded.
        """
        if asked is None:
            return
        kit, life, call = self._kit, self._life, self._call
        record, plan, hold = life.record, life.plan, life.hold
        call.stream, call.choices, call.units, call.content = (
            asked.stream,
            asked.choices,
            asked.units,
            asked.content,
        )
        record.stream, record.units = call.stream, call.units
        if plan.vocabulary is not None:
            record.prompt_tokens = life.endpoint.count(call, plan.vocabulary, plan.name)
        if hold is None or plan.tariff is None:
            return
        units = call.units_max or call.units
        most = plan.tariff.bound(record.prompt_tokens, call.choices * hold.cap, hold.factor, units)
        if 0 <= call.cost_max < most:
            raise MaxCostExceeded(f"it may cost more than {call.cost_max} microKPT")
        if most <= hold.amount:
            return
        # What goes to the provider waits for the journal's file by itself, if that is said.
        generation = kit.auth.generation_of(record.caller)
        if not (hold.extend(kit.wheel.now_us, generation, 0, most) and hold.may_send()):
            raise InsufficientCredit("what stands behind the files costs more than there is credit for")
        hold.fill = call.choices * hold.cap if call.units else 0
