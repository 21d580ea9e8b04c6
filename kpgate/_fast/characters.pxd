"""Counting a piece of characters of three bytes, inline: most are a token each, and few pairs are joined."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from kpgate._fast.joins cimport WIDE, find_join, point_of, width_of
from kpgate._fast.merge cimport Sink, merge
from kpgate._fast.ranks cimport NO_RANK, Table, Unit, least_of, rank_of

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
    const Table *table, const uint8_t *at, const uint8_t *sizes, uint32_t *ranks, uint32_t count
) noexcept nogil:
    """How many tokens some characters are that are a token each, merged as bytes are; `ranks` are of each two."""
    cdef uint16_t starts[STRETCH_MAX + 1]
    cdef uint32_t parts = count
    cdef uint32_t i, best
    starts[0] = 0
    for i in range(count):
        starts[i + 1] = starts[i] + sizes[i]
    while parts > 1:
        best = least_of(ranks, parts - 1)
        if ranks[best] == NO_RANK:
            break
        parts -= 1
        for i in range(best + 1, parts):
            starts[i] = starts[i + 1]
            ranks[i] = ranks[i + 1]
        starts[parts] = starts[parts + 1]
        if best + 1 < parts:
            ranks[best] = rank_of(table, at + starts[best], starts[best + 2] - starts[best])
        if best > 0:
            ranks[best - 1] = rank_of(table, at + starts[best - 1], starts[best + 1] - starts[best - 1])
    return parts


cdef inline void count_stretch(
    const Table *table, Stretch *stretch, const uint8_t *end, Sink *sink
) noexcept nogil:
    """Count the tokens of a stretch that ends here, and begin the next one."""
    if stretch.by_bytes or stretch.held > STRETCH_MAX:
        merge(table, stretch.start, <uint32_t>(end - stretch.start), sink)
    elif stretch.held == 1:
        sink.count += stretch.tokens
    elif stretch.held == 2:
        sink.count += 2 - <int>(stretch.ranks[0] != NO_RANK)
    else:
        sink.count += merge_units(table, stretch.start, stretch.sizes, stretch.ranks, stretch.held)
    stretch.start = end
    stretch.held = 0
    stretch.by_bytes = False


cdef inline void count_characters(const Table *table, const uint8_t *at, uint32_t size, Sink *sink) noexcept nogil:
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
                count_stretch(table, &stretch, at, sink)
            elif (unit.by_bytes >> ((at - 1)[0] & 15)) & 1:
                stretch.by_bytes = True
            elif find_join(table, (left << 16) | point, &rank):
                if stretch.held <= STRETCH_MAX:
                    stretch.ranks[stretch.held - 1] = rank
            else:
                count_stretch(table, &stretch, at, sink)
        if unit == NULL:
            stretch.by_bytes = True
        else:
            stretch.tokens = unit.tokens
        if stretch.held < STRETCH_MAX:
            stretch.sizes[stretch.held] = <uint8_t>wide
        stretch.held += 1
        left = point
        at += wide
    count_stretch(table, &stretch, at, sink)
