# The compiled form of `record.py`: a record is read by its fields.

cimport cython
from kpgate._fast.members cimport Members
from kpgate._fast.wait cimport wall_us
from kpgate.domain.call cimport Record
from kpgate.domain.caller cimport Caller
from kpgate.domain.usage cimport Usage
from kpgate.services.meters cimport Meters


@cython.locals(usage=Usage, caller=Caller, wrote=Members)
cpdef bytes line(Record record, str shadow=*)
cpdef str excerpt(bytes body)


cdef class Recorder:
    cdef public Meters _meters
    cdef public object _write
    cdef public object _encode

    cpdef object close(self, Record record, cython.py_int now_us)
    cdef object _put(self, bytes written)
