"""What the journal uses of a segment's file."""

cimport cython
from libc.stdint cimport int64_t, uint64_t


@cython.final
cdef class SegmentFile:
    cdef bytes folder
    cdef const char *folder_at
    cdef int descriptor
    cdef uint64_t first
    cdef int64_t write(
        self, uint64_t first, uint64_t segment_bytes, uint64_t offset, const void *at, uint64_t size
    ) noexcept nogil
    cdef int open(self, uint64_t first, uint64_t segment_bytes) noexcept nogil
    cdef void close(self) noexcept nogil
