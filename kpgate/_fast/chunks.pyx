# cython: auto_pickle=False, autotestdict=False
"""A chunked body, decoded strictly as it comes, and where exactly it ends.

Owns the framing and its bounds: extensions and trailers are read and ignored, but never without end. What
could be read in two ways is a fault. Knows no transport.
Source: RFC 9112 section 7.1 (November 2026).
"""

cimport cython
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE, PyByteArray_Resize
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memchr, memcpy

cdef enum:
    SIZE_DIGITS_MAX = 12
    LINE_BYTES_MAX = 4096
    # Sizes, extensions and trailers: so much in one go, and so much more for each byte of body.
    FRAMING_BYTES_MAX = 16_384
    FRAMING_PER_BODY_BYTE = 16

cdef enum:
    SIZE = 0
    EXTENSION = 1
    SIZE_END = 2
    DATA = 3
    DATA_CR = 4
    DATA_LF = 5
    TRAILER = 6
    TRAILER_END = 7
    LAST_LF = 8
    DONE = 9
    TRAILER_VALUE = 10
    EXTENSION_NAME = 11
    EXTENSION_IS = 12
    EXTENSION_VALUE = 13
    EXTENSION_QUOTED = 14
    EXTENSION_ESCAPED = 15
    EXTENSION_OVER = 16


cdef inline int _digit(char character) noexcept nogil:
    if c"0" <= character <= c"9":
        return character - c"0"
    if c"a" <= character <= c"f":
        return character - c"a" + 10
    if c"A" <= character <= c"F":
        return character - c"A" + 10
    return -1


cdef inline bint _is_named(char character) noexcept nogil:
    """Whether it may stand in a name: a token's character."""
    if c"a" <= character <= c"z" or c"A" <= character <= c"Z" or c"0" <= character <= c"9":
        return True
    return character > c" " and memchr(b"!#$%&'*+-.^_`|~", character, 15) is not NULL


cdef inline bint _is_text(char character) noexcept nogil:
    """Whether it is no control character."""
    return not (0 <= character < c" ") and character != 127 or character == c"\t"


cdef int _extended(int state, char character) noexcept nogil:
    """The state behind a character of an extension: `;name`, `;name=value` or `;name="text"`. -1: it is none.

    White space around them, which RFC 9112 lets a reader forgive, is not forgiven.
    """
    if state == EXTENSION_QUOTED:
        if character == c'"':
            return EXTENSION_OVER
        if character == c"\\":
            return EXTENSION_ESCAPED
        return EXTENSION_QUOTED if _is_text(character) else -1
    if state == EXTENSION_ESCAPED:
        return EXTENSION_QUOTED if _is_text(character) else -1
    if state != EXTENSION_OVER and _is_named(character):
        return EXTENSION_NAME if state == EXTENSION or state == EXTENSION_NAME else EXTENSION_VALUE
    if state == EXTENSION_IS:
        return EXTENSION_QUOTED if character == c'"' else -1
    if state == EXTENSION:
        return -1
    if character == c"\r":
        return SIZE_END
    if character == c";":
        return EXTENSION
    return EXTENSION_IS if character == c"=" and state == EXTENSION_NAME else -1


