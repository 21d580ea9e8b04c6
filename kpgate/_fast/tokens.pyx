# cython: auto_pickle=False, autotestdict=False
"""Exact token counts for cl100k_base and o200k_base, without regular expressions or an object a token.

It owns the table of a vocabulary (a file, mapped read-only, shared by all workers), the cutting of text into
pieces, and what was counted lately. It knows no message, no model and no price.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_Clear
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from kpgate._fast.characters cimport count_characters, count_wide
from kpgate._fast.counted cimport count_near, count_piece
from kpgate._fast.joins cimport UNITS, WIDE, join_slot, mark_joins
from kpgate._fast.jsonwalk cimport unescape
from kpgate._fast.merge cimport SHORT_BYTES, Sink, give, merge, merge_long, merge_short
from kpgate._fast.outline cimport UNKNOWN, Outline, Place
from kpgate._fast.pieces cimport class_at, cut_cl100k, cut_o200k
from kpgate._fast.ranks cimport (
    NO_RANK, TOKEN_BYTES_MAX, Entries, Entry, Table, Unit, hash_of, kpgate_meta, rank_of_piece
)
from kpgate._fast.recall cimport Recall

import mmap
import os
import zlib

cdef extern from "Python.h":
    const char *utf8_or_null "PyUnicode_AsUTF8AndSize"(object text, Py_ssize_t *size) noexcept

cdef extern from "words.h" nogil:
    const uint8_t *kpgate_count_words(
        const Entries *entries, const uint8_t *p, const uint8_t *end, int64_t *count
    ) noexcept
    uint32_t kpgate_common_word(const uint8_t *p) noexcept
    uint32_t kpgate_piece_o200k(const uint8_t *p, const uint8_t *end) noexcept
    uint32_t kpgate_piece_cl100k(const uint8_t *p, const uint8_t *end) noexcept

cdef enum:
    VERSION = 4
    # Of the head: all before its checksum.
    CHECKED_BYTES = 44
    RELEASE_BYTES = 4096
    # A fingerprint is taken in less time than a thread that waits for the GIL is woken in.
    FINGERPRINT_RELEASE_BYTES = 131072
    # Shorter texts are counted about as soon as they are recalled.
    RECALL_BYTES_MIN = 256
    RANKS_MAX = 1 << 24
    # What may be read behind the last token.
    BEHIND_BYTES = 8
    # How many bytes a plain piece is looked for in.
    WINDOW = 16

MAGIC = b"kpgate-tokens\0\0\0"
PATTERNS = ("cl100k_base", "o200k_base")

# How many vocabularies this process has opened.
cdef uint32_t _opened = 0


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


# Texts

cdef inline bint wide_piece(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """Whether a piece begins or ends with a character of three bytes, and has more than one."""
    return end - at > 3 and ((end - 1)[0] & 0xC0 == 0x80 and (end - 3)[0] & 0xF0 == 0xE0 or at[0] & 0xF0 == 0xE0)


cdef inline const uint8_t *count_plain(
    const Table *table, const uint8_t *at, const uint8_t *end, uint32_t pattern, Sink *sink
) noexcept nogil:
    """Count plain pieces. Returns where the first begins that is none."""
    cdef uint32_t size
    while end - at >= WINDOW:
        if at[0] == c" " or at[1] == c" ":
            # Most of any text.
            at = kpgate_count_words(&table.entries, at, end, &sink.count)
        size = kpgate_piece_cl100k(at, end) if pattern == 0 else kpgate_piece_o200k(at, end)
        if size == 0:
            break
        count_near(table, at, size, sink)
        at += size
    return at


cdef inline const uint8_t *count_last(
    const Table *table, const uint8_t *at, const uint8_t *end, Sink *sink
) noexcept nogil:
    """Count words near a text's end, from a copy with zeros behind it. Returns where the first begins that is none."""
    cdef uint8_t copied[2 * WINDOW]
    cdef const uint8_t *copy = copied
    cdef uint32_t size
    memset(copied, 0, sizeof(copied))
    memcpy(copied, at, end - at)
    while at < end:
        size = kpgate_common_word(copy)
        if size == 0:
            break
        count_near(table, copy, size, sink)
        copy += size
        at += size
    return at


