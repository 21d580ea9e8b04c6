# cython: auto_pickle=False, autotestdict=False
"""Where the texts of a long JSON value stand, by a shape that a dialect gives: what is only counted is not decoded.

Owns the shape and the places. Says nothing of what it does not know for certain: a value of any other shape, or one
that decoders could read in two ways, has no outline, and is then decoded as ever. Knows no dialect and no token.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memset

from kpgate._fast.jsonwalk cimport (
    DEPTH_CAP, FINE, Span, Walk, walk_item, walk_member, walk_scalar, walk_string, walk_value,
)

from typing import NamedTuple

cdef enum:
    FIELDS_OF_ONE_MAX = 32
    PLACES_MIN = 64
    # What a value may be.
    STRING = 1
    NULL_VALUE = 2
    ARRAY = 4
    OBJECT = 8
    NOT_MARKED = 255


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


cdef Py_ssize_t read_array(
    Outline out, const Node *node, const uint8_t *p, Py_ssize_t at, Py_ssize_t end, Walk *walk
) noexcept nogil:
    cdef Py_ssize_t after = -1
    cdef bint first = True
    at += 1
    while True:
        at = walk_item(p, at, end, walk, &after, first)
        if at <= 0:
            return after
        first = False
        at = read_value(out, out.nodes + node.item, p, at, end, walk)
        if at < 0:
            return -1


cdef inline int field_of(Outline out, const Node *node, const uint8_t *name, Py_ssize_t size) noexcept nogil:
    """The place of a member among those of its object, -1 for one that is passed over."""
    cdef const Field *field = out.fields + node.first
    cdef int i
    for i in range(node.count):
        if field[i].size == size and memcmp(field[i].name, name, size) == 0:
            return i
    return -1


cdef Py_ssize_t read_object(
    Outline out, const Node *node, const uint8_t *p, Py_ssize_t at, Py_ssize_t end, Walk *walk
) noexcept nogil:
    cdef Span key
    cdef const Node *inner
    cdef uint32_t seen = 0
    cdef int marked = 0
    cdef bint first = True
    cdef int i
    at += 1
    while True:
        at = walk_member(p, at, end, walk, &key, first)
        if at <= 0:
            break
        first = False
        walk.members += 1
        if walk.escaped:
            return -1
        i = field_of(out, node, p + key.start, key.end - key.start)
        if i < 0:
            at = walk_value(p, at, end, walk)
        else:
            if (seen >> i) & 1:
                # Decoders take the last one, or the first.
                return -1
            seen |= <uint32_t>1 << i
            inner = out.nodes + out.fields[node.first + i].node
            marked += at < end and p[at] != c"n" and inner.mark != NOT_MARKED
            at = read_value(out, inner, p, at, end, walk)
        if at < 0:
            return -1
    if at < 0 or seen & node.required != node.required or (node.single and marked > 1):
        return -1
    return key.end


cdef Py_ssize_t read_value(
    Outline out, const Node *node, const uint8_t *p, Py_ssize_t at, Py_ssize_t end, Walk *walk
) noexcept nogil:
    """The offset after a value, -1 if it is unsound or not of the shape."""
    cdef Py_ssize_t start = at
    if at >= end:
        return -1
    if p[at] == c'"' and node.kinds & STRING:
        at = walk_string(p, at + 1, end, walk)
        if at > 0 and node.mark != NOT_MARKED and out.note(node.mark, start + 1, at - 1, walk.escaped) < 0:
            return -1
        return at
    if p[at] == c"n" and node.kinds & NULL_VALUE:
        return walk_scalar(p, at, end, walk)
    if not (p[at] == c"[" and node.kinds & ARRAY) and not (p[at] == c"{" and node.kinds & OBJECT):
        return -1
    if walk.depth >= walk.depth_max:
        return -1
    walk.depth += 1
    if p[at] == c"[":
        at = read_array(out, node, p, at, end, walk)
    else:
        at = read_object(out, node, p, at, end, walk)
        if at > 0 and node.mark != NOT_MARKED and out.note(node.mark, start, at, False) < 0:
            return -1
    walk.depth -= 1
    return at


cdef Py_ssize_t walk_outlined(
    Outline out, const uint8_t *p, Py_ssize_t at, Py_ssize_t end, Walk *walk
) noexcept nogil:
    """`walk_value`, which notes on its way what stands where; where the value is of the shape, `out` fits."""
    cdef Walk before = walk[0]
    cdef Py_ssize_t after = read_value(out, out.nodes, p, at, end, walk)
    out.fits = after > 0
    if after > 0:
        return after
    # What is wrong with it, if anything is, says the walk that takes all there is.
    walk[0] = before
    return walk_value(p, at, end, walk)


cdef Outline new_outline(bytes body, Shape shape):
    """An outline with nothing in it yet."""
    cdef Outline out = Outline.__new__(Outline)
    out.body = body
    out.shape = shape
    out.nodes = shape.nodes
    out.fields = shape.fields
    out.counted = shape.counted
    return out


def outline(bytes body not None, Py_ssize_t start, Py_ssize_t end, Shape shape not None) -> Outline | None:
    """The outline of the value at body[start:end] alone; None if it is not of that shape."""
    cdef Outline out = new_outline(body, shape)
    cdef const uint8_t *p = <const uint8_t *>PyBytes_AS_STRING(body)
    cdef Walk walk
    if not 0 <= start <= end <= PyBytes_GET_SIZE(body):
        raise IndexError("the value is not within the body")
    memset(&walk, 0, sizeof(walk))
    walk.reason = FINE
    walk.depth_max = DEPTH_CAP
    return out if read_value(out, out.nodes, p, start, end, &walk) == end else None
