# cython: auto_pickle=False, autotestdict=False
"""Every limit of a call is decided here, under the node's one lock: all are taken, or none.

Owns buckets of requests and tokens, calls in flight, and the open calls that say what to give back. It must
not know what a key or a model is (they are scopes and numbers), nor which limits are wise: gates come from
the caller.
Source: docs/decisions/0001-one-lock.md.
"""

cimport cython
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memset

from kpgate._fast cimport commit as ground
from kpgate._fast.bucket cimport (
    HAS_CONCURRENCY,
    HAS_REQUESTS,
    HAS_TOKENS,
    OF_CONCURRENCY,
    OF_REQUESTS,
    OF_TOKENS,
    TOOK_CONCURRENCY,
    TOOK_TOKENS,
    UNITS_MAX,
    WINDOW_US_MAX,
    Cell,
    Level,
    Limit,
    Rate,
    Short,
    Terms,
    has_room,
    is_worse,
    join_shorts,
    plan_return,
    plan_take,
    read_cell,
    remaining,
    reset_us,
    taken_of,
)
from kpgate._fast.commit cimport (
    AREA_CALL,
    AREA_DEPLOYMENT,
    Area,
    Hand,
    Head,
    Life,
    Region,
    Seat,
    load,
    load_acquire,
    plan,
    store,
)

cdef enum:
    FIXED_MAX = 3
    # Where a call keeps its deployment, which may change.
    LAST = 3
    CANDIDATES_MAX = 64
    SLOT_BITS = 24

cdef enum:
    IS_DONE = 0
    IS_REFUSED = 1
    IS_NEVER = 2
    IS_FULL = 3
    IS_BUSY = 4
    IS_STALE = 5

DONE = IS_DONE
REFUSED = IS_REFUSED
NEVER = IS_NEVER
FULL = IS_FULL
BUSY = IS_BUSY
STALE = IS_STALE

REQUESTS = OF_REQUESTS
TOKENS = OF_TOKENS
CONCURRENCY = OF_CONCURRENCY


cdef class Gate:
    """The limits of one key, party, model or deployment, made once and kept. 0 is no limit.

    Shape: `scope` is commit.KEY, PARTY, MODEL or DEPLOYMENT; `number` is its index there.
    Units: whole requests and tokens a window; windows in microseconds.
    Errors: ValueError for what cannot be a limit.
    """

    def __cinit__(
        self,
        int scope,
        uint64_t number,
        *,
        int64_t request_units=0,
        int64_t request_window_us=0,
        int64_t request_burst=0,
        int64_t token_units=0,
        int64_t token_window_us=0,
        int64_t token_burst=0,
        int64_t concurrency_max=0,
    ):
        cdef Terms *terms = &self.terms
        if not 0 <= scope <= AREA_DEPLOYMENT:
            raise ValueError(f"no scope {scope}")
        memset(terms, 0, sizeof(Terms))
        terms.scope = scope
        terms.number = number
        terms.requests = Rate(request_units, request_window_us, request_burst)
        terms.tokens = Rate(token_units, token_window_us, token_burst)
        terms.concurrency_max = concurrency_max
        for units, window_us, burst, has in (
            (request_units, request_window_us, request_burst, HAS_REQUESTS),
            (token_units, token_window_us, token_burst, HAS_TOKENS),
        ):
            if units == 0:
                continue
            if not (0 < units <= UNITS_MAX and 0 < window_us <= WINDOW_US_MAX and 0 < burst <= UNITS_MAX):
                raise ValueError(f"no rate: {units} in {window_us} us, burst {burst}")
            terms.has |= has
        if concurrency_max < 0:
            raise ValueError(f"no concurrency: {concurrency_max}")
        if concurrency_max:
            terms.has |= HAS_CONCURRENCY

    @property
    def scope(self):
        """commit.KEY, PARTY, MODEL or DEPLOYMENT."""
        return self.terms.scope

    @property
    def number(self):
        """The index in its scope's area."""
        return self.terms.number

    @property
    def limited(self):
        """Whether there is any limit here. A gate without one is never looked at."""
        return self.terms.has != 0

    def tokens_alone(self):
        """The same with its limit on tokens and no other: what is taken by either counts for both."""
        cdef Rate *rate = &self.terms.tokens
        return Gate(
            self.terms.scope,
            self.terms.number,
            token_units=rate.units,
            token_window_us=rate.window_us,
            token_burst=rate.burst,
        )

    def __repr__(self):
        return f"<Gate {self.terms.scope}:{self.terms.number}>"


