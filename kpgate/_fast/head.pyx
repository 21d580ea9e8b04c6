# cython: auto_pickle=False, autotestdict=False
"""A request's head: strictly read from bytes, or gathered from a list that another parser made.

Owns which headers kpgate reads, and what makes a head unfit: one that two readers could take for two
different requests is refused, never mended. Knows no transport, and no words but its own.
Source: RFC 9110 section 5.5, RFC 9112 sections 2 to 7 and 11.2 (November 2026).
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memchr, memcmp

from kpgate._fast.line cimport same_name

cdef extern from "jump.h" nogil:
    Py_ssize_t kpgate_jump_name(const uint8_t *p, Py_ssize_t at, Py_ssize_t end) noexcept
    Py_ssize_t kpgate_jump_value(const uint8_t *p, Py_ssize_t at, Py_ssize_t end) noexcept

cdef extern from "strings.h" nogil:
    int strncasecmp(const char *a, const char *b, size_t n)

cdef enum:
    HEADERS_MAX = 100
    HEAD_BYTES_MAX = 65_536
    METHOD_BYTES_MAX = 20
    TARGET_BYTES_MAX = 8192
    LENGTH_DIGITS_MAX = 15

cdef enum:
    IN_TOKEN = 1
    IN_TARGET = 2
    IN_HOST = 4

cdef uint8_t KINDS[256]


cdef int _mark(bytes characters, uint8_t kind) except -1:
    cdef uint8_t character
    for character in characters:
        KINDS[character] |= kind
    return 0


cdef int _fill() except -1:
    cdef bytes letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    cdef int code
    for code in range(256):
        KINDS[code] = 0
    _mark(letters + b"!#$%&'*+-.^_`|~", IN_TOKEN)
    _mark(letters + b"-._~:/?[]@!$&'()*+,;=%", IN_TARGET)
    _mark(letters + b"-._~%!$&'()*+,;=:[]", IN_HOST)
    return 0


_fill()

cdef dict METHODS = {
    name.encode(): name for name in ("GET", "POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS")
}


cdef inline bint _all(const char *at, const char *end, uint8_t kind) noexcept nogil:
    while at < end:
        if not KINDS[<uint8_t>at[0]] & kind:
            return False
        at += 1
    return True


cdef inline bint _is_blank(char character) noexcept nogil:
    return character == c" " or character == c"\t"


cdef inline bint _is_space(char character) noexcept nogil:
    return character == c" " or c"\t" <= character <= c"\r"


cdef inline bint _same(const char *name, const char *known, size_t size) noexcept nogil:
    return strncasecmp(name, known, size) == 0


cdef bint _names(const char *value, Py_ssize_t length, const char *token, Py_ssize_t size) noexcept nogil:
    """Whether a comma-separated list has this token."""
    cdef const char *at = value
    cdef const char *end = value + length
    cdef const char *stop
    cdef const char *last
    while at < end:
        stop = <const char *>memchr(at, c",", end - at)
        if stop is NULL:
            stop = end
        last = stop
        while at < last and _is_blank(at[0]):
            at += 1
        while last > at and _is_blank((last - 1)[0]):
            last -= 1
        if last - at == size and _same(at, token, size):
            return True
        at = stop + 1
    return False


@cython.final
@cython.freelist(8)
cdef class Head:
    """The headers kpgate reads, by name, and how the message is framed.

    Shape: an absent header is None; `path` and `query` are raw bytes, without the question mark; `method`,
    `path` and `query` are empty where the head came from a list. `content_length` is -1 for none. `modern`
    is HTTP/1.1, `bodiless` a request whose reply has no body. A `fault_status` other than 0 is what it has to
    be refused with, for the reason in `fault`.
    """

    def __cinit__(self):
        self.content_length = -1
        self.method = ""
        self.path = self.query = b""

    cpdef bytes credential(self):
        """The caller's key, from whichever header carries it; None for none."""
        cdef bytes value = self.authorization
        cdef bytes scheme
        cdef const char *at
        cdef const char *end
        if value is not None:
            at = PyBytes_AS_STRING(value)
            end = at + PyBytes_GET_SIZE(value)
            if end - at > 7 and (memcmp(at, b"Bearer ", 7) == 0 or _same(at, b"bearer ", 7)):
                at += 7
                while at < end and _is_space(at[0]):
                    at += 1
                while at < end and _is_space((end - 1)[0]):
                    end -= 1
                return PyBytes_FromStringAndSize(at, end - at)
            scheme = value.partition(b" ")[0]
            return b"" if scheme.lower() == b"bearer" else None
        return self.x_api_key or self.google_key

    @property
    def plain(self):
        """Whether there is nothing in it to pass on to a provider."""
        return self.traceparent is None and self.idempotency_key is None and self.beta is None

    def pairs(self):
        """All headers as a list of name, in lower case, and value. Empty where the head came from a list."""
        cdef list found = []
        cdef list lines
        if self._raw is not None and not self.fault_status:
            lines = self._raw.split(b"\r\n")
            for line in lines[1 : len(lines) - 2]:
                name, _, value = line.partition(b":")
                found.append((name.lower(), value.strip(b" \t")))
        return found

    cdef int _blame(self, int status, str words) except -1:
        """Keep the first fault."""
        if not self.fault_status:
            self.fault_status = status
            self.fault = words
        return 0

    cdef const char *_line(self, const char *at, const char *end) except NULL:
        """Read the request line. Returns where the headers begin."""
        cdef const char *stop = at
        cdef const char *last
        while stop < end and KINDS[<uint8_t>stop[0]] & IN_TOKEN:
            stop += 1
        if stop == at or stop - at > METHOD_BYTES_MAX or stop == end or stop[0] != c" ":
            self._blame(400, "the request line has no method")
            return end
        if stop - at == 4 and memcmp(at, b"POST", 4) == 0:
            self.method = "POST"
        else:
            self.bodiless = stop - at == 4 and memcmp(at, b"HEAD", 4) == 0
            self.method = METHODS.get(at[: stop - at])
            if self.method is None:
                self.method = at[: stop - at].decode("ascii")
        at = stop + 1
        stop = at
        while stop < end and KINDS[<uint8_t>stop[0]] & IN_TARGET:
            stop += 1
        last = stop
        if stop - at > TARGET_BYTES_MAX:
            self._blame(431, f"the request's target is longer than {TARGET_BYTES_MAX} bytes")
            return end
        if stop == at or end - stop < 11 or memcmp(stop, b" HTTP/1.", 8) != 0:
            self._blame(400, "the request line is not method, target and HTTP/1.1, a space between each")
            return end
        stop += 8
        if (stop[0] != c"1" and stop[0] != c"0") or stop[1] != c"\r" or stop[2] != c"\n":
            self._blame(400, "the request line does not end with HTTP/1.1")
            return end
        self.modern = stop[0] == c"1"
        self._target(at, last)
        return stop + 3

    cdef int _target(self, const char *at, const char *end) except -1:
        cdef const char *stop
        cdef const char *query
        if at[0] != c"/":
            if end - at > 7 and _same(at, b"http://", 7):
                at += 7
            elif end - at > 8 and _same(at, b"https://", 8):
                at += 8
            elif end - at == 1 and at[0] == c"*":
                self.path = b"*"
                return 0
            else:
                return self._blame(400, "the request's target is not a path")
            stop = at
            while stop < end and stop[0] != c"/" and stop[0] != c"?":
                stop += 1
            # Compared with the header once that has been read.
            self.host = at[: stop - at]
            at = stop
        query = <const char *>memchr(at, c"?", end - at)
        if query is NULL:
            self.path = at[: end - at] if end > at else b"/"
        else:
            self.path = at[: query - at] if query > at else b"/"
            self.query = query[1 : end - query]
        return 0

    cdef bytes _single(self, bytes old, const char *name, Py_ssize_t size, const char *value, Py_ssize_t n):
        """A header that may be sent once."""
        if old is not None:
            self._blame(400, f"header {name[:size].decode('latin-1').lower()}: was sent more than once")
        return value[:n]

    cdef int _known(self, const char *name, Py_ssize_t size, const char *value, Py_ssize_t length) except -1:
        """Keep a header's value if kpgate reads it."""
        if size == 4:
            if same_name(name, b"host", 4):
                self.host = self._single(self.host, name, size, value, length)
        elif size == 6:
            if same_name(name, b"expect", 6):
                if length == 12 and _same(value, b"100-continue", 12):
                    self.expects = True
                else:
                    self._blame(400, "header expect: only 100-continue is known")
        elif size == 9:
            if same_name(name, b"x-api-key", 9):
                self.x_api_key = self._single(self.x_api_key, name, size, value, length)
        elif size == 10:
            if same_name(name, b"connection", 10):
                self._says_close |= _names(value, length, b"close", 5)
                self._says_keep |= _names(value, length, b"keep-alive", 10)
            elif same_name(name, b"tracestate", 10):
                self.tracestate = _joined(self.tracestate, value, length)
        elif size == 11:
            if same_name(name, b"traceparent", 11):
                self.traceparent = self._single(self.traceparent, name, size, value, length)
            elif same_name(name, b"openai-beta", 11):
                self.beta = self._single(self.beta, name, size, value, length)
        elif size == 12:
            if same_name(name, b"x-request-id", 12):
                self.request_id = self._single(self.request_id, name, size, value, length)
        elif size == 13:
            if same_name(name, b"authorization", 13):
                self.authorization = self._single(self.authorization, name, size, value, length)
        elif size == 14:
            if same_name(name, b"content-length", 14):
                self._length(value, length)
            elif same_name(name, b"x-goog-api-key", 14):
                self.google_key = self._single(self.google_key, name, size, value, length)
        elif size == 15:
            if same_name(name, b"x-forwarded-for", 15):
                self.forwarded_for = _joined(self.forwarded_for, value, length)
            elif same_name(name, b"idempotency-key", 15):
                self.idempotency_key = self._single(self.idempotency_key, name, size, value, length)
        elif size == 16:
            if same_name(name, b"content-encoding", 16):
                self.content_encoding = self._single(self.content_encoding, name, size, value, length)
        elif size == 26:
            if same_name(name, b"x-kpgate-max-cost-microkpt", 26):
                self.cost_max = self._single(self.cost_max, name, size, value, length)
        elif size == 17:
            if same_name(name, b"transfer-encoding", 17):
                if self.chunked or length != 7 or not _same(value, b"chunked", 7):
                    self._blame(400, "header transfer-encoding: only chunked is known, sent once")
                self.chunked = True
        return 0

    cdef int _length(self, const char *value, Py_ssize_t length) except -1:
        cdef int64_t size = 0
        cdef Py_ssize_t index
        if self.content_length >= 0:
            self._blame(400, "header content-length: was sent more than once")
        if not 0 < length <= LENGTH_DIGITS_MAX:
            return self._blame(400, "header content-length: is not a length")
        for index in range(length):
            if not c"0" <= value[index] <= c"9":
                return self._blame(400, "header content-length: is not a length")
            size = size * 10 + (value[index] - c"0")
        self.content_length = size
        return 0

    cdef int _judge(self) except -1:
        """What only the whole head shows."""
        cdef bytes host = self.host
        if self._headers > HEADERS_MAX:
            self._blame(431, f"{self._headers} headers were sent; at most {HEADERS_MAX} are read")
        # An absent one comes from some servers as an empty one.
        if not host:
            self._blame(400, "header host: is missing")
        elif not _all(PyBytes_AS_STRING(host), PyBytes_AS_STRING(host) + PyBytes_GET_SIZE(host), IN_HOST):
            self._blame(400, "header host: is not a host")
        if self.content_encoding is not None and self.content_encoding.lower() != b"identity":
            self._blame(415, "header content-encoding: send the body as plain JSON, not compressed")
        return 0

    def __repr__(self):
        return f"<Head {self.method} {self.path!r}{'' if not self.fault_status else ' refused'}>"


