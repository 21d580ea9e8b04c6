"""The ledger in SQLite: what the journal amounts to, posted in its order, in transactions that carry the cursor.

Order: one writer, the clerk; before its first post the journal's past is read from `cursor` on.
"""

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, NamedTuple, Protocol

import apsw

from kpgate._fast.charge import Charge, rows_of
from kpgate.domain.batch import Batch, Entry
from kpgate.domain.errors import GatewayError, Internal, StoreUnavailable
from kpgate.domain.ledger import (
    EARN,
    OF_TOKEN,
    OF_TOTAL,
    REVENUE,
    SPEND,
    End,
    Hold,
    lost_end,
    read_hold,
    time_of,
)
from kpgate.domain.price import Price
from kpgate.domain.price_step import read_terms

RETRY_US = 250_000
ROWS = (50, 5, 1)
"""So many are inserted by one statement, as long as there are as many."""


class AccountRow(NamedTuple):
    """An account as the region is loaded with it. Shape: `lots` are (slot, amount, expires_us)."""

    number: int
    balance: int
    floor: int
    lots: tuple[tuple[int, int, int], ...]


class BudgetRow(NamedTuple):
    """A budget as the region is loaded with it. Shape: `uses` are (period, window, used); `tag` says whose it is."""

    number: int
    caps: tuple[int, int, int]
    uses: tuple[tuple[int, int, int], ...]
    tag: int = 0

    @property
    def total_used(self) -> int:
        """What was used of it in all, as long as it is of whom it is."""
        wanted = (OF_TOKEN, self.tag) if self.tag else (OF_TOTAL, 0)
        return sum(used for *which, used in self.uses if tuple(which) == wanted)


class Operated(NamedTuple):
    """A management operation that was answered. Shape: `code` is empty where it was done."""

    content: bytes
    lsn: int
    code: str
    message: str
    param: str | None


class Leaves(Protocol):
    """Keeps the log of receipts."""

    def append(self, ledger: "SqliteLedger", charges: Sequence[Charge]) -> int:
        """Make leaves of charges, inside the posting's transaction; the index of the first."""

    def forget(self) -> None:
        """The transaction failed."""


