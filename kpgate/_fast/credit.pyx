# cython: auto_pickle=False, autotestdict=False
"""Every hold is decided here, under the node's one lock: account, budgets and journal room, or nothing.

Owns open holds, and what they change of accounts and budgets (all else there is `_fast.account`'s). It must
not know prices, notes or what a party is, nor write to a disk: that is flushing the journal.
Source: docs/decisions/0001-one-lock.md.
"""

from typing import NamedTuple

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

from kpgate._fast cimport commit as ground
from kpgate._fast.commit cimport (
    AREA_ACCOUNT,
    AREA_BUDGET,
    AREA_HOLD,
    REDO_MAX,
    Area,
    Hand,
    Life,
    Region,
    Seat,
    load,
    load_acquire,
    plan,
    store,
    store_bare,
)
from kpgate._fast.journal cimport Journal
from kpgate._fast.purse cimport (
    AMOUNT_MAX, BUDGETS_MAX, DAY_US, IS_BUDGET_TIED, IS_BUSY, IS_CHANGED, IS_DONE, IS_FAILED, IS_FULL,
    IS_GONE, IS_NO_CREDIT, IS_NO_ROOM, IS_OVER_BUDGET, IS_OVER_RANGE, IS_STALE, IS_TIED, JOURNAL_WORDS, LOTS,
    NOTE_MAX, OF_DAY, OF_MONTH, OF_TOTAL, PERIODS, Account, Asked, Budget, Shortage, Windows, entry_bytes,
    charge_lots, judge, plan_budget, plan_budget_charge, plan_charge, plan_hold, room_of, take_lots, windows_at,
)

cdef enum:
    SLOT_BITS = 24

# What one commit may store at most: see test_no_commit_stores_more_words_than_a_redo_list_holds.
cdef enum:
    HOLD_WORDS = JOURNAL_WORDS + 2 + LOTS + 3 + BUDGETS_MAX * (3 * PERIODS - 2)
    END_WORDS = JOURNAL_WORDS + 3 + 2 * LOTS + 4 + BUDGETS_MAX * 2 * PERIODS

DONE = IS_DONE
NO_CREDIT = IS_NO_CREDIT
TIED = IS_TIED
OVER_BUDGET = IS_OVER_BUDGET
BUDGET_TIED = IS_BUDGET_TIED
NO_ROOM = IS_NO_ROOM
FAILED = IS_FAILED
FULL = IS_FULL
BUSY = IS_BUSY
STALE = IS_STALE
CHANGED = IS_CHANGED
OVER_RANGE = IS_OVER_RANGE
GONE = IS_GONE

DAY = OF_DAY
MONTH = OF_MONTH
TOTAL = OF_TOTAL

NOTE_BYTES_MAX = NOTE_MAX
END_NOTE_BYTES_MAX = END_NOTE_MAX

cdef enum:
    REASON_DIED = 1
    REASON_EXPIRED = 2
    KIND_HOLD = 4
    KIND_EXTEND = 5
    KIND_METER = 6
    KIND_POST = 7
    KIND_VOID = 8

if sizeof(Hold) != 128 or sizeof(Slab) != sizeof(Hold):
    raise ImportError("the layout is not the one that is written down")
if sizeof(HoldBody) != 72 or sizeof(PostBody) != 72 or sizeof(BudgetBody) != 16:
    raise ImportError("an entry is not the one that is written down")
if <int>HOLD_WORDS > <int>REDO_MAX or <int>END_WORDS > <int>REDO_MAX:
    raise ImportError("a commit may be larger than a redo list")


class HoldState(NamedTuple):
    """An open hold. Units: microKPT. Shape: call is its id, metered what its owner says was used so far."""

    call: int
    seat: int
    account: int
    amount: int
    is_sent: bool
    metered: int


