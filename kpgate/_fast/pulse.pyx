# cython: auto_pickle=False, autotestdict=False
"""How upstreams are doing, in shared memory: whatever one process learns of one, all go by at once.

Owns the cells and how they change: failures in a row and ejection, probes and the return, limits that a provider
told of, active checks, latency, open calls. It must not know what a deployment, a model or an error is.
Source: Envoy documentation, outlier detection and slow start; Finagle, peak EWMA (checked November 2026).
"""

cimport cython
from libc.math cimport exp
from libc.stdint cimport int64_t, uint64_t

from kpgate._fast cimport commit as ground
from kpgate._fast.commit cimport (
    AREA_PULSE, Area, Hand, Region, Seat, load, plan, store_bare, swap_word,
)

cdef extern from *:
    """
    #define kp_add(at, more) atomic_fetch_add_explicit((kp_word *)(at), (more), memory_order_relaxed)
    """
    uint64_t add "kp_add"(uint64_t *at, uint64_t more) noexcept nogil

WELL = IS_WELL
BACK = IS_BACK
HALF_OPEN = IS_HALF_OPEN
LIMITED = IS_LIMITED
SPENT = IS_SPENT
EJECTED = IS_EJECTED
ILL = IS_ILL

DECAY_US = DECAY
"""How fast a latency is forgotten."""
CALLER_KINDS = KINDS
"""How many kinds of callers are told apart in what answers come to."""


@cython.final
cdef class Rules:
    """When an upstream is left out, and how it comes back.

    Shape: `failures` in a row eject it, the n-th time for n times `base_us`, at most `max_us`; at most
    `percent_max` of a model's at once. After that `probes` calls in a row, one at a time, each within `probe_us`,
    must succeed; then it takes its share over `slow_us`. With fewer than `panic_percent` well, all are used.
    """

    def __cinit__(
        self,
        *,
        int failures=5,
        int64_t base_us=30_000_000,
        int64_t max_us=300_000_000,
        int percent_max=50,
        int probes=1,
        int64_t probe_us=30_000_000,
        int64_t slow_us=0,
        int panic_percent=0,
    ):
        if failures < 1 or probes < 1 or base_us < 1 or max_us < base_us or slow_us < 0 or probe_us < 1:
            raise ValueError("these rules eject nothing, or for ever")
        self.failures = failures
        self.base_us = base_us
        self.max_us = max_us
        self.percent_max = percent_max
        self.probes = probes
        self.probe_us = probe_us
        self.slow_us = slow_us
        self.panic_percent = panic_percent


