# cython: auto_pickle=False, autotestdict=False
"""The body of a client's request: read whole, looked at, or passed on as it comes.

Owns where its bytes go and how many of them are here at once, and how long its client may take. What stands behind
it waits for its turn. Knows its framing by the request's head, and errors by their code alone.
Source: RFC 9112 (November 2026).
"""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize, PyByteArray_GET_SIZE
from cpython.bytearray cimport PyByteArray_Resize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from kpgate._fast.flow cimport BODY, CLOSED, RATE_CHECK_US, SERVING, Flow
from kpgate._fast.wait cimport Wait

cdef enum:
    # Of what a client sends ahead of its turn, and of a body that nobody has asked for yet, or that goes on too slowly.
    AHEAD_BYTES_MAX = 16_384

cdef str TOO_LONG = "the body is longer than the %d bytes that are read"
cdef bytes CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


# house: final - a client's connection is one
cdef class Inlet(Flow):
    """What a connection does with a body.

    Order: `take_body` or `read_body`; or `peek` any number of times, then `read_body` or `pour`.
    """

    def take_body(self, int64_t bytes_max):
        """The request's body if it is here. None: `await read_body`.

        Errors: body_too_large.
        """
        if self._state == BODY:
            return None
        if PyBytes_GET_SIZE(self._body) > bytes_max:
            raise self._too_large(self.head.content_length, bytes_max)
        return self._body

    def read_body(self, int64_t bytes_max):
        """Await the request's body.

        Errors: body_too_large, request_timeout, client_gone, invalid_request for chunks that are none.
        """
        cdef Wait wait
        self._bound(bytes_max)
        wait = Wait(self.lane.loop)
        if self._error is not None:
            wait.fail(self._error)
        elif self._state != BODY:
            wait.resolve(self._body)
        else:
            self._reading = wait
            if self._chunks is None:
                self._settle_body()
            self._attend()
        return wait

    def peek(self, int64_t seen, int64_t bytes_max):
        """Await more of the body than `seen` bytes, or its end: all that is here of it, and stays here.

        Errors: as `read_body`.
        """
        cdef Wait wait
        cdef bytes here
        self._bound(bytes_max)
        wait = Wait(self.lane.loop)
        if self._early_bytes:
            self._hold(self._early, self._early_bytes)
            self._early_bytes = 0
        here = self._look()
        if self._error is not None:
            wait.fail(self._error)
        elif self._state != BODY or PyBytes_GET_SIZE(here) > seen:
            wait.resolve(here)
        else:
            self._peeking = wait
            self._seen = seen
            self._filled = PyBytes_GET_SIZE(here)
            self._attend()
        return wait

    def pour(self, object sink, int64_t seen=0):
        """Give the body to `sink` as it comes, but for its first `seen` bytes. None: to nobody any more.

        Order: `sink.take(piece, last)` until the last, unless that says False: then not before `follow`; or
        `sink.fail(error)` once.
        """
        cdef bytes here
        self._sink = sink
        self._backlog = None
        if sink is None:
            return
        self._stopped = False
        if self._error is not None:
            self._end_body(None, None)
            return
        here = self._look()
        self._backlog = here[seen:]
        if self._state == BODY:
            self._filled = PyBytes_GET_SIZE(here)
            self._heap = None
            if self._chunks is not None:
                self._chunks.take()
            self._attend()
        self._deliver()

    def follow(self):
        """The sink takes again. While it did not, its client's time stood still."""
        cdef int64_t now_us = self.lane.wheel.now_us
        if not self._stopped or self._sink is None:
            return
        self._stopped = False
        self._began_us += now_us - self._stopped_us
        self._last_us = now_us
        if self._state == BODY:
            self._due(min(self.lane.body_idle_us, RATE_CHECK_US))
            self._resume()
        self._deliver()

    # Inside

    cdef int _bound(self, int64_t bytes_max) except -1:
        cdef int64_t size = 0 if self._chunks is None else self._chunks.size
        if self.head.content_length > bytes_max or size > bytes_max:
            raise self._too_large(self.head.content_length, bytes_max)
        self._body_max = bytes_max
        return 0

    def _too_large(self, int64_t length, int64_t bytes_max):
        if length > bytes_max:
            said = f"the body is {length} bytes; at most {bytes_max} are read"
        else:
            said = TOO_LONG % bytes_max
        return self.lane.error("body_too_large", said)

    cdef int _attend(self) except -1:
        """Have the client send, in time from now on; its pace is measured from the first time."""
        self._last_us = self.lane.wheel.now_us
        if not self._attended:
            self._attended = True
            self._began_us = self._last_us
            if self.head.expects and self.head.modern and not self._filled:
                self.lane.outbox.put(self._transport, CONTINUE)
        self._due(min(self.lane.body_idle_us, RATE_CHECK_US))
        return self._resume()

    cdef bint _attends(self) except -1:
        """Whether somebody waits for more of the body."""
        if self._sink is not None:
            return not self._stopped
        return self._peeking is not None or (self._reading is not None and not self._reading.done)

    cdef int _settle_body(self) except -1:
        """Make room for a body of a known length, with what is here of it: the rest is read to its place."""
        cdef Py_ssize_t size = self._early_bytes
        self._body = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>self.head.content_length)
        if size:
            memcpy(PyBytes_AS_STRING(self._body), self._early, size)
            self._early_bytes = 0
        elif self._heap is not None:
            size = PyByteArray_GET_SIZE(self._heap)
            memcpy(PyBytes_AS_STRING(self._body), PyByteArray_AS_STRING(self._heap), size)
            self._heap = None
        self._filled = size
        return 0

    cdef bytes _look(self):
        """What is here of the body."""
        if self._state != BODY:
            return self._body
        if self._chunks is not None:
            return bytes(self._chunks._data)
        return b"" if self._heap is None else bytes(self._heap)

    cdef int _fill(self, const char *at, Py_ssize_t size) except -1:
        """A piece of a body that is not read to its place."""
        cdef Py_ssize_t used
        cdef bytearray heap
        if self._chunks is not None:
            return self._fill_chunks(at, size)
        if self._sink is not None:
            used = <Py_ssize_t>min(self.head.content_length - self._filled, <int64_t>size)
            self._filled += used
            self._backlog += at[:used]
            if self._filled == self.head.content_length:
                self._state = SERVING
            if used < size:
                self._keep(at + used, size - used)
            return self._deliver()
        self._hold(at, size)
        heap = self._heap
        if PyByteArray_GET_SIZE(heap) < self.head.content_length:
            self._filled = PyByteArray_GET_SIZE(heap)
            return self._noticed(self._filled)
        used = <Py_ssize_t>self.head.content_length
        self._body = PyBytes_FromStringAndSize(PyByteArray_AS_STRING(heap), used)
        self._heap = None
        at = PyByteArray_AS_STRING(heap) + used
        size = PyByteArray_GET_SIZE(heap) - used
        self._end_body(None, None)
        if size and self._state != CLOSED:
            self._keep(at, size)
        return 0

    cdef int _fill_chunks(self, const char *at, Py_ssize_t size) except -1:
        cdef Py_ssize_t used = self._chunks.feed_at(at, size)
        if self._chunks.fault is not None:
            return self._end_body("invalid_request", self._chunks.fault)
        if self._attended and self._chunks.size > self._body_max:
            return self._end_body("body_too_large", TOO_LONG % self._body_max)
        self._filled = self._chunks.size
        if self._chunks.complete and used < size:
            self._keep(at + used, size - used)
        if self._sink is not None:
            self._backlog += self._chunks.take()
            if self._chunks.complete:
                self._state = SERVING
            return self._deliver()
        if self._chunks.complete:
            self._body = self._chunks.take()
            return self._end_body(None, None)
        return self._noticed(self._filled)

    cdef int _noticed(self, int64_t here) except -1:
        """So much of the body is here: tell who peeks, and read no further for nobody."""
        cdef Wait wait = self._peeking
        if wait is not None and here > self._seen:
            self._peeking = None
            wait.resolve(self._look())
        elif here > AHEAD_BYTES_MAX and not self._attends():
            self._pause()
        return 0

    cdef int _deliver(self) except -1:
        """Give on what is here, if it is wanted now. The last thing a callback does: whoever waits may run."""
        cdef bytes piece = self._backlog
        cdef bint last = self._state != BODY
        sink = self._sink
        if sink is None:
            return 0
        if self._stopped:
            return self._pause() if PyBytes_GET_SIZE(piece) > AHEAD_BYTES_MAX else 0
        if PyBytes_GET_SIZE(piece) == 0 and not last:
            return 0
        self._backlog = b""
        if last:
            self._sink = None
        if not sink.take(piece, last) and self._sink is sink:
            self._stopped = True
            self._stopped_us = self.lane.wheel.now_us
        return 0

    cdef int _end_body(self, str code, str words) except -1:
        """The body is whole, or will never be. The last thing a callback does: whoever waited may run."""
        cdef Wait wait = self._reading if self._peeking is None else self._peeking
        sink = self._sink
        self._peeking = self._sink = None
        if code is not None:
            self._closing = True
            self._error = self.lane.error(code, words)
        elif self._error is None:
            self._state = SERVING
        if wait is not None:
            if self._error is None:
                wait.resolve(self._body)
            else:
                wait.fail(self._error)
        if sink is not None and self._error is not None:
            sink.fail(self._error)
        return 0

    cdef int _keep(self, const char *at, Py_ssize_t size) except -1:
        """What came ahead of its turn."""
        if self._closing:
            self._surplus = True
        else:
            self._hold(at, size)
            if PyByteArray_GET_SIZE(self._heap) > AHEAD_BYTES_MAX:
                self._pause()
        return 0

    cdef int _hold(self, const char *at, Py_ssize_t size) except -1:
        cdef Py_ssize_t before
        if self._heap is None:
            self._heap = PyByteArray_FromStringAndSize(at, size)
            return 0
        before = PyByteArray_GET_SIZE(self._heap)
        PyByteArray_Resize(self._heap, before + size)
        memcpy(PyByteArray_AS_STRING(self._heap) + before, at, size)
        return 0
