"""Prices that are others for long prompts: the whole call by one of both, and a bound that no call exceeds."""

import dataclasses

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from kpgate._fast.bill import Tariff
from kpgate.domain.price import PER, WHOLE, Price, Share, terms_hash
from kpgate.domain.price_step import LongPrice, fill, read_terms, tariff
from kpgate.domain.usage import COUNTS, KINDS, Usage

SHORT = Price(250, 1000, 125, 1000, 4000, 8000, 300, 7, (Share("acme", 100),), 310, 500, 9)
LONG = fill(SHORT, 200, {"input": 500, "output": 1500, "cached": 260})

rates = st.integers(0, 10**12)
plain = st.builds(Price, *[rates] * 8, cache_write=rates | st.just(-1), cache_write_long=rates | st.just(-1))
stepped = st.builds(
    LongPrice,
    *[rates] * 8,
    long_above=st.integers(0, 300),
    **{f"long_{kind}": rates for kind in KINDS},
    unit=rates,
)
prices = st.lists(plain | stepped, min_size=1, max_size=4)
few = st.integers(0, 400)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    return Usage(**{name: draw(few) for name in COUNTS}, source="provider")


def test_above_its_step_the_whole_call_costs_the_step_s_prices() -> None:
    kinds = {"output": 100, "cached": 50, "reasoning": 30, "audio_output": 20, "audio_input": 10, "image": 5}
    kinds |= {"cache_write": 40, "cache_write_long": 30, "units": 3}
    assert LONG.charge(Usage(200, source="provider", **kinds)) == SHORT.charge(Usage(200, **kinds))
    parts = 50 * 260 + 30 * LONG.long_cache_write_long + 40 * LONG.long_cache_write
    parts += 10 * LONG.long_audio_input + 5 * LONG.long_image + (201 - 135) * 500
    parts += 50 * 1500 + 30 * LONG.long_reasoning + 20 * LONG.long_audio_output + 3 * 9
    assert LONG.charge(Usage(201, **kinds)) == -(-(parts + 7 * PER) // PER)


def test_a_kind_that_is_not_said_rises_as_its_whole_does() -> None:
    assert (LONG.long_cache_write, LONG.long_cache_write_long) == (620, 1000)
    assert (LONG.long_reasoning, LONG.long_audio_output) == (1500, 12_000)
    assert fill(SHORT, 200, {"input": 500}).long_output == SHORT.output
    assert fill(replace(SHORT, input=3, cached=2), 200, {"input": 4}).long_cached == 3, "upwards"
    assert fill(replace(SHORT, output=0), 200, {"input": 500, "output": 9}).long_reasoning == 1000


def test_what_would_rise_beyond_any_price_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="long_cached: rises with `long_input`"):
        fill(replace(SHORT, input=1, cached=1 << 40), 200, {"input": 1 << 40})
    assert fill(replace(SHORT, input=1, cached=1 << 40), 200, {"input": 2}).long_cached == 1 << 41


def test_what_has_no_step_is_spelled_as_it_was() -> None:
    assert SHORT.terms == (
        '{"audio_input":4000,"audio_output":8000,"cache_write":310,"cache_write_long":500,"cached":125,'
        '"image":300,"input":250,"output":1000,"reasoning":1000,"request":7,'
        '"shares":[{"basis_points":100,"party":"acme"}],"unit":9}'
    )
    assert terms_hash(SHORT.terms) == "ec118b2265a2741ae53b3a2a9c6ee1b1e4dbc327e7c58a1433bfa697ba7dffd2"
    assert type(read_terms(SHORT.terms)) is Price and SHORT.at(1 << 60) is SHORT


def test_terms_say_a_step_whole_or_not_at_all() -> None:
    assert read_terms(LONG.terms) == LONG
    said = msgspec.json.decode(LONG.terms)
    assert {name for name in said if name.startswith("long_")} == {
        "long_above",
        *(f"long_{k}" for k in KINDS),
    }
    for name in said:
        if name.startswith("long_") and name != "long_above":
            less = msgspec.json.encode({key: value for key, value in said.items() if key != name}).decode()
            with pytest.raises(msgspec.DecodeError):
                read_terms(less)
    tricky = replace(SHORT, shares=(Share('x"long_above":', 1), Share("long_above", 2)))
    assert read_terms(tricky.terms) == tricky


@given(stepped, usages(), st.integers(1, 100_000))
def test_a_charge_is_that_of_the_price_that_holds(price: LongPrice, usage: Usage, factor: int) -> None:
    short = Price(**{name: value for name, value in asdict(price).items() if not name.startswith("long_")})
    held = price.beyond if usage.input > price.long_above else short
    assert type(held) is Price
    assert price.charge(usage, factor) == held.charge(usage, factor)
    assert price.at(usage.input).charge(usage, factor) == held.charge(usage, factor)


@given(prices, usages(), few, few, few, st.integers(1, 100_000), st.booleans())
def test_no_call_within_its_hold_is_charged_more(
    candidates: list[Price], usage: Usage, prompt: int, output: int, units: int, factor: int, estimated: bool
) -> None:
    most = tariff(candidates, estimated=estimated)
    counted = -(-prompt * most.margin // 100)
    usage = dataclasses.replace(
        usage,
        input=min(usage.input, counted),
        output=min(usage.output, output),
        units=min(usage.units, units),
    )
    bound = most.bound(prompt, output, factor, units)
    assert all(price.charge(usage, factor) <= bound for price in candidates)


@given(prices, few, few, few, few, st.integers(1, 100_000), st.booleans())
def test_a_bound_only_rises_and_what_is_affordable_is_within_it(
    candidates: list[Price], prompt: int, more: int, output: int, amount: int, factor: int, estimated: bool
) -> None:
    most = tariff(candidates, estimated=estimated)
    assert most.bound(prompt, output, factor) <= most.bound(prompt + more, output, factor)
    assert most.bound(prompt, output, factor) <= most.bound(prompt, output + more, factor)
    found = most.affordable(amount, prompt, factor)
    if found >= 0:
        assert most.bound(prompt, min(found, 1 << 40), factor) <= amount
    if found < 0:
        assert most.bound(prompt, 0, factor) > amount


def test_a_hold_is_at_the_step_wherever_the_prompt_may_reach_it() -> None:
    exact, estimated = tariff([LONG], estimated=False), tariff([LONG], estimated=True)
    assert exact.bound(200, 10) == 7 + -(-(200 * 4000 + 10 * 8000) // PER)
    dear = max(LONG.long_audio_input, LONG.long_cache_write_long)
    assert exact.bound(201, 10) == 7 + -(-(201 * dear + 10 * LONG.long_audio_output) // PER)
    assert estimated.bound(173, 0, PER * WHOLE) == 199 * 4000 + 7 * PER
    assert estimated.bound(174, 0, PER * WHOLE) == 201 * dear + 7 * PER, "200.1 tokens with its margin"


def test_a_step_that_is_cheaper_lowers_no_bound() -> None:
    falls = fill(SHORT, 200, {"input": 1, "output": 1})
    bound = tariff([falls], estimated=False)
    assert bound.bound(201, 0) >= bound.bound(200, 0)


def test_without_steps_a_tariff_is_what_it_was() -> None:
    assert type(tariff([SHORT], estimated=True)) is Tariff
    assert tariff([SHORT], estimated=True) == Tariff(4000, 8000, 7, 115, 9)
    assert tariff([SHORT, LONG], estimated=False).bound(0, 0, WHOLE, 2 * PER) == 25
