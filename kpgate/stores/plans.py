"""What plans still have to bring about, as the ledger stands. Order: the clerk's alone."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import apsw

from kpgate.domain.errors import StoreUnavailable

RETRY_US = 250_000


class Due(NamedTuple):
    """A grant that a party was not given yet. Units: microKPT."""

    number: int
    party: str
    amount: int
    plan: str


class SqlitePlans:
    """Plans beside the ledger."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def due(self, month: str, count: int, party: str = "") -> Sequence[Due]:
        """Some of the subscribers for whom no grant of a month was asked yet; of all, or one of them."""
        statement = """
            SELECT parties.number, parties.name, plans.grant_amount, plans.name FROM plans
            JOIN parties ON parties.plan = plans.number
            LEFT JOIN operations ON operations.id = 'plan:' || parties.number || ':' || ?
            WHERE plans.kind = 'subscription' AND operations.id IS NULL AND ? IN ('', parties.name) LIMIT ?
        """
        return [Due(*row) for row in self._rows(statement, (month, party, count))]

    def lines(self, count: int, party: str = "") -> Sequence[tuple[str, int]]:
        """Some of the parties whose credit line is not their plan's, and what that is; of all, or one of them."""
        statement = """
            SELECT parties.name, plans.line FROM plans JOIN parties ON parties.plan = plans.number
            LEFT JOIN accounts ON accounts.party = parties.number AND accounts.kind = 'spend'
            WHERE coalesce(accounts.floor, 0) <> -plans.line AND ? IN ('', parties.name) LIMIT ?
        """
        return [(name, line) for name, line in self._rows(statement, (party, count))]

    def _rows(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except apsw.Error as error:
            raise StoreUnavailable("the store of plans does not answer", retry_after_us=RETRY_US) from error
