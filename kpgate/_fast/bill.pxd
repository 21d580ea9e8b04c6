"""What other compiled modules may use of prices and what comes of them."""

cimport cython
from libc.stdint cimport int64_t

cdef extern from *:
    ctypedef signed long long int128 "__int128"


@cython.final
cdef class Bill:
    cdef int64_t input
    cdef int64_t output
    cdef int64_t cached
    cdef int64_t reasoning
    cdef int64_t audio_input
    cdef int64_t audio_output
    cdef int64_t image
    cdef int64_t cache_write
    cdef int64_t cache_write_long
    cdef int64_t unit
    cdef int64_t request

    cpdef int64_t charge(
        self, int64_t prompt, int64_t output, int64_t cached, int64_t reasoning, int64_t heard, int64_t spoken,
        int64_t seen, int64_t written, int64_t kept, int64_t units, int64_t factor,
    ) except -1


@cython.final
cdef class Tariff:
    cdef readonly int64_t input
    cdef readonly int64_t output
    cdef readonly int64_t request
    cdef readonly int64_t margin
    cdef readonly int64_t unit
    cdef readonly tuple steps

    cdef Tariff at(self, int64_t prompt_tokens)
    cdef int128 fixed(self, int64_t prompt_tokens, int64_t units) noexcept
    cpdef int64_t bound(
        self, int64_t prompt_tokens, int64_t output_tokens, int64_t factor=*, int64_t units=*
    ) except -1
    cpdef int64_t affordable(
        self, int64_t amount, int64_t prompt_tokens, int64_t factor=*, int64_t units=*
    ) except? -1
