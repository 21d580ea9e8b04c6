# cython: auto_pickle=False, autotestdict=False
"""A flat JSON object, written member by member: a log line has two dozen of them, and every call has one.

Owns the spelling, which is msgspec's: no spaces, text in UTF-8, escaped only where JSON wants it. Knows no name.
Source: RFC 8259, section 7 (November 2026).
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from kpgate._fast.digits cimport number_back

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL

cdef extern from "jump.h" nogil:
    uint64_t kpgate_equal(uint64_t word, uint8_t byte) noexcept
    enum: KPGATE_ONES, KPGATE_HIGH

cdef enum:
    # What a character takes at the most.
    ESCAPED_BYTES = 6
    KEPT_BYTES = 16_384

# The letter behind the backslash; 117 where there is none of its own, 0 where no escape is needed.
cdef uint8_t _escapes[256]
for _code in range(256):
    _escapes[_code] = {8: c"b", 9: c"t", 10: c"n", 12: c"f", 13: c"r", 34: c'"', 92: c"\\"}.get(
        _code, c"u" if _code < 32 else 0
    )


cdef inline bint is_plain_word(const char *at) noexcept nogil:
    """Whether eight bytes are sure to need no escape."""
    cdef uint64_t word
    memcpy(&word, at, 8)
    if (word - <uint64_t>KPGATE_ONES * 0x20) & ~word & <uint64_t>KPGATE_HIGH:
        return False
    return not kpgate_equal(word, c'"') | kpgate_equal(word, c"\\")


cdef inline bint is_plain(const char *text, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t at = 0
    if size >= 8:
        while at < size - 8:
            if not is_plain_word(text + at):
                return False
            at += 8
        return is_plain_word(text + size - 8)
    while at < size:
        if _escapes[<uint8_t>text[at]]:
            return False
        at += 1
    return True


cdef char *escape(char *out, const char *text, Py_ssize_t size) noexcept nogil:
    """Write a text that needs escapes. Returns the end of it."""
    cdef Py_ssize_t at
    cdef uint8_t byte, letter
    for at in range(size):
        byte = <uint8_t>text[at]
        letter = _escapes[byte]
        if not letter:
            out[0] = <char>byte
            out += 1
            continue
        out[0] = c"\\"
        out[1] = <char>letter
        out += 2
        if letter == c"u":
            memcpy(out, b"00", 2)
            out[2] = b"0123456789abcdef"[byte >> 4]
            out[3] = b"0123456789abcdef"[byte & 15]
            out += 4
    return out


@cython.final
cdef class Members:
    """Members of an object, in the order in which they were put. One may be used for many objects.

    Order: `begin`, members, `take`.
    """

    def __dealloc__(self):
        PyMem_Free(self._data)

    cpdef int begin(self) except -1:
        """Forget what was put, should it never have been taken."""
        self._size = 0
        return 0

    cpdef int put(self, bytes name, str text) except -1:
        """A text. Errors: UnicodeEncodeError for half of a surrogate pair."""
        cdef Py_ssize_t size
        cdef const char *utf8 = PyUnicode_AsUTF8AndSize(text, &size)
        cdef char *at
        if is_plain(utf8, size):
            at = self._begin(name, size + 2)
            at[0] = c'"'
            memcpy(at + 1, utf8, size)
            at += 1 + size
        else:
            at = self._begin(name, ESCAPED_BYTES * size + 2)
            at[0] = c'"'
            at = escape(at + 1, utf8, size)
        at[0] = c'"'
        self._size = at + 1 - self._data
        return 0

    cpdef int put_number(self, bytes name, int64_t number) except -1:
        """A whole number."""
        cdef char digits[24]
        cdef char *end = digits + sizeof(digits)
        cdef char *begin = number_back(end, number)
        cdef char *at = self._begin(name, end - begin)
        memcpy(at, begin, end - begin)
        self._size = at + (end - begin) - self._data
        return 0

    cpdef int say(self, bytes name, str text) except -1:
        """A text, unless it is empty."""
        return self.put(name, text) if text else 0

    cpdef int count(self, bytes name, int64_t number) except -1:
        """A whole number, unless it is 0."""
        return self.put_number(name, number) if number else 0

    cpdef int affirm(self, bytes name, bint holds) except -1:
        """`true`, unless it does not hold."""
        cdef char *at
        if holds:
            at = self._begin(name, 4)
            memcpy(at, b"true", 4)
            self._size = at + 4 - self._data
        return 0

    cpdef Py_ssize_t mark(self) except -1:
        """Where the next member begins, for `since`."""
        return self._size

    cpdef bytes since(self, Py_ssize_t mark):
        """The members that were put from a mark on, for `paste`. Order: the mark is behind the first member."""
        assert 0 < mark <= self._size, "what is to be pasted stands behind a member"
        return PyBytes_FromStringAndSize(self._data + mark, self._size - mark)

    cpdef int paste(self, bytes members) except -1:
        """Members as they were written before. Order: not the first of all."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(members)
        assert self._size > 0, "what is pasted stands behind a member"
        memcpy(self._room_for(size), PyBytes_AS_STRING(members), size)
        self._size += size
        return 0

    cpdef bytes take(self):
        """The object."""
        cdef bytes taken = b"{}"
        if self._size:
            self._data[self._size] = c"}"
            taken = PyBytes_FromStringAndSize(self._data, self._size + 1)
        if self._room > KEPT_BYTES:
            PyMem_Free(self._data)
            self._data = NULL
            self._room = 0
        return taken

    cdef inline char *_room_for(self, Py_ssize_t more) except NULL:
        """Room for so much behind what is there, and for the closing brace. Returns where that is."""
        cdef Py_ssize_t room = self._size + more + 1
        cdef char *grown
        if room > self._room:
            room += (self._size >> 1) + 512
            grown = <char *>PyMem_Realloc(self._data, room)
            if grown == NULL:
                raise MemoryError
            self._data = grown
            self._room = room
        return self._data + self._size

    cdef char *_begin(self, bytes name, Py_ssize_t more) except NULL:
        """Write a member's name, with room for a value of `more` bytes and the closing brace behind it."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(name)
        cdef char *at = self._room_for(size + more + 4)
        at[0] = c"," if self._size else c"{"
        at[1] = c'"'
        memcpy(at + 2, PyBytes_AS_STRING(name), size)
        at += 2 + size
        at[0] = c'"'
        at[1] = c":"
        return at + 2
