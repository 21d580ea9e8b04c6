"""Numbers and durations in headers."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kpgate._fast.digits import decimal, hexadecimal, spell
from tests.kit.oracle import digits as oracle


@example(-(2**63))
@example(2**63 - 1)
@example(0)
@given(st.integers(-(2**63), 2**63 - 1))
def test_decimal_is_what_python_writes(number: int) -> None:
    assert decimal(number) == b"%d" % number


@example(1)
@example(999_001)
@example(1_500_000)
@example(60_000_000)
@example(3_600_000_000)
@example(2**63 - 1)
@given(st.integers(-5, 2**63 - 1) | st.integers(0, 10**11))
def test_durations_are_spelt_as_the_oracle_spells_them(duration_us: int) -> None:
    assert spell(duration_us) == oracle.spell(duration_us)


@pytest.mark.parametrize("number", [0, 1, 0xABCDEF, 1 << 63, (1 << 64) - 1])
def test_hexadecimal_digits_are_sixteen(number: int) -> None:
    assert hexadecimal(number) == f"{number:016x}"
    assert hexadecimal(number, "kp1-") == f"kp1-{number:016x}"


@pytest.mark.parametrize("prefix", ["é", "seventeen letters"])
def test_what_stands_before_them_is_short_and_plain(prefix: str) -> None:
    with pytest.raises(ValueError, match=r"16 letters|ascii"):
        hexadecimal(1, prefix)
