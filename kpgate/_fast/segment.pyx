# cython: auto_pickle=False, autotestdict=False
"""A segment's file, written at positions: copied into its mapping, or by `pwrite`.

Owns the open file, one at a time. It must not know what the bytes mean.
A mapped page is the file's page: what was copied into it survives the process, and `fdatasync` finds it. A write that
the file system refuses would end the process, so only those are mapped that write over what is there in its place.
Source: docs/decisions/0010-mapped-journal.md.
"""

cimport cython
from libc.errno cimport EINTR, EIO, errno
from libc.stdint cimport int64_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy
from posix.fcntl cimport O_CLOEXEC, O_RDWR, open as c_open
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap
from posix.stat cimport fstat, struct_stat
from posix.unistd cimport close as c_close

import os

cdef extern from "<unistd.h>" nogil:
    ssize_t pwrite(int descriptor, const void *at, size_t size, int64_t offset) noexcept

cdef extern from "<sys/vfs.h>" nogil:
    cdef struct statfs:
        long f_type
    int fstatfs(int descriptor, statfs *found) noexcept

cdef enum:
    PATH_BYTES = 4096
    # What is longer is written: beside a page's fault and its sync the copy is nothing.
    COPIED_BYTES_MAX = 2048
    # linux/magic.h
    EXT = 0xEF53
    TMPFS = 0x01021994


@cython.final
cdef class SegmentFile:
    """Whichever segment of a folder was written to last. `mapped`: None as its file system allows."""

    def __cinit__(self, folder, mapped=None):
        self.descriptor = -1
        self.folder = os.fsencode(folder)
        self.folder_at = self.folder
        self.maps = -1 if mapped is None else mapped is True
        if len(self.folder) + 32 > PATH_BYTES:
            raise ValueError("the folder's path is too long")

    def __dealloc__(self):
        self.close()

    @property
    def mapped(self):
        """Whether the file is mapped that was written to last."""
        return self.mapping != NULL

    def put(self, uint64_t first, uint64_t segment_bytes, uint64_t offset, bytes data not None):
        """Write bytes into the segment that begins at an LSN. Returns how many were written.

        Errors: OSError.
        """
        cdef int64_t wrote = self.write(first, segment_bytes, offset, <const char *>data, len(data))
        if wrote < 0:
            raise OSError(-wrote, os.strerror(-wrote))
        return wrote

    cdef bint is_quick(self, uint64_t first, uint64_t size) noexcept nogil:
        """Whether a write of so much into that segment is a copy and nothing else."""
        return self.mapping != NULL and self.first == first and size <= COPIED_BYTES_MAX

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
        if self.mapping != NULL and size <= COPIED_BYTES_MAX:
            memcpy(self.mapping + offset, at, size)
            return <int64_t>size
        while True:
            wrote = pwrite(self.descriptor, at, size, <int64_t>offset)
            if wrote >= 0:
                return wrote
            if errno != EINTR:
                return -errno

    cdef int open(self, uint64_t first, uint64_t segment_bytes) noexcept nogil:
        """Open a segment's file and leave the one before. Returns the error's number, 0 for none."""
        cdef char path[PATH_BYTES]
        cdef int descriptor
        snprintf(path, sizeof(path), b"%s/%016llx.kpj", self.folder_at, <unsigned long long>first)
        descriptor = c_open(path, O_RDWR | O_CLOEXEC)
        if descriptor < 0:
            return errno
        self.close()
        self.descriptor = descriptor
        self.first = first
        return self.map(segment_bytes)

    cdef int map(self, uint64_t segment_bytes) noexcept nogil:
        """Map the open file, if it is to be. Returns the error's number, 0 for none."""
        cdef statfs system
        cdef struct_stat about
        cdef void *mapping
        if self.maps < 0:
            self.maps = fstatfs(self.descriptor, &system) == 0 and system.f_type in (EXT, TMPFS)
        if not self.maps:
            return 0
        if fstat(self.descriptor, &about) != 0 or <uint64_t>about.st_size < segment_bytes:
            # A page beyond a file's end is no page: to touch it ends the process.
            self.close()
            return EIO
        mapping = mmap(NULL, segment_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, self.descriptor, 0)
        if mapping == MAP_FAILED:
            # As where there is no address space left: a write does without.
            return 0
        self.mapping, self.mapped_bytes = <char *>mapping, segment_bytes
        return 0

    cdef void close(self) noexcept nogil:
        if self.mapping != NULL:
            munmap(self.mapping, self.mapped_bytes)
            self.mapping = NULL
        if self.descriptor >= 0:
            c_close(self.descriptor)
            self.descriptor = -1
