"""Merging a piece's bytes into tokens, inline: the pair of least rank first, the leftmost of equals."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

from kpgate._fast.ranks cimport NO_RANK, Table, one_rank, rank_of, rank_of_piece

cdef extern from "least.h" nogil:
    int32_t kpgate_least(const int32_t *keys, uint32_t count) noexcept

cdef extern from *:
    int ctz "__builtin_ctzll"(uint64_t bits) noexcept nogil
    int clz "__builtin_clzll"(uint64_t bits) noexcept nogil

cdef enum:
    SHORT_BYTES = 48
    # So much may be read behind what is merged.
    PADDING = 16
    # Above all keys, below those of no rank.
    NO_KEY = 0x7F7F7F40
    # Of a window's parts those near its end may be others for what follows.
    MARGIN_BYTES = 16
    # Below, a line of dashes or the like, as one token of many bytes may be most of it.
    WINDOWS_BYTES_MIN = 128
    # Some times as much as a token may have.
    RUN_BYTES = 1024


cdef struct Parts:
    # A bit where each part begins, and one where the last one ends.
    uint64_t live
    uint32_t size
    uint32_t count
    # Of each part with the next, by where the part begins.
    int32_t keys[SHORT_BYTES + 4]
    uint8_t text[SHORT_BYTES + PADDING]


cdef struct Sink:
    # Where token ids go, or NULL for counting only.
    uint32_t *ids
    int64_t count
    bint failed


cdef inline void give(Sink *sink, uint32_t rank) noexcept nogil:
    if sink.ids != NULL:
        sink.ids[sink.count] = rank
    sink.count += 1


cdef inline int32_t key_of(uint32_t rank, uint32_t start) noexcept nogil:
    """What orders pairs: the least rank first, the leftmost of equals. A table has fewer than 2^24 ranks."""
    return NO_KEY | <int32_t>start if rank == NO_RANK else <int32_t>(rank << 6 | start)


cdef inline uint32_t rank_between(const Table *table, const Parts *parts, uint32_t start, uint32_t end) noexcept nogil:
    """The rank of a part's bytes: what is read beyond them is the copy's."""
    if end - start == 2:
        return table.pairs[(<uint32_t>parts.text[start] << 8) | parts.text[start + 1]]
    if end - start <= PADDING:
        return rank_of_piece(table, parts.text + start, end - start)
    return rank_of(table, parts.text + start, end - start)


cdef inline void merge_pairs(const Table *table, Parts *parts) noexcept nogil:
    """Merge the pair of least rank, the leftmost of equals, until there is none."""
    cdef uint64_t live = parts.live
    cdef uint64_t above
    cdef uint32_t size = parts.size
    cdef uint32_t at, end, after
    cdef int32_t least
    while True:
        least = kpgate_least(parts.keys, size)
        if least >= NO_KEY:
            break
        # The part that begins `at` takes in its neighbour.
        at = least & 63
        above = live >> at >> 1
        end = at + 1 + ctz(above)
        parts.keys[end] = NO_KEY
        above &= above - 1
        live &= ~(<uint64_t>1 << end)
        parts.count -= 1
        # The bit at `size` is always set.
        end = at + 1 + ctz(above)
        parts.keys[at] = NO_KEY
        if end < size:
            above &= above - 1
            after = at + 1 + ctz(above)
            parts.keys[at] = key_of(rank_between(table, parts, at, after), at)
        if at:
            after = 63 - clz(live & ((<uint64_t>1 << at) - 1))
            parts.keys[after] = key_of(rank_between(table, parts, after, end), after)
    parts.live = live


cdef inline void begin_parts(Parts *parts, const uint8_t *at, uint32_t size) noexcept nogil:
    """Copy up to SHORT_BYTES that are to be merged; the caller says which parts there are."""
    memcpy(parts.text, at, size)
    memset(parts.text + size, 0, PADDING)
    parts.size = size
    parts.live = <uint64_t>1 << size
    parts.count = 0


cdef inline void begin_keys(Parts *parts, uint32_t at) noexcept nogil:
    """No pairs from there on. Up to three beyond the last are read."""
    while at < parts.size + 3:
        parts.keys[at] = NO_KEY
        at += 1


cdef inline void begin_part(Parts *parts, uint32_t start, uint32_t rank) noexcept nogil:
    """A part that begins there, and the rank of it with the next one."""
    parts.live |= <uint64_t>1 << start
    parts.keys[start] = key_of(rank, start)
    parts.count += 1


cdef inline void merge_bytes(const Table *table, Parts *parts, const uint8_t *at, uint32_t size) noexcept nogil:
    """The parts that up to SHORT_BYTES merge to, byte by byte."""
    cdef uint32_t i
    begin_parts(parts, at, size)
    begin_keys(parts, size - 1)
    for i in range(size - 1):
        parts.keys[i] = key_of(table.pairs[(<uint32_t>at[i] << 8) | at[i + 1]], i)
    parts.live = (<uint64_t>2 << size) - 1
    parts.count = size
    merge_pairs(table, parts)


cdef inline uint32_t merge_parts(
    const Table *table, const uint8_t *at, uint32_t size, uint8_t *starts
) noexcept nogil:
    """How many parts up to SHORT_BYTES merge to.

    Shape: `starts` has room for two more, and says where each part begins and the last ends.
    """
    cdef Parts parts
    cdef uint32_t i
    merge_bytes(table, &parts, at, size)
    for i in range(parts.count + 1):
        starts[i] = <uint8_t>ctz(parts.live)
        parts.live &= parts.live - 1
    return parts.count


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
    cdef Parts parts
    if sink.ids == NULL:
        merge_bytes(table, &parts, at, size)
        sink.count += parts.count
    else:
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
