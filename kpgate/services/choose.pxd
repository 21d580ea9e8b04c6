# The compiled form of `choose.py`: one look at one call, and what came of it, as fields.

from kpgate.domain.call cimport Record
from kpgate.domain.traits cimport Facts


cdef class Decision:
    cdef public object chooser
    cdef public object plan
    cdef public object order
    cdef public object kind
    cdef public object why
    cdef public object expected
    cdef public object _open
    cdef public object _skipped
    cdef public object session


cdef class Chooser:
    cdef public object terms
    cdef public object plan
    cdef public dict _narrowed


cdef class _View:
    cdef public object chooser
    cdef public object asked
    cdef public object route
    cdef public object choice
    cdef public object rule
    cdef public object cost_max
    cdef public list trace
    cdef public object size
    cdef public Facts facts
