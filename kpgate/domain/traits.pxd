# The compiled form of `traits.py`: what was read of a call, and what rules ask about it, as fields.

cimport cython


cdef class Traits:
    cdef public long long turns
    cdef public bint tools
    cdef public bint images
    cdef public bint json_schema
    cdef public bint reasoning
    cdef public str text
    cdef public str opening
    cdef public str user
    cdef public dict metadata


cpdef object see(str text)


cdef class Facts:
    cdef public object _headers
    cdef public object _read
    cdef public Traits _traits
    cdef public tuple _complexity
    cdef public object _seen
    cdef public str _language
    cdef public str party
    cdef public str tier
    cdef public str key
    cdef public str model
    cdef public long long prompt_tokens
    cdef public long long output_cap
    cdef public bint stream

    cdef tuple _complexities(self)
