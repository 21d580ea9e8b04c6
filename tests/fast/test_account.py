"""Accounts as the clerk changes them: floors, linked legs, lots, loading; all or none."""

from pathlib import Path

import pytest

from kpgate._fast.account import (
    ANYWHERE,
    DONE,
    FAILED,
    LOT_TAKEN,
    NEVER,
    NO_CREDIT,
    NO_ROOM,
    NOT_DUE,
    OVER_RANGE,
    PLAIN,
    TIED,
    AccountState,
    windows,
)
from kpgate._fast.commit import Region
from kpgate._fast.credit import Decision, Purse, areas
from tests.kit.bank import ANCHOR_US, Bank, Teller
from tests.kit.oracle import credit as plain

AMOUNT_MAX = 2**53 - 1
LATER_US = ANCHOR_US + 1_000


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    return Bank(tmp_path)


@pytest.fixture
def clerk(bank: Bank) -> Teller:
    return bank.clerk


def seen(clerk: Teller, number: int, now_us: int = 0) -> AccountState:
    state = clerk.accounts.account(now_us, number)
    assert state is not None
    return state


def transfer(clerk: Teller, *legs: tuple[int, int, int, int], forced: bool = False, now_us: int = 0) -> int:
    return clerk.accounts.transfer(now_us, legs, forced, b"")[0]


def hold(clerk: Teller, account: int, amount: int, now_us: int = 0) -> int:
    decision = Decision()
    assert clerk.credit.hold(now_us, 0, Purse(account), amount, b"", decision) == DONE
    return decision.handle


def test_linked_legs_are_all_done_or_none(bank: Bank, clerk: Teller) -> None:
    clerk.accounts.load_account(1, 100, 0)
    before = bank.state()
    assert (
        transfer(clerk, (2, PLAIN, 60, 0), (1, PLAIN, -60, 0), (3, PLAIN, 50, 0), (1, PLAIN, -50, 0))
        == NO_CREDIT
    )
    assert bank.state() == before
    assert (
        transfer(clerk, (2, PLAIN, 60, 0), (1, PLAIN, -60, 0), (3, PLAIN, 40, 0), (1, PLAIN, -40, 0)) == DONE
    )
    assert [seen(clerk, number).balance for number in (1, 2, 3)] == [0, 60, 40]


def test_a_transfer_is_one_entry_whose_lsn_the_accounts_know(bank: Bank, clerk: Teller) -> None:
    legs = ((1, PLAIN, 5, 0), (2, 3, 7, LATER_US))
    code, lsn = clerk.accounts.transfer(9, legs, False, b"who and why")
    assert code == DONE
    assert seen(clerk, 1).last_lsn == seen(clerk, 2).last_lsn == lsn
    entry = plain.decode(*bank.entries()[-1])
    assert entry == plain.Entry(plain.TRANSFER, lsn, ANCHOR_US + 9, legs=legs, note=b"who and why")


def test_a_transfer_without_legs_is_its_entry_alone(bank: Bank, clerk: Teller) -> None:
    accounts = bank.state()[:2]
    assert transfer(clerk) == DONE
    assert bank.state()[:2] == accounts
    assert bank.entries()[-1][1] == plain.TRANSFER


def test_a_debit_takes_what_is_free_not_what_is_there(clerk: Teller) -> None:
    clerk.accounts.load_account(1, 100, -20)
    handle = hold(clerk, 1, 90)
    assert transfer(clerk, (1, PLAIN, -31, 0)) == TIED
    assert transfer(clerk, (1, PLAIN, -121, 0)) == NO_CREDIT
    assert transfer(clerk, (1, PLAIN, -30, 0)) == DONE
    assert clerk.credit.post(0, handle, 90, 0, b"") == DONE
    assert seen(clerk, 1).balance == -20


def test_only_what_is_forced_puts_free_below_its_limit_and_then_nothing_is_held(clerk: Teller) -> None:
    clerk.accounts.load_account(1, 100, 0)
    handle = hold(clerk, 1, 80)
    assert transfer(clerk, (1, PLAIN, -60, 0), forced=True) == DONE
    assert (seen(clerk, 1).balance, seen(clerk, 1).free) == (40, -40)
    assert clerk.credit.hold(0, 0, Purse(1), 1, b"", Decision()) == TIED
    # What was held was held: it is charged.
    assert clerk.credit.post(0, handle, 80, 0, b"") == DONE
    assert seen(clerk, 1).balance == -40
    assert transfer(clerk, (1, PLAIN, 30, 0)) == DONE
    assert transfer(clerk, (1, PLAIN, -1, 0)) == NO_CREDIT


