# The compiled form of `asgi.py`: what is known of a request and its reply as fields.

from kpgate._fast.wait cimport Wait
from kpgate.app.asgi_inlet cimport AsgiInlet


cdef class AsgiExchange(AsgiInlet):
    cdef public str method
    cdef public bytes path
    cdef public bytes query
    cdef public list headers
    cdef public str peer
    cdef public long long received_us
    cdef public bint gone
    cdef public bint cut
    cdef public bint unsent
    cdef public object _transport
    cdef public object _done
    cdef public object _send
    cdef public object _leave
    cdef public Wait _room
    cdef public object _reply
    cdef public object _rest
    cdef public long long _piece
    cdef public long long _sent
    cdef public bint _opened
    cdef public bint _over
    cdef public bint _ended
    cdef public bint _watched
    cdef public bint _finishing
    cdef public bint _waiting
    cdef public bint _settling

    cpdef object fire(self)
    cpdef object _watch(self)
    cpdef object _close(self)
    cpdef bint _push(self, bytes piece, bint more) except -1
    cpdef bint _go_on(self) except -1
