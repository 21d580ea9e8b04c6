"""What presets and the catalogue say where the operator says nothing: laid under what was written, with where it is
from.

It works on tables as they were read, before anybody judged them: what is not of the right kind is left alone.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from kpgate.app.catalogue import CatalogueUnreadable, Shelf, open_shelf, origin, price_table
from kpgate.app.settings_tree import Path, did_you_mean, fields
from kpgate.domain.catalog import ModelFacts
from kpgate.domain.presets import PRESETS, Preset, named_by
from kpgate.domain.settings import Prices

RULE = "[catalogue] unknown_price"

Say = Callable[[Path, str], None]
Table = dict[str, Any]


class Saying(msgspec.Struct):
    """Who is told: of what was laid under and where it is from, of what is wrong, of what is worth a warning."""

    note: Say
    report: Say
    warn: Say


def underlay(raw: Table, saying: Saying) -> None:
    """Lay presets and the catalogue under `raw`, in place. Order: presets first, for they say whose rows to look in."""
    for number, provider in _tables(raw, "providers"):
        _lay_preset(provider, ("providers", number), saying)
    _lay_catalogue(raw, saying)


def vendor_of(preset: str, base_url: str) -> str:
    """The vendor whose rows a provider's models are looked up in; empty where nobody's are."""
    known = PRESETS.get(preset) or PRESETS.get(named_by(base_url))
    return known.catalogue if known is not None else ""


def _tables(raw: Table, name: str) -> Iterator[tuple[int, Table]]:
    listed = raw.get(name)
    for number, table in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(table, dict):
            yield number, table


def _table(raw: Table, name: str) -> Table:
    found = raw.get(name)
    return found if isinstance(found, dict) else {}


def _text(raw: Table, name: str) -> str:
    found = raw.get(name)
    return found if isinstance(found, str) else ""


def _lay_preset(provider: Table, path: Path, saying: Saying) -> None:
    name = _text(provider, "preset")
    preset = PRESETS.get(name)
    if not name:
        return
    if preset is None:
        saying.report((*path, "preset"), f'no preset is named "{name}"{did_you_mean(name, PRESETS)}')
        return
    if "dialect" not in provider:
        provider["dialect"] = preset.dialect
        saying.note((*path, "dialect"), f"preset {name}")
    elif provider["dialect"] != preset.dialect:
        saying.report((*path, "dialect"), f'is "{preset.dialect}" by its preset: leave it out')
    if preset.responses and "responses" not in provider:
        provider["responses"] = True
        saying.note((*path, "responses"), f"preset {name}")
    parts = _table(provider, "url_parts")
    for part in parts:
        if part not in preset.places:
            known = ", ".join(preset.places) or "none"
            saying.warn((*path, "url_parts", part), f"is no part of the preset's address, which has {known}")
    if "base_url" not in provider:
        _lay_address(provider, preset, parts, path, saying)


def _lay_address(provider: Table, preset: Preset, parts: Table, path: Path, saying: Saying) -> None:
    missing = [place for place in preset.places if not _text(parts, place)]
    for place in missing:
        saying.report((*path, "url_parts", place), f"missing: the preset's address is {preset.base_url}")
    if missing:
        # So that this alone is told, and not that there is no address.
        saying.report((*path, "base_url"), "has parts that are missing")
    else:
        provider["base_url"] = preset.address(parts)
        saying.note((*path, "base_url"), f"preset {_text(provider, 'preset')}")


def _lay_catalogue(raw: Table, saying: Saying) -> None:
    settings = _table(raw, "catalogue")
    try:
        shelf = open_shelf(_text(settings, "file") or None)
    except CatalogueUnreadable as error:
        saying.report(("catalogue", "file"), str(error))
        shelf = Shelf()
    providers = {_text(one, "name"): one for _, one in _tables(raw, "providers")}
    charged = _table(raw, "ledger").get("enabled") is True
    for number, model in _tables(raw, "models"):
        path: Path = ("models", number)
        priced = not charged or "price" in model or model.get("free") is True
        for place, deployment in _tables(model, "deployments"):
            at: Path = (*path, "deployments", place)
            facts = _facts(shelf, providers, deployment)
            if place == 0 and facts is not None and facts.encoding and "encoding" not in model:
                model["encoding"] = facts.encoding
                saying.note((*path, "encoding"), origin(facts))
            if not priced and "price" not in deployment:
                _lay_price(deployment, facts, settings, (*at, "price"), saying)


def _facts(shelf: Shelf, providers: dict[str, Table], deployment: Table) -> ModelFacts | None:
    name = _text(deployment, "provider")
    provider = providers.get(name)
    if provider is None:
        return None
    vendor = vendor_of(_text(provider, "preset"), _text(provider, "base_url"))
    return shelf.facts(name, vendor, _text(deployment, "model"))


def _lay_price(
    deployment: Table, facts: ModelFacts | None, settings: Table, path: Path, saying: Saying
) -> None:
    """The vendor's price, else the rule for what nobody knows; neither, and it is refused for want of one."""
    rule = settings.get("unknown_price")
    if facts is not None and settings.get("prices", True) is True:
        table = price_table(facts, fields(Prices))
        if table is not None:
            deployment["price"] = table
            saying.note(path, origin(facts))
            return
    if isinstance(rule, dict):
        deployment["price"] = {"source": RULE, **rule}
        saying.note(path, RULE)
