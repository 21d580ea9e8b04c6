"""What a worker serves: calls go to the gateway, everything else (models, probes, metrics, management) is here."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from kpgate.app import models_api
from kpgate.app.checks import Checker
from kpgate.app.equipment import Ground
from kpgate.app.gauges import Gauges
from kpgate.app.money_api import Request
from kpgate.app.token_api import TOKENS
from kpgate.app.ways import through
from kpgate.dialects.openai.reply import encode_error
from kpgate.domain.audit import Actor
from kpgate.domain.call import Record
from kpgate.domain.caller import Caller
from kpgate.domain.dialect import Endpoint
from kpgate.domain.errors import (
    Draining,
    GatewayError,
    Internal,
    MethodNotAllowed,
    NotFound,
    RoleRequired,
)
from kpgate.domain.phase import Phase
from kpgate.domain.settings import Settings
from kpgate.domain.webhook import Source
from kpgate.gateway import Gateway
from kpgate.life import Equipment
from kpgate.services.exchange import Exchange, Header
from kpgate.services.receive import check_head
from kpgate.services.respond import JSON, describe, refusal

MANAGEMENT_BYTES_MAX = 65_536
TOP_UPS = "/kp/v1/top-ups/"
DRAIN_GRACE_US = 2_000_000
DRAIN_STEP_S = 0.02
TICKS_A_REFRESH = 10
TICKS_A_METER = 50
METRICS_TYPE = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")

Answer = tuple[int, list[Header], bytes]


class Front(msgspec.Struct, frozen=True):
    """What the paths that are not calls need. `find` gives the endpoint of a path that is not one of `endpoints` as it
    stands, `through` that of a provider's own path, by any method; `manage` answers `/admin/v1`, `hold` the holder's
    own view under `/kp/v1`; `metrics` and `openapi` give bodies."""

    endpoints: dict[bytes, Endpoint]
    find: Callable[[bytes, bytes], Endpoint | None]
    metrics: Callable[[], bytes]
    openapi: Callable[[], bytes]
    manage: Callable[[str, str, Actor, Callable[[], Awaitable[bytes]]], Awaitable[tuple[int, bytes]]]
    hold: Callable[[str, str, str, Caller], Awaitable[tuple[bytes, bytes]]]
    redeem: Callable[[str, bytes, Caller], Awaitable[bytes]]
    tokens: Callable[[Request, Caller], Awaitable[tuple[int, bytes]]]
    explain: Callable[[Exchange, Caller, bytes], Awaitable[bytes]]
    top_up: Callable[[Source | None, Exchange, bytes, Actor], Awaitable[bytes]]
    shared_admin: bool
    through: Callable[[str, bytes, bytes], Endpoint | None] = through


class Application:
    """One worker's application, whatever transport carries it."""

    def __init__(
        self,
        gateway: Gateway,
        front: Front,
        ground: Ground,
        prepare: Callable[[Settings], Equipment],
        gauges: Gauges,
        *,
        gathers_streams: bool = False,
    ) -> None:
        self.gateway = gateway
        self.front = front
        self.draining = False
        self.before = None if ground.holds is None else ground.holds.gather(streams=gathers_streams)
        self.prepare = prepare
        self._ground = ground
        self._gauges = gauges
        self._checker = Checker(ground.loop, ground.clock)
        self._ticks = 0
        self._fixed: dict[bytes, Callable[[], Answer]] = {
            b"/health/live": self._live,
            b"/health/liveliness": self._live,
            b"/health/ready": self._ready,
            b"/health/readiness": self._ready,
            b"/metrics": lambda: (200, [METRICS_TYPE], front.metrics()),
            b"/openapi.json": lambda: (200, [JSON], front.openapi()),
        }

    @property
    def inflight(self) -> int:
        """Calls under way, copies of calls too."""
        return len(self.gateway.lives) + len(self._ground.shadows.under_way)

    def serve(self, exchange: Exchange, *, admin: bool = False) -> Awaitable[None]:
        """Serve one request; `admin` if it came over the admin listener."""
        endpoint = self.front.endpoints.get(exchange.path)
        if endpoint is not None and exchange.method == "POST" and not admin:
            return self.gateway.serve(exchange, endpoint)
        if endpoint is None and exchange.method == "POST" and not admin:
            endpoint = self.front.find(exchange.path, exchange.query)
            if endpoint is not None:
                return self.gateway.serve(exchange, endpoint)
        if endpoint is None and not admin:
            endpoint = self.front.through(exchange.method, exchange.path, exchange.query)
            if endpoint is not None:
                return self.gateway.serve(exchange, endpoint)
        return self._serve_other(exchange, admin)

    async def _serve_other(self, exchange: Exchange, admin: bool) -> None:
        fixed = self._fixed.get(exchange.path)
        if fixed is not None and exchange.method in ("GET", "HEAD") and not exchange.head.fault_status:
            exchange.reply(*fixed())
            return
        await self._manage(exchange, admin)

    def tick(self, now_us: int) -> None:
        """Let time pass: timers that are due, limits that could not be given back, gauges.

        Errors: the first of what the timers' callbacks raised, after all of them ran.
        """
        errors = self._ground.wheel.advance(now_us)
        self.gateway.equipment.admit.retry(now_us)
        holds = self.gateway.equipment.holds
        if holds is not None:
            holds.retry(now_us)
            holds.watch(now_us)
            if self._ticks % TICKS_A_METER == 0:
                self._meter(now_us)
        self._ticks += 1
        if self._ticks % TICKS_A_REFRESH == 0:
            self._gauges.refresh()
            self._checker.look(self.gateway.equipment, now_us)
            self._retire()
        if errors:
            raise errors[0]

    def swap(self, prepared: Equipment) -> None:
        """Serve by a new configuration from the next request on."""
        self.gateway.swap(prepared)

    async def drain(self, deadline_us: int) -> None:
        """Return when no call is under way; those still open at the deadline end with an error in their own shape."""
        while self.gateway.lives and self._ground.clock() < deadline_us:
            await asyncio.sleep(DRAIN_STEP_S)
        # Nobody waits for copies of calls: they end with the last call.
        for life in [*self.gateway.lives, *self._ground.shadows.under_way]:
            life.fail(Draining("this gateway is shutting down", retry_after_us=1_000_000))
        grace_until_us = self._ground.clock() + DRAIN_GRACE_US
        while self.inflight and self._ground.clock() < grace_until_us:
            await asyncio.sleep(DRAIN_STEP_S)

    def _retire(self) -> None:
        """Close the pools that no configuration names any more, once their last call has ended."""
        plans = self.gateway.equipment.routes.plans
        used = {id(target.pool) for plan in plans for target in plan.targets}
        for key, pool in list(self._ground.pools.items()):
            if id(pool) not in used and pool.counts.open == pool.counts.idle:
                del self._ground.pools[key]
                pool.close()

    def _meter(self, now_us: int) -> None:
        """Have the journal know what the streams under way have come to."""
        for life in self.gateway.lives:
            if life.hold is not None:
                life.hold.note_progress(now_us)

    def _live(self) -> Answer:
        return 200, [JSON], b'{"status":"live"}'

    def _ready(self) -> Answer:
        if self.draining:
            return 503, [JSON, (b"retry-after", b"1")], b'{"status":"draining"}'
        holds = self.gateway.equipment.holds
        if holds is not None and holds.failed:
            return 503, [JSON, (b"retry-after", b"1")], b'{"status":"journal_failed"}'
        if holds is not None and holds.lags:
            return 503, [JSON, (b"retry-after", b"1")], b'{"status":"journal_late"}'
        return 200, [JSON], b'{"status":"ready"}'

    async def _manage(self, exchange: Exchange, admin: bool) -> None:
        """Models, management, and every path that is unknown: one reply, one record."""
        kit = self.gateway.equipment
        record = Record(kit.ids.next(), exchange.received_us, "other", exchange.method)
        status, headers, body = 500, [JSON], b""
        try:
            status, headers, body = await self._answer(kit, exchange, record, admin)
        except GatewayError as error:
            record.error = error.at(record.phase)
        except Exception as error:  # noqa: BLE001 - the edge around one request
            kit.alarm(error, record)
            record.error = Internal("kpgate failed; the log has the cause under this request's id")
        spoken = self.front.endpoints.get(exchange.path) or self.front.find(exchange.path, b"")
        spoken = spoken or models_api.speaker(exchange)
        if record.error is not None:
            encode = encode_error if spoken is None else spoken.encode_error
            status, headers, body = (
                record.error.status,
                refusal(record.error),
                encode(record.error, record.request_id),
            )
        if spoken is not None and spoken.id_header:
            headers.append((spoken.id_header, record.request_id.encode()))
        record.status, record.reply_bytes = status, len(body)
        record.overhead_us = self._ground.clock() - record.received_us
        described = describe(record)
        described.extend(headers)
        exchange.reply(status, described, body)
        kit.recorder.close(record, self._ground.clock())

    async def _answer(self, kit: Equipment, exchange: Exchange, record: Record, admin: bool) -> Answer:
        path = exchange.path.decode("latin-1")
        head = check_head(exchange.head)
        record.request_id = kit.ids.keep(head.request_id) or record.request_id
        management = path.startswith("/admin/v1/")
        listed = models_api.listed(path)
        if not admin and self._is_call(exchange.path):
            raise MethodNotAllowed(exchange.method, "POST")
        if exchange.path in self._fixed:
            raise MethodNotAllowed(exchange.method, "GET", "HEAD")
        own = path.startswith("/kp/v1/") and not admin
        if not (listed and not admin) and not own and not (management and (admin or self.front.shared_admin)):
            raise NotFound(f"no such path: {path[:200]!r}")
        record.path = "/admin/v1" if management else "/kp/v1" if own else listed
        record.phase = Phase.AUTH
        record.peer = kit.auth.source(exchange.peer, head.forwarded_for)
        if own and path.startswith(TOP_UPS):
            name = path.removeprefix(TOP_UPS)
            body = await _body(exchange, record)
            who = Actor("top_up", "", name, "", record.peer, record.request_id)
            return 200, [JSON], await self.front.top_up(kit.top_ups.get(name), exchange, body, who)
        record.caller = caller = kit.auth.identify(head.credential(), record.peer)
        if listed:
            return 200, [JSON], models_api.show(kit, exchange, caller)
        if own and caller.token and path != "/kp/v1/me":
            raise RoleRequired("a party token makes calls: this asks for its key")
        if own and (path + "/").startswith(TOKENS + "/"):
            return await self._of_tokens(exchange, record, path)
        if own and path == "/kp/v1/redeem":
            body = await _body(exchange, record)
            return 200, [JSON], await self.front.redeem(exchange.method, body, caller)
        if own and path == "/kp/v1/route":
            body = await _body(exchange, record, kit.body_bytes_max)
            return 200, [JSON], await self.front.explain(exchange, caller, body)
        if own:
            kind, said = await self.front.hold(
                exchange.method, path, exchange.query.decode("latin-1"), caller
            )
            return 200, [(b"content-type", kind)], said
        if exchange.query:
            path += "?" + exchange.query.decode("latin-1")
        who = Actor("http", caller.role, caller.key_id, caller.party.name, record.peer, record.request_id)
        status, said = await self.front.manage(exchange.method, path, who, partial(_body, exchange, record))
        return status, [JSON], said

    def _is_call(self, path: bytes) -> bool:
        """Whether a path is one that calls go to."""
        if path in self.front.endpoints:
            return True
        found = self.front.find(path, b"") if not path.startswith(b"/v1/models/") else None
        return found is not None and "{" in found.path

    async def _of_tokens(self, exchange: Exchange, record: Record, path: str) -> Answer:
        caller = record.caller
        assert caller is not None, "AUTH let it in"
        body = await _body(exchange, record)
        query = exchange.query.decode("latin-1")
        who = Actor("http", caller.role, caller.key_id, caller.party.name, record.peer, record.request_id)
        status, said = await self.front.tokens(Request(exchange.method, path, query, body, who), caller)
        return status, [JSON], said


async def _body(exchange: Exchange, record: Record, bytes_max: int = MANAGEMENT_BYTES_MAX) -> bytes:
    record.phase = Phase.DECODE
    body = exchange.take_body(bytes_max)
    if body is None:
        body = await exchange.read_body(bytes_max)
    record.request_bytes = len(body)
    return body
