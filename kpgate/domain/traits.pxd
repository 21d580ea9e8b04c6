# The compiled form of `traits.py`: what rules ask about one call as fields.

cdef class Facts:
    cdef public object _headers
    cdef public object _read
    cdef public object _traits
    cdef public object _complexity
    cdef public object _seen
    cdef public object _language
    cdef public object party
    cdef public object tier
    cdef public object key
    cdef public object model
    cdef public object prompt_tokens
    cdef public object output_cap
    cdef public object stream
