"""Numbers and durations in headers."""

from hypothesis import example, given
from hypothesis import strategies as st

from kpgate._fast.digits import decimal, spell
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
