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

from bench.books import Books
from bench.clerk import set_apart
from bench.load import Failed, Run, load
from bench.processes import load_core, target_core
from bench.target import Lab, Shape, Target
from kpgate._fast.commit import Region
from kpgate._fast.journal import HOLD, POST
from kpgate.app.areas import areas
from kpgate.app.control import wall_us
from kpgate.app.directory import Directory
from kpgate.app.poster import BATCH
from kpgate.domain.ledger import End, Hold, note_end, note_hold, write_end, write_hold
from kpgate.domain.settings import Ledger
from kpgate.domain.usage import Usage

METHOD = (
    "Posting: entries of calls (HOLD and POST) handed to the store in batches, as the clerk does, receipts and log "
    "included. A charge is one transfer; each call is two entries.",
    "Posting beside calls: wrk loads a gateway for six seconds while somebody holds the store's write lock, so that "
    "a backlog gathers; then four connections make calls, one after the other each, for a second with the lock held "
    "and for another while the clerk posts the backlog as fast as it can. wrk, provider and gateway are on one core in "
    "these two seconds, the clerk alone on the other: what calls wait longer is what posting costs them, and no time "
    "slice. A round's p99 is taken over the one just before, and the median of all rounds is given. A round counts if "
    "a backlog was left at its end.",
)
CALLS = 100_000
CALLERS = 4
BACKLOG_S = 6.0
LOOK_S = 0.3
LEFT_BYTES = 200_000
GROWS = "p99 of calls, a backlog posted / nothing"


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
    """How long calls take, while nothing is posted and while a backlog is.

    Units: milliseconds; calls a second; megabytes of the journal a second.
    Errors: Failed if the backlog was gone before the calls were.
    """
    held: list[Run] = []
    posting: list[Run] = []
    paces: list[float] = []
    with Lab() as lab:
        provider = lab.provider()
        target = lab.gateway(provider, Shape(lane=True, credits=True))
        set_apart(target)
        load(target.url, target.key, 1)
        for _ in range(rounds):
            with _held_up(target):
                load(target.url, target.key, BACKLOG_S)
                held.append(_some_calls(provider, target))
            before, began = _reached(target), perf_counter()
            posting.append(_some_calls(provider, target))
            reached = _reached(target)
            paces.append((reached - before) / (perf_counter() - began))
            _catch_up(target, reached)
    found: dict[str, float] = {}
    for what, runs in (("nothing posted", held), ("a backlog posted", posting)):
        found[f"p50 ms, {what}"] = median(run.p50_ms for run in runs)
        found[f"p99 ms, {what}"] = median(run.p99_ms for run in runs)
        found[f"calls/s, {what}"] = median(run.calls_per_s for run in runs)
    found[GROWS] = median(busy.p99_ms / calm.p99_ms for busy, calm in zip(posting, held, strict=True))
    return found | {"journal posted beside calls, MB/s": median(paces) / 1e6}


def _some_calls(provider: Target, target: Target) -> Run:
    """Calls of a second. Rule: whoever makes and answers them shares the gateway's core, and leaves theirs to the
    clerk.
    """
    core, usual = target_core(), load_core()
    if core is not None:
        os.sched_setaffinity(provider.pid, {core})
    try:
        return load(target.url, target.key, 1, connections=CALLERS, beside=True)
    finally:
        if usual is not None:
            os.sched_setaffinity(provider.pid, {usual})


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
