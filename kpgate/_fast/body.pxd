"""What other compiled modules may use of a body that was scanned."""

cimport cython
from libc.stdint cimport int16_t, uint8_t, uint64_t

from kpgate._fast.outline cimport Outline, Shape

cdef enum:
    KEYS_MAX = 64
    BUCKETS = 128


cdef struct Member:
    Py_ssize_t key
    Py_ssize_t start
    Py_ssize_t end


@cython.final
cdef class Keys:
    cdef readonly tuple names
    cdef tuple encoded
    cdef tuple quoted
    cdef int count
    cdef int16_t head[BUCKETS]
    cdef int16_t following[KEYS_MAX]
    cdef const uint8_t* texts[KEYS_MAX]
    cdef Py_ssize_t sizes[KEYS_MAX]
    cdef int find(self, const uint8_t* text, Py_ssize_t size) noexcept nogil
    cdef int find_escaped(self, const uint8_t* p, Py_ssize_t at, Py_ssize_t end) noexcept nogil


@cython.final
cdef class Scan:
    cdef bytes body
    cdef Keys keys
    cdef Member* members
    cdef uint64_t seen
    cdef readonly Py_ssize_t first
    cdef readonly Py_ssize_t count
    cdef readonly Py_ssize_t nested
    cdef bint lone
    # The places of the key that was given twice, and of the one whose value is outlined; -1 for none.
    cdef int twice
    cdef int outlined
    cdef readonly Outline outline
    cdef Member few[8]
    cdef int begin(self, bytes body, Keys keys) except -1
    cdef Member* member(self, Py_ssize_t i) except? NULL
    cdef uint8_t opening(self, Member* member) noexcept
    cdef object wrong(self, Py_ssize_t i, str reason)
    cpdef Py_ssize_t start(self, Py_ssize_t i) except -2
    cpdef Py_ssize_t end(self, Py_ssize_t i) except -2


cpdef Scan scan(bytes body, Keys keys, int depth_max=*, int outlined=*, Shape shape=*)
