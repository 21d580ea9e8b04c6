"""What other compiled modules may use of a JSON object that is being written."""

cimport cython
from libc.stdint cimport int64_t

from kpgate._fast.pen cimport Pen


@cython.final
cdef class Members(Pen):
    cpdef int begin(self) except -1
    cpdef int put(self, bytes name, str text) except -1
    cpdef int put_number(self, bytes name, int64_t number) except -1
    cpdef int say(self, bytes name, str text) except -1
    cpdef int count(self, bytes name, int64_t number) except -1
    cpdef int affirm(self, bytes name, bint holds) except -1
    cpdef Py_ssize_t mark(self) except -1
    cpdef bytes since(self, Py_ssize_t mark)
    cpdef int paste(self, bytes members) except -1
    cpdef bytes take(self)
    cdef int _begin(self, bytes name, Py_ssize_t more) except -1
