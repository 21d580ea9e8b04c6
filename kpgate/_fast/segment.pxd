"""What the journal uses of a segment's file."""

cimport cython
from libc.stdint cimport int64_t, uint64_t


@cython.final
cdef class SegmentFile:
    cdef bytes folder
    cdef const char *folder_at
    # Whether to map: 1, 0, or -1 as the file system is.
    cdef int maps
    cdef int descriptor
    cdef char *mapping
    cdef uint64_t mapped_bytes
    cdef uint64_t first
    cdef bint is_quick(self, uint64_t first, uint64_t size) noexcept nogil
    cdef int64_t write(
        self, uint64_t first, uint64_t segment_bytes, uint64_t offset, const void *at, uint64_t size
    ) noexcept nogil
    cdef int open(self, uint64_t first, uint64_t segment_bytes) noexcept nogil
    cdef int map(self, uint64_t segment_bytes) noexcept nogil
    cdef void close(self) noexcept nogil
