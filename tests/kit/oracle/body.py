"""What `_fast/body` does, in plain Python over the standard library's decoder: slow, and easy to believe."""

import json
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

SPACE = " \t\n\r"


def refuse(text: str) -> Any:
    raise ValueError(text)


DECODER = json.JSONDecoder(parse_constant=refuse, parse_int=str, parse_float=str)


def members_of(text: str) -> int:
    """How many members all objects of a value have, those of the same name too."""
    found: list[Any] = []
    json.loads(text, object_pairs_hook=found.extend, parse_int=str)
    return len(found)


def depth_of(value: Any) -> int:
    """How many containers stand inside each other."""
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


def skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in SPACE:
        at += 1
    return at


class OracleScan:
    """Where the known members stand, as (key, start, end) in bytes."""

    def __init__(self, body: bytes, names: tuple[str, ...]) -> None:
        self.body = body
        self.names = names
        self.members: dict[int, tuple[int, int, int]] = {}
        self.count = 0
        self.nested = 0
        self.first = 0

    def raw(self, i: int) -> bytes | None:
        if i not in self.members:
            return None
        _, start, end = self.members[i]
        return self.body[start:end]

    def value(self, i: int) -> Any:
        raw = self.raw(i)
        return None if raw is None else json.loads(raw)


def scan(body: bytes, names: tuple[str, ...], depth_max: int = 64) -> OracleScan:
    """Read the body.

    Errors: ValueError for all that `_fast.body.scan` refuses.
    """
    text = body.decode("utf-8")
    places = [0]
    for character in text:
        places.append(places[-1] + len(character.encode()))
    out = OracleScan(body, names)
    at = skip(text, 0)
    if text[at : at + 1] != "{":
        raise ValueError("expected an object")
    out.first = places[at + 1]
    at = skip(text, at + 1)
    while text[at : at + 1] != "}":
        if out.count:
            if text[at : at + 1] != ",":
                raise ValueError("expected a comma")
            at = skip(text, at + 1)
        if text[at : at + 1] != '"':
            raise ValueError("expected a key")
        key = at
        name, at = scanstring(text, at + 1, True)
        at = skip(text, at)
        if text[at : at + 1] != ":":
            raise ValueError("expected a colon")
        start = skip(text, at + 1)
        try:
            value, at = DECODER.raw_decode(text, start)
        except RecursionError:
            raise ValueError("too deep") from None
        if depth_of(value) + 1 > depth_max:
            raise ValueError("too deep")
        out.count += 1
        out.nested += members_of(text[start:at])
        if name in names:
            if names.index(name) in out.members:
                raise ValueError("given twice")
            out.members[names.index(name)] = (places[key], places[start], places[at])
        at = skip(text, at)
    if skip(text, at + 1) != len(text):
        raise ValueError("something follows")
    return out


def splice(body: bytes, names: tuple[str, ...], edits: dict[int, bytes | None]) -> dict[str, Any]:
    """What an edited body means: the members and their values, in no order."""
    members = json.loads(body)
    for i, value in edits.items():
        if value is None:
            members.pop(names[i], None)
        else:
            members[names[i]] = json.loads(value)
    return dict(members)
