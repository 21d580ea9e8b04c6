"""A REQUEST'S LIFE, top to bottom.

The phases stand in the order of `domain/phase.py`; what each does is in the service of its name. This file knows
neither transport nor vendor. It awaits only a place in flight, the rest of a body, a long body's decoding off the
loop, the upstream, and room to write. A wait ends by being failed, never by cancelling a task.
"""

from collections.abc import Awaitable, Callable
from random import getrandbits

from kpgate._fast.heading import Heading
from kpgate._fast.http1 import UpstreamLost
from kpgate._fast.wait import Clock
from kpgate.domain.call import Record
from kpgate.domain.caller import Caller
from kpgate.domain.dialect import Endpoint
from kpgate.domain.errors import ClientGone, GatewayError, Internal, InvalidRequest
from kpgate.domain.ledger import show_call
from kpgate.domain.phase import Phase
from kpgate.failover import go_on
from kpgate.hedge import Race
from kpgate.life import Equipment, Life
from kpgate.services.admit import reserve, takes_long
from kpgate.services.choose import Asked, Decision
from kpgate.services.exchange import Exchange
from kpgate.services.receive import check_head, onward
from kpgate.services.record import excerpt
from kpgate.services.respond import JSON, address, refuse
from kpgate.services.route import Order, Target, candidates, serving
from kpgate.services.settle import counted, read_used, stream_usage, turned_usage, whole_usage
from kpgate.services.upstream import (
    REPLY_BYTES_MAX,
    Attempt,
    attempt_at,
    check_whole,
    first_events,
    is_stream,
    judge,
    opening,
)
from kpgate.upload import take_in

FOLD_BYTES = 8192