@cython.final
cdef class Purse:
    """What a caller spends from: one account, and every budget that counts it. Made once and kept.

    Shape: numbers in their areas; `budgets` at most 4, each once, `tags` what stands in them, 0 where none is
    said; party and key are noted in the journal.
    Errors: ValueError for what cannot be.
    """

    def __cinit__(self, account, tuple budgets=(), *, party=0, key=0, tuple tags=()):
        cdef int i
        if len(budgets) > BUDGETS_MAX or len(set(budgets)) != len(budgets) or len(tags) > len(budgets):
            raise ValueError(f"budgets are at most {BUDGETS_MAX}, each once, with no more tags than there are")
        for number in (account, party, key, *budgets, *tags):
            if not 0 <= number < NUMBERS_MAX:
                raise ValueError(f"not a number: {number}")
        self.account, self.party, self.key, self.budgets = account, party, key, budgets
        self.count = len(budgets)
        for i in range(self.count):
            self.numbers[i] = budgets[i]
            self.tags[i] = tags[i] if i < len(tags) else 0

    def __repr__(self):
        return f"<Purse {self.account} {self.budgets}>"


@cython.final
cdef class Decision:
    """What was decided, filled by each call. One may be kept and used again.

    Shape: `call` is the call's id and `handle` its place in the region. On refusal `free` is what could be
    held now, and `held` what would be free as well if all that is held came back; of the account, or of
    `budget` in `period` (DAY, MONTH, TOTAL), which are -1 when it is the account or nothing that is short.
    After an extension `more` is what it added.
    Units: microKPT. `free` may be below 0. After a hold or an extension both are the account's.
    """

    def __cinit__(self):
        self.clear()

    cdef void clear(self) noexcept:
        self.call = self.handle = self.free = self.held = self.more = 0
        self.budget = self.period = -1


