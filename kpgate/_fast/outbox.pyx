# cython: auto_pickle=False, autotestdict=False
"""What one turn of the loop has to say, said at its end.

Owns the order of writes that were put off until everything that had arrived was dealt with: whoever reads on
the other side is then woken once for many messages, not for each. Knows no protocol.
"""

cimport cython
from cpython.bytes cimport PyBytes_GET_SIZE

cdef enum:
    # More is not held back: a transport has to say when its reader does not follow.
    BYTES_MAX = 262_144
    PIECE_BYTES_MAX = 16_384


@cython.final
cdef class Outbox:
    """The writes of one loop's connections, put off to the end of its turn.

    Shape: `before` is asked each time whether anything may be written yet; if not, it is asked again soon.
    Order: whoever closes a transport, or writes to it directly, does so by `then`, or by `later`; what is called raises
    nothing.
    """

    def __init__(self, loop, before=None):
        self._loop = loop
        self._before = before
        self._queue = []
        self._flush = self.flush

    cdef int put(self, object transport, bytes data) except -1:
        """Write soon."""
        if not self._queue:
            self._loop.call_soon(self._flush)
        self._queue.append((transport, data))
        self._bytes += PyBytes_GET_SIZE(data)
        if PyBytes_GET_SIZE(data) > PIECE_BYTES_MAX or self._bytes > BYTES_MAX:
            return self.empty()
        return 0

    def flush(self):
        """Write everything now."""
        self.empty()

    cpdef object later(self, object transport, object call):
        """Call at the turn's end, once more may be written, unless the transport is closing by then."""
        if not self._queue:
            self._loop.call_soon(self._flush)
        self._queue.append((transport, call))

    cdef int then(self, object transport, object call) except -1:
        """Call once more may be written and all that was put before is, unless the transport is closing by then:
        at once, if it may be."""
        self._queue.append((transport, call))
        return self.empty()

    cdef int empty(self) except -1:
        cdef list queue = self._queue
        if queue:
            if self._before is not None and not self._before():
                self._loop.call_soon(self.flush)
                return 0
            self._queue = []
            self._bytes = 0
            for transport, data in queue:
                if transport.is_closing():
                    continue
                if type(data) is bytes:
                    transport.write(data)
                else:
                    data()
        return 0

    def __len__(self):
        return len(self._queue)

    def __repr__(self):
        return f"<Outbox {len(self._queue)} writes, {self._bytes} bytes>"
