"""What other compiled modules may use of what was counted in a text."""

cimport cython
from libc.stdint cimport int64_t, uint32_t

cdef enum:
    KINDS_MAX = 32
    SCRIPTS_MAX = 16


@cython.final
cdef class Prose:
    cdef readonly int64_t letters
    cdef readonly int64_t words
    cdef readonly int64_t fences
    cdef readonly int64_t code_lines
    cdef readonly int64_t items
    cdef int script_count
    cdef int kind_count
    cdef uint32_t in_scripts[SCRIPTS_MAX]
    cdef uint32_t in_kinds[KINDS_MAX]

    cpdef int64_t of_script(self, int place) except -1
    cpdef int64_t of_kind(self, int place) except -1
