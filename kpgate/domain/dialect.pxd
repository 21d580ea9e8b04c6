# The compiled form of `dialect.py`: a way is read by its fields, and so is an endpoint.

cimport cython
from kpgate.domain.chat cimport Chat


@cython.final
@cython.no_gc
cdef class Aim:
    cdef public str model
    cdef public object cap
    cdef public object output_default
    cdef public bint stream
    cdef public bint drops
    cdef public list dropped

    cpdef __post_init__(self)
    cpdef lack(self, str name, str why=*)
    cpdef leave_out(self, str name)


@cython.final
@cython.no_gc
cdef class Turned:
    cdef public bytes body
    cdef public object usage
    cdef public str text


cdef class Way:
    cdef public bytes head
    cdef public bytes stream_head
    cdef public object forward
    cdef public object framer
    cdef public object decode_usage
    cdef public object cut
    cdef public object find_usage
    cdef public object decode_text
    cdef public object turn
    cdef public object passes
    cdef public object sign
    cdef public object stream_type
    cdef public object begin
    cdef public object tongue
    cdef public object look


cdef class Endpoint:
    cdef readonly str path
    cdef readonly str dialect
    cdef readonly str upstream_path
    cdef readonly bint generates
    cdef readonly object decode
    cdef readonly object count
    cdef readonly object encode_error
    cdef readonly object encode_error_event
    cdef readonly object encode_limits
    cdef readonly object neutral
    cdef readonly object encode_reply
    cdef readonly object writer
    cdef readonly object encode_failure
    cdef readonly dict spelled
    cdef readonly bytes id_header
    cdef readonly object tally
    cdef readonly bytes stream_type
    cdef readonly object encode_break
    cdef readonly str unit
    cdef readonly bint once
    cdef readonly object tongue
    cdef readonly object amend
    cdef readonly object intake
