"""What other compiled modules may use of the decoder of chunked bodies."""

from libc.stdint cimport int64_t, uint8_t


cdef class Chunks:
    cdef readonly int64_t size
    cdef readonly bint complete
    cdef readonly str fault
    cdef bytearray _data
    cdef int64_t _left
    cdef int64_t _line
    cdef int64_t _framing
    cdef uint8_t _state

    cdef Py_ssize_t feed_at(self, const char *at, Py_ssize_t size) except -1
    cdef Py_ssize_t _sized(self, const char *at, const char *end) except -1
    cdef int _blame(self, str words) except -1
