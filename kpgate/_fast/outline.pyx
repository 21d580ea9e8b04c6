# cython: auto_pickle=False, autotestdict=False
"""Where the texts of a long JSON value stand, by a shape that a dialect gives: what is only counted is not decoded.

Owns the shape and the places. Says nothing of what it does not know for certain: a value of any other shape, or one
that decoders could read in two ways, has no outline, and is then decoded as ever. Knows no dialect and no token.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int16_t, uint8_t, uint32_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memset

from kpgate._fast.jsonwalk cimport Walk, skip_space, walk_value

from typing import NamedTuple

cdef extern from "jump.h" nogil:
    Py_ssize_t kpgate_jump_quote(const uint8_t *p, Py_ssize_t at, Py_ssize_t end) noexcept

cdef enum:
    NODES_MAX = 32
    FIELDS_MAX = 64
    FIELDS_OF_ONE_MAX = 32
    PLACES_MIN = 64
    GIL_BYTES = 16384
    # What a value may be.
    STRING = 1
    NULL_VALUE = 2
    ARRAY = 4
    OBJECT = 8
    NOT_MARKED = 255
    # The scan was stricter.
    DEPTH_MAX = 1024

cdef struct Field:
    const char *name
    Py_ssize_t size
    int16_t node

cdef struct Node:
    uint8_t kinds
    uint8_t mark
    bint single
    int16_t item
    int16_t first
    int16_t count
    uint32_t required


class Value(NamedTuple):
    """What a value may be.

    Shape: a string, null, an array of `items`, an object with `members` of which some are `required`; other members
    are passed over. Where one is `single`, it has at most one marked member that is not null. `mark`, below 16, is
    what the place of a string or an object is noted by; -1 notes none.
    """

    string: bool = False
    null: bool = False
    items: "Value | None" = None
    members: "dict[str, Value] | None" = None
    required: tuple[str, ...] = ()
    single: bool = False
    mark: int = -1


@cython.final
cdef class Shape:
    """A `Value`, ready for use, and the marks whose strings are counted.

    Errors: ValueError for one that is too large or marked beyond 15.
    """

    cdef Node nodes[NODES_MAX]
    cdef Field fields[FIELDS_MAX]
    cdef int node_count
    cdef int field_count
    cdef uint32_t counted
    cdef list names

    def __init__(self, value, counted=()):
        self.names = []
        self._add(value)
        for mark in counted:
            self.counted |= <uint32_t>1 << checked(mark)

    cdef int _add(self, value) except -1:
        """Lay out a value; returns its node."""
        cdef int place = self.node_count
        cdef int at
        cdef bytes name
        cdef dict members = value.members or {}
        if place == NODES_MAX or self.field_count + len(members) > FIELDS_MAX or len(members) > FIELDS_OF_ONE_MAX:
            raise ValueError("the shape is too large")
        self.node_count += 1
        self.nodes[place].kinds = (
            STRING * bool(value.string) + NULL_VALUE * bool(value.null)
            + ARRAY * (value.items is not None) + OBJECT * (value.members is not None)
        )
        self.nodes[place].mark = NOT_MARKED if value.mark < 0 else checked(value.mark)
        self.nodes[place].single = value.single
        self.nodes[place].first = self.field_count
        self.nodes[place].count = len(members)
        self.field_count += len(members)
        for at, (member, inner) in enumerate(members.items()):
            name = member.encode()
            self.names.append(name)
            self.nodes[place].required |= <uint32_t>(member in value.required) << at
            at += self.nodes[place].first
            self.fields[at] = Field(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name), self._add(inner))
        if value.items is not None:
            self.nodes[place].item = self._add(value.items)
        return place


cdef int checked(int mark) except -1:
    if not 0 <= mark < MARKS_MAX:
        raise ValueError(f"a mark is from 0 to {MARKS_MAX - 1}")
    return mark


@cython.final
cdef class Outline:
    """The marked values of one member of a body. It keeps the body.

    Shape: `owner` is a number of whose they are; what is remembered of one's texts serves nobody else.
    """

    def __init__(self, *args, **kwargs):
        raise TypeError("an Outline is made by outline()")

    def __dealloc__(self):
        free(self.places)

    def tally(self, int mark) -> int:
        """How many values have that mark."""
        return self.tallies[checked(mark)]

    def spans(self, int mark) -> list:
        """Where they stand, strings without their quotes. Units: bytes from the body's start."""
        return [
            (self.places[i].start, self.places[i].end) for i in range(self.count) if self.places[i].mark == mark
        ]

    def raw(self, int mark) -> list:
        """What stands there, as it was sent."""
        return [self.body[start:end] for start, end in self.spans(mark)]

    cdef int note(self, uint8_t mark, Py_ssize_t start, Py_ssize_t end, bint escaped) noexcept nogil:
        """Note a place; -1 where there is no memory."""
        cdef Place *grown
        if self.count == self.room:
            self.room = 2 * self.room if self.room else PLACES_MIN
            grown = <Place *>realloc(self.places, self.room * sizeof(Place))
            if grown == NULL:
                return -1
            self.places = grown
        self.places[self.count] = Place(start, end, mark, escaped, UNKNOWN, [0, 0])
        self.count += 1
        self.tallies[mark] += 1
        return 0


