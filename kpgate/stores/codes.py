"""Redemption codes in SQLite, and what the ledger says became of them. Order: the clerk's alone."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import apsw

from kpgate.domain.errors import Internal, StoreUnavailable

RETRY_US = 250_000
_FIELDS = """
    codes.number, codes.id, codes.amount, codes.memo, codes.created_us, codes.expires_us, codes.grant_expires_us,
    codes.revoked_us, parties.name, transfers.time_us
"""
# The one operation of a code that was not refused, and who its first transfer went to.
_CODES = f"""
    SELECT {_FIELDS} FROM codes
    LEFT JOIN operations ON operations.id >= 'code:' || codes.id || ':'
        AND operations.id < 'code:' || codes.id || ';' AND operations.code = ''
    LEFT JOIN transfers ON transfers.lsn = operations.lsn AND transfers.part = 0
    LEFT JOIN accounts ON accounts.number = transfers.credit
    LEFT JOIN parties ON parties.number = accounts.party
"""


class Code(NamedTuple):
    """A code. Units: instants are microseconds since 1970, 0 for never. Shape: `party` redeemed it, None is nobody."""

    number: int
    id: str
    amount: int
    memo: str
    created_us: int
    expires_us: int
    grant_expires_us: int
    revoked_us: int
    party: str | None
    redeemed_us: int | None


class SqliteCodes:
    """The codes beside the ledger."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def find(self, digest: bytes) -> Code | None:
        """The code of this hash."""
        rows = self._rows(f"{_CODES} WHERE codes.digest = ?", (digest,))
        return Code(*rows[0]) if rows else None

    def get(self, code_id: str) -> Code | None:
        """The code of this id."""
        rows = self._rows(f"{_CODES} WHERE codes.id = ?", (code_id,))
        return Code(*rows[0]) if rows else None

    def select(self, after: int, count: int) -> Sequence[Code]:
        """So many codes in the order of their numbers."""
        statement = f"{_CODES} WHERE codes.number > ? ORDER BY codes.number LIMIT ?"
        return [Code(*row) for row in self._rows(statement, (after, count))]

    def tries(self, code_id: str) -> int:
        """How often redeeming it was refused."""
        statement = "SELECT count(*) FROM operations WHERE id >= ? AND id < ? AND code <> ''"
        return int(self._rows(statement, (f"code:{code_id}:", f"code:{code_id};"))[0][0])

    def batch(self, operation_id: str) -> tuple[bytes, int] | None:
        """The hash of what was asked when this batch was made, and until when its codes serve."""
        rows = self._rows("SELECT content, expires_us FROM codes WHERE batch = ? LIMIT 1", (operation_id,))
        return (bytes(rows[0][0]), rows[0][1]) if rows else None

    def add(
        self, batch: str, content: bytes, made: Iterable[tuple[str, bytes]], terms: Sequence[Any]
    ) -> None:
        """Keep a batch. Shape: `made` are ids and hashes; `terms` amount, memo and the three instants."""
        statement = """
            INSERT INTO codes (id, digest, amount, memo, created_us, expires_us, grant_expires_us, batch, content)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
        """
        for code_id, digest in made:
            self._rows(statement, (code_id, digest, *terms, batch, content))

    def revoke(self, code_id: str, now_us: int) -> None:
        """End a code, once."""
        self._rows("UPDATE codes SET revoked_us = ? WHERE id = ? AND revoked_us = 0", (now_us, code_id))

    def _rows(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except apsw.ConstraintError as error:
            raise Internal("a code was to be kept twice") from error
        except apsw.Error as error:
            raise StoreUnavailable("the store of codes does not answer", retry_after_us=RETRY_US) from error
