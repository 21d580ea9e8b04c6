# Walks over JSON text in place, strictly as RFC 8259 has it, and says where things end.
# Owns no memory and no state; knows neither Python objects nor what any member means.
# Every walk returns the offset after what it read, or -1 with the fault noted.

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcmp, memcpy

cdef extern from "jump.h" nogil:
    Py_ssize_t kpgate_jump_text(const uint8_t* p, Py_ssize_t at, Py_ssize_t end) noexcept
    Py_ssize_t kpgate_jump_line(const uint8_t* p, Py_ssize_t at, Py_ssize_t end) noexcept
    int kpgate_utf8(const uint8_t* p, Py_ssize_t left) noexcept

cdef enum Reason:
    FINE = 0
    NO_VALUE
    NO_OBJECT
    NO_KEY
    NO_COLON
    NO_COMMA_IN_OBJECT
    NO_COMMA_IN_ARRAY
    BAD_LITERAL
    BAD_NUMBER
    BAD_ESCAPE
    BAD_UTF8
    CONTROL_IN_STRING
    OPEN_STRING
    CUT_SHORT
    TOO_DEEP
    TRAILING
    BYTE_ORDER_MARK
    TWICE

cdef enum:
    # The deepest nesting that can be asked for: one bit a level.
    DEPTH_CAP = 1024

cdef struct Walk:
    Reason reason
    # Where the fault is.
    Py_ssize_t at
    # Containers open around what is being read, and how many may be.
    int depth
    int depth_max
    # A string held half of a surrogate pair.
    bint surrogates
    # The last string read held an escape.
    bint escaped
    # Members of the objects within values so far.
    Py_ssize_t members

cdef struct Span:
    Py_ssize_t start
    Py_ssize_t end


cdef inline Py_ssize_t fault(Walk* walk, Reason reason, Py_ssize_t at) noexcept nogil:
    walk.reason = reason
    walk.at = at
    return -1


cdef inline Py_ssize_t skip_space(const uint8_t* p, Py_ssize_t at, Py_ssize_t end) noexcept nogil:
    while at < end and p[at] <= 32 and (p[at] == 32 or p[at] == 10 or p[at] == 13 or p[at] == 9):
        at += 1
    return at


cdef inline int hex_value(uint8_t c) noexcept nogil:
    if 48 <= c <= 57:
        return c - 48
    c |= 32
    if 97 <= c <= 102:
        return c - 87
    return -1


cdef inline int64_t hex4(const uint8_t* p) noexcept nogil:
    """The code unit that four hexadecimal digits spell, -1 if they do not."""
    cdef int64_t a = hex_value(p[0])
    cdef int64_t b = hex_value(p[1])
    cdef int64_t c = hex_value(p[2])
    cdef int64_t d = hex_value(p[3])
    if a < 0 or b < 0 or c < 0 or d < 0:
        return -1
    return (a << 12) | (b << 8) | (c << 4) | d


cdef inline Py_ssize_t walk_escape(
    const uint8_t* p, Py_ssize_t at, Py_ssize_t end, Walk* walk
) noexcept nogil:
    """Read an escape, `at` on its backslash; a surrogate pair is read whole."""
    cdef uint8_t c
    cdef int64_t unit, low
    if end - at < 2:
        return fault(walk, CUT_SHORT, end)
    walk.escaped = True
    c = p[at + 1]
    if c == 117:  # u
        if end - at < 6:
            return fault(walk, BAD_ESCAPE, at)
        unit = hex4(p + at + 2)
        if unit < 0:
            return fault(walk, BAD_ESCAPE, at)
        at += 6
        if unit < 0xD800 or unit > 0xDFFF:
            return at
        if unit < 0xDC00 and end - at >= 6 and p[at] == 92 and p[at + 1] == 117:
            low = hex4(p + at + 2)
            if 0xDC00 <= low <= 0xDFFF:
                return at + 6
        walk.surrogates = True
        return at
    # " \ / b f n r t
    if c == 110 or c == 34 or c == 92 or c == 47 or c == 116 or c == 114 or c == 98 or c == 102:
        return at + 2
    return fault(walk, BAD_ESCAPE, at)


cdef inline Py_ssize_t walk_string(
    const uint8_t* p, Py_ssize_t at, Py_ssize_t end, Walk* walk
) noexcept nogil:
    """Read a string, `at` after its opening quote; returns the offset after its closing one."""
    cdef uint8_t c
    cdef int size
    walk.escaped = False
    while True:
        at = kpgate_jump_text(p, at, end)
        if at >= end:
            return fault(walk, OPEN_STRING, end)
        c = p[at]
        if c == 34:
            return at + 1
        if c == 92:
            while at < end and p[at] == 92:
                at = walk_escape(p, at, end, walk)
                if at < 0:
                    return -1
        elif c < 32:
            return fault(walk, CONTROL_IN_STRING, at)
        else:
            # Text outside ASCII comes in runs: stay here as long as one lasts.
            while True:
                size = kpgate_utf8(p + at, end - at)
                if size == 0:
                    return fault(walk, BAD_UTF8, at)
                at += size
                if at >= end or p[at] < 0x80:
                    break


