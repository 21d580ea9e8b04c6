"""What credits cost: the same gateway with the ledger on and off, in turn; posting; a start with many accounts; proofs.

Owns the ratios. The clerk is held to the load's core, as on a machine with a core to spare; its CPU is told apart.
"""

import os
import tempfile
from collections import deque
from dataclasses import asdict
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter, perf_counter_ns

from bench.governed import Rounds, Series
from bench.load import load
from bench.processes import cpu_s, load_core, rss_bytes
from bench.results import Cell, Goal, Result, Table
from bench.target import Lab, Shape, Target
from kpgate._fast.commit import Life, Region, Seat
from kpgate._fast.journal import HOLD, POST
from kpgate._fast.wait import clock
from kpgate.app.areas import areas
from kpgate.app.bank import Bank
from kpgate.app.control import wall_us
from kpgate.app.directory import Directory
from kpgate.domain.ledger import End, Hold, note_end, note_hold, write_end, write_hold
from kpgate.domain.merkle import leaf_hash, proves_inclusion
from kpgate.domain.settings import Ledger
from kpgate.domain.usage import Usage
from kpgate.stores.log import SqliteLog
from kpgate.stores.sqlite import SqliteStore

METHOD = (
    "One gateway worker on one core; load (wrk, 64 connections), the fake provider and the gateway's clerk on another. "
    "With credits: a price, an account, a budget of the party and one of the key, each with caps a day, a month and in "
    "total; every call is held for, charged, posted, and a leaf of the signed log.",
    "Rounds in turn, the order rotated; a ratio is taken within each round, and the median given. `by CPU` are calls "
    "for each second of CPU of supervisor and worker; the clerk's CPU a call stands beside them.",
    "Posting: entries of calls (HOLD and POST) handed to the store in batches, as the clerk does, receipts and log "
    "included. A charge is one transfer; each call is two entries. Proofs: of inclusion, the median of "
    "five hundred from all over a log of ten million leaves; verified without the head's signature.",
)
ON = Ledger(enabled=True)
CALLS = 100_000
BATCH = 20_000
"""Entries, as the clerk takes them at most."""
OPEN = 5_000
ACCOUNTS = 1_000_000
LEAVES = 10_000_000
PROOFS = 500


def clerk_of(target: Target) -> int:
    """The process that holds the clerk's life lock."""
    return int((target.folder / "data" / "run" / "0.life").read_text())


def measure(rounds: int, seconds: float) -> Result:
    """Every figure of this module."""
    with Lab() as lab:
        provider = lab.provider()
        shapes = [Shape(lane=lane, credits=credits) for lane in (False, True) for credits in (False, True)]
        targets = [lab.gateway(provider, shape) for shape in shapes]
        core = load_core()
        for target in targets:
            if core is not None:
                os.sched_setaffinity(clerk_of(target), {int(core)})
        series, clerks = _play(targets, rounds, seconds)
    posted = _posting() | {f"{name}, {OPEN:,} open": figure for name, figure in _posting(OPEN).items()}
    start, proofs = _start(), _proofs()
    pairs = (("governed with credits", "governed"), ("lane governed with credits", "lane governed"))
    ratios: list[list[Cell]] = [
        [f"{on} / {off}", *series.ratio(on, off), series.cpu_ratio(on, off)[1]] for on, off in pairs
    ]
    clerk_rows: list[list[Cell]] = [[name, 1e6 * median(each)] for name, each in clerks.items()]
    return Result(
        "ledger",
        "Credits",
        METHOD,
        goals=(
            *(
                Goal(f"{on} / {off} by CPU", series.cpu_ratio(on, off)[1], "at least", 0.85)
                for on, off in pairs
            ),
            Goal("charges posted", posted["charges/s"], "at least", 50_000, "a second"),
            Goal(
                f"charges posted, {OPEN:,} calls open",
                posted[f"charges/s, {OPEN:,} open"],
                "at least",
                50_000,
                "a second",
            ),
            Goal("start with 1,000,000 accounts", start["seconds"], "at most", 3, "s"),
            Goal("a proof made, 10,000,000 leaves", proofs["ms a proof made"], "at most", 1, "ms"),
            Goal("a proof verified, 10,000,000 leaves", proofs["ms a proof verified"], "at most", 1, "ms"),
        ),
        tables=(
            Table("Ratios of calls/s", ["ratio", "least", "median", "most", "median by CPU"], ratios),
            Table("The clerk", ["target", "CPU us a call"], clerk_rows),
            Table(
                "Posting, start and proofs",
                ["what", "figure"],
                [[k, v] for k, v in (posted | start | proofs).items()],
            ),
        ),
        raw={
            "rounds": [{name: asdict(run) for name, run in each.items()} for each in series.rounds],
            "clerks": clerks,
        },
    )


