# The compiled form of `gateway.py`: the fields of what it works with, and its steps called without a look-up.

cimport cython
from kpgate._fast.head cimport Head
from kpgate._fast.heading cimport Heading
from kpgate._fast.http1 cimport Connection
from kpgate._fast.limit cimport Verdict
from kpgate._fast.wait cimport Clock
from kpgate.domain.call cimport Call, Record
from kpgate.domain.caller cimport Caller
from kpgate.domain.dialect cimport Endpoint, Way
from kpgate.domain.ledger cimport show_call
from kpgate.life cimport Equipment, Life
from kpgate.services.admit cimport reserve, takes_long
from kpgate.services.hold cimport Hold, Holds
from kpgate.services.receive cimport check_head, onward
from kpgate.services.record cimport excerpt
from kpgate.services.respond cimport address
from kpgate.services.route cimport Plan, Target, candidates
from kpgate.services.settle cimport counted, read_used, turned_usage, whole_usage
from kpgate.services.upstream cimport Attempt, attempt_at, check_whole, is_stream, judge, opening


cdef class Gateway:
    cdef public Equipment equipment
    cdef public object clock
    cdef public Clock _clock
    cdef public set lives

    @cython.locals(record=Record)
    cpdef Life _begin(self, Equipment kit, object exchange, Endpoint endpoint)
    @cython.locals(head=Head)
    cpdef Caller _meet(self, Equipment kit, Life life)
    cpdef object _count(self, Life life)
    cpdef bint _hold(self, Equipment kit, Life life) except -1
    @cython.locals(tries=Py_ssize_t)
    cpdef object ask(self, Equipment kit, Life life, tuple order, bytes body)
    cpdef tuple _choose(self, Life life, bytes body)
    cpdef bytes _understand(self, Life life, Attempt attempt, bytes whole, bytes asked)
    @cython.locals(now_us=cython.longlong)
    cpdef bint _settle(self, Equipment kit, Life life, bytes body) except -1
    @cython.locals(headers=Heading)
    cpdef object _whole(self, Equipment kit, Life life, bytes body)
    cpdef Heading _headers(self, Life life)
    @cython.locals(now_us=cython.longlong)
    cpdef object _end(self, Equipment kit, Life life)
