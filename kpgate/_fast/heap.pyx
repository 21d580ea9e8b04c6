# cython: auto_pickle=False, autotestdict=False
"""What the allocator keeps of memory that was freed, given back to the system.

Knows nobody who uses memory. Source: malloc_trim(3), Linux manual (checked November 2026); where the C library has
none, nothing is given back.
"""

cdef extern from *:
    """
    #include <stdlib.h>
    #ifdef __GLIBC__
    #include <malloc.h>
    static int kp_trim(void) { return malloc_trim(0); }
    #else
    static int kp_trim(void) { return 0; }
    #endif
    """
    int trim "kp_trim"() noexcept nogil


def give_back():
    """Give freed memory back. Returns whether there was any. It takes milliseconds: not for while calls wait."""
    cdef int given
    with nogil:
        given = trim()
    return given != 0
