"""The outline of a value, for who counts its texts."""

cimport cython
from libc.stdint cimport int16_t, int64_t, uint8_t, uint32_t, uint64_t

from kpgate._fast.jsonwalk cimport Walk

cdef enum:
    MARKS_MAX = 16
    UNKNOWN = -1
    NODES_MAX = 32
    FIELDS_MAX = 64


cdef struct Field:
    const char *name
    Py_ssize_t size
    int16_t node


cdef struct Node:
    uint8_t kinds
    uint8_t mark
    bint single
    int16_t item
    int16_t first
    int16_t count
    uint32_t required


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


@cython.final
cdef class Shape:
    cdef Node nodes[NODES_MAX]
    cdef Field fields[FIELDS_MAX]
    cdef int node_count
    cdef int field_count
    cdef uint32_t counted
    cdef list names
    cdef int _add(self, value) except -1


@cython.final
cdef class Outline:
    cdef bytes body
    cdef Shape shape
    # The shape's own.
    cdef const Node *nodes
    cdef const Field *fields
    # The value was of the shape.
    cdef bint fits
    # Bit n is set if strings of mark n are counted.
    cdef uint32_t counted
    cdef Place *places
    cdef readonly Py_ssize_t count
    cdef public uint64_t owner
    cdef Py_ssize_t room
    cdef Py_ssize_t tallies[MARKS_MAX]
    cdef int note(self, uint8_t mark, Py_ssize_t start, Py_ssize_t end, bint escaped) noexcept nogil


cdef Outline new_outline(bytes body, Shape shape)
cdef Py_ssize_t walk_outlined(
    Outline out, const uint8_t *p, Py_ssize_t at, Py_ssize_t end, Walk *walk
) noexcept nogil
