# The compiled form of `upstream.py`: an attempt's attributes as fields.

from kpgate._fast.wait cimport Timer, Wheel


cdef class Attempt(Timer):
    cdef public object target
    cdef public object connection
    cdef public Wheel _wheel
    cdef public object _clock
    cdef public object _ended
    cdef public object _opening
    cdef public long _reads
    cdef public long long _total_at_us
