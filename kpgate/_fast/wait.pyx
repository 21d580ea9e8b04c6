# cython: auto_pickle=False, autotestdict=False
"""Own awaitables and the timer wheel: what a call waits on, and what ends a wait that lasts too long.

Owns the state of a wait and the order of timers. Knows no protocol and no clock: time is passed in.
A wait ends by being resolved or failed by whoever knows; no task is cancelled for it.
"""

cimport cython
from libc.stdint cimport int64_t, uint8_t

from asyncio import CancelledError, InvalidStateError

cdef extern from "Python.h":
    ctypedef struct PyObject
    PyObject *PyExc_StopIteration
    void PyErr_SetObject(PyObject *kind, object value) noexcept

cdef extern from "time.h" nogil:
    ctypedef int clockid_t
    cdef struct timespec:
        int64_t tv_sec
        int64_t tv_nsec
    enum: CLOCK_MONOTONIC, CLOCK_REALTIME
    int clock_gettime(clockid_t clock, timespec *at)


cdef int64_t clock_us() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec * 1_000_000 + now.tv_nsec // 1000


def clock():
    """The time that every deadline is in, the same for all processes of a machine. Units: microseconds."""
    return clock_us()


cpdef int64_t wall_us() noexcept:
    """The time on the wall. Units: microseconds since the epoch."""
    cdef timespec now
    clock_gettime(CLOCK_REALTIME, &now)
    return now.tv_sec * 1_000_000 + now.tv_nsec // 1000


@cython.final
cdef class Clock:
    """`clock`, or another that stands in for it, for who asks it many times a call: the machine's is read directly."""

    def __init__(self, read):
        self._read = None if read is clock else read

    cpdef int64_t now(self) except? -1:
        """The time. Units: microseconds."""
        return clock_us() if self._read is None else self._read()


cdef enum:
    PENDING = 0
    RESOLVED = 1
    FAILED = 2
    CANCELLED = 3

cdef enum:
    SLOTS = 512

cdef tuple STATES = ("pending", "resolved", "failed", "cancelled")
cdef tuple NO_ERRORS = ()


cdef Timer _ring():
    """An empty ring: the head of a slot's timers."""
    cdef Timer head = Timer()
    head._next = head._previous = head
    return head


@cython.final
cdef class Wait:
    """Something to await that whoever knows ends, and that can be armed again.

    A Task takes it for a Future; asyncio's `wait`, `gather` and `wait_for` do not. A driver of our own may
    put itself in `waiter` instead: its `step()` is then called straight from `resolve` or `fail`.
    Order: create or `reset`, await, `resolve` or `fail`. One that has ended does not suspend who awaits it.
    """

    def __init__(self, loop):
        self.loop = loop
        self._call_soon = loop.call_soon

    cpdef bint resolve(self, object value=None) except -1:
        """End the wait with a value. False: it had ended before, and nothing changes."""
        if self._state != PENDING:
            return False
        self._end(RESOLVED, value)
        return True

    cpdef bint fail(self, object error) except -1:
        """End the wait with an error, raised where it is awaited. False: it had ended before."""
        if self._state != PENDING:
            return False
        self._end(FAILED, error)
        return True

    cpdef int reset(self) except -1:
        """Arm it again, forgetting how it ended.

        Errors: InvalidStateError while somebody still waits.
        """
        if self._callback is not None or self.waiter is not None:
            raise InvalidStateError("somebody still waits")
        self._state = PENDING
        self._outcome = None
        return 0

    cdef int _end(self, uint8_t state, object outcome) except -1:
        cdef object callback = self._callback
        cdef object waiter = self.waiter
        cdef list further
        self._state = state
        self._outcome = outcome
        if callback is not None:
            self._callback = None
            self._call_soon(callback, self, context=self._context)
            self._context = None
            further = self._further
            if further is not None:
                self._further = None
                for callback, context in further:
                    self._call_soon(callback, self, context=context)
        if waiter is not None:
            self.waiter = None
            waiter.step()
        return 0

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        if self._state == PENDING:
            self._asyncio_future_blocking = True
            return self
        outcome = self._outcome
        if self._state != RESOLVED or type(outcome) is tuple or isinstance(outcome, BaseException):
            raise StopIteration(self.result())
        # As generators do it: an exception that is only set takes no traceback, and None needs no exception.
        if outcome is not None:
            PyErr_SetObject(PyExc_StopIteration, outcome)
        raise StopIteration

    @property
    def done(self):
        """Whether it has ended."""
        return self._state != PENDING

    def cancelled(self):
        """Whether the task that awaited it was cancelled, as a stopping loop does."""
        return self._state == CANCELLED

    def result(self):
        """The value it was resolved with.

        Errors: what it was failed with; CancelledError; InvalidStateError while pending.
        """
        if self._state == RESOLVED:
            return self._outcome
        if self._state == FAILED:
            raise self._outcome
        if self._state == CANCELLED:
            raise CancelledError
        raise InvalidStateError("the wait has not ended")

    def exception(self):
        """What it was failed with, or None.

        Errors: CancelledError; InvalidStateError while pending.
        """
        if self._state == FAILED:
            return self._outcome
        self.result()
        return None

    def cancel(self, msg=None):
        """For a Task that is being cancelled. False: it had ended before."""
        if self._state != PENDING:
            return False
        self._end(CANCELLED, None)
        return True

    def get_loop(self):
        """The loop whose tasks may await it."""
        return self.loop

    def add_done_callback(self, callback, *, context=None):
        """Call `callback(self)` soon after it ends."""
        if self._state != PENDING:
            self._call_soon(callback, self, context=context)
        elif self._callback is None:
            self._callback = callback
            self._context = context
        elif self._further is None:
            self._further = [(callback, context)]
        else:
            self._further.append((callback, context))

    def remove_done_callback(self, callback):
        """Forget a callback. Returns how many were removed."""
        cdef list pairs = []
        cdef list kept = []
        if self._callback is not None:
            pairs.append((self._callback, self._context))
        if self._further is not None:
            pairs.extend(self._further)
        for pair in pairs:
            if pair[0] != callback:
                kept.append(pair)
        self._callback, self._context = kept[0] if kept else (None, None)
        self._further = kept[1:] or None
        return len(pairs) - len(kept)

    def __repr__(self):
        return f"<Wait {STATES[self._state]}>"


