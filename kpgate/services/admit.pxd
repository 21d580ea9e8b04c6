# The compiled form of `admit.py`: a record is read by its fields, and so is what takes limits.

from kpgate.domain.call cimport Record


cdef class Admit:
    cdef public object _limits
    cdef public object _default_key
    cdef public object _default_party
    cdef public object _offload
    cdef public dict _fixed
    cdef public object _owed
