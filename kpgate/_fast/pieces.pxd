"""The pre-tokenizers of cl100k_base and o200k_base, inline: where the piece that begins here ends.

Written out from the patterns, alternative by alternative, in their order; the text is valid UTF-8.
Source: tiktoken 0.14, tiktoken_ext/openai_public.py.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

cdef extern from "_unicode.h":
    const uint16_t kp_unicode_index[]
    const uint8_t kp_unicode_class[]

cdef enum:
    UPPER = 1
    LOWER = 2
    OTHER_LETTER = 4
    MARK = 8
    NUMBER = 16
    SPACE = 32
    BREAK = 64
    LETTER = 7
    # What may stand in the first and in the second half of a word of o200k_base.
    HEAD = 13
    TAIL = 14


cdef inline uint8_t class_at(const uint8_t *at, const uint8_t *end, uint32_t *size) noexcept nogil:
    """The class of the character at a place, and its bytes; 0 and no bytes at the end. The text is UTF-8."""
    cdef uint32_t point
    cdef uint8_t lead
    if at >= end:
        size[0] = 0
        return 0
    lead = at[0]
    if lead < 0x80:
        size[0] = 1
        return kp_unicode_class[kp_unicode_index[0] * 128 + lead]
    if lead < 0xE0:
        size[0] = 2
        point = (<uint32_t>(lead & 0x1F) << 6) | (at[1] & 0x3F)
    elif lead < 0xF0:
        size[0] = 3
        point = (<uint32_t>(lead & 0x0F) << 12) | (<uint32_t>(at[1] & 0x3F) << 6) | (at[2] & 0x3F)
    else:
        size[0] = 4
        point = (
            (<uint32_t>(lead & 0x07) << 18) | (<uint32_t>(at[1] & 0x3F) << 12)
            | (<uint32_t>(at[2] & 0x3F) << 6) | (at[3] & 0x3F)
        )
    return kp_unicode_class[<uint32_t>kp_unicode_index[point >> 7] * 128 + (point & 127)]


cdef inline const uint8_t *run(const uint8_t *at, const uint8_t *end, uint8_t wanted) noexcept nogil:
    """The end of the run of characters of the wanted classes."""
    cdef uint32_t size
    while class_at(at, end, &size) & wanted:
        at += size
    return at


cdef inline const uint8_t *run_other(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """The end of the run of characters that are neither letter, number nor space."""
    cdef uint32_t size
    while not class_at(at, end, &size) & (LETTER | NUMBER | SPACE) and size:
        at += size
    return at


cdef inline uint32_t contraction(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """The bytes of 's, 't, 're, 've, 'm, 'll or 'd in any case; 0 for none. U+017F folds to s."""
    cdef int64_t left = end - at
    cdef uint8_t a, b
    if left < 2 or at[0] != c"'":
        return 0
    a = at[1] | 0x20
    if a == c"s" or a == c"t" or a == c"m" or a == c"d":
        return 2 if at[1] < 0x80 else 0
    if left < 3:
        return 0
    if at[1] == 0xC5 and at[2] == 0xBF:
        return 3
    b = at[2] | 0x20
    if at[1] >= 0x80 or at[2] >= 0x80:
        return 0
    if (a == c"l" and b == c"l") or ((a == c"v" or a == c"r") and b == c"e"):
        return 3
    return 0


cdef inline const uint8_t *space(const uint8_t *at, const uint8_t *end, bint to_the_end) noexcept nogil:
    """The piece at white space: up to its last line break, else all but the last of it before something else.

    `to_the_end`: at the end of the text all of it, line breaks or not.
    """
    cdef const uint8_t *after = at
    cdef const uint8_t *last_break = NULL
    cdef const uint8_t *last = at
    cdef uint32_t size
    cdef uint8_t kind
    while True:
        kind = class_at(after, end, &size)
        if not kind & SPACE:
            break
        last = after
        after += size
        if kind & BREAK:
            last_break = after
    if to_the_end and after == end:
        return after
    if last_break != NULL:
        return last_break
    if after == end or last == at:
        return after
    return last


cdef inline const uint8_t *cut_cl100k(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """The end of the piece that begins here, by the pattern of cl100k_base."""
    cdef uint32_t size, next_size
    cdef uint8_t kind = class_at(at, end, &size)
    cdef uint8_t following
    cdef uint32_t short
    cdef const uint8_t *after
    if kind & LETTER:
        return run(at + size, end, LETTER)
    if kind & NUMBER:
        after = at + size
        for _ in range(2):
            if not class_at(after, end, &next_size) & NUMBER:
                break
            after += next_size
        return after
    if at[0] == c"'":
        short = contraction(at, end)
        if short:
            return at + short
    following = class_at(at + size, end, &next_size)
    if following & LETTER and not kind & BREAK:
        return run(at + size + next_size, end, LETTER)
    if not kind & SPACE:
        after = run_other(at + size, end)
        return run(after, end, BREAK)
    if at[0] == c" " and next_size and not following & (LETTER | NUMBER | SPACE):
        after = run_other(at + 1 + next_size, end)
        return run(after, end, BREAK)
    return space(at, end, True)


cdef inline const uint8_t *word(const uint8_t *at, const uint8_t *end, bint strict) noexcept nogil:
    """The end of HEAD* TAIL+ (strict) or HEAD+ TAIL* from here, by backtracking as a regular expression does.

    NULL for no match. What is both head and tail is given back to the tail only if it must be.
    """
    cdef const uint8_t *after = at
    cdef const uint8_t *shared = NULL
    cdef uint32_t size
    cdef uint8_t kind
    while True:
        kind = class_at(after, end, &size)
        if not kind & HEAD:
            break
        after += size
        if kind & TAIL:
            shared = after
    if kind & TAIL:
        return run(after + size, end, TAIL)
    if strict:
        return shared
    return after if after != at else NULL


cdef inline const uint8_t *cut_o200k(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """The end of the piece that begins here, by the pattern of o200k_base."""
    cdef uint32_t size, next_size
    cdef uint8_t kind = class_at(at, end, &size)
    cdef uint8_t following
    cdef bint prefix = not kind & (LETTER | NUMBER | BREAK)
    cdef const uint8_t *after = NULL
    if kind & NUMBER:
        after = at + size
        for _ in range(2):
            if not class_at(after, end, &next_size) & NUMBER:
                break
            after += next_size
        return after
    for strict in range(1, -1, -1):
        if prefix:
            after = word(at + size, end, strict)
        if after == NULL and kind & (LETTER | MARK):
            after = word(at, end, strict)
        if after != NULL:
            return after + contraction(after, end)
    if not kind & SPACE:
        after = run_other(at + size, end)
    elif at[0] == c" ":
        following = class_at(at + 1, end, &next_size)
        if next_size and not following & (LETTER | NUMBER | SPACE):
            after = run_other(at + 1 + next_size, end)
    if after == NULL:
        return space(at, end, False)
    while after < end and (after[0] == c"\n" or after[0] == c"\r" or after[0] == c"/"):
        after += 1
    return after
