"""What a request's life is made of: the equipment that serves it, and what its phases share.

`gateway.py` tells the story; here are its nouns. They know neither transport nor vendor.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from kpgate._fast.head import Head
from kpgate._fast.limit import Verdict
from kpgate._fast.pulse import Pulse
from kpgate._fast.wait import Wheel
from kpgate.domain.call import Call, Record
from kpgate.domain.caller import Caller
from kpgate.domain.dialect import Endpoint, Framing, Turned, Way
from kpgate.domain.errors import ClientGone, GatewayError
from kpgate.domain.filtering import Watch
from kpgate.domain.phase import Phase
from kpgate.domain.usage import Usage
from kpgate.domain.webhook import Source
from kpgate.domain.whole import Whole
from kpgate.services.admit import Admit
from kpgate.services.auth import Auth
from kpgate.services.choose import Decision
from kpgate.services.exchange import Exchange
from kpgate.services.health import Health
from kpgate.services.hold import Hold, Holds
from kpgate.services.meters import Meters
from kpgate.services.offload import Offload
from kpgate.services.receive import Ids, Inflight
from kpgate.services.record import EXCERPT_MAX, Recorder, excerpt
from kpgate.services.route import Order, Plan, Retrying, Routes, Target, unaskable
from kpgate.services.upstream import Attempt


class Check(msgspec.Struct, frozen=True):
    """An active check of a provider by one credential. Shape: `pulses` are whom it speaks for; `head` is what is sent,
    empty where connecting is enough; `enough` results of a kind in a row count; `way`, `call` and `body` are there
    where it is a call of the house's own."""

    pulses: tuple[Pulse, ...]
    target: Target
    head: bytes
    enough: int
    every_us: int
    way: Way | None = None
    call: Call | None = None
    body: bytes = b""


@dataclass(frozen=True)
class Equipment:
    """What a configuration amounts to. A reload makes a new one; a call keeps the one it began with.

    Shape: `inflight` is the worker's for life; `inflight_max` and `queue_wait_us` are its bounds from now on.
    Units: `long_bytes` is the size from which a body is decoded off the loop.
    """

    ids: Ids
    inflight: Inflight
    inflight_max: int
    queue_wait_us: int
    auth: Auth
    routes: Routes
    admit: Admit
    holds: Holds | None
    retrying: Retrying
    health: Health
    offload: Offload
    wheel: Wheel
    meters: Meters
    recorder: Recorder
    alarm: Callable[[Exception, Record], None]
    body_bytes_max: int
    json_depth_max: int
    long_bytes: int
    log_bodies: bool = False
    top_ups: Mapping[str, Source] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    shadows: Any = None

    def plan(self, call: Call, caller: Caller) -> Plan:
        """The plan of the model that a call asks for, if its caller may use it; the call's texts are its party's then.

        Errors: ModelNotFound; as AUTH.
        """
        plan = self.routes.plan(call.model)
        # A wildcard's plan says nothing of what was asked for; any other plan does, whatever its alias was.
        self.auth.authorise(caller, call.model if plan.wild else plan.name)
        if call.texts is not None:
            call.texts.owner = caller.party.number
        return plan


