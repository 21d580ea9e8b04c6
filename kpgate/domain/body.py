"""A JSON body read strictly: keys that a dialect reads stand there once, and what is wrong is named in the API's words.

Knows no vendor: a dialect gives its keys and its decoder.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from kpgate._fast.body import BodyError, Keys, Scan, scan, splice
from kpgate._fast.outline import Outline, Shape
from kpgate.domain.errors import InvalidRequest

OUTLINED_BYTES_MIN = 4096
"""From here on a member's outline is cheaper than its decoding."""
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items = msgspec.json.Decoder(list[msgspec.Raw])
_WORDS = {
    "`str`": "a string",
    "`array`": "a list",
    "`int`": "an integer",
    "`float`": "a number",
    "`bool`": "true or false",
    "`object`": "an object",
    "`null`": "null",
}


def read_body(
    decoder: msgspec.json.Decoder[Any], body: bytes, keys: Keys, depth_max: int
) -> tuple[Scan, Any]:
    """The offsets of a body's keys, and what a decoder makes of it.

    Errors: InvalidRequest, naming what was wrong and where.
    """
    offsets, request, _ = _read(decoder, body, keys, depth_max)
    return offsets, request


def read_outlined(
    decoder: msgspec.json.Decoder[Any], body: bytes, keys: Keys, depth_max: int, member: int, shape: Shape
) -> tuple[Scan, Any, Outline | None]:
    """The same, but for an array that is long and of that shape: it is outlined, and decoded as an empty one.

    Errors: InvalidRequest, naming what was wrong and where.
    """
    return _read(decoder, body, keys, depth_max, member, shape)


def _read(
    decoder: msgspec.json.Decoder[Any],
    body: bytes,
    keys: Keys,
    depth_max: int,
    member: int = 0,
    shape: Shape | None = None,
) -> tuple[Scan, Any, Outline | None]:
    try:
        offsets = scan(body, keys, depth_max, member, shape if len(body) >= OUTLINED_BYTES_MIN else None)
        found = offsets.outline
        if found is not None and offsets.end(member) - offsets.start(member) >= OUTLINED_BYTES_MIN:
            return offsets, decoder.decode(splice(body, offsets, {member: b"[]"})), found
        return offsets, decoder.decode(body), None
    except BodyError as error:
        said = str(error) if error.key is not None else f"body: {error}"
        raise InvalidRequest(said, param=error.key) from None
    except msgspec.ValidationError as error:
        raise invalid(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"the body is not valid JSON: {_plain(error)}") from None


def append(body: bytes, key: str, items: Sequence[Any]) -> bytes:
    """A body with further items at the end of one of its lists, which may be its only item; the rest stays as it is."""
    members = _members.decode(body)
    before = _items.decode(members[key]) if bytes(members[key])[:1] == b"[" else [members[key]]
    members[key] = msgspec.Raw(msgspec.json.encode([*before, *items]))
    return msgspec.json.encode(members)


def replace_member(body: bytes, key: str, value: Any) -> bytes:
    """A body with another value of one of its members, or with one more."""
    return msgspec.json.encode(_members.decode(body) | {key: value})


def members_of(value: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    """An object's members, as they stand there."""
    return _members.decode(value)


def merge_items(first: bytes, second: bytes, key: str, places: Sequence[int]) -> bytes:
    """The second of two answers, with the items of one list from the first, but for those at `places`: there stand
    the second's, in their order, each with the `index` of whom it takes the place of."""
    made = _members.decode(second)
    items = [_members.decode(one) for one in _items.decode(_members.decode(first)[key])]
    for place, one in zip(places, _items.decode(made[key]), strict=False):
        index = items[place].get("index", msgspec.Raw(b"%d" % place))
        items[place] = _members.decode(one) | {"index": index}
    return msgspec.json.encode(made | {key: items})


def invalid(problem: str) -> InvalidRequest:
    """msgspec's sentence, in the words of an API: ``messages[2].content: expected a string or a list``."""
    sentence, _, where = problem.partition(" - at ")
    path = where.strip("`").removeprefix("$").removeprefix(".")
    if sentence.startswith("Object missing required field "):
        field = sentence.rsplit(" ", 1)[1].strip("`")
        path = f"{path}.{field}" if path else field
        return InvalidRequest(f"{path}: this field is required", param=path)
    wanted, _, got = sentence.removeprefix("Expected ").partition(", got ")
    kinds = [_WORDS.get(f"`{kind}`", kind) for kind in wanted.strip("`").split(" | ") if kind != "null"]
    got = _WORDS.get(got, got)
    said = f"expected {' or '.join(kinds)}, got {got}" if got else sentence
    return InvalidRequest(f"{path or 'the body'}: {said}", param=path or None)


def _plain(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return f"a string is not UTF-8 (byte {error.start} of it)"
    return str(error).removeprefix("JSON is malformed: ")
