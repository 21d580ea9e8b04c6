# cython: auto_pickle=False, autotestdict=False
"""A listener of the direct transport: what its connections share, and how their replies begin.

Owns the bounds on clients and the reply's head as bytes. Knows no request.
Source: RFC 9112 (November 2026).
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy

from kpgate._fast.digits cimport digits_back
from kpgate._fast.heading cimport Heading
from kpgate._fast.outbox cimport Outbox
from kpgate._fast.wait cimport Wheel

import socket
import struct
from email.utils import formatdate
from http import HTTPStatus

cdef dict PHRASES = {status.value: status.phrase for status in HTTPStatus}


cdef inline char *_put(char *at, const char *data, Py_ssize_t size) noexcept nogil:
    memcpy(at, data, size)
    return at + size


cdef Heading _lines_of(object headers):
    cdef Heading lines = Heading()
    lines.extend(headers)
    return lines


@cython.final
cdef class Lane:
    """What all connections of a listener share.

    Shape: `serve(exchange)` gives the coroutine that answers; `error(code, words)` an error of that code;
    `alarm(error)` is told what escaped, and `failed` is the reply then: status, headers, body.
    `preamble(data)`, if any, reads what a load balancer puts in front: None while there is too little of it,
    else its length and the client's address, None for the socket's.
    """

    def __init__(
        self,
        serve,
        *,
        Wheel wheel not None,
        loop,
        Outbox outbox not None,
        error,
        alarm,
        int64_t clients_max,
        tuple failed=None,
        preamble=None,
    ):
        self.loop = loop
        self.wheel = wheel
        self.outbox = outbox
        self.clients = set()
        self.serve = serve
        self.error = error
        self.alarm = alarm
        self.failed = (500, [], b"") if failed is None else failed
        self.preamble = preamble
        self.clients_max = clients_max
        self._starts = {}

    def bound(
        self,
        *,
        int64_t head_us,
        int64_t idle_us,
        int64_t body_idle_us,
        int64_t write_stall_us,
        int64_t bytes_a_second_min,
    ):
        """Say how long a client may take. Order: before the first connection; again after a reload."""
        self.head_us = head_us
        self.idle_us = idle_us
        self.body_idle_us = body_idle_us
        self.write_stall_us = write_stall_us
        self.rate_min = bytes_a_second_min

    def drain(self):
        """Close what rests, and everything else with its next reply."""
        self.draining = True
        for client in list(self.clients):
            client.dismiss()

    cdef bytes _start_of(self, int status):
        """The status line, and the headers that are the same within a second."""
        cdef bytes start
        if self.wheel.now_us // 1_000_000 != self._second:
            self._second = self.wheel.now_us // 1_000_000
            self._starts.clear()
            self._begun = 0
        if status == self._begun:
            return self._start
        start = self._starts.get(status)
        if start is None:
            phrase = PHRASES.get(status, "Unknown")
            start = f"HTTP/1.1 {status} {phrase}\r\nserver: kpgate\r\n".encode()
            start += b"date: %b\r\n" % formatdate(usegmt=True).encode()
            self._starts[status] = start
        self._begun = status
        self._start = start
        return start

    cdef bytes compose(self, int status, object headers, int64_t length, bytes body, int flags):
        """A reply's head, and `body` behind it. Shape: `length` is for `content-length`, -1 for none."""
        cdef bytes start = self._start_of(status)
        cdef Heading lines = headers if type(headers) is Heading else _lines_of(headers)
        cdef bytes data
        cdef char digits[24]
        cdef char *number = digits
        cdef Py_ssize_t total = PyBytes_GET_SIZE(start) + lines.size
        cdef Py_ssize_t body_bytes = PyBytes_GET_SIZE(body)
        cdef const char *framing = b""
        cdef const char *connection = b""
        cdef Py_ssize_t framing_size
        cdef Py_ssize_t number_size = 0
        cdef char *at
        if length >= 0:
            framing = b"content-length: "
            digits[22] = c"\r"
            digits[23] = c"\n"
            number = digits_back(digits + 22, <uint64_t>length)
            number_size = digits + 24 - number
        elif flags & CHUNKED:
            framing = b"transfer-encoding: chunked\r\n"
        if flags & CLOSING:
            connection = b"connection: close\r\n"
        elif flags & KEPT:
            connection = b"connection: keep-alive\r\n"
        framing_size = <Py_ssize_t>len(framing)
        total += framing_size + number_size + <Py_ssize_t>len(connection) + 2 + body_bytes
        data = PyBytes_FromStringAndSize(NULL, total)
        at = _put(PyBytes_AS_STRING(data), PyBytes_AS_STRING(start), PyBytes_GET_SIZE(start))
        at = _put(at, lines.data, lines.size)
        at = _put(at, framing, framing_size)
        at = _put(at, number, number_size)
        at = _put(at, connection, <Py_ssize_t>len(connection))
        at = _put(at, b"\r\n", 2)
        _put(at, PyBytes_AS_STRING(body), body_bytes)
        return data

    def __repr__(self):
        return f"<Lane clients={len(self.clients)}{' draining' if self.draining else ''}>"


cdef bytes frame(bytes held, bytes chunk, bint chunked):
    """A piece of a stream as it is sent, behind `held`, the stream's head, or None."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(chunk)
    cdef Py_ssize_t before = 0 if held is None else PyBytes_GET_SIZE(held)
    cdef char framing[24]
    cdef int length = snprintf(framing, sizeof(framing), b"%zx\r\n", size) if chunked else 0
    cdef bytes data = PyBytes_FromStringAndSize(NULL, before + length + size + (2 if chunked else 0))
    cdef char *at = PyBytes_AS_STRING(data)
    if before:
        at = _put(at, PyBytes_AS_STRING(held), before)
    at = _put(at, framing, length)
    at = _put(at, PyBytes_AS_STRING(chunk), size)
    if chunked:
        _put(at, b"\r\n", 2)
    return data


cdef int reset_on_close(object transport) except -1:
    """A body that ends with its connection: only a reset shows that it was cut."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return 0
