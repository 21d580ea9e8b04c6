# cython: auto_pickle=False, autotestdict=False
"""The keyed hash by which a credential is recognised: every request asks for one.

Owns what the pepper alone comes to, kept. Knows no credential and no store.
Source: RFC 7693 (checked November 2026).
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint64_t

cdef extern from "blake2b.h" nogil:
    void kpgate_blake2b_key(uint64_t *keyed, const uint8_t *key, size_t key_size, size_t hash_size) noexcept
    void kpgate_blake2b_hash(const uint64_t *keyed, const uint8_t *p, size_t size, uint64_t *h) noexcept

cdef enum:
    BYTES_MAX = 64


@cython.final
cdef class Pepper:
    """What credentials are hashed under, by BLAKE2b.

    Errors: ValueError for a pepper or a hash that is not of 1 to 64 bytes.
    """

    def __cinit__(self, bytes pepper not None, size_t hash_bytes):
        if not 0 < PyBytes_GET_SIZE(pepper) <= BYTES_MAX or not 0 < hash_bytes <= BYTES_MAX:
            raise ValueError("a pepper, and a hash under it, are of 1 to 64 bytes")
        self._hash_bytes = hash_bytes
        kpgate_blake2b_key(
            self._keyed, <const uint8_t *>PyBytes_AS_STRING(pepper), PyBytes_GET_SIZE(pepper), hash_bytes
        )

    cpdef bytes digest(self, bytes credential):
        """The keyed hash of a credential.

        Errors: ValueError for an empty one.
        """
        cdef uint64_t hashed[8]
        if not credential:
            raise ValueError("nothing to hash")
        kpgate_blake2b_hash(
            self._keyed, <const uint8_t *>PyBytes_AS_STRING(credential), PyBytes_GET_SIZE(credential), hashed
        )
        return PyBytes_FromStringAndSize(<char *>hashed, self._hash_bytes)

    def __repr__(self):
        return "<Pepper>"
