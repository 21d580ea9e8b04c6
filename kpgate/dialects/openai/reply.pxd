# The compiled form of `reply.py`: what is read of every reply, and the limits on it.

cimport cython
from kpgate._fast.heading cimport Heading
from kpgate._fast.limit cimport Verdict
from kpgate._fast.usage cimport Counts
from kpgate.domain.usage cimport Usage


cdef Usage _counted(Counts counts)
@cython.locals(counts=Counts)
cpdef Usage decode_usage(bytes raw)
@cython.locals(counts=Counts)
cpdef Usage read_usage(bytes body)
cpdef object encode_limits(Verdict verdict, Heading headers)
