# cython: auto_pickle=False, autotestdict=False
"""A coroutine driven without a task: stepped by whatever ends its wait, straight from there.

Owns the coroutine and the rule that nothing is stepped inside something that is being stepped. It waits on
`Wait`s; where it waits on anything else, a task of the loop takes over for the rest. Knows no protocol.
"""

cimport cython
from cpython.object cimport PyObject
from cpython.ref cimport Py_XDECREF

from kpgate._fast.wait cimport Timer, Wait

cdef extern from "Python.h":
    int PyIter_Send(object coroutine, object value, PyObject **result) except -1

# Whether a coroutine is being stepped: what it wakes is stepped after it, never inside it.
cdef bint _stepping = False


# house: final - whoever serves connections is one
cdef class Step(Timer):
    """Drives one coroutine at a time, and may be on a wheel meanwhile.

    Order: `drive`, then `_suspended` each time it waits, `_ended` once, with the error that escaped or None.
    """

    def step(self):
        """Go on: what it waited for has ended."""
        if _stepping:
            self._loop.call_soon(self.step)
        elif self._coroutine is not None:
            self._run()

    cdef int drive(self, object loop, object coroutine) except -1:
        """Drive a coroutine, as far as it goes now."""
        self._loop = loop
        self._coroutine = coroutine
        if _stepping:
            loop.call_soon(self.step)
            return 0
        return self._run()

    cdef int _run(self) except -1:
        global _stepping
        cdef PyObject *result = NULL
        cdef Wait wait
        cdef int outcome
        while True:
            _stepping = True
            try:
                outcome = PyIter_Send(self._coroutine, None, &result)
            except BaseException as error:
                self._coroutine = None
                return self._ended(error)
            finally:
                _stepping = False
            yielded = <object>result
            Py_XDECREF(result)
            if outcome == 0:
                self._coroutine = None
                return self._ended(None)
            if type(yielded) is not Wait:
                task = self._loop.create_task(_go_on(_Adopted(self._coroutine, yielded)))
                task.add_done_callback(self._adopted)
                return self._suspended()
            wait = <Wait>yielded
            if wait._state == 0:
                wait.waiter = self
                return self._suspended()

    def _adopted(self, task):
        self._coroutine = None
        self._ended(None if task.cancelled() else task.exception())

    cdef int _ended(self, object error) except -1:
        return 0

    cdef int _suspended(self) except -1:
        return 0


# house: final - whoever has a coroutine of its own beside another's is one
cdef class Aside(Step):
    """Drives a coroutine beside whatever else goes on, and may be on a wheel before that.

    Order: `begin`, then `over` once.
    """

    def begin(self, loop, coroutine):
        """Drive a coroutine, as far as it goes now."""
        self.drive(loop, coroutine)

    def over(self, error):
        """It has ended: with the error that escaped it, or None."""

    cdef int _ended(self, object error) except -1:
        self.over(error)
        return 0


async def _go_on(rest):
    await rest


@cython.final
cdef class _Adopted:
    """The rest of a coroutine that was stepped so far, beginning with what it yielded last."""

    cdef object _coroutine
    cdef object _yielded
    cdef bint _begun

    def __init__(self, coroutine, yielded):
        self._coroutine = coroutine
        self._yielded = yielded

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        if not self._begun:
            self._begun = True
            yielded, self._yielded = self._yielded, None
            return yielded
        return self._coroutine.send(None)

    def throw(self, *error):
        """Raise what was awaited within the coroutine."""
        self._begun = True
        return self._coroutine.throw(*error)

    def close(self):
        """End the coroutine."""
        self._coroutine.close()
