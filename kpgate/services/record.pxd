# The compiled form of `record.py`: a record is read by its fields.

cimport cython
from kpgate.domain.call cimport Record
from kpgate.services.meters cimport Meters


cdef class Recorder:
    cdef public Meters _meters
    cdef public object _write
    cdef public object _encode

    cpdef object close(self, Record record, cython.py_int now_us)
