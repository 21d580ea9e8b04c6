# cython: auto_pickle=False, autotestdict=False
"""Accounts and budgets as the clerk changes and reads them: each change one commit, a transfer also an entry.

Owns loading, floors, caps, transfers and lots that expire. It must not know of calls and their holds (they
are `_fast.credit`'s), nor who may transfer what.
Source: docs/decisions/0001-one-lock.md.
"""

from typing import NamedTuple

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

from kpgate._fast cimport commit as ground
from kpgate._fast.commit cimport AREA_ACCOUNT, AREA_BUDGET, REDO_MAX, Area, Hand, Region, Seat, load, plan
from kpgate._fast.journal cimport Journal
from kpgate._fast.purse cimport (
    AMOUNT_MAX,
    IS_BUSY,
    IS_DONE,
    IS_FAILED,
    IS_LOT_TAKEN,
    IS_NO_CREDIT,
    IS_NO_ROOM,
    IS_NOT_DUE,
    IS_OVER_RANGE,
    IS_TIED,
    JOURNAL_WORDS,
    LOTS,
    NOTE_MAX,
    PERIODS,
    Account,
    Budget,
    Funds,
    Lot,
    entry_bytes,
    funds_of,
    lot_held,
    spread,
    windows_at,
)

cdef extern from *:
    """
    #define KP_PLAIN 0xFFFFFFFFu
    #define KP_ANYWHERE 0xFFFFFFFEu
    #define KP_NEVER_US ((uint64_t)INT64_MAX)
    """
    const uint32_t PLAIN_SLOT "KP_PLAIN"
    const uint32_t ANYWHERE_SLOT "KP_ANYWHERE"
    const uint64_t NEVER_US "KP_NEVER_US"

cdef enum:
    LEGS_MAX = 12
    # Where one of them names no place, for it may become as many as there are: of each lot, and of the plain balance.
    SPLIT_MAX = 8
    MADE_MAX = SPLIT_MAX * (LOTS + 1)
    TRANSFER_WORDS = JOURNAL_WORDS + 4 * LEGS_MAX
    SPLIT_WORDS = JOURNAL_WORDS + (2 + LOTS) * SPLIT_MAX
    KIND_TRANSFER = 9

DONE = IS_DONE
NO_CREDIT = IS_NO_CREDIT
TIED = IS_TIED
NO_ROOM = IS_NO_ROOM
FAILED = IS_FAILED
BUSY = IS_BUSY
OVER_RANGE = IS_OVER_RANGE
LOT_TAKEN = IS_LOT_TAKEN
NOT_DUE = IS_NOT_DUE

PLAIN = PLAIN_SLOT
ANYWHERE = ANYWHERE_SLOT
NEVER = NEVER_US


cdef struct TransferBody:
    uint64_t time_us
    uint32_t legs_count
    uint32_t note_bytes


cdef struct Leg:
    uint32_t account
    uint32_t slot
    int64_t delta
    uint64_t expiry_us


cdef struct Draft:
    # A private copy of an account, which the legs of a transfer change. Stored by the commit alone.
    Account *at
    Account now
    bint debited
    bint plain_debited


if sizeof(Account) != 128 or sizeof(Budget) != 192 or sizeof(Leg) != 24:
    raise ImportError("the layout is not the one that is written down")
if <int>TRANSFER_WORDS > <int>REDO_MAX or <int>SPLIT_WORDS > <int>REDO_MAX:
    raise ImportError("a commit may be larger than a redo list")


class LotState(NamedTuple):
    """A lot of an account. Units: microKPT, microseconds since 1970."""

    amount: int
    held: int
    expiry_us: int


class AccountState(NamedTuple):
    """An account, read whole. Units: microKPT. Shape: lots are part of balance and of held."""

    balance: int
    held: int
    free: int
    floor: int
    lots: tuple
    last_lsn: int


class CellState(NamedTuple):
    """What was used and is held in one window of a budget. Units: microKPT."""

    window: int
    used: int
    held: int


class BudgetState(NamedTuple):
    """A budget, read whole. Shape: caps by DAY, MONTH, TOTAL, 0 for none; windows by number mod 2; whose by `tag`."""

    caps: tuple
    days: tuple
    months: tuple
    total: CellState
    tag: int


def windows(int64_t ledger_us):
    """The day and the month of a ledger time: days since 1970, months since the year 0.

    Errors: ValueError for a time before 1970.
    """
    if ledger_us < 0:
        raise ValueError(f"no ledger time: {ledger_us}")
    found = windows_at(ledger_us)
    return found.day, found.month


