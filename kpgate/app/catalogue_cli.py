"""`kpgate catalogue`: list the models that are known, show one, see what a file would change, and take it over.

Tables at a terminal, JSON in a pipe.
"""

import os
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kpgate.app.catalogue import CatalogueUnreadable, Rows, Shelf, open_shelf, read_own
from kpgate.app.catalogue_update import Change, changes, flat, merge, read_rows, write
from kpgate.app.cli import CONFIG
from kpgate.app.config import REFUSED, Loaded, load
from kpgate.app.console import emit
from kpgate.app.environment import overlay
from kpgate.app.settings_tree import did_you_mean
from kpgate.domain.catalog import KINDS, ModelFacts

T = TypeVar("T")
CAN = ("vision", "tools", "json_schema", "reasoning")
VENDOR = click.option(
    "--vendor", "only", multiple=True, metavar="V", help="Of this vendor alone; may be repeated."
)
NO_FILE = 'no file to write to: say [catalogue] file in the configuration, as file = "catalogue.toml"'


class Desk:
    """The rows in force by a configuration, and how they are shown."""

    def __init__(self, config: Path | None) -> None:
        self.file = _named(load(config, os.environ))
        self.plain = not _is_terminal()
        self.own: Rows = ()
        if self.file is not None and self.file.exists():
            self.own = _sound(lambda: read_own(self.file or Path()))
        self.shelf = Shelf(self.own) if self.own else open_shelf(None)

    def rows(self, only: Sequence[str]) -> list[ModelFacts]:
        """The rows of some vendors, of all without any. Errors: click's, for a vendor that nobody knows."""
        known = self.shelf.vendors
        for vendor in only:
            if vendor not in known:
                raise click.ClickException(f'no vendor is named "{vendor}"{did_you_mean(vendor, known)}')
        return [row for vendor in (only or known) for row in self.shelf.rows(vendor)]


def _named(loaded: Loaded) -> Path | None:
    """The operator's own file, which need not be there yet: the configuration is refused until it is."""
    file = loaded.values.get("catalogue.file")
    if file == REFUSED and loaded.file is not None:
        raw = tomllib.loads(Path(loaded.file).read_text(encoding="utf-8-sig"))
        overlay(raw, os.environ)
        file = raw["catalogue"]["file"]
    return Path(file) if isinstance(file, str) and file != REFUSED else None


def _sound(work: Callable[[], T]) -> T:
    try:
        return work()
    except CatalogueUnreadable as error:
        raise click.ClickException(str(error)) from None


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def catalogue() -> None:
    """The catalogue: what is known of models, and what their vendors charge."""


@catalogue.command("list")
@VENDOR
@click.option("--kind", type=click.Choice(KINDS), help="Of this kind alone.")
@click.option("--can", multiple=True, type=click.Choice(CAN), help="That can this; may be repeated.")
@CONFIG
def list_models(only: tuple[str, ...], kind: str | None, can: tuple[str, ...], config: Path | None) -> None:
    """List models: names, windows, what they can, prices for a million tokens."""
    desk = Desk(config)
    rows = [
        row
        for row in desk.rows(only)
        if (kind is None or row.kind == kind) and all(getattr(row, one) for one in can)
    ]
    if desk.plain:
        emit([flat(row) for row in rows])
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("vendor", no_wrap=True)
    table.add_column("model", overflow="fold")
    for name in ("context", "output", "can", "$ in", "$ cached", "$ out"):
        table.add_column(name, no_wrap=True, justify="left" if name == "can" else "right")
    for row in rows:
        able = (
            "".join(one[0] if getattr(row, one) else "-" for one in CAN) if row.kind == "chat" else row.kind
        )
        caps = (_count(row.context_window), _count(row.output_tokens_max))
        rates = row.price
        prices = ("", "", "") if rates is None else (rates.input, rates.cached, rates.output)
        cells = (row.vendor, escape(row.name), *caps, able, *[_figure(price) for price in prices])
        table.add_row(*cells)
    Console().print(table)
    words = "vision, tools, json_schema, reasoning by their first letters; prices for a million tokens"
    Console().print(f"{len(rows)} models; {words}", soft_wrap=True)


@catalogue.command()
@click.argument("vendor")
@click.argument("model")
@CONFIG
def show(vendor: str, model: str, config: Path | None) -> None:
    """Show all that is known of a VENDOR's MODEL."""
    desk = Desk(config)
    rows = desk.rows((vendor,))
    found = desk.shelf.catalog.find(vendor, model)
    if found is None:
        near = did_you_mean(model, [row.name for row in rows])
        raise click.ClickException(f'{vendor} has no model named "{model[:200]}" here{near}')
    if desk.plain:
        emit(flat(found))
        return
    table = Table(show_header=False)
    for name, value in flat(found).items():
        shown = ", ".join(value) if isinstance(value, list) else value
        table.add_row(escape(name), escape(str(shown)))
    Console().print(table)


@catalogue.command()
@click.argument("file", type=click.Path(path_type=Path))
@VENDOR
@CONFIG
def diff(file: Path, only: tuple[str, ...], config: Path | None) -> None:
    """Show what FILE would change: rows in TOML, or a copy of LiteLLM's or genai-prices' public table in JSON."""
    desk = Desk(config)
    _show(desk, _changes(desk, file, only))


@catalogue.command()
@click.argument("file", type=click.Path(path_type=Path))
@VENDOR
@CONFIG
def update(file: Path, only: tuple[str, ...], config: Path | None) -> None:
    """Take what FILE changes over into the file named by [catalogue] file. It is in force after a reload."""
    desk = Desk(config)
    if desk.file is None:
        raise click.ClickException(NO_FILE)
    found = _changes(desk, file, only)
    if found:
        try:
            write(desk.file, merge(desk.own, found))
        except OSError as error:
            raise click.ClickException(f"{desk.file} cannot be written: {error.strerror}") from None
    _show(desk, found)
    if not desk.plain and found:
        click.echo(f"Written to {desk.file}. Reload the gateway to have it in force.")


def _changes(desk: Desk, file: Path, only: Sequence[str]) -> list[Change]:
    rows = _sound(lambda: read_rows(file, desk.shelf))
    return changes([row for row in rows if not only or row.vendor in only], desk.shelf)


def _show(desk: Desk, found: Sequence[Change]) -> None:
    if desk.plain:
        emit([_as_json(one) for one in found])
        return
    table = Table("vendor", "model", "what", "now", "then")
    for one in found:
        names = (escape(one.row.vendor), escape(one.row.name))
        if one.new:
            table.add_row(*names, "new", "", "")
        for field, (old, new) in one.fields.items():
            table.add_row(*names, field, _cell(old), _cell(new))
    if found:
        Console().print(table)
    added = sum(one.new for one in found)
    Console().print(f"{added} new, {len(found) - added} changed")


def _as_json(one: Change) -> dict[str, Any]:
    return {
        "vendor": one.row.vendor,
        "model": one.row.name,
        "new": one.new,
        "fields": {name: {"now": old, "then": new} for name, (old, new) in one.fields.items()},
    }


def _cell(value: Any) -> str:
    return "-" if value is None else escape(msgspec.json.encode(value).decode())


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _figure(value: Any) -> str:
    return "" if value in (None, "") else f"{value:g}"


def _is_terminal() -> bool:
    return sys.stdout.isatty()
