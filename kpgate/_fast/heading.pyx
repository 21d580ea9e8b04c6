# cython: auto_pickle=False, autotestdict=False
"""The headers of a reply, written as they are sent: a line each, in one block.

Owns the lines' bytes and that each is one line. It must not know what a header means: names come from the caller, in
lower case. Whoever wants names and values by themselves gets them by iterating.
Source: RFC 9112, section 5 (November 2026).
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.stdint cimport int64_t
from libc.string cimport memchr, memcpy

from kpgate._fast.digits cimport DIGITS_MAX, number_back, spell_back
from kpgate._fast.utf8 cimport utf8_of


@cython.final
@cython.freelist(4)
cdef class Heading:
    """Headers, in the order in which they were added.

    Errors: ValueError for a value of more than one line.
    """

    def __cinit__(self):
        self.data = self._own
        self._room = HEADING_BYTES

    def __dealloc__(self):
        PyMem_Free(self._heap)

    cpdef int add(self, bytes name, bytes value) except -1:
        """A header."""
        cdef const char *at = PyBytes_AS_STRING(value)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(value)
        if memchr(at, c"\n", size) is not NULL:
            raise ValueError("a header's value is one line")
        return self._line(name, at, size)

    cpdef int say(self, bytes name, str text) except -1:
        """A header of text, in UTF-8."""
        cdef Py_ssize_t size
        cdef const char *at = utf8_of(text, &size)
        if memchr(at, c"\n", size) is not NULL:
            raise ValueError("a header's value is one line")
        return self._line(name, at, size)

    cpdef int count(self, bytes name, int64_t number) except -1:
        """A header that is a whole number."""
        cdef char digits[2 * DIGITS_MAX]
        cdef char *end = digits + DIGITS_MAX
        cdef char *at = number_back(end, number)
        cdef char *value = self._begin(name, DIGITS_MAX)
        # So many at once, whatever stands behind the last one: there is room, and how many is known.
        memcpy(value, at, DIGITS_MAX)
        self._end(value + (end - at))
        return 0

    cpdef int last(self, bytes name, int64_t duration_us) except -1:
        """A header that is a duration, as `digits.spell` has it. Units: microseconds in."""
        cdef char letters[48]
        cdef char *end = letters + sizeof(letters)
        cdef char *at = spell_back(end, duration_us)
        return self._line(name, at, end - at)

    cpdef int extend(self, object headers) except -1:
        """Headers that are names and values already."""
        cdef bytes name
        cdef bytes value
        for name, value in headers:
            self.add(name, value)
        return 0

    cpdef int paste(self, bytes lines) except -1:
        """Headers as they are sent already, a line each."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(lines)
        if self.size + size > self._room:
            self._grow(size)
        memcpy(self.data + self.size, PyBytes_AS_STRING(lines), size)
        self.size += size
        return 0

    cpdef list pairs(self):
        """Names and values."""
        cdef const char *at = self.data
        cdef const char *end = self.data + self.size
        cdef const char *colon
        cdef const char *stop
        cdef list found = []
        while at < end:
            # No name holds a colon, no value ends before its line.
            colon = <const char *>memchr(at, c":", end - at)
            stop = <const char *>memchr(colon, c"\n", end - colon)
            name = PyBytes_FromStringAndSize(at, colon - at)
            found.append((name, PyBytes_FromStringAndSize(colon + 2, stop - colon - 3)))
            at = stop + 1
        return found

    def __iter__(self):
        return iter(self.pairs())

    cdef int _line(self, bytes name, const char *value, Py_ssize_t size) except -1:
        cdef char *at = self._begin(name, size)
        memcpy(at, value, size)
        self._end(at + size)
        return 0

    cdef inline char *_begin(self, bytes name, Py_ssize_t size) except NULL:
        """Write a line's name. Returns where its value comes, for which there is room."""
        cdef Py_ssize_t name_size = PyBytes_GET_SIZE(name)
        cdef char *at
        if self.size + name_size + size + 4 > self._room:
            self._grow(name_size + size + 4)
        at = self.data + self.size
        memcpy(at, PyBytes_AS_STRING(name), name_size)
        at[name_size] = c":"
        at[name_size + 1] = c" "
        return at + name_size + 2

    cdef inline void _end(self, char *at) noexcept:
        """A line's value ends there."""
        at[0] = c"\r"
        at[1] = c"\n"
        self.size = at + 2 - self.data

    cdef int _grow(self, Py_ssize_t more) except -1:
        cdef Py_ssize_t room = self.size + more + (self.size >> 1)
        cdef char *grown = <char *>PyMem_Realloc(self._heap, room)
        if grown == NULL:
            raise MemoryError
        if self._heap == NULL:
            memcpy(grown, self._own, self.size)
        self._heap = self.data = grown
        self._room = room
        return 0

    def __repr__(self):
        return f"<Heading {self.data[:self.size]!r}>"


cpdef Heading no_headers():
    """What headers are added to."""
    return Heading.__new__(Heading)
