"""What `_fast/outline` does, in plain Python over the standard library's decoder: slow, and easy to believe."""

import json
from typing import Any

from kpgate._fast.outline import Value

Found = list[tuple[int, Any]]


class Unlike(Exception):
    """The value is not of the shape, or decoders could read it in two ways."""


class Pairs(list[tuple[str, Any]]):
    """An object's members as they stand there."""


def outline(text: str, shape: Value) -> Found | None:
    """The marked values, inner ones first: (mark, string) or (mark, None) for an object. None for no outline."""
    found: Found = []
    try:
        _read(json.loads(text, object_pairs_hook=Pairs), shape, found)
    except Unlike:
        return None
    return found


def _read(value: Any, shape: Value, found: Found) -> None:
    if isinstance(value, str) and shape.string:
        said: Any = value
    elif value is None and shape.null:
        return
    elif isinstance(value, Pairs) and shape.members is not None:
        _read_members(value, shape, found)
        said = None
    elif type(value) is list and shape.items is not None:
        for item in value:
            _read(item, shape.items, found)
        return
    else:
        raise Unlike
    if shape.mark >= 0:
        found.append((shape.mark, said))


def _read_members(pairs: Pairs, shape: Value, found: Found) -> None:
    assert shape.members is not None
    known = [(name, value) for name, value in pairs if name in shape.members]
    if len({name for name, _ in known}) < len(known) or not set(shape.required) <= dict(known).keys():
        raise Unlike
    marked = [name for name, value in known if value is not None and shape.members[name].mark >= 0]
    if shape.single and len(marked) > 1:
        raise Unlike
    for name, value in known:
        _read(value, shape.members[name], found)