class Life:
    """One request under way: what the phases share, and the one way to end it early.

    Units: `admitted_us` is the instant in which its limits were decided.
    """

    __slots__ = (
        "admitted_us",
        "attempt",
        "call",
        "decision",
        "ended",
        "endpoint",
        "exchange",
        "framer",
        "head",
        "hold",
        "placed",
        "plan",
        "race",
        "record",
        "spoken",
        "tokens",
        "turned",
        "upload",
        "used",
        "verdict",
        "way",
    )

    head: Head
    call: Call
    plan: Plan
    way: Way

    def __init__(self, exchange: Exchange, endpoint: Endpoint, record: Record) -> None:
        self.exchange = exchange
        self.endpoint = endpoint
        self.record = record
        self.verdict: Verdict | None = None
        self.attempt: Attempt | None = None
        self.framer: Framing | None = None
        self.turned: Turned | None = None
        self.used: Usage | None = None
        self.hold: Hold | None = None
        self.decision: Decision | None = None
        self.race: Any = None
        self.upload: Any = None
        self.ended: GatewayError | None = None
        self.placed = False
        self.admitted_us = 0
        self.tokens = 0
        self.spoken = 0

    def place(self, kit: Equipment) -> bool:
        """Take a place in flight if one is free. False: `await queue`."""
        self.placed = kit.inflight.enter()
        return self.placed

    async def queue(self, kit: Equipment, caller: Caller, now_us: int) -> None:
        """Wait for a place in flight. Errors: Overloaded."""
        await kit.inflight.queue(now_us, caller.party.tier.priority)
        self.placed = True

    def find(self, kit: Equipment, caller: Caller) -> None:
        """Find the plan of the model that was asked for, if its caller may use it. Errors: as `Equipment.plan`."""
        record, call = self.record, self.call
        record.stream, record.units = call.stream, call.units
        self.plan = plan = kit.plan(call, caller)
        record.model = plan.name

    def note(self, body: bytes, keeps: bool) -> None:
        """Write down what was sent, whatever becomes of it."""
        self.record.request_bytes = len(body)
        if keeps:
            self.record.asked = excerpt(body)

    def admit(self, kit: Equipment, caller: Caller, now_us: Whole, order: Order) -> bool:
        """Take every limit in one commit. False: not to be decided at once. Errors: as ADMIT."""
        self.admitted_us = now_us
        self.verdict = kit.admit.take(now_us, caller, self.plan, order, self.tokens)
        return self.verdict is not None

    async def admit_patiently(self, kit: Equipment, caller: Caller, order: Order) -> None:
        """The same, waiting for it. Errors: as ADMIT."""
        at_us = self.admitted_us
        self.verdict = await kit.admit.take_patiently(at_us, caller, self.plan, order, self.tokens)

    def keep(self) -> Awaitable[object]:
        """Await that its charge is kept for good."""
        assert self.hold is not None, "what was not held is not kept"
        return self.hold.keep()

    def line_up(self, kit: Equipment, order: Order, body: bytes) -> Order:
        """The candidates as they are asked, whom ADMIT chose first; and a copy for whoever is to have one. From now on
        the client may end the call by leaving.
        """
        assert self.verdict is not None, "only what was admitted is sent"
        self.exchange.watch(self.leave)
        if self.plan.mirror is not None:
            kit.shadows.mirror(kit, self, body)
        chosen = self.verdict.chosen
        return order[chosen:] + order[:chosen] if chosen > 0 else order

    def fail(self, error: GatewayError) -> None:
        """End it: the client left, the gateway drains. Whatever it waits for fails with `error`."""
        if self.ended is None:
            self.ended = error
            if self.attempt is not None:
                self.attempt.fail(error)
            if self.race is not None:
                self.race.fail(error)

    @property
    def is_over(self) -> bool:
        """Whether no further attempt can be made, whatever became of the last."""
        if self.ended is not None or self.endpoint.once:
            return True
        return self.upload is not None and bool(self.upload.spent)

    @property
    def unasked(self) -> Target | None:
        """Whom the last attempt was at, if it was not asked: it has nothing for what the call asks. None: it was."""
        if self.attempt is None or self.record.phase != Phase.ROUTE:
            return None
        return self.attempt.target

    def asks(self, body: bytes) -> Callable[[Target], bool]:
        """What tells whether a target can be asked what the call asks."""
        path, call = self.endpoint.path, self.call
        return lambda target: not unaskable(target, path, call, body)

    def watch(self, body: bytes) -> Watch | None:
        """What watches the stream of an attempt for its first word. None: nobody, no other model may be asked."""
        decision, attempt = self.decision, self.attempt
        if decision is None or attempt is None:
            return None
        return decision.watch(self.way, attempt.target, self.record.attempts, self.call, self.asks(body))

    @property
    def was_asked(self) -> bool:
        """Whether a provider had all that it was asked: it works on, whoever leaves."""
        return self.record.attempts > 0 and (self.upload is None or self.upload.whole)

    def fold(self, keeps: bool) -> str:
        """Count what was written since last, and forget it: a provider may end without saying what was used. What
        it was.
        """
        assert self.framer is not None, "a stream has begun"
        text = self.framer.take_text()
        if self.plan.vocabulary is not None:
            self.spoken += self.plan.vocabulary.count(text)
        if keeps:
            self.record.said = (self.record.said + text)[:EXCERPT_MAX]
        return text

    def goes_on(self, kit: Equipment, now_us: int, sent_bytes: int) -> bool:
        """Whether a stream's running charge is within its hold, which grows while there is credit; if not, what was
        sent on is counted alone: of the text that waits so many bytes.
        """
        attempt, before = self.attempt, self.spoken
        text = self.fold(kit.log_bodies)
        if self.hold is None or attempt is None:
            return True
        if self.hold.run(
            now_us, kit.auth.generation_of(self.record.caller), self.record, self.spoken, attempt.target
        ):
            return True
        assert self.plan.vocabulary is not None, "only what is counted comes to its hold's end"
        sent = text.encode("utf-8", "surrogatepass")[:sent_bytes].decode("utf-8", "ignore")
        self.spoken = before + self.plan.vocabulary.count(sent)
        return False

    def release(self) -> None:
        """Give back what it has of providers. Order: at its end, once it is known what it used."""
        if self.attempt is not None:
            self.attempt.close()
        if self.race is not None:
            # Each knows the other: neither is to wait for the collector.
            race, self.race = self.race, None
            race.close(self.record)
        if self.upload is not None:
            self.upload.close()
            self.upload = None

    def leave(self) -> None:
        """The client has gone."""
        self.fail(ClientGone("the client closed its connection before the reply was complete"))
