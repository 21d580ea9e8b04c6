# cython: auto_pickle=False, autotestdict=False
"""A flat JSON object, written member by member: a log line has two dozen of them, and every call has one.

Owns where members begin and end; how a text is spelled is the pen's business. Knows no name.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy

from kpgate._fast.digits cimport DIGITS_MAX, number_back
from kpgate._fast.pen cimport Pen


@cython.final
cdef class Members(Pen):
    """Members of an object, in the order in which they were put. One may be used for many objects.

    Order: `begin`, members, `take`.
    """

    cpdef int begin(self) except -1:
        """Forget what was put, should it never have been taken."""
        self._size = 0
        return 0

    cpdef int put(self, bytes name, str text) except -1:
        """A text. Errors: UnicodeEncodeError for half of a surrogate pair."""
        self._begin(name, 0)
        return self.text(text)

    cpdef int put_number(self, bytes name, int64_t number) except -1:
        """A whole number."""
        cdef char digits[2 * DIGITS_MAX]
        cdef char *end = digits + DIGITS_MAX
        cdef char *at = number_back(end, number)
        self._begin(name, DIGITS_MAX)
        # So many at once, whatever stands behind the last one: there is room, and how many is known.
        memcpy(self._held + self._size, at, DIGITS_MAX)
        self._size += end - at
        return 0

    cpdef int say(self, bytes name, str text) except -1:
        """A text, unless it is empty."""
        return self.put(name, text) if text else 0

    cpdef int count(self, bytes name, int64_t number) except -1:
        """A whole number, unless it is 0."""
        return self.put_number(name, number) if number else 0

    cpdef int affirm(self, bytes name, bint holds) except -1:
        """`true`, unless it does not hold."""
        if holds:
            self._begin(name, 0)
            self.raw(b"true")
        return 0

    cpdef Py_ssize_t mark(self) except -1:
        """Where the next member begins, for `since`."""
        return self._size

    cpdef bytes since(self, Py_ssize_t mark):
        """The members that were put from a mark on, for `paste`. Order: the mark is behind the first member."""
        assert 0 < mark <= self._size, "what is to be pasted stands behind a member"
        return PyBytes_FromStringAndSize(<char *>self._held + mark, self._size - mark)

    cpdef int paste(self, bytes members) except -1:
        """Members as they were written before. Order: not the first of all."""
        assert self._size > 0, "what is pasted stands behind a member"
        return self.raw(members)

    cpdef bytes take(self):
        """The object."""
        if not self._size:
            return b"{}"
        self.raw(b"}")
        cdef bytes taken = self.done()
        self.shrink()
        return taken

    cdef int _begin(self, bytes name, Py_ssize_t more) except -1:
        """Write a member's name. There is room for `more` then."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(name)
        cdef uint8_t *at
        self._make_room(size + 4 + more)
        at = self._held + self._size
        at[0] = c"," if self._size else c"{"
        at[1] = c'"'
        memcpy(at + 2, PyBytes_AS_STRING(name), size)
        at[2 + size] = c'"'
        at[3 + size] = c":"
        self._size += size + 4
        return 0
