"""What the log of receipts costs at ten million leaves: a proof made, a proof verified, leaves appended.

Owns those figures. The tree is built of tiles in a store as a node's; leaves are hashes of their own numbers.
"""

import random
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter_ns
from typing import Any

from bench.results import Cell, Goal, Result, Table
from kpgate.app.signing import Signer, is_signed
from kpgate.domain.merkle import fold, leaf_hash, proves_consistency, proves_inclusion
from kpgate.domain.receipt import head_bytes
from kpgate.stores.log import HASH_BYTES, TILE, SqliteLog
from kpgate.stores.sqlite import SqliteStore

LEAVES = 10_000_000
BATCH = 20_000
SEED = 20
METHOD = (
    f"A log of {LEAVES:,} leaves in SQLite, built tile by tile to what appending makes; leaves asked for at random, "
    "each question with nothing remembered of the one before. The file is warm in the page cache.",
    "Made: hashes read from tiles and folded, as `/kp/v1/receipts/{id}` does. Verified: from the leaf's hash to the "
    "root; the head's signature is a row of its own.",
    f"Appended: leaves of 500 bytes, {BATCH:,} in one transaction, that many as the clerk posts at once; in-process, "
    "with no charge around them.",
)


def measure(proofs: int, leaves: int = LEAVES) -> Result:
    """Every figure of this module."""
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "kpgate.db")
        try:
            log = SqliteLog(store.connection)
            log.open("00" * 16)
            began = perf_counter_ns()
            build(log, store, leaves)
            built_s = (perf_counter_ns() - began) / 1e9
            times = _proofs(log, leaves, proofs)
            appended = _append(log, store, leaves)
        finally:
            store.close()
    rows: list[list[Cell]] = [
        [name, median(each) / 1e3, quantiles(each, n=100)[98] / 1e3, max(each) / 1e3]
        for name, each in times.items()
    ]
    return Result(
        "log",
        "The log of receipts",
        METHOD,
        goals=tuple(
            Goal(f"{name}, p99", quantiles(times[name], n=100)[98] / 1e6, "at most", 1, "ms")
            for name in ("inclusion made", "inclusion verified", "consistency made", "consistency verified")
        ),
        tables=(
            Table(f"At {leaves:,} leaves, us", ["what", "median", "p99", "most"], rows),
            Table(
                "Appending",
                ["what", "figure"],
                [["leaves/s", round(1e9 / median(appended))], ["us a leaf", median(appended) / 1e3]],
            ),
        ),
        raw={"proofs": proofs, "leaves": leaves, "built_s": built_s, "append_ns": appended},
    )


def build(log: SqliteLog, store: SqliteStore, leaves: int) -> None:
    """Fill a log with hashes of leaves' numbers, level by level."""
    hashes = (leaf_hash(b"%d" % number) for number in range(leaves))
    level, above = 0, bytearray()
    with store.connection:
        tile, number = bytearray(), 0
        for one in hashes:
            tile += one
            if len(tile) == TILE * HASH_BYTES:
                _keep(log, store, level, number, tile)
                above += _folded(tile)
                tile, number = bytearray(), number + 1
        if tile:
            _keep(log, store, level, number, tile)
        while above:
            level, row, above = level + 1, above, bytearray()
            for number, at in enumerate(range(0, len(row), TILE * HASH_BYTES)):
                tile = row[at : at + TILE * HASH_BYTES]
                _keep(log, store, level, number, tile)
                if len(tile) == TILE * HASH_BYTES:
                    above += _folded(tile)
        store.connection.execute("UPDATE logs SET size = ? WHERE number = ?", (leaves, log.number))
    log.forget()


def _keep(log: SqliteLog, store: SqliteStore, level: int, number: int, tile: bytearray) -> None:
    store.connection.execute(
        "INSERT INTO tiles (log, level, number, hashes) VALUES (?, ?, ?, ?)",
        (log.number, level, number, bytes(tile)),
    )


def _folded(tile: bytearray) -> bytes:
    return fold([bytes(tile[at : at + HASH_BYTES]) for at in range(0, len(tile), HASH_BYTES)])


def _proofs(log: SqliteLog, leaves: int, count: int) -> dict[str, list[int]]:
    """Nanoseconds of each proof made and verified."""
    chosen = random.Random(SEED)
    times: dict[str, list[int]] = {}
    top = log.root(leaves)
    signer = Signer(b"s" * 32)
    said = head_bytes(log.origin, leaves, top, 1, signer.id)
    signature = signer.sign(said)
    for _ in range(count):
        index = chosen.randrange(leaves)
        leaf, before = leaf_hash(b"%d" % index), index + 1
        path = _timed(times, "inclusion made", partial(log.inclusion, index, leaves))
        shown = partial(proves_inclusion, leaf, index, leaves, path, top)
        assert _timed(times, "inclusion verified", shown)
        old = _timed(times, "root of an older size", partial(log.root, before))
        grown = _timed(times, "consistency made", partial(log.consistency, before, leaves))
        follows = partial(proves_consistency, before, leaves, grown, old, top)
        assert _timed(times, "consistency verified", follows)
        assert _timed(times, "signature verified", partial(is_signed, signer.public, signature, said))
    return times


def _timed(times: dict[str, list[int]], name: str, work: Callable[[], Any]) -> Any:
    began = perf_counter_ns()
    found = work()
    times.setdefault(name, []).append(perf_counter_ns() - began)
    return found


def _append(log: SqliteLog, store: SqliteStore, leaves: int) -> list[float]:
    """Nanoseconds a leaf, a batch each."""
    times = []
    for batch in range(10):
        more = [
            b"%d" % number + b"x" * 492
            for number in range(leaves + batch * BATCH, leaves + (batch + 1) * BATCH)
        ]
        began = perf_counter_ns()
        with store.connection:
            log.append(more)
        times.append((perf_counter_ns() - began) / BATCH)
    return times
