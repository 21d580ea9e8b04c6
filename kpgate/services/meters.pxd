# The compiled form of `meters.py`: a record is read by its fields, and so are the cells it moves.

cimport cython
from kpgate.domain.call cimport Record


cdef class _Cells:
    cdef public object cached
    cdef public object cached_anew
    cdef public object input_sizes
    cdef public object output_sizes
    cdef public object pace
    cdef public object reasoning
    cdef public object request


cdef class Meters:
    cdef public object _shard
    cdef public dict _cells
    cdef public dict _attempts
    cdef public dict _refusals
    cdef public dict _expected
    cdef public dict _units
    cdef public dict _credit
    cdef public object inflight

    cpdef object attempt(self, str provider, str outcome)
    cpdef object count(self, Record record, cython.py_int total_us)
