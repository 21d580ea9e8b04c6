# The compiled form of `usage.py`: counts as fields.

cdef class Usage:
    cdef readonly long long input
    cdef readonly long long output
    cdef readonly long long cached
    cdef readonly long long reasoning
    cdef readonly str source
    cdef readonly long long audio_input
    cdef readonly long long audio_output
    cdef readonly long long image
    cdef readonly long long cache_write
    cdef readonly long long cache_write_long
    cdef readonly long long units
