"""Accounts and budgets in exact integers: what is free, what a hold takes, what its end gives back.

Owns their layout and arithmetic. It must not know of calls, keys, the journal or the lock: whoever uses it
holds that.
Units: microKPT; ledger time in microseconds since 1970, UTC. No sum here can leave 63 bits: an amount is at
most 2**53 - 1, and what a budget counts at most 2**62.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from kpgate._fast.commit cimport Hand, load, plan

cdef extern from *:
    """
    #define KP_AMOUNT_MAX (((int64_t)1 << 53) - 1)
    #define KP_CAP_NONE ((int64_t)1 << 62)
    #define KP_DAY_US ((int64_t)86400 * 1000000)
    """
    const int64_t AMOUNT_MAX "KP_AMOUNT_MAX"
    const int64_t CAP_NONE "KP_CAP_NONE"
    const int64_t DAY_US "KP_DAY_US"

cdef enum:
    LOTS = 4
    OF_DAY = 0
    OF_MONTH = 1
    OF_TOTAL = 2
    PERIODS = 3
    BUDGETS_MAX = 4
    # What fits into an entry with all else.
    NOTE_MAX = 3072
    # What an entry changes of the journal: tail, reserved, and the last ledger time.
    JOURNAL_WORDS = 3

# What was decided.
cdef enum:
    IS_DONE = 0
    IS_NO_CREDIT = 1
    IS_TIED = 2
    IS_OVER_BUDGET = 3
    IS_BUDGET_TIED = 4
    IS_NO_ROOM = 5
    IS_FAILED = 6
    IS_FULL = 7
    IS_BUSY = 8
    IS_STALE = 9
    IS_CHANGED = 10
    IS_OVER_RANGE = 11
    IS_LOT_TAKEN = 12
    IS_NOT_DUE = 13
    IS_GONE = 14


cdef struct Lot:
    # Amount and held 0: no lot stands here, whatever its expiry says. What was clawed back may leave less than calls
    # hold: of what they used they are then charged the rest to the plain balance.
    uint64_t amount
    uint64_t held
    uint64_t expiry_us


cdef struct Account:
    # Lots are part of the balance, and what they hold is part of what is held.
    uint64_t balance
    uint64_t held
    uint64_t floor
    uint64_t last_lsn
    Lot lots[LOTS]


cdef struct Cell:
    uint64_t window
    uint64_t used
    uint64_t held


cdef struct Budget:
    uint64_t caps[PERIODS]
    # Of windows n and n + 1: a cell is window number mod 2.
    Cell days[2]
    Cell months[2]
    Cell total
    # Whose it is, where its number is given to one after the other: what a purse must say to hold in it.
    uint64_t tag
    uint64_t gap[5]


cdef struct Windows:
    uint32_t day
    uint32_t month


cdef struct Funds:
    # What may be held now, and what is held that would be free if it came back.
    int64_t free
    int64_t held


cdef struct Asked:
    # What is to be held, and where.
    Account *account
    Budget *budgets[BUDGETS_MAX]
    int count
    int64_t amount
    int64_t ledger_us
    Windows windows


cdef struct Shortage:
    # What is left, of the account or of the budget that has no room: which of those asked, and of which
    # period. at -1: all of them have.
    Funds left
    int at
    int period
    bint spent


cdef inline uint64_t entry_bytes(uint64_t body_bytes) noexcept nogil:
    return (24 + body_bytes + 15) & ~<uint64_t>15


cdef inline Windows windows_at(int64_t ledger_us) noexcept nogil:
    """The day and the month of a time: days since 1970, and months since the year 0.

    Source: days to civil, H. Hinnant, "chrono-compatible low-level date algorithms".
    """
    cdef Windows windows
    cdef int64_t day = ledger_us // DAY_US
    cdef int64_t shifted = day + 719_468
    cdef int64_t era = shifted // 146_097
    cdef int64_t day_of_era = shifted - era * 146_097
    cdef int64_t year_of_era = (
        day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096
    ) // 365
    cdef int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    # Months from March on.
    cdef int64_t month = (5 * day_of_year + 2) // 153
    windows.day = <uint32_t>day
    windows.month = <uint32_t>((era * 400 + year_of_era) * 12 + month + 2)
    return windows


cdef inline int64_t lot_held(Lot *lot) noexcept nogil:
    """What calls hold of a lot, and it has."""
    cdef uint64_t amount = load(&lot.amount)
    cdef uint64_t held = load(&lot.held)
    return <int64_t>(held if held < amount else amount)


cdef inline Funds funds_of(Account *at, int64_t ledger_us) noexcept nogil:
    """What an account may still hold, without what stands in expired lots."""
    cdef Funds funds
    cdef int64_t amount, held
    cdef int i
    funds.held = <int64_t>load(&at.held)
    funds.free = <int64_t>load(&at.balance) - funds.held - <int64_t>load(&at.floor)
    for i in range(LOTS):
        amount = <int64_t>load(&at.lots[i].amount)
        if amount and <int64_t>load(&at.lots[i].expiry_us) <= ledger_us:
            held = lot_held(&at.lots[i])
            funds.free -= amount - held
            funds.held -= held
    return funds


cdef inline void spread(Account *at, int64_t amount, const int64_t *room, int64_t *taken) noexcept nogil:
    """Spread an amount over the lots that have room, earliest expiry first: the rest is not of any lot."""
    cdef uint64_t expiry_us
    cdef uint64_t first_us = 0
    cdef int first, i
    for i in range(LOTS):
        taken[i] = 0
    while amount > 0:
        first = -1
        for i in range(LOTS):
            expiry_us = load(&at.lots[i].expiry_us)
            if room[i] > 0 and taken[i] == 0 and (first < 0 or expiry_us < first_us):
                first = i
                first_us = expiry_us
        if first < 0:
            return
        taken[first] = amount if amount < room[first] else room[first]
        amount -= taken[first]


cdef inline void take_lots(Account *at, int64_t amount, int64_t ledger_us, int64_t *taken) noexcept nogil:
    """What a hold takes from each lot."""
    cdef int64_t room[LOTS]
    cdef int i
    for i in range(LOTS):
        room[i] = 0
        if <int64_t>load(&at.lots[i].expiry_us) > ledger_us:
            room[i] = <int64_t>(load(&at.lots[i].amount) - load(&at.lots[i].held))
    spread(at, amount, room, taken)


cdef inline void charge_lots(Account *at, int64_t amount, const int64_t *taken, int64_t *spent) noexcept nogil:
    """What a charge takes from each lot, of what its hold took there and is there still."""
    cdef int64_t room[LOTS]
    cdef int64_t left
    cdef int i
    for i in range(LOTS):
        left = <int64_t>load(&at.lots[i].amount)
        room[i] = taken[i] if taken[i] < left else left
    spread(at, amount, room, spent)


cdef inline int64_t room_of(Asked *asked) noexcept nogil:
    """The most that can be held where as much is not: what is free of the account, and in all periods of budgets."""
    cdef int64_t most = funds_of(asked.account, asked.ledger_us).free
    cdef int64_t cap, left
    cdef uint64_t window
    cdef Cell *cell
    cdef int i, period
    for i in range(asked.count):
        for period in range(PERIODS):
            cap = <int64_t>load(&asked.budgets[i].caps[period])
            cell = cell_of(asked.budgets[i], &asked.windows, period)
            window = window_of(&asked.windows, period)
            left = cap if cap else CAP_NONE
            if load(&cell.window) == window:
                left -= <int64_t>(load(&cell.used) + load(&cell.held))
            elif load(&cell.held) != 0 or load(&cell.window) > window:
                return 0
            if left < most:
                most = left
    return most


cdef inline void plan_hold(
    Hand *hand, Account *at, int64_t amount, const int64_t *taken, uint64_t lsn
) noexcept nogil:
    cdef int i
    plan(hand, &at.held, load(&at.held) + <uint64_t>amount)
    plan(hand, &at.last_lsn, lsn)
    for i in range(LOTS):
        plan(hand, &at.lots[i].held, load(&at.lots[i].held) + <uint64_t>taken[i])


cdef inline void plan_charge(
    Hand *hand, Account *at, int64_t amount, const int64_t *taken, int64_t charged, const int64_t *spent,
    uint64_t lsn
) noexcept nogil:
    """Give back all that a hold took, less what is charged."""
    cdef int i
    plan(hand, &at.balance, load(&at.balance) - <uint64_t>charged)
    plan(hand, &at.held, load(&at.held) - <uint64_t>amount)
    plan(hand, &at.last_lsn, lsn)
    for i in range(LOTS):
        plan(hand, &at.lots[i].amount, load(&at.lots[i].amount) - <uint64_t>spent[i])
        plan(hand, &at.lots[i].held, load(&at.lots[i].held) - <uint64_t>taken[i])


cdef inline uint64_t window_of(Windows *windows, int period) noexcept nogil:
    if period == OF_DAY:
        return windows.day
    return windows.month if period == OF_MONTH else 0


cdef inline Cell *cell_of(Budget *at, Windows *windows, int period) noexcept nogil:
    if period == OF_DAY:
        return &at.days[windows.day & 1]
    return &at.months[windows.month & 1] if period == OF_MONTH else &at.total


cdef inline bint has_room(
    Budget *budget, Windows *windows, int64_t amount, int at, Shortage *short
) noexcept nogil:
    """Whether a budget has room in all its periods; if not, the first is noted that waiting does not help."""
    cdef int64_t cap, used, held
    cdef uint64_t window
    cdef Cell *cell
    cdef int period
    cdef bint pinned, spent
    cdef bint room = True
    for period in range(PERIODS):
        cell = cell_of(budget, windows, period)
        window = window_of(windows, period)
        cap = <int64_t>load(&budget.caps[period])
        if cap == 0:
            cap = CAP_NONE
        used = held = 0
        pinned = False
        if load(&cell.window) == window:
            used = <int64_t>load(&cell.used)
            held = <int64_t>load(&cell.held)
        else:
            # Taken over only when its window is past and nothing is held in it.
            pinned = load(&cell.held) != 0 or load(&cell.window) > window
        spent = used + amount > cap
        if not spent and not pinned and used + held + amount <= cap:
            continue
        room = False
        if short.at < 0 or (spent and not short.spent):
            short.at = at
            short.period = period
            short.spent = spent
            short.left.free = 0 if pinned else cap - used - held
            short.left.held = held
    return room


cdef inline int judge(Asked *asked, Shortage *short) noexcept nogil:
    """Whether the account has so much, and then every budget."""
    cdef Funds funds = funds_of(asked.account, asked.ledger_us)
    cdef int i
    short.at = -1
    short.spent = False
    short.left = funds
    if funds.free < asked.amount:
        return IS_TIED if funds.free + funds.held >= asked.amount else IS_NO_CREDIT
    for i in range(asked.count):
        has_room(asked.budgets[i], &asked.windows, asked.amount, i, short)
    if short.at >= 0:
        return IS_OVER_BUDGET if short.spent else IS_BUDGET_TIED
    short.left.free -= asked.amount
    short.left.held += asked.amount
    return IS_DONE


cdef inline void plan_budget(Hand *hand, Budget *budget, Windows *windows, int64_t amount) noexcept nogil:
    """Hold an amount in all periods of a budget. Order: it has room."""
    cdef uint64_t window
    cdef Cell *cell
    cdef int period
    for period in range(PERIODS):
        cell = cell_of(budget, windows, period)
        window = window_of(windows, period)
        if load(&cell.window) == window:
            plan(hand, &cell.held, load(&cell.held) + <uint64_t>amount)
        else:
            plan(hand, &cell.window, window)
            plan(hand, &cell.used, 0)
            plan(hand, &cell.held, <uint64_t>amount)


cdef inline void plan_budget_charge(
    Hand *hand, Budget *budget, Windows *windows, int64_t amount, int64_t charged
) noexcept nogil:
    """Give back what a hold took, less what is charged, in the hold's windows, which it kept."""
    cdef Cell *cell
    cdef int period
    for period in range(PERIODS):
        cell = cell_of(budget, windows, period)
        plan(hand, &cell.used, load(&cell.used) + <uint64_t>charged)
        plan(hand, &cell.held, load(&cell.held) - <uint64_t>amount)
