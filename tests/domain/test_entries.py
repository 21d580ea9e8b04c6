"""Entries and notes: what is written is read back, notes are bounded, and shares sum to the charge exactly."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate._fast.credit import END_NOTE_BYTES_MAX, NOTE_BYTES_MAX
from kpgate._fast.journal import POST, VOID
from kpgate.domain.ledger import (
    OVERRUN,
    REVENUE,
    End,
    Hold,
    Leg,
    note_end,
    note_hold,
    postings,
    public,
    read_call,
    read_end,
    read_end_note,
    read_hold,
    read_hold_note,
    read_transfer,
    show_call,
    write_end,
    write_hold,
    write_transfer,
)
from kpgate.domain.price import Price, Share
from kpgate.domain.usage import Usage

amounts = st.integers(0, 2**53 - 1)
words = st.integers(0, 2**32 - 1)
lots = st.tuples(amounts, amounts, amounts, amounts)
times = st.integers(0, 2**63)
holds = st.builds(
    Hold,
    times,
    times,
    amounts,
    words,
    words,
    words,
    words,
    lots,
    st.lists(st.tuples(words, words, words, words), max_size=4).map(tuple),
    st.binary(max_size=300),
)


@given(holds)
def test_a_hold_is_read_back(hold: Hold) -> None:
    assert read_hold(hold.call, write_hold(hold)) == hold


@given(
    st.builds(End, times, times, times, amounts, amounts, lots, words, st.binary(max_size=256), st.just(True))
)
def test_an_end_is_read_back(end: End) -> None:
    assert read_end(end.lsn, POST, write_end(end)) == end
    void = msgspec.structs.replace(end, amount=0, overrun=0, lots=(0, 0, 0, 0), posted=False)
    assert read_end(end.lsn, VOID, write_end(void)) == void


@given(
    times,
    st.lists(st.builds(Leg, words, words, st.integers(-(2**53), 2**53), times), max_size=12),
    st.binary(),
)
def test_a_transfer_is_read_back(time_us: int, legs: list[Leg], note: bytes) -> None:
    assert read_transfer(write_transfer(time_us, legs, note)) == (time_us, tuple(legs), note)


@given(st.text(max_size=300), st.text(max_size=300), st.integers(0, 2**40), st.integers(0, 2**40))
def test_notes_fit_into_the_room_that_is_kept_for_them(name: str, other: str, some: int, more: int) -> None:
    usage = Usage(some, more, some, more, "provider", some, more, some, more, some)
    note = note_end(name, other, 6, 599, 2**32, usage)
    assert len(note) <= END_NOTE_BYTES_MAX
    assert read_end_note(note).usage == usage
    assert name.encode().startswith(read_end_note(note).provider.encode())
    held = note_hold("r" * 128, name, 2**32, some, more, 2**20)
    assert len(held) <= NOTE_BYTES_MAX
    assert read_hold_note(held).model == name[:200]


def test_an_end_that_nobody_could_describe_says_nothing() -> None:
    assert read_end_note(b"").usage == Usage()


shared = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.integers(1, 2_000)), max_size=5, unique_by=lambda s: s[0]
)


@given(amounts, amounts, shared)
def test_what_is_posted_is_what_was_charged_to_the_last_microkpt(
    amount: int, overrun: int, given: list[tuple[str, int]]
) -> None:
    price = Price(1, 1, 1, 1, 1, 1, 1, 0, tuple(Share(party, points) for party, points in given))
    end = End(9, 8, 7, amount, overrun, (0,) * 4, 0, b"", True)
    found = postings(5, end, price)
    assert sum(one.amount for one in found if one.debit == 5) == amount
    assert sum(one.amount for one in found if one.debit == OVERRUN) == overrun
    for party, points in given:
        assert sum(one.amount for one in found if one.credit == f"earn:{party}") == amount * points // 10_000
    assert all(one.amount > 0 for one in found)
    assert {one.credit for one in found if one.kind != "share"} <= {REVENUE}


def test_a_void_moves_nothing() -> None:
    assert postings(5, End(9, 8, 7, 0, 0, (0,) * 4, 4, b"", False), None) == ()


@pytest.mark.parametrize("call", [1, 0xF000050, 2**63 - 1])
def test_a_call_s_id_is_shown_and_read_back(call: int) -> None:
    assert read_call(show_call(call)) == call


@pytest.mark.parametrize(
    "text", ["", "kp1-", "kp1-00000000f00005", "kp2-000000000f000050", "kp1-zzzzzzzzzzzzzzzz"]
)
def test_what_is_no_call_s_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|invalid"):
        read_call(text)


def test_kinds_that_were_not_used_are_left_out() -> None:
    shown: dict[str, Any] = public(Usage(5, 0, 2))
    assert shown == {"input": 5, "cached": 2}
