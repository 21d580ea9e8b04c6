"""How upstreams are doing, as it stands in the region: what those read inline who choose among them."""

cimport cython
from libc.math cimport exp
from libc.stdint cimport int64_t, uint32_t, uint64_t

from kpgate._fast.commit cimport Region, Seat, load, swap_word

cdef enum:
    # A latency is forgotten to a third in this time. Source: Finagle's peak EWMA (checked November 2026).
    DECAY = 10_000_000

cdef enum:
    IS_WELL = 0
    IS_BACK = 1
    IS_HALF_OPEN = 2
    IS_LIMITED = 3
    IS_SPENT = 4
    IS_EJECTED = 5
    IS_ILL = 6

cdef enum:
    CHECK_NONE = 0
    CHECK_WELL = 1
    CHECK_ILL = 2

cdef enum:
    KINDS = 10


# One upstream, followed by a word a seat: how many calls that process has open there.
cdef struct Sign:
    uint64_t failures
    uint64_t ejections
    # Until when it is out. Passed, it is half open until a probe succeeds; then it is 0.
    uint64_t ejected_us
    uint64_t span_us
    uint64_t probe_us
    uint64_t probes_left
    uint64_t back_us
    uint64_t cool_us
    uint64_t cool_spent
    uint64_t check
    uint64_t check_run
    uint64_t check_due_us
    # By whether the reply is streamed: a whole one takes as long as all of it.
    uint64_t latency_us[2]
    uint64_t latency_at_us[2]
    uint64_t failed_us
    uint64_t failed_why
    uint64_t lost
    # What answers come to, in sixteenths of a token, by the kind of caller.
    uint64_t spoken[KINDS]


cdef inline int state_of(const Sign *at, int64_t now_us, int64_t slow_us) noexcept nogil:
    """How one upstream is doing. Order: the worst first."""
    cdef int64_t ejected_us = <int64_t>load(&at.ejected_us)
    cdef int64_t back_us
    if load(&at.check) == CHECK_ILL:
        return IS_ILL
    if ejected_us > now_us:
        return IS_EJECTED
    if <int64_t>load(&at.cool_us) > now_us:
        return IS_SPENT if load(&at.cool_spent) else IS_LIMITED
    if ejected_us:
        return IS_HALF_OPEN
    back_us = <int64_t>load(&at.back_us)
    return IS_BACK if back_us and now_us - back_us < slow_us else IS_WELL


cdef inline uint64_t open_of(const Sign *at, uint64_t seats) noexcept nogil:
    """The calls open at one upstream, over all processes."""
    cdef const uint64_t *opened = <const uint64_t *>(at + 1)
    cdef uint64_t total = 0
    cdef uint64_t seat
    for seat in range(seats):
        total += load(opened + seat)
    return total


cdef inline double latency_of(const Sign *at, bint streamed, int64_t now_us) noexcept nogil:
    """The moving latency, which is forgotten with time: who was slow once is tried again. 0 is unknown."""
    cdef int64_t since_us = now_us - <int64_t>load(&at.latency_at_us[streamed])
    cdef double value = <double>load(&at.latency_us[streamed])
    return value * exp(-since_us / <double>DECAY) if since_us > 0 else value


cdef inline bint take_probe(Sign *at, int64_t now_us, int64_t probe_us) noexcept nogil:
    """Take the right to send the one call that tries whether a half-open upstream is back."""
    cdef uint64_t was = load(&at.probe_us)
    return <int64_t>was <= now_us and swap_word(&at.probe_us, was, <uint64_t>(now_us + probe_us))


@cython.final
cdef class Rules:
    cdef readonly uint32_t failures
    cdef readonly uint32_t probes
    cdef readonly uint32_t percent_max
    cdef readonly uint32_t panic_percent
    cdef readonly int64_t base_us
    cdef readonly int64_t max_us
    cdef readonly int64_t slow_us
    cdef readonly int64_t probe_us


@cython.final
cdef class Pulse:
    cdef Region region
    cdef Seat seat
    cdef Sign *at
    cdef uint64_t *mine
    cdef uint64_t seats
    cdef readonly uint64_t number
    cpdef object succeeded(self, int64_t now_us)
    cdef void come_back(self, int64_t now_us) noexcept
