"""What posting takes, by itself and beside calls.

Owns the entries that are posted by hand, and the backlog that is posted while calls are made. Beside calls: somebody
else holds the store's write lock, so calls are charged and nothing is posted; then the lock is let go, and the clerk
posts what has gathered as fast as it can.
"""

import os
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter, sleep

import apsw
import uvloop

from bench.books import Books
from bench.clerk import set_apart
from bench.client import share
from bench.load import Failed, load
from bench.overhead import paced
from bench.target import Lab, Shape, Target
from kpgate._fast.commit import Region
from kpgate._fast.journal import HOLD, POST
from kpgate.app.areas import areas
from kpgate.app.control import wall_us
from kpgate.app.directory import Directory
from kpgate.domain.ledger import End, Hold, note_end, note_hold, write_end, write_hold
from kpgate.domain.settings import Ledger
from kpgate.domain.usage import Usage

METHOD = (
    "Posting: entries of calls (HOLD and POST) handed to the store in batches, as the clerk does, receipts and log "
    "included. A charge is one transfer; each call is two entries.",
    "Posting beside calls: wrk loads a gateway while somebody holds the store's write lock, so that a backlog gathers; "
    "then calls come at 1,000 a second, open loop, first with the lock held, then while the clerk posts the backlog. "
    "The clerk has what the client leaves of the load's core (SCHED_IDLE), as on a machine with one to spare. The p99 "
    "of all rounds' calls of each kind. A round counts if a backlog was left at its end.",
)
CALLS = 100_000
BATCH = 20_000
"""Entries, as the clerk takes them at most."""
RATE = 1_000
PACED_S = 1.5
BACKLOG_S = 10.0
LOOK_S = 0.3
LEFT_BYTES = 200_000


def alone(opened: int = 0) -> dict[str, float]:
    """A hundred thousand charges, with so many calls open at each moment."""
    on = Ledger(enabled=True)
    with tempfile.TemporaryDirectory() as folder:
        books = Books(Path(folder), Region.create(areas(on), 1), on)
        ledger = books.bank.ledger
        with books.store.transaction():
            account = ledger.account("bench")
            assert ledger.set_budget(1, 1, (0, 0, 0)) == 1
        entries = _calls(account, opened)
        began = perf_counter()
        for at in range(0, len(entries), BATCH):
            batch = entries[at : at + BATCH]
            ledger.post(batch, batch[-1][0] + 400)
        seconds = perf_counter() - began
        assert books.bank.receipts.sign() is not None
        books.close()
    return {
        "charges/s": round(CALLS / seconds),
        "entries/s": round(len(entries) / seconds),
        "us a charge": 1e6 * seconds / CALLS,
    }


def _calls(account: int, opened: int) -> list[tuple[int, int, bytes]]:
    """Entries of calls, each a HOLD and its POST, so many others begun before it."""
    entries, lsn, time_us = [], 1 << 40, wall_us()
    asked = note_hold("req-0123456789ab-1", "gpt-4o-mini", 0, 1000, 500, 10_000)
    said = note_end("openai", "gpt-4o-mini", 1, 200, 0, Usage(1000, 200, 0, 0, "provider"))
    lots = (0, 0, 0, 0)
    under_way: deque[int] = deque()
    for begun in range(CALLS + opened):
        if begun < CALLS:
            hold = Hold(lsn, time_us, 900, account, 1, 1, 1, lots, ((1, 20_000, 24_300, 0),), asked)
            entries.append((lsn, HOLD, write_hold(hold)))
            under_way.append(lsn)
            lsn += 400
        if begun >= opened:
            end = End(lsn, under_way.popleft(), time_us, 500, 0, lots, 0, said, True)
            entries.append((lsn, POST, write_end(end)))
            lsn += 400
    return entries


def beside_calls(rounds: int) -> dict[str, float]:
    """The p99 of calls while nothing is posted and while a backlog is. Units: milliseconds; megabytes a second.

    Errors: Failed if the backlog was gone before the calls were.
    """
    held: list[float] = []
    posting: list[float] = []
    paces: list[float] = []
    with Lab() as lab:
        target = lab.gateway(lab.provider(), Shape(lane=True, credits=True))
        os.sched_setscheduler(set_apart(target), os.SCHED_IDLE, os.sched_param(0))
        uvloop.run(paced(target, 0.5, RATE))
        for _ in range(rounds):
            with _held_up(target):
                load(target.url, target.key, BACKLOG_S)
                held += uvloop.run(paced(target, PACED_S, RATE))
            before, began = _reached(target), perf_counter()
            posting += uvloop.run(paced(target, PACED_S, RATE))
            reached = _reached(target)
            paces.append((reached - before) / (perf_counter() - began))
            _catch_up(target, reached)
    return {
        "p50 ms, nothing posted": share(held, 0.5),
        "p50 ms, a backlog posted": share(posting, 0.5),
        "p99 ms, nothing posted": share(held, 0.99),
        "p99 ms, a backlog posted": share(posting, 0.99),
        "p99, a backlog posted / nothing": share(posting, 0.99) / share(held, 0.99),
        "journal posted beside calls, MB/s": median(paces) / 1e6,
    }


@contextmanager
def _held_up(target: Target) -> Iterator[None]:
    """Nothing is posted meanwhile: somebody else holds the store's write lock."""
    connection = apsw.Connection(str(_store(target)))
    connection.set_busy_timeout(5_000)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def _catch_up(target: Target, reached: int) -> None:
    """Wait until all is posted. Errors: Failed if little of it was left at `reached`."""
    before, at = -1, reached
    while at != before:
        sleep(LOOK_S)
        before, at = at, _reached(target)
    if at - reached < LEFT_BYTES:
        raise Failed("the backlog was posted before the calls beside it had ended: load it for longer")


def _reached(target: Target) -> int:
    """Up to where the journal is posted. Units: bytes."""
    connection = apsw.Connection(str(_store(target)), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return int(str(connection.execute("SELECT cursor FROM ledger").fetchall()[0][0]))
    finally:
        connection.close()


def _store(target: Target) -> Path:
    return Directory(target.folder / "data").store
