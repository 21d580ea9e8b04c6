"""The table of a vocabulary as it lies in memory, and the rank of bytes by it, inline."""

from libc.stdint cimport uint16_t, uint32_t, uint64_t, uint8_t
from libc.string cimport memcmp, memcpy

cdef extern from "entries.h" nogil:
    ctypedef struct Entry "kpgate_entry":
        uint64_t data
        uint32_t rank
        uint32_t meta
    ctypedef struct Entries "kpgate_entries":
        const Entry *slots
        uint64_t mask
        uint32_t shift
        const uint8_t *blob
    void kpgate_load_piece(const uint8_t *p, size_t size, uint64_t *first, uint64_t *last) noexcept
    uint64_t kpgate_hash(uint64_t first, uint64_t last) noexcept
    uint32_t kpgate_meta(uint64_t hashed, size_t size) noexcept
    const Entry *kpgate_find_token(const Entries *entries, uint64_t first, uint64_t last, size_t size) noexcept

cdef enum:
    TOKEN_BYTES_MAX = 255
    NO_RANK = 0xFFFFFFFF


cdef struct Unit:
    # What is known of a character: bit n is set if a token joins it to a character before it whose last byte
    # ends in n (five bits).
    uint32_t mask
    # The same (four bits) where such a token begins or ends within a character, or merging by whole
    # characters could differ: merge such by bytes.
    uint16_t by_bytes
    # How many tokens it is by itself, and its class as pieces.pxd has them.
    uint8_t tokens
    uint8_t kind


cdef struct Table:
    # A number of its own within the process, from 1 up.
    uint32_t number
    uint32_t pattern
    uint32_t count
    const uint32_t *singles
    const uint32_t *pairs
    Entries entries
    const uint32_t *offsets
    # Of the characters of one byte, then of three.
    const Unit *units
    # Pairs of characters that stand side by side in a token: left, right and the rank of the two as one.
    const uint64_t *joins
    uint32_t joins_shift


cdef inline uint64_t load_short(const uint8_t *at, size_t size) noexcept nogil:
    """Up to 8 bytes as a number, without reading beyond them."""
    cdef uint64_t value = 0
    cdef uint32_t low, high
    cdef uint16_t a, b
    if size == 8:
        memcpy(&value, at, 8)
        return value
    if size >= 4:
        memcpy(&low, at, 4)
        memcpy(&high, at + size - 4, 4)
        return <uint64_t>low | (<uint64_t>high << ((size - 4) * 8))
    if size >= 2:
        memcpy(&a, at, 2)
        memcpy(&b, at + size - 2, 2)
        return <uint64_t>a | (<uint64_t>b << ((size - 2) * 8))
    return at[0] if size else 0


cdef inline uint64_t hash_of(const uint8_t *at, size_t size, uint64_t *inline_data) noexcept nogil:
    """A hash of a token's bytes; `inline_data` gets them where they are at most 8."""
    cdef uint64_t value, word
    cdef size_t i
    if size <= 8:
        inline_data[0] = load_short(at, size)
        return kpgate_hash(inline_data[0], 0)
    memcpy(&value, at, 8)
    if size <= 16:
        return kpgate_hash(value, load_short(at + 8, size - 8))
    for i in range(8, size - 8, 8):
        memcpy(&word, at + i, 8)
        value = kpgate_hash(value, word)
        value ^= value >> 32
    memcpy(&word, at + size - 8, 8)
    return kpgate_hash(value, word)


cdef inline uint32_t rank_of(const Table *table, const uint8_t *at, size_t size) noexcept nogil:
    """The rank of a token, NO_RANK for bytes that are none."""
    cdef uint64_t data = 0
    cdef uint64_t hashed, slot
    cdef const Entry *entry
    cdef uint32_t meta
    if size > TOKEN_BYTES_MAX:
        return NO_RANK
    if size == 2:
        return table.pairs[(<uint32_t>at[0] << 8) | at[1]]
    hashed = hash_of(at, size, &data)
    meta = kpgate_meta(hashed, size)
    slot = hashed >> table.entries.shift
    while True:
        entry = table.entries.slots + slot
        if entry.rank == 0:
            return NO_RANK
        if entry.meta == meta:
            if size <= 8:
                if entry.data == data:
                    return entry.rank - 1
            elif memcmp(table.entries.blob + entry.data, at, size) == 0:
                return entry.rank - 1
        slot = (slot + 1) & table.entries.mask


cdef inline uint32_t rank_of_piece(const Table *table, const uint8_t *at, size_t size) noexcept nogil:
    """The same for 1 to 16 bytes of which 16 may be read: few branches, as the sizes of pieces are anyone's guess."""
    cdef uint64_t first, last
    cdef const Entry *entry
    kpgate_load_piece(at, size, &first, &last)
    entry = kpgate_find_token(&table.entries, first, last, size)
    return entry.rank - 1 if entry != NULL else <uint32_t>NO_RANK


cdef inline uint32_t one_rank(const Table *table, const uint8_t *at, size_t size) noexcept nogil:
    return table.singles[at[0]] if size == 1 else rank_of(table, at, size)
