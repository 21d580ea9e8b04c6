"""A charged call as bytes: what the ledger's own reading of the two entries says, and nothing of what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate._fast.charge import Charge, call_of, rows_of
from kpgate._fast.journal import POST, VOID
from kpgate.domain.ledger import (
    End,
    Hold,
    note_end,
    note_hold,
    price_version_of,
    read_budgets,
    read_end,
    read_end_note,
    read_hold,
    read_hold_note,
    write_end,
    write_hold,
)
from kpgate.domain.usage import COUNTS, Usage

amounts = st.integers(0, 2**53 - 1)
words = st.integers(0, 2**32 - 1)
lots = st.just((0, 0, 0, 0)) | st.tuples(amounts, amounts, amounts, amounts)
texts = st.text(max_size=40)
numbers = st.integers(0, 2**63 - 1)
notes = st.builds(note_hold, texts, texts, numbers, numbers, numbers, numbers)
usages = st.builds(Usage, **dict.fromkeys(COUNTS, st.just(0) | amounts))
said = st.just(b"") | st.builds(note_end, texts, texts, amounts, amounts, st.just(0) | numbers, usages)
budgets = st.lists(st.tuples(words, words, words, words), max_size=4).map(tuple)
holds = st.builds(Hold, st.just(7), amounts, amounts, words, words, words, words, lots, budgets, notes)
ends = st.builds(
    End, numbers, numbers, numbers, amounts, amounts, lots, st.integers(0, 10), said, st.just(True)
)
HOLD = Hold(7, 1, 2, 3, 4, 5, 6, (0,) * 4, (), note_hold("r", "m", 1, 2, 3, 4))
END = End(9, 7, 8, 2, 0, (0,) * 4, 0, note_end("p", "d", 1, 200, 2, Usage(5, 6)), True)


@given(holds, ends)
def test_a_charge_says_what_its_entries_say(hold: Hold, end: End) -> None:
    held, posted = write_hold(hold), write_end(end)
    found = Charge(end.lsn, held, posted)
    assert (read_hold(7, held), read_end(end.lsn, POST, posted)) == (hold, end)
    assert (found.held, found.account, found.party) == (hold.amount, hold.account, hold.party)
    assert (found.lsn, found.call, found.time_us) == (end.lsn, end.call, end.time_us)
    assert (found.amount, found.overrun, found.reason) == (end.amount, end.overrun, end.reason)
    assert (found.lots, found.from_lots, found.posted) == (end.lots, any(end.lots), True)
    assert tuple(read_budgets(found.budgets())) == hold.budgets
    assert found.factor == read_hold_note(hold.note).factor
    assert found.price_version == price_version_of(hold, end)
    assert call_of(posted) == call_of(write_end(read_end(1, VOID, write_end(_void(end))))) == end.call


@given(st.lists(st.tuples(holds, ends, st.booleans()), max_size=4))
def test_of_a_charge_is_kept_what_its_entries_say(made: list[tuple[Hold, End, bool]]) -> None:
    charges, rows, moves = [], [], []
    for leaf, (hold, end, whole) in enumerate(made, 3):
        held, posted = write_hold(hold), write_end(end)
        charges.append(one := Charge(end.lsn, held, posted))
        assert not one.whole, "nobody has said so"
        one.whole = whole
        rows += [end.call, end.lsn, hold.party, hold.account, end.amount, leaf, held, posted]
        moves += [end.lsn, hold.account, end.amount, end.time_us, end.call] if whole else []
    assert rows_of(charges, 3) == (rows, moves)


def _void(end: End) -> End:
    return End(1, end.call, end.time_us, 0, 0, (0,) * 4, end.reason, end.note, False)


@given(st.data())
def test_bytes_that_end_too_soon_are_refused(data: st.DataObject) -> None:
    held, posted = write_hold(HOLD), write_end(END)
    for cut_held, cut_posted in (
        (data.draw(st.integers(0, len(held) - 1)), len(posted)),
        (len(held), data.draw(st.integers(0, len(posted) - 1))),
    ):
        with pytest.raises(ValueError):
            Charge(9, held[:cut_held], posted[:cut_posted])
    with pytest.raises(ValueError):
        call_of(posted[: data.draw(st.integers(0, 7))])


@given(st.binary(max_size=60), st.booleans())
def test_a_note_is_read_or_refused(note: bytes, of_hold: bool) -> None:
    hold = Hold(7, 1, 2, 3, 4, 5, 6, (0,) * 4, (), note if of_hold else HOLD.note)
    end = END if of_hold else End(9, 7, 8, 2, 0, (0,) * 4, 0, note, True)
    try:
        found = Charge(9, write_hold(hold), write_end(end))
        said = (read_hold_note(hold.note).factor, read_end_note(end.note).price_version or 1)
    except ValueError:
        # What is not asked for may be anything: it is passed over here, and refused by who reads all of it.
        return
    assert found.factor == said[0]
    assert of_hold or found.price_version == said[1]


def test_the_note_of_an_older_hold_says_no_factor() -> None:
    note = bytes([0x95, 0xA1, *b"r", 0xA1, *b"m", 1, 2, 3])
    hold = Hold(7, 1, 2, 3, 4, 5, 6, (0,) * 4, (), note)
    assert Charge(9, write_hold(hold), write_end(END)).factor == read_hold_note(note).factor == 10_000
