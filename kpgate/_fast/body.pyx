# cython: language_level=3str, auto_pickle=False, autotestdict=False
"""A JSON body read in place: where the known top-level members stand, and how to change them.

One strict pass (RFC 8259) over the whole body; everything that is not edited stays byte for byte. Knows
neither what a member means nor which status an error becomes.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int16_t, int64_t, uint8_t
from libc.string cimport memchr, memcmp, memcpy, memset

from kpgate._fast.jsonwalk cimport (
    BAD_ESCAPE,
    BAD_LITERAL,
    BAD_NUMBER,
    BAD_UTF8,
    BYTE_ORDER_MARK,
    CONTROL_IN_STRING,
    CUT_SHORT,
    DEPTH_CAP,
    FINE,
    NO_COLON,
    NO_COMMA_IN_ARRAY,
    NO_COMMA_IN_OBJECT,
    NO_KEY,
    NO_OBJECT,
    NO_VALUE,
    OPEN_STRING,
    TOO_DEEP,
    TRAILING,
    TWICE,
    Span,
    Walk,
    fault,
    skip_space,
    unescape,
    walk_member,
    walk_value,
)
from kpgate._fast.outline cimport Outline, Shape, new_outline, walk_outlined

cdef enum:
    NAME_BYTES_MAX = 128
    # Scanned in less time than a thread that waits for the GIL is woken in.
    GIL_BYTES = 131072
    # Below this a copy is cheaper than one more element of a `writev`.
    PART_BYTES_MIN = 4096
    PARTS_BODY_BYTES_MIN = 65536

cdef struct Patch:
    # Replaces body[start:end]; `value` is borrowed, NULL to leave the span out.
    Py_ssize_t start
    Py_ssize_t end
    PyObject* value

cdef extern from "Python.h":
    ctypedef struct PyObject

cdef dict REASONS = {
    NO_VALUE: "expected a value",
    NO_OBJECT: "expected an object",
    NO_KEY: "expected a key in double quotes",
    NO_COLON: "expected a colon after the key",
    NO_COMMA_IN_OBJECT: "expected a comma or a closing brace",
    NO_COMMA_IN_ARRAY: "expected a comma or a closing bracket",
    BAD_LITERAL: "expected true, false or null",
    BAD_NUMBER: "malformed number",
    BAD_ESCAPE: "malformed escape in a string",
    BAD_UTF8: "not UTF-8",
    CONTROL_IN_STRING: "control character in a string",
    OPEN_STRING: "the string is not closed",
    CUT_SHORT: "ended too early",
    TOO_DEEP: "nested too deeply",
    TRAILING: "something follows the object",
    BYTE_ORDER_MARK: "starts with a byte order mark",
    TWICE: "given twice",
}


class BodyError(ValueError):
    """The body is not what it must be; the message says what and where, and never quotes the body.

    Units: `offset` counts bytes from 0. `key` is a known member's name, or None.
    """

    def __init__(self, reason: str, offset: int, key: str | None = None) -> None:
        super().__init__(reason, offset, key)
        self.reason = reason
        self.offset = offset
        self.key = key

    def __str__(self) -> str:
        if self.key is not None:
            return f"{self.key}: {self.reason}"
        return f"{self.reason} (at byte {self.offset})"


@cython.final
cdef class Keys:
    """The top-level members an endpoint reads, each known by its place in `names`.

    Shape: at most 64 different names of 1 to 128 UTF-8 bytes.
    Errors: ValueError for any other.
    """

    def __cinit__(self, *args):
        memset(self.head, 0xFF, sizeof(self.head))

    def __init__(self, tuple names not None):
        cdef list encoded = []
        cdef int i, bucket
        cdef bytes text
        if len(names) > KEYS_MAX:
            raise ValueError(f"at most {KEYS_MAX} keys")
        if len(set(names)) != len(names):
            raise ValueError("a key is named twice")
        for name in names:
            text = name.encode()
            if not 0 < len(text) <= NAME_BYTES_MAX:
                raise ValueError(f"a key has 1 to {NAME_BYTES_MAX} bytes")
            encoded.append(text)
        self.names = names
        self.encoded = tuple(encoded)
        self.quoted = tuple(quote(text) for text in encoded)
        self.count = <int>len(encoded)
        for i in range(self.count):
            text = self.encoded[i]
            self.texts[i] = <const uint8_t*>PyBytes_AS_STRING(text)
            self.sizes[i] = PyBytes_GET_SIZE(text)
            bucket = bucket_of(self.texts[i], self.sizes[i])
            self.following[i] = self.head[bucket]
            self.head[bucket] = <int16_t>i

    def __len__(self) -> int:
        return self.count

    cdef int find(self, const uint8_t* text, Py_ssize_t size) noexcept nogil:
        cdef int i
        if size == 0 or size > NAME_BYTES_MAX:
            return -1
        i = self.head[bucket_of(text, size)]
        while i >= 0:
            if self.sizes[i] == size and memcmp(self.texts[i], text, size) == 0:
                return i
            i = self.following[i]
        return -1

    cdef int find_escaped(self, const uint8_t* p, Py_ssize_t at, Py_ssize_t end) noexcept nogil:
        """Find a key that is spelled with escapes."""
        cdef uint8_t text[6 * NAME_BYTES_MAX]
        cdef bint whole = True
        if end - at > 6 * NAME_BYTES_MAX:
            return -1
        cdef Py_ssize_t size = unescape(p, at, end, text, &whole)
        return self.find(text, size) if whole else -1


cdef bytes quote(bytes text):
    """A name as a JSON string with its colon."""
    cdef list out = []
    for byte in text:
        if byte < 32 or byte == 34 or byte == 92:
            out.append(b"\\u%04x" % byte)
        else:
            out.append(bytes((byte,)))
    return b'"' + b"".join(out) + b'":'


cdef inline int bucket_of(const uint8_t* text, Py_ssize_t size) noexcept nogil:
    return (<int>size * 7 + text[0] * 5 + text[size - 1] * 31 + text[size >> 1] * 3) & (BUCKETS - 1)


@cython.final
@cython.freelist(16)
cdef class Scan:
    """Where the known members of one body stand. `i` is a key's place in its `Keys`.

    Shape: `count` members has the body, `nested` all the objects within it together; `outline` is of the member that
    was to be outlined, None where it is not of that shape or holds half of a surrogate pair.
    Units: offsets in bytes from the body's start; -1 where the member is absent.
    """

    def __cinit__(self, *args):
        self.members = self.few
        self.twice = self.outlined = -1

    cdef int begin(self, bytes body, Keys keys) except -1:
        self.body = body
        self.keys = keys
        if keys.count > 8:
            self.members = <Member*>PyMem_Malloc(keys.count * sizeof(Member))
            if self.members == NULL:
                raise MemoryError
        return 0

    def __init__(self, *args, **kwargs):
        raise TypeError("a Scan is made by scan()")

    def __dealloc__(self):
        if self.members != self.few:
            PyMem_Free(self.members)

    @property
    def empty(self) -> bool:
        """The object has no members at all."""
        return self.count == 0

    @property
    def surrogates(self) -> bool:
        """A string anywhere holds half of a surrogate pair."""
        return self.lone

    cdef Member* member(self, Py_ssize_t i) except? NULL:
        """The member's place, NULL without an error where it is absent."""
        if i < 0 or i >= self.keys.count:
            raise IndexError("no such key")
        if not (self.seen >> i) & 1:
            return NULL
        return &self.members[i]

    cdef uint8_t opening(self, Member* member) noexcept:
        """The value's first byte; 0 where it is absent, and for null."""
        if member == NULL:
            return 0
        cdef uint8_t c = PyBytes_AS_STRING(self.body)[member.start]
        return 0 if c == 110 else c

    cdef object wrong(self, Py_ssize_t i, str reason):
        return BodyError(reason, self.members[i].start, self.keys.names[i])

    def has(self, Py_ssize_t i) -> bool:
        """The member is there, null included."""
        return self.member(i) != NULL

    cpdef Py_ssize_t start(self, Py_ssize_t i) except -2:
        """Where its value begins."""
        cdef Member* member = self.member(i)
        return -1 if member == NULL else member.start

    cpdef Py_ssize_t end(self, Py_ssize_t i) except -2:
        """Where its value has ended."""
        cdef Member* member = self.member(i)
        return -1 if member == NULL else member.end

    def raw(self, Py_ssize_t i) -> bytes | None:
        """The value as it was sent."""
        cdef Member* member = self.member(i)
        if member == NULL:
            return None
        cdef const char* p = PyBytes_AS_STRING(self.body)
        return PyBytes_FromStringAndSize(p + member.start, member.end - member.start)

    def kind(self, Py_ssize_t i) -> str:
        """What the value is: object, array, string, number, boolean, null, or absent."""
        cdef Member* member = self.member(i)
        cdef uint8_t c = self.opening(member)
        if member == NULL:
            return "absent"
        if c == 0:
            return "null"
        if c == 123:
            return "object"
        if c == 91:
            return "array"
        if c == 34:
            return "string"
        if c == 116 or c == 102:
            return "boolean"
        return "number"

    def string(self, Py_ssize_t i) -> str | None:
        """The text of a string; None where it is absent or null.

        Errors: BodyError if it is anything else or holds half of a surrogate pair.
        """
        cdef Member* member = self.member(i)
        cdef uint8_t c = self.opening(member)
        if c == 0:
            return None
        if c != 34:
            raise self.wrong(i, "expected a string")
        cdef const char* text = PyBytes_AS_STRING(self.body) + member.start + 1
        cdef Py_ssize_t size = member.end - member.start - 2
        if memchr(text, 92, size) == NULL:
            return PyUnicode_DecodeUTF8(text, size, NULL)
        cdef bint whole = True
        cdef uint8_t* out = <uint8_t*>PyMem_Malloc(size)
        if out == NULL:
            raise MemoryError
        try:
            size = unescape(<const uint8_t*>text, 0, size, out, &whole)
            if not whole:
                raise self.wrong(i, "holds half of a surrogate pair")
            return PyUnicode_DecodeUTF8(<char*>out, size, NULL)
        finally:
            PyMem_Free(out)

    def boolean(self, Py_ssize_t i) -> bool:
        """True if it is true; False where it is false, null or absent.

        Errors: BodyError if it is anything else.
        """
        cdef uint8_t c = self.opening(self.member(i))
        if c == 0 or c == 102:
            return False
        if c != 116:
            raise self.wrong(i, "expected true or false")
        return True

    def integer(self, Py_ssize_t i) -> int | None:
        """A whole number written without point or exponent; None where it is absent or null.

        Errors: BodyError if it is anything else or does not fit 64 bits.
        """
        cdef Member* member = self.member(i)
        cdef uint8_t c = self.opening(member)
        if c == 0:
            return None
        if c != 45 and not 48 <= c <= 57:
            raise self.wrong(i, "expected an integer")
        cdef const uint8_t* p = <const uint8_t*>PyBytes_AS_STRING(self.body)
        cdef bint negative = c == 45
        cdef Py_ssize_t at
        cdef int64_t value = 0
        for at in range(member.start + negative, member.end):
            if not 48 <= p[at] <= 57:
                raise self.wrong(i, "expected an integer")
        # Eighteen digits always fit; the nineteenth is seldom meant.
        if member.end - member.start - negative > 18:
            raise self.wrong(i, "is out of range")
        for at in range(member.start + negative, member.end):
            value = value * 10 + (p[at] - 48)
        return -value if negative else value