@cython.final
cdef class Pulse:
    """One upstream. Made by `Pulses.of`. Units: `now_us` is CLOCK_MONOTONIC, the same for all processes."""

    cpdef object succeeded(self, int64_t now_us):
        """A call was answered.

        A probe that succeeds brings it back; one that has done well for as long as it was out is trusted again.
        """
        cdef Sign *at = self.at
        cdef int64_t ejected_us
        if load(&at.failures):
            store_bare(&at.failures, 0)
        if load(&at.ejections) == 0:
            return
        ejected_us = <int64_t>load(&at.ejected_us)
        if ejected_us > now_us:
            return
        if ejected_us:
            store_bare(&at.probe_us, 0)
            if add(&at.probes_left, -<uint64_t>1) <= 1:
                self.come_back(now_us)
        elif now_us - <int64_t>load(&at.back_us) > <int64_t>load(&at.span_us):
            store_bare(&at.ejections, 0)

    cdef void come_back(self, int64_t now_us) noexcept:
        store_bare(&self.at.back_us, <uint64_t>now_us)
        store_bare(&self.at.ejected_us, 0)

    def failed(self, int64_t now_us, int why, Rules rules not None, tuple peers not None):
        """A call failed; enough of them in a row eject it, unless too many of its peers are out already.

        Shape: `why` is the caller's number for the reason; `peers` are a model's upstreams, this one included. True
        where this failure ejected it. Where the node's lock is not to be had at once, the next failure ejects.
        """
        cdef Sign *at = self.at
        cdef Hand *hand = &self.seat.hand
        cdef Pulse peer
        cdef uint64_t failures = add(&at.failures, 1) + 1
        cdef uint64_t was = load(&at.ejected_us)
        cdef int out = 0
        cdef bint fits
        cdef uint64_t ejections
        cdef int64_t span_us
        add(&at.lost, 1)
        store_bare(&at.failed_us, <uint64_t>now_us)
        store_bare(&at.failed_why, <uint64_t>why)
        # What fails while it is half open was a probe, or as good as one.
        if <int64_t>was > now_us or (was == 0 and failures < rules.failures):
            return False
        for peer in peers:
            # A page that is touched for the first time faults here, not under the lock.
            load(&peer.at.ejected_us)
        if not self.seat.take():
            return False
        if load(&at.ejected_us) != was:
            self.seat.give()
            return False
        for peer in peers:
            if peer.at != at and <int64_t>load(&peer.at.ejected_us) > now_us:
                out += 1
        fits = (out + 1) * 100 <= <int>rules.percent_max * <int>len(peers)
        if fits:
            ejections = load(&at.ejections) + 1
            span_us = rules.max_us
            if <int64_t>ejections <= rules.max_us // rules.base_us:
                span_us = rules.base_us * <int64_t>ejections
            plan(hand, &at.ejections, ejections)
            plan(hand, &at.failures, 0)
            plan(hand, &at.span_us, <uint64_t>span_us)
            plan(hand, &at.ejected_us, <uint64_t>(now_us + span_us))
            plan(hand, &at.probes_left, rules.probes)
            plan(hand, &at.probe_us, 0)
            ground.commit(hand)
        self.seat.give()
        return fits

    def cool(self, int64_t until_us, bint spent=False):
        """Its provider told of a limit: it is asked again from then on. `spent` says that a quota is used up."""
        if until_us > <int64_t>load(&self.at.cool_us):
            store_bare(&self.at.cool_spent, spent)
            store_bare(&self.at.cool_us, <uint64_t>until_us)

    def probe(self, int64_t now_us, Rules rules not None):
        """Take the right to send the one call that tries whether it is back. False: another call has it."""
        return take_probe(self.at, now_us, rules.probe_us)

    def due(self, int64_t now_us, int64_t next_us):
        """Take the right to make the active check that is due, and say when the next one is. One process has it."""
        cdef uint64_t was = load(&self.at.check_due_us)
        return <int64_t>was <= now_us and swap_word(&self.at.check_due_us, was, <uint64_t>next_us)

    def checked(self, int64_t now_us, bint well, int enough):
        """What an active check found. As many as `enough` of a kind in a row change what it counts as."""
        cdef Sign *at = self.at
        cdef uint64_t run
        if well == (load(&at.check) != CHECK_ILL):
            store_bare(&at.check_run, 0)
            if well:
                store_bare(&at.check, CHECK_WELL)
            return
        run = load(&at.check_run) + 1
        store_bare(&at.check_run, run)
        if <int>run < enough:
            return
        store_bare(&at.check_run, 0)
        if well:
            store_bare(&at.back_us, <uint64_t>now_us)
        store_bare(&at.check, CHECK_WELL if well else CHECK_ILL)

    def unchecked(self):
        """No active checks are made any more: what they found is forgotten."""
        store_bare(&self.at.check, CHECK_NONE)
        store_bare(&self.at.check_run, 0)

    def observe(self, int64_t now_us, int64_t latency_us, bint streamed):
        """How long it took to begin its answer: a slower one counts at once, faster ones little by little."""
        cdef Sign *at = self.at
        cdef double was = latency_of(at, streamed, now_us)
        cdef int64_t since_us = now_us - <int64_t>load(&at.latency_at_us[streamed])
        cdef double kept = exp(-since_us / <double>DECAY) if since_us > 0 else 1.0
        cdef double value = latency_us
        if value < 1:
            value = 1
        if was > value:
            was = <double>load(&at.latency_us[streamed])
            # What comes in quick succession moves it by an eighth at least.
            kept = min(kept, 0.875)
            value = was * kept + value * (1 - kept)
        store_bare(&at.latency_us[streamed], <uint64_t>value)
        store_bare(&at.latency_at_us[streamed], <uint64_t>now_us)

    def learn(self, int kind, int64_t tokens):
        """What an answer came to, for one kind of caller. Errors: ValueError for a kind that there is not."""
        cdef uint64_t *at
        cdef int64_t was
        if not 0 <= kind < KINDS or tokens < 0:
            raise ValueError(f"no kind {kind}, or no answer of {tokens} tokens")
        at = &self.at.spoken[kind]
        was = <int64_t>load(at)
        store_bare(at, <uint64_t>(was + (tokens * 16 - was) // 16 if was else max(tokens, 1) * 16))

    def spoken(self, int kind):
        """What answers come to, a moving mean. Units: tokens; 0 is not known yet."""
        return (load(&self.at.spoken[kind]) + 8) >> 4 if 0 <= kind < KINDS else 0

    def opened(self):
        """A call to it begins. Order: `ended` follows once."""
        store_bare(self.mine, load(self.mine) + 1)

    def ended(self):
        """A call to it is over."""
        store_bare(self.mine, load(self.mine) - 1)

    def state(self, int64_t now_us, Rules rules not None):
        """How it is doing: WELL, BACK (taking its share little by little), HALF_OPEN, LIMITED, SPENT, EJECTED, ILL."""
        return state_of(self.at, now_us, rules.slow_us)

    def look(self, int64_t now_us):
        """Everything that is known of it, for people.

        Units: microseconds as the names say; instants are `now_us`'s. 0 is never, or unknown.
        """
        cdef Sign *at = self.at
        return {
            "failures": load(&at.failures),
            "ejections": load(&at.ejections),
            "ejected_us": load(&at.ejected_us),
            "probing": <int64_t>load(&at.probe_us) > now_us,
            "back_us": load(&at.back_us),
            "cool_us": load(&at.cool_us),
            "spent": load(&at.cool_spent) != 0,
            "check": load(&at.check),
            "failed_us": load(&at.failed_us),
            "failed_why": load(&at.failed_why),
            "lost": load(&at.lost),
            "open": open_of(at, self.seats),
            "latency_us": <int64_t>latency_of(at, False, now_us),
            "first_token_us": <int64_t>latency_of(at, True, now_us),
        }

    @property
    def ejected_until_us(self):
        """Until when it is out, or was; 0 where it is in service."""
        return load(&self.at.ejected_us)

    @property
    def cool_until_us(self):
        """Until when its provider's limit is respected."""
        return load(&self.at.cool_us)

    @property
    def open(self):
        """How many calls are open there, over all processes."""
        return open_of(self.at, self.seats)

    def __repr__(self):
        return f"<Pulse {self.number}>"


@cython.final
cdef class Pulses:
    """The upstreams of a node, for one seat.

    Errors: ValueError for a seat of another region.
    """

    cdef Region region
    cdef Seat seat
    cdef dict made

    def __cinit__(self, Region region not None, Seat seat not None):
        if seat.region is not region:
            raise ValueError("the seat is of another region")
        if region.area(AREA_PULSE).stride_bytes != sizeof(Sign) + 8 * region.head.seats:
            raise ValueError("the region was made for another build")
        self.region = region
        self.seat = seat
        self.made = {}

    def of(self, uint64_t number):
        """One upstream, by its number. What a dead process of this seat had open there is forgotten.

        Errors: IndexError for a number beyond the area.
        """
        cdef Area *area = self.region.area(AREA_PULSE)
        cdef Pulse one = self.made.get(number)
        if one is not None:
            return one
        if number >= area.count:
            raise IndexError(f"no upstream {number}")
        one = Pulse.__new__(Pulse)
        one.region = self.region
        one.seat = self.seat
        one.number = number
        one.seats = self.region.head.seats
        one.at = <Sign *>(<char *>self.region.head + area.offset_bytes + number * area.stride_bytes)
        one.mine = <uint64_t *>(one.at + 1) + self.seat.index
        store_bare(one.mine, 0)
        self.made[number] = one
        return one


def areas(seats, upstreams=1 << 16):
    """The area a region needs for upstreams. Shape: for `Region.create`."""
    return {AREA_PULSE: (sizeof(Sign) + 8 * seats, upstreams)}
