# The compiled form of `receive.py`: ids and places counted in fields.

from kpgate._fast.digits cimport numbered
from kpgate._fast.head cimport Head
from kpgate._fast.onward cimport write_head
from kpgate._fast.wait cimport Timer, Wait, Wheel


cpdef Head check_head(Head head)
cpdef bytes onward(bytes opening, Head head, str request_id, long long body_bytes)
cpdef bint is_request_id(bytes value) except -1


cdef class Ids:
    cdef public str _start
    cdef public long long _count

    cpdef str next(self)
    cpdef object keep(self, bytes sent)


cdef class _Place(Timer):
    cdef public bint queued
    cdef public Wait wait


cdef class Inflight:
    cdef public long places
    cdef public long taken
    cdef public long long queue_wait_us
    cdef public Wheel _wheel
    cdef public object _loop
    cdef public tuple _queues
    cdef public long _waiting

    cpdef bint enter(self) except -1
    cpdef object leave(self)
