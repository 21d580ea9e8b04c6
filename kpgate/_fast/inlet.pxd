"""The body of a client's request, as the connection sees it."""

from libc.stdint cimport int64_t

from kpgate._fast.chunks cimport Chunks
from kpgate._fast.flow cimport Flow
from kpgate._fast.head cimport Head
from kpgate._fast.wait cimport Wait


cdef class Inlet(Flow):
    cdef readonly Head head
    cdef object _error
    cdef bytes _body
    cdef bytearray _heap
    # The beginning of a body where it was read to, while its call is begun: that may say where the body goes.
    cdef const char *_early
    cdef Py_ssize_t _early_bytes
    cdef Chunks _chunks
    cdef Wait _reading
    cdef Wait _peeking
    cdef object _sink
    cdef bytes _backlog
    cdef int64_t _body_max
    cdef int64_t _seen
    cdef int64_t _stopped_us
    cdef bint _closing
    cdef bint _surplus
    cdef bint _attended
    cdef bint _stopped

    cdef int _bound(self, int64_t bytes_max) except -1
    cdef int _attend(self) except -1
    cdef bint _attends(self) except -1
    cdef int _settle_body(self) except -1
    cdef bytes _look(self)
    cdef int _fill(self, const char *at, Py_ssize_t size) except -1
    cdef int _fill_chunks(self, const char *at, Py_ssize_t size) except -1
    cdef int _noticed(self, int64_t here) except -1
    cdef int _deliver(self) except -1
    cdef int _end_body(self, str code, str words) except -1
    cdef int _keep(self, const char *at, Py_ssize_t size) except -1
    cdef int _hold(self, const char *at, Py_ssize_t size) except -1
