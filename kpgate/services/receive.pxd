# The compiled form of `receive.py`: ids and places counted in fields.

from kpgate._fast.wait cimport Timer, Wait, Wheel


cdef class Ids:
    cdef public object _start
    cdef public long long _count


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
