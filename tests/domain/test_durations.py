"""Durations as callers read them: never shorter than they are."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate._fast.digits import spell
from kpgate.domain.durations import whole_ms, whole_seconds


@pytest.mark.parametrize(
    ("duration_us", "text"),
    [
        (0, b"0s"),
        (-5, b"0s"),
        (1, b"1ms"),
        (20_000, b"20ms"),
        (1_000_000, b"1s"),
        (1_500_000, b"1.5s"),
        (59_999_999, b"1m0s"),
        (360_000_000, b"6m0s"),
        (3_600_000_000, b"1h0m0s"),
        (3_661_500_000, b"1h1m1.5s"),
    ],
)
def test_durations_are_spelled_as_openai_spells_them(duration_us: int, text: bytes) -> None:
    assert spell(duration_us) == text


def read_us(text: bytes) -> float:
    match = re.fullmatch(rb"(?:(\d+)h)?(?:(\d+)m)?(?:([\d.]+)s)?|(\d+)ms", text)
    assert match is not None
    if match[4]:
        return int(match[4]) * 1000
    return (int(match[1] or 0) * 3600 + int(match[2] or 0) * 60 + float(match[3] or 0)) * 1_000_000


@given(st.integers(1, 10**12))
def test_what_is_spelled_is_never_shorter_and_less_than_a_millisecond_longer(duration_us: int) -> None:
    assert -1 <= read_us(spell(duration_us)) - duration_us < 1001


@given(st.integers(1, 10**12))
def test_whole_units_round_up(duration_us: int) -> None:
    assert 0 <= whole_ms(duration_us) * 1000 - duration_us < 1000
    assert 0 <= whole_seconds(duration_us) * 1_000_000 - duration_us < 1_000_000
