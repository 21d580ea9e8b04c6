"""What other compiled modules may use of the metrics: the cells that every call moves."""

cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t

from kpgate._fast.commit cimport Region


@cython.final
cdef class Counter:
    cdef Region region
    cdef uint64_t *cell

    cpdef int add(self, uint64_t more) except -1


@cython.final
cdef class Gauge:
    cdef Region region
    cdef uint64_t *cell

    cpdef int add(self, int64_t more) except -1


@cython.final
cdef class Histogram:
    cdef Region region
    cdef uint64_t *cells
    cdef uint32_t bounds

    cdef void note(self, int64_t value) noexcept nogil
    cpdef int observe(self, int64_t value) except -1


@cython.final
cdef class RequestCells:
    cdef tuple requests
    cdef tuple total
    cdef tuple overhead
    cdef tuple first_byte
    cdef tuple prompt
    cdef tuple completion

    cdef void add_all(self, tuple cells, int64_t more) noexcept
    cdef void note_all(self, tuple cells, int64_t value) noexcept
    cpdef int record(self, int64_t total_us, int64_t overhead_us, int64_t first_byte_us, int64_t prompt_tokens,
                     int64_t completion_tokens) except -1
