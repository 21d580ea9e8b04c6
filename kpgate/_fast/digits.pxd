"""What other compiled modules may use of the spelling of numbers."""

from libc.stdint cimport int64_t, uint64_t


cpdef bytes decimal(int64_t number)
cpdef str hexadecimal(uint64_t number)
cpdef str numbered(str start, uint64_t number)
cpdef bytes spell(int64_t duration_us)
