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
    cdef public bint capped


cdef class Record:
    cdef public str request_id
    cdef public str path
    cdef public str method
    cdef public str phase
    cdef public str peer
    cdef public Caller caller
    cdef public str model
    cdef public str provider
    cdef public str deployment
    cdef public str dropped
    cdef public str route
    cdef public str checked
    cdef public long long expected
    cdef public Usage usage
    cdef public object error
    cdef public str asked
    cdef public str said
    cdef public bint stream
    cdef public bint generates
    cdef public str held_as
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
    cdef public long long total_us
    cdef public long long prompt_tokens
    cdef public long long units
    cdef public long long request_bytes
    cdef public long long reply_bytes
