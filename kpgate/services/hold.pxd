# The compiled form of `hold.py`: a record is read by its fields, and so is what holds.

cimport cython
from kpgate._fast.bill cimport Bill, Tariff
from kpgate._fast.credit cimport Decision
from kpgate.domain.call cimport Call, Record
from kpgate.domain.caller cimport Caller, Party
from kpgate.domain.ledger cimport note_end, note_hold
from kpgate.domain.usage cimport Usage
from kpgate.services.route cimport Plan, Target


cdef class Hold:
    cdef public Holds _holds
    cdef public long long amount
    cdef public long long call
    cdef public long long cap
    cdef public bint cut
    cdef public long long fill
    cdef public long long factor
    cdef public long long handle
    cdef public long long least
    cdef public object room
    cdef public long long _metered
    cdef public long long _recorded

    cpdef object sent(self)
    @cython.locals(usage=Usage, charged=cython.longlong, version=cython.longlong, handle=cython.longlong)
    cpdef object end(self, cython.py_int now_us, Record record, Target target)


cdef class Spender:
    cdef public Caller caller
    cdef public object purse
    cdef public long long factor
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

    cpdef Hold take(self, cython.py_int now_us, cython.py_int generation, Caller caller, Plan plan, Record record, Call call)
    cpdef object end(self, cython.py_int now_us, cython.py_int handle, cython.py_int charged, cython.py_int reason, bytes note)
    cpdef bint put_off(self) except -1
    cpdef bint flush(self) except -1
    cdef int _put_end(self, cython.py_int now_us, cython.py_int handle, cython.py_int charged, cython.py_int reason, bytes note) except? -1
    cdef Hold _want(self, Spender spender, Plan plan, Record record, Call call)
    cdef long long _cap(self, Tariff tariff, Plan plan, Record record, Call call) except? -1
    cdef bytes _note(self, Hold hold, Plan plan, Record record, Call call)
    cdef Hold _taken(self, cython.py_int code, Decision decision, Hold hold, Caller caller)
    cdef Spender _spender(self, Caller caller)


cpdef object reason_of(Record record)
