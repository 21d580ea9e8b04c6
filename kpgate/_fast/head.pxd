"""What other compiled modules may use of a request's head."""

from libc.stdint cimport int64_t


cdef class Head:
    cdef readonly bytes host
    cdef readonly bytes authorization
    cdef readonly bytes x_api_key
    cdef readonly bytes google_key
    cdef readonly bytes request_id
    cdef readonly bytes traceparent
    cdef readonly bytes tracestate
    cdef readonly bytes content_encoding
    cdef readonly bytes forwarded_for
    cdef readonly bytes idempotency_key
    cdef readonly bytes beta
    cdef readonly bytes cost_max
    cdef readonly str method
    cdef readonly bytes path
    cdef readonly bytes query
    cdef readonly int64_t content_length
    cdef readonly bint chunked
    cdef readonly bint modern
    cdef readonly bint bodiless
    cdef readonly bint keep_alive
    cdef readonly bint expects
    cdef readonly int fault_status
    cdef readonly str fault
    cdef bytes _raw
    cdef int _headers
    cdef bint _says_close
    cdef bint _says_keep

    cpdef bytes credential(self)
    cdef int _blame(self, int status, str words) except -1
    cdef const char *_line(self, const char *at, const char *end) except NULL
    cdef int _target(self, const char *at, const char *end) except -1
    cdef int _known(self, const char *name, Py_ssize_t size, const char *value, Py_ssize_t length) except -1
    cdef bytes _single(self, bytes old, const char *name, Py_ssize_t size, const char *value, Py_ssize_t n)
    cdef int _length(self, const char *value, Py_ssize_t length) except -1
    cdef int _judge(self) except -1


cdef const char *end_of_head(const char *at, Py_ssize_t size) noexcept nogil
cdef bint has_bare_lf(const char *at, Py_ssize_t size, bint after_cr) noexcept nogil
cdef Head refused(int status, str words)
cdef Head parse_at(const char *at, Py_ssize_t size)
