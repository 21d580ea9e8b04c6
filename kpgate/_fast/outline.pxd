"""The outline of a value, for who counts its texts."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef enum:
    MARKS_MAX = 16
    UNKNOWN = -1


cdef struct Place:
    # A marked value in the body: a string without its quotes, anything else whole.
    Py_ssize_t start
    Py_ssize_t end
    uint8_t mark
    # The string holds escapes.
    bint escaped
    # Notes of who counts: how many tokens it has, UNKNOWN before that is known, and what it is known by.
    int64_t tokens
    uint64_t key[2]


cdef class Outline:
    cdef bytes body
    # Bit n is set if strings of mark n are counted.
    cdef uint32_t counted
    cdef Place *places
    cdef readonly Py_ssize_t count
    cdef public uint64_t owner
    cdef Py_ssize_t room
    cdef Py_ssize_t tallies[MARKS_MAX]
    cdef int note(self, uint8_t mark, Py_ssize_t start, Py_ssize_t end, bint escaped) noexcept nogil
