"""What a million accounts take: a start, and calls among them.

Owns the two figures. The accounts are in the store as a start finds them; calls are by keys of parties from all over.
"""

import os
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from bench.books import Books
from bench.clerk import play
from bench.processes import rss_bytes
from bench.target import KEYS, Lab, Shape
from kpgate._fast.commit import Region
from kpgate._fast.wait import clock
from kpgate.app.areas import areas
from kpgate.domain.settings import Ledger

ACCOUNTS = 1_000_000
FEW = 1_000
METHOD = (
    f"A start with {ACCOUNTS:,} accounts: the bank stands, on a store that has them all.",
    f"Calls among {ACCOUNTS:,} accounts and among {FEW:,}, on the lane, in turn: wrk draws one of {KEYS} keys for each "
    "call, each of another party with an account and budgets of its own, evenly spread over the accounts. Calls for "
    "each second of CPU of supervisor and worker.",
)


def start() -> dict[str, float]:
    """A start with a million funded accounts."""
    on = Ledger(enabled=True)
    with tempfile.TemporaryDirectory() as folder:
        books = Books(Path(folder), Region.create(areas(on), 1), on)
        books.fill(ACCOUNTS)
        books.bank.close()
        books.close()
        region = Region.create(areas(on), 1)
        before, began = rss_bytes([os.getpid()]), perf_counter()
        again = Books(Path(folder), region, on)
        seconds, grown = perf_counter() - began, rss_bytes([os.getpid()]) - before
        assert again.bank.accounts.account(clock(), ACCOUNTS // 2) is not None
        again.close()
    return {"seconds": seconds, "accounts": ACCOUNTS, "bytes an account": grown / ACCOUNTS}


def calls_among(rounds: int, seconds: float) -> dict[str, float]:
    """Calls among many accounts and among few: medians of calls a second, and of the rounds' ratios."""
    with Lab() as lab:
        provider = lab.provider()
        few, many = (
            lab.gateway(provider, Shape(lane=True, credits=True, accounts=count)) for count in (FEW, ACCOUNTS)
        )
        series, _ = play([few, many], rounds, seconds)
    return {
        f"calls/s among {FEW:,} accounts": median(each[few.name].calls_per_s for each in series.rounds),
        f"calls/s among {ACCOUNTS:,} accounts": median(each[many.name].calls_per_s for each in series.rounds),
        "many / few by calls/s": series.ratio(many.name, few.name)[1],
        "many / few by CPU": series.cpu_ratio(many.name, few.name)[1],
    }