cdef int read_object(
    const uint8_t* p, Py_ssize_t end, Keys keys, Walk* walk, Scan out, Outline outline
) noexcept nogil:
    """Fill `out` from the body; -1 with the fault noted."""
    cdef Py_ssize_t at, value
    cdef Span key
    cdef int i
    if end >= 3 and p[0] == 0xEF and p[1] == 0xBB and p[2] == 0xBF:
        return <int>fault(walk, BYTE_ORDER_MARK, 0)
    at = skip_space(p, 0, end)
    if at >= end:
        return <int>fault(walk, CUT_SHORT, end)
    if p[at] != 123:
        return <int>fault(walk, NO_OBJECT, at)
    at += 1
    out.first = at
    walk.depth = 1
    while True:
        value = walk_member(p, at, end, walk, &key, out.count == 0)
        if value < 0:
            return -1
        if value == 0:
            break
        if walk.escaped:
            i = keys.find_escaped(p, key.start, key.end)
        else:
            i = keys.find(p + key.start, key.end - key.start)
        if i >= 0 and (out.seen >> i) & 1:
            out.twice = i
            return <int>fault(walk, TWICE, key.start - 1)
        if i >= 0 and i == out.outlined:
            at = walk_outlined(outline, p, value, end, walk)
        else:
            at = walk_value(p, value, end, walk)
        if at < 0:
            return -1
        out.count += 1
        if i >= 0:
            out.seen |= <uint64_t>1 << i
            out.members[i].key = key.start - 1
            out.members[i].start = value
            out.members[i].end = at
    at = skip_space(p, key.end, end)
    if at != end:
        return <int>fault(walk, TRAILING, at)
    out.nested = walk.members
    out.lone = walk.surrogates
    return 0


