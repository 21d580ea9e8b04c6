"""Merging a piece's bytes into tokens, inline: the pair of least rank first, the leftmost of equals."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy

from kpgate._fast.ranks cimport NO_RANK, Table, least_of, one_rank, rank_of

cdef enum:
    SHORT_BYTES = 48
    # Of a window's parts those near its end may be others for what follows.
    MARGIN_BYTES = 16
    # Below, a line of dashes or the like, as one token of many bytes may be most of it.
    WINDOWS_BYTES_MIN = 128
    # Some times as much as a token may have.
    RUN_BYTES = 1024


cdef struct Sink:
    # Where token ids go, or NULL for counting only.
    uint32_t *ids
    int64_t count
    bint failed


cdef inline void give(Sink *sink, uint32_t rank) noexcept nogil:
    if sink.ids != NULL:
        sink.ids[sink.count] = rank
    sink.count += 1


cdef inline uint32_t merge_parts(
    const Table *table, const uint8_t *at, uint32_t size, uint8_t *starts
) noexcept nogil:
    """Merge the pair of least rank, the leftmost of equals, until there is none.

    Shape: `size` up to SHORT_BYTES; `starts` has room for two more, and says where each part begins and the last ends.
    """
    cdef uint32_t ranks[SHORT_BYTES + 2]
    cdef uint32_t parts = size
    cdef uint32_t i, best
    for i in range(size):
        starts[i] = <uint8_t>i
        ranks[i] = table.pairs[(<uint32_t>at[i] << 8) | at[i + 1]] if i + 1 < size else NO_RANK
    starts[size] = <uint8_t>size
    while parts > 1:
        best = least_of(ranks, parts - 1)
        if ranks[best] == NO_RANK:
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
    return parts


cdef inline void give_parts(
    const Table *table, const uint8_t *at, const uint8_t *starts, uint32_t parts, Sink *sink
) noexcept nogil:
    cdef uint32_t i
    if sink.ids == NULL:
        sink.count += parts
        return
    for i in range(parts):
        give(sink, one_rank(table, at + starts[i], starts[i + 1] - starts[i]))


cdef inline void merge_short(const Table *table, const uint8_t *at, uint32_t size, Sink *sink) noexcept nogil:
    """Merge up to SHORT_BYTES."""
    cdef uint8_t starts[SHORT_BYTES + 2]
    give_parts(table, at, starts, merge_parts(table, at, size, starts), sink)


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


cdef inline uint32_t merge_heap(const Table *table, const uint8_t *at, uint32_t size, Sink *sink) noexcept nogil:
    """The same for any size, by a heap of pairs and a linked list of parts: n log n, whatever the bytes are.

    Returns the bytes of the first token if the second has as many, else 0.
    Memory: 36 bytes a byte of the piece, for as long as it is merged.
    """
    cdef uint64_t *heap = <uint64_t *>malloc(<size_t>size * 36)
    if heap == NULL:
        sink.failed = True
        return 0
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
    rank = ahead[0] if ahead[0] < size and ahead[ahead[0]] == 2 * ahead[0] else 0
    free(heap)
    return rank


cdef inline bint stay_apart(const Table *table, const uint8_t *at, uint32_t first, uint32_t both) noexcept nogil:
    """Whether two tokens that stand side by side are what their bytes merge to; False also for too many bytes."""
    cdef uint8_t starts[SHORT_BYTES + 2]
    return both <= SHORT_BYTES and merge_parts(table, at, both, starts) == 2 and starts[1] == first


cdef inline void merge_run(const Table *table, const uint8_t *at, uint32_t size, Sink *sink) noexcept nogil:
    """The same for one byte again and again. Its tokens are alike, but for the last ones."""
    cdef int64_t count = sink.count
    cdef uint32_t each = merge_heap(table, at, min(size, <uint32_t>RUN_BYTES), sink)
    cdef uint32_t rank = one_rank(table, at, each) if each else NO_RANK
    cdef const uint8_t *end = at + size
    if sink.failed or size <= RUN_BYTES:
        return
    sink.count = count
    if rank != NO_RANK:
        # Two that stand side by side in a merging stay apart: so do any number of them in front.
        while end - at >= RUN_BYTES + each:
            give(sink, rank)
            at += each
        if merge_heap(table, at, <uint32_t>(end - at), sink) == each or sink.failed:
            return
    sink.count = count
    merge_heap(table, end - size, size, sink)


cdef inline void merge_long(const Table *table, const uint8_t *at, uint32_t size, Sink *sink) noexcept nogil:
    """The same for any size, window by window: a cost for each byte, whatever the bytes are.

    Tokens of which each two neighbours stay apart are what the whole merges to. For let the first merge across a
    boundary be of the least rank in the whole: within the two tokens it is then of the least rank too, and what went
    before is the same there, so the two by themselves would not stay apart.
    """
    cdef uint8_t starts[SHORT_BYTES + 2]
    cdef const uint8_t *begin = at
    cdef const uint8_t *end = at + size
    # The window before: where it began, and how many of its parts are kept.
    cdef const uint8_t *before = at
    cdef uint8_t kept_starts[SHORT_BYTES + 2]
    cdef uint32_t kept = 0
    cdef int64_t count = sink.count
    cdef uint32_t parts, window, last
    if memcmp(at, at + 1, size - 1) == 0:
        merge_run(table, at, size, sink)
        return
    while size > WINDOWS_BYTES_MIN:
        window = <uint32_t>min(end - at, <int64_t>SHORT_BYTES)
        parts = merge_parts(table, at, window, starts)
        last = <uint32_t>(at - before) - kept_starts[kept - 1] if kept else 0
        if kept and not stay_apart(table, at - last, last, last + starts[1]):
            if kept == 1:
                break
            # Begin again with the part before.
            kept -= 1
            sink.count -= 1
            at -= last
            continue
        kept = parts
        while at + window < end and kept > 1 and <uint32_t>starts[kept] + MARGIN_BYTES > window:
            kept -= 1
        give_parts(table, at, starts, kept, sink)
        memcpy(kept_starts, starts, sizeof(starts))
        before = at
        at += starts[kept]
        if at == end:
            return
    sink.count = count
    merge_heap(table, begin, size, sink)


cdef inline void merge(const Table *table, const uint8_t *at, uint32_t size, Sink *sink) noexcept nogil:
    cdef uint32_t rank = one_rank(table, at, size)
    if rank != NO_RANK:
        give(sink, rank)
    elif size <= SHORT_BYTES:
        merge_short(table, at, size, sink)
    else:
        merge_long(table, at, size, sink)
