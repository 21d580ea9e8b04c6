"""A node's accounts for tests: a small region with a journal, tellers in it, and what they may kill."""

from dataclasses import dataclass
from pathlib import Path

from kpgate._fast import credit, journal
from kpgate._fast.account import Accounts
from kpgate._fast.commit import ACCOUNT, BUDGET, HOLD, JOURNAL, Life, Region, Seat
from kpgate._fast.credit import Credit
from kpgate._fast.journal import Journal
from tests.kit.oracle.credit import Books

HOLD_WORDS = 16
CONTROL_BYTES = 4096
LIFE_US = 60_000_000
# Noon of 31 December 2025, and a little.
ANCHOR_US = 1_767_182_400_000_000
SEGMENT_BYTES = 64 * 1024


@dataclass
class Teller:
    """A seat, and what is decided from it."""

    seat: Seat
    journal: Journal
    credit: Credit
    accounts: Accounts


class Bank:
    """A small region with as many tellers as a test wants."""

    def __init__(
        self,
        folder: Path,
        *,
        holds: int = 8,
        seats: int = 16,
        ring_bytes: int = 1 << 18,
        segment_bytes: int = SEGMENT_BYTES,
        ready: int = 1,
    ) -> None:
        self.folder = folder
        self.holds = holds
        self.files = folder / "journal"
        self.files.mkdir(parents=True, exist_ok=True)
        areas = credit.areas(accounts=16, budgets=16, holds=holds)
        self.region = Region.create({**areas, **journal.areas(ring_bytes)}, seats)
        self.first = segment_bytes
        teller = self.sit(seats - 1)
        teller.journal.stand(segment_bytes, 0, 1, segment_bytes, 0, ANCHOR_US)
        self.clerk = self.sit(seats - 2)
        while self.clerk.journal.prepared < (1 + ready) * segment_bytes:
            self.clerk.journal.prepare(ready * segment_bytes)
        teller.seat.life.close()

    def sit(self, index: int, life: Life | None = None) -> Teller:
        """A teller in a seat of its own."""
        life = life or Life.obtain(self.folder, index)
        assert life is not None, f"seat {index} is taken"
        seat = Seat(self.region, life)
        # A test that waits for its turn is no test of patience.
        seat.patience_us = 1_000_000
        return self.equip(seat)

    def equip(self, seat: Seat) -> Teller:
        """What a process needs at its seat."""
        written = Journal(self.region, seat, self.files)
        return Teller(
            seat,
            written,
            Credit(self.region, seat, written, LIFE_US),
            Accounts(self.region, seat, written),
        )

    def entries(self) -> list[tuple[int, int, bytes]]:
        """The journal of this bank, read back from its files."""
        desk = self.equip(self.clerk.seat).journal
        assert desk.flush(desk.tail)
        found: list[tuple[int, int, bytes]] = []
        at = self.first
        while at < desk.tail:
            more, at = desk.entries(at, desk.tail)
            found += more
        return found

    def state(self) -> tuple[object, ...]:
        """Everything that commits decide, free holds blanked: equal means nothing has happened."""
        words = memoryview(self.region.dump(HOLD)).cast("Q")
        holds: list[tuple[int, ...]] = [(words[2],)]
        for at in range(HOLD_WORDS, len(words), HOLD_WORDS):
            entry = words[at : at + HOLD_WORDS].tolist()
            # Word 0 is the state, odd while open; word 1 links the free ones, the last is no one's.
            holds.append((entry[0], *entry[2:-1]) if entry[0] & 1 else (entry[0],))
        journal_bytes = self.region.dump(JOURNAL)
        tail, reserved, ledger_us = memoryview(journal_bytes[:24]).cast("Q")
        ring = journal_bytes[CONTROL_BYTES + self.first : CONTROL_BYTES + tail]
        return (
            self.region.dump(ACCOUNT),
            self.region.dump(BUDGET),
            tuple(holds),
            (tail, reserved, ledger_us),
            ring,
        )

    def check(self, books: Books) -> None:
        """Every account and budget is what its journal comes to."""
        for number in range(16):
            seen = self.clerk.accounts.account(0, number)
            assert seen is not None
            said = books.account(number)
            assert (seen.balance, seen.held, seen.floor) == (said.balance, said.held, said.floor)
            lots = [(lot.amount, lot.held, lot.expiry_us) for lot in said.lots]
            assert [tuple(lot) for lot in seen.lots] == lots
            budget = self.clerk.accounts.budget(number)
            assert budget is not None
            cells = [*budget.days, *budget.months, budget.total]
            places = [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]
            said_cells = [books.budget(number).cell(*place) for place in places]
            assert [tuple(cell) for cell in cells] == [(c.window, c.used, c.held) for c in said_cells]
            assert budget.caps == books.budget(number).caps
        assert self.clerk.credit.open_holds() == len(books.open)
        assert sorted(one.amount for one in self.clerk.credit.holds_open()) == sorted(
            hold.amount for hold in books.open.values()
        )
