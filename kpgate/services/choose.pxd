# The compiled form of `choose.py`: what is asked, the terms, one look at one call, and what came of it, as fields.

cimport cython
from kpgate.domain.call cimport Call, Record
from kpgate.domain.caller cimport Caller
from kpgate.domain.conditions cimport Condition
from kpgate.domain.dialect cimport Endpoint, Way
from kpgate.domain.traits cimport Facts, Traits
from kpgate.services.route cimport Plan, Target, matching


cdef class Ability:
    cdef readonly object mask
    cdef readonly str home
    cdef readonly object context_tokens
    cdef readonly object vision
    cdef readonly object tools
    cdef readonly object json_schema
    cdef readonly object reasoning
    cdef readonly long long output_cap


cdef class Ruling:
    cdef readonly str name
    cdef readonly Condition test
    cdef readonly object mask
    cdef readonly object choice
    cdef readonly str route
    cdef readonly long long cost_max


cdef class Asked:
    cdef public Caller caller
    cdef public Call call
    cdef public Endpoint endpoint
    cdef public bytes body
    cdef public object headers
    cdef public long long prompt_tokens
    cdef public object random
    cdef public bytes cost_max
    cdef public Traits traits

    cpdef Traits read(self)


cdef class Terms:
    cdef readonly str route
    cdef readonly object own
    cdef readonly object by_cost
    cdef readonly tuple abilities
    cdef readonly tuple rulings
    cdef readonly tuple sticky
    cdef readonly bint filters
    cdef readonly bint priced
    cdef readonly bint tracked
    cdef readonly long long cost_max
    cdef readonly int retries_max


cdef class Decision:
    cdef public Chooser chooser
    cdef public Plan plan
    cdef public tuple order
    cdef public object kind
    cdef public str why
    cdef public object expected
    cdef public object _open
    cdef public str _skipped
    cdef public object session

    cpdef object begin(self, Target target)
    cpdef object leave(self)


cdef class Chooser:
    cdef public Terms terms
    cdef public Plan plan
    cdef public dict _narrowed

    cpdef Decision choose(self, Asked asked, cython.py_int now_us)
    cdef Plan _plan_of(self, cython.py_int mask)


cdef class View:
    cdef public Chooser chooser
    cdef public Asked asked
    cdef public str route
    cdef public object choice
    cdef public str rule
    cdef public long long cost_max
    cdef public list trace
    cdef public object size
    cdef public Facts facts

    @cython.locals(ruling=Ruling, terms=Terms)
    cpdef object narrow(self)
    cpdef object session(self)
    cpdef object expected(self, cython.py_int place)
    cpdef str why(self)
    @cython.locals(one=Ability)
    cdef object _able(self, cython.py_int mask)
    cdef object _follow(self, Ruling ruling)
    cdef object _drop(self, cython.py_int before, cython.py_int after, str why)
