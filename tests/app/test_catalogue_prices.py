"""The public table of prices: what it says of long prompts is taken, what else is known of a model stands.

Shapes: genai-prices, prices/data.json and its schema (checked November 2026).
"""

import json
from typing import Any

import pytest

from kpgate.app.catalogue import CatalogueUnreadable, Shelf
from kpgate.app.catalogue_prices import read_prices
from kpgate.app.catalogue_update import changes
from kpgate.domain.catalog import ModelFacts, Rates

Json = dict[str, Any]
URL = "https://vendor.example/pricing"
HELD = ModelFacts(
    name="m", vendor="openai", context_window=9, tools=True, price=Rates(input=1, output=2), source="before"
)


def tiered(base: float, *tiers: tuple[int, float]) -> Json:
    return {"base": base, "tiers": [{"start": start, "price": price} for start, price in tiers]}


LONG: Json = {
    "input_mtok": tiered(3, (200_000, 6)),
    "cache_write_mtok": tiered(3.75, (200_000, 7.5)),
    "cache_read_mtok": tiered(0.3, (200_000, 0.6)),
    "output_mtok": tiered(15, (200_000, 22.5)),
}


def table(*models: Json, provider: str = "openai") -> bytes:
    rows = [{"id": "m", "match": {"equals": "m"}} | model for model in models]
    return json.dumps([{"id": provider, "name": "V", "pricing_urls": [URL], "models": rows}]).encode()


def only(prices: Any, **more: Any) -> ModelFacts:
    (row,) = read_prices(table({"prices": prices} | more), "data.json", "2026-11", Shelf([HELD]))
    return row


def test_a_step_is_read_and_what_else_is_known_stands() -> None:
    row = only(LONG)
    assert (row.context_window, row.tools, row.source, row.checked) == (9, True, URL, "2026-11")
    assert row.price == Rates(
        input=3,
        output=15,
        cached=0.3,
        cache_write=3.75,
        long_above=200_000,
        long_input=6,
        long_output=22.5,
        long_cached=0.6,
        long_cache_write=7.5,
    )
    (change,) = changes([row], Shelf([HELD]))
    assert set(change.fields) == {
        f"price.{kind}" for kind in ("input", "output", "cached", "cache_write")
    } | {f"price.long_{kind}" for kind in ("above", "input", "output", "cached", "cache_write")}


def test_a_model_that_nobody_knows_is_a_row_of_its_own() -> None:
    (row,) = read_prices(table({"prices": LONG, "context_window": 7}), "data.json", "2026-11", Shelf())
    assert (row.vendor, row.name, row.context_window) == ("openai", "m", 7)


def test_of_several_steps_there_is_the_first_threshold_and_the_last_price() -> None:
    steps = {"input_mtok": tiered(1, (64, 3), (32, 2)), "output_mtok": tiered(2, (64, 6), (32, 4))}
    assert only(steps).price == Rates(input=1, output=2, long_above=32, long_input=3, long_output=6)


def test_prices_that_begin_one_day_follow_each_other() -> None:
    flat = {"input_mtok": 3, "output_mtok": 15}
    found = only([{"prices": LONG}, {"constraint": {"start_date": "2026-03-13"}, "prices": flat}])
    assert found.price == Rates(input=3, output=15)
    later = only([{"prices": flat}, {"constraint": {"start_date": "2026-12-01"}, "prices": LONG}])
    assert later.price == Rates(input=3, output=15), "not before it begins"


@pytest.mark.parametrize(
    "prices",
    [
        {"input_mtok": 1},
        {"input_mtok": 0, "output_mtok": 1},
        {"input_mtok": 1, "output_mtok": tiered(1, (32, 2))},
        {"input_mtok": tiered(1, (32, 2)), "output_mtok": tiered(1, (64, 2))},
        {"input_mtok": "dear", "output_mtok": 1},
        [
            {"prices": LONG},
            {"constraint": {"start_time": "00:30:00Z", "end_time": "16:30:00Z"}, "prices": LONG},
        ],
        [],
    ],
)
def test_what_is_not_said_for_sure_is_left_out(prices: Any) -> None:
    sound = {"id": "n", "prices": {"input_mtok": 1, "output_mtok": 2}}
    rows = read_prices(table({"prices": prices}, sound), "data.json", "2026-11", Shelf())
    assert [row.name for row in rows] == ["n"]


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"[1]", b"\xff", table(provider="nobody"), b"[" * 5000]
)
def test_what_is_no_such_table_is_refused(content: bytes) -> None:
    with pytest.raises(CatalogueUnreadable, match=r"data\.json"):
        read_prices(content, "data.json", "2026-11", Shelf())
