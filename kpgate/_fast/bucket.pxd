"""Token buckets and places in exact integers: how one limit is read, tried, taken and given back.

Owns the layout of a limit and its arithmetic. It must not know of calls, candidates or the lock: whoever uses
it holds that.
Units: a level is a whole number of token x microsecond, so nothing is ever rounded towards more.
"""

cimport cython
from libc.stdint cimport int64_t, uint64_t

from kpgate._fast.commit cimport Hand, load, plan

cdef extern from *:
    """
    typedef __int128 kp_wide;
    #define KP_UNITS_MAX ((int64_t)1 << 40)
    #define KP_WINDOW_US_MAX ((int64_t)1 << 42)
    #define KP_WAIT_US_MAX ((int64_t)1 << 62)
    """
    const int64_t UNITS_MAX "KP_UNITS_MAX"
    const int64_t WINDOW_US_MAX "KP_WINDOW_US_MAX"
    const int64_t WAIT_US_MAX "KP_WAIT_US_MAX"
    # Token x microsecond needs more than 63 bits: 10^12 tokens over a day is 2^77.
    ctypedef long long wide "kp_wide"

cdef enum:
    HAS_REQUESTS = 1
    HAS_TOKENS = 2
    HAS_CONCURRENCY = 4
    TOOK_TOKENS = 1
    TOOK_CONCURRENCY = 2

cdef enum:
    OF_REQUESTS = 0
    OF_TOKENS = 1
    OF_CONCURRENCY = 2


cdef struct Bucket:
    # The level is a whole number of token x microsecond, so it gains `units` a microsecond and a token is
    # worth `window_us`: nothing is ever rounded. window_us 0: never used, thus full.
    uint64_t time_us
    uint64_t low
    uint64_t high
    uint64_t units
    uint64_t window_us
    uint64_t burst


cdef struct Limit:
    Bucket tokens
    uint64_t in_use
    uint64_t gap0
    Bucket requests
    uint64_t gap1[2]


cdef struct Rate:
    int64_t units
    int64_t window_us
    int64_t burst


cdef struct Terms:
    Rate requests
    Rate tokens
    int64_t concurrency_max
    uint64_t number
    int scope
    int has


cdef struct Level:
    # A private copy of one bucket, brought up to now.
    Bucket *at
    wide level
    int64_t time_us
    int64_t units
    int64_t window_us
    int64_t burst


cdef struct Cell:
    # A private copy of one limit. Nothing of it is stored before the commit.
    Limit *at
    Terms *terms
    Level requests
    Level tokens
    int64_t in_use


cdef struct Short:
    # Why one gate has no room. Units: wait_us -1 never, 0 nobody knows.
    int64_t wait_us
    int scope
    int kind
    bint crowded


cdef inline wide capacity(int64_t burst, int64_t window_us) noexcept nogil:
    return <wide>burst * <wide>window_us


cdef inline void clamp(Level *level) noexcept nogil:
    cdef wide full = capacity(level.burst, level.window_us)
    cdef wide floor = -capacity(UNITS_MAX, level.window_us)
    if level.level > full:
        level.level = full
    elif level.level < floor:
        level.level = floor


cdef inline void read_level(Level *level, Bucket *at, int64_t now_us) noexcept nogil:
    """Copy a bucket and let the time since its last change flow in."""
    cdef int64_t passed_us
    level.at = at
    level.time_us = <int64_t>load(&at.time_us)
    level.level = <wide>(<int64_t>load(&at.high)) * (<wide>1 << 64) + <wide>load(&at.low)
    level.units = <int64_t>load(&at.units)
    level.window_us = <int64_t>load(&at.window_us)
    level.burst = <int64_t>load(&at.burst)
    passed_us = now_us - level.time_us
    if passed_us > 0:
        level.level += <wide>passed_us * <wide>level.units
        level.time_us = now_us
    clamp(level)


@cython.cdivision(True)
cdef inline void adapt(Level *level, Rate *rate) noexcept nogil:
    """Carry a level over to changed terms: the same tokens, rounded down, and never more than the new
    burst.
    """
    cdef wide level_old
    if level.window_us == 0:
        level.level = capacity(rate.burst, rate.window_us)
    elif level.window_us != rate.window_us:
        level_old = level.level * <wide>rate.window_us
        level.level = level_old / <wide>level.window_us
        if level_old < 0 and level.level * <wide>level.window_us != level_old:
            level.level -= 1
    elif level.units == rate.units and level.burst == rate.burst:
        return
    level.units = rate.units
    level.window_us = rate.window_us
    level.burst = rate.burst
    clamp(level)


@cython.cdivision(True)
cdef inline int64_t short_of(Level *level, int64_t tokens) noexcept nogil:
    """Microseconds until so many tokens are there, rounded up; 0 when they are, -1 when they never will
    be.
    """
    cdef wide missing
    if tokens > level.burst:
        return -1
    missing = <wide>tokens * <wide>level.window_us - level.level
    if missing <= 0:
        return 0
    missing = (missing + <wide>level.units - 1) / <wide>level.units
    return <int64_t>missing if missing < <wide>WAIT_US_MAX else WAIT_US_MAX


cdef inline void take(Level *level, int64_t tokens) noexcept nogil:
    """Take tokens; less than none gives back, and never above capacity."""
    level.level -= <wide>tokens * <wide>level.window_us
    clamp(level)


@cython.cdivision(True)
cdef inline int64_t remaining(Level *level) noexcept nogil:
    return <int64_t>(level.level / <wide>level.window_us) if level.level > 0 else 0


