# The compiled form of `crossing.py`: its attributes as fields.


cdef class Crossing:
    cdef public object loop
    cdef public object _alarm
    cdef public object _coming
    cdef public object _context
    cdef public bint _woken
