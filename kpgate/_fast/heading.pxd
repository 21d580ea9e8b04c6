"""What other compiled modules may use of a reply's headers."""

cimport cython
from libc.stdint cimport int64_t

cdef enum:
    # An ordinary reply's headers, in an object that the C library's quick lists of free memory have place for.
    HEADING_BYTES = 880


@cython.final
cdef class Heading:
    cdef char *data
    cdef Py_ssize_t size
    cdef Py_ssize_t _room
    cdef char *_heap
    cdef char _own[HEADING_BYTES]

    cpdef int add(self, bytes name, bytes value) except -1
    cpdef int say(self, bytes name, str text) except -1
    cpdef int count(self, bytes name, int64_t number) except -1
    cpdef int last(self, bytes name, int64_t duration_us) except -1
    cpdef int extend(self, object headers) except -1
    cpdef int paste(self, bytes lines) except -1
    cpdef list pairs(self)
    cdef int _line(self, bytes name, const char *value, Py_ssize_t size) except -1
    cdef char *_begin(self, bytes name, Py_ssize_t size) except NULL
    cdef void _end(self, char *at) noexcept
    cdef int _grow(self, Py_ssize_t more) except -1


cpdef Heading no_headers()