def _play(targets: list[Target], rounds: int, seconds: float) -> tuple[Series, dict[str, list[float]]]:
    series = Series("A chat call of 0.5 KB")
    clerks: dict[str, list[float]] = {target.name: [] for target in targets}
    for target in targets:
        load(target.url, target.key, 1)
    for number in range(rounds):
        turn = number % len(targets)
        found = {}
        for target in [*targets[turn:], *targets[:turn]]:
            clerk = clerk_of(target)
            rest = [pid for pid in target.pids() if pid != clerk]
            before, clerk_before, began = cpu_s(rest), cpu_s([clerk]), monotonic()
            run = load(target.url, target.key, seconds)
            used = cpu_s(rest) - before
            clerks[target.name].append((cpu_s([clerk]) - clerk_before) / run.calls)
            fields = asdict(run) | {"cpu_s": used, "busy": used / (monotonic() - began)}
            found[target.name] = type(run)(**fields)
        series.rounds.append(found)
    rounds_found: Rounds = series.rounds
    assert rounds_found, "at least one round"
    return series, clerks


class _Office:
    """A bank by itself, on a folder of its own."""

    def __init__(self, folder: Path) -> None:
        directory = Directory(folder)
        directory.prepare()
        pepper = directory.pepper()
        assert pepper
        self.store = SqliteStore(directory.store)
        self.region = Region.create(areas(ON), 1)
        self.life = Life.claim(directory.run, 0, 1)
        seat = Seat(self.region, self.life)
        self.bank = Bank(directory, seat, ON, self.store, lambda: True, wall_us)

    def close(self) -> None:
        self.life.close()
        self.store.close()


def _posting(opened: int = 0) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        office = _Office(Path(folder))
        office.bank.stand()
        ledger = office.bank.ledger
        with office.store.transaction():
            account = ledger.account("bench")
            assert ledger.set_budget(1, 1, (0, 0, 0)) == 1
        entries = _calls(account, opened)
        began = perf_counter()
        for at in range(0, len(entries), BATCH):
            batch = entries[at : at + BATCH]
            ledger.post(batch, batch[-1][0] + 400)
        seconds = perf_counter() - began
        assert office.bank.receipts.sign() is not None
        office.close()
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


def _start() -> dict[str, float]:
    """A start with a million funded accounts."""
    with tempfile.TemporaryDirectory() as folder:
        office = _Office(Path(folder))
        office.bank.stand()
        office.bank.close()
        connection = office.store.connection
        with connection:
            connection.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
                " INSERT INTO parties (name) SELECT 'p' || i FROM n",
                (ACCOUNTS - 8,),
            )
            connection.execute(
                "INSERT INTO accounts (name, kind, party, balance)"
                " SELECT 'spend:' || name, 'spend', number, 1000000 FROM parties"
            )
        office.close()
        again = _Office(Path(folder))
        before = rss_bytes([os.getpid()])
        began = clock()
        again.bank.stand()
        seconds = (clock() - began) / 1e6
        grown = rss_bytes([os.getpid()]) - before
        assert again.bank.accounts.account(clock(), ACCOUNTS // 2) is not None
        again.close()
    return {"seconds": seconds, "accounts": ACCOUNTS, "bytes an account": grown / ACCOUNTS}


def _proofs() -> dict[str, float]:
    """Inclusion in a log of ten million leaves: medians of as many proofs, of leaves from all over it."""
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(str(Path(folder, "kpgate.db")))
        log, batch = SqliteLog(store.connection), 50_000
        log.open("bench")
        for first in range(0, LEAVES, batch):
            with store.connection:
                log.append([b"%d" % index for index in range(first, first + batch)])
        root, made, verified = log.root(LEAVES), [], []
        for number in range(PROOFS):
            index = number * 7_919_317 % LEAVES
            began_ns = perf_counter_ns()
            path = log.inclusion(index, LEAVES)
            made_ns = perf_counter_ns()
            assert proves_inclusion(leaf_hash(b"%d" % index), index, LEAVES, path, root)
            verified.append(perf_counter_ns() - made_ns)
            made.append(made_ns - began_ns)
        store.close()
    return {"ms a proof made": median(made) / 1e6, "ms a proof verified": median(verified) / 1e6}
