"""A ledger's store as it is checked: what its tables come to, read at one instant.

The connection may be one that cannot write, to a copy or to a store that is in use; nothing here changes anything.
"""

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import apsw

from kpgate.domain.errors import StoreUnavailable
from kpgate.domain.ledger import Hold, read_hold
from kpgate.domain.price import Price
from kpgate.domain.price_step import read_terms
from kpgate.domain.standing import ChargeRow, LotMove, Part, Sums
from kpgate.domain.tenancy import OF_A_TOKEN, Tenants

RETRY_US = 250_000
_CHARGES = "SELECT call, lsn, party, account, amount, refunded, hold, post FROM charges"
_PARTS = "SELECT part, kind, debit, credit, amount, time_us, call, memo FROM transfers"
_NEWEST = """
    SELECT max(lsn) FROM (
        SELECT max(lsn) AS lsn FROM charges UNION ALL SELECT max(lsn) FROM operations
        UNION ALL SELECT max(lsn) FROM transfers UNION ALL SELECT max(lsn) FROM lot_moves WHERE part >= 0
    )
"""
_OF_CALLS = "kind IN ('share', 'charge', 'overrun')"
# What the gateway takes by itself nobody asked for.
_UNDONE = f"""
    SELECT DISTINCT lsn FROM transfers WHERE NOT {_OF_CALLS} AND kind <> 'expire'
    AND lsn NOT IN (SELECT lsn FROM operations)
"""
_UNMOVED = "SELECT id FROM operations WHERE lsn > 0 AND lsn NOT IN (SELECT lsn FROM transfers)"
_ASTRAY = """
    SELECT transfers.lsn FROM transfers JOIN charges ON charges.call = transfers.call
    WHERE kind = 'refund' AND credit <> account
"""
_MISTAKEN = f"""
    SELECT number FROM budgets WHERE kind = {OF_A_TOKEN} AND NOT EXISTS (
        SELECT 1 FROM tokens WHERE tokens.number = owner AND budget = budgets.number
        AND tokens.tag = budgets.tag AND cap = total
    )
"""
_MISNAMED = """
    SELECT accounts.name FROM accounts LEFT JOIN parties ON parties.number = party
    WHERE CASE kind WHEN 'house' THEN party IS NOT NULL OR accounts.name NOT LIKE 'house:%'
    ELSE accounts.name IS NOT kind || ':' || parties.name END
"""


_NO_MORE = (1 << 63,)


