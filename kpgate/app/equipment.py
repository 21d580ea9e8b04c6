"""From settings to what the gateway works with: routes, targets, limits. What outlives a reload is kept.

It opens no connection and starts nothing; a reload that fails here leaves the old equipment serving.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from kpgate._fast.commit import DEPLOYMENT, MODEL
from kpgate._fast.limit import Limits
from kpgate._fast.routes import Picker, Router
from kpgate._fast.wait import Wheel
from kpgate.app.catalogue import Shelf, open_shelf
from kpgate.app.defaults import vendor_of
from kpgate.app.prices import price_names, price_of
from kpgate.app.references import shown
from kpgate.app.top_ups import sources
from kpgate.app.ways import Ways, passed_headers
from kpgate.domain.call import Record
from kpgate.domain.encodings import EXACT, encoding_for_model
from kpgate.domain.price import MICROKPT, tariff
from kpgate.domain.settings import Deployment, Model, Provider, Settings, Timeouts, full_name
from kpgate.domain.upstream import PoolOptions, parse_origin, parse_proxy
from kpgate.life import Equipment
from kpgate.services.admit import Admit, gate
from kpgate.services.auth import Auth
from kpgate.services.echo import EchoPool
from kpgate.services.health import Health
from kpgate.services.hold import Holds
from kpgate.services.meters import Meters
from kpgate.services.offload import Offload
from kpgate.services.pool import Pool
from kpgate.services.receive import Ids, Inflight
from kpgate.services.record import Recorder, encode_json, encode_text
from kpgate.services.route import Plan, Retrying, Routes, Target
from kpgate.stores.vocabulary import open_vocabulary

LONG_BYTES = 64 * 1024
LONGEST_ENCODING = "o200k_base"

Numbers = Mapping[tuple[str, str], int]


class Ground(msgspec.Struct):
    """What one worker keeps for its whole life, whatever the configuration becomes."""

    loop: Any
    wheel: Wheel
    clock: Callable[[], int]
    environ: Mapping[str, str]
    cache: Path
    limits: Limits
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
    healths: dict[str, Health] = msgspec.field(default_factory=dict)
    vocabularies: dict[str, Any] = msgspec.field(default_factory=dict)


def names(settings: Settings) -> list[tuple[str, str]]:
    """Every model and deployment that needs a number, as (kind, name)."""
    found = [("model", model.name) for model in settings.models]
    found += [("price", terms) for terms in price_names(settings.models, settings.ledger)]
    found += [
        ("deployment", full_name(model.name, one)) for model in settings.models for one in model.deployments
    ]
    return found


def equip(settings: Settings, ground: Ground, numbers: Numbers) -> Equipment:
    """Make the equipment for settings that have been found valid.

    Errors: ReferenceFailed for a secret that is not there, VocabularyUnavailable, OSError for a file of authorities.
    """
    server, limits = settings.server, settings.limits
    admit = Admit(ground.limits, limits.key, limits.party, ground.offload)
    return Equipment(
        ids=ground.ids,
        inflight=ground.inflight,
        inflight_max=server.inflight_max,
        queue_wait_us=_us(server.queue_wait_s),
        auth=ground.auth(settings),
        routes=_routes(settings, ground, numbers),
        admit=admit,
        holds=ground.holds,
        retrying=Retrying(settings.retries, settings.ejection, ground.wheel, ground.loop),
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
    )


def _recorder(settings: Settings, ground: Ground) -> Recorder:
    form = settings.log.format
    text = form == "text" or (form == "auto" and sys.stderr.isatty())
    write = ground.write if settings.log.requests else None
    return Recorder(ground.meters, write, encode_text if text else encode_json)


def _routes(settings: Settings, ground: Ground, numbers: Numbers) -> Routes:
    ways, shelf = Ways(settings, ground.environ), open_shelf(settings.catalogue.file)
    plans = [_plan(settings, model, ground, numbers, Makings(ways, shelf)) for model in settings.models]
    default = next((index for index, model in enumerate(settings.models) if model.default), -1)
    router = Router([(model.name, *model.aliases) for model in settings.models], default)
    return Routes(router, plans, ground.created_s)


def _most(targets: tuple[Target, ...]) -> int:
    """The most output that any of the targets gives; 0 where that is not known of all of them."""
    caps = [target.facts.output_tokens_max if target.facts is not None else None for target in targets]
    return max((cap or 0 for cap in caps), default=0) if all(caps) else 0


class Makings(msgspec.Struct, frozen=True):
    """What targets of one configuration are made of: how they are asked, what is known of their models."""

    ways: Ways
    shelf: Shelf


def _plan(settings: Settings, model: Model, ground: Ground, numbers: Numbers, makings: Makings) -> Plan:
    targets = tuple(_target(settings, model, one, numbers, ground, makings) for one in model.deployments)
    prices = [target.price for target in targets if target.price is not None]
    encoding, grade = encoding_for_model(model.encoding or model.deployments[0].model)
    most = _most(targets)
    cap = model.output_tokens_max or min(
        most or settings.tokens.output_default, settings.tokens.output_default
    )
    return Plan(
        number=numbers["model", model.name],
        name=model.name,
        gate=gate(MODEL, numbers["model", model.name], model.limits),
        targets=targets,
        picker=Picker([one.priority for one in model.deployments], [one.weight for one in model.deployments]),
        vocabulary=_vocabulary(encoding, ground) if settings.tokens.count else None,
        grade=grade,
        output_cap=cap,
        output_max=model.output_tokens_max or most,
        owner=targets[0].provider,
        matched=any(target.match for target in targets),
        gates=tuple(target.gate for target in targets),
        tariff=tariff(prices, estimated=grade != EXACT) if prices else None,
        holding_min=model.holding_min_kpt * MICROKPT,
    )


def _target(
    settings: Settings,
    model: Model,
    deployment: Deployment,
    numbers: Numbers,
    ground: Ground,
    makings: Makings,
) -> Target:
    provider = next(one for one in settings.providers if one.name == deployment.provider)
    number = numbers["deployment", full_name(model.name, deployment)]
    price = price_of(model, deployment, settings.ledger)
    written = deployment.price or model.price
    timeouts = deployment.timeouts or provider.timeouts
    name = f"{provider.name}/{deployment.model}"
    return Target(
        number=number,
        provider=provider.name,
        model=deployment.model,
        gate=gate(DEPLOYMENT, number, deployment.limits),
        pool=_pool(provider, timeouts, ground),
        ways=makings.ways.of(provider, deployment.model),
        health=ground.healths.setdefault(name, Health()),
        connect_us=_us(timeouts.connect_s),
        first_byte_us=_us(timeouts.first_byte_s),
        idle_us=_us(timeouts.idle_s),
        total_us=_us(timeouts.total_s),
        match=tuple((key.lower().encode(), value.encode()) for key, value in deployment.match.items()),
        price=price,
        price_version=numbers["price", price.terms] if price is not None else 0,
        price_source=written.source if price is not None and written is not None else "",
        facts=makings.shelf.facts(
            provider.name, vendor_of(provider.preset, provider.base_url), deployment.model
        ),
    )


def _pool(provider: Provider, timeouts: Timeouts, ground: Ground) -> Any:
    if provider.dialect == "echo":
        return EchoPool(_vocabulary(LONGEST_ENCODING, ground))
    origin = parse_origin(provider.base_url)
    options = PoolOptions(
        connections_max=provider.connections_max,
        waiters_max=provider.connections_max,
        connect_us=_us(timeouts.connect_s),
        ca=provider.ca,
        proxy=parse_proxy(shown(provider.proxy, ground.environ)) if provider.proxy else None,
        passed=passed_headers(provider),
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