cdef bytes _joined(bytes before, const char *value, Py_ssize_t length):
    """A header that is a list, and may come in several parts."""
    return value[:length] if before is None else before + b", " + value[:length]


cdef const char *end_of_head(const char *at, Py_ssize_t size) noexcept nogil:
    """Where the empty line at a head's end is over; NULL for nowhere yet."""
    cdef const char *end = at + size
    # Line by line: what looks for one character takes many at a time.
    at += 3
    while at < end:
        at = <const char *>memchr(at, c"\n", end - at)
        if at is NULL:
            return NULL
        at += 1
        if memcmp(at - 4, b"\r\n\r\n", 4) == 0:
            return at
    return NULL


cdef bint has_bare_lf(const char *at, Py_ssize_t size, bint after_cr) noexcept nogil:
    """Whether a line ends without a CR: a head with one will never be whole."""
    cdef const char *begin = at
    cdef const char *end = at + size
    while at < end:
        at = <const char *>memchr(at, c"\n", end - at)
        if at is NULL:
            return False
        if (at == begin and not after_cr) or (at > begin and (at - 1)[0] != c"\r"):
            return True
        at += 1
    return False


cdef Head refused(int status, str words):
    """A head that could not be read at all."""
    cdef Head head = Head()
    head._blame(status, words)
    return head


