"""What every call reckons in C is what `domain/price` says at any size, up to what no account holds."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kpgate._fast.bill import MOST, Bill, Tariff
from kpgate.domain.price import AMOUNT_MAX, PER, PRICE_MAX, UNIT_MAX, WHOLE, Price
from kpgate.domain.tier import PRICE_FACTOR_MAX
from kpgate.domain.usage import Usage

rates = st.integers(0, PRICE_MAX) | st.sampled_from([0, 1, PRICE_MAX])
counts = st.integers(0, 1 << 40) | st.integers(0, 1 << 62) | st.sampled_from([0, 1, (1 << 63) - 1])
factors = st.integers(0, PRICE_FACTOR_MAX)
prices = st.builds(
    Price, *[rates] * 8, cache_write=rates, cache_write_long=rates, unit=st.integers(0, UNIT_MAX)
)
usages = st.builds(Usage, *[counts] * 4, st.just("provider"), *[counts] * 6)


def kinds(usage: Usage) -> tuple[int, ...]:
    return (
        *(usage.input, usage.output, usage.cached, usage.reasoning, usage.audio_input, usage.audio_output),
        *(usage.image, usage.cache_write, usage.cache_write_long, usage.units),
    )


@given(prices, usages, factors)
@example(Price(*[PRICE_MAX] * 8), Usage(*[(1 << 63) - 1] * 4), PRICE_FACTOR_MAX)
@example(Price(*[PRICE_MAX] * 8), Usage((1 << 63) - 1, (1 << 63) - 1), 1)
def test_a_charge_is_the_price_s_own(price: Price, usage: Usage, factor: int) -> None:
    for used in (usage, Usage(usage.input, usage.output)):
        assert Bill(price).charge(*kinds(used), factor) == min(price.charge(used, factor), MOST)


@given(rates, rates, rates, st.integers(100, 1000), rates, counts, counts, counts, factors)
def test_a_bound_is_rounded_once_and_upwards(
    input: int,
    output: int,
    request: int,
    margin: int,
    unit: int,
    prompt: int,
    said: int,
    units: int,
    factor: int,
) -> None:
    total = -(-prompt * margin // 100) * input + said * output + units * unit + request * PER
    bound = Tariff(input, output, request, margin, unit).bound(prompt, said, factor, units)
    assert bound == min(-(-total * factor // (PER * WHOLE)), MOST)


@given(
    st.integers(0, 1 << 40),
    st.integers(1, 1 << 40),
    st.integers(0, 1 << 40),
    st.integers(0, AMOUNT_MAX),
    st.integers(0, 1 << 24),
    st.integers(1, PRICE_FACTOR_MAX),
)
def test_what_is_affordable_is_the_most_within_the_amount(
    input: int, output: int, request: int, amount: int, prompt: int, factor: int
) -> None:
    tariff = Tariff(input, output, request)
    most = tariff.affordable(amount, prompt, factor)
    if most < 0:
        assert tariff.bound(prompt, 0, factor) > amount
    else:
        assert tariff.bound(prompt, most, factor) <= amount
        assert most == MOST or amount < tariff.bound(prompt, most + 1, factor)


def test_what_no_price_can_be_is_refused() -> None:
    with pytest.raises(ValueError, match="output is -1"):
        Bill(Price(1, -1, 1, 1, 1, 1, 1))
    with pytest.raises((ValueError, OverflowError)):
        Bill(Price(1, 1 << 61, 1, 1, 1, 1, 1))
    with pytest.raises(ValueError, match="from 0 to"):
        Tariff(-1, 0, 0)
    with pytest.raises(ValueError, match="margin"):
        Tariff(1, 1, 1, margin=99)


def test_tariffs_are_equal_by_what_they_say() -> None:
    assert Tariff(1, 2, 3) == Tariff(1, 2, 3) != Tariff(1, 2, 3, unit=1)
    assert len({Tariff(1, 2, 3), Tariff(1, 2, 3)}) == 1
    assert repr(Tariff(1, 2, 3)) == "Tariff(1, 2, 3, margin=100, unit=0)"
