"""A provider that a test plays itself, step by step: what it has read, and when it answers, is the test's."""

import json
import socket
import struct
from types import TracebackType
from typing import Any, Self

from tests.kit.gateway_process import PATIENCE_S

LAST = "connection: close\r\n"
"""The next request comes over a connection of its own."""


class Guest:
    """One connection to the stage, and the request on it. Order: made once the request's head was read."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        connection.settimeout(PATIENCE_S)
        self._left = b""
        while b"\r\n\r\n" not in self._left:
            self._left += self._receive()
        head, _, self._left = self._left.partition(b"\r\n\r\n")
        self.line, *lines = head.decode().split("\r\n")
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}

    def _receive(self) -> bytes:
        piece = self.connection.recv(65_536)
        if not piece:
            raise EOFError("whoever asked has left")
        return piece

    def take(self, size: int) -> bytes:
        """So many bytes more, waited for. Errors: EOFError, ConnectionResetError."""
        pieces, left = [self._left], size - len(self._left)
        while left > 0:
            pieces.append(self._receive())
            left -= len(pieces[-1])
        taken = b"".join(pieces)
        self._left = taken[size:]
        return taken[:size]

    def body(self, taken: int = 0) -> bytes:
        """The rest of the body, as the head frames it, `taken` bytes of which were read."""
        if self.headers.get("transfer-encoding") != "chunked":
            return self.take(int(self.headers["content-length"]) - taken)
        pieces = []
        while True:
            line = b""
            while not line.endswith(b"\r\n"):
                line += self.take(1)
            pieces.append(self.take(int(line, 16)))
            assert self.take(2) == b"\r\n"
            if not pieces[-1]:
                return b"".join(pieces)

    def say(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.connection.sendall(data)

    def answer(self, body: Any, status: int = 200) -> None:
        """A whole reply in JSON."""
        said = json.dumps(body).encode()
        head = f"HTTP/1.1 {status} X\r\n{LAST}content-type: application/json\r\ncontent-length: {len(said)}\r\n\r\n"
        self.say(head.encode() + said)

    def stream(self, kind: str) -> None:
        """The head of a reply in chunks."""
        self.say(
            f"HTTP/1.1 200 OK\r\n{LAST}content-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        )

    def chunk(self, data: bytes = b"") -> None:
        """A piece of it; empty is its end."""
        self.say(b"%x\r\n%b\r\n" % (len(data), data))

    def is_left(self) -> bool:
        """Wait for whoever asked to leave, whatever is sent until then."""
        try:
            while self._receive():
                pass
        except (EOFError, ConnectionResetError):
            return True
        return False

    def leave(self, *, reset: bool = False) -> None:
        """Close, or reset."""
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


class Stage:
    """A listener on a free port. `with Stage() as stage`, then `stage.guest()` for each request that comes."""

    def __init__(self, buffer_bytes: int = 65_536) -> None:
        self._socket = socket.socket()
        # What the system takes for a reader that does not read is then known.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen()
        self._socket.settimeout(PATIENCE_S)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._guests: list[Guest] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for guest in self._guests:
            guest.leave()
        self._socket.close()

    def connection(self) -> socket.socket:
        """The next connection, waited for, on which nothing is read."""
        return self._socket.accept()[0]

    def guest(self) -> Guest:
        """The next request, waited for: its head, and of its body nothing yet."""
        guest = Guest(self.connection())
        self._guests.append(guest)
        return guest

    def is_asked(self) -> bool:
        """Whether somebody has connected that nobody saw to."""
        self._socket.setblocking(False)
        try:
            self._guests.append(Guest(self._socket.accept()[0]))
            return True
        except BlockingIOError:
            return False
        finally:
            self._socket.settimeout(PATIENCE_S)