def test_lots_are_for_use_and_not_for_the_plain_balance_to_give_away(clerk: Teller) -> None:
    clerk.accounts.load_account(1, 100, 0, ((70, LATER_US),))
    assert transfer(clerk, (1, PLAIN, -31, 0)) == NO_CREDIT
    assert transfer(clerk, (1, PLAIN, -30, 0)) == DONE
    assert transfer(clerk, (1, 0, -71, 0)) == NO_CREDIT
    hold(clerk, 1, 10)
    assert transfer(clerk, (1, 0, -61, 0)) == TIED
    assert transfer(clerk, (1, 0, -60, LATER_US)) == DONE
    assert seen(clerk, 1).free == 0


def test_a_lot_is_never_merged_with_one_of_another_expiry(clerk: Teller) -> None:
    assert transfer(clerk, (1, 2, 10, LATER_US)) == DONE
    assert transfer(clerk, (1, 2, 10, LATER_US + 1)) == LOT_TAKEN
    assert transfer(clerk, (1, 2, -5, LATER_US + 1)) == LOT_TAKEN
    assert transfer(clerk, (1, 1, 10, 0)) == LOT_TAKEN
    assert transfer(clerk, (1, 2, 10, LATER_US)) == DONE
    assert transfer(clerk, (1, 2, 10, 0)) == DONE
    assert seen(clerk, 1).lots[2] == (30, 0, LATER_US)
    # All spent: the place is free for another.
    handle = hold(clerk, 1, 30)
    clerk.credit.post(0, handle, 30, 0, b"")
    assert transfer(clerk, (1, 2, 10, LATER_US + 1)) == DONE


def test_what_an_expired_lot_still_holds_is_taken_when_its_call_has_ended(clerk: Teller) -> None:
    clerk.accounts.load_account(1, 100, 0, ((70, LATER_US),))
    handle = hold(clerk, 1, 50)
    assert clerk.accounts.expire(999, 1, 0, 20, b"") == (NOT_DUE, 0)
    assert seen(clerk, 1, 999).free == 50
    # Free falls with the time, not with the entry.
    assert seen(clerk, 1, 1_000).free == 30
    assert clerk.accounts.expire(1_000, 1, 0, 21, b"")[0] == TIED
    assert clerk.accounts.expire(1_000, 1, 0, 20, b"")[0] == DONE
    assert (seen(clerk, 1).balance, seen(clerk, 1).free) == (80, 30)
    assert clerk.credit.post(1_000, handle, 45, 0, b"") == DONE
    assert (seen(clerk, 1).balance, seen(clerk, 1).free) == (35, 30)
    assert clerk.accounts.expire(1_000, 1, 0, 5, b"")[0] == DONE
    assert (seen(clerk, 1).balance, seen(clerk, 1).free) == (30, 30)


def test_no_account_leaves_the_range_of_amounts(bank: Bank, clerk: Teller) -> None:
    clerk.accounts.load_account(1, AMOUNT_MAX, 0)
    clerk.accounts.load_account(2, -AMOUNT_MAX, -AMOUNT_MAX)
    before = bank.state()
    assert transfer(clerk, (1, PLAIN, 1, 0)) == OVER_RANGE
    assert transfer(clerk, (1, 0, 1, LATER_US)) == OVER_RANGE
    assert transfer(clerk, (2, PLAIN, -1, 0), forced=True) == OVER_RANGE
    assert transfer(clerk, *((3, PLAIN, AMOUNT_MAX, 0),) * 12) == OVER_RANGE
    assert bank.state() == before


@pytest.mark.parametrize(
    "leg",
    [
        (1, PLAIN, 0, 0),
        (1, PLAIN, AMOUNT_MAX + 1, 0),
        (1, PLAIN, -AMOUNT_MAX - 1, 0),
        (1, PLAIN, 5, 5),
        (1, 4, 5, 5),
        (1, -1, 5, 5),
        (1, 0, 5, -5),
        (1, ANYWHERE, -5, 0),
        (1, ANYWHERE, 5, 0),
    ],
)
def test_legs_that_cannot_be_are_refused(leg: tuple[int, int, int, int], clerk: Teller) -> None:
    with pytest.raises(ValueError, match=r"no lot|cannot transfer"):
        transfer(clerk, leg, forced=leg[2] > 0)
    with pytest.raises(ValueError, match="at most"):
        transfer(clerk, (1, ANYWHERE, -5, 0), *((1, PLAIN, 5, 0),) * 8, forced=True)


def test_numbers_beyond_their_area_are_refused(clerk: Teller) -> None:
    with pytest.raises(IndexError):
        transfer(clerk, (16, PLAIN, 1, 0))
    with pytest.raises(IndexError):
        clerk.accounts.account(0, 16)
    with pytest.raises(IndexError):
        clerk.accounts.budget(16)
    with pytest.raises(ValueError, match="legs"):
        transfer(clerk, *((1, PLAIN, 1, 0),) * 13)


