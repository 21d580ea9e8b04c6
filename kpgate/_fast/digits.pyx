# cython: auto_pickle=False, autotestdict=False
"""Numbers and durations as a reply's headers write them: a dozen of them stand on every reply."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL

cdef enum:
    START_BYTES_MAX = 48


cdef inline char *_back(char *end, uint64_t number) noexcept nogil:
    """Write a number so that it ends before `end`. Returns where it begins."""
    while number >= 10:
        end -= 1
        end[0] = <char>(c"0" + number % 10)
        number //= 10
    end -= 1
    end[0] = <char>(c"0" + number)
    return end


cpdef bytes decimal(int64_t number):
    """A whole number in decimal."""
    cdef char digits[24]
    cdef char *end = digits + sizeof(digits)
    cdef char *at
    if number < 0:
        at = _back(end, 0 - <uint64_t>number) - 1
        at[0] = c"-"
    else:
        at = _back(end, <uint64_t>number)
    return PyBytes_FromStringAndSize(at, end - at)


cpdef str hexadecimal(uint64_t number):
    """A number as sixteen hexadecimal digits."""
    cdef char digits[16]
    cdef int i
    for i in range(16):
        digits[15 - i] = b"0123456789abcdef"[number >> (4 * i) & 15]
    return PyUnicode_DecodeASCII(digits, sizeof(digits), NULL)


cpdef str numbered(str start, uint64_t number):
    """A text with a number behind it, in hexadecimal.

    Errors: UnicodeDecodeError for a text that is not ASCII, ValueError for one of more than 48 bytes.
    """
    cdef char letters[START_BYTES_MAX + 16]
    cdef Py_ssize_t size
    cdef const char *text = PyUnicode_AsUTF8AndSize(start, &size)
    cdef char *at
    cdef int places = 1
    if size > START_BYTES_MAX:
        raise ValueError(f"a text of {size} bytes before a number")
    memcpy(letters, text, <size_t>size)
    while places < 16 and number >> (4 * places):
        places += 1
    at = letters + size
    while places:
        places -= 1
        at[0] = b"0123456789abcdef"[number >> (4 * places) & 15]
        at += 1
    return PyUnicode_DecodeASCII(letters, at - letters, NULL)


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
        at = _back(at, ms)
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
    at = _back(at, seconds % 60)
    if seconds >= 60:
        at -= 1
        at[0] = c"m"
        at = _back(at, seconds // 60 % 60)
    if seconds >= 3600:
        at -= 1
        at[0] = c"h"
        at = _back(at, seconds // 3600)
    return PyBytes_FromStringAndSize(at, end - at)
