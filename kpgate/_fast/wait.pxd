"""What other compiled modules may use of the waits and the wheel."""

from libc.stdint cimport int64_t, uint8_t


cdef class Wait:
    cdef readonly object loop
    cdef public bint _asyncio_future_blocking
    cdef public object waiter
    cdef object _call_soon
    cdef object _outcome
    cdef object _callback
    cdef object _context
    cdef list _further
    cdef uint8_t _state

    cpdef bint resolve(self, object value=*) except -1
    cpdef bint fail(self, object error) except -1
    cpdef int reset(self) except -1
    cdef int _end(self, uint8_t state, object outcome) except -1


cdef class Timer:
    cdef readonly int64_t deadline_us
    cdef int64_t _tick
    cdef Wheel _wheel
    cdef Timer _next
    cdef Timer _previous
    cdef object _callback

    cpdef object fire(self)
    cpdef int cancel(self) except -1


cdef class Wheel:
    cdef readonly int64_t now_us
    cdef readonly int64_t tick_us
    cdef readonly int64_t live
    cdef int64_t _tick
    cdef list _slots

    cpdef int add(self, Timer timer, int64_t deadline_us) except -1
    cdef int _link(self, Timer timer) except -1


cdef class Clock:
    cdef object _read

    cpdef int64_t now(self) except? -1


cdef int64_t clock_us() noexcept nogil
cpdef int64_t wall_us() noexcept
