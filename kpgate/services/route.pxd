# The compiled form of `route.py`: what every call asks of its plan and its deployment as fields.

cimport cython
from kpgate._fast.bill cimport Bill, Tariff
from kpgate._fast.pulse cimport Pulse
from kpgate._fast.routes cimport Router
from kpgate.domain.dialect cimport Way
from kpgate.domain.usage cimport Usage


cdef class Target:
    cdef public object number
    cdef public str home
    cdef public str provider
    cdef public str model
    cdef public object gate
    cdef public object pool
    cdef public dict ways
    cdef public Pulse pulse
    cdef public long long first_byte_us
    cdef public long long idle_us
    cdef public long long total_us
    cdef public long long connect_us
    cdef public tuple match
    cdef public object price
    cdef public Bill bill
    cdef public Bill long_bill
    cdef public long long long_above
    cdef public long long price_version
    cdef public object key
    cdef public object rates
    cdef public str price_source
    cdef public object facts

    cpdef Way way(self, str path)
    @cython.locals(bill=Bill)
    cpdef long long charge(self, Usage usage, long long factor) except -1


cdef class Plan:
    cdef public long long number
    cdef public str name
    cdef public object gate
    cdef public tuple targets
    cdef public object choice
    cdef public tuple peers
    cdef public object vocabulary
    cdef public str grade
    cdef public long long output_cap
    cdef public str owner
    cdef public object everyone
    cdef public bint matched
    cdef public tuple gates
    cdef public Tariff tariff
    cdef public long long holding_min
    cdef public object chooser
    cdef public bint chooses
    cdef public long long output_max
    cdef public bint wild
    cdef public object hedging
    cdef public object mirror
    cdef public object proof
    cdef public bint sole


cdef class Routes:
    cdef public Router _router
    cdef public tuple plans
    cdef public object created_s

    cpdef Plan find(self, str model)
    cpdef Plan plan(self, str model)


cpdef tuple candidates(Plan plan, object headers, cython.py_int random, cython.py_int now_us)
cpdef object matching(Plan plan, object headers)