@cython.freelist(8)
cdef class Verdict:
    """What was decided, filled by each call. One may be kept and used again.

    Shape: `call` is the handle of the open call (0: nothing to give back); `chosen` the index of the
    candidate (-1: none was asked for). On refusal `refused_scope` and `refused_kind` (REQUESTS, TOKENS,
    CONCURRENCY) say what is short the longest. Then, of the tightest fixed gate that has such a limit, what
    headers show: limit (the burst), remaining, and time until full; -1 where there is none.
    Units: microseconds. `wait_us`: a client alone on its limits that waits so long is admitted; -1: never;
    0: a call under way must end, and nobody knows when.
    """

    def __cinit__(self):
        self.clear()

    cdef void clear(self) noexcept:
        self.call = 0
        self.chosen = self.refused_scope = self.refused_kind = -1
        self.wait_us = 0
        self.requests_limit = self.requests_remaining = self.requests_reset_us = -1
        self.tokens_limit = self.tokens_remaining = self.tokens_reset_us = -1

    cdef void show(self, Cell *cells, int count) noexcept:
        """Note what headers show. Order: after the lock was given back; cells are private copies."""
        cdef int i
        cdef int64_t left
        cdef Level *level
        for i in range(count):
            if cells[i].terms.has & HAS_REQUESTS:
                level = &cells[i].requests
                left = remaining(level)
                if self.requests_limit < 0 or left < self.requests_remaining:
                    self.requests_limit = level.burst
                    self.requests_remaining = left
                    self.requests_reset_us = reset_us(level)
            if cells[i].terms.has & HAS_TOKENS:
                level = &cells[i].tokens
                left = remaining(level)
                if self.tokens_limit < 0 or left < self.tokens_remaining:
                    self.tokens_limit = level.burst
                    self.tokens_remaining = left
                    self.tokens_reset_us = reset_us(level)

    cdef int refuse(self, Short *short, int64_t late_us) noexcept:
        self.refused_scope = short.scope
        self.refused_kind = short.kind
        self.wait_us = short.wait_us
        if short.wait_us < 0:
            return IS_NEVER
        if short.wait_us > 0:
            # The region's time was ahead of the caller's.
            self.wait_us += late_us
        return IS_REFUSED


