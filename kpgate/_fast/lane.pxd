"""A listener, as its connections see it."""

from libc.stdint cimport int64_t

from kpgate._fast.outbox cimport Outbox
from kpgate._fast.wait cimport Wheel

cdef enum:
    CHUNKED = 1
    CLOSING = 2
    KEPT = 4


cdef class Lane:
    cdef readonly object loop
    cdef readonly Wheel wheel
    cdef readonly set clients
    cdef readonly bint draining
    cdef public int64_t turned_away
    cdef Outbox outbox
    cdef object serve
    cdef object error
    cdef object alarm
    cdef tuple failed
    cdef object preamble
    cdef int64_t clients_max
    cdef int64_t head_us
    cdef int64_t idle_us
    cdef int64_t body_idle_us
    cdef int64_t write_stall_us
    cdef int64_t rate_min
    cdef int64_t _second
    cdef dict _starts
    cdef int _begun
    cdef bytes _start

    cdef bytes _start_of(self, int status)
    cdef bytes compose(self, int status, object headers, int64_t length, bytes body, int flags)


cdef bytes frame(bytes held, bytes chunk, bint chunked)
cdef int reset_on_close(object transport) except -1