cdef inline Py_ssize_t skip_string(const uint8_t *p, Py_ssize_t at, Py_ssize_t end, bint *escaped) noexcept nogil:
    """The offset after the closing quote of a string that was found sound, `at` after its opening one."""
    while True:
        at = kpgate_jump_quote(p, at, end)
        if at >= end:
            return -1
        if p[at] == c'"':
            return at + 1
        escaped[0] = True
        at += 2


cdef Py_ssize_t read_array(
    Shape shape, const Node *node, const uint8_t *p, Py_ssize_t at, Py_ssize_t end, Outline out
) noexcept nogil:
    at = skip_space(p, at + 1, end)
    if at < end and p[at] == c"]":
        return at + 1
    while True:
        at = read_value(shape, shape.nodes + node.item, p, at, end, out)
        if at < 0:
            return -1
        at = skip_space(p, at, end)
        if at >= end:
            return -1
        if p[at] == c"]":
            return at + 1
        at = skip_space(p, at + 1, end)


cdef Py_ssize_t read_object(
    Shape shape, const Node *node, const uint8_t *p, Py_ssize_t at, Py_ssize_t end, Outline out
) noexcept nogil:
    cdef const Field *field = NULL
    cdef Py_ssize_t key, i
    cdef uint32_t seen = 0
    cdef int marked = 0
    cdef bint escaped = False
    cdef Walk walk
    at = skip_space(p, at + 1, end)
    while at < end and p[at] != c"}":
        key = at + 1
        at = skip_string(p, key, end, &escaped)
        if at < 0 or escaped:
            return -1
        for i in range(node.count):
            field = shape.fields + node.first + i
            if field.size == at - 1 - key and memcmp(field.name, p + key, field.size) == 0:
                break
        else:
            i = -1
        at = skip_space(p, at, end)
        at = skip_space(p, at + 1, end)
        if at >= end:
            return -1
        if i < 0:
            memset(&walk, 0, sizeof(walk))
            walk.depth_max = DEPTH_MAX
            at = walk_value(p, at, end, &walk)
        else:
            if (seen >> i) & 1:
                # Decoders take the last one, or the first.
                return -1
            seen |= <uint32_t>1 << i
            marked += p[at] != c"n" and shape.nodes[field.node].mark != NOT_MARKED
            at = read_value(shape, shape.nodes + field.node, p, at, end, out)
        if at < 0:
            return -1
        at = skip_space(p, at, end)
        if at < end and p[at] == c",":
            at = skip_space(p, at + 1, end)
    if at >= end or seen & node.required != node.required or (node.single and marked > 1):
        return -1
    return at + 1


cdef Py_ssize_t read_value(
    Shape shape, const Node *node, const uint8_t *p, Py_ssize_t at, Py_ssize_t end, Outline out
) noexcept nogil:
    """The offset after a value that the scan found sound, -1 if it is not of the shape."""
    cdef Py_ssize_t start = at
    cdef bint escaped = False
    if at >= end:
        return -1
    if p[at] == c'"' and node.kinds & STRING:
        at = skip_string(p, at + 1, end, &escaped)
        if at > 0 and node.mark != NOT_MARKED and out.note(node.mark, start + 1, at - 1, escaped) < 0:
            return -1
        return at
    if p[at] == c"n" and node.kinds & NULL_VALUE:
        return at + 4
    if p[at] == c"[" and node.kinds & ARRAY:
        return read_array(shape, node, p, at, end, out)
    if p[at] != c"{" or not node.kinds & OBJECT:
        return -1
    at = read_object(shape, node, p, at, end, out)
    if at > 0 and node.mark != NOT_MARKED and out.note(node.mark, start, at, False) < 0:
        return -1
    return at


def outline(bytes body not None, Py_ssize_t start, Py_ssize_t end, Shape shape not None) -> Outline | None:
    """The outline of the value at body[start:end]; None if it is not of that shape.

    Order: a scan found the body sound.
    """
    cdef Outline out = Outline.__new__(Outline)
    cdef const uint8_t *p = <const uint8_t *>PyBytes_AS_STRING(body)
    cdef Py_ssize_t at
    if not 0 <= start <= end <= PyBytes_GET_SIZE(body):
        raise IndexError("the value is not within the body")
    out.body = body
    out.counted = shape.counted
    if end - start > GIL_BYTES:
        with nogil:
            at = read_value(shape, shape.nodes, p, start, end, out)
    else:
        at = read_value(shape, shape.nodes, p, start, end, out)
    return out if at == end else None