cdef Head parse_at(const char *at, Py_ssize_t size):
    """Read a head from bytes that end with an empty line."""
    cdef Head head = Head()
    cdef const char *end = at + size
    cdef const char *stop
    cdef const char *name
    cdef const char *last
    cdef bytes named
    head._raw = PyBytes_FromStringAndSize(at, size)
    if size > HEAD_BYTES_MAX:
        head._blame(431, f"the head is longer than the {HEAD_BYTES_MAX} bytes that are read")
        return head
    at = head._line(at, end)
    named, head.host = head.host, None
    end -= 2
    while at < end and not head.fault_status:
        name = at
        at += kpgate_jump_name(<const uint8_t *>at, 0, end - at)
        while KINDS[<uint8_t>at[0]] & IN_TOKEN:
            at += 1
        if at == name or at[0] != c":":
            head._blame(400, "a header line is not a name, a colon and a value")
            break
        stop = at + 1
        while _is_blank(stop[0]):
            stop += 1
        last = stop + kpgate_jump_value(<const uint8_t *>stop, 0, end - stop)
        while last[0] == c"\t":
            last += kpgate_jump_value(<const uint8_t *>last, 1, end - last)
        if last[0] != c"\r" or last[1] != c"\n":
            head._blame(400, "a header's value has a control character in it")
            break
        head._headers += 1
        size = at - name
        at = last + 2
        while last > stop and _is_blank((last - 1)[0]):
            last -= 1
        if 4 <= size <= 17 or size == 26:
            head._known(name, size, stop, last - stop)
    if head.fault_status:
        return head
    head._judge()
    if named is not None and head.host is not None and named.lower() != head.host.lower():
        head._blame(400, "header host: is not the host in the request's target")
    if head.chunked and (head.content_length >= 0 or not head.modern):
        head._blame(400, "header transfer-encoding: may not stand beside a length, nor in HTTP/1.0")
    # Behind a head that is refused nobody knows where the next one begins: a body may stand there.
    head.keep_alive = not head.fault_status and not head._says_close and (head.modern or head._says_keep)
    return head


