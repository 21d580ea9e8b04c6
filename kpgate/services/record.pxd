# The compiled form of `record.py`: a record is read by its fields.

cimport cython
from kpgate._fast.members cimport Members
from kpgate._fast.wait cimport wall_us
from kpgate.domain.call cimport Record
from kpgate.domain.caller cimport Caller
from kpgate.domain.usage cimport Usage
from kpgate.services.meters cimport Meters


cdef class _Asking:
    cdef public Caller caller
    cdef public str method
    cdef public str path
    cdef public bytes members

    cpdef bint fit(self, Record record) except -1


cdef class _Answering:
    cdef public str model
    cdef public str provider
    cdef public str deployment
    cdef public bytes members

    cpdef bint fit(self, Record record) except -1


cdef dict _asking
cdef dict _answering
@cython.locals(caller=Caller, known=_Asking, mark=Py_ssize_t)
cdef object _put_asking(Members wrote, Record record)
@cython.locals(known=_Answering, mark=Py_ssize_t)
cdef object _put_answering(Members wrote, Record record)
@cython.locals(usage=Usage, wrote=Members)
cpdef bytes line(Record record, str shadow=*)
cpdef str excerpt(bytes body)


cdef class Recorder:
    cdef public Meters _meters
    cdef public object _write
    cdef public object _encode

    cpdef object close(self, Record record, long long now_us)
    cdef object _put(self, bytes written)