@cython.cdivision(True)
cdef inline int64_t reset_us(Level *level) noexcept nogil:
    cdef wide missing = capacity(level.burst, level.window_us) - level.level
    missing = (missing + <wide>level.units - 1) / <wide>level.units
    return <int64_t>missing if missing < <wide>WAIT_US_MAX else WAIT_US_MAX


cdef inline void plan_level(Hand *hand, Level *level) noexcept nogil:
    cdef Bucket *at = level.at
    plan(hand, &at.time_us, <uint64_t>level.time_us)
    plan(hand, &at.low, <uint64_t>level.level)
    plan(hand, &at.high, <uint64_t>(level.level >> 64))
    plan(hand, &at.units, <uint64_t>level.units)
    plan(hand, &at.window_us, <uint64_t>level.window_us)
    plan(hand, &at.burst, <uint64_t>level.burst)


cdef inline void read_cell(Cell *cell, Limit *at, Terms *terms, int64_t now_us, int64_t back) noexcept nogil:
    """Copy a limit as of now, under the terms of now. Units: `back` tokens were taken under the old terms."""
    cell.at = at
    cell.terms = terms
    cell.in_use = <int64_t>load(&at.in_use)
    if terms.has & HAS_REQUESTS:
        read_level(&cell.requests, &at.requests, now_us)
        adapt(&cell.requests, &terms.requests)
    if terms.has & HAS_TOKENS:
        read_level(&cell.tokens, &at.tokens, now_us)
        if back:
            take(&cell.tokens, -back)
        adapt(&cell.tokens, &terms.tokens)


cdef inline void note_short(Short *worst, int64_t wait_us, int scope, int kind) noexcept nogil:
    if worst.wait_us == -1 or (wait_us != -1 and wait_us <= worst.wait_us):
        return
    worst.wait_us = wait_us
    worst.scope = scope
    worst.kind = kind


cdef inline bint has_room(Cell *cell, int64_t tokens, Short *worst) noexcept nogil:
    """Whether one gate lets a call in; if not, the longest wait known is noted."""
    cdef Terms *terms = cell.terms
    cdef int64_t wait_us
    cdef bint room = True
    if terms.has & HAS_REQUESTS:
        wait_us = short_of(&cell.requests, 1)
        if wait_us:
            room = False
            note_short(worst, wait_us, terms.scope, OF_REQUESTS)
    if terms.has & HAS_TOKENS:
        wait_us = short_of(&cell.tokens, tokens)
        if wait_us:
            room = False
            note_short(worst, wait_us, terms.scope, OF_TOKENS)
    if terms.has & HAS_CONCURRENCY and cell.in_use >= terms.concurrency_max:
        room = False
        # Nobody knows when a call ends: a wait of 0 that gives way to every other.
        if worst.wait_us == 0 and not worst.crowded:
            worst.scope = terms.scope
            worst.kind = OF_CONCURRENCY
        worst.crowded = True
    return room


cdef inline void plan_take(Hand *hand, Cell *cell, int64_t tokens) noexcept nogil:
    cdef int has = cell.terms.has
    if has & HAS_REQUESTS:
        take(&cell.requests, 1)
        plan_level(hand, &cell.requests)
    if has & HAS_TOKENS:
        take(&cell.tokens, tokens)
        plan_level(hand, &cell.tokens)
    if has & HAS_CONCURRENCY:
        cell.in_use += 1
        plan(hand, &cell.at.in_use, <uint64_t>cell.in_use)


cdef inline uint64_t taken_of(Hand *hand, Cell *cell) noexcept nogil:
    """What a call entry notes of a gate; 0 when there is nothing to give back."""
    cdef uint64_t taken = 0
    if cell.terms.has & HAS_TOKENS:
        taken |= TOOK_TOKENS
    if cell.terms.has & HAS_CONCURRENCY:
        taken |= TOOK_CONCURRENCY
    return (<uint64_t>(<uint64_t *>cell.at - hand.words) << 2) | taken if taken else 0


cdef inline void plan_return(Hand *hand, uint64_t noted, int64_t tokens, int64_t now_us) noexcept nogil:
    """Give back what a call took at one gate. Units: `tokens` less than none takes more."""
    cdef Limit *at = <Limit *>(hand.words + (noted >> 2))
    cdef Level level
    if noted & TOOK_TOKENS and tokens:
        read_level(&level, &at.tokens, now_us)
        take(&level, -tokens)
        plan_level(hand, &level)
    if noted & TOOK_CONCURRENCY:
        plan(hand, &at.in_use, load(&at.in_use) - 1)


cdef inline bint is_worse(Short *one, Short *other) noexcept nogil:
    """Whether a candidate is a worse one to wait for: never, then nobody knows, then the longer wait."""
    cdef int rank = 2 if one.wait_us < 0 else (1 if one.crowded else 0)
    cdef int other_rank = 2 if other.wait_us < 0 else (1 if other.crowded else 0)
    return rank > other_rank or (rank == other_rank and one.wait_us > other.wait_us)


cdef inline void join_shorts(Short *fixed, bint fixed_short, Short *best, bint none_fits) noexcept nogil:
    """What is waited for when both the fixed gates and every candidate may be short: the longer of the
    two.
    """
    if not none_fits:
        return
    if not fixed_short:
        fixed[0] = best[0]
    elif fixed.wait_us != -1 and (best.wait_us == -1 or best.wait_us > fixed.wait_us):
        fixed.wait_us = best.wait_us
        fixed.scope = best.scope
        fixed.kind = best.kind
