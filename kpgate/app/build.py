"""Assembly: the one file that knows every class a worker is made of."""

import asyncio
import secrets
import time
import traceback
from functools import partial
from typing import Any

from kpgate._fast import metric
from kpgate._fast.commit import Region, Seat
from kpgate._fast.credit import Credit
from kpgate._fast.journal import Journal
from kpgate._fast.limit import Limits
from kpgate._fast.metric import Shard
from kpgate._fast.pulse import Pulses
from kpgate.app.admin import Admin
from kpgate.app.application import Application, Front
from kpgate.app.context import Context
from kpgate.app.control import KINDS, AsyncControl, Control, wall_us
from kpgate.app.directory import Directory
from kpgate.app.equipment import Ground, equip, names
from kpgate.app.gauges import Gauges
from kpgate.app.money_api import MoneyApi
from kpgate.app.openapi import encoded
from kpgate.app.price_list import show_prices
from kpgate.app.routing import Numbers
from kpgate.app.routing_api import RoutingApi
from kpgate.app.token_api import TokenApi
from kpgate.app.token_keys import TokenEyes
from kpgate.app.top_ups import TopUps
from kpgate.app.ways import ENDPOINTS, find
from kpgate.domain.access import read_network
from kpgate.domain.call import Record
from kpgate.domain.errors import InvalidRequest
from kpgate.domain.metrics import METRICS
from kpgate.domain.settings import Settings
from kpgate.gateway import Gateway
from kpgate.life import Equipment
from kpgate.services.auth import Auth, Keyring, Terms
from kpgate.services.hold import Holds
from kpgate.services.meters import Meters
from kpgate.services.offload import Offload
from kpgate.services.receive import Ids, Inflight
from kpgate.stores.sqlite import SqliteReader
from kpgate.stores.tokens import TokenReader

RELOAD_PATIENCE_S = 2.0
START_PATIENCE_S = 60.0
"""Before it answers the clerk posts all of the past; a start that gave up meanwhile would never come to an end."""
CALL_LIFE_US = 4 * 3_600_000_000
"""No call is open for longer, whatever its time-outs: the clerk ends one that its worker forgot."""


async def build(context: Context) -> Application:
    """A worker's application, ready to serve.

    Errors: StoreUnavailable when the clerk or the store of keys does not answer; what `equip` raises.
    """
    directory = Directory(context.node.data)
    region = Region.open(context.region)
    seat = Seat(region, context.life)
    limits = Limits(region, seat, CALL_LIFE_US)
    while limits.end_dead(context.clock(), context.life) < 0:
        # The calls that this seat's last owner left: whoever holds its life lock ends them.
        await asyncio.sleep(0)
    numbers = await asyncio.to_thread(_numbers, Control(directory, START_PATIENCE_S), context.settings)
    offload = Offload(context.loop)
    holds = await _holds(context, region, seat, offload) if context.settings.ledger.enabled else None
    reader = SqliteReader(directory.store)
    eyes = TokenEyes(TokenReader(reader.rows), directory.pepper(), wall_us) if holds is not None else None
    keyring = Keyring(
        reader,
        region,
        directory.pepper(),
        wall_us,
        context.settings.auth.cache_keys,
        eyes,
    )
    keyring.load()
    shard = Shard(region, context.seat)
    shared = limits, Pulses(region, seat)
    ground = _ground(context, shared, Meters(shard), keyring, holds, offload)
    gateway = Gateway(equip(context.settings, ground, numbers), context.clock)
    control = AsyncControl(directory)
    money = MoneyApi(control)
    endpoints = {one.path.encode(): one for one in ENDPOINTS if "{" not in one.path}
    routing = RoutingApi(endpoints, find, lambda: gateway.equipment, context.clock)
    front = Front(
        endpoints=endpoints,
        find=find,
        metrics=lambda: metric.render(region, {one.name: one.meaning for one in METRICS}),
        openapi=encoded,
        manage=Admin(
            control,
            money,
            partial(_reload, context),
            lambda: show_prices(gateway.equipment.routes),
            routing.health,
        ).handle,
        explain=routing.explain,
        hold=money.hold,
        redeem=money.redeem,
        tokens=TokenApi(control).hold,
        top_up=TopUps(control).receive,
        shared_admin=context.settings.admin.port is None,
    )

    def prepare(settings: Settings) -> Equipment:
        return equip(settings, ground, _numbers(Control(directory, RELOAD_PATIENCE_S), settings))

    lane = context.settings.server.transport == "direct"
    gauges = Gauges(shard, ground, context.log, tells=context.tells)
    return Application(gateway, front, ground, prepare, gauges, gathers_streams=lane)


async def _holds(context: Context, region: Region, seat: Seat, offload: Offload) -> Holds:
    """What calls are held for by. Order: the clerk has answered, so the ledger stands."""
    journal = Journal(region, seat, context.node.data / "journal")
    credit = Credit(region, seat, journal, CALL_LIFE_US)
    void = context.settings.ledger.on_worker_death == "void"
    while credit.end_dead(context.clock(), context.life, void) < 0:
        await asyncio.sleep(0)
    return Holds(credit, journal, offload, always=context.settings.ledger.sync == "always")


def _ground(
    context: Context,
    shared: tuple[Limits, Pulses],
    meters: Meters,
    keyring: Keyring,
    holds: Holds | None,
    offload: Offload,
) -> Ground:
    def auth(settings: Settings) -> Auth:
        trusted = tuple(read_network(text) for text in settings.server.trusted_proxies)
        return Auth(Terms(settings.auth.enabled, trusted), keyring)

    def alarm(error: Exception, record: Record) -> None:
        """What broke and where; not its words, which may hold a caller's."""
        frames = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-6:]]
        context.log.event("failure", id=record.request_id, error=type(error).__name__, where=frames)

    return Ground(
        loop=context.loop,
        wheel=context.wheel,
        clock=context.clock,
        environ=context.environ,
        cache=context.node.data / "cache",
        limits=shared[0],
        pulses=shared[1],
        holds=holds,
        meters=meters,
        offload=offload,
        # Without a place until the gateway says how many there are.
        inflight=Inflight(0, 0, context.wheel, context.loop),
        ids=Ids(f"req-{secrets.token_hex(6)}-"),
        auth=auth,
        write=context.log.write,
        alarm=alarm,
        created_s=int(time.time()),
    )


def _numbers(control: Control, settings: Settings) -> Numbers:
    found: dict[tuple[str, str], int] = {}
    wanted = names(settings)
    for kind in KINDS:
        named = control.numbers(kind, [name for of, name in wanted if of == kind])
        found |= {(kind, name): number for name, number in named.items()}
    return found


async def _reload(context: Context) -> dict[str, Any]:
    problems = await context.reload()
    if problems:
        raise InvalidRequest("the configuration was refused, the old one serves on: " + "; ".join(problems))
    return {"reloaded": True}
