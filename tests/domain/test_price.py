"""Prices: integers, one rounding upwards, and a bound that no call exceeds."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate.domain.price import (
    MICROKPT,
    PER,
    WHOLE,
    Price,
    Share,
    read_price,
    terms_hash,
)
from kpgate.domain.price_step import read_terms, tariff
from kpgate.domain.usage import Usage

PLAIN = Price(250, 1000, 125, 1000, 4000, 8000, 300, 7)

rates = st.integers(0, 10**12)
prices = st.builds(Price, *[rates] * 8, cache_write=rates | st.just(-1), cache_write_long=rates | st.just(-1))
tokens = st.integers(0, 1 << 40)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    return Usage(
        draw(tokens),
        draw(tokens),
        draw(tokens),
        draw(tokens),
        "provider",
        draw(tokens),
        draw(tokens),
        draw(tokens),
        draw(tokens),
        draw(tokens),
    )


def test_each_kind_of_token_has_its_own_price() -> None:
    usage = Usage(1000, 500, 100, 50, "provider", 20, 30, 40)
    exact = 840 * 250 + 100 * 125 + 20 * 4000 + 40 * 300 + 420 * 1000 + 50 * 1000 + 30 * 8000
    assert exact == 210_000 + 12_500 + 80_000 + 12_000 + 420_000 + 50_000 + 240_000
    assert PLAIN.charge(usage) == -(-exact // PER) + 7


def test_what_is_written_to_a_cache_has_its_price_or_that_of_the_prompt() -> None:
    usage = Usage(1000, 0, 100, source="provider", cache_write=300, cache_write_long=200)
    price = Price(PER * 100, 0, PER * 10, 0, 0, 0, 0, cache_write=PER * 125, cache_write_long=PER * 200)
    assert price.charge(usage) == 400 * 100 + 100 * 10 + 300 * 125 + 200 * 200
    assert tariff([price], estimated=False).bound(1000, 0) == 1000 * 200
    without = Price(PER * 100, 0, PER * 10, 0, 0, 0, 0)
    assert (without.cache_write, without.cache_write_long) == (without.input, without.input)
    assert without.charge(usage) == 900 * 100 + 100 * 10
    by_default = Price(PER * 100, 0, PER * 10, 0, 0, 0, 0, cache_write=PER * 125)
    assert by_default.charge(usage) == 400 * 100 + 100 * 10 + 500 * 125


def test_terms_from_before_a_kind_was_told_apart_charge_it_as_they_did() -> None:
    kinds = '"audio_input":3,"audio_output":5,"cached":1,"image":4,"input":2,"output":6,"reasoning":7'
    price = read_terms(f'{{{kinds},"request":8,"shares":[]}}')
    assert (price.cache_write, price.cache_write_long) == (2, 2)
    assert price.charge(Usage(5 * PER, cache_write=PER, cache_write_long=PER)) == 5 * 2 + 8


def test_units_cost_beside_tokens() -> None:
    price = Price(250, 1000, 125, 1000, 4000, 8000, 300, 7, unit=40 * PER)
    assert price.charge(Usage(units=3)) == 120 + 7
    assert price.charge(Usage(4 * PER, units=3)) == 1000 + 120 + 7
    assert price.charge(Usage(4 * PER, cached=4 * PER, units=3)) == 500 + 120 + 7
    bound = tariff([price, PLAIN], estimated=False)
    assert bound.bound(0, 0, WHOLE, 3) == 127 and bound.bound(0, 0) == 7
    assert bound.affordable(127, 0, WHOLE, 3) == 0 and bound.affordable(126, 0, WHOLE, 3) < 0
    assert read_terms(price.terms) == price
    older = price.terms.replace(f'"unit":{40 * PER}', '"request":7').replace('"request":7,', "", 1)
    assert read_terms(older).unit == 0


def test_a_charge_is_rounded_once_and_upwards() -> None:
    cent = Price(1, 1, 1, 1, 1, 1, 1)
    assert cent.charge(Usage(1, 1)) == 1
    assert cent.charge(Usage(PER // 2, PER // 2)) == 1
    assert cent.charge(Usage(PER // 2, PER // 2 + 1)) == 2
    assert cent.charge(Usage()) == 0


@given(prices, usages(), st.integers(1, 100_000))
def test_a_charge_is_never_less_than_the_exact_sum_and_less_than_one_more(
    price: Price, usage: Usage, factor: int
) -> None:
    cached = min(usage.cached, usage.input)
    kept = min(usage.cache_write_long, usage.input - cached)
    written = min(usage.cache_write, usage.input - cached - kept)
    audio = min(usage.audio_input, usage.input - cached - kept - written)
    image = min(usage.image, usage.input - cached - kept - written - audio)
    reasoning = min(usage.reasoning, usage.output)
    spoken = min(usage.audio_output, usage.output - reasoning)
    exact = Fraction(
        (usage.input - cached - kept - written - audio - image) * price.input
        + cached * price.cached
        + kept * price.cache_write_long
        + written * price.cache_write
        + audio * price.audio_input
        + image * price.image
        + (usage.output - reasoning - spoken) * price.output
        + reasoning * price.reasoning
        + spoken * price.audio_output,
        PER,
    )
    exact = (exact + price.request) * factor / WHOLE
    assert 0 <= price.charge(usage, factor) - exact < 1


@given(
    st.lists(prices, min_size=1, max_size=4),
    st.integers(0, 1 << 24),
    st.integers(0, 1 << 24),
    st.integers(1, 100_000),
    st.data(),
)
def test_no_call_within_its_tokens_costs_more_than_its_bound(
    candidates: list[Price], prompt: int, output: int, factor: int, data: st.DataObject
) -> None:
    said = data.draw(usages())
    usage = Usage(
        min(said.input, prompt),
        min(said.output, output),
        said.cached,
        said.reasoning,
        "provider",
        said.audio_input,
        said.audio_output,
        said.image,
        said.cache_write,
        said.cache_write_long,
    )
    bound = tariff(candidates, estimated=False).bound(prompt, output, factor)
    assert all(price.charge(usage, factor) <= bound for price in candidates)


def test_an_estimated_prompt_is_held_for_with_a_margin() -> None:
    price = Price(PER, PER, PER, PER, PER, PER, PER)
    assert tariff([price], estimated=False).bound(100, 10) == 110
    assert tariff([price], estimated=True).bound(100, 10) == 125
    assert tariff([price], estimated=True).bound(1, 0) == 2


@pytest.mark.parametrize(
    ("written", "found"),
    [
        (2.5, 250 * MICROKPT),
        ("2.50", 250 * MICROKPT),
        (3, 300 * MICROKPT),
        (0.1, 10 * MICROKPT),
        ("0.000000001", 1),
        ("0.0000000149", 2),
        (0, 0),
    ],
)
def test_a_price_in_dollars_is_what_was_written(written: str | float, found: int) -> None:
    assert read_price(written, 100 * MICROKPT, 0) == found


def test_a_markup_is_added_before_the_one_rounding() -> None:
    assert read_price("1", MICROKPT, 2_500) == 1_250_000
    assert read_price("0.000001", MICROKPT, 1) == 2


@pytest.mark.parametrize(
    "written", ["", "ten", "-1", -0.5, "nan", "inf", float("inf"), "1e400", "9" * 41, 1e30]
)
def test_what_is_no_price_is_refused(written: str | float) -> None:
    with pytest.raises(ValueError, match="price"):
        read_price(written, MICROKPT, 0)


def test_terms_are_spelled_one_way_and_read_back() -> None:
    price = Price(1, 2, 3, 4, 5, 6, 7, 8, (Share("acme", 2_000),))
    assert read_terms(price.terms) == price
    assert len(terms_hash(price.terms)) == 64
    assert terms_hash(price.terms) != terms_hash(PLAIN.terms)
