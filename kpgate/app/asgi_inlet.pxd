# The compiled form of `asgi_inlet.py`: what is known of a body as fields.

from kpgate._fast.head cimport Head
from kpgate._fast.step cimport Aside
from kpgate._fast.wait cimport Wait, Wheel


cdef class AsgiInlet(Aside):
    cdef public Head head
    cdef public object _receive
    cdef public Wheel wheel
    cdef public object loop
    cdef public object _bounds
    cdef public object _receiving
    cdef public object _ahead
    cdef public Wait _arriving
    cdef public object _peeked
    cdef public object _sink
    cdef public object _cut
    cdef public bytes _backlog
    cdef public object _bytes_max
    cdef public long long _deadline_us
    cdef public long long _got
    cdef public bint _stopped
    cdef public bint _whole

    cpdef object ask_ahead(self)
    cpdef object _following(self)
    cpdef bytes _note(self, dict message)