@cython.final
cdef class Chunks:
    """The decoder of one body.

    Order: `feed` until `complete` or there is a `fault`, then `take`.
    Units: `size` is the bytes of body so far, framing not counted.
    """

    def __cinit__(self):
        self._data = bytearray()

    def feed(self, const uint8_t[::1] data not None):
        """Decode bytes. Returns how many of them are the body's: fewer than all only when it is complete,
        or at a fault: those up to it."""
        if data.shape[0] == 0:
            return 0
        return self.feed_at(<const char *>&data[0], data.shape[0])

    def take(self):
        """The body so far, and forget it."""
        cdef bytes data = bytes(self._data)
        self._data = bytearray()
        return data

    cdef Py_ssize_t feed_at(self, const char *at, Py_ssize_t size) except -1:
        cdef const char *begin = at
        cdef const char *end = at + size
        cdef int64_t run
        cdef Py_ssize_t held
        while at < end and self._state != DONE and self.fault is None:
            if self._state == DATA:
                run = min(self._left, <int64_t>(end - at))
                # In one buffer: a body in chunks of a byte must not become a million objects.
                held = PyByteArray_GET_SIZE(self._data)
                PyByteArray_Resize(self._data, held + <Py_ssize_t>run)
                memcpy(PyByteArray_AS_STRING(self._data) + held, at, <size_t>run)
                at += run
                self._left -= run
                self.size += run
                self._framing -= run * FRAMING_PER_BODY_BYTE
                if self._framing < 0:
                    self._framing = 0
                if self._left == 0:
                    self._state = DATA_CR
            else:
                run = self._sized(at, end)
                at += run
                self._framing += run
                if self._framing > FRAMING_BYTES_MAX:
                    self._blame("the body's chunk extensions or trailers are too large")
        if self._state == DONE:
            self.complete = True
        return at - begin

    cdef Py_ssize_t _sized(self, const char *at, const char *end) except -1:
        """One step through what is not body. Returns how many bytes it took, at least one."""
        cdef char character = at[0]
        cdef const char *stop
        cdef int digit
        cdef int following
        if self._state == SIZE:
            digit = _digit(character)
            if digit >= 0:
                self._line += 1
                self._left = self._left * 16 + digit
                if self._line > SIZE_DIGITS_MAX:
                    self._blame("a chunk's size is too long")
            elif self._line == 0:
                self._blame("a chunk's size is not a number")
            elif character == c"\r":
                self._state = SIZE_END
            elif character == c";":
                self._state = EXTENSION
            else:
                self._blame("a chunk's size is not a number")
            return 1
        if self._state == TRAILER:
            # A line's name. What is none may be the next request, of a body that was cut.
            if character == c"\r" and self._line == 0:
                self._state = LAST_LF
            elif character == c":" and self._line:
                self._state = TRAILER_VALUE
            elif not _is_named(character):
                self._blame("a trailer is not a name, a colon and a value")
            self._line += 1
            return 1
        if self._state == EXTENSION or self._state >= EXTENSION_NAME:
            following = self._state
            stop = at
            while stop < end and following >= 0 and following != SIZE_END:
                following = _extended(following, stop[0])
                stop += 1
            self._line += stop - at
            if following < 0:
                self._blame("a chunk's extension is not a name, nor a name and a value")
            elif self._line > LINE_BYTES_MAX:
                self._blame("the body's chunk extensions or trailers are too large")
            else:
                self._state = <uint8_t>following
            return stop - at
        if self._state == TRAILER_VALUE:
            stop = at
            while stop < end and stop[0] != c"\r":
                if not _is_text(stop[0]):
                    self._blame("a trailer has a control character in it")
                    return stop - at + 1
                stop += 1
            self._line += stop - at
            if self._line > LINE_BYTES_MAX:
                self._blame("the body's chunk extensions or trailers are too large")
                return 1
            if stop == end:
                return end - at
            self._state = TRAILER_END
            return stop - at + 1
        if self._state == DATA_CR:
            if character != c"\r":
                self._blame("a chunk is longer than its size says")
            self._state = DATA_LF
            return 1
        if character != c"\n":
            self._blame("a line of the body's framing does not end as it should")
            return 1
        if self._state == LAST_LF:
            self._state = DONE
        elif self._state == SIZE_END:
            self._state = DATA if self._left else TRAILER
        elif self._state == DATA_LF:
            self._state = SIZE
        else:
            self._state = TRAILER
        self._line = 0
        return 1

    cdef int _blame(self, str words) except -1:
        if self.fault is None:
            self.fault = words
        return 0

    def __repr__(self):
        return f"<Chunks size={self.size}{' complete' if self.complete else ''}>"
