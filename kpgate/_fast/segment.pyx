# cython: auto_pickle=False, autotestdict=False
"""A segment's file, written at positions.

Owns the open file, one at a time. It must not know what the bytes mean.
Source: docs/decisions/0010-written-not-mapped.md.
"""

cimport cython
from libc.errno cimport EINTR, EIO, errno
from libc.stdint cimport int64_t, uint64_t
from libc.stdio cimport snprintf
from posix.fcntl cimport O_CLOEXEC, O_WRONLY, open as c_open
from posix.stat cimport fstat, struct_stat
from posix.unistd cimport close as c_close

import os

cdef extern from "<unistd.h>" nogil:
    ssize_t pwrite(int descriptor, const void *at, size_t size, int64_t offset) noexcept

cdef enum:
    PATH_BYTES = 4096


@cython.final
cdef class SegmentFile:
    """Whichever segment of a folder was written to last."""

    def __cinit__(self, folder):
        self.descriptor = -1
        self.folder = os.fsencode(folder)
        self.folder_at = self.folder
        if len(self.folder) + 32 > PATH_BYTES:
            raise ValueError("the folder's path is too long")

    def __dealloc__(self):
        self.close()

    def put(self, uint64_t first, uint64_t segment_bytes, uint64_t offset, bytes data not None):
        """Write bytes into the segment that begins at an LSN. Returns how many were written.

        Errors: OSError.
        """
        cdef int64_t wrote = self.write(first, segment_bytes, offset, <const char *>data, len(data))
        if wrote < 0:
            raise OSError(-wrote, os.strerror(-wrote))
        return wrote

    cdef int64_t write(
        self, uint64_t first, uint64_t segment_bytes, uint64_t offset, const void *at, uint64_t size
    ) noexcept nogil:
        """Write at an offset, within the segment. Returns how much was written, or the error's number below zero."""
        cdef int64_t wrote
        cdef int problem
        if self.first != first or self.descriptor < 0:
            problem = self.open(first, segment_bytes)
            if problem:
                return -problem
        while True:
            wrote = pwrite(self.descriptor, at, size, <int64_t>offset)
            if wrote >= 0:
                return wrote
            if errno != EINTR:
                return -errno

    cdef int open(self, uint64_t first, uint64_t segment_bytes) noexcept nogil:
        """Open a segment's file and leave the one before. Returns the error's number, 0 for none."""
        cdef char path[PATH_BYTES]
        cdef struct_stat about
        cdef int descriptor
        snprintf(path, sizeof(path), b"%s/%016llx.kpj", self.folder_at, <unsigned long long>first)
        descriptor = c_open(path, O_WRONLY | O_CLOEXEC)
        if descriptor < 0:
            return errno
        self.close()
        if fstat(descriptor, &about) != 0 or <uint64_t>about.st_size < segment_bytes:
            # It was made whole: what is missing would have to be made while calls wait for it.
            c_close(descriptor)
            return EIO
        self.descriptor = descriptor
        self.first = first
        return 0

    cdef void close(self) noexcept nogil:
        if self.descriptor >= 0:
            c_close(self.descriptor)
            self.descriptor = -1
