"""Credits: the compiled rules against the plain ones, and each promise by name."""

from pathlib import Path

import pytest

from kpgate._fast.account import windows
from kpgate._fast.credit import (
    BUDGET_TIED,
    CHANGED,
    DAY,
    DONE,
    END_NOTE_BYTES_MAX,
    FAILED,
    FULL,
    GONE,
    MONTH,
    NO_CREDIT,
    NO_ROOM,
    NOTE_BYTES_MAX,
    OVER_BUDGET,
    OVER_RANGE,
    STALE,
    TIED,
    TOTAL,
    Decision,
    Purse,
)
from tests.kit.bank import ANCHOR_US, LIFE_US, Bank, Teller
from tests.kit.oracle import credit as plain

DAY_US = 86_400_000_000
AMOUNT_MAX = 2**53 - 1
HOLDS = 4


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    return Bank(tmp_path)


@pytest.fixture
def teller(bank: Bank) -> Teller:
    return bank.sit(0)


def held(teller: Teller, amount: int, purse: Purse, now_us: int = 0) -> tuple[int, Decision]:
    decision = Decision()
    return teller.credit.hold(now_us, teller.seat.region.generation, purse, amount, b"", decision), decision


def balance(teller: Teller, number: int) -> tuple[int, int]:
    seen = teller.accounts.account(0, number)
    assert seen is not None
    return seen.balance, seen.held


def test_a_refusal_says_whether_waiting_helps(teller: Teller) -> None:
    teller.accounts.load_account(1, 100, 0)
    assert held(teller, 60, Purse(1))[0] == DONE
    code, decision = held(teller, 41, Purse(1))
    assert (code, decision.free, decision.held, decision.budget) == (TIED, 40, 60, -1)
    assert held(teller, 101, Purse(1))[0] == NO_CREDIT


def test_a_budget_refuses_as_hard_as_a_balance_and_says_which_it_is(teller: Teller) -> None:
    teller.accounts.load_account(1, 1000, 0)
    teller.accounts.load_budget(3, (0, 0, 500))
    teller.accounts.load_budget(4, (0, 200, 0))
    purse = Purse(1, (3, 4))
    assert held(teller, 150, purse)[0] == DONE
    code, decision = held(teller, 100, purse)
    assert (code, decision.budget, decision.period) == (BUDGET_TIED, 4, MONTH)
    assert (decision.free, decision.held) == (50, 150)
    code, decision = held(teller, 501, purse)
    assert (code, decision.budget, decision.period) == (OVER_BUDGET, 3, TOTAL)


def test_a_budget_that_is_another_s_by_now_is_not_held_in(teller: Teller) -> None:
    teller.accounts.load_account(1, 1000, 0)
    teller.accounts.load_budget(3, (0, 0, 500), tag=7)
    teller.accounts.load_budget(4, (0, 0, 500))
    old, both = Purse(1, (3,), tags=(7,)), Purse(1, (4, 3), tags=(0, 7))
    assert held(teller, 10, Purse(1, (3,)))[0] == GONE == held(teller, 10, Purse(1, (4,), tags=(7,)))[0]
    code, open_still = held(teller, 10, both)
    assert code == DONE
    with pytest.raises(ValueError, match="something is held"):
        teller.accounts.load_budget(3, (0, 0, 500), tag=8)
    assert teller.credit.extend(0, teller.seat.region.generation, open_still.handle, 5) == DONE
    assert teller.credit.post(0, open_still.handle, 12, 0, b"") == DONE
    teller.accounts.load_budget(3, (0, 0, 500), tag=8)
    assert held(teller, 10, old)[0] == GONE == held(teller, 10, both)[0]
    assert balance(teller, 1) == (988, 0), "what is refused has changed nothing, of the first budget neither"
    code, decision = held(teller, 10, Purse(1, (3,), tags=(8,)))
    assert code == DONE and teller.credit.void(0, decision.handle, 0, b"") == DONE
    seen = teller.accounts.budget(3)
    assert seen is not None and (seen.tag, seen.total.used, seen.total.held) == (8, 0, 0)
    with pytest.raises(ValueError, match="budgets"):
        Purse(1, (3,), tags=(7, 8))
    with pytest.raises(ValueError, match="not a number: -1"):
        Purse(1, (3,), tags=(-1,))


