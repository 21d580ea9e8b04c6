# The compiled form of `gateway.py`: the fields of what it works with, and its steps called without a look-up.

from kpgate._fast.head cimport Head
from kpgate._fast.http1 cimport Connection
from kpgate._fast.limit cimport Verdict
from kpgate.domain.call cimport Call, Record
from kpgate.domain.dialect cimport Way
from kpgate.life cimport Equipment, Life
from kpgate.services.route cimport Plan, Target
from kpgate.services.upstream cimport Attempt


cdef class Gateway:
    cdef public Equipment equipment
    cdef public object clock
    cdef public set lives

    cpdef object _find(self, Equipment kit, Life life, object caller)
    cpdef object _count(self, Life life)
    cpdef tuple _choose(self, Life life, bytes body)
    cpdef object _settle(self, Equipment kit, Life life, bytes body)
    cpdef object _whole(self, Equipment kit, Life life, bytes body)
    cpdef list _headers(self, Life life)
    cpdef object _end(self, Equipment kit, Life life)
