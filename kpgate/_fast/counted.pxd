"""Counting a piece, inline: one that is no token by what it came to lately, if it was merged before."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from kpgate._fast.merge cimport PADDING, Sink, merge, merge_short
from kpgate._fast.ranks cimport Table, kpgate_find_token, kpgate_load_piece

cdef extern from "merged.h" nogil:
    ctypedef struct kpgate_merged:
        uint16_t tokens
    kpgate_merged *kpgate_find_merged(uint64_t first, uint64_t last, uint32_t size, uint32_t vocabulary) noexcept
    kpgate_merged *kpgate_find_merged_long(const uint8_t *p, uint32_t size, uint32_t vocabulary) noexcept
    kpgate_merged *kpgate_find_merged_line(const uint8_t *p, uint32_t size, uint32_t vocabulary) noexcept

cdef enum:
    REMEMBERED_BYTES_MAX = 32
    LINE_BYTES_MAX = 0xFFFF


cdef inline void count_near(const Table *table, const uint8_t *at, uint32_t size, Sink *sink) noexcept nogil:
    """Count a piece of at most PADDING bytes; so many may be read."""
    cdef kpgate_merged *lately
    cdef int64_t before = sink.count
    cdef uint64_t first, last
    kpgate_load_piece(at, size, &first, &last)
    if kpgate_find_token(&table.entries, first, last, size) != NULL:
        sink.count += 1
        return
    lately = kpgate_find_merged(first, last, size, table.number)
    if lately.tokens:
        sink.count += lately.tokens
        return
    merge_short(table, at, size, sink)
    lately.tokens = <uint16_t>(sink.count - before)


cdef inline void count_far(const Table *table, const uint8_t *at, uint32_t size, Sink *sink) noexcept nogil:
    """Count a longer one."""
    cdef kpgate_merged *lately = NULL
    cdef int64_t before = sink.count
    if size <= REMEMBERED_BYTES_MAX:
        lately = kpgate_find_merged_long(at, size, table.number)
    elif size <= LINE_BYTES_MAX and at[7] == at[8] and memcmp(at + 7, at + 8, size - 15) == 0:
        # A ruled line, whatever ends it.
        lately = kpgate_find_merged_line(at, size, table.number)
    if lately == NULL:
        merge(table, at, size, sink)
    elif lately.tokens:
        sink.count += lately.tokens
    else:
        merge(table, at, size, sink)
        if not sink.failed:
            lately.tokens = <uint16_t>(sink.count - before)


cdef inline void count_piece(
    const Table *table, const uint8_t *at, uint32_t size, const uint8_t *end, Sink *sink
) noexcept nogil:
    """Count a piece. Up to `end` may be read."""
    cdef uint8_t copy[PADDING]
    if size > PADDING:
        count_far(table, at, size, sink)
    elif end - at >= PADDING:
        count_near(table, at, size, sink)
    else:
        memset(copy, 0, PADDING)
        memcpy(copy, at, size)
        count_near(table, copy, size, sink)
