# The compiled form of `admit.py`: a record is read by its fields, and so is what takes limits.

cimport cython
from kpgate._fast.limit cimport Limits, Verdict
from kpgate.domain.call cimport Call, Record
from kpgate.services.route cimport Plan, Target


cdef class Admit:
    cdef public Limits _limits
    cdef public object _default_key
    cdef public object _default_party
    cdef public object _offload
    cdef public dict _fixed
    cdef public object _owed

    cpdef Verdict take(self, cython.py_int now_us, object caller, Plan plan, object order, cython.py_int tokens)
    cpdef object end(self, cython.py_int now_us, Verdict verdict, Record record)