class SqliteLedger:
    """Balances, transfers, charges and budgets. `leaves` keeps the log of receipts."""

    def __init__(self, connection: apsw.Connection, leaves: Leaves) -> None:
        self._connection = connection
        self._leaves = leaves
        self._terms: dict[int, str] = {}
        self._numbers: dict[str, int] = {}
        self._prices: dict[int, Price] = {}
        self._open: dict[int, bytes] = {}
        self._metered: dict[int, int] = {}
        self._cursor = 0
        self._spent: set[tuple[int, int, int]] = set()
        self._moved: set[int] = set()
        self._load()

    def _load(self) -> None:
        self._numbers = {}
        rows = self._rows("SELECT call, body, metered FROM open_holds")
        self._open = {call: body for call, body, _ in rows}
        self._metered = {call: metered for call, _, metered in rows if metered}
        self._cursor = self._rows("SELECT cursor FROM ledger")[0][0]

    @property
    def cursor(self) -> int:
        """Up to where the journal is posted."""
        return self._cursor

    @property
    def last_us(self) -> int:
        """The time of the newest entry that is posted."""
        return int(self._rows("SELECT last_us FROM ledger")[0][0])

    def take_spent(self) -> set[tuple[int, int, int]]:
        """The (budget, period, window) that were charged to, or given other caps, since this was last asked."""
        spent, self._spent = self._spent, set()
        return spent

    def take_moved(self) -> set[int]:
        """The accounts whose balance or credit line changed since this was last asked."""
        moved, self._moved = self._moved, set()
        return moved

    def begin_start(self) -> int:
        """The number of a new start."""
        return int(self._rows("UPDATE ledger SET start = start + 1 RETURNING start")[0][0])

    def post(self, entries: Sequence[Entry], cursor: int) -> None:
        """Post entries that are durable, and move the cursor beyond them, or nothing.

        Errors: StoreUnavailable; Internal where the entries do not follow what is posted.
        """
        if cursor < self._cursor or (
            entries and not self._cursor <= entries[0][0] <= entries[-1][0] < cursor
        ):
            raise Internal(f"entries to {cursor:#x} do not follow what is posted, to {self._cursor:#x}")
        batch = Batch(self._open, self._price, self._number)
        posted = False
        try:
            with _translated(), _uncollected(), self._connection:
                batch.take(entries)
                uses = batch.uses()
                self._write(batch, uses)
                newest = (time_of(kind, body) for _, kind, body in reversed(entries))
                self._move_on(cursor, next(filter(None, newest), 0))
            posted = True
        finally:
            if not posted:
                self._leaves.forget()
                self._load()
        self._cursor = cursor
        self._spent.update(uses)
        self._moved.update(batch.deltas)
        for call in batch.ended:
            self._open.pop(call, None)
            self._metered.pop(call, None)
        self._open.update(batch.opened)
        self._metered.update(batch.metered)

    def _write(self, batch: Batch, uses: dict[tuple[int, int, int], int]) -> None:
        connection, many = self._connection, self._connection.executemany
        if batch.charges:
            rows, moves = rows_of(batch.charges, self._leaves.append(self, batch.charges))
            insert(connection, _CHARGES, "(?,?,?,?,?,?,?,?)", rows)
            # What is the same in all of them is spelled out.
            insert(connection, _TRANSFERS, f"(?,0,'charge',?,{self._number(REVENUE)},?,?,?,'')", moves)
        insert(connection, _TRANSFERS, "(?,?,?,?,?,?,?,?,?)", list(chain.from_iterable(batch.transfers)))
        moved = [(delta, number) for number, delta in batch.deltas.items() if delta]
        many("UPDATE accounts SET balance = balance + ? WHERE number = ?", moved)
        many(
            "INSERT INTO lots VALUES (?1, ?2, ?3, ?4) ON CONFLICT (account, slot) DO UPDATE"
            " SET amount = amount + ?3, expires_us = iif(?4, ?4, expires_us)",
            [(*key, delta, expires_us) for key, (delta, expires_us) in batch.lots.items()],
        )
        many("INSERT INTO lot_moves VALUES (?, ?, ?, ?, ?, ?)", batch.lot_moves)
        many(
            "INSERT INTO budget_uses VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET used = used + ?4",
            [(*key, used) for key, used in uses.items() if used],
        )
        many("INSERT INTO operations (id, content, lsn) VALUES (?, ?, ?)", batch.operations)
        many("UPDATE charges SET refunded = refunded + ? WHERE call = ?", batch.refunds)
        many("DELETE FROM open_holds WHERE call = ?", [(call,) for call in batch.ended])
        opened = [
            (call, body, batch.metered.get(call, self._metered.get(call, 0)))
            for call, body in batch.opened.items()
        ]
        insert(
            connection,
            "INSERT OR REPLACE INTO open_holds VALUES ",
            "(?,?,?)",
            list(chain.from_iterable(opened)),
        )

    def _move_on(self, cursor: int, time_us: int) -> None:
        # Two that post cannot both find the cursor where they left it.
        moved_on = "UPDATE ledger SET cursor = ?, last_us = max(last_us, ?) WHERE cursor = ? RETURNING cursor"
        if not self._rows(moved_on, (cursor, time_us, self._cursor)):
            raise Internal("the ledger was posted to by another")

    def open_holds(self) -> dict[int, tuple[Hold, int]]:
        """Holds that are open at the cursor, by call, with what was last metered."""
        return {
            call: (read_hold(call, body), self._metered.get(call, 0)) for call, body in self._open.items()
        }

    def oldest_open(self, otherwise: int) -> int:
        """The first of the holds that are open at the cursor."""
        return min(self._open, default=otherwise)

    def lost(self, *, void: bool) -> list[End]:
        """How the holds end that are open at the cursor, where all processes went. `void`: nothing is charged."""
        standing: dict[int, dict[int, tuple[int, int]]] = {}
        for account, slot, *lot in self._rows("SELECT account, slot, expires_us, amount FROM lots"):
            standing.setdefault(account, {})[slot] = (lot[0], lot[1])
        now_us, ends = self.last_us, []
        for hold, metered in self.open_holds().values():
            lots = standing.setdefault(hold.account, {})
            end = lost_end(hold, 0 if void else metered, now_us, lots)
            lots.update(
                (slot, (lots[slot][0], lots[slot][1] - part)) for slot, part in enumerate(end.lots) if part
            )
            ends.append(end)
        return ends

    def _number(self, name: str) -> int:
        """The number of an account by name; a party's `earn` account is opened at first use."""
        number = self._numbers.get(name)
        if number is None:
            rows = self._rows("SELECT number FROM accounts WHERE name = ?", (name,))
            number = rows[0][0] if rows else self._open_earn(name)
            self._numbers[name] = number
        return number

    def _open_earn(self, name: str) -> int:
        kind, _, party = name.partition(":")
        if kind != EARN:
            raise Internal(f"no account is named {name[:100]!r}")
        return self.account(party, EARN)

    def account(self, party: str, kind: str = SPEND) -> int:
        """The number of a party's account, opened at first use, the party too. Order: within a transaction."""
        name = f"{kind}:{party}"
        rows = self._rows("SELECT number FROM accounts WHERE name = ?", (name,))
        if not rows:
            owner = self._rows("SELECT number FROM parties WHERE name = ?", (party,))
            if not owner:
                owner = self._rows("INSERT INTO parties (name) VALUES (?) RETURNING number", (party,))
            statement = "INSERT INTO accounts (name, kind, party) VALUES (?, ?, ?) RETURNING number"
            rows = self._rows(statement, (name, kind, owner[0][0]))
        return int(rows[0][0])

    def _price(self, version: int) -> Price | None:
        if not version:
            return None
        price = self._prices.get(version)
        if price is None and (terms := self.terms(version)):
            price = self._prices[version] = read_terms(terms)
        return price

    def terms(self, version: int) -> str:
        """The spelling of a price version. Shape: empty where there is none, as of version 0."""
        if not version or version in self._terms:
            return self._terms.get(version, "")
        rows = self._rows("SELECT name FROM numbers WHERE kind = 'price' AND number = ?", (version,))
        if not rows:
            return ""
        self._terms[version] = rows[0][0]
        return self._terms[version]

    # What the region is loaded with

    def accounts(self) -> Iterable[AccountRow]:
        """Every account that calls are charged to."""
        lots: dict[int, list[tuple[int, int, int]]] = {}
        for account, *lot in self._rows(
            "SELECT account, slot, amount, expires_us FROM lots WHERE amount > 0"
        ):
            lots.setdefault(account, []).append((lot[0], lot[1], lot[2]))
        for number, balance, floor in self._rows(
            "SELECT number, balance, floor FROM accounts WHERE kind = 'spend'"
        ):
            # A balance of 0 may be lots and as much that is owed.
            if balance or floor or number in lots:
                yield AccountRow(number, balance, floor, tuple(lots.get(number, ())))

    def budgets(self) -> Iterable[BudgetRow]:
        """Every budget, with its uses in the newest windows."""
        uses: dict[int, list[tuple[int, int, int]]] = {}
        newest = """
            SELECT budget, period, window, used FROM budget_uses AS this WHERE window >=
                (SELECT max(window) - 1 FROM budget_uses WHERE budget = this.budget AND period = this.period)
        """
        for budget, period, window, used in self._rows(newest):
            uses.setdefault(budget, []).append((period, window, used))
        for number, *caps, tag in self._rows("SELECT number, day, month, total, tag FROM budgets"):
            yield BudgetRow(number, (caps[0], caps[1], caps[2]), tuple(uses.get(number, ())), tag)

    # Operations

    def operation(self, request_id: str) -> Operated | None:
        """What became of an operation of this id."""
        statement = "SELECT content, lsn, code, message, param FROM operations WHERE id = ?"
        rows = self._rows(statement, (request_id,))
        return Operated(*rows[0]) if rows else None

    def keep_refusal(self, request_id: str, content: bytes, error: GatewayError) -> None:
        """Remember that an operation was refused, for good, and in which words."""
        self._rows(
            "INSERT INTO operations (id, content, code, message, param) VALUES (?, ?, ?, ?, ?)",
            (request_id, content, error.code, error.message, error.param),
        )

    def keep_done(self, request_id: str, content: bytes) -> None:
        """Remember that an operation without a transfer was done."""
        self._rows("INSERT INTO operations (id, content) VALUES (?, ?)", (request_id, content))

    def party(self, name: str) -> int | None:
        """A party's number."""
        rows = self._rows("SELECT number FROM parties WHERE name = ?", (name,))
        return rows[0][0] if rows else None

    def number_of(self, name: str) -> int | None:
        """An account's number."""
        rows = self._rows("SELECT number FROM accounts WHERE name = ?", (name,))
        return rows[0][0] if rows else None

    def owner(self, account: int) -> str | None:
        """The party that an account is of."""
        statement = "SELECT parties.name FROM accounts JOIN parties ON parties.number = party WHERE accounts.number = ?"
        rows = self._rows(statement, (account,))
        return rows[0][0] if rows else None

    def set_floor(self, number: int, floor: int) -> None:
        """Let an account go down to a balance."""
        self._rows("UPDATE accounts SET floor = ? WHERE number = ?", (floor, number))
        self._moved.add(number)

    def set_budget(self, kind: int, owner: int, caps: tuple[int, int, int]) -> int:
        """Give a key or party a budget; its number."""
        statement = """
            INSERT INTO budgets (kind, owner, day, month, total) VALUES (?1, ?2, ?3, ?4, ?5)
            ON CONFLICT (kind, owner) DO UPDATE SET day = ?3, month = ?4, total = ?5 RETURNING number
        """
        number = int(self._rows(statement, (kind, owner, *caps))[0][0])
        # What is used already is more of a lower cap.
        used = "SELECT budget, period, max(window) FROM budget_uses WHERE budget = ? GROUP BY period"
        self._spent.update(self._rows(used, (number,)))
        return number

    def caps(self, number: int) -> tuple[int, int, int]:
        """A budget's caps, of a day, a month and in all; 0 is none."""
        rows = self._rows("SELECT day, month, total FROM budgets WHERE number = ?", (number,))
        day, month, total = rows[0] if rows else (0, 0, 0)
        return day, month, total

    # Questions

    def balance(self, name: str) -> int:
        """What an account holds at the cursor; 0 where there is none."""
        rows = self._rows("SELECT balance FROM accounts WHERE name = ?", (name,))
        return int(rows[0][0]) if rows else 0

    def balances(self) -> dict[str, int]:
        """Every account's balance, by name."""
        return dict(self._rows("SELECT name, balance FROM accounts ORDER BY number"))

    def charge(self, call: int) -> tuple[int, int, int, Charge] | None:
        """A charged call: (party, leaf, refunded, charge); None where there is none."""
        rows = self._rows(
            "SELECT party, leaf, refunded, lsn, hold, post FROM charges WHERE call = ?", (call,)
        )
        if not rows:
            return None
        party, leaf, refunded, lsn, hold, post = rows[0]
        return party, leaf, refunded, Charge(lsn, hold, post)

    def statement(self, account: int, before: int, count: int) -> list[dict[str, Any]]:
        """An account's transfers, newest first, from before an LSN on (0: from the newest).

        Shape: at least `count` where there are as many; an entry's parts are never torn apart.
        """
        values = (account, before or _LSN_MAX, count)
        newest = self._rows(_NEWEST, values)
        since = newest[-1][0] if len(newest) == count else 0
        rows = self._rows(
            f"SELECT * FROM ({_MOVED}) WHERE lsn >= ?3 ORDER BY lsn DESC, part", (*values[:2], since)
        )
        names = ("lsn", "part", "kind", "amount", "time_us", "call", "memo")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def totals(self, account: int) -> dict[str, int]:
        """What all of an account's transfers come to, by kind: together its balance."""
        return dict(
            self._rows(f"SELECT kind, sum(amount) FROM ({_MOVED}) GROUP BY kind", (account, _LSN_MAX))
        )

    def _rows(self, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
        with _translated():
            return self._connection.execute(statement, values).fetchall()


_LSN_MAX = (1 << 63) - 1
# One that fails takes the whole transaction back: no statement keeps the pages it changes to take back its own rows.
_CHARGES = "INSERT OR FAIL INTO charges (call, lsn, party, account, amount, leaf, hold, post) VALUES "
_TRANSFERS = "INSERT OR FAIL INTO transfers VALUES "
# One search an index, merged: with OR, every transfer that an account ever had would be sorted.
_NEWEST = """
    SELECT lsn FROM transfers WHERE debit = ?1 AND lsn < ?2
    UNION ALL SELECT lsn FROM transfers WHERE credit = ?1 AND lsn < ?2 ORDER BY lsn DESC LIMIT ?3
"""
_MOVED = """
    SELECT lsn, part, kind, -amount AS amount, time_us, call, memo FROM transfers WHERE debit = ?1 AND lsn < ?2
    UNION ALL
    SELECT lsn, part, kind, amount, time_us, call, memo FROM transfers WHERE credit = ?1 AND lsn < ?2
"""


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        raise StoreUnavailable("the ledger's store does not answer", retry_after_us=RETRY_US) from error


@contextmanager
def _uncollected() -> Iterator[None]:
    """A batch makes ten thousands of objects that all live to its end: the collector would look at them in vain."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def insert(connection: apsw.Connection, statement: str, row: str, values: list[Any]) -> None:
    """Insert rows, many at once: what a statement costs beside its rows is more than a row.

    Shape: `statement` as far as its values; `row` with a question mark for each of `values` that it takes.
    """
    width, at = row.count("?"), 0
    for rows in ROWS:
        size = rows * width
        end = len(values) - (len(values) - at) % size
        many = [values[begin : begin + size] for begin in range(at, end, size)]
        connection.executemany(statement + ",".join([row] * rows), many)
        at = end
