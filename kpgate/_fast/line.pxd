"""Lines of a plain head, inline: names and values that leave nothing to be weighed."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t

cdef extern from "jump.h" nogil:
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
    """
    const uint8_t *kpgate_plain_names


cdef inline const char *end_of_name(const char *at) noexcept nogil:
    """Where a header's name ends; NULL for what is no plain name."""
    cdef const char *begin = at
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


cdef inline bytes lowered(const char *at, Py_ssize_t size):
    """A name in lower case."""
    cdef bytes name = PyBytes_FromStringAndSize(at, size)
    cdef char *letters = PyBytes_AS_STRING(name)
    cdef Py_ssize_t i
    for i in range(size):
        if c"A" <= letters[i] <= c"Z":
            letters[i] |= 32
    return name