cdef inline Py_ssize_t skip_digits(const uint8_t* p, Py_ssize_t at, Py_ssize_t end) noexcept nogil:
    while at < end and 48 <= p[at] <= 57:
        at += 1
    return at


cdef inline Py_ssize_t walk_number(
    const uint8_t* p, Py_ssize_t at, Py_ssize_t end, Walk* walk
) noexcept nogil:
    cdef Py_ssize_t begin = at
    cdef Py_ssize_t mark
    if p[at] == 45:
        at += 1
    if at >= end or not 48 <= p[at] <= 57:
        return fault(walk, BAD_NUMBER, begin)
    if p[at] == 48:
        at += 1
        if at < end and 48 <= p[at] <= 57:
            return fault(walk, BAD_NUMBER, begin)
    else:
        at = skip_digits(p, at + 1, end)
    if at < end and p[at] == 46:
        mark = at + 1
        at = skip_digits(p, mark, end)
        if at == mark:
            return fault(walk, BAD_NUMBER, begin)
    if at < end and (p[at] | 32) == 101:
        at += 1
        if at < end and (p[at] == 43 or p[at] == 45):
            at += 1
        mark = at
        at = skip_digits(p, mark, end)
        if at == mark:
            return fault(walk, BAD_NUMBER, begin)
    return at


cdef inline Py_ssize_t walk_scalar(
    const uint8_t* p, Py_ssize_t at, Py_ssize_t end, Walk* walk
) noexcept nogil:
    """Read a string, a number or a literal."""
    cdef uint8_t c
    if at >= end:
        return fault(walk, CUT_SHORT, end)
    c = p[at]
    if c == 34:
        return walk_string(p, at + 1, end, walk)
    if c == 45 or 48 <= c <= 57:
        return walk_number(p, at, end, walk)
    if c == 116:
        if end - at >= 4 and memcmp(p + at, b"true", 4) == 0:
            return at + 4
        return fault(walk, BAD_LITERAL, at)
    if c == 102:
        if end - at >= 5 and memcmp(p + at, b"false", 5) == 0:
            return at + 5
        return fault(walk, BAD_LITERAL, at)
    if c == 110:
        if end - at >= 4 and memcmp(p + at, b"null", 4) == 0:
            return at + 4
        return fault(walk, BAD_LITERAL, at)
    return fault(walk, NO_VALUE, at)


cdef inline Py_ssize_t walk_key(const uint8_t* p, Py_ssize_t at, Py_ssize_t end, Walk* walk) noexcept nogil:
    """Read a key, its colon and the space after it; `at` on the key's opening quote."""
    if at >= end:
        return fault(walk, CUT_SHORT, end)
    if p[at] != 34:
        return fault(walk, NO_KEY, at)
    walk.members += 1
    at = walk_string(p, at + 1, end, walk)
    if at < 0:
        return -1
    return walk_colon(p, at, end, walk)


cdef inline Py_ssize_t walk_colon(const uint8_t* p, Py_ssize_t at, Py_ssize_t end, Walk* walk) noexcept nogil:
    at = skip_space(p, at, end)
    if at >= end:
        return fault(walk, CUT_SHORT, end)
    if p[at] != 58:
        return fault(walk, NO_COLON, at)
    return skip_space(p, at + 1, end)


cdef inline Py_ssize_t walk_value(const uint8_t* p, Py_ssize_t at, Py_ssize_t end, Walk* walk) noexcept nogil:
    """Read any value, `at` on its first byte, without recursion.

    Errors: TOO_DEEP where more than `depth_max` containers would be open, `walk.depth` of them outside.
    """
    # DEPTH_CAP bits: set where the container is an object.
    cdef uint64_t kinds[16]
    cdef int outside = walk.depth
    cdef int depth = outside
    cdef bint in_object
    cdef uint8_t c
    while True:
        # `at` stands on a value.
        c = p[at] if at < end else 0
        if c == 123 or c == 91:
            if depth >= walk.depth_max:
                return fault(walk, TOO_DEEP, at)
            in_object = c == 123
            if in_object:
                kinds[depth >> 6] |= <uint64_t>1 << (depth & 63)
            else:
                kinds[depth >> 6] &= ~(<uint64_t>1 << (depth & 63))
            depth += 1
            at = skip_space(p, at + 1, end)
            if at >= end or p[at] != c + 2:
                if in_object:
                    at = walk_key(p, at, end, walk)
                    if at < 0:
                        return -1
                continue
            depth -= 1
            at += 1
        else:
            at = walk_scalar(p, at, end, walk)
            if at < 0:
                return -1
        # A value has ended: close what ends with it, or go on to the next one.
        while True:
            if depth == outside:
                return at
            in_object = (kinds[(depth - 1) >> 6] >> ((depth - 1) & 63)) & 1
            at = skip_space(p, at, end)
            if at >= end:
                return fault(walk, CUT_SHORT, end)
            c = p[at]
            if c == 44:
                at = skip_space(p, at + 1, end)
                if in_object:
                    at = walk_key(p, at, end, walk)
                    if at < 0:
                        return -1
                break
            if c != (125 if in_object else 93):
                return fault(walk, NO_COMMA_IN_OBJECT if in_object else NO_COMMA_IN_ARRAY, at)
            depth -= 1
            at += 1


