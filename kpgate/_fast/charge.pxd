"""What other compiled modules may use of a charged call."""

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint32_t

cdef enum:
    LOTS = 4
    COUNTS_MAX = 10


@cython.final
cdef class Charge:
    cdef readonly int64_t lsn
    cdef readonly int64_t call
    cdef readonly int64_t time_us
    cdef readonly int64_t amount
    cdef readonly int64_t overrun
    cdef readonly int64_t held
    cdef readonly int64_t account
    cdef readonly int64_t party
    cdef readonly int64_t reason
    cdef readonly int64_t factor
    cdef readonly int64_t price_version
    cdef readonly bytes hold
    cdef readonly bytes post
    cdef readonly bint from_lots
    cdef public bint whole
    cdef int64_t counts[COUNTS_MAX]
    # Where the texts of the HOLD's note stand in it.
    cdef Py_ssize_t request_at
    cdef Py_ssize_t request_size
    cdef Py_ssize_t model_at
    cdef Py_ssize_t model_size

    cdef int read_hold(self) except -1
    cdef int read_post(self) except -1
    cpdef bytes budgets(self)


cpdef int64_t call_of(bytes body) except -1
