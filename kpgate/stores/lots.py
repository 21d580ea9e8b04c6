"""Grants that end, in SQLite: which have ended, which a charge was paid from, and what operations made of them.

What changes them is the ledger's posting alone.
"""

from typing import Any

import apsw

from kpgate.domain.errors import StoreUnavailable
from kpgate.domain.ledger import CODE

RETRY_US = 250_000


class SqliteLots:
    """Lots, by account and slot."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def ended(self, time_us: int) -> list[tuple[int, int]]:
        """Grants whose time is over and that are not used up: (account, slot)."""
        statement = "SELECT account, slot FROM lots WHERE amount > 0 AND expires_us <= ?"
        return [(account, slot) for account, slot in self._rows(statement, (time_us,))]

    def ends(self, account: int, lsn: int) -> dict[int, int]:
        """When the lots end that an account had before an entry, by slot.

        Shape: without those of a time when what moved lots was not yet written down.
        """
        moved = """
            SELECT slot, expires_us FROM lot_moves WHERE account = ? AND lsn < ? AND expires_us ORDER BY lsn, part
        """
        return dict(self._rows(moved, (account, lsn)))

    def given(self, operation: str, account: int) -> int | None:
        """When that ends which an operation gave an account, the first of it; 0 for never, None where it gave nothing.

        Shape: of a redeemed code its id is enough.
        """
        is_code = operation.startswith(CODE)
        values = (operation, f"{operation}:" if is_code else "", f"{operation};" if is_code else "", account)
        first = self._rows(_GIVEN.format("min(expires_us)", "lot_moves", "delta > 0 AND account"), values)[0][
            0
        ]
        if first is not None:
            return int(first)
        return 0 if self._rows(_GIVEN.format("count(*)", "transfers", "credit"), values)[0][0] else None

    def returned(self, lsn: int) -> tuple[int, int]:
        """What the entry of a refund gave back, and what of that had ended and is nobody's."""
        sums = """
            SELECT coalesce(sum(amount) FILTER (WHERE kind = 'refund'), 0),
                coalesce(sum(amount) FILTER (WHERE kind = 'expire'), 0) FROM transfers WHERE lsn = ?
        """
        refunded, ended = self._rows(sums, (lsn,))[0]
        return refunded, ended

    def _rows(self, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except apsw.Error as error:
            raise StoreUnavailable("the ledger's store does not answer", retry_after_us=RETRY_US) from error


_GIVEN = """
    SELECT {} FROM operations JOIN {} USING (lsn)
    WHERE (id = ?1 OR (id >= ?2 AND id < ?3)) AND lsn > 0 AND {} = ?4
"""
