"""A ledger in one process, as small as it works: a clerk's bank, some workers' seats, a clock that tests set.

What befalls it: a worker or the clerk goes, all processes go, the power goes. Nothing here knows what must hold then.
"""

import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from kpgate._fast import credit, journal
from kpgate._fast.commit import Life, Region, Seat
from kpgate._fast.credit import Credit
from kpgate._fast.journal import Journal, segments
from kpgate.app import bank, ledger_cli, poster
from kpgate.app.bank import HOLD_LIFE_US, Bank
from kpgate.app.directory import Directory
from kpgate.domain.batch import Entry
from kpgate.domain.settings import Ledger
from kpgate.stores.sqlite import SqliteStore
from tests.kit.vault import NOON_US, PRICE

SEGMENT_BYTES = 1 << 16
SECTOR_BYTES = 512
RING_BYTES = 1 << 17
HOLDS = 32
WORKERS = 3
SETTINGS = Ledger(enabled=True, accounts_max=1024)


@dataclass
class Worker:
    """A worker's seat, and what it decides from there."""

    index: int
    seat: Seat
    journal: Journal
    credit: Credit


class SmallNode:
    """Order: `begin` first. Units: `now_us` monotonic, `ahead_us` how far the wall clock is ahead of it.

    Shape: `holds` is how many may be open, from the next start on.
    """

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.directory = Directory(root)
        self.directory.prepare()
        self.directory.pepper()
        self.files = root / "journal"
        self.now_us = 1_000_000
        self.ahead_us = NOON_US
        patch.setattr(bank, "clock", lambda: self.now_us)
        for module in (poster, ledger_cli):
            patch.setattr(module, "SEGMENT_BYTES", SEGMENT_BYTES)
        patch.setattr(poster, "AHEAD_BYTES", 2 * SEGMENT_BYTES)
        patch.setattr(poster, "BATCH", 7)
        self.said: list[str] = []
        self.holds = HOLDS

    def wall_us(self) -> int:
        """The wall clock."""
        return self.now_us + self.ahead_us

    def begin(self) -> None:
        """Start on what the files have."""
        areas = credit.areas(accounts=1024, budgets=1024, holds=self.holds)
        self.region = Region.create({**areas, **journal.areas(RING_BYTES)}, WORKERS + 1)
        self.seat_clerk()
        self.workers = [self.sit(index) for index in range(1, WORKERS + 1)]

    def seat_clerk(self) -> None:
        """A clerk takes its seat: the first one of a region, or the next."""
        life = Life.obtain(self.directory.run, 0)
        assert life is not None, "the clerk before has gone"
        self.clerk = Seat(self.region, life)
        # A history that waits for its turn is no test of patience.
        self.clerk.patience_us = 1_000_000
        self.store = SqliteStore(self.directory.store)
        self.version = self.store.number("price", [PRICE.terms])[PRICE.terms]
        self.bank = Bank(self.directory, self.clerk, SETTINGS, self.store, lambda: True, self.wall_us)
        self.bank.stand(lambda event, **fields: self.said.append(event))

    def sit(self, index: int) -> Worker:
        """A worker takes its seat."""
        life = Life.obtain(self.directory.run, index)
        assert life is not None, "the worker before has gone"
        seat = Seat(self.region, life)
        seat.patience_us = 1_000_000
        written = Journal(self.region, seat, self.files)
        return Worker(index, seat, written, Credit(self.region, seat, written, HOLD_LIFE_US))

    def kill_worker(self, place: int) -> None:
        """A worker goes, the clerk ends its calls, another one takes its seat."""
        index = self.workers[place].index
        self.workers[place].seat.life.close()
        life = Life.obtain(self.directory.run, index)
        assert life is not None, "the dead hold no lock"
        self.bank.end_dead(life)
        life.close()
        self.workers[place] = self.sit(index)

    def leave_clerk(self) -> None:
        """The clerk goes, and says nothing."""
        self.clerk.life.close()
        self.store.close()

    def leave(self) -> None:
        """Every process goes."""
        for worker in self.workers:
            worker.seat.life.close()
        self.leave_clerk()

    def entries(self) -> list[Entry]:
        """What the journal's files say, of everything that was decided since the first start."""
        found = ledger_cli.entries_of(self.files)
        return [entry for entry in found if entry[1] >= journal.HOLD]

    def cut(self, position: int) -> None:
        """Have the files hold nothing from a position on."""
        for first in segments(self.files):
            self._blank(first, max(0, position - first), SEGMENT_BYTES)

    def lose_sectors(self, position: int, chance: random.Random) -> None:
        """Have a disk that was not synced lose any sectors from a position on."""
        for first in segments(self.files):
            for at in range(0, SEGMENT_BYTES, SECTOR_BYTES):
                if first + at + SECTOR_BYTES > position and chance.random() < 0.4:
                    self._blank(first, max(at, position - first), at + SECTOR_BYTES)

    def _blank(self, first: int, since: int, until: int) -> None:
        if since < until:
            with (self.files / journal.segment_name(first)).open("r+b") as file:
                file.seek(since)
                file.write(bytes(until - since))

    def reboot(self) -> None:
        """The machine has been started anew: its clock runs from 0, and the ledger may know it."""
        elapsed = self.now_us
        self.now_us = 5_000_000
        self.ahead_us += elapsed - self.now_us
        (self.files / "boot_id").write_text("of another start")
