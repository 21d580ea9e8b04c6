# cython: language_level=3str, auto_pickle=False, autotestdict=False
"""The routing table of one configuration: what model a name means, and in which order its deployments go.

Frozen once made. Knows places in the configuration's lists, not what stands there; the random number, and
who is eligible or ejected, are passed in.
"""

cimport cython
from cpython.dict cimport PyDict_GetItem
from cpython.long cimport PyLong_FromLong
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from cpython.unicode cimport PyUnicode_Find, PyUnicode_GET_LENGTH, PyUnicode_Tailmatch
from libc.stdint cimport uint64_t

cdef enum:
    DEPLOYMENTS_MAX = 64
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

    cdef dict exact
    cdef dict memo
    cdef list patterns
    cdef readonly Py_ssize_t default
    cdef readonly Py_ssize_t memo_max

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

    def match(self, str name not None) -> int:
        """The place of the entry that answers for `name`, -1 if none does."""
        cdef PyObject* known = PyDict_GetItem(self.exact, name)
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


cdef inline uint64_t draw(uint64_t* state) noexcept nogil:
    """The next number of the sequence that `state` began (splitmix64; one to one in its first number)."""
    state[0] += <uint64_t>0x9E3779B97F4A7C15
    cdef uint64_t x = state[0]
    x = (x ^ (x >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    x = (x ^ (x >> 27)) * <uint64_t>0x94D049BB133111EB
    return x ^ (x >> 31)


@cython.final
cdef class Picker:
    """In which order one model's deployments are tried.

    Shape: priority and weight of each deployment, at most 64; weights are 1 to 2**32 - 1.
    Errors: ValueError for any other.
    """

    cdef readonly int count
    cdef int place[DEPLOYMENTS_MAX]
    cdef uint64_t weight[DEPLOYMENTS_MAX]
    cdef int group_end[DEPLOYMENTS_MAX]

    def __init__(self, priorities, weights):
        cdef int i
        cdef list order
        if len(priorities) != len(weights):
            raise ValueError("a deployment has a priority and a weight")
        if not 1 <= len(priorities) <= DEPLOYMENTS_MAX:
            raise ValueError(f"a model has 1 to {DEPLOYMENTS_MAX} deployments")
        if min(weights) < 1 or max(weights) >= 1 << 32:
            raise ValueError("a weight is 1 to 4294967295")
        self.count = <int>len(priorities)
        order = sorted(range(self.count), key=lambda i: (priorities[i], i))
        for i in range(self.count):
            self.place[i] = order[i]
            self.weight[i] = weights[order[i]]
        for i in range(self.count - 1, -1, -1):
            if i + 1 < self.count and priorities[order[i]] == priorities[order[i + 1]]:
                self.group_end[i] = self.group_end[i + 1]
            else:
                self.group_end[i] = i + 1

    @property
    def everyone(self) -> int:
        """The mask of all deployments."""
        # Two shifts: shifting 64 bits by 64 is undefined.
        return ((<uint64_t>1 << (self.count - 1)) << 1) - 1

    def order(self, uint64_t random, uint64_t eligible, uint64_t ejected) -> tuple:
        """The deployments to try, first to last.

        Shape: `random` is 64 random bits; bit i of the masks is deployment i.
        Order: lower priorities first; within one, each next place is drawn by weight among those left; after
        all of them the ejected ones, in the same way.
        """
        cdef int[DEPLOYMENTS_MAX] out
        cdef int count = self.fill(out, &random, eligible & ~ejected, 0)
        cdef int i
        if eligible & ejected:
            count = self.fill(out, &random, eligible & ejected, count)
        result = PyTuple_New(count)
        for i in range(count):
            value = PyLong_FromLong(out[i])
            Py_INCREF(value)
            PyTuple_SET_ITEM(result, i, value)
        return result

    cdef int fill(self, int* out, uint64_t* state, uint64_t mask, int count) noexcept:
        """Add the deployments of `mask` to `out`, which holds `count`; returns how many it holds then."""
        cdef int left[DEPLOYMENTS_MAX]
        cdef int i, size
        cdef int begin = 0
        cdef uint64_t total
        cdef uint64_t point
        while begin < self.count:
            size = 0
            total = 0
            for i in range(begin, self.group_end[begin]):
                if (mask >> self.place[i]) & 1:
                    left[size] = i
                    size += 1
                    total += self.weight[i]
            while size > 1:
                # The remainder's bias is total / 2**64, under 1 in 10**8.
                point = draw(state) % total
                i = 0
                while point >= self.weight[left[i]]:
                    point -= self.weight[left[i]]
                    i += 1
                out[count] = self.place[left[i]]
                count += 1
                total -= self.weight[left[i]]
                size -= 1
                while i < size:
                    left[i] = left[i + 1]
                    i += 1
            if size:
                out[count] = self.place[left[0]]
                count += 1
            begin = self.group_end[begin]
        return count
