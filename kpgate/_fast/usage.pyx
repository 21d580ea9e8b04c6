# cython: auto_pickle=False, autotestdict=False
"""The usage of OpenAI's replies, read where it stands: at the end of a whole reply, without the rest of it.

Owns eight numbers. What is spelled in an uncommon way it leaves to a decoder: it never guesses. It must not know what a
token costs.
Source: OpenAI API reference, "usage" of a chat completion (checked November 2026).
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcmp, memset

from kpgate._fast.jsonwalk cimport Span, Walk, skip_space, walk_member, walk_value

cdef enum:
    # How far from the end a usage is looked for, and how many digits a count has.
    TAIL_BYTES = 4096
    DIGITS_MAX = 12
    DEPTH_MAX = 64

cdef enum Field:
    PROMPT
    COMPLETION
    CACHED
    REASONING
    AUDIO_PROMPT
    AUDIO_COMPLETION
    IMAGE
    CACHE_WRITE
    FIELDS
    BEFORE
    AFTER
    UNKNOWN

cdef inline bint is_key(const uint8_t *p, Span *key, const char *name, Py_ssize_t size) noexcept nogil:
    return memcmp(p + key.start, name, size) == 0


cdef inline Field field_of(const uint8_t *p, Span *key, Field outer) noexcept nogil:
    """What a member counts. Shape: `outer` is UNKNOWN for the usage itself, else whose details these are."""
    cdef Py_ssize_t size = key.end - key.start
    if outer == UNKNOWN:
        if size == 13 and is_key(p, key, b"prompt_tokens", 13):
            return PROMPT
        if size == 17 and is_key(p, key, b"completion_tokens", 17):
            return COMPLETION
        if size == 21 and is_key(p, key, b"prompt_tokens_details", 21):
            return BEFORE
        if size == 25 and is_key(p, key, b"completion_tokens_details", 25):
            return AFTER
        return UNKNOWN
    if size == 12 and is_key(p, key, b"audio_tokens", 12):
        return AUDIO_PROMPT if outer == BEFORE else AUDIO_COMPLETION
    if outer == AFTER:
        return REASONING if size == 16 and is_key(p, key, b"reasoning_tokens", 16) else UNKNOWN
    if size == 13 and is_key(p, key, b"cached_tokens", 13):
        return CACHED
    if size == 12 and is_key(p, key, b"image_tokens", 12):
        return IMAGE
    if size == 18 and is_key(p, key, b"cache_write_tokens", 18):
        return CACHE_WRITE
    return UNKNOWN


cdef inline Py_ssize_t read_count(const uint8_t *p, Py_ssize_t at, Py_ssize_t end, int64_t *count) noexcept nogil:
    """A whole number, or null, which counts as none; returns the offset after it, -1 for anything else."""
    cdef Py_ssize_t begin = at
    cdef int64_t number = 0
    if end - at >= 4 and memcmp(p + at, b"null", 4) == 0:
        return at + 4
    while at < end and c"0" <= p[at] <= c"9":
        number = number * 10 + (p[at] - c"0")
        at += 1
        if at - begin > DIGITS_MAX:
            return -1
    if at == begin or at >= end or p[at] == c"." or (p[at] | 32) == c"e" or (p[begin] == c"0" and at - begin > 1):
        return -1
    count[0] = number
    return at


cdef Py_ssize_t read_counts(
    const uint8_t *p, Py_ssize_t at, Py_ssize_t end, Reading *reading, Field outer
) noexcept nogil:
    """The members of a usage, or of its details, `at` after the brace; returns the offset after the closing one.

    -1: not spelled as usual.
    """
    cdef Walk walk
    cdef Span key
    cdef Field field
    cdef bint first = True
    memset(&walk, 0, sizeof(walk))
    walk.depth_max = DEPTH_MAX
    while True:
        at = walk_member(p, at, end, &walk, &key, first)
        if at == 0:
            return key.end
        if at < 0 or walk.escaped or at >= end:
            return -1
        first = False
        field = field_of(p, &key, outer)
        if field != UNKNOWN:
            # Of a thing that is said twice the last counts.
            if reading.seen & 1 << <int>field:
                return -1
            reading.seen |= 1 << <int>field
        if field < FIELDS:
            at = read_count(p, at, end, &reading.counts[<int>field])
        elif field == UNKNOWN or p[at] == c"n":
            at = walk_value(p, at, end, &walk)
            # Of null alone it is known what it comes to.
            if field != UNKNOWN and at >= 0 and p[at - 1] != c"l":
                return -1
        elif p[at] == c"{":
            at = read_counts(p, at + 1, end, reading, field)
        else:
            return -1
        if at < 0:
            return -1


# By a byte where its first might be: how far in front of that the next `"usage"` may begin.
cdef uint8_t _steps[256]
memset(_steps, 7, sizeof(_steps))
for _letter, _step in zip(b'usage"', range(1, 7)):
    _steps[<uint8_t>_letter] = _step


cdef Py_ssize_t last_usage(const uint8_t *p, Py_ssize_t end) noexcept nogil:
    """Where the last `"usage"` of a text begins, -1 if it is not near its end."""
    cdef Py_ssize_t at = end - 7
    cdef Py_ssize_t least = max(0, end - TAIL_BYTES)
    while at >= least:
        if p[at] == c'"' and memcmp(p + at, b'"usage"', 7) == 0:
            return at
        at -= _steps[p[at]]
    return -1


cdef bint find_counts(const uint8_t *p, Py_ssize_t end, Reading *reading) noexcept nogil:
    """Read the usage of a whole reply.

    A quote that follows a comma or a brace begins a string, not ends one, if what comes behind it is JSON up to the end
    of the text; and if that end is the object's own, so is the member.
    """
    cdef Walk walk
    cdef Span key
    cdef Py_ssize_t at = last_usage(p, end)
    cdef Py_ssize_t before = at - 1
    memset(&walk, 0, sizeof(walk))
    walk.depth_max = DEPTH_MAX
    while before > 0 and (p[before] == 32 or 9 <= p[before] <= 13):
        before -= 1
    if before < 0 or (p[before] != c"," and p[before] != c"{"):
        return False
    at = walk_member(p, at, end, &walk, &key, True)
    if at <= 0 or at >= end or p[at] != c"{":
        return False
    at = read_counts(p, at + 1, end, reading, UNKNOWN)
    while at > 0:
        at = walk_member(p, at, end, &walk, &key, False)
        if at == 0:
            return skip_space(p, key.end, end) == end
        if at < 0 or walk.escaped:
            return False
        at = walk_value(p, at, end, &walk)
    return False


@cython.final
cdef class Counts:
    """Tokens by kind, as OpenAI names them. One may be kept and used again.

    Shape: `detailed` where parts are counted.
    """

    cpdef bint find(self, bytes body) except -1:
        """Read the top-level usage of a whole reply, which is JSON. False: it has none, or is to be decoded."""
        cdef Reading reading
        memset(&reading, 0, sizeof(reading))
        if not find_counts(<const uint8_t *>PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body), &reading):
            return False
        self.take(&reading)
        return True

    cpdef bint read(self, bytes usage) except -1:
        """Read a usage by itself. False: it is to be decoded."""
        cdef Reading reading
        cdef const uint8_t *p = <const uint8_t *>PyBytes_AS_STRING(usage)
        cdef Py_ssize_t end = PyBytes_GET_SIZE(usage)
        memset(&reading, 0, sizeof(reading))
        if end == 0 or p[0] != c"{" or read_counts(p, 1, end, &reading, UNKNOWN) != end:
            return False
        self.take(&reading)
        return True

    cdef void take(self, Reading *reading) noexcept:
        self.detailed = reading.seen >> 2 != 0
        self.prompt = reading.counts[<int>PROMPT]
        self.completion = reading.counts[<int>COMPLETION]
        self.cached = reading.counts[<int>CACHED]
        self.reasoning = reading.counts[<int>REASONING]
        self.audio_prompt = reading.counts[<int>AUDIO_PROMPT]
        self.audio_completion = reading.counts[<int>AUDIO_COMPLETION]
        self.image = reading.counts[<int>IMAGE]
        self.cache_write = reading.counts[<int>CACHE_WRITE]
