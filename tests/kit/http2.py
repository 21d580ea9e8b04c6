"""As much of HTTP/2 as tests need, written out: literal headers, no Huffman, windows that open only when told.

Source: RFC 9113, RFC 7541.
"""

import socket
import struct
from types import TracebackType
from typing import Self

DATA, HEADERS, RESET, SETTINGS, PING, WINDOW = 0, 1, 3, 4, 6, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
INITIAL_WINDOW_SIZE = 4
CANCEL = 8
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Http2:
    """One connection, on which streams are opened, read and reset. Shape: streams are numbered 1, 3, 5 ...

    `window_bytes` is how much of a stream the other side may send before it is told to go on.
    """

    def __init__(self, connection: socket.socket, window_bytes: int = 65_535) -> None:
        self.connection = connection
        self.statuses: dict[int, int] = {}
        self.received: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self._file = connection.makefile("rb")
        self._next = 1
        self._send(PREFACE, _frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, window_bytes)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def post(self, path: str, body: bytes, **headers: str) -> int:
        """Send a POST; the number of its stream."""
        stream, self._next = self._next, self._next + 2
        fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "here"}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        block = b"".join(b"\x00" + _literal(name) + _literal(value) for name, value in fields.items())
        self.received[stream] = b""
        self._send(_frame(HEADERS, END_HEADERS, stream, block), _frame(DATA, END_STREAM, stream, body))
        return stream

    def read(self) -> int:
        """Read one frame and answer what has to be answered. Returns the number of its stream.

        Errors: EOFError when the other side has closed.
        """
        head = self._file.read(9)
        if len(head) < 9:
            raise EOFError("the connection was closed")
        size, kind, flags, stream = struct.unpack(">IBBI", b"\0" + head)
        payload = self._file.read(size)
        if kind == HEADERS:
            self.statuses[stream] = _status(payload)
        elif kind == DATA:
            self.received[stream] += payload
        elif kind in (SETTINGS, PING) and not flags & ACK:
            self._send(_frame(kind, ACK, 0, payload if kind == PING else b""))
        if kind == RESET or (kind in (HEADERS, DATA) and flags & END_STREAM):
            self.ended.add(stream)
        return int(stream)

    def whole(self, stream: int) -> tuple[int, bytes]:
        """A stream's status and body, once it has ended."""
        while stream not in self.ended:
            self.read()
        return self.statuses[stream], self.received[stream]

    def allow(self, stream: int, more_bytes: int) -> None:
        """Let the other side send more, on a stream and on the connection."""
        size = struct.pack(">I", more_bytes)
        self._send(_frame(WINDOW, 0, stream, size), _frame(WINDOW, 0, 0, size))

    def reset(self, stream: int) -> None:
        """Cancel a stream."""
        self._send(_frame(RESET, 0, stream, struct.pack(">I", CANCEL)))

    def leave(self, *, reset: bool = False) -> None:
        """Drop the connection without a word of HTTP/2."""
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._file.close()
        self.connection.close()

    def _send(self, *frames: bytes) -> None:
        self.connection.sendall(b"".join(frames))


def ask(connection: socket.socket, path: str, body: bytes = b"") -> tuple[int, bytes]:
    """One POST on a fresh connection: the status and the body. The connection is closed."""
    with Http2(connection) as http2:
        return http2.whole(http2.post(path, body))


def _status(block: bytes) -> int:
    """The status of a reply's header block: an entry of the static table, or -1."""
    # Entry 8 is `:status 200`; no other is asked for here.
    return 200 if block[0] == 0x88 else -1


def _literal(text: str) -> bytes:
    return b"".join((_length(len(text)), text.encode()))


def _length(length: int) -> bytes:
    """An integer with a prefix of seven bits, up to what a header here has."""
    return bytes([length]) if length < 127 else bytes([127, length - 127])


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload
