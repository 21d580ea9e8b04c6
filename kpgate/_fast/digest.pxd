"""What other compiled modules may use of a credential's hash."""

from libc.stdint cimport uint64_t


cdef class Pepper:
    cdef uint64_t _keyed[8]
    cdef size_t _hash_bytes
    cpdef bytes digest(self, bytes credential)
