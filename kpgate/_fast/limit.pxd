"""What other compiled modules may use of limits and what was decided about them."""

cimport cython
from libc.stdint cimport int64_t, uint64_t

from kpgate._fast.bucket cimport Cell, Limit, Short, Terms
from kpgate._fast.commit cimport Region, Seat


cdef struct Call:
    uint64_t state          # generation * 2, + 1 while open
    uint64_t next           # slot + 1 of the next free call
    uint64_t seat           # index << 32 | incarnation
    uint64_t expires_us
    uint64_t tokens         # reserved at each fixed gate
    uint64_t last_tokens    # reserved at the deployment
    uint64_t gates[4]       # word offset of the limit << 2 | what was taken; 0: none
    uint64_t gap[6]


@cython.final
cdef class Gate:
    cdef Terms terms


@cython.final
cdef class Verdict:
    cdef public int64_t call
    cdef public int chosen
    cdef public int refused_scope
    cdef public int refused_kind
    cdef public int64_t wait_us
    cdef public int64_t requests_limit
    cdef public int64_t requests_remaining
    cdef public int64_t requests_reset_us
    cdef public int64_t tokens_limit
    cdef public int64_t tokens_remaining
    cdef public int64_t tokens_reset_us

    cdef void clear(self) noexcept
    cdef void show(self, Cell *cells, int count) noexcept
    cdef int refuse(self, Short *short, int64_t late_us) noexcept


@cython.final
cdef class Limits:
    cdef Seat seat
    cdef Region region
    cdef Limit *limits[4]
    cdef uint64_t counts[4]
    cdef Call *calls
    cdef uint64_t calls_max
    cdef readonly int64_t life_us

    cdef Limit *limit_of(self, Terms *terms) except NULL
    cdef int gather_fixed(self, tuple gates, Cell *cells) except -1
    cdef int gather_candidates(self, tuple gates, Terms **terms, Limit **limits) except -1
    cdef int64_t now(self, int64_t now_us) noexcept
    cdef Call *open_call(self, int64_t now_us, int64_t *handle) noexcept
    cdef Call *find_call(self, int64_t handle) noexcept
    cdef void plan_end(self, Call *call, int64_t now_us, int64_t tokens_actual) noexcept
    cdef void finish(self, int64_t now_us) noexcept
    cdef bint take_all(self, Cell *cells, int count, Cell *last, int64_t tokens, int64_t now_us,
                       int64_t *handle) noexcept
    cpdef int admit(self, int64_t now_us, tuple fixed, tuple candidates, int64_t tokens,
                    Verdict verdict) except -1
    cdef int refuse_stale(self, int64_t at_us) noexcept
    cpdef int settle(self, int64_t now_us, int64_t handle, int64_t tokens_actual) except -1
    cpdef int cancel(self, int64_t now_us, int64_t handle) except -1
    cdef int end_one(self, int64_t now_us, uint64_t slot, uint64_t state) noexcept
