"""What other compiled modules may use of the spelling of numbers."""

from libc.stdint cimport int64_t, uint64_t

cdef enum:
    # As many characters as a number of 64 bits has.
    DIGITS_MAX = 20


cdef extern from *:
    """
    static const char kpgate_pairs[] =
        "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051"
        "52535455565758596061626364656667686970717273747576777879808182838485868788899091929394959697"
        "9899";
    """
    const char *kpgate_pairs


cdef inline char *digits_back(char *end, uint64_t number) noexcept nogil:
    """Write a number so that it ends before `end`. Returns where it begins."""
    cdef const char *pair
    while number >= 100:
        pair = kpgate_pairs + 2 * (number % 100)
        number //= 100
        end -= 2
        end[0] = pair[0]
        end[1] = pair[1]
    if number >= 10:
        pair = kpgate_pairs + 2 * number
        end -= 2
        end[0] = pair[0]
        end[1] = pair[1]
        return end
    end -= 1
    end[0] = <char>(c"0" + number)
    return end


cdef inline char *number_back(char *end, int64_t number) noexcept nogil:
    """The same of a number that may be below 0."""
    if number >= 0:
        return digits_back(end, <uint64_t>number)
    end = digits_back(end, 0 - <uint64_t>number) - 1
    end[0] = c"-"
    return end


cdef char *spell_back(char *end, int64_t duration_us) noexcept nogil
cpdef bytes decimal(int64_t number)
cpdef str numbered(str start, uint64_t number, int places=*)
cpdef bytes spell(int64_t duration_us)
