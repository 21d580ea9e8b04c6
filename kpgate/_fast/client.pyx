# cython: auto_pickle=False, autotestdict=False
"""The direct transport: a client's HTTP/1.1 connection.

Owns the framing of requests and replies, every time-out of a client and back-pressure both ways; a request's body
is its inlet's. A connection is the exchange of the request it carries, one at a time: what a client sends ahead
waits, unread as far as it can. Knows no dialect, and errors by their code alone.
Source: RFC 9112 (November 2026); uvloop 0.23, whose buffered protocols read into one buffer of ours.
"""

cimport cython
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdint cimport int64_t, uint8_t

from kpgate._fast.chunks cimport Chunks
from kpgate._fast.flow cimport BODY, CLOSED, HEAD, LINGER, LINGER_IDLE_US, OPENING, RATE_CHECK_US, SERVING, UNSENT
from kpgate._fast.head cimport Head, end_of_head, has_bare_lf, parse_at, refused
from kpgate._fast.inlet cimport Inlet
from kpgate._fast.lane cimport CHUNKED, CLOSING, KEPT, Lane, frame
from kpgate._fast.wait cimport Wait, clock_us


cdef extern from "Python.h":
    enum:
        PyBUF_WRITE

cdef enum:
    # A head and 64 KB of body in one read.
    READ_BYTES = 131_072
    HEAD_BYTES_MAX = 65_536
    PREAMBLE_BYTES_MAX = 4096
    BODY_READ_BYTES = 1_048_576
    JOINED_BYTES_MAX = 65_536
    # A piece that was sent in part stays as a whole: what comes behind it waits until the system has all of it.
    UNSENT_BYTES_MAX = 0
    LINGER_BYTES_MAX = 67_108_864
    PROBE_FIRST_US = 300_000
    PROBE_SECOND_US = 200_000
    PROBE_US = 1_000_000

cdef enum:
    NOTHING = 0
    OPEN = 1
    ENDED = 2

cdef tuple STATES = ("opening", "head", "body", "serving", "unsent", "linger", "closed")
cdef str CUT_SHORT = "the client left before its body was complete"
cdef bytes CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
cdef bytes LAST_CHUNK = b"0\r\n\r\n"
cdef bytes COMMENT = b"3\r\n:\n\n\r\n"

# All connections of a worker read into one buffer: a read is parsed and copied out before the next begins.
cdef bytearray _shared = bytearray(READ_BYTES)
cdef char *_shared_start = PyByteArray_AS_STRING(_shared)