cpdef Scan scan(bytes body, Keys keys, int depth_max=64, int outlined=-1, Shape shape=None):
    """Read a whole body and say where its known members stand, and where the texts do of the one that is `outlined`.

    Shape: one JSON object, at most `depth_max` (1 to 1024) containers inside each other, itself included.
    Errors: BodyError for what RFC 8259 does not allow, what is too deep, and a known member given twice.
    Source: RFC 8259, checked 2026-11.
    """
    cdef Scan out
    cdef Outline outline = None
    cdef const uint8_t* p
    cdef Py_ssize_t end
    cdef Walk walk
    cdef int status
    if not 1 <= depth_max <= DEPTH_CAP:
        raise ValueError(f"depth_max is 1 to {DEPTH_CAP}")
    if body is None or keys is None:
        raise TypeError("a body is bytes, and read by its keys")
    p = <const uint8_t*>PyBytes_AS_STRING(body)
    end = PyBytes_GET_SIZE(body)
    out = Scan.__new__(Scan)
    out.begin(body, keys)
    if shape is not None:
        outline = new_outline(body, shape)
        out.outlined = outlined
    memset(&walk, 0, sizeof(walk))
    walk.reason = FINE
    walk.depth_max = depth_max
    if end > GIL_BYTES:
        with nogil:
            status = read_object(p, end, keys, &walk, out, outline)
    else:
        status = read_object(p, end, keys, &walk, out, outline)
    if status < 0:
        raise BodyError(REASONS[walk.reason], walk.at, keys.names[out.twice] if out.twice >= 0 else None)
    if outline is not None and outline.fits and not out.lone:
        out.outline = outline
    return out


