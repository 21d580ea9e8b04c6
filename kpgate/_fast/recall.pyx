# cython: auto_pickle=False, autotestdict=False
"""How many tokens texts had that were counted lately: a conversation is sent again with each of its turns.

Owns fingerprints under a secret of this process and the counts beside them, a fixed number; keeps no text. Knows no
vocabulary: each has one of its own.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

import os

cdef extern from "fingerprint.h" nogil:
    void kpgate_fingerprint(const uint8_t *p, size_t size, const uint64_t *key, uint64_t *out) noexcept

cdef enum:
    # Pairs of places: the one found or kept last stands first, the other one goes.
    PAIRS = 16384
    TOKENS_MAX = 0xFFFFFFFE


@cython.final
cdef class Recall:
    """The counts of one vocabulary. Order: `find` and `keep` with the interpreter held."""

    def __cinit__(self):
        cdef bytes secret = os.urandom(sizeof(self.secret))
        memcpy(self.secret, PyBytes_AS_STRING(secret), sizeof(self.secret))
        self.kept = <Kept *>calloc(2 * PAIRS, sizeof(Kept))
        if self.kept == NULL:
            raise MemoryError("no room for counts")

    def __dealloc__(self):
        free(self.kept)

    cdef void fingerprint(self, uint64_t owner, const uint8_t *at, Py_ssize_t size, uint64_t *key) noexcept nogil:
        """What a text of that owner is known by: how soon it is counted tells others nothing."""
        kpgate_fingerprint(at, size, self.secret, key)
        key[0] += owner * <uint64_t>0x9E3779B97F4A7C15
        key[1] += owner * <uint64_t>0xD6E8FEB86659FD93

    cdef int64_t find(self, const uint64_t *key) noexcept:
        """How many tokens it had, -1 for unknown."""
        cdef Kept *pair = self.kept + 2 * (key[0] & (PAIRS - 1))
        cdef Kept first
        if pair[0].tokens and pair[0].key[0] == key[0] and pair[0].key[1] == key[1]:
            return pair[0].tokens - 1
        if pair[1].tokens and pair[1].key[0] == key[0] and pair[1].key[1] == key[1]:
            first = pair[0]
            pair[0] = pair[1]
            pair[1] = first
            return pair[0].tokens - 1
        return -1

    cdef void keep(self, const uint64_t *key, int64_t tokens) noexcept:
        """Remember it. Order: `find` has just said that it is unknown."""
        cdef Kept *pair = self.kept + 2 * (key[0] & (PAIRS - 1))
        if tokens > TOKENS_MAX:
            return
        pair[1] = pair[0]
        pair[0] = Kept([key[0], key[1]], <uint32_t>tokens + 1)
