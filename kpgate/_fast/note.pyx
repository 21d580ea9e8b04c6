# cython: auto_pickle=False, autotestdict=False
"""The notes of a call's journal entries, packed: arrays in MessagePack, as `domain/ledger` reads them.

Owns their spelling; what they say is the ledger's. A call has two, of a few texts and whole numbers each.
Source: the MessagePack specification, "str", "int" and "array" format families (checked November 2026).
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from kpgate._fast.utf8 cimport utf8_of

cdef enum:
    TEXT_MAX = 1024
    NUMBER_BYTES = 9
    ARRAY = 0x90
    NOTE_ROOM = 2 + 3 * (TEXT_MAX + 3) + 14 * NUMBER_BYTES


cdef inline uint8_t *put_big(uint8_t *at, uint8_t mark, uint64_t number, int size) noexcept nogil:
    at[0] = mark
    while size:
        at += 1
        size -= 1
        at[0] = <uint8_t>(number >> (8 * size))
    return at + 1


cdef inline uint8_t *put_number(uint8_t *at, int64_t number) noexcept nogil:
    """A whole number, in as few bytes as it takes. None is below 0."""
    cdef uint64_t value = <uint64_t>number if number > 0 else 0
    if value < 0x80:
        at[0] = <uint8_t>value
        return at + 1
    if value <= 0xFF:
        return put_big(at, 0xCC, value, 1)
    if value <= 0xFFFF:
        return put_big(at, 0xCD, value, 2)
    if value >> 32 == 0:
        return put_big(at, 0xCE, value, 4)
    return put_big(at, 0xCF, value, 8)


cdef inline uint8_t *put_text(uint8_t *at, str text) except NULL:
    cdef Py_ssize_t size
    cdef const char *utf8 = utf8_of(text, &size)
    if size > TEXT_MAX:
        raise ValueError(f"a text of {size} bytes in a note")
    if size < 32:
        at[0] = <uint8_t>(0xA0 | size)
        at += 1
    elif size <= 0xFF:
        at = put_big(at, 0xD9, <uint64_t>size, 1)
    else:
        at = put_big(at, 0xDA, <uint64_t>size, 2)
    memcpy(at, utf8, <size_t>size)
    return at + size


cpdef bytes pack_hold(
    str request_id, str model, int64_t price_version, int64_t input_bound, int64_t output_bound, int64_t factor
):
    """The fields of `ledger.HoldNote`. Errors: ValueError for a text of more than 1,024 bytes."""
    cdef uint8_t note[NOTE_ROOM]
    cdef uint8_t *at = note
    at[0] = ARRAY | 6
    at = put_text(at + 1, request_id)
    at = put_text(at, model)
    at = put_number(at, price_version)
    at = put_number(at, input_bound)
    at = put_number(at, output_bound)
    at = put_number(at, factor)
    return PyBytes_FromStringAndSize(<char *>note, at - note)


cpdef bytes pack_end(
    str provider, str deployment, int64_t attempts, int64_t status, int64_t price_version, int64_t prompt,
    int64_t output, int64_t cached, int64_t reasoning, int64_t heard, int64_t spoken, int64_t seen, int64_t written,
    int64_t kept, int64_t units, str source,
):
    """The fields of `ledger.EndNote`; of the counts the last three are there as far as they say something.

    Errors: ValueError for a text of more than 1,024 bytes.
    """
    cdef uint8_t note[NOTE_ROOM]
    cdef uint8_t *at = note
    cdef int64_t[10] counts = [prompt, output, cached, reasoning, heard, spoken, seen, written, kept, units]
    cdef int count = 10 if units else 9 if written or kept else 7
    cdef int i
    at[0] = ARRAY | 7
    at = put_text(at + 1, provider)
    at = put_text(at, deployment)
    at = put_number(at, attempts)
    at = put_number(at, status)
    at = put_number(at, price_version)
    at[0] = <uint8_t>(ARRAY | count)
    at += 1
    for i in range(count):
        at = put_number(at, counts[i])
    at = put_text(at, source)
    return PyBytes_FromStringAndSize(<char *>note, at - note)
