# cython: language_level=3str, auto_pickle=False, autotestdict=False
"""JSON written straight into one buffer: what is fixed as it stands, texts with what JSON wants escaped in them.

Owns how a text and a number are spelled, as msgspec spells them: UTF-8, escaped only where JSON wants it. Knows no
form: that what is written is JSON in the end is its caller's business. Source: RFC 8259, section 7 (November 2026).
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy

from kpgate._fast.digits cimport DIGITS_MAX, number_back
from kpgate._fast.utf8 cimport utf8_of

cdef extern from "jump.h" nogil:
    Py_ssize_t kpgate_jump_text(const uint8_t *p, Py_ssize_t at, Py_ssize_t end) noexcept

cdef enum:
    ROOM = 1024
    # What is kept by a pen that is used again.
    ROOM_KEPT = 16_384
    # As much as one byte becomes: \u001f.
    ESCAPED_BYTES_MAX = 6


cdef inline uint8_t _short(uint8_t c) noexcept nogil:
    """The letter that a byte is escaped by, 0 for none."""
    if c == c'"' or c == c"\\":
        return c
    if c == c"\n":
        return c"n"
    if c == c"\r":
        return c"r"
    if c == c"\t":
        return c"t"
    if c == 8:
        return c"b"
    return c"f" if c == 12 else 0


@cython.freelist(8)
cdef class Pen:
    """What is written so far. Order: `done` is the end of it.

    Errors: UnicodeEncodeError for a text with half of a surrogate pair.
    """

    def __cinit__(self):
        self._held = <uint8_t *>PyMem_Malloc(ROOM)
        if self._held == NULL:
            raise MemoryError
        self._room = ROOM

    def __dealloc__(self):
        PyMem_Free(self._held)

    cdef int _make_room(self, Py_ssize_t more) except -1:
        cdef Py_ssize_t room = self._room
        cdef uint8_t *held
        if room - self._size >= more:
            return 0
        while room - self._size < more:
            room *= 2
        held = <uint8_t *>PyMem_Realloc(self._held, room)
        if held == NULL:
            raise MemoryError
        self._held = held
        self._room = room
        return 0

    cpdef int raw(self, bytes written) except -1:
        """Put down what is JSON, or a part of it, already."""
        cdef Py_ssize_t size
        if written is None:
            raise TypeError("expected bytes")
        size = PyBytes_GET_SIZE(written)
        self._make_room(size)
        memcpy(self._held + self._size, PyBytes_AS_STRING(written), size)
        self._size += size
        return 0

    cpdef int text(self, str said) except -1:
        """Put down a text, in its quotes."""
        cdef Py_ssize_t size
        cdef const uint8_t *p = <const uint8_t *>utf8_of(said, &size)
        cdef Py_ssize_t at = 0
        cdef Py_ssize_t begin = 0
        # Most have nothing to be escaped in them; where there is, room is made for the rest.
        self._make_room(size + 2)
        self._held[self._size] = c'"'
        self._size += 1
        while True:
            at = kpgate_jump_text(p, at, size)
            if at < size and p[at] >= 0x80:
                at += 1
                continue
            memcpy(self._held + self._size, p + begin, at - begin)
            self._size += at - begin
            if at == size:
                break
            self._make_room(size - at + 1 + ESCAPED_BYTES_MAX)
            self._escape(p[at])
            at += 1
            begin = at
        self._held[self._size] = c'"'
        self._size += 1
        return 0

    cdef void _escape(self, uint8_t c) noexcept:
        """One byte escaped. There is room for it."""
        cdef uint8_t *out = self._held + self._size
        cdef uint8_t letter = _short(c)
        out[0] = c"\\"
        if letter:
            out[1] = letter
            self._size += 2
            return
        memcpy(out + 1, b"u00", 3)
        out[4] = c"0" + (c >> 4)
        out[5] = b"0123456789abcdef"[c & 15]
        self._size += ESCAPED_BYTES_MAX

    cpdef int number(self, int64_t number) except -1:
        """Put down a whole number."""
        cdef char digits[DIGITS_MAX]
        cdef char *end = digits + DIGITS_MAX
        cdef char *at = number_back(end, number)
        self._make_room(DIGITS_MAX)
        memcpy(self._held + self._size, at, end - at)
        self._size += end - at
        return 0

    cdef void shrink(self) noexcept:
        """Begin anew, without what something long has left."""
        cdef uint8_t *held
        self._size = 0
        if self._room > ROOM_KEPT:
            held = <uint8_t *>PyMem_Realloc(self._held, ROOM)
            if held != NULL:
                self._held = held
                self._room = ROOM

    cpdef bytes done(self):
        """All that was written."""
        return PyBytes_FromStringAndSize(<char *>self._held, self._size)