cdef class Limits:
    """Takes and gives back the limits of calls, for one seat.

    `life_us` is how long a call may stay open before `end_expired` ends it. Every decision answers an int:
    DONE, or REFUSED, NEVER (asks for more than a burst), FULL (no place for another open call), BUSY (the
    lock was not to be had within the seat's patience: try again off the event loop), STALE (that call has
    ended).
    Units: `now_us` is CLOCK_MONOTONIC in microseconds, the same for all processes of a machine.
    """

    def __cinit__(self, Region region not None, Seat seat not None, int64_t life_us):
        cdef Area *area
        cdef int scope
        if seat.region is not region:
            raise ValueError("the seat is of another region")
        self.region = region
        self.seat = seat
        self.life_us = life_us
        for scope in range(4):
            area = region.area(scope)
            if area.stride_bytes != sizeof(Limit):
                raise ValueError("the region was made for another build")
            self.limits[scope] = <Limit *>(<char *>region.head + area.offset_bytes)
            self.counts[scope] = area.count
        area = region.area(AREA_CALL)
        if area.stride_bytes != sizeof(Call):
            raise ValueError("the region was made for another build")
        self.calls = <Call *>(<char *>region.head + area.offset_bytes)
        self.calls_max = area.count

    cdef Limit *limit_of(self, Terms *terms) except NULL:
        cdef Limit *at
        if terms.number >= self.counts[terms.scope]:
            raise IndexError(f"no limit {terms.scope}:{terms.number}")
        at = self.limits[terms.scope] + terms.number
        # A page that is touched for the first time faults here, not under the lock.
        load(&at.in_use)
        return at

    cdef int gather_fixed(self, tuple gates, Cell *cells) except -1:
        """Line up the gates that limit anything."""
        cdef Gate gate
        cdef int count = 0
        cdef int scopes = 0
        for gate in gates:
            if gate.terms.scope == AREA_DEPLOYMENT or scopes & (1 << gate.terms.scope):
                raise ValueError("fixed gates are at most one each of key, party and model")
            scopes |= 1 << gate.terms.scope
            if gate.terms.has:
                cells[count].terms = &gate.terms
                cells[count].at = self.limit_of(&gate.terms)
                count += 1
        return count

    cdef int gather_candidates(self, tuple gates, Terms **terms, Limit **limits) except -1:
        """Line up the candidates, as far as the first without any limit: it always has room."""
        cdef Gate gate
        cdef int count = 0
        for gate in gates:
            if gate.terms.scope != AREA_DEPLOYMENT or count == CANDIDATES_MAX:
                raise ValueError(f"candidates are deployments, at most {CANDIDATES_MAX}")
            terms[count] = &gate.terms
            limits[count] = self.limit_of(&gate.terms) if gate.terms.has else NULL
            count += 1
            if not gate.terms.has:
                break
        return count

    cdef int64_t now(self, int64_t now_us) noexcept:
        """The region's time, which never goes back. Order: under the lock."""
        cdef int64_t last_us = <int64_t>load(&self.region.head.last_us)
        return now_us if now_us > last_us else last_us

    cdef Call *open_call(self, int64_t now_us, int64_t *handle) noexcept:
        """Plan a new call entry; NULL when there is no place. Order: the caller fills gates and tokens."""
        cdef Hand *hand = &self.seat.hand
        cdef Head *head = hand.head
        cdef uint64_t slot = load(&head.call_free)
        cdef uint64_t state
        cdef Call *call
        if slot:
            slot -= 1
            call = self.calls + slot
            plan(hand, &head.call_free, load(&call.next))
        else:
            slot = load(&head.call_high)
            if slot >= self.calls_max:
                return NULL
            call = self.calls + slot
            plan(hand, &head.call_high, slot + 1)
        state = load(&call.state)
        # Nobody reads a free entry: it is filled directly.
        store(hand, &call.seat, (<uint64_t>self.seat.index << 32) | self.seat.incarnation)
        store(hand, &call.expires_us, <uint64_t>(now_us + self.life_us))
        plan(hand, &call.state, state | 1)
        plan(hand, &head.calls_open, load(&head.calls_open) + 1)
        handle[0] = <int64_t>((((state >> 1) + 1) << SLOT_BITS) | slot)
        return call

    cdef Call *find_call(self, int64_t handle) noexcept:
        """The open call of a handle; NULL when it has ended. Order: under the lock."""
        cdef uint64_t slot = <uint64_t>handle & ((1 << SLOT_BITS) - 1)
        cdef uint64_t generation = (<uint64_t>handle >> SLOT_BITS) - 1
        if handle <= 0 or slot >= self.calls_max:
            return NULL
        if load(&self.calls[slot].state) != (generation << 1 | 1):
            return NULL
        return self.calls + slot

    cdef void plan_end(self, Call *call, int64_t now_us, int64_t tokens_actual) noexcept:
        """Plan a call's end: tokens corrected, concurrency given back, the entry freed."""
        cdef Hand *hand = &self.seat.hand
        cdef Head *head = hand.head
        cdef int64_t back = 0
        cdef int64_t last_back = 0
        cdef uint64_t noted
        cdef int i
        if tokens_actual >= 0:
            back = <int64_t>load(&call.tokens) - tokens_actual
            last_back = <int64_t>load(&call.last_tokens) - tokens_actual
        for i in range(4):
            noted = load(&call.gates[i])
            if noted:
                plan_return(hand, noted, last_back if i == LAST else back, now_us)
        plan(hand, &call.state, load(&call.state) + 1)
        plan(hand, &call.next, load(&head.call_free))
        plan(hand, &head.call_free, <uint64_t>(call - self.calls) + 1)
        plan(hand, &head.calls_open, load(&head.calls_open) - 1)

    cdef void finish(self, int64_t now_us) noexcept:
        cdef Hand *hand = &self.seat.hand
        plan(hand, &hand.head.last_us, <uint64_t>now_us)
        ground.commit(hand)
        self.seat.give()

    cdef bint take_all(self, Cell *cells, int count, Cell *last, int64_t tokens, int64_t now_us,
                       int64_t *handle) noexcept:
        """Plan a call's taking: False, with nothing planned, when there is no place for an open call."""
        cdef Hand *hand = &self.seat.hand
        cdef Call *call
        cdef uint64_t noted[4]
        cdef bint any_noted = False
        cdef int i
        memset(&noted[0], 0, sizeof(noted))
        for i in range(count):
            noted[i] = taken_of(hand, cells + i)
            any_noted = any_noted or noted[i] != 0
        if last != NULL:
            noted[LAST] = taken_of(hand, last)
            any_noted = any_noted or noted[LAST] != 0
        handle[0] = 0
        if any_noted:
            call = self.open_call(now_us, handle)
            if call == NULL:
                return False
            for i in range(4):
                store(hand, &call.gates[i], noted[i])
            store(hand, &call.tokens, <uint64_t>tokens)
            store(hand, &call.last_tokens, <uint64_t>tokens)
        for i in range(count):
            plan_take(hand, cells + i, tokens)
        if last != NULL:
            plan_take(hand, last, tokens)
        return True

    cpdef int admit(self, int64_t now_us, tuple fixed, tuple candidates, int64_t tokens,
                    Verdict verdict) except -1:
        """Take one request, its tokens and one place from every fixed gate and the first candidate with room.

        In one commit, or nothing at all. Without any limit in the way nothing is stored and no lock taken.
        Errors: ValueError for gates in the wrong place or tokens below 0; IndexError for a number beyond its
        area.
        """
        cdef Cell cells[FIXED_MAX]
        cdef Cell last
        cdef Terms *terms[CANDIDATES_MAX]
        cdef Limit *limits[CANDIDATES_MAX]
        cdef Short worst = Short(0, -1, -1, False)
        cdef Short best = Short(0, -1, -1, False)
        cdef Short short
        cdef int64_t at_us, handle
        cdef bint fits = True
        cdef bint limited
        cdef int chosen = -1
        cdef int count, candidate_count, i
        verdict.clear()
        if not 0 <= tokens <= UNITS_MAX:
            raise ValueError(f"cannot reserve {tokens} tokens")
        count = self.gather_fixed(fixed, cells)
        candidate_count = self.gather_candidates(candidates, terms, limits)
        if count == 0 and (candidate_count == 0 or limits[0] == NULL):
            verdict.chosen = 0 if candidate_count else -1
            return IS_DONE
        if not self.seat.take():
            return IS_BUSY
        at_us = self.now(now_us)
        for i in range(count):
            read_cell(cells + i, cells[i].at, cells[i].terms, at_us, 0)
            if not has_room(cells + i, tokens, &worst):
                fits = False
        for i in range(candidate_count):
            if limits[i] != NULL:
                read_cell(&last, limits[i], terms[i], at_us, 0)
                short = Short(0, -1, -1, False)
                if not has_room(&last, tokens, &short):
                    if i == 0 or is_worse(&best, &short):
                        best = short
                    continue
            chosen = i
            break
        if not fits or (chosen < 0 and candidate_count):
            self.seat.give()
            join_shorts(&worst, not fits, &best, chosen < 0 and candidate_count > 0)
            verdict.show(cells, count)
            return verdict.refuse(&worst, at_us - now_us)
        limited = chosen >= 0 and limits[chosen] != NULL
        if not self.take_all(cells, count, &last if limited else NULL, tokens, at_us, &handle):
            self.seat.give()
            verdict.show(cells, count)
            return IS_FULL
        self.finish(at_us)
        verdict.call = handle
        verdict.chosen = chosen
        verdict.show(cells, count)
        return IS_DONE

    def peek(self, int64_t now_us, tuple fixed not None, Verdict verdict not None):
        """Fill in what headers show, taking nothing. DONE, or BUSY."""
        cdef Cell cells[FIXED_MAX]
        cdef int64_t at_us
        cdef int count, i
        verdict.clear()
        count = self.gather_fixed(fixed, cells)
        if count == 0:
            return IS_DONE
        if not self.seat.take():
            return IS_BUSY
        at_us = self.now(now_us)
        for i in range(count):
            read_cell(cells + i, cells[i].at, cells[i].terms, at_us, 0)
        self.seat.give()
        verdict.show(cells, count)
        return IS_DONE

    def move(self, int64_t now_us, int64_t handle, Gate to not None, int64_t tokens,
             Verdict verdict not None):
        """Carry an open call over to another deployment: give back tokens and place there, take them here.

        In one commit. The first deployment keeps its request: it had it. `verdict.call` is the handle from
        now on. REFUSED, NEVER and FULL leave the call where it was.
        Errors: as `admit`.
        """
        cdef Cell last
        cdef Short short = Short(0, -1, -1, False)
        cdef Hand *hand = &self.seat.hand
        cdef Call *call = NULL
        cdef Terms *terms = &to.terms
        cdef uint64_t noted = 0
        cdef uint64_t noted_tokens
        cdef int64_t back = 0
        cdef int64_t at_us
        cdef bint same
        cdef Limit *at
        verdict.clear()
        verdict.call = handle
        if terms.scope != AREA_DEPLOYMENT or not 0 <= tokens <= UNITS_MAX:
            raise ValueError(f"cannot move to {to!r} with {tokens} tokens")
        if handle == 0 and not terms.has:
            return IS_DONE
        at = self.limit_of(terms) if terms.has else NULL
        if not self.seat.take():
            return IS_BUSY
        at_us = self.now(now_us)
        if handle:
            call = self.find_call(handle)
            if call == NULL:
                return self.refuse_stale(at_us)
            noted = load(&call.gates[LAST])
        same = noted != 0 and <Limit *>(hand.words + (noted >> 2)) == at
        if same and noted & TOOK_TOKENS and terms.has & HAS_TOKENS:
            back = <int64_t>load(&call.last_tokens)
        if at != NULL:
            read_cell(&last, at, terms, at_us, back)
        else:
            last.terms = terms
        if same and noted & TOOK_CONCURRENCY:
            last.in_use -= 1
        if not has_room(&last, tokens, &short):
            self.seat.give()
            return verdict.refuse(&short, at_us - now_us)
        if call == NULL:
            if not self.take_all(NULL, 0, &last, tokens, at_us, &handle):
                self.seat.give()
                return IS_FULL
            self.finish(at_us)
            verdict.call = handle
            return IS_DONE
        if noted and not same:
            plan_return(hand, noted, <int64_t>load(&call.last_tokens), at_us)
        elif same:
            # What the new terms no longer limit is still given back.
            if noted & TOOK_TOKENS and not terms.has & HAS_TOKENS:
                noted_tokens = noted & ~<uint64_t>TOOK_CONCURRENCY
                plan_return(hand, noted_tokens, <int64_t>load(&call.last_tokens), at_us)
            if noted & TOOK_CONCURRENCY and not terms.has & HAS_CONCURRENCY:
                plan(hand, &at.in_use, <uint64_t>last.in_use)
        plan_take(hand, &last, tokens)
        plan(hand, &call.gates[LAST], taken_of(hand, &last))
        plan(hand, &call.last_tokens, <uint64_t>tokens)
        self.finish(at_us)
        return IS_DONE

    cdef int refuse_stale(self, int64_t at_us) noexcept:
        cdef Hand *hand = &self.seat.hand
        plan(hand, &hand.head.calls_stale, load(&hand.head.calls_stale) + 1)
        self.finish(at_us)
        return IS_STALE

    cpdef int settle(self, int64_t now_us, int64_t handle, int64_t tokens_actual) except -1:
        """End a call: correct its tokens both ways, give its place back, free its entry.

        Units: `tokens_actual` -1 when nobody knows: what was reserved stays spent. More than was reserved
        puts a bucket into debt; less never lifts it above its burst.
        Shape: DONE, BUSY, or STALE: then nothing happened, and it is counted.
        """
        cdef Call *call
        cdef int64_t at_us
        if tokens_actual > UNITS_MAX:
            tokens_actual = UNITS_MAX
        if handle == 0:
            return IS_DONE
        if not self.seat.take():
            return IS_BUSY
        at_us = self.now(now_us)
        call = self.find_call(handle)
        if call == NULL:
            return self.refuse_stale(at_us)
        self.plan_end(call, at_us, tokens_actual)
        self.finish(at_us)
        return IS_DONE

    cpdef int cancel(self, int64_t now_us, int64_t handle) except -1:
        """End a call that used nothing: all is given back but the request."""
        return self.settle(now_us, handle, 0)

    cdef int end_one(self, int64_t now_us, uint64_t slot, uint64_t state) noexcept:
        """End the call in a slot, as if cancelled, if it is still that call: 1 when ended, -1 when busy."""
        cdef Call *call = self.calls + slot
        cdef int64_t at_us
        if not self.seat.take():
            return -1
        if load(&call.state) != state:
            self.seat.give()
            return 0
        at_us = self.now(now_us)
        self.plan_end(call, at_us, 0)
        self.finish(at_us)
        return 1

    def end_dead(self, int64_t now_us, Life life not None):
        """End the calls that a dead seat left: the right to do so is holding its life lock.

        Rule: as if each had been cancelled: place and reserved tokens go back, the request stays spent. One
        commit a call, while others decide; killed half-way, the next one finds what is left. With one's own
        life lock, what its last owner left.
        Shape: how many were ended; -1 when the lock was busy: call again.
        Errors: ValueError when the life lock was given back.
        """
        cdef uint64_t own = (<uint64_t>self.seat.index << 32) | self.seat.incarnation
        cdef uint64_t slot, state, seat
        cdef int ended
        cdef int64_t total = 0
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
        for slot in range(load(&self.region.head.call_high)):
            state = load_acquire(&self.calls[slot].state)
            seat = load(&self.calls[slot].seat)
            if not state & 1 or seat >> 32 != life.index or seat == own:
                continue
            ended = self.end_one(now_us, slot, state)
            if ended < 0:
                return -1
            total += ended
        return total

    def end_expired(self, int64_t now_us):
        """End calls open for longer than their opener's `life_us`, whoever's they are, as if cancelled.

        Shape: how many were ended; -1 when the lock was busy: call again.
        """
        cdef uint64_t slot, state
        cdef int ended
        cdef int64_t total = 0
        for slot in range(load(&self.region.head.call_high)):
            state = load_acquire(&self.calls[slot].state)
            if not state & 1 or <int64_t>load(&self.calls[slot].expires_us) > now_us:
                continue
            ended = self.end_one(now_us, slot, state)
            if ended < 0:
                return -1
            total += ended
        return total

    def seats_with_calls(self):
        """The seats that own open calls: those whose life locks a reaper tries."""
        cdef uint64_t slot
        found = set()
        for slot in range(load(&self.region.head.call_high)):
            if load(&self.calls[slot].state) & 1:
                found.add(load(&self.calls[slot].seat) >> 32)
        return found

    def in_use(self, int scope, uint64_t number):
        """How many calls hold a place at one gate. Errors: IndexError."""
        if not 0 <= scope <= AREA_DEPLOYMENT or number >= self.counts[scope]:
            raise IndexError(f"no limit {scope}:{number}")
        return load(&self.limits[scope][number].in_use)

    def open_calls(self):
        """How many calls are open on the node that hold anything."""
        return load(&self.region.head.calls_open)

    def stale_calls(self):
        """How many ends came for calls that had ended already."""
        return load(&self.region.head.calls_stale)


def areas(keys=1 << 20, parties=1 << 20, models=1 << 16, deployments=1 << 16, calls=1 << 15):
    """The areas a region needs for limits.

    Shape: for `Region.create`. Units: `calls` is all open calls of a node.
    """
    if not 1 <= calls < 1 << SLOT_BITS:
        raise ValueError(f"calls: from 1 to {(1 << SLOT_BITS) - 1}, not {calls}")
    return {
        ground.AREA_KEY: (sizeof(Limit), keys),
        ground.AREA_PARTY: (sizeof(Limit), parties),
        ground.AREA_MODEL: (sizeof(Limit), models),
        ground.AREA_DEPLOYMENT: (sizeof(Limit), deployments),
        AREA_CALL: (sizeof(Call), calls),
    }