def parse(const uint8_t[::1] data not None):
    """Read a head from bytes.

    Shape: all of it, with the empty line at its end and nothing behind.
    Errors: ValueError where that is not so; what is wrong with the head itself is its `fault`.
    """
    cdef Py_ssize_t size = data.shape[0]
    if size < 4 or memcmp(&data[size - 4], b"\r\n\r\n", 4) != 0:
        raise ValueError("a head ends with an empty line")
    return parse_at(<const char *>&data[0], size)


def gather(list headers not None):
    """A head from the headers that another parser has read, as a list of name, in lower case, and value.

    What they say of framing has been obeyed already; they are counted and read.
    """
    cdef Head head = Head()
    cdef bytes name
    cdef bytes value
    cdef Py_ssize_t size
    cdef int64_t total = 0
    for name, value in headers:
        size = PyBytes_GET_SIZE(name)
        total += size + PyBytes_GET_SIZE(value)
        if (4 <= size <= 16 and size != 6) or size == 26:
            head._known(PyBytes_AS_STRING(name), size, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
        elif size == 6 and _same(PyBytes_AS_STRING(name), b"expect", 6):
            # Whatever is expected, it is for the other parser to refuse.
            head.expects = True
    head._headers = len(headers)
    if total > HEAD_BYTES_MAX:
        head._blame(431, f"the headers are {total} bytes; at most {HEAD_BYTES_MAX} are read")
    head._judge()
    return head