cdef int plan(Scan scan, dict edits, Patch* patches, list kept) except -1:
    """Turn edits into patches in the body's order; what they borrow from is put into `kept`."""
    cdef Member* member
    cdef Py_ssize_t i, survivors = scan.count
    cdef int count = 1
    cdef int at
    cdef list added = []
    cdef Patch patch
    for i, value in edits.items():
        member = scan.member(i)
        if value is not None and type(value) is not bytes:
            raise TypeError("an edit's value is bytes or None")
        if member == NULL:
            if value is not None:
                added.append(scan.keys.quoted[i] + <bytes>value)
            continue
        kept.append(value)
        patch.start = member.start if value is not None else member.key
        patch.end = member.end
        patch.value = <PyObject*>value if value is not None else NULL
        survivors -= value is None
        # Few edits: sorted as they come, place 0 kept for what is added at the front.
        at = count
        while at > 1 and patches[at - 1].start > patch.start:
            patches[at] = patches[at - 1]
            at -= 1
        patches[at] = patch
        count += 1
    patches[0].start = patches[0].end = scan.first
    patches[0].value = NULL
    if added:
        added_bytes = b",".join(added) + (b"," if survivors else b"")
        kept.append(added_bytes)
        patches[0].value = <PyObject*>added_bytes
    return close_cuts(<const uint8_t*>PyBytes_AS_STRING(scan.body), patches, count)


