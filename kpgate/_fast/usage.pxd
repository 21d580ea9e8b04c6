"""What other compiled modules may use of a reply's usage."""

cimport cython
from libc.stdint cimport int64_t


# A count that was said twice is left to a decoder.
cdef struct Reading:
    int64_t counts[8]
    int seen


@cython.final
cdef class Counts:
    cdef readonly bint detailed
    cdef readonly int64_t prompt
    cdef readonly int64_t completion
    cdef readonly int64_t cached
    cdef readonly int64_t reasoning
    cdef readonly int64_t audio_prompt
    cdef readonly int64_t audio_completion
    cdef readonly int64_t image
    cdef readonly int64_t cache_write

    cpdef bint find(self, bytes body) except -1
    cpdef bint read(self, bytes usage) except -1
    cdef void take(self, Reading *reading) noexcept
