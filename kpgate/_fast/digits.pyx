# cython: auto_pickle=False, autotestdict=False
"""Numbers and durations as a reply's headers write them: a dozen of them stand on every reply."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

from kpgate._fast.utf8 cimport utf8_of

cdef enum:
    START_BYTES_MAX = 48

cdef extern from "Python.h":
    str PyUnicode_New(Py_ssize_t size, Py_UCS4 most)
    void *PyUnicode_1BYTE_DATA(object text)


cpdef bytes decimal(int64_t number):
    """A whole number in decimal."""
    cdef char digits[24]
    cdef char *end = digits + sizeof(digits)
    cdef char *at = number_back(end, number)
    return PyBytes_FromStringAndSize(at, end - at)


cpdef str numbered(str start, uint64_t number, int places=1):
    """A text with a number behind it, in hexadecimal digits, at least so many.

    Errors: ValueError for a text that is not ASCII, or has more than 48 bytes.
    """
    cdef Py_ssize_t size
    cdef const char *text = utf8_of(start, &size)
    cdef str whole
    cdef char *at
    if size > START_BYTES_MAX or size != len(start):
        raise ValueError(f"before a number stands ASCII, at most {START_BYTES_MAX} bytes of it")
    while places < 16 and number >> (4 * places):
        places += 1
    whole = PyUnicode_New(size + places, 127)
    at = <char *>PyUnicode_1BYTE_DATA(whole)
    memcpy(at, text, <size_t>size)
    at += size + places
    while places:
        at -= 1
        at[0] = b"0123456789abcdef"[number & 15]
        number >>= 4
        places -= 1
    return whole


cdef char *spell_back(char *end, int64_t duration_us) noexcept nogil:
    """Write a duration so that it ends before `end`, with 48 bytes in front of that. Returns where it begins."""
    cdef char *at = end - 1
    cdef uint64_t ms
    cdef uint64_t seconds
    cdef uint64_t part
    cdef int places = 3
    if duration_us <= 0:
        at[0] = c"s"
        at -= 1
        at[0] = c"0"
        return at
    at[0] = c"s"
    ms = <uint64_t>duration_us // 1000 + (duration_us % 1000 != 0)
    if ms < 1000:
        at -= 1
        at[0] = c"m"
        return digits_back(at, ms)
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
    at = digits_back(at, seconds % 60)
    if seconds >= 60:
        at -= 1
        at[0] = c"m"
        at = digits_back(at, seconds // 60 % 60)
    if seconds >= 3600:
        at -= 1
        at[0] = c"h"
        at = digits_back(at, seconds // 3600)
    return at


cpdef bytes spell(int64_t duration_us):
    """A duration as OpenAI's rate-limit headers write it: `0s`, `20ms`, `1.5s`, `6m0s`, `1h0m0s`. Rounded up.

    Units: microseconds in.
    """
    cdef char letters[48]
    cdef char *end = letters + sizeof(letters)
    cdef char *at = spell_back(end, duration_us)
    return PyBytes_FromStringAndSize(at, end - at)
