"""A multipart form, read as it comes: the few fields that kpgate needs, where they stand, and nothing of the files.

It owns what can be read in two ways: a boundary anywhere but between parts, a field that stands there twice, a part
whose name is not one. Knows no endpoint.
Source: RFC 7578; RFC 2046, section 5.1.1 (November 2026).
"""

import re
from typing import NamedTuple

from kpgate.domain.errors import InvalidRequest

HEADERS_BYTES_MAX = 8192
VALUE_BYTES_MAX = 262_144
PARTS_MAX = 128
_FIRST = re.compile(rb"--([0-9A-Za-z'()+_,\-./:=?]{1,70})")
_FIRST_BYTES_MAX = 74
_TOKEN = rb"[!#$%&*+.^_`|~0-9A-Za-z-]+"
_QUOTED = rb'"(?:[^"\\\r\n]|\\.)*"'
_DISPOSITION = re.compile(
    rb"form-data((?:[ \t]*;[ \t]*" + _TOKEN + rb"=(?:" + _QUOTED + rb"|" + _TOKEN + rb"))+)[ \t]*",
    re.IGNORECASE,
)
_PARAMETER = re.compile(rb";[ \t]*(" + _TOKEN + rb")=(" + _QUOTED + rb"|" + _TOKEN + rb")")


class Field(NamedTuple):
    """One field that was asked for. Shape: `start` and `end` are its value's place in the form."""

    value: str
    start: int
    end: int


class Form:
    """A form under way. Order: `feed` as it comes, then `finish`. Errors: InvalidRequest for what is none.

    Shape: `fields` are those that were asked for, as far as they are whole; `files` have begun so far.
    """

    def __init__(self, wanted: frozenset[str]) -> None:
        self.fields: dict[str, Field] = {}
        self.boundary = b""
        self.ended = False
        self.files = 0
        self._wanted = wanted
        self._needle = b""
        self._tail = b""
        self._at = 0
        self._parts = 0
        self._within = False
        self._name = ""
        self._start = 0
        self._value: bytearray | None = None

    def feed(self, data: bytes) -> None:
        """Take what arrived."""
        if self.ended:
            return
        self._tail += data
        while not self.ended and self._step():
            pass

    def finish(self) -> None:
        """There is no more."""
        if not self.ended:
            raise InvalidRequest("the form ends before its last boundary")

    def _step(self) -> bool:
        """One thing more of what is here. False: more has to come."""
        if not self._needle:
            return self._begin()
        return self._content() if self._within else self._headers()

    def _pass(self, count: int) -> None:
        self._tail = self._tail[count:]
        self._at += count

    def _begin(self) -> bool:
        line, ended, _ = self._tail.partition(b"\r\n")
        match = _FIRST.fullmatch(line) if ended else None
        if match is None:
            if ended or len(line) > _FIRST_BYTES_MAX or not b"--".startswith(line[:2]):
                raise InvalidRequest("the body is no multipart form: expected multipart/form-data")
            return False
        self.boundary, self._needle = match[1], match[0]
        self._pass(len(line) + 2)
        return True

    def _headers(self) -> bool:
        head, ended, _ = self._tail.partition(b"\r\n\r\n")
        if not ended or len(head) > HEADERS_BYTES_MAX:
            if len(self._tail) > HEADERS_BYTES_MAX:
                raise InvalidRequest("the headers of a part of the form do not end")
            return False
        self._parts += 1
        if self._parts > PARTS_MAX:
            raise InvalidRequest(f"the form has more than {PARTS_MAX} parts")
        if self._needle in head:
            raise InvalidRequest("a boundary of the form stands within a part's headers")
        self._name, is_file = _named(head)
        if self._name in self._wanted:
            if is_file:
                raise InvalidRequest(f"{self._name}: expected a text, got a file", param=self._name)
            if self._name in self.fields:
                raise InvalidRequest(f"{self._name}: stands there twice", param=self._name)
            self._value = bytearray()
        self.files += is_file
        self._pass(len(head) + 4)
        self._within, self._start = True, self._at
        return True

    def _content(self) -> bool:
        tail, needle = self._tail, self._needle
        found = tail.find(needle)
        if found < 0 or len(tail) < found + len(needle) + 2:
            # A boundary, and the line's end before it, may have come in part.
            sure = (len(tail) - len(needle) if found < 0 else found) - 2
            if sure > 0:
                self._hold(tail[:sure])
                self._pass(sure)
            return False
        begins = found - 2
        after = tail[found + len(needle) : found + len(needle) + 2]
        if begins < 0 or tail[begins:found] != b"\r\n" or after not in (b"\r\n", b"--"):
            raise InvalidRequest("the form's boundary stands where no part ends")
        self._hold(tail[:begins])
        if self._value is not None:
            self._keep(self._at + begins)
        self._within, self._value = False, None
        self._pass(found + len(needle) + 2)
        self.ended = after == b"--"
        return True

    def _hold(self, piece: bytes) -> None:
        if self._value is not None:
            self._value += piece
            if len(self._value) > VALUE_BYTES_MAX:
                raise InvalidRequest(
                    f"{self._name}: is longer than {VALUE_BYTES_MAX} bytes", param=self._name
                )

    def _keep(self, end: int) -> None:
        assert self._value is not None, "it was asked for"
        try:
            text = self._value.decode()
        except UnicodeDecodeError:
            raise InvalidRequest(f"{self._name}: expected text in UTF-8", param=self._name) from None
        self.fields[self._name] = Field(text, self._start, end)


def _named(head: bytes) -> tuple[str, bool]:
    """A part's name, and whether it is a file. Errors: InvalidRequest where it has none, or two."""
    said = [line for line in head.split(b"\r\n") if line[:20].lower() == b"content-disposition:"]
    match = _DISPOSITION.fullmatch(said[0][20:].strip(b" \t")) if len(said) == 1 else None
    given = [(name.lower(), value) for name, value in _PARAMETER.findall(match[1])] if match else []
    names = [value for name, value in given if name == b"name"]
    if len(names) != 1 or any(name == b"name*" for name, _ in given):
        raise InvalidRequest("a part of the form has no name, or none that can be read in one way")
    name = re.sub(rb"\\(.)", rb"\1", names[0].strip(b'"')).decode("utf-8", "replace")
    return name, any(name in (b"filename", b"filename*") for name, _ in given)
