# The compiled form of `call.py`: the attributes of a call and of its record as fields.

from kpgate.domain.caller cimport Caller
from kpgate.domain.usage cimport Usage


cdef class Call:
    cdef public str model
    cdef public object content
    cdef public object scan
    cdef public bint stream
    cdef public bint usage_wanted
    cdef public long long output_cap
    cdef public long long choices
    cdef public str dropped
    cdef public long long cost_max
    cdef public object texts
    cdef public long long units
    cdef public long long units_max
    cdef public bint apart
    cdef public long long counted


cdef class Record:
    cdef public object request_id
    cdef public object path
    cdef public object method
    cdef public object phase
    cdef public object peer
    cdef public Caller caller
    cdef public object model
    cdef public object provider
    cdef public object deployment
    cdef public object dropped
    cdef public object route
    cdef public object checked
    cdef public long long expected
    cdef public Usage usage
    cdef public object error
    cdef public object asked
    cdef public object said
    cdef public bint stream
    cdef public bint generates
    cdef public object held_as
    cdef public long long held
    cdef public long long cost
    cdef public long long overrun
    cdef public int status
    cdef public int attempts
    cdef public long long received_us
    cdef public long long upstream_us
    cdef public long long overhead_us
    cdef public long long first_token_us
    cdef public long long head_us
    cdef public long long prompt_tokens
    cdef public long long units
    cdef public long long request_bytes
    cdef public long long reply_bytes
