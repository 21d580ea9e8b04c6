"""Lines of a plain head, inline: names and values that leave nothing to be weighed."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memchr, memcpy

cdef extern from "jump.h" nogil:
    Py_ssize_t kpgate_jump_name(const uint8_t *p, Py_ssize_t at, Py_ssize_t end) noexcept
    Py_ssize_t kpgate_jump_value(const uint8_t *p, Py_ssize_t at, Py_ssize_t end) noexcept

cdef extern from *:
    """
    #include <stdint.h>
    /* What a plain name is of: letters, digits, hyphen and underscore. */
    static const uint8_t kpgate_plain_names[256] = {
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0,
        0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1,
        0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0,
    };

    /* Whether a name is a known one. Both are of letters, digits and marks alone: the bit that tells small letters from
       capital ones stands in all the others that known names have. */
    static inline int kpgate_same_name(const char *name, const char *known, size_t size) {
        uint64_t word, other, differ = 0;
        while (size >= 8) {
            __builtin_memcpy(&word, name, 8);
            __builtin_memcpy(&other, known, 8);
            differ |= (word | UINT64_C(0x2020202020202020)) ^ other;
            name += 8, known += 8, size -= 8;
        }
        while (size) {
            size--;
            differ |= (uint8_t)((name[size] | 0x20) ^ known[size]);
        }
        return differ == 0;
    }
    """
    const uint8_t *kpgate_plain_names
    bint same_name "kpgate_same_name"(const char *name, const char *known, size_t size) noexcept nogil


cdef inline const char *end_of_name(const char *at, const char *end) noexcept nogil:
    """Where a header's name ends; NULL for what is no plain name."""
    cdef const char *begin = at
    at += kpgate_jump_name(<const uint8_t *>at, 0, end - at)
    while kpgate_plain_names[<uint8_t>at[0]]:
        at += 1
    return at if at > begin and at[0] == c":" else NULL


cdef inline const char *end_of_line(const char *at, const char *end) noexcept nogil:
    """The first character that is no text."""
    return at + kpgate_jump_value(<const uint8_t *>at, 0, end - at)


cdef inline bint is_number(const char *at, Py_ssize_t size) noexcept nogil:
    """Whether that many characters are digits, one at least."""
    cdef Py_ssize_t i
    for i in range(size):
        if not c"0" <= at[i] <= c"9":
            return False
    return size > 0


cdef inline int64_t number_of(const char *at, Py_ssize_t size) noexcept nogil:
    """What so many digits say."""
    cdef int64_t number = 0
    cdef Py_ssize_t i
    for i in range(size):
        number = number * 10 + (at[i] - c"0")
    return number


cdef inline bytes with_line(
    bytes lines, const char *name, Py_ssize_t size, const char *value, Py_ssize_t value_size
):
    """Headers as they are sent, and one more behind them, its name in lower case.

    Errors: ValueError for a value of more than one line.
    """
    cdef Py_ssize_t before = PyBytes_GET_SIZE(lines)
    cdef bytes written
    cdef char *at
    cdef Py_ssize_t i
    if memchr(value, c"\n", value_size) is not NULL:
        raise ValueError("a header's value is one line")
    written = PyBytes_FromStringAndSize(NULL, before + size + value_size + 4)
    at = PyBytes_AS_STRING(written)
    memcpy(at, PyBytes_AS_STRING(lines), before)
    at += before
    for i in range(size):
        # Without a branch: it is done to many letters at once.
        at[i] = name[i] | (<uint8_t>(<uint8_t>name[i] - <uint8_t>c"A") < 26) << 5
    at += size
    at[0] = c":"
    at[1] = c" "
    memcpy(at + 2, value, value_size)
    at += 2 + value_size
    at[0] = c"\r"
    at[1] = c"\n"
    return written
