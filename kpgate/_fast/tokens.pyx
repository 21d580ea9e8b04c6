# cython: auto_pickle=False, autotestdict=False
"""Exact token counts for cl100k_base and o200k_base, without regular expressions or an object a token.

It owns the table of a vocabulary (a file, mapped read-only, shared by all workers), the cutting of text into
pieces, and the merging of a piece's bytes. It knows no message, no model and no price.
"""

cimport cython
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from kpgate._fast.joins cimport UNITS, WIDE, find_join, join_slot, mark_joins, point_of, width_of
from kpgate._fast.pieces cimport cut_cl100k, cut_o200k
from kpgate._fast.ranks cimport NO_RANK, TOKEN_BYTES_MAX, Entry, Table, Unit, hash_of, one_rank, rank_of

import mmap
import os
import zlib

cdef enum:
    VERSION = 3
    # Of the head: all before its checksum.
    CHECKED_BYTES = 44
    SHORT_BYTES = 48
    STRETCH_MAX = 16
    RELEASE_BYTES = 4096
    RANKS_MAX = 1 << 24

MAGIC = b"kpgate-tokens\0\0\0"
PATTERNS = ("cl100k_base", "o200k_base")


cdef struct Head:
    char magic[16]
    uint32_t version
    uint32_t pattern
    uint32_t count
    uint32_t slots
    uint32_t blob_bytes
    uint32_t joins
    # Whether every token merges to itself: then a stretch that is a token need not be merged.
    uint32_t whole
    uint32_t checksum
    uint64_t spare[2]


cdef struct Sink:
    # Where token ids go, or NULL for counting only.
    uint32_t *ids
    int64_t count
    bint failed


# Merging


cdef inline void give(Sink *sink, uint32_t rank) noexcept nogil:
    if sink.ids != NULL:
        sink.ids[sink.count] = rank
    sink.count += 1


cdef void merge_short(const Table *table, const uint8_t *at, uint32_t size, Sink *sink) noexcept nogil:
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


cdef void merge_long(const Table *table, const uint8_t *at, uint32_t size, Sink *sink) noexcept nogil:
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


# Characters


cdef struct Stretch:
    const uint8_t *start
    # Its characters so far, the bytes of each, and the rank of each with the next.
    uint32_t held
    uint8_t sizes[STRETCH_MAX]
    uint32_t ranks[STRETCH_MAX]
    # The tokens of its last character by itself.
    uint32_t tokens
    bint by_bytes


cdef uint32_t merge_units(
    const Table *table, const uint8_t *at, const uint8_t *sizes, uint32_t *ranks, uint32_t count
) noexcept nogil:
    """How many tokens some characters are that are a token each, merged as bytes are; `ranks` are of each two."""
    cdef uint16_t starts[STRETCH_MAX + 1]
    cdef uint32_t parts = count
    cdef uint32_t i, best, least
    starts[0] = 0
    for i in range(count):
        starts[i + 1] = starts[i] + sizes[i]
    while parts > 1:
        least = NO_RANK
        best = 0
        for i in range(parts - 1):
            if ranks[i] < least:
                least = ranks[i]
                best = i
        if least == NO_RANK:
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


cdef void count_characters(const Table *table, const uint8_t *at, uint32_t size, Sink *sink) noexcept nogil:
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


# Texts


