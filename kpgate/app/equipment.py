"""From settings to what the gateway works with: routes, targets, limits. What outlives a reload is kept.

It opens no connection and starts nothing; a reload that fails here leaves the old equipment serving.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from kpgate._fast.limit import Limits
from kpgate._fast.pulse import Pulses, Rules
from kpgate._fast.routes import Router
from kpgate._fast.wait import Wheel
from kpgate.app.catalogue import open_shelf
from kpgate.app.checks import checks_of
from kpgate.app.control import wall_us
from kpgate.app.defaults import vendor_of
from kpgate.app.prices import price_names
from kpgate.app.references import shown
from kpgate.app.routing import Maker, Numbers, upstream_names
from kpgate.app.top_ups import sources
from kpgate.app.ways import Ways, passed_headers
from kpgate.domain.call import Record
from kpgate.domain.resets import PREFIXES
from kpgate.domain.settings import Provider, Settings, Timeouts, full_name
from kpgate.domain.upstream import PoolOptions, parse_origin, parse_proxy
from kpgate.life import Equipment
from kpgate.services.admit import Admit
from kpgate.services.auth import Auth
from kpgate.services.echo import EchoPool
from kpgate.services.health import Health, rules_of
from kpgate.services.hold import Holds
from kpgate.services.meters import Meters
from kpgate.services.offload import Offload
from kpgate.services.pool import Pool
from kpgate.services.receive import Ids, Inflight
from kpgate.services.record import Recorder, encode_text
from kpgate.services.route import Retrying, Routes
from kpgate.shadow import Shadows
from kpgate.stores.vocabulary import open_vocabulary

LONG_BYTES = 256 * 1024
LONGEST_ENCODING = "o200k_base"

PROBE_US = 60_000_000
"""How long a probe may keep others from probing. A call that takes longer is no sign of health."""


class Ground(msgspec.Struct):
    """What one worker keeps for its whole life, whatever the configuration becomes."""

    loop: Any
    wheel: Wheel
    clock: Callable[[], int]
    environ: Mapping[str, str]
    cache: Path
    limits: Limits
    pulses: Pulses
    meters: Meters
    offload: Offload
    inflight: Inflight
    ids: Ids
    auth: Callable[[Settings], Auth]
    write: Callable[[bytes], None]
    alarm: Callable[[Exception, Record], None]
    created_s: int
    holds: Holds | None = None
    pools: dict[tuple[Any, ...], Pool] = msgspec.field(default_factory=dict)
    vocabularies: dict[str, Any] = msgspec.field(default_factory=dict)
    shadows: Any = None

    def __post_init__(self) -> None:
        self.shadows = Shadows(self.loop, self.clock)


def names(settings: Settings) -> list[tuple[str, str]]:
    """Every model and deployment that needs a number, as (kind, name)."""
    found = [("model", model.name) for model in settings.models]
    found += [("price", terms) for terms in price_names(settings.models, settings.ledger)]
    found += [
        ("deployment", full_name(model.name, one)) for model in settings.models for one in model.deployments
    ]
    return found + [("upstream", name) for name in upstream_names(settings)]


def equip(settings: Settings, ground: Ground, numbers: Numbers) -> Equipment:
    """Make the equipment for settings that have been found valid.

    Errors: ReferenceFailed for a secret that is not there, VocabularyUnavailable, OSError for a file of authorities.
    """
    server, limits = settings.server, settings.limits
    admit = Admit(ground.limits, limits.key, limits.party, ground.offload)
    rules = rules_of(settings.ejection, PROBE_US)
    routes = _routes(settings, ground, numbers, rules)
    return Equipment(
        ids=ground.ids,
        inflight=ground.inflight,
        inflight_max=server.inflight_max,
        queue_wait_us=_us(server.queue_wait_s),
        auth=ground.auth(settings),
        routes=routes,
        admit=admit,
        holds=ground.holds,
        retrying=Retrying(settings.retries, ground.wheel, ground.loop),
        health=Health(settings.ejection, rules, wall_us),
        offload=ground.offload,
        wheel=ground.wheel,
        meters=ground.meters,
        recorder=_recorder(settings, ground),
        alarm=ground.alarm,
        body_bytes_max=server.body_bytes_max,
        json_depth_max=server.json_depth_max,
        long_bytes=LONG_BYTES,
        log_bodies=settings.log.bodies,
        top_ups=sources(settings, ground.environ),
        checks=checks_of(settings, routes.plans),
        shadows=ground.shadows,
    )


def _recorder(settings: Settings, ground: Ground) -> Recorder:
    form = settings.log.format
    text = form == "text" or (form == "auto" and sys.stderr.isatty())
    write = ground.write if settings.log.requests else None
    return Recorder(ground.meters, write, encode_text if text else None)


def _routes(settings: Settings, ground: Ground, numbers: Numbers, rules: Rules) -> Routes:
    shelf = open_shelf(settings.catalogue.file)
    default = next((index for index, model in enumerate(settings.models) if model.default), -1)
    router = Router([(model.name, *model.aliases) for model in settings.models], default)
    make = Maker(
        settings,
        numbers,
        rules,
        ways=Ways(settings, ground.environ),
        pulses=ground.pulses,
        pool=lambda provider, timeouts: _pool(provider, timeouts, ground),
        vocabulary=lambda encoding: _vocabulary(encoding, ground),
        facts=lambda provider, deployment: shelf.facts(
            provider.name, vendor_of(provider.preset, provider.base_url), deployment.model
        ),
    )
    return Routes(router, make.plans(), ground.created_s)


def _pool(provider: Provider, timeouts: Timeouts, ground: Ground) -> Any:
    if provider.dialect == "echo":
        return EchoPool(_vocabulary(LONGEST_ENCODING, ground), ground.loop)
    origin = parse_origin(provider.base_url)
    options = PoolOptions(
        connections_max=provider.connections_max,
        waiters_max=provider.connections_max,
        connect_us=_us(timeouts.connect_s),
        ahead=provider.preconnect,
        ca=provider.ca,
        proxy=parse_proxy(shown(provider.proxy, ground.environ)) if provider.proxy else None,
        # The limits that a provider tells of are read where there is another credential to go on with.
        passed=passed_headers(provider) + (PREFIXES if provider.api_keys else ()),
    )
    key = (provider.name, origin, options)
    pool = ground.pools.get(key)
    if pool is None:
        pool = ground.pools[key] = Pool(
            origin, options, ground.wheel, ground.loop, ground.holds.flush if ground.holds else None
        )
    return pool


def _vocabulary(encoding: str, ground: Ground) -> Any:
    kept = ground.vocabularies.get(encoding)
    if kept is None:
        kept = ground.vocabularies[encoding] = open_vocabulary(encoding, ground.cache)
    return kept


def _us(seconds: float) -> int:
    return int(seconds * 1_000_000)
