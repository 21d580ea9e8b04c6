# The compiled form of `upstream.py`: an attempt's attributes as fields.

cimport cython
from kpgate._fast.heading cimport Heading
from kpgate._fast.http1 cimport Connection
from kpgate._fast.wait cimport Timer, Wheel
from kpgate.domain.call cimport Call
from kpgate.domain.dialect cimport Way
from kpgate.services.pool cimport Pool
from kpgate.services.route cimport Target


cdef class Attempt(Timer):
    cdef public Target target
    cdef public Connection connection
    cdef public Wheel _wheel
    cdef public object _clock
    cdef public long long began_us
    cdef public long long over_us
    cdef public object _ended
    cdef public object _opening
    cdef public long _reads
    cdef public long long _total_at_us
    cdef public bint metered
    cdef public bint unpaid
    cdef public bytes _rest

    cpdef object begin(self, Target target, Wheel wheel, object clock, long long began_us)
    @cython.locals(pool=Pool)
    cpdef object ask(self, bytes head, bytes body)
    cpdef Connection reply(self)
    cpdef bytes take_whole(self)
    cpdef object pass_on(self, Heading headers)
    cpdef object fail(self, object error)
    @cython.locals(pool=Pool)
    cpdef object close(self)
    cdef object _arm(self, long long late_at_us)


@cython.locals(attempt=Attempt)
cpdef Attempt attempt_at(Target target, Wheel wheel, object clock, long long began_us)
cpdef bytes opening(Way way, Call call, object exchange, bytes sent)
cpdef bint is_stream(Connection connection, Way way) except -1
cpdef object check_whole(Attempt attempt, bytes body)
cpdef object judge(Connection connection, Target target)
