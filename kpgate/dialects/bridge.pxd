# The compiled form of `bridge.py`: what lies between a call and a provider of another dialect.

cimport cython

from kpgate.domain.call cimport Call
from kpgate.domain.chat cimport Chat
from kpgate.domain.dialect cimport Aim, Endpoint, Turned
from kpgate.domain.reply cimport Reply


@cython.final
cdef class _Bridge:
    cdef Endpoint _endpoint
    cdef object _tongue
    cdef bint _drops
    cdef object _output_default
    cdef object _neutral
    cdef object _encode_chat
    cdef object _decode_reply
    cdef object _encode_reply
    cdef object _encode_failure

    @cython.locals(chat=Chat, aim=Aim)
    cpdef bytes forward(self, bytes body, Call call, str model, cython.py_int cap)

    @cython.locals(reply=Reply)
    cpdef Turned turn(self, cython.py_int status, bytes body, Call call)
