# cython: auto_pickle=False, autotestdict=False
"""A client's transport, and whether the client keeps pace: how fast it sends, how fast it takes.

Owns the state of a connection, its one deadline, and how it is closed so that a reply still arrives. Knows no
request.
"""

from libc.stdint cimport int64_t

from kpgate._fast.lane cimport reset_on_close
from kpgate._fast.step cimport Step

cdef extern from *:
    """
    #include <sys/ioctl.h>
    /* What the system still has of a socket's output, sent or not; 0 where it does not say. */
    static int kp_queued(int descriptor) {
        int bytes = 0;
        return ioctl(descriptor, TIOCOUTQ, &bytes) == 0 ? bytes : 0;
    }
    """
    int queued_by_system "kp_queued"(int descriptor) noexcept


# house: final - a client's connection is one
cdef class Flow(Step):
    """What a connection can say of its client's pace.

    Units: bytes and microseconds on the wheel's clock. `_filled` is bytes received since `_began_us`.
    """

    cdef bint _crawls(self, int64_t now_us) noexcept:
        """Whether a body has come more slowly, for long enough, than anybody's line."""
        cdef int64_t taken_us = now_us - self._began_us
        return taken_us > self.lane.body_idle_us and self._filled * 1_000_000 < self.lane.rate_min * taken_us

    cdef int _measure(self) except -1:
        """Remember how much the client has not taken, and since when."""
        self._left_bytes = self._untaken()
        self._measured_us = self.lane.wheel.now_us
        return 0

    cdef int64_t _untaken(self) except -1:
        """What is on its way to the client: held here, and what the system holds, which may be megabytes."""
        cdef int64_t held = self._transport.get_write_buffer_size()
        connection = self._transport.get_extra_info("socket")
        return held if connection is None else held + queued_by_system(connection.fileno())

    cdef bint _moves(self) except -1:
        """Whether the client has taken enough since last measured, as far as that can be said yet."""
        cdef int64_t taken = self._left_bytes - self._untaken()
        cdef int64_t in_us = self.lane.wheel.now_us - self._measured_us
        if in_us < self.lane.write_stall_us:
            return True
        self._measure()
        return taken > 0 and taken * 1_000_000 >= self.lane.rate_min * in_us

    cdef int _due(self, int64_t in_us) except -1:
        self._due_us = self.lane.wheel.now_us + in_us
        return self.lane.wheel.add(self, self._due_us)

    cdef int _pause(self) except -1:
        if not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        return 0

    cdef int _resume(self) except -1:
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return 0

    cdef int _linger(self) except -1:
        """Send what is left, and that nothing follows; then wait for the client to close."""
        self._state = LINGER
        self._filled = 0
        self._measure()
        self._began_us = self._last_us = self.lane.wheel.now_us
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._due(min(self.lane.write_stall_us, LINGER_IDLE_US))
        return self._resume()

    cdef bint _lingers(self, int64_t now_us) except -1:
        """Whether a client that was answered still takes its reply, or still sends what nobody wants."""
        if self._transport.get_write_buffer_size():
            self._began_us = now_us
            return self._moves()
        return now_us - self._last_us < LINGER_IDLE_US and now_us - self._began_us < LINGER_US

    cdef int _shut(self) except -1:
        self._state = CLOSED
        if self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            self._transport.close()
        return 0

    def _close(self):
        """Close once all is sent. A reader that stands still is not waited for."""
        if self._write_paused:
            self._reset()
        else:
            self._transport.close()
            self._due(self.lane.write_stall_us)

    def _reset(self):
        reset_on_close(self._transport)
        self._transport.abort()