cdef inline Py_ssize_t walk_member(
    const uint8_t* p, Py_ssize_t at, Py_ssize_t end, Walk* walk, Span* key, bint first
) noexcept nogil:
    """Go on to an object's next member, `at` after its brace or the last value; returns the value's offset.

    Shape: `key` without its quotes; 0 at the closing brace, with `key.end` after that.
    """
    at = skip_space(p, at, end)
    if at >= end:
        return fault(walk, CUT_SHORT, end)
    if p[at] == 125:
        key.start = key.end = at + 1
        return 0
    if not first:
        if p[at] != 44:
            return fault(walk, NO_COMMA_IN_OBJECT, at)
        at = skip_space(p, at + 1, end)
    key.start = at + 1
    if at >= end:
        return fault(walk, CUT_SHORT, end)
    if p[at] != 34:
        return fault(walk, NO_KEY, at)
    at = walk_string(p, at + 1, end, walk)
    if at < 0:
        return -1
    key.end = at - 1
    return walk_colon(p, at, end, walk)


cdef inline Py_ssize_t walk_item(
    const uint8_t* p, Py_ssize_t at, Py_ssize_t end, Walk* walk, Py_ssize_t* after, bint first
) noexcept nogil:
    """Go on to an array's next item, `at` after its bracket or the last item; 0 at its end, `after` it."""
    at = skip_space(p, at, end)
    if at >= end:
        return fault(walk, CUT_SHORT, end)
    if p[at] == 93:
        after[0] = at + 1
        return 0
    if first:
        return at
    if p[at] != 44:
        return fault(walk, NO_COMMA_IN_ARRAY, at)
    return skip_space(p, at + 1, end)


cdef inline Py_ssize_t put_utf8(uint8_t* out, int64_t code) noexcept nogil:
    if code < 0x80:
        out[0] = <uint8_t>code
        return 1
    if code < 0x800:
        out[0] = <uint8_t>(0xC0 | (code >> 6))
        out[1] = <uint8_t>(0x80 | (code & 63))
        return 2
    if code < 0x10000:
        out[0] = <uint8_t>(0xE0 | (code >> 12))
        out[1] = <uint8_t>(0x80 | ((code >> 6) & 63))
        out[2] = <uint8_t>(0x80 | (code & 63))
        return 3
    out[0] = <uint8_t>(0xF0 | (code >> 18))
    out[1] = <uint8_t>(0x80 | ((code >> 12) & 63))
    out[2] = <uint8_t>(0x80 | ((code >> 6) & 63))
    out[3] = <uint8_t>(0x80 | (code & 63))
    return 4


cdef inline uint8_t plain_escape(uint8_t c) noexcept nogil:
    if c == 110:
        return 10
    if c == 116:
        return 9
    if c == 114:
        return 13
    if c == 98:
        return 8
    if c == 102:
        return 12
    return c


cdef inline Py_ssize_t unescape(
    const uint8_t* p, Py_ssize_t at, Py_ssize_t end, uint8_t* out, bint* whole
) noexcept nogil:
    """Write the text of a string already walked, quotes excluded; returns how many bytes were written.

    Shape: `out` has room for `end - at`; half of a surrogate pair becomes U+FFFD and clears `whole`.
    """
    cdef Py_ssize_t size = 0
    cdef Py_ssize_t begin
    cdef int64_t unit, low
    while at < end:
        begin = at
        while at < end and p[at] != 92:
            at += 1
        memcpy(out + size, p + begin, at - begin)
        size += at - begin
        if at >= end:
            break
        if p[at + 1] != 117:
            out[size] = plain_escape(p[at + 1])
            size += 1
            at += 2
            continue
        unit = hex4(p + at + 2)
        at += 6
        if 0xD800 <= unit <= 0xDFFF:
            low = -1
            if unit < 0xDC00 and end - at >= 6 and p[at] == 92 and p[at + 1] == 117:
                low = hex4(p + at + 2)
            if 0xDC00 <= low <= 0xDFFF:
                unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00)
                at += 6
            else:
                unit = 0xFFFD
                whole[0] = False
        size += put_utf8(out + size, unit)
    return size
