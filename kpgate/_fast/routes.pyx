# cython: language_level=3str, auto_pickle=False, autotestdict=False
"""The routing table of one configuration: what model a name means.

Frozen once made. Knows places in the configuration's lists, not what stands there.
"""

cimport cython
from cpython.dict cimport PyDict_GetItem
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_Find, PyUnicode_GET_LENGTH, PyUnicode_Tailmatch

cdef enum:
    # Longer names are matched anew each time, so that the memo is bounded in bytes too.
    MEMO_NAME_LENGTH_MAX = 256


@cython.final
cdef class Pattern:
    """A name in which `*` stands for any run of characters, the empty one included."""

    cdef str head
    cdef str last
    cdef tuple middle
    cdef Py_ssize_t literal_length
    cdef Py_ssize_t entry

    def __cinit__(self, str pattern not None, Py_ssize_t entry):
        cdef list parts = pattern.split("*")
        self.head = parts[0]
        self.last = parts[len(parts) - 1]
        self.middle = tuple([part for part in parts[1:len(parts) - 1] if part])
        self.literal_length = sum([len(part) for part in parts])
        self.entry = entry

    cdef bint matches(self, str name) except -1:
        cdef Py_ssize_t end = PyUnicode_GET_LENGTH(name)
        cdef Py_ssize_t at = PyUnicode_GET_LENGTH(self.head)
        if end < self.literal_length or not PyUnicode_Tailmatch(name, self.head, 0, end, -1):
            return False
        if not PyUnicode_Tailmatch(name, self.last, 0, end, 1):
            return False
        end -= PyUnicode_GET_LENGTH(self.last)
        # The leftmost place of each part leaves the most room for those after it.
        for part in self.middle:
            at = PyUnicode_Find(name, part, at, end, 1)
            if at < 0:
                return False
            at += PyUnicode_GET_LENGTH(part)
        return True


@cython.final
cdef class Router:
    """Which entry a model's name means.

    Shape: `entries[i]` holds every name that leads to entry i, aliases too; one with `*` is a pattern.
    Order: an exact name; else the pattern with the longest text before its first `*`, then with the most
    text in all, then the earliest; else `default`; else -1.
    Errors: ValueError where a name or a pattern leads to two entries or is empty.
    """

    def __init__(self, entries, Py_ssize_t default=-1, Py_ssize_t memo_max=4096):
        cdef Py_ssize_t i
        cdef list patterns = []
        cdef dict taken = {}
        self.exact = {}
        self.memo = {}
        self.default = default
        self.memo_max = memo_max
        for i, names in enumerate(entries):
            for name in names:
                if not name:
                    raise ValueError("a model's name is empty")
                if taken.setdefault(name, i) != i:
                    raise ValueError(f"{name}: leads to two models")
                if "*" in name:
                    patterns.append((-name.index("*"), name.count("*") - len(name), len(patterns), name, i))
                else:
                    self.exact[name] = i
        if not -1 <= default < len(entries):
            raise ValueError("default is no entry")
        self.patterns = [Pattern(name, i) for *_, name, i in sorted(patterns)]

    cpdef Py_ssize_t match(self, str name) except -2:
        """The place of the entry that answers for `name`, -1 if none does."""
        cdef PyObject* known
        if name is None:
            raise TypeError("a model's name is text")
        known = PyDict_GetItem(self.exact, name)
        if known != NULL:
            return <object>known
        known = PyDict_GetItem(self.memo, name)
        if known != NULL:
            return <object>known
        return self.search(name)

    cdef object search(self, str name):
        cdef Pattern pattern
        cdef object found = self.default
        for pattern in self.patterns:
            if pattern.matches(name):
                found = pattern.entry
                break
        if self.patterns and PyUnicode_GET_LENGTH(name) <= MEMO_NAME_LENGTH_MAX and self.memo_max > 0:
            # Whoever asks for ever new names pays for the search; the common ones are back at once.
            if len(self.memo) >= self.memo_max:
                self.memo.clear()
            self.memo[name] = found
        return found

    @property
    def memo_size(self) -> int:
        """How many answers of patterns are remembered."""
        return len(self.memo)
