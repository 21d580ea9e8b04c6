"""The direct transport's parts, as they see each other."""

from libc.stdint cimport int64_t, uint8_t

from kpgate._fast.chunks cimport Chunks
from kpgate._fast.head cimport Head
from kpgate._fast.wait cimport Timer, Wait, Wheel


cdef class Lane:
    cdef readonly object loop
    cdef readonly Wheel wheel
    cdef readonly set clients
    cdef readonly bint draining
    cdef readonly int64_t turned_away
    cdef object _serve
    cdef object _error
    cdef object _alarm
    cdef object _preamble
    cdef int64_t _clients_max
    cdef int64_t _head_us
    cdef int64_t _idle_us
    cdef int64_t _body_idle_us
    cdef int64_t _write_stall_us
    cdef int64_t _rate_min
    cdef int64_t _second
    cdef dict _starts

    cdef bytes _start_of(self, int status)


cdef class Client(Timer):
    cdef readonly Lane lane
    cdef readonly Head head
    cdef readonly str peer
    cdef readonly int64_t received_us
    cdef readonly bint gone
    cdef object _transport
    cdef object _coroutine
    cdef object _leave
    cdef bytes _body
    cdef bytes _held
    cdef bytearray _heap
    cdef Chunks _chunks
    cdef Wait _reading
    cdef Wait _room
    cdef object _error
    cdef int64_t _due_us
    cdef int64_t _last_us
    cdef int64_t _began_us
    cdef int64_t _filled
    cdef int64_t _body_max
    cdef int64_t _left_bytes
    cdef uint8_t _state
    cdef uint8_t _output
    cdef uint8_t _probes
    cdef bint _paused
    cdef bint _write_paused
    cdef bint _chunked
    cdef bint _eof
    cdef bint _closing
    cdef bint _at_boundary

    cdef int _take(self, const char *at, Py_ssize_t size) except -1
    cdef int _introduce(self, const char *at, Py_ssize_t size) except -1
    cdef int _seek(self, const char *at, Py_ssize_t size) except -1
    cdef int _begin(self, Head head, const char *rest, Py_ssize_t size) except -1
    cdef int _fill(self, const char *at, Py_ssize_t size) except -1
    cdef int _end_body(self, str code, str words) except -1
    cdef int _keep(self, const char *at, Py_ssize_t size) except -1
    cdef int _hold(self, const char *at, Py_ssize_t size) except -1
    cdef int _run(self) except -1
    cdef int _adopt(self, object yielded) except -1
    cdef int _ended(self) except -1
    cdef int _rest(self) except -1
    cdef int _part(self) except -1
    cdef int _left(self, str words) except -1
    cdef int _shut(self) except -1
    cdef bytes _compose(self, int status, list headers, int64_t length, bytes body)
    cdef bint _moves(self) except -1
    cdef int _probe(self) except -1
    cdef int _due(self, int64_t in_us) except -1
    cdef int _pause(self) except -1
    cdef int _resume(self) except -1
