# The compiled form of `reply.py`: what a whole reply says as fields. None of it ever leads back to itself.

cimport cython

from kpgate.domain.usage cimport Usage


@cython.final
@cython.no_gc
cdef class Choice:
    cdef public list parts
    cdef public object finish
    cdef public str stopped_by
    cdef public object logprobs
    cdef public list citations

    cpdef __post_init__(self)


@cython.final
@cython.no_gc
cdef class Reply:
    cdef public str id
    cdef public str model
    cdef public list choices
    cdef public Usage usage
    cdef public long long created_s
