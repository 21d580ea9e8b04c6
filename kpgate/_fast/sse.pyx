# cython: language_level=3str, auto_pickle=False, autotestdict=False
"""An OpenAI event stream on its way through: whole events out, byte for byte, and notes of what they said.

Owns the incomplete tail and the notes of one stream. Knows neither sockets nor prices; what it cannot read it
forwards all the same.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport uint8_t
from libc.string cimport memchr, memcmp, memcpy, memset

from kpgate._fast.jsonwalk cimport (
    TOO_DEEP,
    Span,
    Walk,
    fault,
    kpgate_jump_line,
    skip_space,
    unescape,
    walk_item,
    walk_member,
    walk_value,
)

cdef enum:
    EVENT_DEPTH_MAX = 256
    # A buffer that has grown past this is given back once it is empty: thousands of streams are open at once.
    BUFFER_KEPT_BYTES = 2048
    GIL_BYTES = 16384

# What a value is, by where it stands.
cdef enum Place:
    ELSEWHERE
    EVENT
    USAGE
    ERROR
    CHOICES
    CHOICE
    FINISH
    DELTA
    TEXT
    CALLS
    CALL
    FUNCTION

# Notes of one event, taken over only once all of it was read.
cdef struct Found:
    Span usage
    Span error
    Span finish
    bint choices_empty

cdef struct Buffer:
    uint8_t* data
    Py_ssize_t size
    Py_ssize_t room


cdef int append(Buffer* buffer, const uint8_t* p, Py_ssize_t size) except -1:
    cdef Py_ssize_t room
    cdef uint8_t* grown
    if size == 0:
        return 0
    if buffer.size + size > buffer.room:
        room = buffer.size + size + (buffer.size >> 1) + 256
        grown = <uint8_t*>PyMem_Realloc(buffer.data, room)
        if grown == NULL:
            raise MemoryError
        buffer.data = grown
        buffer.room = room
    memcpy(buffer.data + buffer.size, p, size)
    buffer.size += size
    return 0


cdef void empty(Buffer* buffer) noexcept:
    buffer.size = 0
    if buffer.room > BUFFER_KEPT_BYTES:
        PyMem_Free(buffer.data)
        buffer.data = NULL
        buffer.room = 0


cdef inline bint is_key(const uint8_t* p, Span* key, const char* name, Py_ssize_t size) noexcept nogil:
    return key.end - key.start == size and memcmp(p + key.start, name, size) == 0


cdef inline Place place_of(Place outer, const uint8_t* p, Span* key) noexcept nogil:
    """What the member `key` of an `outer` object is."""
    if outer == EVENT:
        if is_key(p, key, b"choices", 7):
            return CHOICES
        if is_key(p, key, b"usage", 5):
            return USAGE
        if is_key(p, key, b"error", 5):
            return ERROR
    elif outer == CHOICE:
        if is_key(p, key, b"delta", 5):
            return DELTA
        if is_key(p, key, b"finish_reason", 13):
            return FINISH
        if is_key(p, key, b"text", 4):
            return TEXT
    elif outer == DELTA:
        if is_key(p, key, b"content", 7) or is_key(p, key, b"refusal", 7):
            return TEXT
        if is_key(p, key, b"reasoning_content", 17) or is_key(p, key, b"reasoning", 9):
            return TEXT
        if is_key(p, key, b"tool_calls", 10):
            return CALLS
        if is_key(p, key, b"function_call", 13):
            return FUNCTION
    elif outer == CALL:
        if is_key(p, key, b"function", 8):
            return FUNCTION
    elif outer == FUNCTION:
        if is_key(p, key, b"arguments", 9) or is_key(p, key, b"name", 4):
            return TEXT
    return ELSEWHERE


@cython.final
cdef class Framer:
    """The events of one OpenAI stream.

    Shape: `strip_usage` leaves out the event that carries usage alone (`choices` empty, `usage` an object);
    with `collect` set, what the model wrote is kept for `take_text`, at most `text_bytes_max` at a time.
    Units: an event longer than `event_bytes_max` is forwarded unread and sets `broken`.
    """

    cdef readonly bint strip_usage
    cdef readonly Py_ssize_t event_bytes_max
    cdef readonly Py_ssize_t text_bytes_max
    cdef public bint collect
    cdef readonly bint broken
    cdef readonly bint done
    cdef readonly Py_ssize_t events
    cdef readonly Py_ssize_t text_lost_bytes
    cdef readonly bytes usage
    cdef readonly bytes error
    cdef bytes finish_raw
    cdef Buffer tail
    cdef Buffer text
    # Between two bytes: at the start of a line, after a CR that an LF may still belong to, the same at an
    # event's very end, inside an event too long to keep, before the stream's first event.
    cdef bint line_blank
    cdef bint after_cr
    cdef bint lf_owed
    cdef bint passing
    cdef bint fresh
    cdef bint dropped

    def __cinit__(self, *args, **kwargs):
        self.line_blank = True
        self.fresh = True

    def __init__(
        self,
        bint strip_usage,
        Py_ssize_t event_bytes_max,
        *,
        bint collect=False,
        Py_ssize_t text_bytes_max=4194304,
    ):
        self.strip_usage = strip_usage
        self.event_bytes_max = event_bytes_max
        self.collect = collect
        self.text_bytes_max = text_bytes_max

    def __dealloc__(self):
        PyMem_Free(self.tail.data)
        PyMem_Free(self.text.data)

    @property
    def first_event(self) -> bool:
        """An event with data has gone by."""
        return self.events > 0

    @property
    def at_boundary(self) -> bool:
        """What was forwarded so far ends with a whole event, so that one of our own may follow."""
        return not self.passing

    @property
    def tail_bytes(self) -> int:
        """How much of an unfinished event is held back."""
        return self.tail.size

    @property
    def text_bytes(self) -> int:
        """How much text waits for `take_text`."""
        return self.text.size

    @property
    def finish_reason(self) -> str | None:
        """The last finish reason that any choice gave."""
        return None if self.finish_raw is None else self.finish_raw.decode("utf-8", "replace")

    def take_text(self) -> str:
        """What the model wrote since the last time: content, reasoning, refusals, tool calls, in order."""
        if self.text.size == 0:
            return ""
        text = PyUnicode_DecodeUTF8(<char*>self.text.data, self.text.size, "replace")
        empty(&self.text)
        return text

    def feed(self, bytes chunk not None) -> bytes:
        """Take what arrived; returns the whole events to forward now: the same object if that is all."""
        cdef const uint8_t* p = <const uint8_t*>PyBytes_AS_STRING(chunk)
        cdef Py_ssize_t end = PyBytes_GET_SIZE(chunk)
        cdef Py_ssize_t run = 0  # where what is forwarded next begins
        cdef Py_ssize_t begin = 0  # where the event under way begins
        cdef Py_ssize_t stop
        cdef list pieces = None
        if end == 0:
            return chunk
        if self.lf_owed:
            self.lf_owed = False
            if p[0] == 10:
                begin = 1
                run = self.dropped
        stop = begin
        while stop < end:
            stop = self.boundary(p, stop, end)
            if stop < 0:
                break
            if self.tail.size:
                append(&self.tail, p + begin, stop - begin)
                self.dropped = self.take(self.tail.data, self.tail.size)
                if not self.dropped:
                    pieces = [PyBytes_FromStringAndSize(<char*>self.tail.data, self.tail.size)]
                empty(&self.tail)
                run = stop
            elif self.passing:
                self.passing = False
                self.dropped = False
            else:
                self.dropped = self.take(p + begin, stop - begin)
                if self.dropped:
                    if begin > run:
                        pieces = pieces or []
                        pieces.append(PyBytes_FromStringAndSize(<char*>p + run, begin - run))
                    run = stop
            begin = stop
        stop = begin
        if begin < end:
            if self.passing:
                stop = end
            elif self.tail.size + end - begin > self.event_bytes_max:
                self.broken = True
                self.passing = True
                self.fresh = False
                if self.tail.size:
                    pieces = [PyBytes_FromStringAndSize(<char*>self.tail.data, self.tail.size)]
                    empty(&self.tail)
                stop = end
            else:
                append(&self.tail, p + begin, end - begin)
        if pieces is None:
            if run == 0 and stop == end:
                return chunk
            return PyBytes_FromStringAndSize(<char*>p + run, stop - run)
        if stop > run:
            pieces.append(PyBytes_FromStringAndSize(<char*>p + run, stop - run))
        return b"".join(pieces)

    def finish(self) -> bytes:
        """The stream has ended well: what is left of an event that no blank line closed."""
        if self.tail.size == 0:
            return b""
        dropped = self.take(self.tail.data, self.tail.size)
        rest = b"" if dropped else PyBytes_FromStringAndSize(<char*>self.tail.data, self.tail.size)
        empty(&self.tail)
        return rest

    cdef Py_ssize_t boundary(self, const uint8_t* p, Py_ssize_t at, Py_ssize_t end) noexcept:
        """Go on to where the event under way has ended; -1 if it has not.

        Source: WHATWG HTML, server-sent events, "event stream interpretation", checked 2026-11.
        """
        cdef uint8_t c
        while at < end:
            c = p[at]
            if c == 10 and self.after_cr:
                self.after_cr = False
                at += 1
                continue
            if c != 10 and c != 13:
                self.after_cr = False
                self.line_blank = False
                at = kpgate_jump_line(p, at + 1, end)
                continue
            at += 1
            if not self.line_blank:
                self.line_blank = True
                self.after_cr = c == 13
                continue
            self.after_cr = False
            # An LF that a closing CR still owns goes with this event, whichever read brings it.
            if c == 13:
                if at == end:
                    self.lf_owed = True
                elif p[at] == 10:
                    at += 1
            return at
        return -1

    cdef bint take(self, const uint8_t* p, Py_ssize_t size) except? True:
        """Take notes of one event; True if it is to be left out."""
        cdef Py_ssize_t at = 0
        cdef Py_ssize_t stop, value
        cdef int lines = 0
        cdef Span payload
        cdef Buffer joined
        cdef bint drop
        memset(&joined, 0, sizeof(joined))
        payload.start = payload.end = 0
        if self.fresh:
            self.fresh = False
            if size >= 3 and p[0] == 0xEF and p[1] == 0xBB and p[2] == 0xBF:
                at = 3
        stop = size
        if stop >= 2 and p[stop - 1] == 10 and p[stop - 2] == 13:
            stop -= 1
        if stop > self.event_bytes_max:
            self.broken = True
            return False
        try:
            while at < size:
                stop = kpgate_jump_line(p, at, size)
                if stop - at >= 4 and memcmp(p + at, b"data", 4) == 0 and (stop - at == 4 or p[at + 4] == 58):
                    value = at + 4 + (stop - at > 4)
                    if value < stop and p[value] == 32:
                        value += 1
                    lines += 1
                    if lines == 2:
                        append(&joined, p + payload.start, payload.end - payload.start)
                    if lines >= 2:
                        append(&joined, b"\n", 1)
                        append(&joined, p + value, stop - value)
                    payload.start = value
                    payload.end = stop
                at = stop + 1
            if lines >= 2:
                drop = self.read_payload(joined.data, 0, joined.size)
            else:
                drop = self.read_payload(p, payload.start, payload.end)
        finally:
            PyMem_Free(joined.data)
        return drop

    cdef bint read_payload(self, const uint8_t* p, Py_ssize_t at, Py_ssize_t end) except? True:
        cdef Found found
        cdef Walk walk
        cdef Py_ssize_t text_before = self.text.size
        if at >= end:
            return False
        self.events += 1
        at = skip_space(p, at, end)
        if at >= end:
            return False
        if p[at] != 123:
            if end - at >= 6 and memcmp(p + at, b"[DONE]", 6) == 0 and skip_space(p, at + 6, end) == end:
                self.done = True
            return False
        memset(&found, 0, sizeof(found))
        memset(&walk, 0, sizeof(walk))
        walk.depth_max = EVENT_DEPTH_MAX
        at = self.read(p, at, end, &walk, EVENT, &found)
        if at < 0 or skip_space(p, at, end) != end:
            self.text.size = text_before
            return False
        if found.finish.end:
            self.finish_raw = plain_text(p, &found.finish)
        if found.error.end and p[found.error.start] != 110:
            self.error = piece(p, &found.error)
        if found.usage.end == 0 or p[found.usage.start] != 123:
            return False
        self.usage = piece(p, &found.usage)
        return self.strip_usage and found.choices_empty

    cdef Py_ssize_t read(
        self, const uint8_t* p, Py_ssize_t at, Py_ssize_t end, Walk* walk, Place place, Found* found
    ) except? -2:
        """Read a value that stands at `place`, and what matters inside it; as `walk_value` otherwise."""
        cdef Py_ssize_t begin = at
        cdef Py_ssize_t after = 0
        cdef uint8_t c = p[at] if at < end else 0
        cdef bint first = True
        cdef Span key
        if c == 123 and place in (EVENT, CHOICE, DELTA, CALL, FUNCTION):
            if walk.depth >= walk.depth_max:
                return fault(walk, TOO_DEEP, at)
            walk.depth += 1
            at += 1
            while True:
                at = walk_member(p, at, end, walk, &key, first)
                if at < 0:
                    return -1
                if at == 0:
                    break
                first = False
                at = self.read(p, at, end, walk, place_of(place, p, &key), found)
                if at < 0:
                    return -1
            walk.depth -= 1
            return key.end
        if c == 91 and place in (CHOICES, CALLS):
            walk.depth += 1
            at += 1
            while True:
                at = walk_item(p, at, end, walk, &after, first)
                if at < 0:
                    return -1
                if at == 0:
                    break
                first = False
                at = self.read(p, at, end, walk, CHOICE if place == CHOICES else CALL, found)
                if at < 0:
                    return -1
            walk.depth -= 1
            if place == CHOICES:
                found.choices_empty = first
            return after
        at = walk_value(p, at, end, walk)
        if at < 0 or place == ELSEWHERE:
            return at
        if place == TEXT:
            if c == 34 and self.collect:
                self.keep_text(p, begin + 1, at - 1)
        elif place == USAGE:
            found.usage.start = begin
            found.usage.end = at
        elif place == ERROR:
            found.error.start = begin
            found.error.end = at
        elif place == FINISH and c == 34:
            found.finish.start = begin + 1
            found.finish.end = at - 1
        elif place == CHOICES:
            found.choices_empty = False
        return at

    cdef int keep_text(self, const uint8_t* p, Py_ssize_t at, Py_ssize_t end) except -1:
        """Add the text of a string; one that does not fit is only counted."""
        cdef Py_ssize_t before = self.text.size
        cdef bint whole = True
        if before + end - at > self.text_bytes_max:
            self.text_lost_bytes += end - at
            return 0
        append(&self.text, p + at, end - at)
        if memchr(p + at, 92, end - at) != NULL:
            self.text.size = before + unescape(p, at, end, self.text.data + before, &whole)
        return 0


cdef bytes piece(const uint8_t* p, Span* span):
    return PyBytes_FromStringAndSize(<char*>p + span.start, span.end - span.start)


cdef bytes plain_text(const uint8_t* p, Span* span):
    """The text of a short string."""
    cdef bint whole = True
    cdef bytes out = PyBytes_FromStringAndSize(NULL, span.end - span.start)
    cdef Py_ssize_t size = unescape(p, span.start, span.end, <uint8_t*>PyBytes_AS_STRING(out), &whole)
    return out[:size]


cdef int usage_span(const uint8_t* p, Py_ssize_t end, Span* usage) noexcept nogil:
    cdef Walk walk
    cdef Span key
    cdef bint first = True
    cdef Py_ssize_t at, value
    memset(&walk, 0, sizeof(walk))
    walk.depth_max = EVENT_DEPTH_MAX
    walk.depth = 1
    at = skip_space(p, 0, end)
    if at >= end or p[at] != 123:
        return -1
    at += 1
    while True:
        value = walk_member(p, at, end, &walk, &key, first)
        if value < 0:
            return -1
        if value == 0:
            break
        first = False
        at = walk_value(p, value, end, &walk)
        if at < 0:
            return -1
        if is_key(p, &key, b"usage", 5):
            usage.start = value
            usage.end = at
    return 0 if skip_space(p, key.end, end) == end else -1


def find_usage(bytes body not None) -> bytes | None:
    """The top-level `usage` object of a whole reply, as sent; None without one or if it is not JSON."""
    cdef const uint8_t* p = <const uint8_t*>PyBytes_AS_STRING(body)
    cdef Py_ssize_t end = PyBytes_GET_SIZE(body)
    cdef Span usage
    cdef int status
    usage.start = usage.end = 0
    if end > GIL_BYTES:
        with nogil:
            status = usage_span(p, end, &usage)
    else:
        status = usage_span(p, end, &usage)
    if status < 0 or usage.end == 0 or p[usage.start] != 123:
        return None
    return piece(p, &usage)
