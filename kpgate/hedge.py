"""A race: an attempt that keeps its caller waiting gets another one beside it, and the first to answer counts.

Owns the second attempt: when it may begin, the limits it takes, its coroutine, its end. Only before the first byte
that a caller could see. The call is charged once, for whoever answered; what the other one cost is the house's.
It is `gateway.py`'s own attempt that runs twice, the second time in a life of its own. Knows neither transport nor
vendor.
"""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from kpgate._fast.limit import Verdict
from kpgate._fast.pulse import BACK, WELL
from kpgate._fast.step import Aside
from kpgate._fast.wait import Wait
from kpgate.domain.call import Record
from kpgate.domain.errors import GatewayError, HedgeLost
from kpgate.life import Equipment, Life
from kpgate.services.route import Target
from kpgate.services.settle import counted
from kpgate.services.upstream import Attempt

Try = Callable[[Equipment, Life, Target, bytes], Coroutine[Any, Any, bytes]]


class Race(Aside):
    """The attempts of one call, at most one of them with another beside it. It is the timer that begins that one.

    Order: `run` for each attempt, `fail` at any time, `close` once at the call's end.
    """

    __slots__ = (
        "_attempt",
        "_began_us",
        "_begun",
        "_body",
        "_clock",
        "_first",
        "_kit",
        "_life",
        "_order",
        "_said",
        "_second",
        "_turn",
        "_verdict",
        "_won",
    )

    def __init__(
        self, attempt: Try, clock: Callable[[], int], kit: Equipment, life: Life, body: bytes
    ) -> None:
        # Timer's own __init__ is not needed: it has no callback, `fire` is ours.
        self._attempt = attempt
        self._clock = clock
        self._kit = kit
        self._life = life
        self._body = body
        self._order: tuple[Target, ...] = ()
        self._began_us = 0
        self._said = b""
        self._second: Life | None = None
        self._verdict: Verdict | None = None
        self._turn: Wait | None = None
        self._first = self._begun = self._won = False

    @staticmethod
    def of(attempt: Try, clock: Callable[[], int], kit: Equipment, life: Life, body: bytes) -> "Race":
        """A call's race, made for its first attempt."""
        race: Race | None = life.race
        if race is None:
            assert life.plan.hedging is not None, "only of a model that hedges"
            life.plan.hedging.save()
            race = life.race = Race(attempt, clock, kit, life, body)
        return race

    async def run(self, order: tuple[Target, ...], tries: int) -> bytes:
        """One try, and another beside it where that takes long; what the first to answer said first.

        Errors: the one that was begun first's, where none answers.
        """
        life, hedging = self._life, self._life.plan.hedging
        self._order, self._began_us, self._first = order, self._clock(), True
        if not self._begun and hedging is not None:
            self._kit.wheel.add(self, self._began_us + hedging.delay_us)
        try:
            first = await self._attempt(self._kit, life, order[tries % len(order)], self._body)
        except GatewayError as error:
            self._stop_waiting()
            if life.ended is None and self._second is not None and not self._won:
                await self._second_alone()
            if life.ended is not None:
                raise life.ended from None
            if not self._won:
                raise
            # Its attempt keeps it, and where it was raised would keep the call.
            error.at(life.record.phase)
            return self._adopt()
        self._stop_waiting()
        if self._won:
            # Both answered in one turn of the loop. The second was seen to.
            self._cost(life.attempt)
            return self._adopt()
        self._drop()
        return first

    def fire(self) -> None:
        """The wheel: the first one takes long."""
        kit, life, hedging = self._kit, self._life, self._life.plan.hedging
        if life.ended is not None or self._is_answering() or hedging is None:
            return
        if not hedging.affords or not kit.retrying.affords(kit.ids.given):
            kit.meters.hedge(life.plan.name, "over_budget")
            return
        for other in self._others():
            self._verdict = kit.admit.beside(self._clock(), other, life.tokens)
            if self._verdict is not None:
                hedging.spend()
                kit.retrying.spend()
                self._begin(other)
                return
        kit.meters.hedge(life.plan.name, "none_free")

    def fail(self, error: GatewayError) -> None:
        """The call ends: so does what is under way for it here."""
        if self._second is not None and not self._won:
            self._second.fail(error)

    def close(self, record: Record) -> None:
        """Give everything back. Order: at the call's end, once it is known what it used."""
        self.cancel()
        if self._second is not None:
            self._drop()
        elif self._verdict is not None:
            verdict, self._verdict = self._verdict, None
            self._kit.admit.end(self._clock(), verdict, record)

    # The second

    def _is_answering(self) -> bool:
        """Whether a whole reply is on its way: it will not be overtaken by one that has not begun."""
        attempt = self._life.attempt
        connection = None if attempt is None else attempt.connection
        return connection is not None and connection.status != 0 and not self._life.call.stream

    def _others(self) -> Iterator[Target]:
        """Who failover would ask next, as far as they are well."""
        life, order, now_us = self._life, self._order, self._clock()
        assert life.attempt is not None, "an attempt is under way"
        asked, rules, asks = life.attempt.target, self._kit.health.rules, life.asks(self._body)
        place = order.index(asked) + 1
        for one in order[place:] + order[:place]:
            states = [pulse.state(now_us, rules) for pulse in (one.pulse, one.key) if pulse is not None]
            if one.number != asked.number and max(states) in (WELL, BACK) and asks(one):
                yield one

    def _begin(self, other: Target) -> None:
        kit, life, record = self._kit, self._life, self._life.record
        own = Record(record.request_id, record.received_us, record.path, record.method)
        own.caller, own.stream, own.generates = record.caller, record.stream, record.generates
        own.prompt_tokens, own.units, own.attempts = record.prompt_tokens, record.units, record.attempts
        record.attempts += 1
        second = Life(life.exchange, life.endpoint, own)
        second.call, second.plan, second.head = life.call, life.plan, life.head
        second.hold, second.tokens = life.hold, life.tokens
        if life.decision is not None:
            second.decision = life.decision.aside()
        # What the first one had to leave out is noted already.
        life.call.dropped = ""
        self._second, self._begun = second, True
        kit.retrying.begin()
        self.begin(kit.offload.loop, self._run(second, other))

    async def _run(self, second: Life, other: Target) -> None:
        self._said = await self._attempt(self._kit, second, other, self._body)

    def over(self, error: BaseException | None) -> None:
        """The second one has ended: it answered, failed, or was ended."""
        kit, life, second = self._kit, self._life, self._second
        assert second is not None, "it was begun"
        kit.retrying.end()
        if isinstance(error, GatewayError):
            error.at(second.record.phase)
        elif isinstance(error, Exception):
            kit.alarm(error, life.record)
        if error is None and second.ended is None and _is_usable(second.attempt):
            self._won = True
            if self._first:
                self._overtake()
        else:
            self._give_back(second)
        if self._turn is not None:
            self._turn.resolve()

    def _overtake(self) -> None:
        """End the first one. Its coroutine may go on in here, and the call with it."""
        life, attempt = self._life, self._life.attempt
        assert attempt is not None, "an attempt is under way"
        self._cost(attempt)
        if life.decision is not None:
            # It takes that long at least.
            life.decision.answered(self._clock(), self._began_us, attempt.target, life.call.stream)
        attempt.fail(HedgeLost("another attempt was the first to answer"))

    async def _second_alone(self) -> None:
        """The first one has failed: wait for what becomes of the second."""
        since_us = self._clock()
        self._turn = turn = Wait(self._kit.offload.loop)
        try:
            await turn
        finally:
            self._turn = None
            self._life.record.upstream_us += self._clock() - since_us

    def _adopt(self) -> bytes:
        """The second one has answered: the call goes on with its attempt, and pays for that one alone."""
        life, second, record = self._life, self._second, self._life.record
        assert second is not None and life.attempt is not None and life.verdict is not None
        self._second = None
        life.attempt.close()
        life.attempt, life.way = second.attempt, second.way
        life.framer, life.turned, life.used = second.framer, second.turned, second.used
        record.model, record.provider = second.record.model, second.record.provider
        record.deployment, record.dropped = second.record.deployment, second.record.dropped
        if life.decision is not None:
            life.decision.leave()
            life.decision = second.decision
        self._kit.admit.leave(self._clock(), life.verdict)
        said, self._said, self._body = self._said, b"", b""
        self._note("won")
        return said

    def _drop(self) -> None:
        """Nobody needs the second one any more."""
        second = self._second
        self._body = b""
        if second is None:
            return
        if self._won:
            # It answered a call that has ended meanwhile.
            self._give_back(second)
            return
        self._cost(second.attempt)
        if self._life.ended is None:
            _mark(self._life.record, "lost")
        second.fail(HedgeLost("another attempt was the first to answer"))

    def _give_back(self, second: Life) -> None:
        """All that an attempt has which nobody goes on with."""
        kit, verdict = self._kit, self._verdict
        self._second = self._verdict = None
        self._won, self._said = False, b""
        if second.attempt is not None:
            second.attempt.close()
        if second.decision is not None:
            second.decision.leave()
        if verdict is not None:
            kit.admit.end(self._clock(), verdict, second.record)
        if second.ended is None:
            self._note("failed")
        else:
            kit.meters.hedge(self._life.plan.name, "lost" if isinstance(second.ended, HedgeLost) else "ended")

    def _stop_waiting(self) -> None:
        self._first = False
        self.cancel()

    def _cost(self, attempt: Attempt | None) -> None:
        """The prompt of an attempt that is ended though it was asked: nobody is charged for it."""
        if attempt is None or attempt.connection is None:
            return
        price = attempt.target.rates
        if price is not None:
            self._kit.meters.house("hedged", price.charge(counted(self._life.record, "", None)))

    def _note(self, outcome: str) -> None:
        self._kit.meters.hedge(self._life.plan.name, outcome)
        _mark(self._life.record, outcome)


def _is_usable(attempt: Attempt | None) -> bool:
    """Whether what was answered is an answer. A refusal is none while another attempt is under way."""
    return attempt is not None and attempt.connection is not None and attempt.connection.status < 400


def _mark(record: Record, outcome: str) -> None:
    """Say it where it is said how the deployment was chosen."""
    record.route = f"{record.route};hedge={outcome}" if record.route else f"hedge={outcome}"
