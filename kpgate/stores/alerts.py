"""Alerts in SQLite: how far budgets and accounts are used, and what is still to be sent. Order: the clerk's alone."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import apsw

from kpgate.domain.errors import StoreUnavailable

RETRY_US = 250_000
KEPT_US = 100 * 86_400_000_000
"""How long what was sent is remembered, where its window ends: longer than a window is looked at."""


class Spent(NamedTuple):
    """How far a budget is used in a window. Shape: `party` or `key` is empty. Units: microKPT."""

    budget: int
    period: int
    window: int
    party: str
    key: str
    cap: int
    used: int


class Low(NamedTuple):
    """What an account has. Shape: `credited` is the entry that credited it last, 0 for none. Units: microKPT."""

    account: int
    party: str
    balance: int
    floor: int
    credited: int


class Kept(NamedTuple):
    """An alert to be kept. Shape: `ended` is empty for one that is to be sent."""

    id: str
    period: int
    body: str
    ended: str


class Waiting(NamedTuple):
    """An alert that is still to be sent. Units: `made_us` microseconds since 1970."""

    id: str
    body: str
    made_us: int
    tries: int


_SPENT = """
    SELECT budgets.number, uses.period, uses.window, coalesce(parties.name, ''), coalesce(keys.id, ''),
        CASE uses.period WHEN 0 THEN budgets.day WHEN 1 THEN budgets.month ELSE budgets.total END AS cap, uses.used
    FROM budget_uses AS uses JOIN budgets ON budgets.number = uses.budget
    LEFT JOIN keys ON budgets.kind = 0 AND keys.number = budgets.owner
    LEFT JOIN parties ON budgets.kind = 1 AND parties.number = budgets.owner
    WHERE cap > 0 AND budgets.kind < 2
"""


_LOW = """
    SELECT accounts.number, parties.name, balance, floor, coalesce((
        SELECT lsn FROM transfers WHERE credit = accounts.number AND transfers.kind <> 'refund'
        ORDER BY lsn DESC LIMIT 1
    ), 0) AS credited
    FROM accounts JOIN parties ON parties.number = accounts.party
    WHERE accounts.kind = 'spend' AND balance - floor < ? AND (credited OR floor)
"""


class SqliteAlerts:
    """Alerts beside the ledger."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def spent(self, which: Iterable[tuple[int, int, int]]) -> Sequence[Spent]:
        """How far budgets are used in some windows. Shape: (budget, period, window)."""
        one = f"{_SPENT} AND uses.budget = ? AND uses.period = ? AND uses.window = ?"
        return [Spent(*row) for key in which for row in self._rows(one, key)]

    def spent_since(self, day: int, month: int) -> Sequence[Spent]:
        """How far budgets are used from a day and a month on, and in all."""
        since = f"{_SPENT} AND uses.window >= CASE uses.period WHEN 0 THEN ? WHEN 1 THEN ? ELSE 0 END"
        return [Spent(*row) for row in self._rows(since, (day, month))]

    def low(self, below: int, which: Iterable[int]) -> Sequence[Low]:
        """Accounts with less left than `below`, of some, that ever had anything."""
        one = f"{_LOW} AND accounts.number = ?"
        return [Low(*row) for number in which for row in self._rows(one, (below, number))]

    def all_low(self, below: int) -> Sequence[Low]:
        """The same of all."""
        return [Low(*row) for row in self._rows(_LOW, (below,))]

    def keep(self, alert: Kept, now_us: int) -> bool:
        """Keep an alert, to be sent from now on; whether it is a new one."""
        statement = """
            INSERT INTO alerts (id, period, body, ended, made_us, next_us) VALUES (?1, ?2, ?3, ?4, ?5, ?5)
            ON CONFLICT DO NOTHING RETURNING 1
        """
        return bool(self._rows(statement, (*alert, now_us)))

    def due(self, now_us: int, count: int) -> Sequence[Waiting]:
        """Some of what is to be sent now, the longest due first."""
        statement = """
            SELECT id, body, made_us, tries FROM alerts WHERE ended = '' AND next_us <= ?
            ORDER BY next_us LIMIT ?
        """
        return [Waiting(*row) for row in self._rows(statement, (now_us, count))]

    def again(self, alert: str, next_us: int) -> None:
        """It was not taken in: to be sent again then."""
        self._rows("UPDATE alerts SET tries = tries + 1, next_us = ? WHERE id = ?", (next_us, alert))

    def end(self, alert: str, ended: str, now_us: int) -> None:
        """It was taken in, or given up. What is long past is forgotten."""
        self._rows("UPDATE alerts SET tries = tries + 1, ended = ? WHERE id = ?", (ended, alert))
        self._rows("DELETE FROM alerts WHERE ended <> '' AND period < 2 AND made_us < ?", (now_us - KEPT_US,))

    def _rows(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except apsw.Error as error:
            raise StoreUnavailable("the store of alerts does not answer", retry_after_us=RETRY_US) from error
