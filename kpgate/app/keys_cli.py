"""`kpgate keys`: make, list, show, rotate and revoke API keys, and set a party's limits.

Tables at a terminal, JSON in a pipe. A secret is printed once, when it is made, and never again.
"""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from kpgate.app.control import new_id, new_random, wall_us
from kpgate.app.directory import Directory
from kpgate.app.reach import operator, reach
from kpgate.domain.caller import CALL, ROLES
from kpgate.domain.durations import read_duration, read_end
from kpgate.domain.errors import GatewayError
from kpgate.domain.keys import LITERAL_MAX
from kpgate.domain.management import (
    PAGE_MAX,
    Answer,
    CreateKey,
    GetKey,
    ImportKey,
    ListKeys,
    RevokeKey,
    RotateKey,
    SetParty,
    build,
)
from kpgate.domain.secret import Secret

_COLUMNS = ("id", "party", "label", "role", "models", "networks", "limits", "expires_at", "revoked_at")


class Desk:
    """Where the commands' questions go, and how their answers are shown."""

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self.plain = not _is_terminal()

    def ask(self, kind: type[Any], /, **fields: Any) -> Answer:
        """Have an operation carried out. Errors: click's, with what to do."""
        try:
            operation = build(kind, {"id": new_id(), **fields})
            with reach(self.directory, actor=operator()) as ask:
                return ask(operation)
        except GatewayError as error:
            raise click.ClickException(f"{error.message}\n{error.remedy}") from None

    def tell(self, answer: Answer, table: Callable[[], Table]) -> None:
        """Print an answer, as a table to people."""
        if self.plain:
            click.echo(json.dumps(answer))
        else:
            Console().print(table())

    def collect(self, kind: type[Any], name: str, **fields: Any) -> list[Answer]:
        """All pages of a list, whose rows are under a name."""
        found: list[Answer] = []
        after: int | None = 0
        while after is not None:
            page = self.ask(kind, after=after, count=PAGE_MAX, **fields)
            found += page[name]
            after = page["after"]
        return found

    def list(self, rows: Sequence[Answer], columns: Sequence[str]) -> None:
        """Print rows, to people so many columns of them."""
        if self.plain:
            click.echo(json.dumps(rows))
            return
        table = Table(*[name.removesuffix("_at").replace("_", " ") for name in columns])
        for row in rows:
            table.add_row(*[_cell(row[name]) for name in columns])
        Console().print(table)

    def show(self, answer: Answer, title: str = "") -> None:
        """Print one thing."""
        if self.plain:
            click.echo(json.dumps(answer))
            return
        table = Table(title=title or None, show_header=False, title_justify="left")
        for name, value in answer.items():
            if name != "key":
                table.add_row(name, _cell(value))
        Console().print(table)
        if "key" in answer:
            click.echo(f"\n{answer['key']}\n\nThis is the only time the key is shown.")


def _is_terminal() -> bool:
    return sys.stdout.isatty()


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {one}" for name, one in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(value) or "all"
    return "-" if value in (None, "") else str(value)


def end(context: click.Context, option: click.Parameter, text: str | None) -> int:
    try:
        return read_end(text, wall_us()) if text else 0
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _grace(context: click.Context, option: click.Parameter, text: str) -> int:
    try:
        return read_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def split(context: click.Context, option: click.Parameter, text: str) -> list[str]:
    return [piece.strip() for piece in text.split(",") if piece.strip()]


def limit_options(command: Any) -> Any:
    """The options that make up limits, as `Limits` names them."""
    for name, kind, said in (
        ("concurrency", int, "Calls open at once."),
        ("tokens-burst", int, "Tokens admitted at once."),
        ("tokens", str, "Rate of tokens, as 90000/min."),
        ("requests-burst", int, "Requests admitted at once."),
        ("requests", str, "Rate of requests, as 600/min."),
    ):
        command = click.option(f"--{name}", type=kind, default=None, help=said)(command)
    return command