class SqliteStanding:
    """What a ledger's tables say. Order: within `at_one_instant`."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._prices: dict[int, Price | None] = {}
        self._terms: dict[int, str] = {}

    @contextmanager
    def at_one_instant(self) -> Iterator["SqliteStanding"]:
        """All that is read inside is of one instant, whatever is posted meanwhile.

        Errors: StoreUnavailable.
        """
        try:
            with self._connection:
                yield self
        except apsw.Error as error:
            raise StoreUnavailable("the ledger's store does not answer", retry_after_us=RETRY_US) from error

    def sums(self) -> Sums:
        """What the tables come to."""
        moved = """
            SELECT account, sum(amount) FROM (
                SELECT credit AS account, amount FROM transfers UNION ALL SELECT debit, -amount FROM transfers
            ) GROUP BY account
        """
        accounts = self._rows("SELECT number, name, balance FROM accounts")
        lots = self._rows("SELECT account, slot, amount, expires_us FROM lots")
        put = """
            SELECT account, slot, sum(delta), coalesce(max(lsn) FILTER (WHERE part < 0), 0) FROM lot_moves
            GROUP BY account, slot
        """
        newest = "SELECT account, slot, expires_us FROM lot_moves WHERE expires_us ORDER BY lsn, part"
        uses = self._rows("SELECT budget, period, window, used FROM budget_uses")
        opened, unread = self._open()
        wrong = self._rows("SELECT DISTINCT lsn FROM transfers WHERE amount <= 0 OR debit = credit")
        cursor, last_us = self._rows("SELECT cursor, last_us FROM ledger")[0]
        return Sums(
            cursor=cursor,
            last_us=last_us,
            newest=self._rows(_NEWEST)[0][0] or 0,
            undone=self._firsts(_UNDONE),
            unmoved=self._firsts(_UNMOVED),
            astray=self._firsts(_ASTRAY),
            misnamed=self._firsts(_MISNAMED),
            mistaken=self._firsts(_MISTAKEN),
            tenants=self._tenants(),
            accounts={number: (name, balance) for number, name, balance in accounts},
            moved=dict(self._rows(moved)),
            counts=dict(self._rows("SELECT kind, count(*) FROM transfers GROUP BY kind")),
            wrong=[lsn for (lsn,) in wrong],
            refunded=dict(
                self._rows("SELECT call, sum(amount) FROM transfers WHERE kind = 'refund' GROUP BY call")
            ),
            lots={(account, slot): (amount, expires_us) for account, slot, amount, expires_us in lots},
            put={(account, slot): (delta, since) for account, slot, delta, since in self._rows(put)},
            ends={(account, slot): expires_us for account, slot, expires_us in self._rows(newest)},
            lots_since=self._rows("SELECT coalesce(max(lsn), 0) FROM lot_moves WHERE part < 0")[0][0],
            uses={(budget, period, window): used for budget, period, window, used in uses},
            caps={
                (budget, tag): cap for budget, tag, cap in self._rows("SELECT budget, tag, cap FROM tokens")
            },
            open=opened,
            unread=unread,
        )

    def _open(self) -> tuple[dict[int, tuple[Hold, int]], list[int]]:
        """Holds that are open and what was metered, by call; and calls whose hold cannot be read."""
        found, unread = {}, []
        for call, body, metered in self._rows("SELECT call, body, metered FROM open_holds"):
            try:
                found[call] = (read_hold(call, body), metered)
            except struct.error:
                unread.append(call)
        return found, unread

    def _tenants(self) -> Tenants:
        accounts = self._rows("SELECT number, kind, party FROM accounts")
        budgets = self._rows("SELECT number, kind, owner FROM budgets")
        tokens = self._rows("SELECT budget, tag, key FROM tokens")
        return Tenants(
            {number: (kind, party) for number, kind, party in accounts},
            dict(self._rows("SELECT number, party FROM keys")),
            {number: (kind, owner) for number, kind, owner in budgets},
            {(budget, tag): key for budget, tag, key in tokens},
        )

    def charges(self) -> Iterator[tuple[ChargeRow, list[Part]]]:
        """Every charge with its transfers, in the order of entries."""
        moved = iter(self._connection.execute(f"SELECT lsn, {_PARTS[7:]} ORDER BY lsn, part"))
        lsn, *part = next(moved, _NO_MORE)
        for row in self._connection.execute(f"{_CHARGES} ORDER BY lsn"):
            found = ChargeRow(*row)
            parts: list[Part] = []
            while lsn <= found.lsn:
                if lsn == found.lsn:
                    parts.append(tuple(part))
                lsn, *part = next(moved, _NO_MORE)
            yield found, parts

    def charge(self, call: int) -> ChargeRow | None:
        """One call's charge."""
        rows = self._rows(f"{_CHARGES} WHERE call = ?", (call,))
        return ChargeRow(*rows[0]) if rows else None

    def parts(self, lsn: int) -> Sequence[Part]:
        """The transfers of one entry, in order."""
        return self._rows(f"{_PARTS} WHERE lsn = ? ORDER BY part", (lsn,))

    def operation(self, request_id: str) -> tuple[bytes, int, str, str, str] | None:
        """What was asked under an id, by its hash, with which entry, and why it was refused: code, words, field."""
        statement = "SELECT content, lsn, code, message, coalesce(param, '') FROM operations WHERE id = ?"
        rows = self._rows(statement, (request_id,))
        return rows[0] if rows else None

    def lot_moves(self, lsn: int) -> Sequence[LotMove]:
        """What one entry put into lots and took out, in order, but for a charge."""
        statement = """
            SELECT part, account, slot, delta, expires_us FROM lot_moves WHERE lsn = ? AND part >= 0 ORDER BY part
        """
        return self._rows(statement, (lsn,))

    def price(self, version: int) -> Price | None:
        """The terms of a price version."""
        if version not in self._prices:
            terms = self.terms(version)
            self._prices[version] = read_terms(terms) if terms else None
        return self._prices[version]

    def terms(self, version: int) -> str:
        """How they are spelled, which no reading and writing again may change; empty where there is none."""
        if version not in self._terms:
            rows = self._rows("SELECT name FROM numbers WHERE kind = 'price' AND number = ?", (version,))
            self._terms[version] = rows[0][0] if rows else ""
        return self._terms[version]

    def _firsts(self, statement: str) -> list[Any]:
        """The one column of some rows."""
        return [first for (first,) in self._rows(statement)]

    def _rows(self, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
        return self._connection.execute(statement, values).fetchall()
