"""What a connection that drives its own coroutine uses."""

from kpgate._fast.wait cimport Timer


cdef class Step(Timer):
    cdef object _loop
    cdef object _coroutine

    cdef int drive(self, object loop, object coroutine) except -1
    cdef int _run(self) except -1
    cdef int _ended(self, object error) except -1
    cdef int _suspended(self) except -1


cdef class Aside(Step):
    pass
