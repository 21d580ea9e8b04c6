"""A client that speaks HTTP/1.1 by hand: sends any bytes, reads one reply after the other as strictly as it can."""

import select
import socket
import struct
from types import TracebackType
from typing import NamedTuple, Self

from tests.kit.gateway_process import PATIENCE_S


class Reply(NamedTuple):
    """What was answered. Shape: header names are in lower case; `body` is without its framing."""

    status: int
    headers: dict[str, str]
    body: bytes


class Closed(Exception):
    """The other side closed where a reply, or more of one, was expected."""


class Talk:
    """One connection. Order: `with Talk(gateway.open()) as talk`; it is closed at the end."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._file = connection.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def send(self, *pieces: bytes) -> Self:
        """Send, each piece in a packet of its own as far as the sockets let it be."""
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            self.connection.sendall(piece)
        return self

    def push(self, data: bytes, patience_s: float) -> int:
        """Send until the other side takes no more for that long. Returns how many bytes it took."""
        self.connection.settimeout(patience_s)
        sent = 0
        try:
            while sent < len(data):
                sent += self.connection.send(data[sent : sent + 65_536])
        except TimeoutError:
            pass
        self.connection.settimeout(PATIENCE_S)
        return sent

    def drip(self, data: bytes, every_s: float) -> None:
        """Send byte by byte at a rhythm, until there is something to read."""
        for byte in data:
            if self.readable(every_s):
                return
            self.connection.sendall(bytes([byte]))

    def readable(self, within_s: float) -> bool:
        """Whether something has come, or comes within that time."""
        return bool(select.select([self.connection], [], [], within_s)[0])

    def ask(self, sent: bytes) -> Reply:
        """Send a request and read its reply."""
        return self.send(sent).reply()

    def reply(self, *, bodiless: bool = False) -> Reply:
        """The next reply. Shape: `bodiless` is one to a HEAD.

        Errors: Closed.
        """
        line = self._line()
        version, status, _ = line.split(" ", 2)
        assert version == "HTTP/1.1", line
        headers: dict[str, str] = {}
        while line := self._line():
            name, colon, value = line.partition(":")
            assert colon and name.lower() not in headers, line
            headers[name.lower()] = value.strip()
        if bodiless or int(status) < 200:
            return Reply(int(status), headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            assert "content-length" not in headers
            return Reply(int(status), headers, self._chunks())
        if "content-length" in headers:
            return Reply(int(status), headers, self._exactly(int(headers["content-length"])))
        return Reply(int(status), headers, self.rest())

    def rest(self) -> bytes:
        """Everything until the other side closes, well or not."""
        pieces = []
        try:
            while piece := self._file.read1(65_536):
                pieces.append(piece)
        except ConnectionResetError:
            pass
        return b"".join(pieces)

    def half_close(self) -> None:
        """Say that nothing more will be sent."""
        self.connection.shutdown(socket.SHUT_WR)

    def leave(self, *, reset: bool = False) -> None:
        """Close, or reset."""
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._file.close()
        self.connection.close()

    def _line(self) -> str:
        line = self._file.readline(65_536)
        if not line.endswith(b"\r\n"):
            raise Closed(repr(line))
        return line[:-2].decode("latin-1")

    def _exactly(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) < size:
            raise Closed(f"{len(data)} bytes of {size}")
        return data

    def _chunks(self) -> bytes:
        pieces = []
        while size := int(self._line(), 16):
            pieces.append(self._exactly(size))
            assert self._line() == ""
        assert self._line() == "", "no trailers are sent"
        return b"".join(pieces)
