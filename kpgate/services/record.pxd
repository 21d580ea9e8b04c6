# The compiled form of `record.py`: a record is read by its fields.

from kpgate.domain.call cimport Record


cdef class Recorder:
    cdef public object _meters
    cdef public object _write
    cdef public object _encode