def test_a_call_belongs_to_the_window_of_its_hold(teller: Teller) -> None:
    day, month = windows(ANCHOR_US)
    teller.accounts.load_account(1, 1000, 0)
    teller.accounts.load_budget(3, (100, 0, 0), days=((day, 40),), months=((month, 40),), total_used=90)
    _, decision = held(teller, 60, Purse(1, (3,)))
    assert held(teller, 1, Purse(1, (3,)))[0] == BUDGET_TIED
    # The next day has all its budget, and the extension is still of the day before.
    assert held(teller, 100, Purse(1, (3,)), DAY_US)[0] == DONE
    assert teller.credit.extend(DAY_US, 0, decision.handle, 1) == BUDGET_TIED
    assert teller.credit.post(DAY_US, decision.handle, 50, 0, b"") == DONE
    seen = teller.accounts.budget(3)
    assert seen is not None
    assert seen.days[day % 2] == (day, 90, 0)
    assert seen.days[(day + 1) % 2] == (day + 1, 0, 100)
    # It was the last day of a year.
    assert seen.months[month % 2] == (month, 90, 0)
    assert seen.months[(month + 1) % 2] == (month + 1, 0, 100)
    assert seen.total == (0, 140, 100)


def test_a_window_with_an_open_hold_is_never_taken_over(teller: Teller) -> None:
    teller.accounts.load_account(1, 1000, 0)
    _, decision = held(teller, 60, Purse(1, (3,)))
    code, refused = held(teller, 1, Purse(1, (3,)), 2 * DAY_US)
    assert (code, refused.budget, refused.period) == (BUDGET_TIED, 3, DAY)
    teller.credit.void(2 * DAY_US, decision.handle, 0, b"")
    assert held(teller, 1, Purse(1, (3,)), 2 * DAY_US)[0] == DONE


def test_a_cap_lowered_below_its_use_only_stops_later_holds(teller: Teller) -> None:
    teller.accounts.load_account(1, 1000, 0)
    teller.accounts.load_budget(3, (500, 0, 0))
    _, decision = held(teller, 400, Purse(1, (3,)))
    assert teller.accounts.set_caps(3, (100, 0, 0)) == DONE
    assert held(teller, 1, Purse(1, (3,)))[0] == BUDGET_TIED
    assert teller.credit.post(0, decision.handle, 400, 0, b"") == DONE
    code, refused = held(teller, 1, Purse(1, (3,)))
    assert (code, refused.free) == (OVER_BUDGET, -300)


def test_more_than_was_held_is_charged_to_nobody_but_noted(bank: Bank, teller: Teller) -> None:
    teller.accounts.load_account(1, 100, -50)
    _, decision = held(teller, 150, Purse(1))
    assert teller.credit.post(0, decision.handle, 190, 8, b"note") == DONE
    assert balance(teller, 1) == (-50, 0)
    entry = plain.decode(*bank.entries()[-1])
    assert entry is not None
    assert (entry.amount, entry.overrun, entry.reason, entry.note) == (150, 40, 8, b"note")


def test_lots_are_spent_earliest_expiry_first_and_then_the_rest(bank: Bank, teller: Teller) -> None:
    lots = ((10, ANCHOR_US + 3), (20, ANCHOR_US + 2), (5, ANCHOR_US))
    teller.accounts.load_account(1, 65, 0, lots)
    assert held(teller, 61, Purse(1))[0] == NO_CREDIT
    _, decision = held(teller, 45, Purse(1))
    assert teller.credit.post(9, decision.handle, 23, 0, b"") == DONE
    entries = [plain.decode(*entry) for entry in bank.entries()]
    assert [entry.lots for entry in entries if entry] == [(10, 20, 0, 0), (3, 20, 0, 0)]
    seen = teller.accounts.account(9, 1)
    assert seen is not None
    # Ten of the plain balance, and what is left of lots that have expired is not free.
    assert (seen.balance, seen.free) == (42, 30)


