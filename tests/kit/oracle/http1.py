"""Where a message of HTTP/1.1 ends and what it carries, in plain Python and by the letter: slow, and easy to believe.

What the letter does not allow is UNSURE: a reader may refuse it, or be lenient.
Source: RFC 9112 sections 2 to 7, RFC 9110 section 15 (November 2026).
"""

import re
from enum import Enum
from typing import NamedTuple

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") (/[0-9A-Za-z/?=&._~-]*) HTTP/1\.([01])\r\n")
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([0-9]{3}) [\t \x21-\x7e\x80-\xff]*\r\n")
FIELD = re.compile(rb"(" + TOKEN + rb"):[\t ]*((?:[\t \x21-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)[\t ]*\r\n")
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;" + TOKEN + rb"(?:=" + TOKEN + rb")?)*\r\n")
LENGTH = re.compile(rb"[0-9]{1,18}")


class Verdict(Enum):
    """How a reply stands."""

    WHOLE = "whole"
    SHORT = "more must come"
    OPEN = "ends with the connection"
    REFUSED = "no reply that anybody may take"
    UNSURE = "not by the letter"


class Reply(NamedTuple):
    """What was read. Units: `end` is the offset behind it."""

    verdict: Verdict
    status: int = 0
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    end: int = 0
    keeps: bool = False

    def header(self, name: bytes) -> bytes | None:
        """The last header of that name."""
        return next((value for found, value in reversed(self.headers) if found == name), None)


class Request(NamedTuple):
    """What was asked."""

    method: str
    target: bytes
    body: bytes


class Stop(Exception):
    """The reading ends here."""


class OracleReader:
    """One reply, and interim ones before it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def line(self, pattern: re.Pattern[bytes]) -> re.Match[bytes]:
        """The next line, if it is one of those."""
        stop = self.data.find(b"\n", self.at)
        found = pattern.fullmatch(self.data, self.at, stop + 1) if stop >= 0 else None
        if found is None:
            raise Stop(Verdict.UNSURE if stop >= 0 else self.unfinished())
        self.at = found.end()
        return found

    def unfinished(self) -> Verdict:
        """A line without its end is more to come, if it may still be one by the letter."""
        rest = self.data[self.at :]
        return Verdict.UNSURE if re.search(rb"[^\t \x21-\x7e\x80-\xff]", rest) else Verdict.SHORT

    def fields(self) -> tuple[tuple[bytes, bytes], ...]:
        """Headers or trailers, with the empty line behind them."""
        found = []
        while not self.data.startswith(b"\r\n", self.at):
            match = self.line(FIELD)
            found.append((match[1].lower(), match[2]))
        self.at += 2
        return tuple(found)

    def chunks(self) -> bytes:
        body = b""
        while size := int(self.line(CHUNK)[1], 16):
            if len(self.data) - self.at < size + 2:
                raise Stop(Verdict.SHORT if len(self.data) - self.at <= size else Verdict.UNSURE)
            body += self.data[self.at : self.at + size]
            self.at += size + 2
            if self.data[self.at - 2 : self.at] != b"\r\n":
                raise Stop(Verdict.UNSURE)
        self.fields()
        return body


def values(headers: tuple[tuple[bytes, bytes], ...], name: bytes) -> list[bytes]:
    """All values of a header."""
    return [value for found, value in headers if found == name]


def read(data: bytes) -> Reply:
    """Read the reply that `data` begins with."""
    reader = OracleReader(data)
    try:
        return reply(reader)
    except Stop as stop:
        return Reply(stop.args[0])


def reply(reader: OracleReader) -> Reply:
    while True:
        line = reader.line(STATUS_LINE)
        status = int(line[2])
        headers = reader.fields()
        codings = values(headers, b"transfer-encoding")
        lengths = values(headers, b"content-length")
        options = [o.strip().lower() for v in values(headers, b"connection") for o in v.split(b",")]
        if status == 101 or not 100 <= status <= 599:
            raise Stop(Verdict.REFUSED)
        if status >= 200:
            break
        if codings or lengths or options or line[1] == b"0":
            raise Stop(Verdict.UNSURE)
    modern = line[1] == b"1"
    keeps = b"close" not in options and (modern or b"keep-alive" in options)
    said = (status, headers)
    if codings and lengths:
        raise Stop(Verdict.REFUSED)
    if codings:
        if not modern or len(codings) > 1 or status in (204, 304):
            raise Stop(Verdict.UNSURE)
        if codings[0].lower() != b"chunked":
            raise Stop(Verdict.REFUSED)
        body = reader.chunks()
        return Reply(Verdict.WHOLE, *said, body, reader.at, keeps)
    if lengths and (len(lengths) > 1 or not LENGTH.fullmatch(lengths[0])):
        raise Stop(Verdict.UNSURE)
    if status in (204, 304):
        return Reply(Verdict.WHOLE, *said, b"", reader.at, keeps)
    if not lengths:
        return Reply(Verdict.OPEN, *said, reader.data[reader.at :], len(reader.data))
    size = int(lengths[0])
    body = reader.data[reader.at : reader.at + size]
    if len(body) < size:
        raise Stop(Verdict.SHORT)
    return Reply(Verdict.WHOLE, *said, body, reader.at + size, keeps)


def read_requests(data: bytes) -> tuple[list[Request], Verdict]:
    """The requests that stand in `data`, and how what follows them stands; WHOLE where they end the connection."""
    reader = OracleReader(data)
    found: list[Request] = []
    keeps = True
    try:
        while keeps:
            if reader.at == len(data):
                return found, Verdict.SHORT
            asked, keeps = request(reader)
            found.append(asked)
    except Stop as stop:
        return found, stop.args[0]
    return found, Verdict.WHOLE


def request(reader: OracleReader) -> tuple[Request, bool]:
    """One request, and whether another may follow it."""
    line = reader.line(REQUEST_LINE)
    modern = line[3] == b"1"
    headers = reader.fields()
    names = [name for name, _ in headers]
    codings = values(headers, b"transfer-encoding")
    lengths = values(headers, b"content-length")
    if codings and lengths:
        raise Stop(Verdict.REFUSED)
    if len(set(names)) < len(names) or len(names) > 100 or b"expect" in names or b"content-encoding" in names:
        raise Stop(Verdict.UNSURE)
    if len(line[1]) > 20 or not re.fullmatch(
        rb"[0-9A-Za-z.:-]+", values(headers, b"host")[0] if b"host" in names else b""
    ):
        raise Stop(Verdict.UNSURE)
    options = [o.strip().lower() for v in values(headers, b"connection") for o in v.split(b",")]
    body = b""
    if codings:
        if not modern or codings[0].lower() != b"chunked":
            raise Stop(Verdict.REFUSED)
        body = reader.chunks()
    elif lengths:
        if not re.fullmatch(rb"[0-9]{1,15}", lengths[0]):
            raise Stop(Verdict.REFUSED)
        size = int(lengths[0])
        body = reader.data[reader.at : reader.at + size]
        if len(body) < size:
            raise Stop(Verdict.SHORT)
        reader.at += size
    keeps = b"close" not in options and (modern or b"keep-alive" in options)
    path, _, query = line[2].partition(b"?")
    return Request(line[1].decode(), path + b"?" * bool(query) + query, body), keeps
