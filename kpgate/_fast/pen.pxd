"""What other compiled modules may use of the pen."""

from libc.stdint cimport int64_t, uint8_t


cdef class Pen:
    cdef uint8_t *_held
    cdef Py_ssize_t _size
    cdef Py_ssize_t _room

    cdef int _make_room(self, Py_ssize_t more) except -1
    cpdef int raw(self, bytes written) except -1
    cpdef int text(self, str said) except -1
    cdef void _escape(self, uint8_t c) noexcept
    cpdef int number(self, int64_t number) except -1
    cdef void shrink(self) noexcept
    cpdef bytes done(self)