def test_a_late_end_has_no_effect_and_is_counted(bank: Bank, teller: Teller) -> None:
    teller.accounts.load_account(1, 100, 0)
    _, first = held(teller, 10, Purse(1))
    assert teller.credit.post(0, first.handle, 10, 0, b"") == DONE
    _, second = held(teller, 10, Purse(1))
    before = bank.state()
    for handle in (first.handle, 0, -1, 12345, 1 << 62):
        assert handle != second.handle
        assert teller.credit.post(0, handle, 5, 0, b"") == STALE
        assert teller.credit.extend(0, 0, handle, 5) == STALE
        assert not teller.credit.sent(handle)
        assert not teller.credit.meter(handle, 5)
    assert bank.state() == before
    assert teller.credit.stale_holds() == 10


def test_what_a_late_owner_meters_is_not_the_next_calls(teller: Teller) -> None:
    teller.accounts.load_account(1, 100, 0)
    _, first = held(teller, 10, Purse(1))
    teller.credit.meter(first.handle, 7)
    teller.credit.void(0, first.handle, 0, b"")
    held(teller, 10, Purse(1))
    assert [(one.is_sent, one.metered) for one in teller.credit.holds_open()] == [(False, 0)]


def test_an_expired_hold_is_charged_as_far_as_it_was_metered(bank: Bank, teller: Teller) -> None:
    teller.accounts.load_account(1, 100, 0)
    unsent, sent = held(teller, 10, Purse(1))[1], held(teller, 20, Purse(1))[1]
    assert teller.credit.sent(sent.handle)
    assert teller.credit.meter(sent.handle, 6)
    assert bank.clerk.credit.end_expired(LIFE_US - 1) == 0
    assert bank.clerk.credit.end_expired(LIFE_US) == 2
    assert balance(teller, 1) == (94, 0)
    assert teller.credit.post(LIFE_US, unsent.handle, 10, 0, b"") == STALE
    ends = [plain.decode(*entry) for entry in bank.entries()][-2:]
    assert [(end.kind, end.amount, end.reason) for end in ends if end] == [(8, 0, 2), (7, 6, 2)]


def test_a_full_slab_is_an_answer_of_its_own(tmp_path: Path) -> None:
    bank = Bank(tmp_path, holds=2)
    teller = bank.sit(0)
    teller.accounts.load_account(1, 100, 0)
    handles = [held(teller, 10, Purse(1))[1].handle for _ in range(2)]
    before = bank.state()
    assert held(teller, 10, Purse(1))[0] == FULL
    assert bank.state() == before
    teller.credit.void(0, handles[0], 0, b"")
    assert held(teller, 10, Purse(1))[0] == DONE


def test_whatever_was_published_since_the_key_was_looked_up_stops_a_hold(teller: Teller) -> None:
    teller.accounts.load_account(1, 100, 0)
    purse, decision = Purse(1), Decision()
    assert teller.credit.hold(0, 0, purse, 10, b"", decision) == DONE
    assert teller.seat.publish(0, 7)
    assert teller.credit.hold(0, 0, purse, 10, b"", Decision()) == CHANGED
    assert teller.credit.extend(0, 0, decision.handle, 10) == CHANGED
    assert teller.credit.extend(0, 1, decision.handle, 10) == DONE


def test_what_is_open_can_always_end_whatever_the_disk_says(tmp_path: Path) -> None:
    bank = Bank(tmp_path, holds=500, ring_bytes=1 << 16)
    teller = bank.sit(0)
    teller.accounts.load_account(1, AMOUNT_MAX, 0)
    handles = []
    while (answer := held(teller, 10, Purse(1)))[0] == DONE:
        handles.append(answer[1].handle)
    assert answer[0] == NO_ROOM
    assert len(handles) > 20
    while (code := teller.credit.extend(0, 0, handles[0], 1)) == DONE:
        pass
    assert code == NO_ROOM
    teller.journal.fail()
    assert held(teller, 10, Purse(1))[0] == FAILED
    note = bytes(END_NOTE_BYTES_MAX)
    assert {teller.credit.post(0, handle, 10, 0, note) for handle in handles} == {DONE}
    assert (teller.journal.reserved, teller.credit.open_holds()) == (0, 0)
    # Nothing that no file has was written over.
    assert teller.journal.tail - teller.journal.written <= 1 << 16
    assert teller.journal.tail <= teller.journal.prepared


