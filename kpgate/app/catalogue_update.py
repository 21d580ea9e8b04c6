"""What a file of rows would change in the catalogue, and an operator's own file with those changes in it."""

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from kpgate.app.catalogue import CatalogueUnreadable, Rows, Shelf, read_own
from kpgate.app.catalogue_import import read_public
from kpgate.app.catalogue_prices import read_prices
from kpgate.domain.catalog import ModelFacts

UNSAID = ("vendor", "name", "source", "checked")
"""Fields whose difference alone is none."""
HEAD = """\
# Rows of the catalogue that come before those that kpgate brings. Written by `kpgate catalogue update`, which keeps the
# rows and not the comments.
"""


class Change(msgspec.Struct, frozen=True):
    """A row that is new, or what is otherwise in it. Shape: `fields` has old and new values, none for a new row."""

    row: ModelFacts
    fields: dict[str, tuple[Any, Any]]
    new: bool


def read_rows(path: Path, shelf: Shelf) -> Rows:
    """The rows of a file: TOML of our own form, or one of the two public tables as JSON. Shape: the one of prices alone
    goes over what is known by `shelf`.

    Errors: CatalogueUnreadable.
    """
    if path.suffix != ".json":
        return read_own(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CatalogueUnreadable(f"{path} cannot be read: {error.strerror}") from None
    month = datetime.now(UTC).strftime("%Y-%m")
    if content.lstrip()[:1] == b"[":
        return read_prices(content, str(path), month, shelf)
    return read_public(content, str(path), month)


def changes(rows: Iterable[ModelFacts], shelf: Shelf) -> list[Change]:
    """What rows would change of those in force. Order: by vendor and name."""
    found = []
    for row in sorted(rows, key=lambda row: (row.vendor, row.name)):
        held = shelf.catalog.find(row.vendor, row.name)
        if held is None:
            found.append(Change(row, {}, True))
        elif differs := _differences(held, row):
            found.append(Change(row, differs, False))
    return found


def _differences(old: ModelFacts, new: ModelFacts) -> dict[str, tuple[Any, Any]]:
    before, after = flat(old), flat(new)
    # A new row that has no further names leaves those of the old one alone.
    names = [name for name in before | after if name not in UNSAID and (name != "aliases" or new.aliases)]
    return {
        name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)
    }


def flat(row: ModelFacts) -> dict[str, Any]:
    """What a row says, its prices as `price.input` and so on; what it does not say is not there."""
    said: dict[str, Any] = {"vendor": row.vendor, "name": row.name, "kind": row.kind}
    said |= msgspec.to_builtins(row)
    rates = said.pop("price", {})
    return said | {f"price.{kind}": rate for kind, rate in rates.items()}


def merge(own: Rows, found: Iterable[Change]) -> Rows:
    """The operator's rows with changes in them. Order: by vendor and name."""
    kept = {(row.vendor, row.name): row for row in own} | {
        (one.row.vendor, one.row.name): one.row for one in found
    }
    return tuple(kept[key] for key in sorted(kept))


def spell(rows: Rows) -> str:
    """Rows as a file of our own form."""
    lines = [HEAD.rstrip("\n")]
    for row in rows:
        lines += ["", "[[models]]"]
        for name, value in msgspec.to_builtins(row).items():
            lines.append(f"{name} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        inner = ", ".join(f"{name} = {_toml(one)}" for name, one in value.items())
        return f"{{ {inner} }}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    return msgspec.json.encode(value).decode()


def write(path: Path, rows: Rows) -> None:
    """Put a file in the place of another, whole or not at all. Errors: OSError."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("w", encoding="utf-8") as opened:
            opened.write(spell(rows))
            opened.flush()
            os.fsync(opened.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
