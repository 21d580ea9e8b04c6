"""Entries come back from their bytes as they were, and postings sum to what was charged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate._fast.credit import END_NOTE_BYTES_MAX
from kpgate._fast.journal import POST, VOID
from kpgate.domain.ledger import (
    LOTS,
    NOTHING_SAID,
    OVERRUN,
    PLAIN,
    REVENUE,
    End,
    Hold,
    Leg,
    Posting,
    note_end,
    note_hold,
    note_transfer,
    postings,
    price_version_of,
    public,
    read_call,
    read_end,
    read_end_note,
    read_hold,
    read_hold_note,
    read_transfer,
    read_transfer_note,
    show_call,
    write_end,
    write_hold,
    write_transfer,
)
from kpgate.domain.price import AMOUNT_MAX, WHOLE, Price, Share
from kpgate.domain.usage import Usage
from tests.kit.oracle import credit as plain

amounts = st.integers(0, AMOUNT_MAX)
words = st.integers(0, 2**32 - 1)
instants = st.integers(0, 2**62)
four = st.tuples(*[amounts] * LOTS)
budgets = st.lists(st.tuples(words, words, words, words), max_size=4).map(tuple)
notes = st.binary(max_size=300)


@given(st.builds(Hold, instants, instants, amounts, words, words, words, words, four, budgets, notes))
def test_a_hold_is_read_as_it_was_written(hold: Hold) -> None:
    body = write_hold(hold)
    assert read_hold(hold.call, body) == hold
    said = plain.decode(hold.call, plain.HOLD, body)
    assert said is not None
    assert (said.amount, said.account, said.budgets, said.note) == (
        hold.amount,
        hold.account,
        tuple([budget[:3] for budget in hold.budgets]),
        hold.note,
    )


@given(instants, instants, instants, amounts, amounts, four, words, notes)
def test_an_end_is_read_as_it_was_written(
    lsn: int,
    call: int,
    time_us: int,
    amount: int,
    overrun: int,
    lots: tuple[int, ...],
    reason: int,
    note: bytes,
) -> None:
    post = End(lsn, call, time_us, amount, overrun, lots, reason, note, True)
    assert read_end(lsn, POST, write_end(post)) == post
    void = End(lsn, call, time_us, 0, 0, (0,) * LOTS, reason, note, False)
    assert read_end(lsn, VOID, write_end(void)) == void


@given(
    instants, st.lists(st.builds(Leg, words, words, st.integers(-AMOUNT_MAX, AMOUNT_MAX), instants)), notes
)
def test_a_transfer_is_read_as_it_was_written(time_us: int, legs: list[Leg], note: bytes) -> None:
    assert read_transfer(write_transfer(time_us, legs, note)) == (time_us, tuple(legs), note)


def test_notes_are_read_as_they_were_written() -> None:
    usage = Usage(10, 20, 3, 4, "provider", 5, 6, 7)
    assert read_hold_note(note_hold("r", "m" * 500, 3, 10, 20, 9_000)).model == "m" * 200
    said = read_end_note(note_end("p", "d", 2, 200, 3, usage))
    assert (said.provider, said.attempts, said.usage) == ("p", 2, usage)
    assert read_end_note(b"") == NOTHING_SAID
    made = Usage(source="counted", units=3)
    assert read_end_note(note_end("p", "d", 1, 200, 3, made)).usage == made
    assert public(made) == {"units": 3}
    most = Usage(*[2**63 - 1] * 4, "provider", *[2**63 - 1] * 6)
    assert len(note_end("p" * 999, "d" * 999, 6, 599, 2**63 - 1, most)) <= END_NOTE_BYTES_MAX
    moves = (Posting("issue", "house:issued", 7, 5, "a memo"), Posting("payout", "earn:é", "house:issued", 1))
    assert read_transfer_note(note_transfer("an-operation", b"hash", moves, 9)).postings == moves
    cold = Usage(10, 20, 3, 4, "provider", 5, 6, 7, 8, 9)
    assert read_end_note(note_end("p", "d", 2, 200, 3, cold)).usage == cold
    assert public(cold) == public(usage) | {"cache_write": 8, "cache_write_long": 9}
    assert public(usage) == {
        "input": 10, "output": 20, "cached": 3, "reasoning": 4, "audio_input": 5, "audio_output": 6, "image": 7
    }  # fmt: skip


def test_a_call_is_charged_by_the_price_of_who_answered() -> None:
    hold = Hold(1, 1, 9, 1, 1, 1, 0, (0,) * LOTS, (), note_hold("r", "m", 4, 1, 1, WHOLE))
    end = End(2, 1, 1, 9, 0, (0,) * LOTS, 0, note_end("p", "d", 1, 200, 5, Usage()), True)
    assert price_version_of(hold, end) == 5
    assert price_version_of(hold, End(2, 1, 1, 9, 0, (0,) * LOTS, 1, b"", True)) == 4


@given(st.integers(1, (1 << 63) - 1))
def test_a_call_is_read_as_it_is_shown(call: int) -> None:
    assert read_call(show_call(call)) == call


@pytest.mark.parametrize(
    "text",
    ["", "kp1-", "kp1-0", "kp2-0000000000000001", "kp1-00000000000000G1", "kp1--000000000000001",
     "kp1-0_0000000000001", "kp1-0x00000000000001", " p1-0000000000000001", "kp1-000000000000000A",
     "kp1-ffffffffffffffff", "kp1-8000000000000000", "kp1-00000000000000001", "kp1-000000000000001\n",
     "kp1-000000000000000\u0661"],
)  # fmt: skip
def test_what_is_no_call_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="16 hexadecimal"):
        read_call(text)


def price(*basis_points: int) -> Price:
    shares = tuple([Share(f"party-{i}", part) for i, part in enumerate(basis_points)])
    return Price(*[1] * 7, shares=shares)


@given(
    amounts, amounts, st.lists(st.integers(0, WHOLE), max_size=6).filter(lambda parts: sum(parts) <= WHOLE)
)
def test_shares_sum_to_the_charge_exactly(amount: int, overrun: int, parts: list[int]) -> None:
    end = End(2, 1, 1, amount, overrun, (0,) * LOTS, 0, b"", True)
    found = postings(7, end, price(*parts))
    charged = [one for one in found if one.kind != "overrun"]
    assert sum(one.amount for one in charged) == amount
    assert all(one.debit == 7 and one.amount > 0 for one in charged)
    shares = {one.credit: one.amount for one in found if one.kind == "share"}
    for i, part in enumerate(parts):
        assert shares.get(f"earn:party-{i}", 0) == amount * part // WHOLE
    overruns = [one for one in found if one.kind == "overrun"]
    assert overruns == ([Posting("overrun", OVERRUN, REVENUE, overrun)] if overrun else [])


def test_the_house_has_what_does_not_divide() -> None:
    end = End(2, 1, 1, 10, 0, (0,) * LOTS, 0, b"", True)
    assert postings(7, end, price(3_333, 3_333)) == (
        Posting("share", 7, "earn:party-0", 3),
        Posting("share", 7, "earn:party-1", 3),
        Posting("charge", 7, REVENUE, 4),
    )
    assert postings(7, end, None) == (Posting("charge", 7, REVENUE, 10),)


def test_what_charges_nothing_posts_nothing() -> None:
    free = End(2, 1, 1, 0, 0, (0,) * LOTS, 0, b"", True)
    void = End(2, 1, 1, 0, 0, (0,) * LOTS, 0, b"", False)
    assert postings(7, free, price(5_000)) == postings(7, void, price(5_000)) == ()


def test_the_plain_balance_has_no_slot() -> None:
    assert PLAIN == plain.PLAIN == 2**32 - 1
