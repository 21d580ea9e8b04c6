"""A strict reading of a chunked body, in plain Python. Source: RFC 9112 section 7.1."""

import re

SIZE = re.compile(rb"([0-9A-Fa-f]{1,12})(;[\t\x20-\x7e\x80-\xff]*)?\r\n")
TRAILER = re.compile(rb"\r\n|[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n")


def read(data: bytes) -> tuple[bytes, int] | None:
    """The body, and how many bytes it took. None: it is not one, or not a whole one."""
    at, body = 0, b""
    while True:
        match = SIZE.match(data, at)
        if match is None:
            return None
        size, at = int(match[1], 16), match.end()
        if size == 0:
            break
        body += data[at : at + size]
        if data[at + size : at + size + 2] != b"\r\n":
            return None
        at += size + 2
    while True:
        match = TRAILER.match(data, at)
        if match is None:
            return None
        at = match.end()
        if match[0] == b"\r\n":
            return body, at
