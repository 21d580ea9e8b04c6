"""What other compiled modules may use of an upstream connection."""

from libc.stdint cimport int64_t, uint8_t, uint32_t

from kpgate._fast.outbox cimport Outbox
from kpgate._fast.wait cimport Wait


cdef class Connection:
    cdef readonly object loop
    cdef public object owner
    cdef public int64_t born_us
    cdef public int64_t idle_since_us
    cdef readonly int64_t served
    cdef readonly int64_t reads

    cdef public int status
    cdef public bytes content_type
    cdef readonly bytes content_encoding
    cdef readonly bytes retry_after
    cdef readonly bytes request_id
    cdef readonly int64_t content_length
    cdef readonly bint chunked
    cdef readonly bytes passing
    cdef readonly bint reply_started
    cdef readonly bint complete
    cdef readonly bint secure

    cdef tuple _prefixes
    cdef Outbox _outbox
    cdef object _transport
    cdef object _socket
    cdef object _parser
    cdef object _error
    cdef Wait _wait
    cdef list _pieces
    # A body that came in one piece with its head, instead of a list of one.
    cdef bytes _alone
    cdef list _unsent
    cdef object _sink
    cdef str _fault
    cdef int64_t _unread
    cdef int64_t _limit
    cdef int64_t _head_bytes
    cdef int64_t _header_bytes
    cdef int64_t _framing_bytes
    cdef int64_t _body_bytes
    cdef uint32_t _headers
    cdef uint8_t _state
    cdef uint8_t _wanted
    cdef bint _alive
    cdef bint _interim
    cdef bint _until_eof
    cdef bint _keep_alive
    cdef bint _surplus
    cdef bint _paused
    cdef bint _write_paused

    cpdef object send(self, bytes head, object body=*)
    cpdef object begin(self, bytes head, object sink)
    cpdef bint push(self, bytes data) except -1
    cpdef object end(self)
    cpdef Wait head(self)
    cpdef Wait chunk(self)
    cpdef object hold(self)
    cpdef Wait whole(self, int64_t bytes_max)
    cpdef bytes take_whole(self)
    cpdef object fail(self, object error)
    cpdef object abort(self)
    cpdef bint is_idle(self) noexcept
    cpdef bint rest(self) except -1
    cdef bint _clean(self) except -1
    cdef int _take(self, const char *name, Py_ssize_t size, const char *value, Py_ssize_t value_size) except -1
    cdef bint _whole_at(self, const char *at, Py_ssize_t size) except -1
    cdef bint _not_plain(self) except -1
    cdef int _transfer(self, bytes value) except -1
    cdef int _note(self, str fault) except -1
    cdef int _decide(self) except -1
    cdef int _put(self, bytes data) except -1
    cdef Wait _arm(self)
    cdef bytes _grab(self)
    cdef int _pause(self) except -1
    cdef int _resume(self) except -1
    cdef int _fail_with(self, str reason) except -1
    cdef object _lost(self, str reason)
