# The compiled form of `hold.py`: a record is read by its fields, and so is what holds.

from kpgate._fast.credit cimport Decision
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


cdef class Spender:
    cdef public object caller
    cdef public object purse
    cdef public object factor
    cdef public long long holding_min
    cdef public long long credit_line


cdef class Holds:
    cdef public object credit
    cdef public object _journal
    cdef public object _offload
    cdef public dict _spenders
    cdef public object _owed
    cdef public object _ending
    cdef public Decision _decision
    cdef public bint gathering
    cdef public bint lags
    cdef public bint always
    cdef public bint _dirty
    cdef public object _sync
    cdef Hold _want(self, Spender spender, object plan, Record record, object call)
    cdef object _cap(self, object tariff, object plan, Record record, object call)
    cdef bytes _note(self, Hold hold, object plan, Record record, object call)
    cdef Spender _spender(self, object caller)
