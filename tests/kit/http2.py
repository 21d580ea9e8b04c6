"""As much of HTTP/2 as one request needs, written out: literal headers, no Huffman, no flow control to speak of.

Source: RFC 9113, RFC 7541.
"""

import socket
import struct

DATA, HEADERS, SETTINGS = 0, 1, 4
END_STREAM, END_HEADERS = 1, 4


def ask(connection: socket.socket, path: str, body: bytes = b"") -> tuple[int, bytes]:
    """One POST on a fresh connection: the status and the body. The connection is closed."""
    fields = ((":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "here"))
    block = b"".join(b"\x00" + _literal(name) + _literal(value) for name, value in fields)
    connection.sendall(
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        + _frame(SETTINGS, 0, 0, b"")
        + _frame(HEADERS, END_HEADERS, 1, block)
        + _frame(DATA, END_STREAM, 1, body)
    )
    status, received = 0, b""
    with connection, connection.makefile("rb") as frames:
        while True:
            size, kind, flags, stream = struct.unpack(">IBBI", b"\0" + frames.read(9))
            payload = frames.read(size)
            if stream == 1 and kind == HEADERS:
                # Entry 8 of the static table is `:status 200`; no other is asked for here.
                status = 200 if payload[0] == 0x88 else -1
            elif stream == 1 and kind == DATA:
                received += payload
            if stream == 1 and flags & END_STREAM:
                return status, received


def _literal(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload
