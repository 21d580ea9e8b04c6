"""Settings in environment variables: `KPGATE_SERVER__PORT=80` is `[server] port = 80`.

It finds which setting a variable names and lays its value over what the file said. Whether the value is sound
is judged later, with all others.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from kpgate.app.references import env_name
from kpgate.app.settings_tree import Field, Kind, Path, fields, is_text
from kpgate.domain.settings import Settings

PREFIX = "KPGATE_"
RESERVED = re.compile(
    r"KPGATE_(CONFIG|DATA|TEST_\w+"
    # What Kubernetes gives every pod near a service named kpgate.
    r"|SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)

_REFERENCE = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")


def overlay(raw: dict[str, Any], environ: Mapping[str, str]) -> list[tuple[Path, str, str]]:
    """Lay every `KPGATE_SECTION__FIELD` over `raw`, in place.

    Shape: for each variable the path it names (empty if none), its origin in words, and what is wrong with it
    or an empty string. A string is taken as it stands, everything else as a TOML value; a number names an item
    of a list, and in a header's name `_` stands for `-`. Variables that hold secrets (`env:KPGATE_...`) and
    those in `RESERVED` are not settings. Order: by name, so that a whole table precedes what is inside it.
    """
    named = _referenced(raw)
    for name, text in environ.items():
        if name.startswith(PREFIX):
            named |= set(_REFERENCE.findall(text))
    results: list[tuple[Path, str, str]] = []
    for name in sorted(environ, key=_order):
        if not name.startswith(PREFIX) or RESERVED.fullmatch(name) or name in named:
            continue
        origin = f"environment {name}"
        words = name.removeprefix(PREFIX).lower().split("__")
        path, field, message = _aim(words, raw)
        if not message:
            value, message = _value(environ[name], field)
            if not message:
                message = _put(raw, path, value)
        elif field is None and not path:
            near = difflib.get_close_matches(name, _names(raw), n=1, cutoff=0.6)
            message += f" (did you mean {near[0]}?)" if near else ""
        results.append((path, origin, message))
    return results


def _order(name: str) -> list[tuple[int, str]]:
    return [(int(word), "") if word.isdecimal() else (0, word) for word in name[:500].split("__")]


def _aim(words: list[str], raw: Mapping[str, Any]) -> tuple[Path, Field | None, str]:
    """The path and the field that a variable's words name, or what is wrong with them."""
    path: Path = ()
    part: Any = Settings
    field: Field | None = None
    rest = list(words)
    while rest:
        word = rest.pop(0)
        field = fields(part).get(word) if part is not None else None
        if field is None:
            return (), None, "no such setting"
        path = (*path, word)
        part = field.part
        if field.kind in (Kind.TABLES, Kind.LIST) and rest:
            if not rest[0].isdecimal() or len(rest[0]) > 6:
                return (), None, f"expected the number of an item after {word.upper()}__"
            path = (*path, int(rest.pop(0)))
            if not rest:
                field = field._replace(kind=Kind.TABLE, text=field.kind is Kind.LIST and is_text(field.item))
        elif field.kind is Kind.MAP and len(rest) == 1:
            return (*path, rest[0].replace("_", "-")), field._replace(text=True), ""
    return path, field, ""


def _value(text: str, field: Field | None) -> tuple[Any, str]:
    """A variable's text as a value; the message never repeats the text, which may be a secret."""
    if field is not None and field.text:
        return text, ""
    try:
        read = tomllib.loads(f"value = {text}\n")
    except (tomllib.TOMLDecodeError, RecursionError):
        read = {}
    if set(read) != {"value"}:
        expected = field.words if field is not None else "value"
        return None, f"expected {expected}, written as in TOML"
    return read["value"], ""


def _put(raw: dict[str, Any], path: Path, value: Any) -> str:
    """Set `path` in `raw`, making the tables on the way. A wrong shape on the way is left for the judge."""
    place: Any = raw
    for number, name in enumerate(path):
        last = number == len(path) - 1
        made: Any = value if last else [] if isinstance(path[number + 1], int) else {}
        if isinstance(name, int):
            if not isinstance(place, list) or name > len(place):
                return f"there is no item {name}: items are counted from 0, and one more may be added"
            if name == len(place):
                place.append(made)
            elif last:
                place[name] = made
        elif not isinstance(place, dict):
            return "lies inside something that is not a table"
        elif last or name not in place:
            place[name] = made
        place = place[name]
    return ""


def _referenced(raw: Any) -> set[str]:
    """Every variable that some `env:NAME` in the file names."""
    if isinstance(raw, str):
        name = env_name(raw)
        return {name} if name else set()
    inside = raw.values() if isinstance(raw, dict) else raw if isinstance(raw, list) else ()
    return {name for item in inside for name in _referenced(item)}


def _names(raw: Mapping[str, Any]) -> list[str]:
    """Every variable's name that would be understood, lists as long as they are and one more."""
    found: list[str] = []

    def walk(part: Any, prefix: str, given: Any) -> None:
        for field in fields(part).values():
            name = prefix + field.name.upper()
            found.append(name)
            inside = given.get(field.name) if isinstance(given, dict) else None
            if field.kind is Kind.TABLE:
                walk(field.part, f"{name}__", inside)
            elif field.kind is Kind.TABLES:
                items = inside[:8] if isinstance(inside, list) else []
                for number, item in enumerate([*items, {}]):
                    walk(field.part, f"{name}__{number}__", item)

    walk(Settings, PREFIX, raw)
    return found
