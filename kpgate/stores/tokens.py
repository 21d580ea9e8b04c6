"""Party tokens in SQLite: what was signed, by which key, and whose a budget's number is now.

The tokens themselves are kept nowhere. Order: writing is the clerk's alone; readers open connections that cannot.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import apsw
import msgspec

from kpgate.domain.errors import Conflict, StoreUnavailable
from kpgate.domain.ledger import OF_TOKEN
from kpgate.domain.token import KEPT_US, KIND_BUDGET, LIFE_MAX_US, Token

RETRY_US = 250_000
_FIELDS = """
    tokens.number, tokens.id, tokens.key, tokens.budget, tokens.tag, tokens.cap, tokens.models, tokens.expires_us,
    tokens.made_us, tokens.revoked_us, tokens.label, tokens.signer
"""
_SHOWN = f"""
    SELECT {_FIELDS}, keys.id, parties.name FROM tokens
    JOIN keys ON keys.number = tokens.key JOIN parties ON parties.number = keys.party
"""
_SIGNERS = "SELECT number, until_us FROM token_signers ORDER BY number"
_ORIGIN = "SELECT origin FROM logs ORDER BY number DESC LIMIT 1"

_names = msgspec.json.Decoder(tuple[str, ...])


class Shown(NamedTuple):
    """A token, its key's id and its party's name."""

    token: Token
    key: str
    party: str


class Signers(NamedTuple):
    """Who signs tokens: the log they belong to, and numbers with the instants until when each is believed.

    Shape: the last one signs. Units: microseconds since 1970, 0 for ever.
    """

    origin: str
    known: tuple[tuple[int, int], ...]


def _token(row: Sequence[Any]) -> Token:
    number, token_id, key, budget, tag, cap, models, *rest = row[:12]
    return Token(number, token_id, key, budget, tag, cap, _names.decode(models), *rest)


class SqliteTokens:
    """What the clerk keeps of tokens. Order: changes stand inside a transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def get(self, token_id: str) -> Shown | None:
        """One token."""
        rows = self._rows(f"{_SHOWN} WHERE tokens.id = ?", (token_id,))
        return Shown(_token(rows[0]), *rows[0][-2:]) if rows else None

    def content(self, number: int) -> bytes:
        """A hash of what was asked for a token."""
        return bytes(self._rows("SELECT content FROM tokens WHERE number = ?", (number,))[0][0])

    def select(self, now_us: int, key: str, party: str, after: int, count: int) -> Sequence[Shown]:
        """So many live tokens in the order of their numbers, of one key or party, or all."""
        # Found by key or end, of which few are live: by number it would be all that were ever signed.
        of_key = "AND tokens.key = (SELECT number FROM keys WHERE id = :key)" if key else ""
        of_party = "AND parties.name = :party" if party else ""
        statement = f"""
            {_SHOWN} WHERE tokens.expires_us > :now AND tokens.revoked_us = 0 {of_key} {of_party}
            AND +tokens.number > :after ORDER BY +tokens.number LIMIT :count
        """
        values = {"after": after, "now": now_us, "count": count, "key": key, "party": party}
        return [Shown(_token(row), *row[-2:]) for row in self._rows(statement, values)]

    def used(self, budget: int, tag: int) -> int:
        """What a token spent, as far as it is posted."""
        statement = "SELECT used FROM budget_uses WHERE budget = ? AND period = ? AND window = ?"
        rows = self._rows(statement, (budget, OF_TOKEN, tag))
        return int(rows[0][0]) if rows else 0

    def tag(self, budget: int) -> int:
        """The tag of the token that a budget's number was given to last."""
        rows = self._rows("SELECT tag FROM budgets WHERE number = ?", (budget,))
        return int(rows[0][0]) if rows else 0

    def live(self, key: int, now_us: int) -> tuple[int, int]:
        """How many live tokens a key has, and when the first of them ends."""
        statement = """
            SELECT count(*), coalesce(min(expires_us), 0) FROM tokens
            WHERE key = ? AND expires_us > ? AND revoked_us = 0
        """
        count, ends_us = self._rows(statement, (key, now_us))[0]
        return count, ends_us

    def free_budgets(self, now_us: int, count: int) -> Sequence[tuple[int, int]]:
        """Numbers that may be given to another token, and their tags so far, the longest free first."""
        statement = f"""
            SELECT number, tag FROM budgets WHERE kind = {KIND_BUDGET} AND free_us <= ? ORDER BY free_us LIMIT ?
        """
        return [(number, tag) for number, tag in self._rows(statement, (now_us, count))]

    def add(self, token: Token, content: bytes) -> Token:
        """Keep a new token; it is given its number, and a budget's where it has none yet."""
        statement = """
            INSERT INTO tokens (id, key, budget, tag, cap, models, label, signer, made_us, expires_us, content)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING number
        """
        models = msgspec.json.encode(token.models).decode()
        values = (token.id, token.key, token.budget, token.tag, token.cap, models)
        more = (token.label, token.signer, token.made_us, token.expires_us, content)
        number = int(self._rows(statement, (*values, *more))[0][0])
        free_us = token.expires_us + KEPT_US
        if token.budget:
            taken = "UPDATE budgets SET owner = ?, total = ?, tag = ?, free_us = ? WHERE number = ?"
            self._rows(taken, (number, token.cap, token.tag, free_us, token.budget))
            return msgspec.structs.replace(token, number=number)
        made = f"""
            INSERT INTO budgets (kind, owner, total, tag, free_us) VALUES ({KIND_BUDGET}, ?, ?, ?, ?) RETURNING number
        """
        budget = int(self._rows(made, (number, token.cap, token.tag, free_us))[0][0])
        self._rows("UPDATE tokens SET budget = ? WHERE number = ?", (budget, number))
        return msgspec.structs.replace(token, number=number, budget=budget)

    def revoke(self, number: int, now_us: int) -> None:
        """End a token, once."""
        self._rows("UPDATE tokens SET revoked_us = ? WHERE number = ? AND revoked_us = 0", (now_us, number))

    def signers(self) -> Signers:
        """Who signs."""
        return _signers(self._rows(_ORIGIN), self._rows(_SIGNERS))

    def add_signer(self, now_us: int, until_us: int) -> None:
        """Have the next one sign; those before it end then, or when they would have."""
        ended = "UPDATE token_signers SET until_us = ?1 WHERE until_us = 0 OR until_us > ?1"
        self._rows(ended, (until_us,))
        self._rows("INSERT INTO token_signers (made_us) VALUES (?)", (now_us,))

    def _rows(self, statement: str, values: Any = ()) -> list[Any]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except apsw.ConstraintError as error:
            raise Conflict("this token was signed already") from error
        except apsw.Error as error:
            raise StoreUnavailable("the store of tokens does not answer", retry_after_us=RETRY_US) from error


class TokenReader:
    """What workers read of tokens, at a start and where they missed changes. `rows` reads by a statement."""

    def __init__(self, rows: Callable[[str, tuple[Any, ...]], list[Any]]) -> None:
        self._rows = rows

    def signers(self) -> Signers:
        """Who signs."""
        return _signers(self._rows(_ORIGIN, ()), self._rows(_SIGNERS, ()))

    def revoked(self, now_us: int) -> list[int]:
        """The numbers of tokens that were revoked before their end."""
        statement = "SELECT number FROM tokens WHERE revoked_us > 0 AND expires_us > ?"
        return [number for (number,) in self._rows(statement, (now_us - LIFE_MAX_US,))]


def _signers(origin: Sequence[Sequence[Any]], known: Sequence[Sequence[Any]]) -> Signers:
    return Signers(origin[0][0] if origin else "", tuple([(number, until_us) for number, until_us in known]))
