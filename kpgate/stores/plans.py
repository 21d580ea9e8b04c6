"""What plans still have to bring about, as the ledger stands. Order: the clerk's alone."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import apsw

from kpgate.domain.errors import StoreUnavailable

RETRY_US = 250_000


class Due(NamedTuple):
    """What a party's plan has not brought about yet. Shape: `grant` is 0 and `line` None where that stands.

    Units: microKPT.
    """

    number: int
    party: str
    plan: str
    grant: int
    line: int | None


class SqlitePlans:
    """Plans beside the ledger."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def due(self, month: str, after: int, count: int) -> Sequence[Due]:
        """Some of the parties with something due, in the order of their numbers, from after one on."""
        return self._due("AND parties.number > ? ORDER BY parties.number LIMIT ?", (month, after, count))

    def due_to(self, month: str, party: str) -> Sequence[Due]:
        """What is due to one party: nothing, or one."""
        return self._due("AND parties.name = ?", (month, party))

    def _due(self, which: str, values: tuple[Any, ...]) -> Sequence[Due]:
        statement = f"""
            SELECT parties.number, parties.name, plans.name,
                iif(plans.kind = 'subscription' AND operations.id IS NULL, plans.grant_amount, 0) AS due_grant,
                iif(coalesce(accounts.floor, 0) <> -plans.line, plans.line, NULL) AS due_line
            FROM parties JOIN plans ON plans.number = parties.plan
            LEFT JOIN operations ON operations.id = 'plan:' || parties.number || ':' || ?
            LEFT JOIN accounts ON accounts.party = parties.number AND accounts.kind = 'spend'
            WHERE parties.plan IS NOT NULL AND (due_grant <> 0 OR due_line IS NOT NULL) {which}
        """
        return [Due(*row) for row in self._rows(statement, values)]

    def _rows(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except apsw.Error as error:
            raise StoreUnavailable("the store of plans does not answer", retry_after_us=RETRY_US) from error
