# The compiled form of `gateway.py`: the fields of what it works with.

from kpgate.domain.call cimport Record
from kpgate.life cimport Life


cdef class Gateway:
    cdef public object equipment
    cdef public object clock
    cdef public set lives
