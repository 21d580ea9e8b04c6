"""A connection's states and pace, as the connection sees them."""

from libc.stdint cimport int64_t, uint8_t

from kpgate._fast.lane cimport Lane
from kpgate._fast.step cimport Step

cdef enum:
    OPENING = 0
    HEAD = 1
    BODY = 2
    SERVING = 3
    UNSENT = 4
    LINGER = 5
    CLOSED = 6

cdef enum:
    # What a client still sends is read a while, so that it gets to the reply; as nginx's lingering_close.
    LINGER_US = 30_000_000
    LINGER_IDLE_US = 2_000_000
    RATE_CHECK_US = 5_000_000


cdef class Flow(Step):
    cdef readonly Lane lane
    cdef object _transport
    cdef int64_t _due_us
    cdef int64_t _last_us
    cdef int64_t _began_us
    cdef int64_t _filled
    cdef int64_t _left_bytes
    cdef int64_t _measured_us
    cdef uint8_t _state
    cdef bint _paused
    cdef bint _write_paused

    cdef bint _crawls(self, int64_t now_us) noexcept
    cdef int _measure(self) except -1
    cdef int64_t _untaken(self) except -1
    cdef bint _moves(self) except -1
    cdef int _due(self, int64_t in_us) except -1
    cdef int _pause(self) except -1
    cdef int _resume(self) except -1
    cdef int _linger(self) except -1
    cdef bint _lingers(self, int64_t now_us) except -1
    cdef int _shut(self) except -1