cdef inline bint wide_piece(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """Whether a piece begins or ends with a character of three bytes, and has more than one."""
    return end - at > 3 and ((end - 1)[0] & 0xC0 == 0x80 and (end - 3)[0] & 0xF0 == 0xE0 or at[0] & 0xF0 == 0xE0)


cdef void walk(const Table *table, const uint8_t *at, const uint8_t *end, Sink *sink) noexcept nogil:
    """Cut and merge a whole text."""
    cdef const uint8_t *after
    while at < end and not sink.failed:
        after = cut_cl100k(at, end) if table.pattern == 0 else cut_o200k(at, end)
        if after - at > 0x7FFFFFFF:
            sink.failed = True
            return
        if table.units != NULL and sink.ids == NULL and wide_piece(at, after):
            count_characters(table, at, <uint32_t>(after - at), sink)
        else:
            merge(table, at, <uint32_t>(after - at), sink)
        at = after


# The table


@cython.final
cdef class Vocabulary:
    """A vocabulary, mapped from its table's file. Counting is thread-safe and releases the interpreter."""

    cdef object mapped
    cdef const uint8_t[::1] view
    cdef Table table
    cdef readonly str pattern

    @staticmethod
    def open(path):
        """Map the table in a file.

        Errors: OSError; ValueError when the file is no table of this version or is damaged.
        """
        cdef Vocabulary self = Vocabulary.__new__(Vocabulary)
        cdef const Head *head
        cdef uint64_t size, at
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < sizeof(Head):
                raise ValueError("not a table of tokens")
            self.mapped = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
        self.view = self.mapped
        head = <const Head *>&self.view[0]
        if bytes(head.magic[:16]) != MAGIC or head.version != VERSION or head.pattern > 1:
            raise ValueError("not a table of tokens of this version")
        at = sizeof(Head)
        if size != at + table_bytes(head) or head.slots & (head.slots - 1) or head.joins & (head.joins - 1):
            raise ValueError("the table of tokens has the wrong size")
        if checksum(memoryview(self.mapped)) != head.checksum:
            raise ValueError("the table of tokens is damaged")
        lay_out(&self.table, &self.view[0], head)
        self.pattern = PATTERNS[head.pattern]
        return self

    def __len__(self):
        return self.table.count

    def count(self, str text not None):
        """How many tokens a text has. Lone surrogates count as U+FFFD, as the reference does."""
        cdef Py_ssize_t size = 0
        cdef const char *data
        try:
            data = PyUnicode_AsUTF8AndSize(text, &size)
        except UnicodeEncodeError:
            text = repair(text)
            data = PyUnicode_AsUTF8AndSize(text, &size)
        return self.count_at(<const uint8_t *>data, size)

    def count_bytes(self, const uint8_t[::1] text not None):
        """The same for UTF-8 bytes. Errors: UnicodeDecodeError for bytes that are no UTF-8."""
        str(text, "utf-8")
        return self.count_at(&text[0], text.shape[0]) if text.shape[0] else 0

    cdef int64_t count_at(self, const uint8_t *data, Py_ssize_t size) except -1:
        cdef Sink sink = Sink(NULL, 0, False)
        if size > RELEASE_BYTES:
            with nogil:
                walk(&self.table, data, data + size, &sink)
        else:
            walk(&self.table, data, data + size, &sink)
        if sink.failed:
            raise MemoryError("a piece of the text is too long to be merged")
        return sink.count

    def encode(self, str text not None):
        """The tokens of a text, as ids."""
        cdef bytes data = repair(text).encode()
        cdef Py_ssize_t size = len(data)
        cdef const uint8_t *at = data
        cdef Sink sink = Sink(NULL, 0, False)
        cdef int64_t i
        if size == 0:
            return []
        sink.ids = <uint32_t *>malloc(size * sizeof(uint32_t))
        if sink.ids == NULL:
            raise MemoryError("no room for the tokens")
        try:
            walk(&self.table, at, at + size, &sink)
            if sink.failed:
                raise MemoryError("a piece of the text is too long to be merged")
            return [sink.ids[i] for i in range(sink.count)]
        finally:
            free(sink.ids)

    def pieces(self, str text not None):
        """The bytes of each token of a text, in order."""
        cdef uint32_t rank
        return [
            <bytes>self.table.blob[self.table.offsets[rank]:self.table.offsets[rank + 1]]
            for rank in self.encode(text)
        ]

    def __repr__(self):
        return f"<Vocabulary {self.pattern} {self.table.count}>"


cdef str repair(str text):
    """A text without lone surrogates. Source: tiktoken 0.14, Encoding.encode_ordinary."""
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


cdef uint64_t table_bytes(const Head *head) noexcept:
    return (
        (256 + 65536) * 4 + UNITS * sizeof(Unit) + <uint64_t>head.joins * 8 + <uint64_t>head.slots * sizeof(Entry)
        + (<uint64_t>head.count + 2 & ~<uint64_t>1) * 4 + head.blob_bytes
    )


cdef void lay_out(Table *table, const uint8_t *start, const Head *head) noexcept:
    cdef const uint8_t *at = start + sizeof(Head)
    table.pattern = head.pattern
    table.count = head.count
    table.mask = head.slots - 1
    table.singles = <const uint32_t *>at
    at += 256 * 4
    table.pairs = <const uint32_t *>at
    at += 65536 * 4
    table.units = <const Unit *>at if head.whole else NULL
    at += UNITS * sizeof(Unit)
    table.joins = <const uint64_t *>at
    table.joins_shift = 32
    while <uint64_t>1 << (32 - table.joins_shift) < head.joins:
        table.joins_shift -= 1
    at += <uint64_t>head.joins * 8
    table.entries = <const Entry *>at
    at += <uint64_t>head.slots * sizeof(Entry)
    table.offsets = <const uint32_t *>at
    at += (<uint64_t>head.count + 2 & ~<uint64_t>1) * 4
    table.blob = at


def build_table(bytes ranks not None, path, str pattern not None):
    """Write the table of a vocabulary, whole or not at all.

    Shape: `ranks` are lines of a token in base64 and its rank, from 0 up; `pattern` is one of PATTERNS.
    Errors: ValueError for lines that are none; OSError.
    """
    tokens = parse(ranks)
    blob = b"".join(tokens)
    cdef Head head
    cdef Table table
    memset(&head, 0, sizeof(Head))
    memcpy(head.magic, <const char *>MAGIC, 16)
    head.version = VERSION
    head.pattern = PATTERNS.index(pattern)
    head.count = <uint32_t>len(tokens)
    head.slots = slots_for(len(tokens))
    head.blob_bytes = <uint32_t>len(blob)
    # What joins characters is found out by a table without it.
    head.joins = 2
    image = bytearray(sizeof(Head) + table_bytes(&head))
    lay_out(&table, image, &head)
    fill(&table, tokens, blob)
    units = bytearray(UNITS * sizeof(Unit))
    joins = find_units(&table, <Unit *><uint8_t *>units)
    head.whole = joins is not None
    head.joins = slots_for(len(joins or ()))
    image = bytearray(sizeof(Head) + table_bytes(&head))
    lay_out(&table, image, &head)
    fill(&table, tokens, blob)
    if head.whole:
        memcpy(<void *>table.units, <uint8_t *>units, len(units))
        fill_joins(&table, joins)
    memcpy(<uint8_t *>image, &head, sizeof(Head))
    head.checksum = checksum(memoryview(image))
    memcpy(<uint8_t *>image, &head, sizeof(Head))
    # A name of its own: threads, and processes that do not see each other, may be making the same table.
    fresh = f"{path}.{os.urandom(8).hex()}"
    try:
        with open(fresh, "wb") as file:
            file.write(image)
        os.replace(fresh, path)
    finally:
        if os.path.exists(fresh):
            os.unlink(fresh)


cdef uint32_t checksum(image):
    """The checksum of a table's file, but for itself and what is spare."""
    return zlib.crc32(image[sizeof(Head):], zlib.crc32(image[:CHECKED_BYTES]))


cdef uint32_t slots_for(uint64_t count) noexcept:
    """A power of two that is at least twice as much."""
    cdef uint32_t slots = 2
    while slots < count * 2:
        slots *= 2
    return slots


cdef dict find_units(const Table *table, Unit *units):
    """Find out what tokens join characters: in `units`, and the keys of two characters with their rank.

    None if not every token merges to itself.
    """
    cdef uint8_t text[SHORT_BYTES]
    cdef uint32_t rank, size, point
    cdef const uint8_t *at
    cdef Sink sink = Sink(NULL, 0, False)
    joins = {}
    for rank in range(table.count):
        at = table.blob + table.offsets[rank]
        size = table.offsets[rank + 1] - table.offsets[rank]
        sink.count = 0
        if size <= SHORT_BYTES:
            merge_short(table, at, size, &sink)
        else:
            merge_long(table, at, size, &sink)
        if sink.count != 1:
            return None
        mark_joins(table, units, at, size, joins)
    for point in range(128):
        units[point].tokens = 1
    for point in range(0x800, 0x10000):
        text[0] = <uint8_t>(0xE0 | (point >> 12))
        text[1] = <uint8_t>(0x80 | ((point >> 6) & 0x3F))
        text[2] = <uint8_t>(0x80 | (point & 0x3F))
        sink.count = 0
        merge_short(table, text, 3, &sink)
        units[point - WIDE].tokens = <uint16_t>sink.count
    return joins


cdef void fill_joins(Table *table, dict joins):
    cdef uint64_t *slots = <uint64_t *>table.joins
    cdef uint32_t key, slot
    for key, rank in joins.items():
        slot = join_slot(table, key)
        while slots[slot]:
            slot = (slot + 1) & (<uint32_t>0xFFFFFFFF >> table.joins_shift)
        slots[slot] = (<uint64_t>key << 32) | <uint32_t>rank


cdef list parse(bytes ranks):
    from_base64 = __import__("binascii").a2b_base64
    tokens = []
    for number, line in enumerate(ranks.splitlines()):
        token, _, rank = line.partition(b" ")
        token = from_base64(token)
        if int(rank) != number or not 0 < len(token) <= TOKEN_BYTES_MAX or number >= RANKS_MAX:
            raise ValueError(f"line {number + 1} is no token and its rank")
        tokens.append(token)
    return tokens


cdef int fill(Table *table, list tokens, bytes blob) except -1:
    """Put every token into the table that `table` lays out."""
    cdef uint32_t *singles = <uint32_t *>table.singles
    cdef uint32_t *pairs = <uint32_t *>table.pairs
    cdef uint32_t *offsets = <uint32_t *>table.offsets
    cdef Entry *entries = <Entry *>table.entries
    cdef uint32_t offset = 0
    cdef uint32_t rank, size
    cdef uint64_t data, hashed, slot
    cdef const uint8_t *at = blob
    memset(singles, 0xFF, 256 * 4)
    memset(pairs, 0xFF, 65536 * 4)
    memcpy(<void *>table.blob, at, len(blob))
    for rank in range(<uint32_t>len(tokens)):
        size = <uint32_t>len(tokens[rank])
        offsets[rank] = offset
        at = table.blob + offset
        if size == 1:
            singles[at[0]] = rank
        if size == 2:
            pairs[(<uint32_t>at[0] << 8) | at[1]] = rank
        data = 0
        hashed = hash_of(at, size, &data)
        slot = hashed & table.mask
        while entries[slot].rank:
            slot = (slot + 1) & table.mask
        if size > 8:
            data = offset
        entries[slot] = Entry(data, rank + 1, size | (<uint32_t>(hashed >> 40) << 8))
        offset += size
    offsets[len(tokens)] = offset
    for rank in range(256):
        if singles[rank] == NO_RANK:
            raise ValueError(f"the byte {rank} is no token")
    return 0
