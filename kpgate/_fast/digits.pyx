# cython: auto_pickle=False, autotestdict=False
"""Numbers and durations as a reply's headers write them: a dozen of them stand on every reply."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.stdint cimport int64_t, uint64_t


cpdef bytes decimal(int64_t number):
    """A whole number in decimal."""
    cdef char digits[24]
    cdef char *end = digits + sizeof(digits)
    cdef char *at = back(end, number)
    return PyBytes_FromStringAndSize(at, end - at)


cpdef str hexadecimal(uint64_t number):
    """A number as sixteen hexadecimal digits."""
    cdef char digits[16]
    cdef int i
    for i in range(16):
        digits[15 - i] = b"0123456789abcdef"[number >> (4 * i) & 15]
    return PyUnicode_DecodeASCII(digits, sizeof(digits), NULL)


cpdef bytes spell(int64_t duration_us):
    """A duration as OpenAI's rate-limit headers write it: `0s`, `20ms`, `1.5s`, `6m0s`, `1h0m0s`. Rounded up.

    Units: microseconds in.
    """
    cdef char letters[48]
    cdef char *end = letters + sizeof(letters)
    cdef char *at = end - 1
    cdef uint64_t ms
    cdef uint64_t seconds
    cdef uint64_t part
    cdef int places = 3
    if duration_us <= 0:
        return b"0s"
    at[0] = c"s"
    ms = <uint64_t>duration_us // 1000 + (duration_us % 1000 != 0)
    if ms < 1000:
        at -= 1
        at[0] = c"m"
        at = back_up(at, ms)
        return PyBytes_FromStringAndSize(at, end - at)
    seconds = ms // 1000
    part = ms % 1000
    if part:
        while part % 10 == 0:
            part //= 10
            places -= 1
        while places:
            at -= 1
            at[0] = <char>(c"0" + part % 10)
            part //= 10
            places -= 1
        at -= 1
        at[0] = c"."
    at = back_up(at, seconds % 60)
    if seconds >= 60:
        at -= 1
        at[0] = c"m"
        at = back_up(at, seconds // 60 % 60)
    if seconds >= 3600:
        at -= 1
        at[0] = c"h"
        at = back_up(at, seconds // 3600)
    return PyBytes_FromStringAndSize(at, end - at)
