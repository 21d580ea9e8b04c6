# The compiled form of `meters.py`: a record is read by its fields, and so are the cells it moves.

cimport cython
from kpgate._fast.metric cimport Counter, Gauge, Histogram, RequestCells
from kpgate.domain.call cimport Record
from kpgate.domain.usage cimport Usage


cdef class _Cells:
    cdef public Counter cached
    cdef public Counter cached_anew
    cdef public Histogram input_sizes
    cdef public Histogram output_sizes
    cdef public Histogram pace
    cdef public Counter reasoning
    cdef public RequestCells request
    cdef public str path
    cdef public str model
    cdef public str provider
    cdef public int status
    cdef public bint stream

    cpdef bint fit(self, Record record) except -1


cdef class Meters:
    cdef public object _shard
    cdef public dict _cells
    cdef public dict _lately
    cdef public dict _attempts
    cdef public str _last_provider
    cdef public str _last_outcome
    cdef public Counter _last_attempt
    cdef public dict _refusals
    cdef public dict _expected
    cdef public dict _hedges
    cdef public dict _units
    cdef public dict _credit
    cdef public Counter _held
    cdef public Counter _charged
    cdef public Gauge inflight

    @cython.locals(counter=Counter, last=Counter, of_provider=dict)
    cpdef object attempt(self, str provider, str outcome)
    @cython.locals(cells=_Cells, usage=Usage, counter=Counter)
    cpdef object count(self, Record record)
