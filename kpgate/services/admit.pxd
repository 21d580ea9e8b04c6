# The compiled form of `admit.py`: a record is read by its fields, and so is what takes limits.

cimport cython
from kpgate._fast.limit cimport Limits, Verdict
from kpgate.domain.call cimport Call, Record
from kpgate.domain.caller cimport Caller
from kpgate.domain.usage cimport Usage
from kpgate.services.route cimport Plan, Target


cdef long long COUNTED_BYTES_MAX
cdef long long RECALLED_BYTES_MAX


@cython.locals(cap=cython.longlong)
cpdef long long reserve(long long prompt_tokens, Call call, long long output_cap) except? -1
cpdef bint takes_long(Call call, object vocabulary, long long body_bytes) except -1
cdef tuple _gates_of(Plan plan, object order)


cdef class Admit:
    cdef public Limits _limits
    cdef public object _default_key
    cdef public object _default_party
    cdef public object _offload
    cdef public dict _fixed
    cdef public object _owed

    cpdef Verdict take(self, long long now_us, Caller caller, Plan plan, object order, long long tokens)
    @cython.locals(usage=Usage, used=cython.longlong, call=cython.longlong)
    cpdef object end(self, long long now_us, Verdict verdict, Record record)
    @cython.locals(kept=tuple)
    cdef tuple _gates(self, Caller caller, Plan plan)