def test_nothing_is_loaded_over_what_is_held(clerk: Teller) -> None:
    clerk.accounts.load_account(1, 100, 0)
    decision = Decision()
    assert clerk.credit.hold(0, 0, Purse(1, (2,)), 1, b"", decision) == DONE
    with pytest.raises(ValueError, match="held"):
        clerk.accounts.load_account(1, 100, 0)
    with pytest.raises(ValueError, match="held"):
        clerk.accounts.load_budget(2, (1, 1, 1))
    clerk.credit.void(0, decision.handle, 0, b"")
    assert clerk.accounts.load_budget(2, (1, 1, 1)) == DONE


@pytest.mark.parametrize(
    ("balance", "floor", "lots"),
    [
        (AMOUNT_MAX + 1, 0, ()),
        (0, 1, ()),
        (0, -AMOUNT_MAX - 1, ()),
        (0, 0, ((1, 1),) * 5),
        (0, 0, ((-1, 1),)),
        (-AMOUNT_MAX, 0, ((1, 1),)),
    ],
)
def test_what_cannot_be_an_account_is_refused(
    balance: int, floor: int, lots: tuple[tuple[int, int], ...], clerk: Teller
) -> None:
    with pytest.raises(ValueError, match=r"account|amount"):
        clerk.accounts.load_account(1, balance, floor, lots)


def test_a_journal_that_failed_or_is_full_takes_no_transfer(tmp_path: Path) -> None:
    clerk = Bank(tmp_path, ready=0, ring_bytes=1 << 16).clerk
    note = bytes(2_000)
    while (code := clerk.accounts.transfer(0, ((1, PLAIN, 1, 0),), False, note)[0]) == DONE:
        pass
    assert code == NO_ROOM
    clerk.journal.fail()
    assert clerk.accounts.transfer(0, (), False, b"")[0] == FAILED


def test_no_transfer_stores_more_words_than_a_redo_list_holds(clerk: Teller) -> None:
    assert transfer(clerk, *((number, number % 4, 7, LATER_US) for number in range(12)), now_us=5) == DONE
    assert clerk.accounts.stored_words == 2 + 4 * 12


def test_a_debit_of_no_place_says_in_its_entry_of_what_it_was_and_fits_into_one(
    bank: Bank, clerk: Teller
) -> None:
    for number in range(8):
        lots = tuple((10, LATER_US + i) for i in range(4))
        clerk.accounts.load_account(number, 60, 0, lots)
    legs = tuple((number, ANYWHERE, -55, (0, LATER_US + 3, NEVER)[number % 3]) for number in range(8))
    assert clerk.accounts.transfer(5, legs, True, bytes(3072))[0] == DONE
    assert clerk.accounts.stored_words == 2 + 8 * (2 + 4) <= 64
    (entry,) = (plain.decode(*entry) for entry in bank.entries() if entry[1] == plain.TRANSFER)
    assert entry is not None and len(entry.legs) == 8 * 5
    # The plain balance, taken first, has 20 and gives them.
    assert [leg for leg in entry.legs if leg[0] == 0] == [(0, i, -10, 0) for i in range(4)] + [
        (0, PLAIN, -15, 0)
    ]
    assert [leg[2] for leg in entry.legs if leg[0] == 2] == [-10, -10, -10, -5, -20]


def test_what_is_taken_of_a_lot_is_not_charged_to_it_again(clerk: Teller) -> None:
    clerk.accounts.load_account(1, 100, 0, ((100, LATER_US),))
    handle = hold(clerk, 1, 80)
    assert transfer(clerk, (1, 0, -70, 0)) == TIED
    assert transfer(clerk, (1, ANYWHERE, -70, 0), forced=True) == DONE
    assert seen(clerk, 1).lots[0] == (30, 80, LATER_US) and seen(clerk, 1).free == -50
    # Its place is not another's as long as a call holds of it.
    assert transfer(clerk, (1, 0, -30, 0), forced=True) == DONE
    assert transfer(clerk, (1, 0, 5, LATER_US + 9)) == LOT_TAKEN
    assert transfer(clerk, (1, 0, 20, LATER_US)) == DONE
    assert clerk.credit.post(1, handle, 50, 0, b"") == DONE
    assert seen(clerk, 1)[:3] == (-30, 0, -30) and seen(clerk, 1).lots[0].amount == 0
    assert seen(clerk, 1, 2_000).free == -30


def test_a_time_before_1970_has_no_windows() -> None:
    with pytest.raises(ValueError, match="time"):
        windows(-1)


def test_a_million_accounts_take_memory_only_where_touched(tmp_path: Path) -> None:
    region = Region.create(areas(), 4)
    assert region.size_bytes > 300_000_000
    assert Path(region.path).stat().st_blocks * 512 < 1_000_000