cdef int64_t amount_of(amount) except -1:
    if not 0 <= amount <= AMOUNT_MAX:
        raise ValueError(f"not an amount: {amount}")
    return amount


cdef Draft *find_draft(Draft *drafts, int *count, Account *at) noexcept:
    """The draft of an account, made at its first leg."""
    cdef int i
    for i in range(count[0]):
        if drafts[i].at == at:
            return drafts + i
    i = count[0]
    count[0] = i + 1
    drafts[i].at = at
    drafts[i].now = at[0]
    drafts[i].debited = drafts[i].plain_debited = False
    return drafts + i


cdef int64_t plain_of(Account *now) noexcept:
    """An account's balance without its lots."""
    cdef int64_t plain = <int64_t>now.balance
    cdef int i
    for i in range(LOTS):
        plain -= <int64_t>now.lots[i].amount
    return plain


cdef int64_t plain_held(Account *now) noexcept:
    cdef int64_t held = <int64_t>now.held
    cdef int i
    for i in range(LOTS):
        held -= lot_held(&now.lots[i])
    return held


cdef int split(Account *now, Leg *leg, int64_t ledger_us, Leg *made) noexcept:
    """Say a debit of no place as legs that name theirs; how many.

    Rule: first what ends when the leg says (at NEVER the plain balance), then lots, the earliest first, then the
    plain balance, whatever it has. What calls hold of a lot goes with it; a lot that has ended is not there.
    """
    cdef int64_t room[LOTS]
    cdef int64_t first[LOTS]
    cdef int64_t parts[LOTS]
    cdef int64_t left = -leg.delta
    cdef int64_t rest = left
    cdef int64_t plain
    cdef int count = 0
    cdef int i
    if leg.expiry_us == NEVER_US:
        plain = plain_of(now)
        if plain > 0:
            left -= plain if plain < left else left
    for i in range(LOTS):
        room[i] = <int64_t>now.lots[i].amount if now.lots[i].expiry_us > <uint64_t>ledger_us else 0
        first[i] = 0
        if room[i] and now.lots[i].expiry_us == leg.expiry_us:
            first[i] = left if left < room[i] else room[i]
            room[i] -= first[i]
            left -= first[i]
    spread(now, left, room, parts)
    for i in range(LOTS):
        parts[i] += first[i]
        rest -= parts[i]
        if parts[i]:
            made[count] = Leg(leg.account, i, -parts[i], 0)
            count += 1
    if rest:
        made[count] = Leg(leg.account, PLAIN_SLOT, -rest, 0)
        count += 1
    return count


cdef int move(Draft *draft, Leg *leg, bint held_too) noexcept:
    """Do one leg in a draft. `held_too`: it may take what calls hold of a lot."""
    cdef Lot *lot
    cdef int64_t amount
    draft.now.balance += <uint64_t>leg.delta
    draft.debited = draft.debited or leg.delta < 0
    if leg.slot >= LOTS:
        draft.plain_debited = draft.plain_debited or leg.delta < 0
        return IS_DONE
    lot = &draft.now.lots[leg.slot]
    if lot.amount == 0 and lot.held == 0 and leg.delta > 0:
        if leg.expiry_us == 0:
            return IS_LOT_TAKEN
        lot.expiry_us = leg.expiry_us
    elif leg.expiry_us and leg.expiry_us != lot.expiry_us:
        return IS_LOT_TAKEN
    amount = <int64_t>lot.amount + leg.delta
    if amount < 0:
        return IS_NO_CREDIT
    if leg.delta < 0 and amount < <int64_t>lot.held and not held_too:
        return IS_TIED
    lot.amount = <uint64_t>amount
    return IS_DONE


cdef int weigh(Draft *draft, int64_t ledger_us, bint forced) noexcept:
    """Whether an account may be what a draft makes of it."""
    cdef Account *now = &draft.now
    cdef int64_t balance = <int64_t>now.balance
    cdef int64_t plain = plain_of(now)
    cdef int64_t held = plain_held(now)
    cdef int64_t free = plain - held - <int64_t>now.floor
    cdef Funds funds = funds_of(now, ledger_us)
    cdef int i
    if not (-AMOUNT_MAX <= balance <= AMOUNT_MAX and -AMOUNT_MAX <= plain <= AMOUNT_MAX):
        return IS_OVER_RANGE
    for i in range(LOTS):
        if now.lots[i].amount > <uint64_t>AMOUNT_MAX:
            return IS_OVER_RANGE
    if forced or not draft.debited:
        return IS_DONE
    # Lots are for use: a debit of the plain balance leaves them alone.
    if draft.plain_debited and free < 0:
        return IS_TIED if free + held >= 0 else IS_NO_CREDIT
    if funds.free < 0:
        return IS_TIED if funds.free + funds.held >= 0 else IS_NO_CREDIT
    return IS_DONE


