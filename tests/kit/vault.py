"""A ledger for tests: the clerk's treasury over accounts said plainly, with the store that it posts to.

The accounts are the oracle's, so nothing here is compiled but the names of codes; the journal is a list.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kpgate._fast.account import AccountState, LotState
from kpgate._fast.charge import Charge
from kpgate.domain.batch import Entry
from kpgate.domain.errors import StoreUnavailable
from kpgate.domain.ledger import End, Hold, Leg, note_end, note_hold, write_end, write_hold, write_transfer
from kpgate.domain.management import Answer
from kpgate.domain.money import MoneyOperation
from kpgate.domain.price import Price, Share
from kpgate.domain.usage import Usage
from kpgate.services.receipts import Receipts
from kpgate.services.treasury import Tools, Treasury
from kpgate.stores.ledger import SqliteLedger
from kpgate.stores.log import SqliteLog
from kpgate.stores.lots import SqliteLots
from kpgate.stores.sqlite import SqliteStore
from tests.kit.oracle import credit as plain

NOON_US = 1_767_182_400_000_000
"""Noon of 31 December 2025: a day and a month end soon."""
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
LIFE_US = 1 << 60
SHARES = (Share("writer", 3_333), Share("reader", 1))
PRICE = Price(input=1, output=1, cached=1, reasoning=1, audio_input=1, audio_output=1, image=1, shares=SHARES)


class _Made(list[plain.Entry]):
    """Entries as they are made. `tell` is told of each."""

    def __init__(self, tell: Callable[[int, plain.Entry], None]) -> None:
        # An LSN is never 0: that is none.
        super().__init__([plain.Entry(0, 0, 0)])
        self._tell = tell

    def append(self, entry: plain.Entry) -> None:
        super().append(entry)
        self._tell(len(self) - 1, entry)


@dataclass
class Vault:
    """Accounts in the region, and the journal they write. `now_us` is the clock, `refusing` a code instead of any,
    `party_of` says whose an account is."""

    now_us: int = 1
    refusing: int = 0
    note: bytes = b""
    entries: list[Entry] = field(default_factory=list)
    party_of: Callable[[int], int] = lambda account: 1

    def __post_init__(self) -> None:
        self.oracle = plain.Oracle(1 << 30, NOON_US, LIFE_US, made=_Made(self._write))

    def _write(self, lsn: int, entry: plain.Entry) -> None:
        party = self.party_of(entry.account) if entry.account else 0
        self.entries.append((lsn, entry.kind, spell(entry, party, self.note)))

    def account(self, now_us: int, number: int) -> AccountState | None:
        account = self.oracle.books.account(number)
        free, _ = account.free(self.oracle.now(now_us))
        lots = tuple([LotState(lot.amount, lot.held, lot.expiry_us) for lot in account.lots])
        return AccountState(account.balance, account.held, free, account.floor, lots, 0)

    def set_floor(self, number: int, floor: int) -> int:
        if not self.refusing:
            self.oracle.books.account(number).floor = floor
        return self.refusing

    def set_caps(self, number: int, caps: tuple[int, int, int]) -> int:
        if not self.refusing:
            self.oracle.books.budget(number).caps = caps
        return self.refusing

    def transfer(
        self, now_us: int, legs: tuple[plain.Leg, ...], forced: bool, note: bytes
    ) -> tuple[int, int]:
        return self._noted(note, lambda: self.oracle.transfer(now_us, legs, forced))

    def expire(self, now_us: int, account: int, slot: int, amount: int, note: bytes) -> tuple[int, int]:
        return self._noted(note, lambda: self.oracle.expire(now_us, account, slot, amount))

    def _noted(self, note: bytes, act: Callable[[], int]) -> tuple[int, int]:
        self.note = note
        code = self.refusing or act()
        return code, 0 if code else len(self.oracle.made) - 1

    def hold(self, account: int, amount: int, budgets: tuple[int, ...] = (), version: int = 1) -> int:
        """A call's id; 0 where it is refused."""
        self.note = note_hold("request", "model", version, 1, 1, 10_000)
        if self.oracle.hold(self.now_us, 0, account, budgets, amount).code:
            return 0
        return len(self.oracle.made) - 1

    def extend(self, call: int, amount: int) -> bool:
        return self.oracle.extend(self.now_us, 0, call, amount).code == 0

    def record_meter(self, call: int, amount: int) -> None:
        """What was used so far goes into the journal."""
        self.oracle._make(plain.Entry(plain.METER, call, self.oracle.now(self.now_us), amount))

    def end(self, call: int, actual: int, version: int = 1) -> None:
        """Charge, or with -1 charge nothing."""
        self.note = note_end("provider", "deployment", 1, 200, version, Usage(actual, 0))
        self.oracle.end(self.now_us, call, actual, 0)


