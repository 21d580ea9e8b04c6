"""What connections use of the outbox."""

from libc.stdint cimport int64_t


cdef class Outbox:
    cdef object _loop
    cdef object _before
    cdef list _queue
    cdef object _flush
    cdef int64_t _bytes

    cdef int put(self, object transport, bytes data) except -1
    cpdef object later(self, object transport, object call)
    cdef int then(self, object transport, object call) except -1
    cdef int empty(self) except -1
