"""Prices made of the public table that the genai-prices project keeps, a JSON file known as `data.json`: what vendors
charge, above a length of the prompt too. It says nothing else of models for sure, so what is known of them stands.

What it does not say for sure is left out: prices of some hours of the day, models without a price for output, whose
kind it does not tell. Source: the file and its schema as of November 2026.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from kpgate.app.catalogue import CatalogueUnreadable, Rows, Shelf
from kpgate.domain.catalog import ModelFacts

VENDORS = {
    "anthropic": "anthropic",
    "aws": "bedrock",
    "azure": "azure",
    "cerebras": "cerebras",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "fireworks": "fireworks",
    "google": "gemini",
    "groq": "groq",
    "mistral": "mistral",
    "moonshotai": "moonshot",
    "novita": "novita",
    "openai": "openai",
    "openrouter": "openrouter",
    "perplexity": "perplexity",
    "together": "together",
    "x-ai": "xai",
}
"""Whose prices are taken, by the table's name for the vendor."""
KINDS = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cached",
    "cache_write_mtok": "cache_write",
    "input_audio_mtok": "audio_input",
    "output_audio_mtok": "audio_output",
}


class _Tier(msgspec.Struct, gc=False):
    start: int
    price: float


class _Tiered(msgspec.Struct, gc=False):
    base: float
    tiers: list[_Tier]


Figure = float | _Tiered


class _Conditional(msgspec.Struct, gc=False):
    prices: dict[str, Figure]
    constraint: dict[str, Any] | None = None


class _Model(msgspec.Struct, gc=False):
    id: str
    prices: dict[str, Figure] | list[_Conditional]
    context_window: int | None = None


class _Provider(msgspec.Struct, gc=False):
    id: str
    models: list[msgspec.Raw]
    pricing_urls: list[str] = []


def read_prices(content: bytes, name: str, month: str, shelf: Shelf) -> Rows:
    """The rows of a copy of the table, each with what is known already. Units: `month` as 2026-11, when it was taken.

    Errors: CatalogueUnreadable for what is no such table.
    """
    try:
        table = msgspec.json.decode(content, type=list[_Provider])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CatalogueUnreadable(f"{name}: not a table of prices: {error}") from None
    found = []
    for provider in table:
        vendor = VENDORS.get(provider.id, "")
        if vendor and provider.pricing_urls:
            source = provider.pricing_urls[0]
            for row in _rows(provider, vendor, month):
                held = shelf.catalog.find(vendor, row.name)
                kept = row if held is None else replace(held, price=row.price)
                found.append(replace(kept, source=source, checked=month))
    if not found:
        raise CatalogueUnreadable(
            f"{name}: not a table of prices: it has none of a vendor that is known here"
        )
    return tuple(found)


def _rows(provider: _Provider, vendor: str, month: str) -> Iterator[ModelFacts]:
    for raw in provider.models:
        try:
            model = msgspec.json.decode(raw, type=_Model)
            price = _price(_in(month, model.prices))
            if price is not None:
                yield msgspec.convert(
                    {
                        "name": model.id,
                        "vendor": vendor,
                        "context_window": model.context_window or None,
                        "price": price,
                    },
                    ModelFacts,
                )
        except (msgspec.MsgspecError, RecursionError):
            continue


def _in(month: str, prices: dict[str, Figure] | list[_Conditional]) -> dict[str, Figure]:
    """What is charged all day long, by the last that has begun by then; nothing where the hour decides."""
    if isinstance(prices, dict):
        return prices
    found: dict[str, Figure] = {}
    for one in prices:
        began = {name: str(value)[:7] for name, value in (one.constraint or {}).items()}
        if not set(began) <= {"start_date", "start"}:
            return {}
        if all(start <= month for start in began.values()):
            found = one.prices
    return found


def _price(said: dict[str, Figure]) -> dict[str, Any] | None:
    """Rates for a million tokens. None where a kind would be given away, or only some kinds change with length."""
    rates: dict[str, Any] = {}
    starts = set()
    for field, kind in KINDS.items():
        figure = said.get(field)
        if isinstance(figure, _Tiered):
            rates[kind] = figure.base
            if figure.tiers:
                # Of several the first threshold, and the last price for everything above it: it is the dearest.
                tiers = sorted(figure.tiers, key=lambda tier: tier.start)
                starts.add(tiers[0].start)
                rates[f"long_{kind}"] = tiers[-1].price
        elif figure is not None:
            rates[kind] = figure
    if not rates.get("input") or not rates.get("output") or len(starts) > 1:
        return None
    if starts:
        if not rates.get("long_input"):
            return None
        rates["long_above"] = starts.pop()
    return {name: rate for name, rate in rates.items() if rate}
