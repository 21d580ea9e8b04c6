"""Counting characters of three bytes, inline: most are a token each, and few pairs are joined."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

from kpgate._fast.counted cimport count_piece
from kpgate._fast.joins cimport WIDE, find_join, point_of, width_of
from kpgate._fast.merge cimport Parts, Sink, begin_keys, begin_part, begin_parts, merge_pairs
from kpgate._fast.pieces cimport LETTER, MARK, OTHER_LETTER, class_at
from kpgate._fast.ranks cimport NO_RANK, Table, Unit, rank_of

cdef enum:
    STRETCH_MAX = 16


cdef struct Stretch:
    const uint8_t *start
    # Its characters so far, the bytes of each, and the rank of each with the next.
    uint32_t held
    uint8_t sizes[STRETCH_MAX]
    uint32_t ranks[STRETCH_MAX]
    # The tokens of its last character by itself.
    uint32_t tokens
    bint by_bytes


cdef inline uint32_t merge_units(
    const Table *table, const uint8_t *at, uint32_t size, const uint8_t *sizes, const uint32_t *ranks, uint32_t count
) noexcept nogil:
    """How many tokens some characters are that are a token each, merged as bytes are; `ranks` are of each two."""
    cdef Parts parts
    cdef uint32_t start = 0
    cdef uint32_t i
    begin_parts(&parts, at, size)
    begin_keys(&parts, 0)
    for i in range(count):
        begin_part(&parts, start, ranks[i] if i + 1 < count else NO_RANK)
        start += sizes[i]
    merge_pairs(table, &parts)
    return parts.count


cdef inline uint32_t count_units(
    const Table *table, const uint8_t *at, const uint8_t *end, const uint8_t *sizes, const uint32_t *ranks,
    uint32_t count
) noexcept nogil:
    """The same, of two at least: of three whichever pair is merged first, what is left is one pair."""
    cdef uint32_t size = <uint32_t>(end - at)
    if count == 2:
        return 2 - <uint32_t>(ranks[0] != NO_RANK)
    if count == 3:
        if ranks[0] == NO_RANK and ranks[1] == NO_RANK:
            return 3
        return 2 - <uint32_t>(rank_of(table, at, size) != NO_RANK)
    return merge_units(table, at, size, sizes, ranks, count)


cdef inline void count_stretch(
    const Table *table, Stretch *stretch, const uint8_t *end, const uint8_t *text_end, Sink *sink
) noexcept nogil:
    """Count the tokens of a stretch that ends here, and begin the next one."""
    if stretch.by_bytes or stretch.held > STRETCH_MAX:
        count_piece(table, stretch.start, <uint32_t>(end - stretch.start), text_end, sink)
    elif stretch.held == 1:
        sink.count += stretch.tokens
    else:
        sink.count += count_units(table, stretch.start, end, stretch.sizes, stretch.ranks, stretch.held)
    stretch.start = end
    stretch.held = 0
    stretch.by_bytes = False


cdef inline void count_characters(
    const Table *table, const uint8_t *at, uint32_t size, const uint8_t *text_end, Sink *sink
) noexcept nogil:
    """Count a piece stretch by stretch: no token stands across two characters that no token joins.

    In a stretch of characters that only tokens of whole characters join, merging may begin with the characters.
    """
    cdef const uint8_t *end = at + size
    cdef Stretch stretch
    cdef const Unit *unit
    cdef uint32_t point, wide
    cdef uint32_t left = 0
    cdef uint32_t rank = NO_RANK
    stretch.start = at
    stretch.held = 0
    stretch.by_bytes = False
    while at < end:
        if at[0] & 0xF0 == 0xE0:
            wide = 3
            point = point_of(at)
            unit = table.units + (point - WIDE)
        elif at[0] < 0x80:
            wide = 1
            point = at[0]
            unit = table.units + point
        else:
            wide = width_of(at[0])
            point = 0
            unit = NULL
        if stretch.held:
            if unit == NULL or (point < 0x80 and left < 0x80):
                stretch.by_bytes = True
            elif not (unit.mask >> ((at - 1)[0] & 31)) & 1:
                count_stretch(table, &stretch, at, text_end, sink)
            elif (unit.by_bytes >> ((at - 1)[0] & 15)) & 1:
                stretch.by_bytes = True
            elif find_join(table, (left << 16) | point, &rank):
                if stretch.held <= STRETCH_MAX:
                    stretch.ranks[stretch.held - 1] = rank
            else:
                count_stretch(table, &stretch, at, text_end, sink)
        if unit == NULL:
            stretch.by_bytes = True
        else:
            stretch.tokens = unit.tokens
        if stretch.held < STRETCH_MAX:
            stretch.sizes[stretch.held] = <uint8_t>wide
        stretch.held += 1
        left = point
        at += wide
    count_stretch(table, &stretch, at, text_end, sink)


# Many pieces at once


cdef enum:
    # What the piece that is being read has been so far.
    NOTHING
    ONE_SIGN
    SIGNS
    LETTERS


cdef struct Joined:
    # Characters that tokens join, one to the next: where they begin, the bytes of the first (others have three).
    const uint8_t *start
    uint32_t first
    # At least one; of one alone nothing else is noted.
    uint32_t held
    # What was counted before them.
    int64_t before
    bint by_bytes
    uint32_t ranks[STRETCH_MAX]


cdef inline bint is_joined(
    const Table *table, const Unit *unit, uint32_t key, uint8_t last, Joined *joined
) noexcept nogil:
    """Whether a token joins a character to the one before it, which ends in `last`; it is held then."""
    cdef uint32_t rank = NO_RANK
    if (unit.by_bytes >> (last & 15)) & 1:
        joined.by_bytes = True
    elif not find_join(table, key, &rank):
        return False
    if joined.held <= STRETCH_MAX:
        joined.ranks[joined.held - 1] = rank
    joined.held += 1
    return True


cdef inline int64_t count_joined(
    const Table *table, Joined *joined, const uint8_t *end, const uint8_t *text_end, Sink *sink
) noexcept nogil:
    """What is counted after the characters that are joined and end here; none are held then."""
    cdef Sink own = Sink(NULL, joined.before, False)
    cdef uint8_t sizes[STRETCH_MAX]
    cdef uint32_t i
    if joined.by_bytes or joined.held > STRETCH_MAX:
        count_piece(table, joined.start, <uint32_t>(end - joined.start), text_end, &own)
        sink.failed = sink.failed or own.failed
    else:
        sizes[0] = <uint8_t>joined.first
        for i in range(1, joined.held):
            sizes[i] = 3
        own.count += count_units(table, joined.start, end, sizes, joined.ranks, joined.held)
    joined.held = 1
    joined.by_bytes = False
    return own.count


cdef inline bint begins_piece(uint32_t *within, uint32_t kind) noexcept nogil:
    """Whether a letter or a sign begins a piece; `within` gets what that has been then."""
    cdef uint32_t before = within[0]
    if kind:
        within[0] = LETTERS
        return before == SIGNS or before == NOTHING
    within[0] = SIGNS if before == ONE_SIGN or before == SIGNS else ONE_SIGN
    return within[0] == ONE_SIGN


cdef inline bint ends_piece(uint32_t within, const uint8_t *at, const uint8_t *end) noexcept nogil:
    """Whether the piece surely ends here, before what is no letter or sign of three bytes."""
    cdef uint32_t size
    if at == end or at[0] == c" ":
        return True
    return within == LETTERS and at[0] != c"'" and not class_at(at, end, &size) & (LETTER | MARK)


cdef inline const uint8_t *count_wide(
    const Table *table, const uint8_t *at, const uint8_t *end, Sink *sink, bint *whole
) noexcept nogil:
    """Count pieces of letters and signs of three bytes without cutting them first: ends matter only within a join.

    Returns where the last of them ends, or begins where something else may go on with it: then it is not `whole`.
    """
    cdef Joined joined
    cdef const Unit *unit
    cdef uint32_t within = NOTHING
    cdef uint32_t point, left, left_bytes
    cdef int64_t count = sink.count
    # Where the last piece begins, what was counted before it, and before the last character.
    cdef const uint8_t *piece = at
    cdef int64_t counted = count
    cdef int64_t before = count
    cdef bint begins
    whole[0] = False
    left = at[0]
    left_bytes = 1
    if left < 0x80:
        # What may stand before letters in their piece; it is not looked for among white space.
        if end - at < 4 or at[1] & 0xF0 != 0xE0 or (table.units + left).kind and left != c" ":
            return at
        within = ONE_SIGN
        count += 1
        at += 1
    joined.held = 1
    joined.by_bytes = False
    while at < end and at[0] & 0xF0 == 0xE0:
        point = point_of(at)
        unit = table.units + (point - WIDE)
        if unit.kind & ~<uint32_t>OTHER_LETTER:
            break
        begins = not (unit.kind and within == LETTERS) and begins_piece(&within, unit.kind)
        if (
            not begins and (unit.mask >> ((at - 1)[0] & 31)) & 1
            and is_joined(table, unit, (left << 16) | point, (at - 1)[0], &joined)
        ):
            if joined.held == 2:
                joined.start = at - left_bytes
                joined.first = left_bytes
                joined.before = before
        elif joined.held > 1:
            count = count_joined(table, &joined, at, end, sink)
        if begins:
            piece = at
            counted = count
        before = count
        count += unit.tokens
        left = point
        left_bytes = 3
        at += 3
    if at == piece or not ends_piece(within, at, end):
        sink.count = counted
        return piece
    if joined.held > 1:
        count = count_joined(table, &joined, at, end, sink)
    sink.count = count
    whole[0] = True
    return at