@pytest.mark.parametrize(
    ("balance", "cap", "more"),
    [
        (500, 0, 40),
        (93, 0, 33),
        (72, 0, 12),
        (71, 0, 0),
        (500, 95, 35),
        (500, 72, 12),
        (500, 71, 0),
        (80, 90, 20),
    ],
)
def test_an_extension_takes_what_there_is_as_long_as_that_is_enough(
    balance: int, cap: int, more: int, teller: Teller
) -> None:
    teller.accounts.load_account(1, balance, 0)
    teller.accounts.load_budget(3, (0, 0, cap))
    _, decision = held(teller, 60, Purse(1, (3,)))
    answer = Decision()
    code = teller.credit.extend(0, 0, decision.handle, 40, answer, 12)
    assert (code == DONE, answer.more) == (more > 0, more)
    (one,) = teller.credit.holds_open()
    assert one.amount == 60 + more
    assert teller.credit.post(0, decision.handle, 1_000, 0, b"") == DONE
    seen = teller.accounts.account(0, 1)
    assert seen is not None and seen.balance == balance - 60 - more


@pytest.mark.parametrize("amount", [0, -1, AMOUNT_MAX + 1, 2**63 - 1, -(2**63)])
def test_what_is_no_amount_is_refused_before_anything_else(amount: int, bank: Bank, teller: Teller) -> None:
    before = bank.state()
    with pytest.raises(ValueError, match="hold"):
        teller.credit.hold(0, 0, Purse(1), amount, b"", Decision())
    with pytest.raises(ValueError, match="hold"):
        teller.credit.extend(0, 0, 5, amount)
    if amount:
        with pytest.raises(ValueError, match="charge"):
            teller.credit.post(0, 5, min(amount, -amount), 0, b"")
    assert bank.state() == before


def test_the_largest_hold_can_grow_no_further(teller: Teller) -> None:
    teller.accounts.load_account(1, AMOUNT_MAX, -AMOUNT_MAX)
    code, decision = held(teller, AMOUNT_MAX, Purse(1, (0, 1, 2, 3)))
    assert code == DONE
    assert teller.credit.extend(0, 0, decision.handle, 1) == OVER_RANGE
    assert held(teller, AMOUNT_MAX, Purse(1, (0, 1, 2, 3)))[0] == DONE
    assert held(teller, 1, Purse(1))[0] == TIED


def test_numbers_and_notes_that_cannot_be_are_refused(teller: Teller) -> None:
    for purse in (Purse(16), Purse(1, (16,))):
        with pytest.raises(IndexError):
            held(teller, 1, purse)
    for account, budgets in ((-1, ()), (2**32, ()), (1, (2, 2)), (1, (1, 2, 3, 4, 5))):
        with pytest.raises(ValueError, match=r"number|budgets"):
            Purse(account, budgets)
    with pytest.raises(ValueError, match="note"):
        teller.credit.hold(0, 0, Purse(1), 1, bytes(NOTE_BYTES_MAX + 1), Decision())
    with pytest.raises(ValueError, match="note"):
        teller.credit.void(0, 5, 0, bytes(END_NOTE_BYTES_MAX + 1))
    # The largest there is fits.
    teller.accounts.load_account(1, 100, 0)
    assert teller.credit.hold(0, 0, Purse(1, (1, 2, 3, 4)), 1, bytes(NOTE_BYTES_MAX), Decision()) == DONE


def test_no_commit_stores_more_words_than_a_redo_list_holds(teller: Teller) -> None:
    expiries = [ANCHOR_US + 50 * DAY_US + n for n in range(4)]
    teller.accounts.load_account(1, 100, 0, tuple((10, us) for us in expiries))
    purse = Purse(1, (1, 2, 3, 4))
    _, first = held(teller, 1, purse)
    teller.credit.post(0, first.handle, 1, 0, b"")
    # New windows, every lot, and places of the journal that change each time.
    code, decision = held(teller, 60, purse, 40 * DAY_US)
    words = [teller.credit.stored_words]
    assert code == DONE
    assert teller.credit.extend(41 * DAY_US, 0, decision.handle, 10) == DONE
    words.append(teller.credit.stored_words)
    assert teller.credit.post(42 * DAY_US, decision.handle, 65, 0, b"") == DONE
    words.append(teller.credit.stored_words)
    assert words == [40, 17, 41]
