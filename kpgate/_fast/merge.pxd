"""Merging a piece's bytes into tokens, inline: the pair of least rank first, the leftmost of equals."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from kpgate._fast.ranks cimport NO_RANK, Table, one_rank, rank_of

cdef enum:
    SHORT_BYTES = 48


cdef struct Sink:
    # Where token ids go, or NULL for counting only.
    uint32_t *ids
    int64_t count
    bint failed


cdef inline void give(Sink *sink, uint32_t rank) noexcept nogil:
    if sink.ids != NULL:
        sink.ids[sink.count] = rank
    sink.count += 1


cdef inline void merge_short(const Table *table, const uint8_t *at, uint32_t size, Sink *sink) noexcept nogil:
    """Merge the pair of least rank, the leftmost of equals, until there is none."""
    cdef uint8_t starts[SHORT_BYTES + 2]
    cdef uint32_t ranks[SHORT_BYTES + 2]
    cdef uint32_t parts = size
    cdef uint32_t i, best, least
    for i in range(size):
        starts[i] = <uint8_t>i
        ranks[i] = table.pairs[(<uint32_t>at[i] << 8) | at[i + 1]] if i + 1 < size else NO_RANK
    starts[size] = <uint8_t>size
    while parts > 1:
        least = NO_RANK
        best = 0
        for i in range(parts - 1):
            if ranks[i] < least:
                least = ranks[i]
                best = i
        if least == NO_RANK:
            break
        # The part at `best` takes in its neighbour.
        for i in range(best + 1, parts):
            starts[i] = starts[i + 1]
            ranks[i] = ranks[i + 1]
        parts -= 1
        ranks[best] = NO_RANK
        if best + 1 < parts:
            ranks[best] = rank_of(table, at + starts[best], starts[best + 2] - starts[best])
        if best > 0:
            ranks[best - 1] = rank_of(table, at + starts[best - 1], starts[best + 1] - starts[best - 1])
    if sink.ids == NULL:
        sink.count += parts
        return
    for i in range(parts):
        give(sink, one_rank(table, at + starts[i], starts[i + 1] - starts[i]))


cdef inline void sift_up(uint64_t *heap, int64_t at) noexcept nogil:
    cdef uint64_t item = heap[at]
    cdef int64_t parent
    while at > 0:
        parent = (at - 1) >> 1
        if heap[parent] <= item:
            break
        heap[at] = heap[parent]
        at = parent
    heap[at] = item


cdef inline void sift_down(uint64_t *heap, int64_t size) noexcept nogil:
    cdef uint64_t item = heap[0]
    cdef int64_t at = 0
    cdef int64_t child
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= item:
            break
        heap[at] = heap[child]
        at = child
    heap[at] = item


cdef inline void merge_long(const Table *table, const uint8_t *at, uint32_t size, Sink *sink) noexcept nogil:
    """The same by a heap of pairs and a linked list of parts: n log n, whatever the bytes are.

    Memory: 36 bytes a byte of the piece, for as long as it is merged.
    """
    cdef uint64_t *heap = <uint64_t *>malloc(<size_t>size * 36)
    if heap == NULL:
        sink.failed = True
        return
    # Each merge makes at most two pairs: with the first ones that is at most 3 a byte.
    cdef uint32_t *ahead = <uint32_t *>(heap + <size_t>size * 3)
    cdef uint32_t *behind = ahead + size
    cdef uint32_t *ranks = behind + size
    cdef int64_t held = 0
    cdef uint32_t i, start, after, before, rank
    cdef uint64_t item
    for i in range(size):
        ahead[i] = i + 1
        behind[i] = i - 1
        ranks[i] = table.pairs[(<uint32_t>at[i] << 8) | at[i + 1]] if i + 1 < size else NO_RANK
        if ranks[i] != NO_RANK:
            heap[held] = (<uint64_t>ranks[i] << 32) | i
            sift_up(heap, held)
            held += 1
    while held:
        item = heap[0]
        held -= 1
        heap[0] = heap[held]
        sift_down(heap, held)
        start = <uint32_t>item
        # A pair that has changed since it was put on the heap stands there again with its new rank.
        if ranks[start] != <uint32_t>(item >> 32):
            continue
        after = ahead[start]
        ranks[after] = NO_RANK
        ahead[start] = ahead[after]
        if ahead[start] < size:
            behind[ahead[start]] = start
        rank = NO_RANK
        if ahead[start] < size:
            rank = rank_of(table, at + start, ahead[ahead[start]] - start)
        ranks[start] = rank
        if rank != NO_RANK:
            heap[held] = (<uint64_t>rank << 32) | start
            sift_up(heap, held)
            held += 1
        if start > 0:
            before = behind[start]
            rank = rank_of(table, at + before, ahead[start] - before)
            ranks[before] = rank
            if rank != NO_RANK:
                heap[held] = (<uint64_t>rank << 32) | before
                sift_up(heap, held)
                held += 1
    start = 0
    while start < size:
        if sink.ids == NULL:
            sink.count += 1
        else:
            give(sink, one_rank(table, at + start, ahead[start] - start))
        start = ahead[start]
    free(heap)


cdef inline void merge(const Table *table, const uint8_t *at, uint32_t size, Sink *sink) noexcept nogil:
    cdef uint32_t rank = one_rank(table, at, size)
    if rank != NO_RANK:
        give(sink, rank)
    elif size <= SHORT_BYTES:
        merge_short(table, at, size, sink)
    else:
        merge_long(table, at, size, sink)
