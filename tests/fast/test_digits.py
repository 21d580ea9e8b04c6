"""Numbers and durations in headers."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kpgate._fast.digits import decimal, numbered, spell
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
    assert numbered("", number, 16) == f"{number:016x}"


@example("req-", 0)
@example("", 2**64 - 1)
@given(st.text(st.characters(max_codepoint=127), max_size=48), st.integers(0, 2**64 - 1))
def test_a_number_stands_behind_a_text(start: str, number: int) -> None:
    assert numbered(start, number) == f"{start}{number:x}"


def test_a_text_before_a_number_is_short_and_ascii() -> None:
    for start in ("a" * 49, "\u00e9"):
        with pytest.raises(ValueError, match="ASCII, at most 48 bytes"):
            numbered(start, 1)