@cython.final
cdef class Client(Inlet):
    """One client's connection, a buffered protocol of the loop, and the exchange of the request it carries.

    Order: as `services/exchange.py` says. It is its own timer.
    """

    cdef readonly str method
    cdef readonly bytes path
    cdef readonly bytes query
    cdef readonly str peer
    cdef readonly int64_t received_us
    cdef readonly bint gone
    cdef object _leave
    cdef bytes _held
    cdef Wait _room
    cdef uint8_t _output, _probes
    cdef bint _chunked, _eof, _at_boundary, _turning

    def __init__(self, Lane lane not None):
        self.lane = lane
        self._state = CLOSED

    # What the gateway asks

    @property
    def headers(self):
        """All headers, read anew each time."""
        return self.head.pairs()

    def watch(self, leave):
        """Call `leave` once if the client goes away from now on; at once if it has gone."""
        if self.gone:
            leave()
        else:
            self._leave = leave

    def reply(self, int status, object headers not None, bytes body not None):
        """Send a whole reply; `content-length` is added."""
        cdef bytes data
        cdef Py_ssize_t length
        self._check(status)
        self._output = ENDED
        if self.gone:
            return
        if self._state == BODY or self.lane.draining or self._is_last():
            self._closing = True
        length = PyBytes_GET_SIZE(body)
        if self.head.bodiless:
            body = b""
        if PyBytes_GET_SIZE(body) <= JOINED_BYTES_MAX:
            data = self.lane.compose(status, headers, length, body, self._flags())
            self.lane.outbox.put(self._transport, data)
        else:
            self.lane.outbox.put(self._transport, self.lane.compose(status, headers, length, b"", self._flags()))
            self.lane.outbox.put(self._transport, body)

    def open(self, int status, object headers not None):
        """Send a stream's head; it leaves with the first piece."""
        self._check(status)
        self._output = OPEN
        self._chunked = self.head.modern
        if self._state != BODY:
            # A stream may last for hours; its request was read.
            self._body = self._reading = None
        if self._state == BODY or self.lane.draining or not self._chunked or self._is_last():
            self._closing = True
        self._held = self.lane.compose(status, headers, -1, b"", self._flags())

    def write(self, bytes chunk not None):
        """Send a piece of the stream. False: wait for `room` before the next one."""
        cdef bytes held = self._held
        cdef Py_ssize_t size = PyBytes_GET_SIZE(chunk)
        if self.gone or size == 0:
            return not self.gone
        self._at_boundary = size > 2 and chunk[size - 1] == c"\n" and (
            chunk[size - 2] == c"\n" or (chunk[size - 2] == c"\r" and chunk[size - 3] == c"\n"))
        self._held = None
        self.lane.outbox.put(self._transport, frame(held, chunk, self._chunked))
        return not self._write_paused and not self.gone

    def room(self):
        """Await until the client has taken what was written.

        Errors: client_gone, also when it stands still for too long.
        """
        cdef Wait wait = self._room
        if wait is None:
            wait = self._room = Wait(self.lane.loop)
        else:
            wait.reset()
        if self.gone:
            wait.fail(self.lane.error("client_gone", "the client closed its connection"))
        elif not self._write_paused:
            wait.resolve()
        else:
            self._measure()
            self._due(self.lane.write_stall_us)
        return wait

    def finish(self):
        """End the stream well."""
        cdef bytes held = self._held
        if self._output != OPEN:
            return
        self._output = ENDED
        self._held = None
        if self.gone:
            return
        if self._chunked:
            self.lane.outbox.put(self._transport, LAST_CHUNK if held is None else held + LAST_CHUNK)
        elif held is not None:
            self.lane.outbox.put(self._transport, held)

    def abort(self):
        """End the stream so that the client sees it was cut; without one, close."""
        cdef uint8_t output = self._output
        if output == ENDED:
            return
        self._held = None
        self._output = ENDED
        self._closing = True
        self._state = CLOSED
        if self._transport is not None:
            # What was sent arrives, its end does not.
            cut = self._close if self._chunked or output == NOTHING else self._reset
            self.lane.outbox.then(self._transport, cut)

    # What the loop does

    def connection_made(self, transport):
        """The loop: somebody connected."""
        cdef Lane lane = self.lane
        if len(lane.clients) >= lane.clients_max or lane.draining:
            lane.turned_away += 1
            transport.abort()
            return
        self._transport = transport
        lane.clients.add(self)
        transport.set_write_buffer_limits(high=UNSENT_BYTES_MAX, low=0)
        name = transport.get_extra_info("peername")
        self.peer = name[0] if name and isinstance(name, tuple) else ""
        self._state = HEAD if lane.preamble is None else OPENING
        self._due(lane.head_us)

    def connection_lost(self, exc):
        """The loop: the connection is closed, by whomever."""
        self.lane.clients.discard(self)
        self.cancel()
        self._transport = None
        self._state = CLOSED
        self._heap = None
        self._left("the client closed its connection before the reply was complete")

    def eof_received(self):
        """The loop: the client will send no more. It may still read: whole requests are answered."""
        self._eof = True
        if self._state == BODY:
            self._end_body("client_gone", CUT_SHORT)
        elif not self._transport.can_write_eof():
            # TLS ends both ways at once.
            self._left("the client closed its connection before the reply was complete")
        elif self._state == SERVING and self.head.modern:
            self._probes = 0
            self._due(PROBE_FIRST_US)
            return True
        elif self._state == SERVING:
            self._left("the client closed its connection before the reply was complete")
        elif self._state == HEAD:
            return self._turning
        else:
            return self._state == UNSENT or (
                self._state == LINGER and self._transport.get_write_buffer_size() > 0
            )
        return False

    def get_buffer(self, sizehint):
        """The loop: where to read into. A long body is read to where it stays."""
        cdef int64_t left
        cdef char *at
        if self._reading is not None and self._chunks is None and self._state == BODY:
            left = min(self.head.content_length - self._filled, BODY_READ_BYTES)
            at = PyBytes_AS_STRING(self._body) + self._filled
            return PyMemoryView_FromMemory(at, <Py_ssize_t>left, PyBUF_WRITE)
        return _shared

    def buffer_updated(self, Py_ssize_t nbytes):
        """The loop: so many bytes were read."""
        self._last_us = self.lane.wheel.now_us
        if self._reading is not None and self._chunks is None and self._state == BODY:
            self._filled += nbytes
            # Read no further than the body: what stands behind it is still to be read.
            self._surplus = True
            if self._filled == self.head.content_length:
                self._end_body(None, None)
        else:
            self._take(_shared_start, nbytes)

    def pause_writing(self):
        """The loop: the client does not take what is written."""
        self._write_paused = True

    def resume_writing(self):
        """The loop: it takes again."""
        self._write_paused = False
        if self._state == UNSENT:
            self._rest()
        elif self._room is not None and not self._room.done:
            self._room.resolve()

    cpdef object fire(self):
        """The wheel: time has passed, for whatever it was armed."""
        cdef Lane lane = self.lane
        cdef int64_t now_us = lane.wheel.now_us
        if self._transport is None or self._due_us == 0:
            return
        if now_us < self._due_us:
            lane.wheel.add(self, self._due_us)
        elif self._state == OPENING or self._state == HEAD:
            if self._heap is not None and self._state == HEAD:
                self._heap = None
                self._begin(refused(408, "the request's head took too long to arrive"), NULL, 0)
            else:
                self._shut()
        elif self._state == BODY:
            if not self._attends():
                return
            if now_us - self._last_us >= lane.body_idle_us or self._crawls(now_us):
                self._end_body("request_timeout", "the body stopped arriving, or came too slowly")
            else:
                self._due(min(lane.body_idle_us, RATE_CHECK_US))
        elif self._state == LINGER:
            if self._lingers(now_us):
                self._due(min(lane.write_stall_us, LINGER_IDLE_US))
            else:
                self._transport.abort()
        elif self._state == UNSENT:
            if self._moves():
                self._due(lane.write_stall_us)
            else:
                self._transport.abort()
        elif self._state == CLOSED:
            self._transport.abort()
        elif self._room is not None and not self._room.done:
            if self._moves():
                self._due(lane.write_stall_us)
            else:
                self._transport.abort()
                self._left("the client stopped reading")
        elif self._eof and self._state == SERVING:
            self._probe()

    def dismiss(self):
        """Close if no request is under way."""
        if self._state == OPENING or (self._state == HEAD and self._heap is None):
            self.lane.outbox.then(self._transport, self._dismiss)

    def _dismiss(self):
        if self._state == OPENING or (self._state == HEAD and self._heap is None):
            if self._transport.get_write_buffer_size():
                self._linger()
            else:
                self._shut()

    cdef int _suspended(self) except -1:
        if self._held is not None and self._transport is not None:
            self.lane.outbox.put(self._transport, self._held)
            self._held = None
        return 0

    cdef int _ended(self, object error) except -1:
        """The call has ended: on to the next one, or close."""
        if error is not None:
            self.lane.alarm(error)
        self._leave = self._error = self._reading = self._chunks = None
        if self._transport is None or self._state == CLOSED:
            return 0
        if self._output == NOTHING and not self.gone:
            self.reply(*self.lane.failed)
        if self._output != ENDED:
            self.abort()
            return 0
        return self._part() if self._closing or self._is_last() else self._rest()

    cdef int _rest(self) except -1:
        """Ready for the next request, once this one's reply has been taken."""
        self._body = None
        if self._write_paused:
            self._state = UNSENT
            self._measure()
            return self._due(self.lane.write_stall_us)
        if self._is_last() or self.lane.draining:
            return self._part()
        self._state = HEAD
        self._due(self.lane.idle_us)
        if self._heap is not None:
            # Not at once: a thousand requests in one packet would be a thousand calls deep.
            self._turning = True
            self.lane.loop.call_soon(self._next)
        else:
            self._resume()
        return 0

    def _next(self):
        cdef bytearray heap = self._heap
        self._turning = False
        if self._state == HEAD and heap is not None:
            self._heap = None
            self._resume()
            self._seek(PyByteArray_AS_STRING(heap), PyByteArray_GET_SIZE(heap))
            if self._eof and self._state == HEAD and not self._turning:
                # The rest of this one will never come.
                self._part()

    cdef int _part(self) except -1:
        """Close, so that the client still gets what was sent: closing on unread bytes would take it away."""
        self._closing = True
        return self.lane.outbox.then(self._transport, self._leave_off)

    def _leave_off(self):
        cdef bint unread = self._state == BODY or self._surplus or self.head.fault_status != 0
        if self._state == CLOSED:
            return
        unread = unread or self._heap is not None
        self._heap = self._body = None
        if (self._eof or not unread) and self._transport.get_write_buffer_size() == 0:
            self._shut()
        else:
            self._linger()

    cdef int _left(self, str words) except -1:
        """The client has gone: whatever the call waits for ends."""
        cdef Wait reading = self._reading
        cdef Wait room = self._room
        if self.gone or self._coroutine is None:
            self.gone = True
            return 0
        self.gone = True
        leave, self._leave = self._leave, None
        error = self._error = self.lane.error("client_gone", words)
        if self._peeking is not None:
            reading, self._peeking = self._peeking, None
        if reading is not None and not reading.done:
            reading.fail(error)
        if room is not None and not room.done:
            room.fail(error)
        if leave is not None:
            leave()
        return 0

    # Reading

    cdef int _take(self, const char *at, Py_ssize_t size) except -1:
        if self._state == HEAD and not self._turning:
            return self._seek(at, size)
        if self._state == BODY:
            return self._fill(at, size)
        if self._state == SERVING or self._state == UNSENT or self._state == HEAD:
            return self._keep(at, size)
        if self._state == OPENING:
            return self._introduce(at, size)
        if self._state == LINGER:
            self._filled += size
            if self._filled > LINGER_BYTES_MAX:
                self._transport.abort()
        return 0

    cdef int _introduce(self, const char *at, Py_ssize_t size) except -1:
        """Read what the load balancer says of the client, before anything else."""
        cdef bytearray heap
        cdef Py_ssize_t length
        self._hold(at, size)
        try:
            found = self.lane.preamble(bytes(self._heap[:PREAMBLE_BYTES_MAX]))
        except ValueError:
            self._transport.abort()
            return 0
        if found is None:
            if PyByteArray_GET_SIZE(self._heap) >= PREAMBLE_BYTES_MAX:
                self._transport.abort()
            return 0
        length, peer = found
        if peer is not None:
            self.peer = peer
        heap, self._heap = self._heap, None
        self._state = HEAD
        if PyByteArray_GET_SIZE(heap) > length:
            self._seek(PyByteArray_AS_STRING(heap) + length, PyByteArray_GET_SIZE(heap) - length)
        return 0

    cdef int _seek(self, const char *at, Py_ssize_t size) except -1:
        """Look for the end of a head."""
        cdef bytearray heap = self._heap
        cdef Py_ssize_t before = 0
        cdef const char *new = at
        cdef Py_ssize_t new_size = size
        cdef const char *stop
        cdef Py_ssize_t searched
        if heap is not None:
            before = PyByteArray_GET_SIZE(heap)
            self._hold(at, size)
            at = PyByteArray_AS_STRING(heap)
            size += before
            new = at + before
        while size >= 2 and at[0] == c"\r" and at[1] == c"\n":
            # RFC 9112, section 2.2: empty lines in front of a request are passed over.
            at += 2
            size -= 2
        if size == 0:
            self._heap = None
            return 0
        new = max(new, at)
        new_size = at + size - new
        searched = max(0, new - at - 3)
        stop = end_of_head(at + searched, size - searched)
        if stop is not NULL:
            self._heap = None
            return self._begin(parse_at(at, stop - at), stop, size - (stop - at))
        if heap is None:
            self._hold(at, size)
            if at[0] != c"\r":
                # Not for empty lines: those would put the end off for ever.
                self._due(self.lane.head_us)
        if size > HEAD_BYTES_MAX:
            self._heap = None
            return self._begin(refused(431, f"the head is longer than {HEAD_BYTES_MAX} bytes"), NULL, 0)
        if at[0] <= c" " and (at[0] != c"\r" or size > 1):
            self._heap = None
            return self._begin(refused(400, "what was sent is not HTTP"), NULL, 0)
        if has_bare_lf(new, new_size, new > at and (new - 1)[0] == c"\r"):
            self._heap = None
            return self._begin(refused(400, "a line of the head does not end with CR and LF"), NULL, 0)
        return 0

    cdef int _begin(self, Head head, const char *rest, Py_ssize_t size) except -1:
        """A request has come: as far as it is here, serve it."""
        cdef int64_t length = head.content_length
        self.head = head
        self.method = head.method
        self.path = head.path
        self.query = head.query
        self.received_us = clock_us()
        self._output = NOTHING
        self._chunked = self._surplus = False
        # Where the message behind an unfit head ends, nobody knows.
        self._closing = not head.keep_alive or head.fault_status != 0
        self._state = SERVING
        self._body = b""
        self._filled = 0
        self._early_bytes = 0
        if head.fault_status:
            size = 0
        elif head.chunked:
            self._state = BODY
            self._chunks = Chunks()
        elif length > 0:
            if size >= length:
                self._body = PyBytes_FromStringAndSize(rest, <Py_ssize_t>length)
                rest += length
                size -= <Py_ssize_t>length
            else:
                self._state = BODY
        if size:
            if self._state != BODY:
                self._keep(rest, size)
            elif self._chunks is not None:
                self._fill(rest, size)
            else:
                self._early, self._early_bytes = rest, size
        if self._state == BODY:
            self._attended = False
        if self._eof:
            if self._state == BODY:
                self._end_body("client_gone", CUT_SHORT)
            self._probes = 0
            self._due(PROBE_FIRST_US)
        self.drive(self.lane.loop, self.lane.serve(self))
        size, self._early_bytes = self._early_bytes, 0
        return self._fill(rest, size) if size and self._state == BODY else 0

    # Inside

    cdef int _check(self, int status) except -1:
        if not 200 <= status <= 599:
            raise ValueError(f"a reply's status is from 200 to 599, not {status}")
        if self._output != NOTHING:
            raise AssertionError("a reply begins once")
        return 0

    cdef bint _is_last(self) noexcept:
        """Whether no request can come behind this one: the client sends no more, and nothing is left."""
        return self._eof and self._heap is None

    cdef int _flags(self) noexcept:
        cdef int flags = KEPT * (not self.head.modern) + CHUNKED * self._chunked
        return flags + CLOSING * self._closing

    cdef int _probe(self) except -1:
        """Ask a client that sends no more whether it still reads: only what is written tells."""
        if self._output == NOTHING:
            self.lane.outbox.put(self._transport, CONTINUE)
        elif self._output == OPEN and self._chunked and self._at_boundary and not self._write_paused:
            self.lane.outbox.put(self._transport, COMMENT)
        self._probes += self._probes < 2
        return self._due(PROBE_SECOND_US if self._probes == 1 else PROBE_US)

    def __repr__(self):
        return f"<Client {STATES[self._state]}{' gone' if self.gone else ''} {self.head!r}>"