def spell(entry: plain.Entry, party: int, note: bytes) -> bytes:
    """The bytes of an entry's body."""
    if entry.kind == plain.HOLD:
        budgets = tuple([(*budget, 0) for budget in entry.budgets])
        hold = Hold(
            entry.call, entry.time_us, entry.amount, entry.account, party, 0, 0, entry.lots, budgets, note
        )
        return write_hold(hold)
    if entry.kind == plain.EXTEND:
        return struct.pack("<QQq4q", entry.call, entry.time_us, entry.amount, *entry.lots)
    if entry.kind == plain.METER:
        return struct.pack("<QQq", entry.call, entry.time_us, entry.amount)
    if entry.kind in (plain.POST, plain.VOID):
        posted = entry.kind == plain.POST
        said = (entry.amount, entry.overrun, entry.lots, entry.reason, note)
        return write_end(End(0, entry.call, entry.time_us, *said, posted))
    return write_transfer(entry.time_us, [Leg(*leg) for leg in entry.legs], note)


class NoLeaves:
    """A log of receipts that keeps none."""

    def __init__(self) -> None:
        self.count = 0
        self.failing = False
        self.forgotten = 0

    def append(self, ledger: SqliteLedger, charges: Any) -> int:
        if self.failing:
            raise StoreUnavailable("no leaf can be kept")
        assert all(isinstance(charge, Charge) for charge in charges)
        self.count += len(charges)
        return self.count - len(charges)

    def forget(self) -> None:
        self.forgotten += 1


class Signer:
    """A key that signs nothing."""

    id = "key"

    def sign(self, message: bytes) -> bytes:
        return b""


class Office:
    """A treasury at work over a store in memory, or at a path."""

    def __init__(self, path: str = ":memory:", *, accounts_max: int = 1000) -> None:
        self.vault = Vault()
        self.store = SqliteStore(path)
        self.leaves = NoLeaves()
        self.ledger = SqliteLedger(self.store.connection, self.leaves)
        self.version = self.store.number("price", [PRICE.terms])[PRICE.terms]
        self.vault.party_of = self._owner
        self.failing = False
        self.published = 0
        self._asked = 0
        self._accounts_max = accounts_max
        self._hire()

    def _hire(self) -> None:
        log = SqliteLog(self.store.connection)
        self.treasury = Treasury(
            Tools(
                vault=self.vault,
                ledger=self.ledger,
                lots=SqliteLots(self.store.connection),
                receipts=Receipts(log, lambda origin: b"s" * 32, Signer(), self.time_us),
                books=self,
                keys=self.store,
                clock=lambda: self.vault.now_us,
                publish=self.publish,
                time_us=self.time_us,
                accounts_max=self._accounts_max,
            )
        )

    def time_us(self) -> int:
        return self.vault.oracle.now(self.vault.now_us)

    def _owner(self, account: int) -> int:
        """An account's party, by number."""
        rows = self.store.connection.execute("SELECT party FROM accounts WHERE number = ?", (account,))
        return int(str(rows.fetchall()[0][0]))

    def publish(self) -> bool:
        self.published += 1
        return True

    def post_all(self) -> None:
        """Post what is in the journal and not yet in the store."""
        if self.failing:
            raise StoreUnavailable("the journal cannot be synced")
        cursor = self.ledger.cursor
        fresh = [entry for entry in self.vault.entries if entry[0] >= cursor]
        if fresh:
            self.ledger.post(fresh, fresh[-1][0] + 1)

    def restart(self) -> None:
        """All processes went, and a start finds what is in the journal and in the store."""
        self.post_all()
        self.ledger = SqliteLedger(self.store.connection, self.leaves)
        made = self.vault.oracle.made
        for end in self.ledger.lost(void=False):
            lots = (end.lots[0], end.lots[1], end.lots[2], end.lots[3])
            kind = plain.POST if end.posted else plain.VOID
            self.vault.note = b""
            made.append(plain.Entry(kind, end.call, end.time_us, end.amount, 0, lots, reason=end.reason))
        self.post_all()
        self.vault.oracle.books = books = plain.Books(ledger_us=self.ledger.last_us)
        for row in self.ledger.accounts():
            account = books.account(row.number)
            account.balance, account.floor = row.balance, row.floor
            for slot, amount, expires_us in row.lots:
                account.lots[slot] = plain.Lot(amount, 0, expires_us)
        for budget in self.ledger.budgets():
            books.budget(budget.number).caps = budget.caps
            for period, window, used in budget.uses:
                books.budget(budget.number).cells[period, window % 2] = plain.Cell(window, used)
        self._hire()

    def answer(self, operation: MoneyOperation) -> Answer:
        return self.treasury.answer(operation)

    def do(self, kind: type[Any], **fields: Any) -> Answer:
        """Carry an operation out under an id of its own."""
        self._asked += 1
        return self.answer(kind(id=f"request-{self._asked}", **fields))

    def account_of(self, party: str) -> int:
        number = self.ledger.number_of(f"spend:{party}")
        assert number is not None
        return number

    def close(self) -> None:
        self.store.close()
