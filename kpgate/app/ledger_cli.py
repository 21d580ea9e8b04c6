"""`kpgate ledger check`: proves a data directory's ledger, live or copied, or names what is wrong.

It reads only: SQLite at one instant, then the journal's files as far as they were written by then.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import apsw
import click

from kpgate._fast.journal import read_entries, recover
from kpgate.app.directory import Directory
from kpgate.app.keys_cli import Command, Desk
from kpgate.app.log_proof import log_problems
from kpgate.app.poster import SEGMENT_BYTES
from kpgate.domain.batch import Entry
from kpgate.domain.errors import GatewayError
from kpgate.domain.invariants import Report, check
from kpgate.domain.money import RotateSigner, ShowHolds
from kpgate.stores.audit import SqliteAudit
from kpgate.stores.log import SqliteLog
from kpgate.stores.standing import SqliteStanding

PIECE = 10_000


@click.group()
def ledger() -> None:
    """The ledger of a data directory."""


@ledger.command("check")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    envvar="KPGATE_DATA",
    default=Path("data"),
    show_default=True,
    show_envvar=True,
    help="Directory for keys, locks and the database.",
)
def check_command(data: Path) -> None:
    """Prove balances, charges, journal and log; exit 1 and what is wrong if they do not hold."""
    directory = Directory(data)
    if not directory.store.exists():
        raise click.ClickException(f"{data} holds no ledger")
    try:
        report, problems = prove(directory)
        with closing(apsw.Connection(str(directory.store), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
            strangers = unendorsed(connection)
    except (GatewayError, apsw.Error, OSError) as error:
        raise click.ClickException(f"the ledger cannot be read: {error}") from None
    if sys.stdout.isatty():
        click.echo(
            f"{report.accounts} accounts, {report.charges} charges, {report.transfers} transfers, "
            f"{report.entries} entries of the journal: {'all of it holds' if not problems else 'this is wrong:'}"
        )
        for problem in problems:
            click.echo(f"  {problem}")
        for signer in strangers:
            click.echo(f"  nobody vouches for the signing key {signer}: those before it were lost")
    else:
        counts = {name: getattr(report, name) for name in ("accounts", "charges", "transfers", "entries")}
        click.echo(
            json.dumps(
                {"sound": not problems, "problems": problems, "unendorsed_signers": strangers, **counts}
            )
        )
    if problems:
        sys.exit(1)


@ledger.command("holds", cls=Command)
@click.pass_obj
def holds(desk: Desk) -> None:
    """List what calls under way hold. Without a gateway there are none."""
    desk.list(
        desk.collect(ShowHolds, "holds"), ("call", "party", "amount_microkpt", "metered_microkpt", "is_sent")
    )


@ledger.command("rotate-key", cls=Command)
@click.pass_obj
def rotate_key(desk: Desk) -> None:
    """Have a new key sign the log of receipts, endorsed by the one before. Works beside a gateway and without one."""
    answer = desk.ask(RotateSigner)
    desk.show(answer if desk.plain else answer["signer"], "Signing key rotated")


def unendorsed(connection: apsw.Connection) -> list[str]:
    """Signing keys that nobody vouches for, besides the first."""
    return [signer["id"] for signer in SqliteLog(connection).signers()[1:] if not signer["endorsed_by"]]


def prove(directory: Directory, followed: bool = True) -> tuple[Report, list[str]]:
    """What was looked at, and everything that is wrong.

    Shape: not `followed` leaves out a log that another one had to be begun for: what is gone of it stays gone.
    Errors: GatewayError, apsw.Error, OSError where it cannot be read.
    """
    connection = apsw.Connection(str(directory.store), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        with SqliteStanding(connection).at_one_instant() as standing:
            damage: list[str] = []
            report = check(standing, entries_of(directory.root / "journal", damage.append))
            return report, [
                *damage,
                *report.problems,
                *log_problems(connection, directory.pepper(), standing.terms, followed),
                *SqliteAudit(connection).problems(),
            ]
    finally:
        connection.close()


def entries_of(folder: Path, say: Callable[[str], object] | None = None) -> Iterator[Entry]:
    """The journal's entries, oldest first, as far as they are whole. Of a damaged one nothing after it; `say` is told
    where one is damaged that had reached the disk.
    """
    ends: list[int] = []
    if folder.exists():
        _, problem = recover(folder, 0, SEGMENT_BYTES, lambda found, end: ends.append(found[0][0]))
        if problem and say is not None:
            say(f"the journal is damaged: {problem}")
    for at in ends:
        found, _, _ = read_entries(folder, at, 1 << 62, SEGMENT_BYTES, PIECE)
        yield from found
