# The compiled form of `hold.py`: a record is read by its fields, and so is what holds.

from kpgate.domain.call cimport Record


cdef class Hold:
    cdef public Holds _holds
    cdef public long long amount
    cdef public object call
    cdef public long cap
    cdef public bint cut
    cdef public long long fill
    cdef public long long factor
    cdef public object handle
    cdef public long long least
    cdef public object room
    cdef public long long _metered
    cdef public long long _recorded


cdef class Holds:
    cdef public object credit
    cdef public object _journal
    cdef public object _offload
    cdef public dict _purses
    cdef public object _owed
    cdef public object _ending
    cdef public object _decision
    cdef public bint gathering
    cdef public bint lags
    cdef public bint _dirty
    cdef public object _undurable
    cdef public bint _syncing
