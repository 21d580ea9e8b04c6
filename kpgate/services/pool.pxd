# The compiled form of `pool.py`: a pool's attributes as fields.

from kpgate._fast.http1 cimport Connection
from kpgate._fast.wait cimport Timer, Wheel


cdef class Pool:
    cdef public object origin
    cdef public object options
    cdef public long long _age_us
    cdef public long long _idle_us
    cdef public Wheel _wheel
    cdef public object _loop
    cdef public object _outbox
    cdef public object _tls
    cdef public Py_ssize_t _idle_max
    cdef public set _live
    cdef public list _idle
    cdef public dict _waiting
    cdef public dict _dials
    cdef public object _ahead
    cdef public Timer _sweeper
    cdef public bint _closed

    cpdef Connection take(self)
    cpdef object give(self, Connection connection)
    cpdef object _hand(self, Connection connection)
    cpdef object _next(self)
