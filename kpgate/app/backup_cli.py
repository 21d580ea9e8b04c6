"""`kpgate backup` and `kpgate restore`. What they do is `app/backup`'s.

People see how far it is and a sentence at the end, a pipe gets JSON.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import click

from kpgate.app.backup import Failed, back_up, restore
from kpgate.app.directory import Directory
from kpgate.app.keys_cli import Command, Desk
from kpgate.domain.errors import GatewayError


@click.command(cls=Command)
@click.argument("target", type=click.Path(path_type=Path))
@click.pass_obj
def backup(desk: Desk, target: Path) -> None:
    """Back the data directory up into TARGET, a new directory. Works beside a running gateway and without one."""
    manifest = _do(lambda: back_up(desk.directory, target, _tell))
    size = sum(one["bytes"] for one in manifest["files"].values())
    if desk.plain:
        click.echo(json.dumps({"target": str(target), "bytes": size, **manifest}))
    else:
        click.echo(f"Backed up into {target}: {len(manifest['files'])} files, {size >> 20} MiB.")
        for problem in manifest["lost"]:
            click.echo(f"Lost before this backup, and followed by another log: {problem}")
        click.echo("It holds the pepper and the signing keys: keep it as you keep the data directory.")


@click.command("restore", cls=Command)
@click.argument("source", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.pass_obj
def restore_command(desk: Desk, source: Path) -> None:
    """Make the data directory of a backup. It must not exist, or be empty."""
    directory: Directory = desk.directory
    found = _do(lambda: restore(source, directory.root, _tell))
    if desk.plain:
        click.echo(json.dumps(found))
    else:
        click.echo(f"Restored to {directory.root}, as it was at {found['made_at']}.")
        if found["log"]:
            click.echo(f"Its log of receipts goes on as {found['log']}: docs/backup.md says why.")


def _do(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        found = work()
    except (Failed, GatewayError, apsw.Error, OSError) as error:
        message = getattr(error, "message", None) or error
        raise click.ClickException(f"it was not done: {message}") from None
    if sys.stderr.isatty():
        click.echo("", err=True)
    return found


def _tell(what: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{what} ...", err=True, nl=False)
