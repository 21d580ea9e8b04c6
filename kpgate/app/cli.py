"""The `kpgate` command: reads arguments, prints results. What a command does lives elsewhere, imported when it runs.

People get words and tables; a pipe gets JSON. Exit codes: 0 well, 1 a problem was found, 2 wrong usage.
"""

import importlib
import os
import sys
from pathlib import Path
from typing import Any, BinaryIO

import click

import kpgate

READ_BYTES = 1 << 20
PROGRESS_BYTES = 8 << 20

CONFIG = click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Configuration file [default: KPGATE_CONFIG, else ./kpgate.toml if it is there].",
)
DATA = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    envvar="KPGATE_DATA",
    default=Path("data"),
    show_default=True,
    show_envvar=True,
    help="Directory for keys, locks and the database.",
)


class LazyGroup(click.Group):
    """A group some of whose commands are imported only when they are used.

    Shape: `lazy` maps a command's name to `module:attribute` and its line of help.
    """

    def __init__(self, *args: Any, lazy: dict[str, tuple[str, str]] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *self._lazy])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self._lazy[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = []
        for name in self.list_commands(ctx):
            if name in self._lazy:
                rows.append((name, self._lazy[name][1]))
            else:
                command = super().get_command(ctx, name)
                rows.append((name, command.get_short_help_str(80) if command else ""))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group(
    cls=LazyGroup,
    lazy={
        "account": ("kpgate.app.account_cli:account", "Credit: balances, transfers, budgets, refunds."),
        "audit": ("kpgate.app.audit_cli:audit", "The audit log: list it, check it."),
        "backup": ("kpgate.app.backup_cli:backup", "Back a data directory up, live or not."),
        "catalogue": (
            "kpgate.app.catalogue_cli:catalogue",
            "What is known of models: list, show, diff, update.",
        ),
        "code": ("kpgate.app.code_cli:code", "Redemption codes: create, list, revoke."),
        "keys": ("kpgate.app.keys_cli:keys", "API keys: create, list, rotate, revoke."),
        "ledger": ("kpgate.app.ledger_cli:ledger", "The ledger: prove that it holds."),
        "party": ("kpgate.app.tier_cli:party", "Parties: their limits, tier and plan."),
        "plan": ("kpgate.app.tier_cli:plan", "Plans: pay per token, subscription, credit line."),
        "restore": ("kpgate.app.backup_cli:restore_command", "Make a data directory of a backup."),
        "tier": ("kpgate.app.tier_cli:tier", "Tiers: limits, models, priority, part of the price."),
        "verify": ("kpgate.app.verify:command", "Check a receipt offline."),
    },
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(kpgate.__version__, prog_name="kpgate", message="%(prog)s %(version)s")
def cli() -> None:
    """kpgate: an AI gateway. One address for every model provider, governed at speed."""


@cli.command()
@CONFIG
@DATA
@click.option("--host", metavar="H", help="Address to listen on, instead of [server] host.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    metavar="P",
    help="Port to listen on, instead of [server] port; 0 takes a free one.",
)
@click.option(
    "--workers",
    type=click.IntRange(0, 256),
    metavar="N",
    help="Worker processes, instead of [server] workers; 0 is one for each core.",
)
@click.option(
    "--transport",
    type=click.Choice(["granian", "direct"]),
    help="How HTTP is served, instead of [server] transport.",
)
@click.option(
    "--demo", is_flag=True, help="Add the built-in echo model and print a key and a curl line to paste."
)
def serve(**given: Any) -> None:
    """Run the gateway."""
    # house: imports - the server's modules take longer to load than other commands take to run
    from kpgate.app.options import ServeOptions

    # house: imports - as above
    from kpgate.app.serve import run

    sys.exit(run(ServeOptions(**given)))


@cli.command()
@CONFIG
def check(config: Path | None) -> None:
    """Validate the configuration: every setting with its source, every problem with its line."""
    # house: imports - msgspec and ssl load slower than --help runs
    from kpgate.app.config import load

    # house: imports - as above
    from kpgate.app.console import show_check

    loaded = load(config, os.environ)
    show_check(loaded, sys.stdout.isatty())
    sys.exit(1 if loaded.problems else 0)


@cli.command()
@CONFIG
@DATA
def doctor(config: Path | None, data: Path) -> None:
    """Check the installation, the data directory and the providers; say what to do."""
    # house: imports - ssl and the checks load slower than --help runs
    from kpgate.app.console import show_findings

    # house: imports - as above
    from kpgate.app.doctor import Status, examine

    findings = examine(config, data, os.environ)
    show_findings(findings, sys.stdout.isatty())
    sys.exit(1 if any(finding.status is Status.PROBLEM for finding in findings) else 0)


@cli.group()
def tokens() -> None:
    """Count tokens."""


@tokens.command()
@click.option(
    "--model", required=True, metavar="M", help="Model name or encoding, as gpt-4o-mini or o200k_base."
)
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    default=Path.home() / ".cache" / "kpgate",
    show_default="~/.cache/kpgate",
    help="Directory for the prepared vocabulary.",
)
@click.argument("file", type=click.File("rb"), default="-")
def count(model: str, cache: Path, file: BinaryIO) -> None:
    """Count the tokens of FILE, or of standard input, as ordinary text."""
    # house: imports - the vocabulary is mapped only by those who count
    from kpgate.app.console import show_count

    # house: imports - as above
    from kpgate.app.count import count_text

    # house: imports - as above
    from kpgate.stores.vocabulary import VocabularyUnavailable

    try:
        raw = _read(file)
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{file.name} is not UTF-8 text (byte {error.start})") from None
    try:
        total, encoding, grade = count_text(text, model, cache)
    except VocabularyUnavailable as error:
        raise click.ClickException(str(error)) from None
    about = {"model": model, "encoding": encoding, "grade": grade, "bytes": len(raw)}
    show_count(total, about, sys.stdout.isatty())


def _read(file: BinaryIO) -> bytes:
    """A file as a whole; a long one says how far it is, where somebody looks."""
    pieces: list[bytes] = []
    size = 0
    while piece := file.read(READ_BYTES):
        pieces.append(piece)
        size += len(piece)
        if size >= PROGRESS_BYTES and sys.stderr.isatty():
            click.echo(f"\rread {size >> 20} MiB", err=True, nl=False)
    if size >= PROGRESS_BYTES and sys.stderr.isatty():
        click.echo(f"\rcounting {size >> 20} MiB ...", err=True)
    return b"".join(pieces)


def main() -> None:
    """The entry point."""
    cli(prog_name="kpgate")