class Gateway:
    """Serves calls by its equipment, which a reload replaces whole."""

    equipment: Equipment

    def __init__(self, equipment: Equipment, clock: Callable[[], int]) -> None:
        self.clock = clock
        self._clock = Clock(clock)
        self.lives: set[Life] = set()
        self.swap(equipment)

    def swap(self, equipment: Equipment) -> None:
        """Serve by this from the next call on. Those under way keep their places, which count among the new."""
        self.equipment = equipment
        equipment.inflight.follow(equipment.inflight_max, equipment.queue_wait_us)

    async def serve(self, exchange: Exchange, endpoint: Endpoint) -> None:
        """Serve one call, whatever becomes of it: one reply, one record, nothing left behind."""
        kit = self.equipment
        life = self._begin(kit, exchange, endpoint)
        record = life.record
        try:
            # RECEIVE, and AUTH before the body is read: a stranger's never is, and a stranger takes no place.
            caller = self._meet(kit, life)
            if not life.place(kit):
                await life.queue(kit, caller, self._clock.now())

            # DECODE
            record.phase = Phase.DECODE
            most = kit.body_bytes_max
            body = exchange.take_body(most)
            if body is None:
                body = await (take_in(kit, life) if endpoint.intake else exchange.read_body(most))
            life.note(body, kit.log_bodies)
            decode, depth_max, long = life.endpoint.decode, kit.json_depth_max, len(body) >= kit.long_bytes
            life.call = await kit.offload.run(decode, body, depth_max) if long else decode(body, depth_max)

            # ADMIT
            record.phase = Phase.ADMIT
            life.find(kit, caller)
            apart = takes_long(life.call, life.plan.vocabulary, record.request_bytes)
            record.prompt_tokens = await kit.offload.run(self._count, life) if apart else self._count(life)
            apart = long and life.plan.chooses
            order = await kit.offload.run(self._choose, life, body) if apart else self._choose(life, body)
            if not life.admit(kit, caller, self._clock.now(), order):
                await life.admit_patiently(kit, caller, order)
            if endpoint.tally is not None and self._tell(life, endpoint.tally, order):
                return

            # HOLD: what the call may cost at most is put aside before anybody is asked.
            if life.plan.tariff is not None and endpoint.tally is None and not self._hold(kit, life):
                await self._hold_patiently(kit, life)

            # ROUTE, UPSTREAM: from here on a client that leaves ends what it waits for.
            order = life.line_up(kit, order, body)
            try:
                first = await self.ask(kit, life, order, body)
            except GatewayError as error:
                first = await go_on(self, kit, life, order, body, error)
            if life.plan.proof is not None and life.framer is None:
                first = await life.plan.proof.check(self, kit, life, body, first)

            # SETTLE, RESPOND: a whole reply is settled before it is sent, a stream before its end is.
            if life.framer is None:
                if not self._settle(kit, life, first):
                    await life.keep()
                self._whole(kit, life, first)
            else:
                # The rest holds nothing of what has been said: thousands of streams are open at once.
                rest, body, first = self._stream(kit, life, first), b"", b""
                await rest
        except Exception as error:  # noqa: BLE001 - the edge around one request
            self._refuse(kit, life, error)
        finally:
            self._end(kit, life)

    def _begin(self, kit: Equipment, exchange: Exchange, endpoint: Endpoint) -> Life:
        """A call has come."""
        record = Record(kit.ids.next(), exchange.received_us, endpoint.path, exchange.method)
        life = Life(exchange, endpoint, record)
        self.lives.add(life)
        kit.meters.inflight.add(1)
        return life

    def _meet(self, kit: Equipment, life: Life) -> Caller:
        """Who is calling. Errors: as RECEIVE and AUTH."""
        record, exchange = life.record, life.exchange
        life.head = head = check_head(exchange.head)
        record.request_id = kit.ids.keep(head.request_id) or record.request_id
        record.phase = Phase.AUTH
        record.peer = kit.auth.source(exchange.peer, head.forwarded_for)
        record.caller = caller = kit.auth.identify(head.credential(), record.peer)
        return caller

    def _count(self, life: Life) -> int:
        """The prompt's tokens; 0 where nobody counts."""
        vocabulary, name = life.plan.vocabulary, life.plan.name
        return life.endpoint.count(life.call, vocabulary, name) if vocabulary is not None else 0

    def _hold(self, kit: Equipment, life: Life) -> bool:
        """Hold the most that a call may cost. False: not to be decided at once, `await _hold_patiently`.

        Errors: as HOLD.
        """
        record, holds = life.record, kit.holds
        record.phase = Phase.HOLD
        assert holds is not None and record.caller is not None, (
            "where calls cost something, there is a ledger"
        )
        hold = holds.take(
            life.admitted_us, kit.auth.generation(), record.caller, life.plan, record, life.call
        )
        if hold is None:
            return False
        life.hold = hold
        record.held_as = show_call(hold.call)
        return hold.may_send()

    async def _hold_patiently(self, kit: Equipment, life: Life) -> None:
        """The same off the loop, and after asking AUTH again where a key has changed.

        Errors: as AUTH and HOLD.
        """
        record, holds, hold = life.record, kit.holds, life.hold
        assert holds is not None, "it was asked already"
        while hold is None:
            record.caller = caller = kit.auth.identify(life.head.credential(), record.peer)
            hold = await holds.take_patiently(
                self._clock.now(), kit.auth.generation(), caller, life.plan, record, life.call
            )
        life.hold = hold
        record.held_as = show_call(hold.call)
        if not hold.may_send():
            await hold.write()

    def _choose(self, life: Life, body: bytes) -> Order:
        """The deployments that may answer, in order; and what to reserve."""
        plan, record, exchange = life.plan, life.record, life.exchange
        record.generates = life.endpoint.generates
        if plan.chooses or life.head.cost_max is not None:
            order = self._decide(life, body)
        elif plan.sole:
            order = plan.targets
        else:
            headers = exchange.headers if plan.matched else ()
            order = candidates(plan, headers, getrandbits(64), self._clock.now())
        cap = life.plan.output_cap if record.generates and not life.endpoint.unit else 0
        if life.endpoint.tally is None:
            life.tokens = reserve(record.prompt_tokens, life.call, cap)
            if life.endpoint.neutral is not None:
                return order
        # What has no neutral form is asked of those who have the endpoint.
        return serving(order, life.endpoint.path, counts=life.endpoint.tally is not None)

    def _tell(self, life: Life, tally: Callable[[int], bytes], order: Order) -> bool:
        """Answer with the prompt's count. It is a request among the limits, but uses no tokens and costs nothing.
        False: a provider is asked for it.
        """
        record, plan = life.record, life.plan
        if life.endpoint.path in order[0].ways:
            return False
        if plan.vocabulary is None:
            said = f"model: this gateway does not count the tokens of {record.model}"
            raise InvalidRequest(said, param="model")
        body = tally(record.prompt_tokens)
        record.phase, record.status, record.reply_bytes = Phase.RESPOND, 200, len(body)
        headers = self._headers(life)
        headers.extend((JSON, (b"x-kpgate-count", plan.grade.encode())))
        life.exchange.reply(record.status, headers, body)
        return True

    def _decide(self, life: Life, body: bytes) -> Order:
        """The same where it depends on more than how the deployments do."""
        record, headers = life.record, life.exchange.headers
        assert record.caller is not None
        asked = Asked(record.caller, life.call, life.endpoint, body, headers, record.prompt_tokens)
        asked.random, asked.cost_max = getrandbits(64), life.head.cost_max
        decision: Decision = life.plan.chooser.choose(asked, self._clock.now())
        life.decision, life.plan = decision, decision.plan
        record.route, record.expected = decision.why, decision.expected
        return decision.order

    def ask(self, kit: Equipment, life: Life, order: Order, body: bytes) -> Awaitable[bytes]:
        """One try at whoever is next, or a race of two: what to await for what is said first."""
        tries = life.record.attempts
        if life.plan.hedging is None or life.endpoint.once or life.upload is not None:
            return self.attempt(kit, life, order[tries % len(order)], body)
        return Race.of(self.attempt, self.clock, kit, life, body).run(order, tries)

    async def attempt(self, kit: Equipment, life: Life, target: Target, body: bytes) -> bytes:
        """One try, up to the first bytes that a client could see: a whole body, or a stream's first events."""
        record, endpoint, call, decision = life.record, life.endpoint, life.call, life.decision
        record.phase, record.attempts = Phase.ROUTE, record.attempts + 1
        record.model, record.provider, record.deployment = target.home, target.provider, target.model
        life.attempt = attempt = attempt_at(target, kit.wheel, self.clock, self._clock.now())
        if decision is not None:
            decision.begin(target)
        try:
            if life.ended is not None:
                raise life.ended
            hold = life.hold
            life.way = way = target.way(endpoint.path)
            call.dropped = ""  # What another attempt left out.
            sent = way.forward(body, call, target.model, 0 if hold is None else hold.cap)
            head = opening(way, call, life.exchange, sent)
            record.phase = Phase.UPSTREAM
            if life.upload is None:
                if hold is not None:
                    hold.sent()
                head = onward(head, life.head, record.request_id, len(sent))
                try:
                    await attempt.ask(head, sent)
                except UpstreamLost as lost:
                    await attempt.ask_again(lost, head, sent)
            else:
                await life.upload.send(attempt, head, sent)
            connection = attempt.reply()
            if (error := judge(connection, target)) is not None:
                raise error
            if call.stream and is_stream(connection, way):
                life.framer, attempt.metered = way.framer(call), hold is not None
                first = await first_events(attempt, life.framer, life.watch(body))
            else:
                whole = attempt.take_whole()
                if whole is None:
                    whole = await attempt.whole(REPLY_BYTES_MAX)
                first = self._understand(life, attempt, whole, body)
        except GatewayError as error:
            if life.ended is None:
                kit.health.failed(self._clock.now(), error, target, life.plan.peers, attempt)
            attempt.close()
            # Of a stream that broke off before its first event nobody has seen anything.
            life.framer = None
            if life.unasked is None:
                kit.meters.attempt(target.provider, error.code)
            else:
                record.attempts -= 1
            raise
        finally:
            attempt.over_us = self._clock.now()
            record.upstream_us += attempt.over_us - attempt.began_us
            record.dropped = call.dropped
        target.pulse.succeeded(attempt.over_us)
        if decision is not None:
            decision.answered(attempt.over_us, attempt.began_us, target, call.stream)
        kit.meters.attempt(target.provider, "ok")
        return first

    def _understand(self, life: Life, attempt: Attempt, whole: bytes, asked: bytes) -> bytes:
        """A whole reply as its caller is to have it.

        Errors: UpstreamFailed, ContentFiltered: for what is no answer, or what another model may be asked for.
        """
        record, way, status = life.record, life.way, attempt.reply().status
        check_whole(attempt, whole)
        if life.decision is not None:
            life.decision.pass_on(status, whole, way, attempt.target, record.attempts, life.asks(asked))
        if way.turn is not None:
            life.turned = way.turn(status, whole, life.call)
            return life.turned.body
        if status < 300:
            life.used = read_used(way, record, whole)
        return whole

    def _settle(self, kit: Equipment, life: Life, body: bytes) -> bool:
        """What a whole reply used, and what that costs. False: none of it is sent before `life.keep`."""
        record, attempt, now_us = life.record, life.attempt, self._clock.now()
        assert attempt is not None and attempt.connection is not None and life.verdict is not None
        record.phase = Phase.SETTLE
        record.status = attempt.connection.status
        if record.status < 300:
            turned, vocabulary = life.turned, life.plan.vocabulary
            if turned is None:
                record.usage = whole_usage(life.way, record, body, life.used, vocabulary)
            else:
                record.usage = turned_usage(turned, record, vocabulary)
        kit.admit.end(now_us, life.verdict, record)
        if life.hold is None:
            return True
        life.hold.end(now_us, record, attempt.target)
        return life.hold.may_reply()

    def _whole(self, kit: Equipment, life: Life, body: bytes) -> None:
        """Send a reply that is here as a whole."""
        record, attempt = life.record, life.attempt
        assert attempt is not None and attempt.connection is not None
        connection = attempt.connection
        record.phase, record.reply_bytes = Phase.RESPOND, len(body)
        if kit.log_bodies:
            record.said = excerpt(body)
        headers = self._headers(life)
        kind = connection.content_type if life.turned is None else None
        headers.add(b"content-type", kind or b"application/json")
        attempt.pass_on(headers)
        life.exchange.reply(connection.status, headers, body)

    async def _stream(self, kit: Equipment, life: Life, ready: bytes) -> None:
        """Send a stream on as it comes, event by event, no faster than the client reads."""
        record, exchange, attempt, framer = life.record, life.exchange, life.attempt, life.framer
        assert attempt is not None and attempt.connection is not None and framer is not None, (
            "a stream has begun"
        )
        life.call.content = life.call.scan = life.call.texts = None
        headers = self._headers(life)
        kind = life.endpoint.stream_type or attempt.connection.content_type or b"application/octet-stream"
        headers.extend([(b"content-type", kind), (b"cache-control", b"no-cache")])
        attempt.pass_on(headers)
        record.status = attempt.connection.status
        record.head_us = record.first_token_us = self._clock.now() - record.received_us
        exchange.open(record.status, headers)
        del headers
        sent_bytes = 0
        while True:
            most = FOLD_BYTES if life.hold is None else min(life.hold.room, FOLD_BYTES)
            if framer.text_bytes > most and not life.goes_on(kit, self._clock.now(), sent_bytes):
                # What would pass the hold is not forwarded.
                attempt.close()
                exchange.write(life.way.cut(framer, record.request_id, record.model, life.call.choices))
                break
            if ready:
                record.reply_bytes += len(ready)
                follows = exchange.write(ready)
                ready = b""
                if not follows:
                    # Nothing more is taken in for a reader that stands still.
                    attempt.hold()
                    await exchange.room()
            if life.ended is not None:
                raise life.ended
            chunk = await attempt.chunk()
            if not chunk:
                break
            sent_bytes = framer.text_bytes
            ready = framer.feed(chunk)
            chunk = b""
        tail = framer.finish() if life.hold is None or not life.hold.cut else b""
        if life.hold is not None:
            self._settle_stream(kit, life, attempt.target)
            if not life.hold.may_reply(streamed=True):
                await life.hold.keep()
        if tail:
            record.reply_bytes += len(tail)
            exchange.write(tail)
        record.phase = Phase.RESPOND
        exchange.finish()

    def _settle_stream(self, kit: Equipment, life: Life, target: Target | None) -> None:
        """What a stream used so far, and what that costs. A second time has no effect on its charge."""
        record, framer = life.record, life.framer
        assert framer is not None, "a stream has begun"
        life.fold(kit.log_bodies)
        hold = life.hold
        # Where nobody counts tokens it is events; of what was not sent on it is nothing.
        events = framer.events if hold is None or not hold.cut else 0
        record.usage = stream_usage(life.way, record, framer, life.spoken or events)
        if hold is not None:
            hold.end(self._clock.now(), record, target)

    def _headers(self, life: Life) -> Heading:
        record = life.record
        record.overhead_us = self._clock.now() - record.received_us - record.upstream_us
        return address(record, life.endpoint, life.verdict)

    def _refuse(self, kit: Equipment, life: Life, error: Exception) -> None:
        """Tell the client, in its dialect, unless it is the client who left."""
        record = life.record
        if not isinstance(error, GatewayError):
            kit.alarm(error, record)
            error = Internal("kpgate failed; the log has the cause under this request's id")
        record.error = error.at(record.phase)
        if isinstance(error, ClientGone):
            record.status = error.status
            if life.was_asked and record.usage.source == "none":
                # The provider was asked, and works on: the prompt was used.
                record.usage = counted(record, "", None)
            life.exchange.abort()
        elif record.head_us and life.framer is not None and not life.framer.at_boundary:
            # An error event within another event would be read as part of it.
            life.exchange.abort()
        else:
            refuse(life.exchange, record, life.endpoint, self._headers(life), life.framer)

    def _end(self, kit: Equipment, life: Life) -> None:
        """Give everything back and write the record. Runs once, whatever happened."""
        self.lives.discard(life)
        kit.meters.inflight.add(-1)
        record, attempt, now_us = life.record, life.attempt, self._clock.now()
        target = attempt.target if attempt is not None else None
        if life.framer is not None:
            self._settle_stream(kit, life, target)
        elif life.hold is not None:
            life.hold.end(now_us, record, target)
        life.release()
        if life.decision is not None:
            life.decision.close(record, life.call, target)
        if life.verdict is not None:
            kit.admit.end(now_us, life.verdict, record)
        if life.placed:
            kit.inflight.leave()
        kit.recorder.close(record, now_us)
