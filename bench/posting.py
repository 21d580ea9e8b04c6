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
from bench.overhead import LEAST_MS, paced
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
    "then calls come at 1,000 a second, open loop, first with the lock held, then while the clerk posts the backlog, "
    "straight to the provider and through the gateway in turn. The clerk shares the client's core and has what that "
    "leaves of it (SCHED_IDLE): added is a percentile less the direct one beside it, over all rounds' calls of a kind. "
    "A round counts if a backlog was left at its end.",
)
CALLS = 100_000
BATCH = 20_000
"""Entries, as the clerk takes them at most."""
RATE = 1_000
PACED_S = 0.8
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
    """What calls wait longer for the gateway's sake, while nothing is posted and while a backlog is.

    Units: milliseconds; megabytes of the journal a second.
    Errors: Failed if the backlog was gone before the calls were.
    """
    held: dict[str, list[float]] = {}
    posting: dict[str, list[float]] = {}
    paces: list[float] = []
    with Lab() as lab:
        provider = lab.provider()
        target = lab.gateway(provider, Shape(lane=True, credits=True))
        os.sched_setscheduler(set_apart(target), os.SCHED_IDLE, os.sched_param(0))
        order = [provider, target]
        _pace(order, {})
        for _ in range(rounds):
            with _held_up(target):
                load(target.url, target.key, BACKLOG_S)
                _pace(order, held)
            before, began = _reached(target), perf_counter()
            _pace(order, posting)
            reached = _reached(target)
            paces.append((reached - before) / (perf_counter() - began))
            _catch_up(target, reached)
            order.reverse()
    found: dict[str, float] = {}
    for what, times in (("nothing posted", held), ("a backlog posted", posting)):
        for part in (0.5, 0.99):
            direct, through = (share(times[one.name], part) for one in (provider, target))
            found[f"added p{100 * part:g} ms, {what}"] = through - direct
            found[f"direct p{100 * part:g} ms, {what}"] = direct
    least = max(LEAST_MS, found["added p99 ms, nothing posted"])
    found["added p99, a backlog posted / nothing"] = found["added p99 ms, a backlog posted"] / least
    return found | {"journal posted beside calls, MB/s": median(paces) / 1e6}


def _pace(targets: list[Target], times: dict[str, list[float]]) -> None:
    for one in targets:
        times.setdefault(one.name, []).extend(uvloop.run(paced(one, PACED_S, RATE)))


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
