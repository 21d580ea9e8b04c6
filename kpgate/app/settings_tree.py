"""The settings as a tree of fields: what reading, showing and documenting them all walk.

It knows `domain/settings.py` by its annotations alone; a field added there needs no change here.
"""

import difflib
from collections.abc import Iterable, Iterator
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT, Meta, Struct

Path = tuple[str | int, ...]


class Kind(StrEnum):
    """What a field holds: one table, a list of tables, a table of strings, a list of strings, or a value."""

    TABLE = "table"
    TABLES = "list of tables"
    MAP = "table of strings"
    LIST = "list"
    VALUE = "value"


class Field(NamedTuple):
    """One field of one table.

    Shape: `part` is the struct of a table or of each item of a list of tables, else None; `words` say what is
    accepted; `bounds` are the least and greatest length of a list, 0 for none; `item` is what one item of a list
    or table of values is.
    """

    name: str
    annotation: Any
    kind: Kind
    part: type[Struct] | None
    text: bool
    required: bool
    default: Any
    description: str
    words: str
    bounds: tuple[int, int]
    item: Any = str


@cache
def fields(part: type[Struct]) -> dict[str, Field]:
    """The fields of a table by name. Order: as they are declared."""
    hints = get_type_hints(part, include_extras=True)
    return {info.name: _field(info, hints[info.name]) for info in msgspec.structs.fields(part)}


def dotted(path: Path) -> str:
    """A path as people write it: `models[0].deployments[1].provider`."""
    text = ""
    for name in path:
        if isinstance(name, int):
            text += f"[{name}]"
        else:
            text += f".{name}" if text else name
    return text


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` (did you mean "x"?)` for the nearest known name, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f' (did you mean "{near[0]}"?)' if near else ""


def every(part: type[Struct], path: Path = ()) -> Iterator[tuple[Path, type[Struct], Field]]:
    """Every field of the tree, with `0` standing for any item of a list. Order: depth first, as declared."""
    for field in fields(part).values():
        at = (*path, field.name)
        yield at, part, field
        if field.part is not None:
            yield from every(field.part, (*at, 0) if field.kind is Kind.TABLES else at)


def _field(info: Any, annotation: Any) -> Field:
    inner, metas, optional = _strip(annotation)
    origin = get_origin(inner)
    kind, part = Kind.VALUE, None
    if isinstance(inner, type) and issubclass(inner, Struct):
        kind, part = Kind.TABLE, inner
    elif origin is dict:
        kind = Kind.MAP
    elif origin is tuple:
        item, _, _ = _strip(get_args(inner)[0])
        kind = Kind.LIST
        if isinstance(item, type) and issubclass(item, Struct):
            kind, part = Kind.TABLES, item
    default = info.default
    if default is NODEFAULT and info.default_factory is not NODEFAULT:
        default = info.default_factory()
    description = next((meta.description for meta in metas if meta.description), "")
    if not description and part is not None:
        description = (part.__doc__ or "").strip().splitlines()[0]
    lengths = [(meta.min_length or 0, meta.max_length or 0) for meta in metas if kind is not Kind.VALUE]
    return Field(
        name=info.name,
        annotation=annotation,
        kind=kind,
        part=part,
        text=inner is str or origin is Literal,
        required=info.required,
        default=None if default is NODEFAULT else default,
        description=description,
        words=_words(kind, inner, metas, optional),
        bounds=next((pair for pair in lengths if pair != (0, 0)), (0, 0)),
        item=get_args(inner)[0] if kind is Kind.LIST else str,
    )


def is_text(annotation: Any) -> bool:
    """Whether it is a string, whatever is asked of it besides."""
    return _strip(annotation)[0] is str


def _strip(annotation: Any) -> tuple[Any, list[Meta], bool]:
    """The bare type, the constraints found on the way, and whether it may be absent."""
    metas: list[Meta] = []
    optional = False
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *extra = get_args(annotation)
            metas += [meta for meta in extra if isinstance(meta, Meta)]
        elif origin in (Union, UnionType):
            kept = [item for item in get_args(annotation) if item is not NoneType]
            optional = optional or len(kept) < len(get_args(annotation))
            assert len(kept) == 1, "a setting has one type, or that type and None"
            annotation = kept[0]
        else:
            return annotation, metas, optional


def _words(kind: Kind, inner: Any, metas: list[Meta], optional: bool) -> str:
    if kind is Kind.LIST:
        item, limits, _ = _strip(get_args(inner)[0])
        words = "list of strings" if item is str else f"list of: {_words(Kind.VALUE, item, limits, False)}"
    elif kind is not Kind.VALUE:
        words = str(kind)
    elif get_origin(inner) is Literal:
        words = "one of " + ", ".join(f"`{value}`" for value in get_args(inner))
    else:
        words = {bool: "true or false", int: "whole number", float: "number", str: "string"}[inner]
        for meta in metas:
            if meta.gt is not None:
                words += f" above {meta.gt}"
            if meta.ge is not None and meta.le is not None:
                words += f" from {meta.ge} to {meta.le}"
            elif meta.le is not None:
                words += f", at most {meta.le}"
    return words + (" or absent" if optional else "")
