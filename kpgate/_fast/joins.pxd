"""Which characters a token of a vocabulary may join, inline: found out once for its table, looked up by the counter.

A token can only grow across two characters that stand side by side in a token, or whose bytes do; between all
others a text may be cut, and its parts merged alone.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from kpgate._fast.ranks cimport NO_RANK, Table, Unit, one_rank, rank_of

cdef enum:
    # Characters of one byte and of three; the others are always merged by bytes.
    UNITS = 128 + 0x10000 - 0x800
    WIDE = 0x800 - 128
    # Characters a token has at the most.
    TOKEN_UNITS_MAX = 255


cdef inline uint32_t point_of(const uint8_t *at) noexcept nogil:
    """The code point of a character of three bytes."""
    return (<uint32_t>(at[0] & 0x0F) << 12) | (<uint32_t>(at[1] & 0x3F) << 6) | (at[2] & 0x3F)


cdef inline uint32_t join_slot(const Table *table, uint32_t key) noexcept nogil:
    return (key * <uint32_t>0x9E3779B1) >> table.joins_shift


cdef inline bint find_join(const Table *table, uint32_t key, uint32_t *rank) noexcept nogil:
    """Whether two characters are joined by a token; `rank` gets that of the two as one, NO_RANK for none."""
    cdef uint32_t slot = join_slot(table, key)
    cdef uint64_t found
    while True:
        found = table.joins[slot]
        if found >> 32 == key:
            rank[0] = <uint32_t>found
            return True
        if found == 0:
            return False
        slot = (slot + 1) & (<uint32_t>0xFFFFFFFF >> table.joins_shift)


# Finding out


cdef inline uint32_t width_of(uint8_t lead) noexcept nogil:
    if lead < 0x80:
        return 1
    return 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4


cdef inline uint32_t rank_within(const Table *table, const uint8_t *at, uint32_t size) noexcept nogil:
    """The greatest rank that merging a character by itself uses; NO_RANK if it is no token."""
    cdef uint32_t rank = one_rank(table, at, size)
    cdef uint32_t front, back
    if size == 1 or rank == NO_RANK:
        return 0 if rank != NO_RANK else NO_RANK
    front = rank_of(table, at, 2)
    back = rank_of(table, at + 1, 2)
    front = front if front < back else back
    return rank if front == NO_RANK or rank > front else front


cdef inline void mark(Unit *unit, uint8_t last, bint by_bytes) noexcept nogil:
    unit.mask |= <uint32_t>1 << (last & 31)
    if by_bytes:
        unit.by_bytes |= <uint16_t>(1 << (last & 15))


cdef inline int mark_joins(
    const Table *table, Unit *units, const uint8_t *at, uint32_t size, dict joins
) except -1:
    """Note what characters a token joins: in `units`, and in `joins` the key of two characters and their rank."""
    cdef uint32_t starts[TOKEN_UNITS_MAX + 1]
    cdef uint32_t count = 0
    cdef uint32_t rank = one_rank(table, at, size)
    cdef uint32_t i, point, end, left_bytes, right_bytes, left_rank, right_rank
    cdef const uint8_t *left
    cdef const uint8_t *right
    for i in range(size):
        if i == 0 or at[i] & 0xC0 != 0x80:
            starts[count] = i
            count += 1
    starts[count] = size
    for i in range(count - 1):
        left = at + starts[i]
        right = at + starts[i + 1]
        left_bytes = starts[i + 1] - starts[i]
        right_bytes = starts[i + 2] - starts[i + 1]
        # What begins with a character of two or four bytes, and ASCII by ASCII, the counter never cuts.
        if right[0] < 0x80:
            if left[0] < 0x80:
                continue
            point = right[0]
            end = point + 1
        elif right[0] & 0xF0 == 0xE0:
            # All characters that begin with what the token has of this one.
            point = <uint32_t>(right[0] & 0x0F) << 12
            point |= <uint32_t>(right[1] & 0x3F) << 6 if right_bytes > 1 else 0
            point |= right[2] & 0x3F if right_bytes > 2 else 0
            end = point + (1 if right_bytes > 2 else 64 if right_bytes > 1 else 4096)
            if point < 0x800:
                point = 0x800
        else:
            continue
        if left[0] & 0xC0 != 0x80 and width_of(left[0]) == left_bytes and left_bytes & 1 and end == point + 1:
            left_rank = rank_within(table, left, left_bytes)
            right_rank = rank_within(table, right, right_bytes)
            # Only if every character is whole before a token of several is made do both ways merge the same.
            if left_rank < rank and right_rank < rank:
                mark(&units[unit_index(point)], left[left_bytes - 1], False)
                left_rank = point_of(left) if left_bytes == 3 else left[0]
                joins[(left_rank << 16) | point] = rank_of(table, left, left_bytes + right_bytes)
                continue
        while point < end:
            mark(&units[unit_index(point)], left[left_bytes - 1], True)
            point += 1
    return 0


cdef inline uint32_t unit_index(uint32_t point) noexcept nogil:
    return point if point < 0x80 else point - WIDE
