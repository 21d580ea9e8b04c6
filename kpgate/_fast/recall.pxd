"""What counts of texts are remembered, for who counts."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef enum:
    KEY_WORDS = 132


cdef struct Kept:
    uint64_t key[2]
    # One more than the tokens; 0 where nothing is kept.
    uint32_t tokens


cdef class Recall:
    cdef uint64_t secret[KEY_WORDS]
    cdef Kept *kept
    cdef void fingerprint(self, uint64_t owner, const uint8_t *at, Py_ssize_t size, uint64_t *key) noexcept nogil
    cdef int64_t find(self, const uint64_t *key) noexcept
    cdef void keep(self, const uint64_t *key, int64_t tokens) noexcept
