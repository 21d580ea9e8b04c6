"""Shadow traffic: a copy of an admitted call that another model answers for nobody, so that the two can be compared.

Owns the copies under way: how many there may be, what of a reply is read, their line in the log, their metrics. A copy
begins once its call is on its way, never keeps that waiting, and can only be dropped. Nobody is charged for one, and no
caller's limits count it; what its deployment may take is respected. How a deployment does is not learnt from copies.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import blake2b
from random import getrandbits, randrange
from typing import Any, cast

from kpgate._fast.limit import Verdict
from kpgate._fast.pulse import BACK, WELL
from kpgate._fast.step import Aside
from kpgate.domain.call import Call, Record
from kpgate.domain.dialect import Endpoint, Way
from kpgate.domain.errors import GatewayError, Overloaded, UpstreamFailed
from kpgate.domain.phase import Phase
from kpgate.domain.routing import Shadow
from kpgate.life import Equipment, Life
from kpgate.services.exchange import Exchange
from kpgate.services.meters import LATENCY_BOUNDS_US, label
from kpgate.services.route import Plan, Target, matching
from kpgate.services.settle import read_used, stream_usage, turned_usage, whole_usage
from kpgate.services.upstream import Attempt, attempt_at, check_whole, is_stream, judge, opening

PARTS = 10_000
Header = tuple[bytes, bytes]


class Mirror:
    """Where the copies of one model's calls go, and how many of them.

    Shape: `plan` is the other model's; `targets` are its own, none of which has longer than a copy may take.
    """

    def __init__(self, asked: str, plan: Plan, terms: Shadow) -> None:
        total_us = int(terms.timeout_s * 1_000_000)
        self.asked = asked
        self.plan = plan
        self.targets = tuple(replace(one, total_us=min(one.total_us, total_us)) for one in plan.targets)
        self.body_bytes_max = terms.body_bytes_max
        self.inflight_max = terms.inflight_max
        self.labels = f"{label('model', asked)},{label('shadow', plan.name)}"
        self.under_way = 0
        self._share = round(terms.percent * PARTS / 100)

    def takes(self, session: int) -> bool:
        """Whether a call is among those that are copied. All calls of a session are, or none.

        Shape: `session` is the hash by which canaries are chosen; 0 for none, and then chance decides.
        """
        if not session:
            return randrange(PARTS) < self._share
        said = f"{session} {self.plan.name}".encode()
        return int.from_bytes(blake2b(said, digest_size=8).digest(), "little") % PARTS < self._share


class Shadows:
    """The copies of one worker, over all configurations."""

    def __init__(self, loop: Any, clock: Callable[[], int]) -> None:
        self.under_way: set[Copy] = set()
        self._loop = loop
        self._clock = clock

    def mirror(self, kit: Equipment, life: Life, body: bytes) -> None:
        """Copy a call that was admitted, if it is one of those. Order: before it is sent; the copy begins after."""
        mirror: Mirror = life.plan.mirror
        endpoint = life.endpoint
        if endpoint.neutral is None or endpoint.tally is not None:
            return
        if not mirror.takes(life.decision.session if life.decision is not None else 0):
            return
        if mirror.under_way >= mirror.inflight_max or len(body) > mirror.body_bytes_max:
            count(kit, mirror, "too_many" if mirror.under_way >= mirror.inflight_max else "too_large")
            return
        copy = Copy(self, self._clock, kit, mirror, life, body)
        mirror.under_way += 1
        self.under_way.add(copy)
        self._loop.call_soon(copy.start)


class Copy(Aside):
    """One copy of a call.

    Order: `start` once; `fail` at any time.
    """

    __slots__ = (
        "_attempt",
        "_body",
        "_call",
        "_cap",
        "_clock",
        "_ended",
        "_endpoint",
        "_kit",
        "_mirror",
        "_shadows",
        "_verdict",
        "headers",
        "record",
    )

    def __init__(  # house: parameters - a copy is made of nothing but its call and who keeps it
        self,
        shadows: Shadows,
        clock: Callable[[], int],
        kit: Equipment,
        mirror: Mirror,
        life: Life,
        body: bytes,
    ) -> None:
        # Timer's own __init__ is not needed: it has no callback.
        seen = life.record
        self.record = record = Record(seen.request_id, clock(), seen.path, seen.method)
        record.stream, record.generates = life.call.stream, seen.generates
        record.prompt_tokens, record.request_bytes, record.units = seen.prompt_tokens, len(body), seen.units
        # A transport may have used its own for another call by then.
        self.headers: Sequence[Header] = tuple(life.exchange.headers)
        self._call: Call = replace(life.call, dropped="")
        self._cap = 0 if life.hold is None else life.hold.cap
        self._endpoint: Endpoint = life.endpoint
        self._body = body
        self._mirror = mirror
        self._kit = kit
        self._clock = clock
        self._shadows = shadows
        self._attempt: Attempt | None = None
        self._ended: GatewayError | None = None
        self._verdict: Verdict | None = None

    def start(self) -> None:
        """Send it, and read what comes."""
        self.begin(self._shadows._loop, self._answer())

    def fail(self, error: GatewayError) -> None:
        """End it: the gateway drains."""
        if self._ended is None:
            self._ended = error
            if self._attempt is not None:
                self._attempt.fail(error)

    def over(self, error: BaseException | None) -> None:
        """It has ended: it is counted, and written down without a word of what was asked or said."""
        kit, mirror, record = self._kit, self._mirror, self.record
        if self._attempt is not None:
            self._attempt.close()
        if self._verdict is not None:
            kit.admit.end(self._clock(), self._verdict, record)
        mirror.under_way -= 1
        self._shadows.under_way.discard(self)
        if isinstance(error, GatewayError):
            record.error = error.at(record.phase)
        elif isinstance(error, Exception):
            kit.alarm(error, record)
        total_us = self._clock() - record.received_us
        record.overhead_us = total_us - record.upstream_us
        refused = record.error
        count(kit, mirror, str(record.status) if refused is None else refused.code)
        if refused is None:
            observe(kit, mirror, record, total_us)
        kit.recorder.note(record, self._clock(), mirror.asked)

    async def _answer(self) -> None:
        """One attempt, whose answer is nobody's.

        Errors: whatever a call's attempt ends with.
        """
        record, call = self.record, self._call
        if self._ended is not None:
            raise self._ended
        record.phase = Phase.ROUTE
        target, way = self._pick()
        record.model, record.provider, record.deployment = target.home, target.provider, target.model
        began_us = self._clock()
        self._attempt = attempt = attempt_at(target, self._kit.wheel, self._clock, began_us)
        record.attempts = 1
        try:
            sent = way.forward(self._body, call, target.model, self._cap)
            self._body = b""
            head = opening(way, call, cast(Exchange, self), sent)
            head += b"content-length: %d\r\nx-request-id: %b\r\n\r\n" % (
                len(sent),
                record.request_id.encode(),
            )
            record.phase = Phase.UPSTREAM
            connection = await attempt.send(head, sent)
            record.status = connection.status
            error = judge(connection, target)
            if error is not None:
                raise error
            if call.stream and is_stream(connection, way):
                await self._read_stream(attempt, way)
            else:
                await self._read_whole(attempt, way)
        finally:
            record.upstream_us = self._clock() - began_us

    def _pick(self) -> tuple[Target, Way]:
        """The first deployment in order that is well, has room, and a way for such calls.

        Errors: Overloaded when there is none.
        """
        kit, mirror, now_us = self._kit, self._mirror, self._clock()
        rules, path = kit.health.rules, self._endpoint.path
        # It only asks for the order: to probe a deployment that is out takes a call that counts.
        for place in mirror.plan.choice.order(getrandbits(64), matching(mirror.plan, self.headers), now_us):
            target = mirror.targets[place]
            way = target.ways.get(path)
            states = [pulse.state(now_us, rules) for pulse in (target.pulse, target.key) if pulse is not None]
            if way is None or max(states) not in (WELL, BACK):
                continue
            self._verdict = kit.admit.beside(now_us, target, self.record.prompt_tokens + self._cap)
            if self._verdict is not None:
                return target, way
        raise Overloaded(f"no deployment of {mirror.plan.name} takes a copy now")

    async def _read_whole(self, attempt: Attempt, way: Way) -> None:
        record, connection = self.record, attempt.connection
        assert connection is not None, "a reply has begun"
        body = attempt.take_whole()
        if body is None:
            body = await attempt.whole(self._mirror.body_bytes_max)
        record.reply_bytes = len(body)
        self._bound()
        check_whole(attempt, body)
        if record.status >= 300:
            return
        if way.turn is None:
            record.usage = whole_usage(way, record, body, read_used(way, record, body), None)
        else:
            turned = way.turn(record.status, body, self._call)
            record.usage = turned_usage(turned, record, None)

    async def _read_stream(self, attempt: Attempt, way: Way) -> None:
        """Read a stream to its end, as far as it is not too large, and keep nothing of it."""
        record, framer = self.record, way.framer(self._call)
        while chunk := await attempt.chunk():
            record.reply_bytes += len(chunk)
            if framer.feed(chunk) and not record.first_token_us:
                record.first_token_us = self._clock() - record.received_us
            framer.take_text()
            self._bound()
        framer.finish()
        record.usage = stream_usage(way, record, framer, framer.events)

    def _bound(self) -> None:
        """Read no more than may be read. Errors: UpstreamFailed."""
        if self.record.reply_bytes > self._mirror.body_bytes_max:
            raise UpstreamFailed("the copy's reply is larger than what is read of one")


def count(kit: Equipment, mirror: Mirror, outcome: str) -> None:
    """A copy came to this: the status of its answer, an error's code, or why there is none."""
    kit.meters.shard.counter("kpgate_shadows_total", f'{mirror.labels},outcome="{outcome}"').add(1)


def observe(kit: Equipment, mirror: Mirror, record: Record, total_us: int) -> None:
    """What an answered copy took and used, beside the figures of the call itself."""
    shard, usage = kit.meters.shard, record.usage
    shard.histogram("kpgate_shadow_seconds", mirror.labels, LATENCY_BOUNDS_US).observe(total_us)
    if record.first_token_us:
        first = shard.histogram("kpgate_shadow_first_token_seconds", mirror.labels, LATENCY_BOUNDS_US)
        first.observe(record.first_token_us)
    for kind, tokens in (("input", usage.input), ("output", usage.output)):
        if tokens:
            shard.counter("kpgate_shadow_tokens_total", f'{mirror.labels},kind="{kind}"').add(tokens)
    price = next((one.rates for one in mirror.targets if one.model == record.deployment), None)
    if price is not None and usage.source != "none":
        kit.meters.house("shadowed", price.charge(usage))
