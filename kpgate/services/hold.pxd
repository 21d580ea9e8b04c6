# The compiled form of `hold.py`: a record is read by its fields, so is what holds, and money is in the processor's own words.

cimport cython
from kpgate._fast.bill cimport Bill, Tariff
from kpgate._fast.credit cimport Credit, Decision, Purse
from kpgate._fast.journal cimport Journal
from kpgate.domain.call cimport Call, Record
from kpgate.domain.caller cimport Caller, Party
from kpgate.domain.ledger cimport note_end, note_hold, reason_of
from kpgate.domain.usage cimport Usage
from kpgate.services.route cimport Plan, Target

# What is imported, as words: no call looks them up.
cdef long long AMOUNT_MAX
cdef long long PER
cdef long long WHOLE
cdef int BUSY
cdef int CHANGED
cdef int DONE


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

    cpdef object begin(self, Holds holds, long long amount, long long cap, long long factor)
    cpdef bint may_send(self) except -1
    cpdef bint may_reply(self, bint streamed=*) except -1
    cpdef object sent(self)
    @cython.locals(usage=Usage, charged=cython.longlong, version=cython.longlong, handle=cython.longlong, reason=cython.int)
    cpdef object end(self, long long now_us, Record record, Target target)


cdef class Spender:
    cdef public Caller caller
    cdef public Purse purse
    cdef public long long factor
    cdef public long long holding_min
    cdef public long long credit_line


cdef class Holds:
    cdef public Credit credit
    cdef public Journal journal
    cdef public object _offload
    cdef public dict _spenders
    cdef public object _owed
    cdef public object _ending
    cdef public Decision decision
    cdef public bint gathers
    cdef public bint gathers_streams
    cdef public bint lags
    cdef public bint always
    cdef public bint _dirty
    cdef public object _sync

    @cython.locals(code=cython.int)
    cpdef Hold take(self, long long now_us, long long generation, Caller caller, Plan plan, Record record, Call call)
    cpdef object end(self, long long now_us, long long handle, long long charged, long long reason, bytes note)
    cpdef bint owes(self) except -1
    cpdef bint put_off(self) except -1
    @cython.locals(tries=cython.int)
    cpdef bint flush(self) except -1
    cpdef bint written(self) except -1
    cdef int _put_end(self, long long now_us, long long handle, long long charged, long long reason, bytes note) except -1
    @cython.locals(
        amount=cython.longlong, cap=cython.longlong, units=cython.longlong, choices=cython.longlong,
        cost_max=cython.longlong, factor=cython.longlong, wanted=cython.longlong, most=cython.longlong,
        holding_min=cython.longlong, hold=Hold,
    )
    cdef Hold _want(self, Spender spender, Plan plan, Record record, Call call)
    cdef long long _cap(self, Tariff tariff, Plan plan, Record record, Call call) except? -1
    @cython.locals(first=Target, most=cython.longlong)
    cdef bytes _note(self, Hold hold, Plan plan, Record record, Call call)
    @cython.locals(held=cython.longlong)
    cdef Hold _taken(self, long long code, Decision decision, Hold hold, Caller caller)
    @cython.locals(who=str, kept=Spender)
    cdef Spender _spender(self, Caller caller)