cdef void walk(const Table *table, const uint8_t *at, const uint8_t *end, Sink *sink) noexcept nogil:
    """Cut and merge a whole text."""
    cdef const uint8_t *after
    cdef uint32_t size, rank
    cdef bint whole
    while at < end and not sink.failed:
        if sink.ids == NULL:
            at = count_plain(table, at, end, table.pattern, sink)
            if end - at < WINDOW and at < end and at[0] == c" ":
                at = count_last(table, at, end, sink)
            if at == end:
                return
        else:
            size = kpgate_piece_cl100k(at, end) if table.pattern == 0 else kpgate_piece_o200k(at, end)
            if size:
                rank = rank_of_piece(table, at, size)
                if rank != NO_RANK:
                    give(sink, rank)
                else:
                    merge_short(table, at, size, sink)
                at += size
                continue
        if table.units != NULL and sink.ids == NULL:
            at = count_wide(table, at, end, sink, &whole)
            if whole:
                continue
        after = cut_cl100k(at, end) if table.pattern == 0 else cut_o200k(at, end)
        if after - at > 0x7FFFFFFF:
            sink.failed = True
            return
        if sink.ids != NULL:
            merge(table, at, <uint32_t>(after - at), sink)
        elif table.units != NULL and wide_piece(at, after):
            count_characters(table, at, <uint32_t>(after - at), end, sink)
        else:
            count_piece(table, at, <uint32_t>(after - at), end, sink)
        at = after


cdef inline bint is_recalled(Outline texts, const Place *place) noexcept nogil:
    return (texts.counted >> place.mark) & 1 and place.end - place.start >= RECALL_BYTES_MIN


cdef void count_place(const Table *table, const uint8_t *body, Place *place, Sink *sink) noexcept nogil:
    """Count a string where it stands in a sound body; one with escapes from a copy without them."""
    cdef uint8_t *text = NULL
    cdef Py_ssize_t size
    cdef bint whole = True
    cdef int64_t before = sink.count
    if place.escaped:
        text = <uint8_t *>malloc(place.end - place.start)
        if text == NULL:
            sink.failed = True
            return
        size = unescape(body, place.start, place.end, text, &whole)
        walk(table, text, text + size, sink)
        free(text)
    else:
        walk(table, body + place.start, body + place.end, sink)
    place.tokens = sink.count - before


# The table


@cython.final
cdef class Vocabulary:
    """A vocabulary, mapped from its table's file. Counting is thread-safe and releases the interpreter."""

    cdef object mapped
    cdef const uint8_t[::1] view
    cdef Table table
    cdef readonly str pattern
    cdef Recall recall

    @staticmethod
    def open(path):
        """Map the table in a file.

        Errors: OSError; ValueError when the file is no table of this version or is damaged.
        """
        global _opened
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
        _opened += 1
        self.table.number = _opened
        self.recall = Recall()
        return self

    def __len__(self):
        return self.table.count

    def count(self, str text not None):
        """How many tokens a text has. Lone surrogates count as U+FFFD, as the reference does."""
        cdef Py_ssize_t size = 0
        cdef const char *data = utf8_or_null(text, &size)
        if data == NULL:
            PyErr_Clear()
            text = repair(text)
            data = PyUnicode_AsUTF8AndSize(text, &size)
        return self.count_at(<const uint8_t *>data, size)

    def count_bytes(self, const uint8_t[::1] text not None):
        """The same for UTF-8 bytes. Errors: UnicodeDecodeError for bytes that are no UTF-8."""
        str(text, "utf-8")
        return self.count_at(&text[0], text.shape[0]) if text.shape[0] else 0

    def unseen(self, Outline texts not None):
        """How many bytes `count_outlined` would have to count: those of texts that were not counted lately."""
        cdef const uint8_t *body = <const uint8_t *>PyBytes_AS_STRING(texts.body)
        cdef Py_ssize_t total = 0
        cdef Py_ssize_t i
        cdef Place *place
        if PyBytes_GET_SIZE(texts.body) > FINGERPRINT_RELEASE_BYTES:
            with nogil:
                self.take_fingerprints(texts, body)
        else:
            self.take_fingerprints(texts, body)
        for i in range(texts.count):
            place = texts.places + i
            if is_recalled(texts, place) and place.tokens == UNKNOWN:
                place.tokens = self.recall.find(place.key)
            if (texts.counted >> place.mark) & 1 and place.tokens == UNKNOWN:
                total += place.end - place.start
        return total

    cdef void take_fingerprints(self, Outline texts, const uint8_t *body) noexcept nogil:
        cdef Py_ssize_t i
        cdef Place *place
        for i in range(texts.count):
            place = texts.places + i
            if is_recalled(texts, place) and place.tokens == UNKNOWN:
                self.recall.fingerprint(texts.owner, body + place.start, place.end - place.start, place.key)

    def count_outlined(self, Outline texts not None):
        """How many tokens the strings of an outline have, each by itself."""
        cdef const uint8_t *body = <const uint8_t *>PyBytes_AS_STRING(texts.body)
        cdef Sink sink = Sink(NULL, 0, False)
        cdef int64_t known = 0
        cdef Py_ssize_t i
        cdef Place *place
        self.unseen(texts)
        for i in range(texts.count):
            place = texts.places + i
            if not (texts.counted >> place.mark) & 1:
                continue
            if place.tokens != UNKNOWN:
                known += place.tokens
                continue
            if place.end - place.start > RELEASE_BYTES:
                with nogil:
                    count_place(&self.table, body, place, &sink)
            else:
                count_place(&self.table, body, place, &sink)
            if sink.failed:
                raise MemoryError("no room to count a text")
            if is_recalled(texts, place) and self.recall.find(place.key) < 0:
                self.recall.keep(place.key, place.tokens)
        return known + sink.count

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
            <bytes>self.table.entries.blob[self.table.offsets[rank]:self.table.offsets[rank + 1]]
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
        + (<uint64_t>head.count + 2 & ~<uint64_t>1) * 4 + head.blob_bytes + BEHIND_BYTES
    )