cdef int close_cuts(const uint8_t* p, Patch* patches, int count) noexcept:
    """Widen each removal by the one comma that goes with it; returns how many patches are left.

    Order: removals that reach the closing brace take the comma before them, others the one after.
    """
    cdef int i
    cdef int used = 1
    cdef Py_ssize_t at
    for i in range(1, count):
        patches[used] = patches[i]
        used += 1
        if patches[i].value != NULL:
            continue
        at = patches[used - 1].end
        while p[at] == 32 or p[at] == 10 or p[at] == 13 or p[at] == 9:
            at += 1
        if p[at] == 44:
            at += 1
            while p[at] == 32 or p[at] == 10 or p[at] == 13 or p[at] == 9:
                at += 1
            patches[used - 1].end = at
        if used > 2 and patches[used - 2].value == NULL and patches[used - 2].end == patches[used - 1].start:
            used -= 1
            patches[used - 1].end = patches[used].end
        if p[at] == 125:
            at = patches[used - 1].start - 1
            while p[at] == 32 or p[at] == 10 or p[at] == 13 or p[at] == 9:
                at -= 1
            if p[at] == 44:
                patches[used - 1].start = at
    return used


def splice(bytes body not None, Scan scan not None, dict edits not None) -> bytes:
    """The body with known members replaced, added (at the front) or left out; the rest stays byte for byte.

    Shape: `edits` gives a key's place its new value as JSON, or None to leave the member out.
    Errors: ValueError if the scan is of another body, IndexError for no such key.
    """
    cdef Patch patches[KEYS_MAX + 2]
    cdef list kept = []
    cdef const char* p = PyBytes_AS_STRING(body)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(body)
    cdef Py_ssize_t at = 0
    cdef char* out
    cdef int count, i
    if scan.body is not body:
        raise ValueError("the scan is of another body")
    count = plan(scan, edits, patches, kept)
    if count == 1 and patches[0].value == NULL:
        return body
    for i in range(count):
        size -= patches[i].end - patches[i].start
        if patches[i].value != NULL:
            size += PyBytes_GET_SIZE(<bytes>patches[i].value)
    result = PyBytes_FromStringAndSize(NULL, size)
    out = PyBytes_AS_STRING(result)
    for i in range(count):
        memcpy(out, p + at, patches[i].start - at)
        out += patches[i].start - at
        at = patches[i].end
        if patches[i].value != NULL:
            memcpy(
                out, PyBytes_AS_STRING(<bytes>patches[i].value), PyBytes_GET_SIZE(<bytes>patches[i].value)
            )
            out += PyBytes_GET_SIZE(<bytes>patches[i].value)
    memcpy(out, p + at, PyBytes_GET_SIZE(body) - at)
    return result


def splice_parts(bytes body not None, Scan scan not None, dict edits not None) -> list:
    """What `splice` returns, in pieces for one `writev`: long runs are views of the body, not copies.

    Shape: bytes and memoryviews in order; one piece where the body is under 64 KiB.
    Errors: as `splice`.
    """
    cdef Patch patches[KEYS_MAX + 2]
    cdef list kept = []
    cdef list parts = []
    cdef list short = []
    cdef Py_ssize_t at = 0
    cdef Py_ssize_t end
    cdef int count, i
    if PyBytes_GET_SIZE(body) < PARTS_BODY_BYTES_MIN:
        return [splice(body, scan, edits)]
    if scan.body is not body:
        raise ValueError("the scan is of another body")
    count = plan(scan, edits, patches, kept)
    if count == 1 and patches[0].value == NULL:
        return [body]
    view = memoryview(body)
    for i in range(count + 1):
        end = patches[i].start if i < count else PyBytes_GET_SIZE(body)
        if end - at >= PART_BYTES_MIN:
            if short:
                parts.append(b"".join(short))
                short = []
            parts.append(view[at:end])
        elif end > at:
            short.append(PyBytes_FromStringAndSize(PyBytes_AS_STRING(body) + at, end - at))
        if i < count:
            at = patches[i].end
            if patches[i].value != NULL:
                short.append(<bytes>patches[i].value)
    if short:
        parts.append(b"".join(short))
    return parts