@cython.final
cdef class Credit:
    """Holds, charges and gives back the credit of calls, for one seat.

    `life_us` is how long a hold may stay open before `end_expired` ends it. Every decision answers an int:
    DONE, or NO_CREDIT, TIED (enough but for what other calls hold), OVER_BUDGET, BUDGET_TIED (the same of a
    budget), NO_ROOM (in the journal), FAILED (the journal did, for good), FULL (no place for another hold),
    BUSY (the lock was not to be had within the seat's patience: try again off the event loop), STALE (that
    call has ended), CHANGED (something was published after `generation`), OVER_RANGE (an extension beyond
    any amount), GONE (a budget is another's by now). Whatever is not DONE has changed nothing.
    Units: microKPT, 1 to 2**53 - 1; `now_us` is CLOCK_MONOTONIC in microseconds.
    """

    def __cinit__(self, Region region not None, Seat seat not None, Journal journal not None,
                  int64_t life_us):
        cdef Area *area
        cdef uint64_t at = 0
        if seat.region is not region:
            raise ValueError("the seat is of another region")
        self.region = region
        self.seat = seat
        self.journal = journal
        self.life_us = life_us
        area = region.area(AREA_ACCOUNT)
        self.accounts = <Account *>(<char *>region.head + area.offset_bytes)
        self.accounts_count = area.count
        fits = area.stride_bytes == sizeof(Account)
        area = region.area(AREA_BUDGET)
        self.budgets = <Budget *>(<char *>region.head + area.offset_bytes)
        self.budgets_count = area.count
        fits = fits and area.stride_bytes == sizeof(Budget)
        area = region.area(AREA_HOLD)
        self.slab = <Slab *>(<char *>region.head + area.offset_bytes)
        self.holds = <Hold *>self.slab
        self.slots = area.count
        if not fits or area.stride_bytes != sizeof(Hold):
            raise ValueError("the region was made for another build")
        # Every page of the slab faults here, not under the lock.
        while at < area.stride_bytes * area.count:
            load(<uint64_t *>(<char *>self.slab + at))
            at += 4096

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

    cdef Hold *find(self, int64_t handle) noexcept:
        """The open hold of a handle; NULL when it has ended."""
        cdef uint64_t slot = <uint64_t>handle & ((1 << SLOT_BITS) - 1)
        cdef uint64_t generation = (<uint64_t>handle >> SLOT_BITS) - 1
        if handle <= 0 or not 0 < slot < self.slots:
            return NULL
        if load(&self.holds[slot].state) != (generation << 1 | 1):
            return NULL
        return self.holds + slot

    cdef void warm(self, Hold *hold) noexcept:
        """Touch what a hold's end changes. Order: before the lock is taken, so it may read anything."""
        cdef uint64_t word = load(&hold.account)
        cdef uint64_t number
        cdef int i
        if (word & NUMBERS_MAX) < self.accounts_count:
            load(&self.accounts[word & NUMBERS_MAX].balance)
        for i in range(BUDGETS_MAX):
            number = number_at(hold.budgets, i)
            if number < self.budgets_count:
                load(&self.budgets[number].caps[0])
                load(&self.budgets[number].total.held)

    cdef int refuse(self, int code) noexcept:
        self.seat.give()
        return code

    cdef int refuse_stale(self) noexcept:
        """Count an end or an extension that came too late."""
        cdef Hand *hand = &self.seat.hand
        plan(hand, &self.slab.stale, load(&self.slab.stale) + 1)
        self.finish()
        return IS_STALE

    cdef void finish(self) noexcept:
        ground.commit(&self.seat.hand)
        self.seat.give()

    cdef int room(self, uint64_t body_bytes, uint64_t reserve_bytes) noexcept:
        """Whether the journal takes an entry and leaves so much for its end. Order: under the lock."""
        if load(&self.journal.control.failed):
            return IS_FAILED
        return IS_DONE if self.journal.has_room(entry_bytes(body_bytes), reserve_bytes) else IS_NO_ROOM

    cdef int decide(self, Asked *asked, Decision decision) noexcept:
        """Whether the account and every budget have so much; if not, what is short is noted."""
        cdef Shortage short
        cdef int code = judge(asked, &short)
        if short.at >= 0:
            decision.budget = <int64_t>(asked.budgets[short.at] - self.budgets)
            decision.period = short.period
        decision.free = short.left.free
        decision.held = short.left.held
        return code

    cdef Hold *open_hold(self, int64_t *handle) noexcept:
        """Plan a new open hold; NULL when there is no place. Order: the caller fills the rest."""
        cdef Hand *hand = &self.seat.hand
        cdef uint64_t slot = load(&self.slab.free)
        cdef uint64_t state
        cdef Hold *hold
        if slot:
            hold = self.holds + slot
            plan(hand, &self.slab.free, load(&hold.next))
        else:
            slot = load(&self.slab.high) + 1
            if slot >= self.slots:
                return NULL
            hold = self.holds + slot
            plan(hand, &self.slab.high, slot)
        state = load(&hold.state)
        plan(hand, &hold.state, state | 1)
        plan(hand, &self.slab.open, load(&self.slab.open) + 1)
        handle[0] = <int64_t>((((state >> 1) + 1) << SLOT_BITS) | slot)
        return hold

    cpdef int hold(self, int64_t now_us, uint64_t generation, Purse purse, int64_t amount, bytes note,
                   Decision decision) except -1:
        """Hold an amount for a call: in its account, in every budget, and room in the journal for its end.

        Shape: `generation` is the region's when the caller was looked up; `note` goes into the journal as is.
        `decision.call` is the call's id from now on.
        Errors: ValueError for an amount or a note that cannot be; IndexError for a number beyond its area.
        """
        cdef Hand *hand = &self.seat.hand
        cdef Journal journal = self.journal
        cdef Asked asked
        cdef const char *note_at
        cdef uint64_t note_bytes, body_bytes
        cdef HoldBody body
        cdef BudgetBody part
        cdef Hold *hold
        cdef int64_t ledger_us, handle
        cdef uint64_t lsn
        cdef int i, code
        if purse is None or note is None or decision is None:
            raise TypeError("a hold needs a purse, a note and a decision")
        note_at = PyBytes_AS_STRING(note)
        note_bytes = PyBytes_GET_SIZE(note)
        body_bytes = sizeof(HoldBody) + purse.count * sizeof(BudgetBody) + note_bytes
        decision.clear()
        if not 0 < amount <= AMOUNT_MAX or note_bytes > NOTE_MAX:
            raise ValueError(f"cannot hold {amount} microKPT with {note_bytes} bytes of note")
        asked.account = self.account_of(purse.account)
        asked.count = purse.count
        for i in range(purse.count):
            asked.budgets[i] = self.budget_of(purse.numbers[i])
        asked.amount = amount
        if not self.seat.take():
            return IS_BUSY
        if load(&hand.head.generation) != generation:
            return self.refuse(IS_CHANGED)
        for i in range(purse.count):
            if load(&asked.budgets[i].tag) != purse.tags[i]:
                return self.refuse(IS_GONE)
        code = self.room(body_bytes, end_bytes())
        if code != IS_DONE:
            return self.refuse(code)
        ledger_us = journal.ledger_us(now_us)
        asked.ledger_us = ledger_us
        if ledger_us >= self.until_us or ledger_us < self.until_us - DAY_US:
            self.windows = windows_at(ledger_us)
            self.until_us = (ledger_us // DAY_US + 1) * DAY_US
        asked.windows = self.windows
        code = self.decide(&asked, decision)
        if code != IS_DONE:
            return self.refuse(code)
        hold = self.open_hold(&handle)
        if hold == NULL:
            return self.refuse(IS_FULL)
        take_lots(asked.account, amount, ledger_us, body.lots)
        body.time_us = <uint64_t>ledger_us
        body.amount = amount
        body.account, body.party, body.key = purse.account, purse.party, purse.key
        body.seat = self.seat.index
        body.budgets_count = purse.count
        body.note_bytes = <uint32_t>note_bytes
        lsn = journal.begin(hand, KIND_HOLD, body_bytes)
        journal.put(&body, sizeof(body))
        part.day, part.month = asked.windows.day, asked.windows.month
        for i in range(purse.count):
            part.budget, part.tag = purse.numbers[i], <uint32_t>purse.tags[i]
            journal.put(&part, sizeof(part))
            plan_budget(hand, asked.budgets[i], &asked.windows, amount)
        journal.put(note_at, note_bytes)
        journal.end(hand)
        journal.plan_reserved(hand, <int64_t>end_bytes())
        plan_hold(hand, asked.account, amount, body.lots, lsn)
        # Nobody reads a free hold: it is filled directly.
        store(hand, &hold.seat, (<uint64_t>self.seat.index << 32) | self.seat.incarnation)
        store(hand, &hold.call, lsn)
        store(hand, &hold.expires_us, <uint64_t>(now_us + self.life_us))
        store(hand, &hold.account, <uint64_t>purse.count << 32 | purse.account)
        store(hand, &hold.amount, <uint64_t>amount)
        for i in range(LOTS):
            store(hand, &hold.lots[i], <uint64_t>body.lots[i])
        store(hand, &hold.windows, <uint64_t>asked.windows.day << 32 | asked.windows.month)
        for i in range(0, purse.count, 2):
            store(hand, &hold.budgets[i >> 1], purse.numbers[i]
                  | (<uint64_t>purse.numbers[i + 1] << 32 if i + 1 < purse.count else 0))
        store(hand, &hold.progress, tag(load(&hold.state)))
        self.finish()
        decision.call = <int64_t>lsn
        decision.handle = handle
        return IS_DONE

    cpdef int extend(self, int64_t now_us, uint64_t generation, int64_t handle, int64_t amount,
                     Decision decision=None, int64_t least=0) except -1:
        """Hold more for an open call, in the windows of its hold; with `least`, where there is less, all there is if it
        is that: `decision.more` says how much. Errors: ValueError for no amount, or one below `least`.
        """
        cdef Hand *hand = &self.seat.hand
        cdef Journal journal = self.journal
        cdef Hold *hold = self.find(handle)
        cdef Asked asked
        cdef ExtendBody body
        cdef uint64_t lsn
        cdef int i, code
        if decision is None:
            decision = Decision.__new__(Decision)
        decision.clear()
        if not 0 < amount <= AMOUNT_MAX or not 0 <= least <= amount:
            raise ValueError(f"cannot hold {amount} microKPT more, nor {least}")
        if hold != NULL:
            self.warm(hold)
        if not self.seat.take():
            return IS_BUSY
        hold = self.find(handle)
        if hold == NULL:
            return self.refuse_stale()
        if load(&hand.head.generation) != generation:
            return self.refuse(IS_CHANGED)
        code = self.room(sizeof(body), 0)
        if code != IS_DONE:
            return self.refuse(code)
        if <int64_t>load(&hold.amount) + amount > AMOUNT_MAX:
            if not least or <int64_t>load(&hold.amount) + least > AMOUNT_MAX:
                return self.refuse(IS_OVER_RANGE)
            amount = AMOUNT_MAX - <int64_t>load(&hold.amount)
        asked.account = self.accounts + (load(&hold.account) & NUMBERS_MAX)
        asked.count = <int>(load(&hold.account) >> 32)
        for i in range(asked.count):
            asked.budgets[i] = self.budgets + number_at(hold.budgets, i)
        asked.amount = amount
        asked.ledger_us = journal.ledger_us(now_us)
        asked.windows = windows_in(load(&hold.windows))
        code = self.decide(&asked, decision)
        if code != IS_DONE and least and room_of(&asked) >= least:
            asked.amount = amount = room_of(&asked)
            decision.budget = decision.period = -1
            code = self.decide(&asked, decision)
        if code != IS_DONE:
            return self.refuse(code)
        decision.more = amount
        take_lots(asked.account, amount, asked.ledger_us, body.lots)
        body.call = load(&hold.call)
        body.time_us = <uint64_t>asked.ledger_us
        body.amount = amount
        lsn = journal.begin(hand, KIND_EXTEND, sizeof(body))
        journal.put(&body, sizeof(body))
        journal.end(hand)
        plan_hold(hand, asked.account, amount, body.lots, lsn)
        for i in range(asked.count):
            plan_budget(hand, asked.budgets[i], &asked.windows, amount)
        plan(hand, &hold.amount, load(&hold.amount) + <uint64_t>amount)
        for i in range(LOTS):
            plan(hand, &hold.lots[i], load(&hold.lots[i]) + <uint64_t>body.lots[i])
        decision.call = <int64_t>load(&hold.call)
        decision.handle = handle
        self.finish()
        return IS_DONE

    cpdef bint sent(self, int64_t handle) except -1:
        """Say that the provider is about to be asked, without the lock. False: that call has ended."""
        cdef Hold *hold = self.find(handle)
        if hold == NULL:
            return False
        self.note_progress(hold, handle, 0)
        return True

    cpdef bint meter(self, int64_t handle, int64_t amount) except -1:
        """Say what a call has used so far, without the lock. False: that call has ended.

        Order: only its owner, which has sent it; what is said never falls.
        Errors: ValueError for what is no amount.
        """
        cdef Hold *hold = self.find(handle)
        if not 0 <= amount <= AMOUNT_MAX:
            raise ValueError(f"cannot meter {amount} microKPT")
        if hold == NULL:
            return False
        self.note_progress(hold, handle, amount)
        return True

    cdef void note_progress(self, Hold *hold, int64_t handle, int64_t amount) noexcept:
        """One store in the handle's own generation: should it come too late, it is nothing to others."""
        cdef uint64_t metered = load(&hold.progress) & AMOUNT_MASK
        cdef uint64_t state = (<uint64_t>handle >> SLOT_BITS) * 2 - 2
        if <uint64_t>amount > metered:
            metered = <uint64_t>amount
        store_bare(&hold.progress, tag(state) | SENT | metered)

    def record_meter(self, int64_t now_us, int64_t handle):
        """Have the journal know what a call has used so far: what a start after a crash of all charges."""
        cdef Hand *hand = &self.seat.hand
        cdef Hold *hold
        cdef MeterBody body
        cdef int code
        if not self.seat.take():
            return IS_BUSY
        hold = self.find(handle)
        if hold == NULL:
            return self.refuse_stale()
        code = self.room(sizeof(body), 0)
        if code != IS_DONE:
            return self.refuse(code)
        body.time_us = <uint64_t>self.journal.ledger_us(now_us)
        body.call = load(&hold.call)
        body.amount = <int64_t>(load(&hold.progress) & AMOUNT_MASK)
        self.journal.begin(hand, KIND_METER, sizeof(body))
        self.journal.put(&body, sizeof(body))
        self.journal.end(hand)
        self.finish()
        return IS_DONE

    cdef void plan_end(self, Hold *hold, int64_t ledger_us, Ending *ending) noexcept:
        """Plan a hold's end: its entry, what is charged, all else given back, the hold freed."""
        cdef Hand *hand = &self.seat.hand
        cdef Journal journal = self.journal
        cdef Account *account = self.accounts + (load(&hold.account) & NUMBERS_MAX)
        cdef Windows at = windows_in(load(&hold.windows))
        cdef int64_t amount = <int64_t>load(&hold.amount)
        cdef int64_t taken[LOTS]
        cdef PostBody post
        cdef VoidBody nothing
        cdef uint64_t lsn
        cdef int i
        memset(&post, 0, sizeof(post))
        for i in range(LOTS):
            taken[i] = <int64_t>load(&hold.lots[i])
        if ending.actual >= 0:
            post.call = load(&hold.call)
            post.time_us = <uint64_t>ledger_us
            post.charged = ending.actual if ending.actual < amount else amount
            post.overrun = ending.actual - post.charged
            post.reason, post.note_bytes = ending.reason, ending.note_bytes
            charge_lots(account, post.charged, taken, post.lots)
            lsn = journal.begin(hand, KIND_POST, sizeof(post) + ending.note_bytes)
            journal.put(&post, sizeof(post))
        else:
            nothing.call = load(&hold.call)
            nothing.time_us = <uint64_t>ledger_us
            nothing.reason, nothing.note_bytes = ending.reason, ending.note_bytes
            lsn = journal.begin(hand, KIND_VOID, sizeof(nothing) + ending.note_bytes)
            journal.put(&nothing, sizeof(nothing))
        journal.put(ending.note, ending.note_bytes)
        journal.end(hand)
        journal.plan_reserved(hand, -<int64_t>end_bytes())
        plan_charge(hand, account, amount, taken, post.charged, post.lots, lsn)
        for i in range(<int>(load(&hold.account) >> 32)):
            plan_budget_charge(hand, self.budgets + number_at(hold.budgets, i), &at, amount, post.charged)
        plan(hand, &hold.state, load(&hold.state) + 1)
        plan(hand, &hold.next, load(&self.slab.free))
        plan(hand, &self.slab.free, <uint64_t>(hold - self.holds))
        plan(hand, &self.slab.open, load(&self.slab.open) - 1)

    cdef int end(self, int64_t now_us, int64_t handle, Ending *ending) noexcept:
        cdef Hold *hold = self.find(handle)
        if hold != NULL:
            self.warm(hold)
        if not self.seat.take():
            return IS_BUSY
        hold = self.find(handle)
        if hold == NULL:
            return self.refuse_stale()
        self.plan_end(hold, self.journal.ledger_us(now_us), ending)
        self.finish()
        return IS_DONE

    cpdef int post(self, int64_t now_us, int64_t handle, int64_t actual, uint32_t reason, bytes note) except -1:
        """Charge what a call used, at most what it holds, give back the rest, and free the hold.

        Shape: what it used above its hold is noted in the journal as overrun.
        Errors: ValueError for a use below 0, or a note above END_NOTE_BYTES_MAX, for which no room was kept.
        """
        cdef Ending ending
        if actual < 0:
            raise ValueError(f"cannot charge {actual} microKPT")
        ending.actual = actual
        self.describe(&ending, reason, note)
        return self.end(now_us, handle, &ending)

    cpdef int void(self, int64_t now_us, int64_t handle, uint32_t reason, bytes note) except -1:
        """Give back all that a call holds, and free the hold. Errors: as `post`."""
        cdef Ending ending
        ending.actual = -1
        self.describe(&ending, reason, note)
        return self.end(now_us, handle, &ending)

    cdef int describe(self, Ending *ending, uint32_t reason, bytes note) except -1:
        if note is None:
            raise TypeError("an end needs a note")
        if PyBytes_GET_SIZE(note) > END_NOTE_MAX:
            raise ValueError(f"a note of {len(note)} bytes at an end")
        ending.reason = reason
        ending.note = PyBytes_AS_STRING(note)
        ending.note_bytes = <uint32_t>PyBytes_GET_SIZE(note)
        return 0

    cdef int reap(self, int64_t now_us, uint64_t slot, uint64_t state, int reason, bint void_sent) noexcept:
        """End the hold in a slot, if it is still that one: 1 when ended, -1 when busy."""
        cdef Hold *hold = self.holds + slot
        cdef uint64_t progress
        cdef Ending ending
        self.warm(hold)
        if not self.seat.take():
            return -1
        if load(&hold.state) != state:
            self.seat.give()
            return 0
        ending.actual = -1
        ending.reason, ending.note, ending.note_bytes = reason, b"", 0
        progress = load(&hold.progress)
        if not void_sent and progress & SENT and progress >> 54 == tag(state) >> 54:
            ending.actual = <int64_t>(progress & AMOUNT_MASK)
            # A hold cannot be charged for more than it is: that would not be an overrun that anybody saw.
            if ending.actual > <int64_t>load(&hold.amount):
                ending.actual = <int64_t>load(&hold.amount)
        self.plan_end(hold, self.journal.ledger_us(now_us), &ending)
        self.finish()
        return 1

    def end_dead(self, int64_t now_us, Life life not None, bint void_sent=False):
        """End the holds that a dead seat left: the right to do so is holding its life lock.

        Rule: what was never sent is given back; what was sent is charged as far as its owner had metered it,
        or given back too (`void_sent`). Reason 1, no note. One commit a hold, while others decide; killed
        half-way, the next one finds what is left. With one's own life lock, what its last owner left.
        Shape: how many were ended; -1 when the lock was busy: call again.
        Errors: ValueError when the life lock was given back.
        """
        cdef uint64_t own = (<uint64_t>self.seat.index << 32) | self.seat.incarnation
        cdef uint64_t slot, state, seat
        cdef int64_t total = 0
        cdef int ended
        cdef bint healed
        if life.descriptor < 0:
            raise ValueError("that life lock is not held")
        if life.index == self.seat.index and life is not self.seat.life:
            raise ValueError("that seat is one's own")
        # What it was doing when it died is finished first; that it is dead is proved by the lock we hold.
        self.seat.known_dead = life.index + 1
        healed = self.seat.heal()
        self.seat.known_dead = 0
        if not healed:
            return -1
        for slot in range(1, load(&self.slab.high) + 1):
            state = load_acquire(&self.holds[slot].state)
            seat = load(&self.holds[slot].seat)
            if not state & 1 or seat >> 32 != life.index or seat == own:
                continue
            ended = self.reap(now_us, slot, state, REASON_DIED, void_sent)
            if ended < 0:
                return -1
            total += ended
        return total

    def end_expired(self, int64_t now_us, bint void_sent=False):
        """End holds open for longer than their opener's `life_us`, whoever's they are.

        Rule: as those of the dead, reason 2.
        Shape: how many were ended; -1 when the lock was busy: call again.
        """
        cdef uint64_t slot, state
        cdef int64_t total = 0
        cdef int ended
        for slot in range(1, load(&self.slab.high) + 1):
            state = load_acquire(&self.holds[slot].state)
            if not state & 1 or <int64_t>load(&self.holds[slot].expires_us) > now_us:
                continue
            ended = self.reap(now_us, slot, state, REASON_EXPIRED, void_sent)
            if ended < 0:
                return -1
            total += ended
        return total

    def seats_with_holds(self):
        """The seats that own open holds: those whose life locks a reaper tries."""
        cdef uint64_t slot
        found = set()
        for slot in range(1, load(&self.slab.high) + 1):
            if load(&self.holds[slot].state) & 1:
                found.add(load(&self.holds[slot].seat) >> 32)
        return found

    def holds_open(self):
        """The open holds, each whole, though others come and go meanwhile."""
        cdef uint64_t slot, state, progress
        cdef Hold *hold
        found = []
        for slot in range(1, load(&self.slab.high) + 1):
            hold = self.holds + slot
            state = load_acquire(&hold.state)
            if not state & 1:
                continue
            progress = load(&hold.progress)
            one = HoldState(load(&hold.call), load(&hold.seat) >> 32, load(&hold.account) & NUMBERS_MAX,
                            load(&hold.amount), bool(progress & SENT), progress & AMOUNT_MASK)
            if load_acquire(&hold.state) == state:
                found.append(one)
        return found

    def open_holds(self):
        """How many holds are open on the node."""
        return load(&self.slab.open)

    def stale_holds(self):
        """How many ends and extensions came for holds that had ended already."""
        return load(&self.slab.stale)

    @property
    def stored_words(self):
        """How many words this seat's last commit stored: for tests and benchmarks."""
        return self.seat.hand.planned


def areas(accounts=1 << 20, budgets=1 << 20, holds=1 << 15):
    """The areas a region needs for credits, the journal's apart.

    Shape: for `Region.create`. Units: `holds` is all open holds of a node.
    """
    if not 1 <= holds < (1 << SLOT_BITS) - 1:
        raise ValueError(f"holds: from 1 to {(1 << SLOT_BITS) - 2}, not {holds}")
    return {
        AREA_ACCOUNT: (sizeof(Account), accounts),
        AREA_BUDGET: (sizeof(Budget), budgets),
        # The first is the slab's own.
        AREA_HOLD: (sizeof(Hold), holds + 1),
    }
