# The compiled form of `batch.py`: what every entry is added to as fields.

cimport cython
from kpgate._fast.charge cimport Charge, call_of


cdef class Batch:
    cdef dict _before
    cdef object _price
    cdef object _number
    cdef dict _prices
    cdef dict _numbers
    cdef readonly dict opened
    cdef readonly dict metered
    cdef readonly set ended
    cdef readonly list charges
    cdef readonly list transfers
    cdef readonly dict deltas
    cdef readonly dict lots
    cdef readonly list lot_moves
    cdef dict _spent
    cdef readonly list operations
    cdef readonly list refunds

    @cython.locals(kind=cython.int, body=bytes)
    cpdef object take(self, object entries)
    cdef object _take_other(self, cython.py_int lsn, cython.py_int kind, bytes body)
    cdef bytes _held(self, cython.py_int call)
    @cython.locals(body=bytes)
    cdef bytes _end(self, cython.py_int call)
    @cython.locals(end=Charge, budgets=bytes, slot=cython.int)
    cdef object _charge(self, cython.py_int lsn, bytes body)
    cdef object _priced(self, cython.py_int version)
    cdef object _add(self, cython.py_int account, cython.py_int amount)
    cdef object _lot(self, cython.py_int account, cython.py_int slot, cython.py_int delta, cython.py_int expires_us)
    cdef object _of(self, object account)
