"""The audit log in SQLite: rows are added, read and held against their hashes, and nothing else.

It shares the store's connection, so that a row is kept together with the change that it tells of.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import apsw
import msgspec

from kpgate.domain.audit import Actor, Entry, Page, link
from kpgate.domain.errors import StoreUnavailable

_FIELDS = "time_us, via, role, key, party, peer, request, act, about, outcome, number, hash"


class SqliteAudit:
    """The audit log over a connection of the store's."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def append(self, entry: Entry) -> Entry:
        """Add a row; it is given its number and its hash. Order: inside a transaction, or alone.

        Errors: StoreUnavailable.
        """
        number, before = self.head()
        entry = msgspec.structs.replace(entry, number=number + 1)
        entry = msgspec.structs.replace(entry, hash=link(before, entry))
        who = entry.actor
        values = (entry.time_us, who.via, who.role, who.key, who.party, who.peer, who.request)
        statement = f"INSERT INTO audit ({_FIELDS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        self._rows(statement, (*values, entry.act, entry.about, entry.outcome, entry.number, entry.hash))
        return entry

    def head(self) -> tuple[int, bytes]:
        """The newest row's number and hash; (0, empty) where there is none. Errors: StoreUnavailable."""
        rows = self._rows("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1", ())
        return rows[0] if rows else (0, b"")

    def hash_of(self, number: int) -> bytes:
        """A row's hash; empty where there is none. Errors: StoreUnavailable."""
        rows = self._rows("SELECT hash FROM audit WHERE number = ?", (number,))
        return bytes(rows[0][0]) if rows else b""

    def select(self, page: Page) -> Sequence[Entry]:
        """Rows, newest first. Errors: StoreUnavailable."""
        terms: list[str] = ["time_us >= ?"]
        values: list[int | str] = [page.since_us]
        for term, value in (("number < ?", page.before), ("party = ?", page.party), ("key = ?", page.key)):
            if value:
                terms.append(term)
                values.append(value)
        statement = f"SELECT {_FIELDS} FROM audit WHERE {' AND '.join(terms)} ORDER BY number DESC LIMIT ?"
        return [_entry(row) for row in self._rows(statement, (*values, page.count))]

    def problems(self) -> Iterator[str]:
        """The first row that is not as it was written, as far as the hashes tell. Errors: apsw.Error."""
        at, before = 0, b""
        for row in self._connection.execute(f"SELECT {_FIELDS} FROM audit ORDER BY number"):
            entry, at = _entry(row), at + 1
            if entry.number != at:
                yield f"the audit log has no row {at}"
                return
            if entry.hash != link(before, entry):
                yield f"row {at} of the audit log is not as it was written, or the one before it is not"
                return
            before = entry.hash

    def _rows(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except apsw.Error as error:
            raise StoreUnavailable(
                "the audit log cannot be written or read", retry_after_us=250_000
            ) from error


def _entry(row: Sequence[Any]) -> Entry:
    return Entry(row[0], Actor(*row[1:7]), row[7], row[8], row[9], row[10], row[11])
