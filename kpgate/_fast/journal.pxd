"""The journal's control words in the region, and what those who decide under the lock write entries by.

Order, under the lock: `has_room`, `ledger_us`, `begin`, `put` for each piece of the body, `end`, then commit.
"""

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from kpgate._fast.commit cimport Hand, Region, Seat
from kpgate._fast.segment cimport SegmentFile

cdef enum:
    ENTRY_MAX = 4096
    DRAFT_WORDS = 512


cdef struct Control:
    # Changed by commits alone.
    uint64_t tail
    uint64_t reserved
    uint64_t ledger_us
    uint64_t gap0[5]
    # Each only rises. What is written lies in the files, what is durable on the disk, what is posted in the store.
    uint64_t written
    uint64_t durable
    uint64_t posted
    uint64_t trimmed
    uint64_t prepared
    uint64_t anchor_us
    uint64_t failed
    uint64_t standing
    # Whoever holds it writes for all. Its own line: others look at it.
    uint64_t pen
    uint64_t gap1[7]
    uint64_t segment_bytes
    uint64_t ring_bytes
    uint64_t start
    uint64_t gap2[5]


cdef struct EntryHead:
    uint32_t length
    uint32_t crc
    uint64_t lsn
    uint8_t kind
    uint8_t flags
    uint8_t zero[2]
    uint32_t body_bytes


@cython.final
cdef class Journal:
    cdef readonly Region region
    cdef Seat seat
    cdef Control *control
    cdef uint64_t *ring
    cdef uint64_t ring_bytes
    cdef readonly uint64_t segment_bytes
    cdef bytes folder
    cdef SegmentFile file
    cdef uint32_t strokes
    # The entry under way, and where in the journal the next byte goes.
    cdef uint64_t draft[DRAFT_WORDS]
    cdef uint64_t filled
    cdef uint64_t at
    cdef int kind
    cdef bint has_room(self, uint64_t entry_bytes, uint64_t reserve_bytes) noexcept
    cdef uint64_t begin(self, Hand *hand, int kind, uint64_t body_bytes) noexcept
    cdef void put(self, const void *at, uint64_t size) noexcept
    cdef void end(self, Hand *hand) noexcept
    cdef void plan_reserved(self, Hand *hand, int64_t delta) noexcept
    cdef int64_t ledger_us(self, int64_t now_us) noexcept
    cdef void seal(self, Hand *hand, int kind, uint64_t lsn, uint64_t length) noexcept
    cpdef bint flush_all(self) except -1
    cpdef bint flush(self, uint64_t position) except -1
    cdef bint take_pen(self, uint64_t position) except -1
    cdef bint knows_segments(self) noexcept
    cdef void write_out(self, uint64_t position) noexcept nogil