def limits_of(options: dict[str, Any]) -> dict[str, Any]:
    names = ("requests", "requests_burst", "tokens", "tokens_burst", "concurrency")
    return {name: options[name] for name in names if options[name] is not None}


def _at(context: click.Context, option: click.Parameter, data: Path) -> None:
    context.obj = Desk(Directory(data))


def _plainly(context: click.Context, option: click.Parameter, plain: bool) -> None:
    context.obj.plain = plain or not _is_terminal()


class Command(click.Command):
    """A command on a data directory: where it is and how to answer are asked of each in the same way."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.params += [
            click.Option(
                ["--data"],
                type=click.Path(path_type=Path, file_okay=False),
                default=Path("data"),
                envvar="KPGATE_DATA",
                show_default=True,
                is_eager=True,
                expose_value=False,
                callback=_at,
                help="The data directory.",
            ),
            click.Option(
                ["--json", "plain"],
                is_flag=True,
                expose_value=False,
                callback=_plainly,
                help="JSON, also at a terminal.",
            ),
        ]


@click.group("keys", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def keys() -> None:
    """API keys and parties. Works beside a running gateway and without one."""


keys.command_class = Command


@keys.command()
@click.option("--party", default="default", show_default=True, help="Who owns the key; made at first use.")
@click.option("--label", default="", help="A name for people.")
@click.option("--role", type=click.Choice(ROLES), default=CALL, show_default=True, help="What it may do.")
@click.option("--models", callback=split, default="", help="Models it may use, as gpt-4o,claude-*. All.")
@click.option("--networks", callback=split, default="", help="Networks it may come from, as 10.0.0.0/8. Any.")
@click.option("--expires", "expires_us", callback=end, help="As 30d, or 2030-01-31T12:00:00Z. Never.")
@click.option("--import-stdin", "literal", is_flag=True, help="Take over a key that is read from stdin.")
@limit_options
@click.pass_obj
def create(desk: Desk, /, literal: bool, **options: Any) -> None:
    """Make a key, and show its secret once."""
    fields = {name: options[name] for name in ("party", "label", "role", "models", "networks", "expires_us")}
    fields |= {"limits": limits_of(options), "random": new_random()}
    if literal:
        text = sys.stdin.readline(4 * LITERAL_MAX).rstrip("\r\n")
        answer = desk.ask(ImportKey, literal=Secret(text), **fields)
    else:
        answer = desk.ask(CreateKey, **fields)
    desk.show(answer, "Key imported" if literal else "Key made")


@keys.command("list")
@click.option("--party", default="", help="Of one party only.")
@click.option("--all", "revoked", is_flag=True, help="Revoked keys too.")
@click.pass_obj
def list_keys(desk: Desk, party: str, revoked: bool) -> None:
    """List keys, in the order in which they were made."""
    found = desk.collect(ListKeys, "keys", party=party, revoked=revoked)
    desk.list(found, [name for name in _COLUMNS if revoked or name != "revoked_at"])


@keys.command()
@click.argument("key_id")
@click.pass_obj
def show(desk: Desk, key_id: str) -> None:
    """Show a key, without its secret."""
    desk.show(desk.ask(GetKey, key=key_id))


@keys.command()
@click.argument("key_id")
@click.option("--grace", "grace_us", callback=_grace, default="0s", help="How long the old one serves on.")
@click.pass_obj
def rotate(desk: Desk, key_id: str, grace_us: int) -> None:
    """Give a key a new secret, and show it once."""
    desk.show(desk.ask(RotateKey, key=key_id, grace_us=grace_us, random=new_random()), "Key rotated")


@keys.command()
@click.argument("key_id")
@click.pass_obj
def revoke(desk: Desk, key_id: str) -> None:
    """End a key. When this returns, no worker lets it in."""
    desk.show(desk.ask(RevokeKey, key=key_id), "Key revoked")


@keys.command()
@click.argument("name")
@limit_options
@click.pass_obj
def party(desk: Desk, /, name: str, **options: Any) -> None:
    """Set a party's limits; what is not said is not limited."""
    desk.show(desk.ask(SetParty, party=name, limits=limits_of(options)), "Party")
