"""`kpgate audit`: who did what to keys, parties and money, and whether that is as it was written.

Tables at a terminal, JSON in a pipe.
"""

import json
import sys
from contextlib import closing
from typing import Any

import apsw
import click

from kpgate.app.control import wall_us
from kpgate.app.directory import Directory
from kpgate.app.keys_cli import Command, Desk
from kpgate.domain.audit import PAGE_MAX, ListAudit
from kpgate.domain.durations import read_since
from kpgate.stores.audit import SqliteAudit

_COLUMNS = ("number", "at", "via", "role", "key", "party", "peer", "act", "about", "outcome")
_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(context_settings=_SETTINGS)
def audit() -> None:
    """The audit log: every act of management. Works beside a running gateway and without one."""


def _since(context: click.Context, option: click.Parameter, text: str | None) -> int:
    try:
        return read_since(text, wall_us()) if text else 0
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@audit.command("list", cls=Command)
@click.option("--party", default="", help="By keys of one party only.")
@click.option("--key", default="", metavar="ID", help="By one key only.")
@click.option("--since", "since_us", callback=_since, help="As 24h, or 2030-01-31T12:00:00Z. All.")
@click.option("--before", type=click.IntRange(min=0), default=0, help="From before this number on.")
@click.option("--count", type=click.IntRange(1, PAGE_MAX), default=100, show_default=True, help="How many.")
@click.pass_obj
def list_acts(desk: Desk, /, **asked: Any) -> None:
    """List acts, newest first."""
    answer = desk.ask(ListAudit, **asked)
    if desk.plain:
        click.echo(json.dumps(answer))
        return
    desk.list([{**row, "about": json.dumps(row["about"])} for row in answer["rows"]], _COLUMNS)
    click.echo(f"head {answer['head']}")


@audit.command("check", cls=Command)
@click.option(
    "--head", default="", metavar="NUMBER:HASH", help="A head noted earlier; it must still be there."
)
@click.pass_obj
def check(desk: Desk, head: str) -> None:
    """Hold every row against its hash; exit 1 and the first that is not as it was written."""
    try:
        found, now = examine(desk.directory, head)
    except (apsw.Error, OSError) as error:
        raise click.ClickException(f"the audit log cannot be read: {error}") from None
    if desk.plain:
        click.echo(json.dumps({"sound": not found, "problems": found, "head": now}))
    else:
        click.echo("\n".join(found) or f"The audit log is as it was written. Note its head:\n{now}")
    sys.exit(1 if found else 0)


def examine(directory: Directory, head: str = "") -> tuple[list[str], str]:
    """What is wrong with a directory's audit log, and its head. It reads only.

    Errors: apsw.Error where it cannot be read.
    """
    connection = apsw.Connection(str(directory.store), flags=apsw.SQLITE_OPEN_READONLY)
    with closing(connection):
        # One instant for all of it.
        connection.execute("BEGIN")
        log = SqliteAudit(connection)
        found = list(log.problems())
        number, newest = log.head()
        noted, _, text = head.partition(":")
        if head and (not text or not noted.isdecimal() or log.hash_of(int(noted)).hex() != text):
            found.append(f"the audit log does not have the head {head[:100]}")
        return found, f"{number}:{newest.hex()}"
