# cython: auto_pickle=False, autotestdict=False
"""The head of a request to a provider: what its deployment gives, and what this one request has behind it.

Owns how those lines are written, into one piece of memory. Knows no provider, and not what may be passed on.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy, strlen

from kpgate._fast.digits cimport DIGITS_MAX, digits_back
from kpgate._fast.head cimport Head
from kpgate._fast.utf8 cimport utf8_of

cdef char *LENGTH = b"content-length: "
cdef char *CHUNKED = b"transfer-encoding: chunked"
cdef char *ID = b"\r\nx-request-id: "
cdef char *PARENT = b"\r\ntraceparent: "
cdef char *STATE = b"\r\ntracestate: "
cdef char *KEY = b"\r\nidempotency-key: "
cdef char *BETA = b"\r\nopenai-beta: "
cdef char *END = b"\r\n\r\n"

cdef struct Piece:
    const char *at
    size_t size


cdef inline Piece *_put(Piece *piece, const char *at, size_t size) noexcept nogil:
    piece.at = at
    piece.size = size
    return piece + 1


cdef inline Piece *_put_line(Piece *piece, const char *name, bytes value) noexcept:
    """A line and how the one before it ends; nothing for no value."""
    if value is None:
        return piece
    return _put(_put(piece, name, strlen(name)), PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))


cpdef bytes write_head(bytes opening, Head head, str request_id, int64_t body_bytes, bytes parent=None):
    """`opening` and the lines behind it, with the empty line at their end: length, id, trace, and what is passed on.

    Shape: `parent` is the trace to be continued, None for none.
    Units: `body_bytes` is -1 for a body of which nobody knows: it goes in chunks.
    """
    cdef Piece pieces[16]
    cdef char digits[DIGITS_MAX]
    cdef char *number
    cdef Piece *end = pieces
    cdef Piece *piece = pieces
    cdef Py_ssize_t size = 0
    cdef const char *text = utf8_of(request_id, &size)
    cdef bytes whole
    cdef char *at
    end = _put(end, PyBytes_AS_STRING(opening), PyBytes_GET_SIZE(opening))
    if body_bytes >= 0:
        number = digits_back(digits + DIGITS_MAX, <uint64_t>body_bytes)
        end = _put(_put(end, LENGTH, strlen(LENGTH)), number, digits + DIGITS_MAX - number)
    else:
        end = _put(end, CHUNKED, strlen(CHUNKED))
    end = _put(_put(end, ID, strlen(ID)), text, size)
    end = _put_line(end, PARENT, parent)
    if parent is not None:
        end = _put_line(end, STATE, head.tracestate)
    end = _put_line(end, KEY, head.idempotency_key)
    end = _put_line(end, BETA, head.beta)
    end = _put(end, END, strlen(END))
    size = 0
    while piece < end:
        size += piece.size
        piece += 1
    whole = PyBytes_FromStringAndSize(NULL, size)
    at = PyBytes_AS_STRING(whole)
    piece = pieces
    while piece < end:
        memcpy(at, piece.at, piece.size)
        at += piece.size
        piece += 1
    return whole