cdef void lay_out(Table *table, const uint8_t *start, const Head *head) noexcept:
    cdef const uint8_t *at = start + sizeof(Head)
    table.pattern = head.pattern
    table.count = head.count
    table.entries.mask = head.slots - 1
    table.entries.shift = 64
    while <uint64_t>1 << (64 - table.entries.shift) < head.slots:
        table.entries.shift -= 1
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
    table.entries.slots = <const Entry *>at
    at += <uint64_t>head.slots * sizeof(Entry)
    table.offsets = <const uint32_t *>at
    at += (<uint64_t>head.count + 2 & ~<uint64_t>1) * 4
    table.entries.blob = at


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
        at = table.entries.blob + table.offsets[rank]
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
        text[0] = <uint8_t>point
        units[point].kind = class_at(text, text + 1, &size)
    for point in range(0x800, 0x10000):
        text[0] = <uint8_t>(0xE0 | (point >> 12))
        text[1] = <uint8_t>(0x80 | ((point >> 6) & 0x3F))
        text[2] = <uint8_t>(0x80 | (point & 0x3F))
        sink.count = 0
        merge_short(table, text, 3, &sink)
        units[point - WIDE].tokens = <uint8_t>sink.count
        units[point - WIDE].kind = class_at(text, text + 3, &size)
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
    cdef Entry *entries = <Entry *>table.entries.slots
    cdef uint32_t offset = 0
    cdef uint32_t rank, size
    cdef uint64_t data, hashed, slot
    cdef const uint8_t *at = blob
    memset(singles, 0xFF, 256 * 4)
    memset(pairs, 0xFF, 65536 * 4)
    memcpy(<void *>table.entries.blob, at, len(blob))
    for rank in range(<uint32_t>len(tokens)):
        size = <uint32_t>len(tokens[rank])
        offsets[rank] = offset
        at = table.entries.blob + offset
        if size == 1:
            singles[at[0]] = rank
        if size == 2:
            pairs[(<uint32_t>at[0] << 8) | at[1]] = rank
        data = 0
        hashed = hash_of(at, size, &data)
        slot = hashed >> table.entries.shift
        while entries[slot].rank:
            slot = (slot + 1) & table.entries.mask
        if size > 8:
            data = offset
        entries[slot] = Entry(data, rank + 1, kpgate_meta(hashed, size))
        offset += size
    offsets[len(tokens)] = offset
    for rank in range(256):
        if singles[rank] == NO_RANK:
            raise ValueError(f"the byte {rank} is no token")
    return 0
