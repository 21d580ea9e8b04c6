"""A strict reading of a chunked body, in plain Python. Source: RFC 9112 section 7.1."""

import re

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
TEXT = rb"[\t\x20-\x7e\x80-\xff]"
QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\' + TEXT + rb')*"'
EXTENSION = rb";" + TOKEN + rb"(?:=(?:" + TOKEN + rb"|" + QUOTED + rb"))?"
SIZE = re.compile(rb"([0-9A-Fa-f]{1,12})(?:" + EXTENSION + rb")*\r\n")
TRAILER = re.compile(rb"\r\n|" + TOKEN + rb":" + TEXT + rb"*\r\n")


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