# house: final - connections embed their own node by subclassing it
cdef class Timer:
    """A node of the wheel: `fire()` is called once its deadline has passed.

    Shape: holds a callback without arguments, or is subclassed.
    Units: `deadline_us` microseconds on the clock that is passed to the wheel.
    """

    def __init__(self, callback=None):
        self._callback = callback

    cpdef object fire(self):
        """Called by the wheel, unlinked: it may be added again from here."""
        if self._callback is not None:
            self._callback()

    cpdef int cancel(self) except -1:
        """Take it off the wheel, if it is on one."""
        if self._wheel is not None:
            self._next._previous = self._previous
            self._previous._next = self._next
            self._next = self._previous = None
            self._wheel.live -= 1
            self._wheel = None
        return 0

    @property
    def armed(self):
        """Whether it is on a wheel."""
        return self._wheel is not None

    def __repr__(self):
        return f"<Timer deadline_us={self.deadline_us}{'' if self._wheel is not None else ' off'}>"


@cython.final
cdef class Wheel:
    """All timers of a worker, driven by one periodic `advance`.

    A timer never fires early; it fires at the first `advance` at least its deadline rounded up to a tick.
    Units: microseconds on any steady clock; `now_us` is the time of the last `advance`.
    """

    def __init__(self, int64_t tick_us=100_000, int64_t now_us=0):
        if tick_us <= 0:
            raise ValueError("a tick is at least a microsecond")
        self.tick_us = tick_us
        self.now_us = now_us
        self._tick = now_us // tick_us
        self._slots = [_ring() for _ in range(SLOTS)]

    cpdef int add(self, Timer timer, int64_t deadline_us) except -1:
        """Put a timer on the wheel, or move its deadline. Later is a store, earlier links it anew."""
        if timer._wheel is not None:
            if timer._wheel is self and deadline_us >= timer.deadline_us:
                timer.deadline_us = deadline_us
                return 0
            timer.cancel()
        timer.deadline_us = deadline_us
        timer._wheel = self
        self.live += 1
        return self._link(timer)

    cdef int _link(self, Timer timer) except -1:
        # Beyond the horizon it waits in the farthest slot, and is linked anew when that one comes round.
        cdef int64_t tick = timer.deadline_us // self.tick_us
        cdef Timer head
        if tick * self.tick_us < timer.deadline_us:
            tick += 1
        if tick <= self._tick:
            tick = self._tick + 1
        elif tick > self._tick + SLOTS:
            tick = self._tick + SLOTS
        timer._tick = tick
        head = <Timer>self._slots[tick % SLOTS]
        timer._previous = head._previous
        timer._next = head
        head._previous._next = timer
        head._previous = timer
        return 0

    def advance(self, int64_t now_us):
        """Fire what is due. Returns the errors that callbacks raised; none stops the others."""
        cdef int64_t tick = self._tick + 1
        cdef int64_t last = now_us // self.tick_us
        cdef list errors = None
        cdef Timer timer
        cdef Timer head
        if now_us > self.now_us:
            self.now_us = now_us
        if last < tick:
            return NO_ERRORS
        if last - tick >= SLOTS:
            tick = last - SLOTS + 1
        self._tick = last
        for tick in range(tick, last + 1):
            head = <Timer>self._slots[tick % SLOTS]
            if head._next is head:
                continue
            # The slot gets a new ring first: firing may link other timers, or the same ones, into it.
            self._slots[tick % SLOTS] = _ring()
            while head._next is not head:
                timer = head._next
                timer._next._previous = head
                head._next = timer._next
                if timer.deadline_us > now_us:
                    self._link(timer)
                    continue
                timer._next = timer._previous = None
                timer._wheel = None
                self.live -= 1
                try:
                    timer.fire()
                except Exception as error:  # noqa: BLE001 - one timer's error must not stop the others
                    errors = [] if errors is None else errors
                    errors.append(error)
            head._next = head._previous = None
        return NO_ERRORS if errors is None else errors

    def __repr__(self):
        return f"<Wheel live={self.live} now_us={self.now_us}>"