cdef void plan_draft(Hand *hand, Draft *draft, uint64_t lsn) noexcept:
    cdef Account *at = draft.at
    cdef int i
    plan(hand, &at.balance, draft.now.balance)
    plan(hand, &at.last_lsn, lsn)
    for i in range(LOTS):
        plan(hand, &at.lots[i].amount, draft.now.lots[i].amount)
        plan(hand, &at.lots[i].expiry_us, draft.now.lots[i].expiry_us)


@cython.final
cdef class Accounts:
    """The accounts and budgets of a node, for one seat. Only the clerk's changes them.

    Every change answers an int: DONE, or BUSY (the lock was not to be had within the seat's patience); a
    transfer also NO_CREDIT, TIED (enough but for what calls hold), OVER_RANGE (more than an account can
    hold), LOT_TAKEN (another lot stands there, or none), NOT_DUE, NO_ROOM (in the journal), FAILED (the
    journal did, for good). Whatever is not DONE has changed nothing.
    Units: microKPT, to 2**53 - 1; `now_us` is CLOCK_MONOTONIC in microseconds.
    """

    cdef Seat seat
    cdef Region region
    cdef Journal journal
    cdef Account *accounts
    cdef uint64_t accounts_count
    cdef Budget *budgets
    cdef uint64_t budgets_count

    def __cinit__(self, Region region not None, Seat seat not None, Journal journal not None):
        cdef Area *area = region.area(AREA_ACCOUNT)
        fits = seat.region is region and area.stride_bytes == sizeof(Account)
        self.accounts = <Account *>(<char *>region.head + area.offset_bytes)
        self.accounts_count = area.count
        area = region.area(AREA_BUDGET)
        self.budgets = <Budget *>(<char *>region.head + area.offset_bytes)
        self.budgets_count = area.count
        if not fits or area.stride_bytes != sizeof(Budget):
            raise ValueError("the region is another's, or was made for another build")
        self.region = region
        self.seat = seat
        self.journal = journal

    cdef Account *account_of(self, uint64_t number) except NULL:
        if number >= self.accounts_count:
            raise IndexError(f"no account {number}")
        # A page that is touched for the first time faults here, not under the lock.
        load(&self.accounts[number].balance)
        return self.accounts + number

    cdef Budget *budget_of(self, uint64_t number) except NULL:
        cdef Budget *at
        if number >= self.budgets_count:
            raise IndexError(f"no budget {number}")
        at = self.budgets + number
        # It may lie across two pages.
        load(&at.caps[0])
        load(&at.total.held)
        return at

    cdef void finish(self) noexcept:
        ground.commit(&self.seat.hand)
        self.seat.give()

    @property
    def stored_words(self):
        """How many words this seat's last commit stored: for tests."""
        return self.seat.hand.planned

    def account(self, int64_t now_us, uint64_t number):
        """An account as it is now; None when the lock was busy. Errors: IndexError."""
        cdef Account *at = self.account_of(number)
        cdef Account seen
        cdef Funds funds
        if not self.seat.take():
            return None
        seen = at[0]
        funds = funds_of(at, self.journal.ledger_us(now_us))
        self.seat.give()
        lots = tuple([LotState(lot.amount, lot.held, lot.expiry_us) for lot in seen.lots])
        return AccountState(
            <int64_t>seen.balance, seen.held, funds.free, <int64_t>seen.floor, lots, seen.last_lsn
        )

    def budget(self, uint64_t number):
        """A budget as it is now; None when the lock was busy. Errors: IndexError."""
        cdef Budget *at = self.budget_of(number)
        cdef Budget seen
        if not self.seat.take():
            return None
        seen = at[0]
        self.seat.give()
        days = tuple([CellState(cell.window, cell.used, cell.held) for cell in seen.days])
        months = tuple([CellState(cell.window, cell.used, cell.held) for cell in seen.months])
        total = CellState(seen.total.window, seen.total.used, seen.total.held)
        return BudgetState((seen.caps[0], seen.caps[1], seen.caps[2]), days, months, total, seen.tag)

    def load_account(self, uint64_t number, int64_t balance, int64_t floor, tuple lots=()):
        """Set an account as the store has it. The clerk's alone, while nothing of it is held.

        Shape: `lots` is up to 4 of (amount, expiry_us), by slot; their amounts are part of the balance.
        Errors: ValueError for what cannot be, or while something is held; IndexError.
        """
        cdef Hand *hand = &self.seat.hand
        cdef Account *at = self.account_of(number)
        cdef int64_t amounts[LOTS]
        cdef uint64_t expiries_us[LOTS]
        cdef int i
        cdef int64_t plain = balance
        memset(amounts, 0, sizeof(amounts))
        memset(expiries_us, 0, sizeof(expiries_us))
        if len(lots) > LOTS or not -AMOUNT_MAX <= balance <= AMOUNT_MAX or not -AMOUNT_MAX <= floor <= 0:
            raise ValueError(f"account {number}: cannot be {balance} with floor {floor} and {len(lots)} lots")
        for i, (amount, expiry_us) in enumerate(lots):
            amounts[i], expiries_us[i] = amount_of(amount), expiry_us
            plain -= amounts[i]
        if plain < -AMOUNT_MAX:
            raise ValueError(f"account {number}: {balance} with lots of more")
        if not self.seat.take():
            return IS_BUSY
        if load(&at.held):
            self.seat.give()
            raise ValueError(f"account {number}: something is held")
        plan(hand, &at.balance, <uint64_t>balance)
        plan(hand, &at.floor, <uint64_t>floor)
        for i in range(LOTS):
            plan(hand, &at.lots[i].amount, <uint64_t>amounts[i])
            plan(hand, &at.lots[i].expiry_us, expiries_us[i])
        self.finish()
        return IS_DONE

    def set_floor(self, uint64_t number, int64_t floor):
        """Set how far below 0 an account may go: a floor of 0 or less. What is held stays.

        Errors: ValueError.
        """
        cdef Account *at = self.account_of(number)
        if not -AMOUNT_MAX <= floor <= 0:
            raise ValueError(f"not a floor: {floor}")
        if not self.seat.take():
            return IS_BUSY
        plan(&self.seat.hand, &at.floor, <uint64_t>floor)
        self.finish()
        return IS_DONE

    def load_budget(self, uint64_t number, tuple caps, tuple days=(), tuple months=(), total_used=0,
                    uint64_t tag=0):
        """Set a budget as the store has it. The clerk's alone, while nothing is held in it.

        Shape: caps by DAY, MONTH, TOTAL, 0 for none; `days` and `months` are (window number, used), at most
        the current window and the one before; a purse must say `tag` to hold in it from now on.
        Errors: ValueError for what cannot be, or while something is held; IndexError.
        """
        cdef Hand *hand = &self.seat.hand
        cdef Budget *at = self.budget_of(number)
        cdef Budget wanted
        cdef int i
        memset(&wanted, 0, sizeof(wanted))
        for i in range(PERIODS):
            wanted.caps[i] = amount_of(caps[i])
        for window, used in days:
            wanted.days[window & 1].window, wanted.days[window & 1].used = window, used
        for window, used in months:
            wanted.months[window & 1].window, wanted.months[window & 1].used = window, used
        wanted.total.used = total_used
        wanted.tag = tag
        if not self.seat.take():
            return IS_BUSY
        if load(&at.total.held):
            self.seat.give()
            raise ValueError(f"budget {number}: something is held")
        for i in range(<int>(sizeof(Budget) / 8)):
            plan(hand, <uint64_t *>at + i, (<uint64_t *>&wanted)[i])
        self.finish()
        return IS_DONE

    def set_caps(self, uint64_t number, tuple caps):
        """Set a budget's caps, by DAY, MONTH, TOTAL; 0 for none. What is used and held stays.

        Errors: ValueError.
        """
        cdef Budget *at = self.budget_of(number)
        cdef int64_t wanted[PERIODS]
        cdef int i
        for i in range(PERIODS):
            wanted[i] = amount_of(caps[i])
        if not self.seat.take():
            return IS_BUSY
        for i in range(PERIODS):
            plan(&self.seat.hand, &at.caps[i], <uint64_t>wanted[i])
        self.finish()
        return IS_DONE

    cdef int gather_legs(self, tuple legs, Leg *found, bint forced) except -1:
        """Line up the legs of a transfer, and touch their accounts."""
        cdef int count = 0
        most = SPLIT_MAX if any([leg[1] == ANYWHERE for leg in legs]) else LEGS_MAX
        if len(legs) > most:
            raise ValueError(f"a transfer has at most {LEGS_MAX} legs, {SPLIT_MAX} where one names no place")
        for account, slot, delta, expiry_us in legs:
            self.account_of(account)
            named = 0 <= slot < LOTS or (slot == PLAIN and expiry_us == 0)
            if not (named or (slot == ANYWHERE and forced and delta < 0)) or expiry_us < 0:
                raise ValueError(f"no lot {slot} until {expiry_us}")
            if not -AMOUNT_MAX <= delta <= AMOUNT_MAX or delta == 0:
                raise ValueError(f"cannot transfer {delta} microKPT")
            found[count] = Leg(account, slot, delta, expiry_us)
            count += 1
        return count

    def transfer(self, int64_t now_us, tuple legs not None, bint forced, bytes note not None):
        """Change accounts as a transfer's legs say: all of them, in one commit with one entry, or none.

        Rule: a debit takes what is free: of the plain balance down to the floor, or of the lot it names.
        `forced` (clawback, adjust) may put the plain balance below, and takes what calls hold of a lot as well. A
        forced debit from ANYWHERE is of what ends at its expiry (NEVER: the plain balance), then of what ends
        first; the entry says of what it was. A credit to a lot names an empty one, or its expiry.
        Shape: legs are (account, slot, PLAIN or ANYWHERE, delta, expiry_us or 0), at most 12, also none: then it
        is the entry alone. The answer is (code, LSN of the entry, 0 when refused).
        Errors: ValueError for legs that cannot be; IndexError.
        """
        cdef Leg found[LEGS_MAX]
        cdef int count = self.gather_legs(legs, found, forced)
        if PyBytes_GET_SIZE(note) > NOTE_MAX:
            raise ValueError(f"a note of {len(note)} bytes")
        return self.carry(now_us, found, count, forced, note, False)

    def expire(self, int64_t now_us, uint64_t account, int slot, int64_t amount, bytes note not None):
        """Take an amount, free, out of a lot that has expired. NOT_DUE: it has not. Otherwise as `transfer`.

        Order: read the account first; what is held there comes free with its end, and is taken later.
        """
        cdef Leg found[LEGS_MAX]
        self.gather_legs(((account, slot, -amount_of(amount), 0),), found, False)
        if slot == PLAIN or PyBytes_GET_SIZE(note) > NOTE_MAX:
            raise ValueError(f"no lot {slot}, or a note of {len(note)} bytes")
        return self.carry(now_us, found, 1, True, note, True)

    cdef tuple carry(self, int64_t now_us, Leg *legs, int count, bint forced, bytes note, bint expiring):
        cdef Hand *hand = &self.seat.hand
        cdef Journal journal = self.journal
        cdef Draft drafts[LEGS_MAX]
        cdef TransferBody body
        cdef const char *note_at = PyBytes_AS_STRING(note)
        cdef uint64_t note_bytes = PyBytes_GET_SIZE(note)
        cdef uint64_t body_bytes
        cdef uint64_t lsn = 0
        cdef int64_t ledger_us
        cdef Leg made[MADE_MAX]
        cdef Draft *draft
        cdef int drafted = 0
        cdef int total = 0
        cdef int code, i, at, parts
        if not self.seat.take():
            return IS_BUSY, 0
        ledger_us = journal.ledger_us(now_us)
        code = IS_DONE
        if load(&journal.control.failed):
            code = IS_FAILED
        if code == IS_DONE and expiring and (
            load(&self.accounts[legs[0].account].lots[legs[0].slot].expiry_us) > <uint64_t>ledger_us
        ):
            code = IS_NOT_DUE
        for i in range(count):
            if code != IS_DONE:
                break
            draft = find_draft(drafts, &drafted, self.accounts + legs[i].account)
            made[total] = legs[i]
            parts = 1
            if legs[i].slot == ANYWHERE_SLOT:
                parts = split(&draft.now, legs + i, ledger_us, made + total)
            for at in range(total, total + parts):
                if code == IS_DONE:
                    code = move(draft, made + at, forced and not expiring)
            total += parts
        for i in range(drafted):
            if code == IS_DONE:
                code = weigh(drafts + i, ledger_us, forced)
        body_bytes = sizeof(body) + total * sizeof(Leg) + note_bytes
        if code != IS_FAILED and not journal.has_room(entry_bytes(body_bytes), 0):
            code = IS_NO_ROOM
        if code != IS_DONE:
            self.seat.give()
            return code, 0
        body.time_us = <uint64_t>ledger_us
        body.legs_count, body.note_bytes = total, <uint32_t>note_bytes
        lsn = journal.begin(hand, KIND_TRANSFER, body_bytes)
        journal.put(&body, sizeof(body))
        journal.put(made, total * sizeof(Leg))
        journal.put(note_at, note_bytes)
        journal.end(hand)
        for i in range(drafted):
            plan_draft(hand, drafts + i, lsn)
        self.finish()
        return IS_DONE, lsn
