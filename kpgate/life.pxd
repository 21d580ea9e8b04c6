# The compiled form of `life.py`: what the phases of a call share as fields.

from kpgate.domain.call cimport Record


cdef class Life:
    cdef public object exchange
    cdef public object endpoint
    cdef public Record record
    cdef public object turned
    cdef public object verdict
    cdef public object way
    cdef public object attempt
    cdef public object framer
    cdef public object hold
    cdef public object ended
    cdef public object head
    cdef public object call
    cdef public object plan
    cdef public object decision
    cdef public bint placed
    cdef public long tokens
    cdef public long spoken
