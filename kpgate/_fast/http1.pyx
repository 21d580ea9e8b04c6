# cython: auto_pickle=False, autotestdict=False
"""One upstream HTTP/1.1 connection: one write out, a parsed reply in, streaming, back-pressure.

Owns the state of one socket and says whether it may carry another call. The parser's callbacks only take
notes; what they mean is decided when `feed_data` has returned: a callback must not run a caller's code, and
bytes behind a reply have to be seen first. Knows no provider and no time-out: a wait is ended by `fail`.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport strtoll
from libc.string cimport memcmp, memcpy

from kpgate._fast.head cimport end_of_head
from kpgate._fast.heading cimport Heading
from kpgate._fast.line cimport end_of_line, end_of_name, is_number, number_of, same_name, with_line
from kpgate._fast.outbox cimport Outbox
from kpgate._fast.wait cimport Wait

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

cdef extern from "Python.h":
    enum:
        PyBUF_READ

cdef enum:
    READ_BYTES = 32_768
    # Of a stream: what was read of an event that is not whole stays for as long as its reader stands still.
    STREAM_READ_BYTES = 8192
    HEAD_BYTES_MAX = 65_536
    HEADERS_MAX = 200
    UNREAD_BYTES_MAX = 16_384
    # Chunk sizes, extensions and trailers: so much in one go, and so much more for each byte of body.
    FRAMING_BYTES_MAX = 65_536
    FRAMING_PER_BODY_BYTE = 16
    # Up to here a copy is cheaper than another piece; beyond, slices, so that encrypting a large body does not hold up
    # the loop.
    JOINED_BYTES_MAX = 16_384
    SLICE_BYTES = 262_144
    TLS_READ_BUFFER_BYTES = 16_384

cdef enum:
    NEW = 0
    IDLE = 1
    HEAD = 2
    BODY = 3
    DONE = 4

cdef enum:
    NOTHING = 0
    THE_HEAD = 1
    A_CHUNK = 2
    ALL_OF_IT = 3

cdef tuple STATES = ("new", "idle", "head", "body", "done")
cdef tuple PHASES = ("connect", "send", "head", "body", "body")

# All connections of a worker read into one buffer: a read is parsed and copied out before the next begins.
cdef bytearray _shared = bytearray(READ_BYTES)
cdef char *_shared_start = PyByteArray_AS_STRING(_shared)
cdef object _shared_part = memoryview(_shared)[:STREAM_READ_BYTES]


class UpstreamLost(Exception):
    """An upstream connection could not be made, or ended before its reply was whole.

    Shape: `phase` connect, send, head or body; `reason` a phrase for people, without secrets; `reply_started`
    whether any byte of a reply had been seen; `timeout` whether time ran out.
    """

    def __init__(self, phase, reason, reply_started=False, timeout=False):
        super().__init__(phase, reason, reply_started, timeout)
        self.phase = phase
        self.reason = reason
        self.reply_started = reply_started
        self.timeout = timeout

    def __str__(self):
        return f"{self.phase}: {self.reason}"


cdef class Connection:
    """An upstream connection as a buffered protocol of the loop.

    Order: `send`, `head`, then `whole`, or `chunk` until `b""`, then `rest` or `abort`; `fail` at any time.
    The head's attributes stand from the end of `head` to the next `send`. One waits at a time.
    Errors: UpstreamLost, or what `fail` was given.
    """

    def __init__(self, loop, tuple prefixes=(), Outbox outbox=None, owner=None):
        self.loop = loop
        self._outbox = outbox
        self.owner = owner
        self._prefixes = prefixes
        self._wait = Wait(loop)
        self._pieces = []
        self.content_length = -1
        self.passing = b""

    # What a caller does

    cpdef object send(self, bytes head, object body=None):
        """Send a request: its head, and its body as bytes, as a list of them, or none.

        Errors: UpstreamLost when the connection has gone.
        """
        cdef list pieces
        cdef int64_t size = PyBytes_GET_SIZE(head)
        if not self._alive:
            raise UpstreamLost("send", "the connection was closed")
        if self._state != IDLE:
            raise AssertionError(f"a connection carries one call at a time: {self!r}")
        self._state = HEAD
        self.status = 0
        self.content_type = self.content_encoding = self.retry_after = self.request_id = None
        self.content_length = -1
        self.chunked = self.reply_started = self.complete = self._interim = self._until_eof = False
        self.passing = b""
        self._headers = 0
        self._head_bytes = self._header_bytes = self._framing_bytes = self.reads = 0
        if body is None:
            self._put(head)
            return
        if type(body) is bytes:
            size += PyBytes_GET_SIZE(<bytes>body)
            if size <= JOINED_BYTES_MAX:
                self._put(joined(head, <bytes>body))
                return
            pieces = [head, body]
        else:
            pieces = [head, *body]
            for piece in body:
                size += len(piece)
            if size <= JOINED_BYTES_MAX:
                self._put(b"".join(pieces))
                return
        pieces.reverse()
        self._unsent = pieces
        if self._outbox is None:
            self._pour()
        else:
            self._outbox.then(self._transport, self._pour)

    cpdef object begin(self, bytes head, object sink):
        """Send a request whose body is still to come: its head, and what is here of the body behind it.

        Order: `push` as it comes, then `end`. `sink.follow()` is called once the other side takes again.
        Errors: as `send`.
        """
        self.send(head)
        self._sink = sink

    cpdef bint push(self, bytes data) except -1:
        """Send more of the body. False: the other side does not follow, wait for the sink's `follow`."""
        self._put(data)
        return not self._write_paused

    cpdef object end(self):
        """The body was all sent."""
        self._sink = None

    @property
    def passed(self):
        """The headers of the reply that a caller sees: name, in lower case, and value."""
        cdef Heading heading = Heading()
        heading.paste(self.passing)
        return heading.pairs()

    @property
    def takes(self):
        """Whether more of a body that was begun can be sent."""
        return self._alive and self._sink is not None and self._error is None

    cpdef Wait head(self):
        """Await the reply's head: its status and headers are then here. Interim replies are skipped."""
        cdef Wait wait = self._arm()
        if self._error is not None:
            wait.fail(self._error)
        elif self._state > HEAD:
            wait.resolve()
        else:
            self._wanted = THE_HEAD
        return wait

    cpdef Wait chunk(self):
        """Await what has come of the body since the last time: bytes, and `b""` once it is whole."""
        cdef Wait wait = self._arm()
        if self._unread:
            wait.resolve(self._grab())
        elif self.complete:
            wait.resolve(b"")
        elif self._error is not None:
            wait.fail(self._error)
        else:
            self._wanted = A_CHUNK
            if self._paused:
                self._resume()
        return wait

    cpdef object hold(self):
        """Read no more before the next `chunk`: whoever it is for does not follow. What was given is let go."""
        self._pause()
        if self._wanted == NOTHING:
            self._wait.reset()

    cpdef Wait whole(self, int64_t bytes_max):
        """Await the whole body.

        Errors: also UpstreamLost when it is larger than `bytes_max`.
        """
        cdef Wait wait = self._arm()
        self._limit = bytes_max
        if self.content_length > bytes_max or self._unread > bytes_max:
            self._fail_with("the reply is too large")
        if self.complete:
            wait.resolve(self._grab())
        elif self._error is not None:
            wait.fail(self._error)
        else:
            self._wanted = ALL_OF_IT
            if self._paused:
                self._resume()
        return wait

    def take(self):
        """What `chunk` would give if that is here already, else None. Errors: as `chunk`."""
        if self._unread:
            return self._grab()
        if self.complete:
            return b""
        if self._error is not None:
            raise self._error
        return None

    cpdef bytes take_whole(self):
        """The whole body if it is here already, else None. It is at most 128 KiB then."""
        if self.complete and self._error is None:
            return self._grab()
        return None

    cpdef object fail(self, object error):
        """End whatever waits on this connection with `error`, and abort."""
        if self._error is None:
            self._error = error
        self.complete = False
        self._pieces.clear()
        self._alone = None
        self._unread = 0
        self.abort()
        self._wanted = NOTHING
        self._wait.fail(self._error)

    cpdef object abort(self):
        """Leave at once: nothing more is read or written."""
        self._alive = False
        self._unsent = None
        if self._transport is not None:
            self._transport.abort()

    # What the pool does

    @property
    def clean(self):
        """Whether it may carry another call: a whole reply, nothing behind it, nothing left to write."""
        return self._clean()

    cdef bint _clean(self) except -1:
        return (
            self._state == DONE
            and self._alive
            and self._keep_alive
            and not self._surplus
            and not self._paused
            and self._error is None
            and self._unsent is None
            and self._sink is None
            and not self._socket.is_closing()
            and self._socket.get_write_buffer_size() == 0
            and (not self.secure or self._transport.get_write_buffer_size() == 0)
        )

    cpdef bint is_idle(self) noexcept:
        """Whether it is open and carries no call."""
        return self._alive and self._state == IDLE

    cpdef bint rest(self) except -1:
        """Make it ready for another call. False: it is not fit for one, and has been aborted."""
        if self._alive and self._state == IDLE:
            return True
        if not self._clean():
            self.abort()
            return False
        self.served += 1
        self._state = IDLE
        self._alone = None
        if self._pieces:
            self._pieces.clear()
        self._unread = 0
        self._wait.reset()
        return True

    def enter_tunnel(self):
        """After the head of a proxy's reply to CONNECT: what follows is the origin's. Returns the transport.

        Errors: UpstreamLost when the proxy refused, or spoke on.
        """
        if self.status // 100 != 2:
            raise UpstreamLost("connect", f"the proxy answered {self.status}")
        if self._unread or self._surplus or self._error is not None:
            raise UpstreamLost("connect", "the proxy sent bytes of its own into the tunnel")
        self._parser = HttpResponseParser(self)
        self._state = IDLE
        self._wait.reset()
        self.status = 0
        self.complete = self.reply_started = False
        return self._transport

    def encrypt(self, transport):
        """Speak through `transport`, TLS over the socket it was made with, from now on."""
        self._transport = transport
        self.secure = True
        transport.set_read_buffer_limits(TLS_READ_BUFFER_BYTES)

    # What the loop does

    def connection_made(self, transport):
        """The loop: the socket is connected."""
        self._transport = self._socket = transport
        self._parser = HttpResponseParser(self)
        self._state = IDLE
        self._alive = True

    def connection_lost(self, exc):
        """The loop: the socket is closed, by whomever. Parser and transports are let go."""
        cdef uint8_t state = self._state
        self._alive = False
        self._parser = self._transport = self._socket = self._unsent = self._sink = None
        if self._error is None and not self.complete:
            self._error = self._lost(_cause(exc))
        if state == HEAD or state == BODY:
            self._wanted = NOTHING
            self._wait.fail(self._error)
        owner, self.owner = self.owner, None
        if owner is not None:
            owner.lost(self)

    def eof_received(self):
        """The loop: the other side will send no more. It is how a reply without a length ends well."""
        if self._state == BODY and self._until_eof and self._error is None:
            self._state = DONE
            self.complete = True
            self._keep_alive = False
            self._decide()
        # Never wait for a TLS peer's leave-taking: it may take half a minute.
        self.abort()
        return False

    def get_buffer(self, sizehint):
        """The loop: where to read into."""
        return _shared_part if self._state == BODY and self._wanted != ALL_OF_IT else _shared

    def buffer_updated(self, Py_ssize_t nbytes):
        """The loop: so many bytes were read."""
        cdef int64_t body_bytes = self._body_bytes
        if self._state == IDLE or self._state == DONE or not self._alive:
            self._surplus = True
            self.abort()
            return
        self.reads += 1
        self.reply_started = True
        if self._state == HEAD and self._head_bytes == 0 and self._whole_at(_shared_start, nbytes):
            self._decide()
            return
        try:
            self._parser.feed_data(PyMemoryView_FromMemory(_shared_start, nbytes, PyBUF_READ))
        except (HttpParserError, HttpParserUpgrade):
            # Behind a whole reply it is about surplus, noted where it began, and the reply stands.
            if self._state != DONE:
                self._note("the reply is not HTTP")
        if self._state == HEAD:
            self._head_bytes += nbytes
            if self._head_bytes > HEAD_BYTES_MAX:
                self._note("the reply's head is too large")
        elif self.chunked and self._state == BODY:
            body_bytes = self._body_bytes - body_bytes
            self._framing_bytes += nbytes - body_bytes * (FRAMING_PER_BODY_BYTE + 1)
            if self._framing_bytes < 0:
                self._framing_bytes = 0
            elif self._framing_bytes > FRAMING_BYTES_MAX:
                self._note("the reply's chunk extensions or trailers are too large")
        self._decide()

    def pause_writing(self):
        """The loop: the other side does not take what is written."""
        self._write_paused = True

    def resume_writing(self):
        """The loop: it takes again."""
        self._write_paused = False
        if self._unsent is not None:
            self._pour()
        elif self._sink is not None:
            self._sink.follow()

    # What the parser does: notes only

    def on_message_begin(self):
        """The parser: the first byte of a message."""
        if self._state == DONE:
            self._surplus = True

    def on_header(self, bytes name, bytes value):
        """The parser: one header, or one trailer."""
        if self._state == HEAD:
            self._take(
                PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name), PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value)
            )

    def on_headers_complete(self):
        """The parser: the head is whole."""
        cdef int status
        if self._state != HEAD:
            return
        status = self._parser.get_status_code()
        if 200 <= status <= 599:
            self.status = status
            self._state = BODY
            self._until_eof = not self.chunked and self.content_length < 0 and status != 204 and status != 304
        elif 100 <= status < 200 and status != 101:
            self._interim = True
            self.content_type = self.content_encoding = self.retry_after = self.request_id = None
            self.content_length = -1
            self.chunked = False
            self.passing = b""
        else:
            self._note(f"the reply's status is {status}")

    def on_body(self, bytes data):
        """The parser: a piece of body, without its framing."""
        if self._state == BODY:
            self._pieces.append(data)
            self._unread += PyBytes_GET_SIZE(data)
            self._body_bytes += PyBytes_GET_SIZE(data)

    def on_message_complete(self):
        """The parser: the reply is whole."""
        if self._interim:
            self._interim = False
        elif self._state == BODY:
            self._state = DONE
            self._keep_alive = self._parser.should_keep_alive()  # the only place where the parser knows

    # Inside

    cdef int _take(self, const char *name, Py_ssize_t size, const char *value, Py_ssize_t value_size) except -1:
        """Keep of a header what somebody asks for."""
        cdef bytes prefix
        cdef bint plain
        self._headers += 1
        self._header_bytes += size + value_size
        if self._headers > HEADERS_MAX or self._header_bytes > HEAD_BYTES_MAX:
            return self._note("the reply's head is too large")
        # The parser leaves the white space behind a value in it.
        while value_size and (value[value_size - 1] == c" " or value[value_size - 1] == c"\t"):
            value_size -= 1
        if size == 12:
            if same_name(name, b"content-type", 12):
                # Most say this, and are not written down anew.
                plain = value_size == 16 and memcmp(value, b"application/json", 16) == 0
                self.content_type = b"application/json" if plain else value[:value_size]
            elif same_name(name, b"x-request-id", 12):
                self.request_id = value[:value_size]
        elif size == 14:
            if same_name(name, b"content-length", 14):
                self.content_length = strtoll(value[:value_size], NULL, 10)
        elif size == 17:
            if same_name(name, b"transfer-encoding", 17):
                self._transfer(value[:value_size])
        elif size == 11:
            if same_name(name, b"retry-after", 11):
                self.retry_after = value[:value_size]
        elif size == 16:
            if same_name(name, b"content-encoding", 16):
                self.content_encoding = value[:value_size]
        for prefix in self._prefixes:
            if size >= PyBytes_GET_SIZE(prefix) and (name[0] | 32) == PyBytes_AS_STRING(prefix)[0] and same_name(
                name, PyBytes_AS_STRING(prefix), PyBytes_GET_SIZE(prefix)
            ):
                self.passing = with_line(self.passing, name, size, value, value_size)
                return 0
        return 0

    cdef bint _whole_at(self, const char *at, Py_ssize_t size) except -1:
        """Read a reply that is here as a whole and as plain as they come; whatever is not is the parser's."""
        cdef const char *stop = end_of_head(at, size)
        cdef const char *end = at + size
        cdef const char *line
        cdef const char *value
        cdef Py_ssize_t name_size
        cdef int status
        if stop is NULL or size < 17 or memcmp(at, b"HTTP/1.1 ", 9) != 0 or not c"2" <= at[9] <= c"5":
            return False
        if not is_number(at + 9, 3) or at[12] != c" ":
            return False
        status = (at[9] - 48) * 100 + (at[10] - 48) * 10 + at[11] - 48
        stop -= 4
        line = end_of_line(at + 12, end)
        if line[0] != c"\r" or line[1] != c"\n":
            return False
        self._keep_alive = True
        while line < stop:
            line += 2
            value = end_of_name(line, end)
            if value is NULL:
                return self._not_plain()
            name_size = value - line
            value += 1
            while value[0] == c" ":
                value += 1
            at = end_of_line(value, end)
            if at[0] != c"\r" or at[1] != c"\n" or (at - 1)[0] == c" ":
                return self._not_plain()
            # The first may be `transfer-encoding`, the other say something other than `keep-alive`.
            if name_size == 17 or (name_size == 10 and same_name(line, b"connection", 10)):
                return self._not_plain()
            elif name_size == 14 and same_name(line, b"content-length", 14):
                if self.content_length >= 0 or not 0 < at - value < 10 or not is_number(value, at - value):
                    return self._not_plain()
                self.content_length = number_of(value, at - value)
            else:
                self._take(line, name_size, value, at - value)
            line = at
        stop += 4
        if self._fault is not None or self.content_length != end - stop or status == 204 or status == 304:
            return self._not_plain()
        self.status = status
        self._state = DONE
        self._alone = stop[: end - stop]
        self._unread = self._body_bytes = end - stop
        return True

    cdef bint _not_plain(self) except -1:
        self.content_type = self.content_encoding = self.retry_after = self.request_id = self._fault = None
        self.content_length = -1
        self._headers = 0
        self._header_bytes = 0
        self.passing = b""
        return False

    cdef int _transfer(self, bytes value) except -1:
        if value.strip().lower() == b"chunked":
            self.chunked = True
        else:
            self._note("the reply's transfer-encoding is not known")
        return 0

    cdef int _note(self, str fault) except -1:
        if self._fault is None:
            self._fault = fault
        return 0

    cdef int _decide(self) except -1:
        """Act on what the parser noted. The last thing a callback does: whoever waited may run in here."""
        cdef Wait wait = self._wait
        cdef uint8_t wanted = self._wanted
        if self._fault is not None:
            return self._fail_with(self._fault)
        if self._state == DONE:
            self.complete = True
        if wanted == NOTHING:
            if self._unread > UNREAD_BYTES_MAX:
                self._pause()
        elif wanted == THE_HEAD:
            if self._state > HEAD:
                if self._unread > UNREAD_BYTES_MAX:
                    self._pause()
                self._wanted = NOTHING
                wait.resolve()
        elif wanted == A_CHUNK:
            if self._unread or self.complete:
                self._wanted = NOTHING
                wait.resolve(self._grab())
        elif self._unread > self._limit:
            return self._fail_with("the reply is too large")
        elif self.complete:
            self._wanted = NOTHING
            wait.resolve(self._grab())
        return 0

    cdef int _put(self, bytes data) except -1:
        if self._outbox is None:
            self._transport.write(data)
        else:
            self._outbox.put(self._transport, data)
        return 0

    cdef Wait _arm(self):
        """The wait, ready to be awaited."""
        if self._state <= IDLE and self._error is None:
            raise AssertionError("nothing was sent")
        self._wait.reset()
        self._wanted = NOTHING
        return self._wait

    cdef bytes _grab(self):
        cdef list pieces = self._pieces
        cdef bytes data
        self._unread = 0
        if self._alone is not None:
            data, self._alone = self._alone, None
        elif len(pieces) == 1:
            data = <bytes>pieces.pop()
        else:
            data = b"".join(pieces)
            pieces.clear()
        if self._paused:
            self._resume()
        return data

    cdef int _pause(self) except -1:
        # On TLS both: the socket, so that its end is not seen before what stands in front of it was taken.
        if not self._paused and self._alive and not self.complete:
            self._paused = True
            self._socket.pause_reading()
            if self.secure:
                self._transport.pause_reading()
        return 0

    cdef int _resume(self) except -1:
        self._paused = False
        if self._alive:
            self._socket.resume_reading()
            if self.secure:
                self._transport.resume_reading()
        return 0

    cdef int _fail_with(self, str reason) except -1:
        self.fail(self._lost(reason))
        return 0

    cdef object _lost(self, str reason):
        cdef str phase = PHASES[self._state]
        if self._state == HEAD and self._unsent is not None and not self.reply_started:
            phase = "send"
        return UpstreamLost(phase, reason, self.reply_started)

    def _pour(self):
        """Write the next slice of a large request."""
        cdef list unsent = self._unsent
        cdef list batch = []
        cdef Py_ssize_t room = SLICE_BYTES
        if unsent is None or self._write_paused:
            return
        while unsent and room > 0:
            piece = unsent.pop()
            if len(piece) > room:
                piece = memoryview(piece)
                unsent.append(piece[room:])
                piece = piece[:room]
            room -= len(piece)
            batch.append(piece)
        if not unsent:
            self._unsent = None
        self._transport.writelines(batch)
        if self._unsent is not None and not self._write_paused:
            self.loop.call_soon(self._pour)

    def __repr__(self):
        flags = ("" if self._alive else " closed") + (" tls" if self.secure else "")
        figures = f"status={self.status} unread={self._unread} served={self.served}"
        return f"<Connection {STATES[self._state]}{flags} {figures}>"


cdef bytes joined(bytes head, bytes body):
    cdef Py_ssize_t size = PyBytes_GET_SIZE(head)
    cdef bytes data = PyBytes_FromStringAndSize(NULL, size + PyBytes_GET_SIZE(body))
    memcpy(PyBytes_AS_STRING(data), PyBytes_AS_STRING(head), size)
    memcpy(PyBytes_AS_STRING(data) + size, PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))
    return data


cdef str _cause(object exc):
    if exc is None:
        return "the connection was closed"
    if isinstance(exc, (ConnectionResetError, BrokenPipeError)):
        return "the connection was reset"
    if isinstance(exc, TimeoutError):
        return "the connection timed out"
    return f"the connection broke: {type(exc).__name__}"
