"""What long prompts cost, as operators and callers are shown it."""

from types import SimpleNamespace
from typing import Any

from msgspec.structs import replace

from kpgate.app.model_card import card
from kpgate.app.price_list import show_prices
from kpgate.domain.price import Price, terms_hash
from kpgate.domain.price_step import fill

CENT = 1_000_000
SHORT = Price(100 * CENT, 200 * CENT, 10 * CENT, 200 * CENT, 100 * CENT, 200 * CENT, 100 * CENT)
LONG = fill(SHORT, 200_000, {"input": 300 * CENT, "output": 400 * CENT})


def plan(*prices: Price) -> Any:
    targets = [
        SimpleNamespace(price=one, facts=None, provider="p", model="up", price_source="", price_version=7)
        for one in prices
    ]
    return SimpleNamespace(name="m", targets=targets, output_max=0)


def test_operators_see_a_step_where_there_is_one() -> None:
    routes: Any = SimpleNamespace(plans=[plan(SHORT, LONG)])
    short, long = show_prices(routes)["prices"]
    assert not any(name.startswith("long_") for name in short["price"])
    assert (long["price"]["long_above"], long["price"]["long_input"]) == (200_000, 300 * CENT)
    assert long["price"]["long_cached"] == 30 * CENT and long["sha256"] == terms_hash(LONG.terms)


def test_callers_see_the_most_that_a_long_prompt_costs_them() -> None:
    assert "long_above" not in card(plan(SHORT))["pricing"]
    lower = fill(replace(SHORT, input=150 * CENT), 100_000, {"input": 160 * CENT})
    shown = card(plan(SHORT, LONG, lower), 5_000)["pricing"]
    assert (shown["input"], shown["long_above"]) == (75, 100_000)
    assert (shown["long_input"], shown["long_output"], shown["long_cached"]) == (150, 200, 15)
