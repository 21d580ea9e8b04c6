"""The embedded store: keys and parties in SQLite, one writer and any number of readers.

Readers open connections that cannot write. Every value is a bound parameter. What SQLite reports becomes
StoreUnavailable here, the cause kept.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import apsw
import msgspec

from kpgate.domain.caller import Caller, Party
from kpgate.domain.errors import Conflict, StoreUnavailable
from kpgate.domain.keys import Found, StoredKey
from kpgate.domain.limits import UNLIMITED, Limits
from kpgate.domain.plan import Plan
from kpgate.domain.tier import NO_TIER, Tier
from kpgate.stores.protocol import CHANGES_MAX, RECEIPTS_MAX, Change, Page, Receipt

READ_WAIT_MS = 20
WRITE_WAIT_MS = 5_000
RETRY_US = 250_000
# What charges of many accounts are written to lies far apart: with the 2 MB that are the default it is read again and
# again.
_PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "cache_size = -4000")

_TIER_FIELDS = (
    "tiers.number, tiers.name, tiers.limits, tiers.models, tiers.priority, tiers.price_factor"
    ", tiers.holding_min"
)
_PARTY_FIELDS = f"""
    parties.number, parties.name, parties.limits, coalesce(accounts.number, 0), coalesce(of_party.number, 0),
    coalesce(-accounts.floor, 0), coalesce(plans.name, ''),
    {_TIER_FIELDS}
"""
_PARTY_OWNS = """
    LEFT JOIN accounts ON accounts.party = parties.number AND accounts.kind = 'spend'
    LEFT JOIN budgets AS of_party ON of_party.kind = 1 AND of_party.owner = parties.number
    LEFT JOIN tiers ON tiers.number = parties.tier
    LEFT JOIN plans ON plans.number = parties.plan
"""
_FIELDS = f"""
    keys.number, keys.id, keys.role, keys.label, keys.models, keys.networks, keys.limits,
    keys.created_us, keys.expires_us, keys.revoked_us, coalesce(of_key.number, 0), {_PARTY_FIELDS}
"""
_OWNERS = f"""
    JOIN parties ON parties.number = keys.party {_PARTY_OWNS}
    LEFT JOIN budgets AS of_key ON of_key.kind = 0 AND of_key.owner = keys.number
"""
_PARTIES = f"SELECT {_PARTY_FIELDS} FROM parties {_PARTY_OWNS}"
_KEYS = f"SELECT {_FIELDS} FROM keys {_OWNERS}"
_FIND = f"""
    SELECT {_FIELDS}, secrets.until_us FROM secrets
    JOIN keys ON keys.number = secrets.key {_OWNERS} WHERE secrets.digest = ?
"""
_PLANS = "SELECT number, name, kind, grant_amount, line, tier FROM plans"

_names = msgspec.json.Decoder(tuple[str, ...])
_limits = msgspec.json.Decoder(Limits)
_encode = msgspec.json.Encoder()


def _text(value: object) -> str:
    return _encode.encode(value).decode()


def _terms(limits: Limits) -> str:
    said = msgspec.structs.asdict(limits)
    return _text({name: value for name, value in said.items() if value is not None})


def _read_terms(text: str) -> Limits:
    return UNLIMITED if text == "{}" else _limits.decode(text)


def _key(row: Sequence[Any]) -> StoredKey:
    caller = Caller(
        key_id=row[1],
        number=row[0],
        party=_party_of(row[11:]),
        role=row[2],
        label=row[3],
        models=_names.decode(row[4]),
        networks=_names.decode(row[5]),
        limits=_read_terms(row[6]),
        expires_us=row[8],
        budget=row[10],
    )
    return StoredKey(caller, row[7], row[9])


def _party_of(row: Sequence[Any]) -> Party:
    return Party(row[0], row[1], _read_terms(row[2]), row[3], row[4], row[5], _tier_of(row[7:]), row[6])


def _tier_of(row: Sequence[Any]) -> Tier:
    if row[0] is None:
        return NO_TIER
    return Tier(row[0], row[1], _read_terms(row[2]), _names.decode(row[3]), row[4], row[5], row[6])


def _steps() -> list[Path]:
    """The migrations, in their order."""
    return sorted((Path(__file__).parent / "migrations").glob("*.sql"))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except apsw.ConstraintError as error:
        raise Conflict("this key exists already") from error
    except (apsw.Error, msgspec.DecodeError, OSError) as error:
        raise StoreUnavailable("the store of keys does not answer", retry_after_us=RETRY_US) from error


class SqliteReader:
    """What workers read keys through. It opens at first use, and again after a failure."""

    def __init__(self, path: str | PathLike[str]) -> None:
        self._path = fspath(path)
        self._connection: apsw.Connection | None = None

    def find(self, digest: bytes) -> Found | None:
        rows = self.rows(_FIND, (digest,))
        return Found(_key(rows[0]), rows[0][-1]) if rows else None

    def of_number(self, number: int) -> StoredKey | None:
        rows = self.rows(f"{_KEYS} WHERE keys.number = ?", (number,))
        return _key(rows[0]) if rows else None

    def digests(self, number: int) -> list[bytes]:
        statement = """
            SELECT digest FROM secrets JOIN keys ON keys.number = secrets.key
            WHERE secrets.key = ? AND keys.revoked_us = 0
        """
        return [digest for (digest,) in self.rows(statement, (number,))]

    def all_digests(self) -> list[bytes]:
        statement = """
            SELECT digest FROM secrets JOIN keys ON keys.number = secrets.key WHERE keys.revoked_us = 0
        """
        return [digest for (digest,) in self.rows(statement, ())]

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def rows(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        """What a statement finds. Errors: StoreUnavailable."""
        with _translated():
            try:
                if self._connection is None:
                    self._connection = apsw.Connection(self._path, flags=apsw.SQLITE_OPEN_READONLY)
                    self._connection.set_busy_timeout(READ_WAIT_MS)
                # Read to the end, so that no snapshot stays open and the next statement sees what is newest.
                return self._connection.execute(statement, values).fetchall()
            except apsw.Error:
                self.close()
                raise


class SqliteStore:
    """The writer. Order: one a data directory, which its owner sees to by a lock.

    Errors: StoreUnavailable when the file cannot be opened, or was made by a later version.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        with _translated():
            self._connection = apsw.Connection(fspath(path))
            self._connection.set_busy_timeout(WRITE_WAIT_MS)
            for pragma in _PRAGMAS:
                self._connection.execute(f"PRAGMA {pragma}").fetchall()
        self._migrate()

    @staticmethod
    def steps() -> int:
        """How many steps a store has taken that this version has brought up to date."""
        return len(_steps())

    @property
    def connection(self) -> apsw.Connection:
        """The one connection that writes, for the ledger and the log beside the keys."""
        return self._connection

    def wait_at_most(self, wait_ms: int) -> None:
        """How long a statement waits for another connection that writes, before StoreUnavailable."""
        self._connection.set_busy_timeout(wait_ms)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def get(self, key_id: str) -> StoredKey | None:
        rows = self._rows(f"{_KEYS} WHERE keys.id = ?", (key_id,))
        return _key(rows[0]) if rows else None

    def select(self, page: Page) -> Sequence[StoredKey]:
        statement = f"""
            {_KEYS} WHERE keys.number > ? AND (? = '' OR parties.name = ?) AND (? OR keys.revoked_us = 0)
            ORDER BY keys.number LIMIT ?
        """
        values = (page.after, page.party, page.party, page.revoked, page.count)
        with _translated():
            return [_key(row) for row in self._rows(statement, values)]

    def create(self, key: StoredKey, digest: bytes) -> StoredKey:
        caller = key.caller
        party = self._party(caller.party.name)
        values = (
            caller.key_id,
            party.number,
            caller.role,
            caller.label,
            _text(caller.models),
            _text(caller.networks),
            _terms(caller.limits),
            key.created_us,
            caller.expires_us,
        )
        statement = """
            INSERT INTO keys (id, party, role, label, models, networks, limits, created_us, expires_us)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING number
        """
        number = self._rows(statement, values)[0][0]
        self._rows("INSERT INTO secrets (digest, key) VALUES (?, ?)", (digest, number))
        caller = dataclasses.replace(caller, number=number, party=party)
        return msgspec.structs.replace(key, caller=caller)

    def rotate(self, number: int, digest: bytes, until_us: int) -> None:
        statement = "UPDATE secrets SET until_us = ? WHERE key = ? AND (until_us = 0 OR until_us > ?)"
        self._rows(statement, (until_us, number, until_us))
        self._rows("INSERT INTO secrets (digest, key) VALUES (?, ?)", (digest, number))

    def revoke(self, number: int, now_us: int) -> None:
        self._rows("UPDATE keys SET revoked_us = ? WHERE number = ? AND revoked_us = 0", (now_us, number))

    def set_party(
        self, name: str, limits: Limits | None, tier: Tier | None = None, plan: Plan | None = None
    ) -> Party:
        party = self._party(name)
        limits = party.limits if limits is None else limits
        tier = party.tier if tier is None else tier
        if limits != party.limits or tier.number != party.tier.number:
            statement = "UPDATE parties SET limits = ?, tier = ? WHERE number = ?"
            self._rows(statement, (_terms(limits), tier.number or None, party.number))
        if plan is not None and plan.name != party.plan:
            statement = "UPDATE parties SET plan = ? WHERE number = ?"
            self._rows(statement, (plan.number or None, party.number))
        of = party.plan if plan is None else plan.name
        return dataclasses.replace(party, limits=limits, tier=tier, plan=of)

    def party(self, name: str) -> Party | None:
        rows = self._rows(f"{_PARTIES} WHERE parties.name = ?", (name,))
        return _party_of(rows[0]) if rows else None

    def parties(self, after: int, count: int) -> Sequence[Party]:
        statement = f"{_PARTIES} WHERE parties.number > ? ORDER BY parties.number LIMIT ?"
        return [_party_of(row) for row in self._rows(statement, (after, count))]

    def tier(self, name: str) -> Tier | None:
        rows = self._rows(f"SELECT {_TIER_FIELDS} FROM tiers WHERE name = ?", (name,))
        return _tier_of(rows[0]) if rows else None

    def tiers(self) -> Sequence[Tier]:
        return [_tier_of(row) for row in self._rows(f"SELECT {_TIER_FIELDS} FROM tiers ORDER BY name", ())]

    def set_tier(self, tier: Tier) -> Tier:
        statement = """
            INSERT INTO tiers (name, limits, models, priority, price_factor, holding_min) VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT (name) DO UPDATE SET limits = excluded.limits, models = excluded.models,
                priority = excluded.priority, price_factor = excluded.price_factor,
                holding_min = excluded.holding_min
            RETURNING number
        """
        terms = (
            _terms(tier.limits),
            _text(tier.models),
            tier.priority,
            tier.price_factor,
            tier.holding_min,
        )
        return msgspec.structs.replace(tier, number=self._rows(statement, (tier.name, *terms))[0][0])

    def is_used(self, tier: Tier) -> bool:
        return bool(self._rows("SELECT 1 FROM parties WHERE tier = ? LIMIT 1", (tier.number,)))

    def delete_tier(self, tier: Tier) -> None:
        self._rows("DELETE FROM tiers WHERE number = ?", (tier.number,))

    def plan(self, name: str) -> Plan | None:
        rows = self._rows(f"{_PLANS} WHERE name = ?", (name,))
        return Plan(*rows[0]) if rows else None

    def plans(self) -> Sequence[Plan]:
        return [Plan(*row) for row in self._rows(f"{_PLANS} ORDER BY name", ())]

    def set_plan(self, plan: Plan) -> Plan:
        statement = """
            INSERT INTO plans (name, kind, grant_amount, line, tier) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, grant_amount = excluded.grant_amount,
                line = excluded.line, tier = excluded.tier
            RETURNING number
        """
        terms = (plan.name, plan.kind, plan.grant, plan.line, plan.tier)
        return msgspec.structs.replace(plan, number=self._rows(statement, terms)[0][0])

    def has_parties(self, plan: Plan) -> bool:
        return bool(self._rows("SELECT 1 FROM parties WHERE plan = ? LIMIT 1", (plan.number,)))

    def delete_plan(self, plan: Plan) -> None:
        self._rows("DELETE FROM plans WHERE number = ?", (plan.number,))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._rows("BEGIN IMMEDIATE", ())
        try:
            yield
            self._rows("COMMIT", ())
        finally:
            # Not after a commit, nor where a full disk has rolled back already.
            if self._connection.in_transaction:
                self._rows("ROLLBACK", ())

    def receipt(self, request_id: str) -> Receipt | None:
        rows = self._rows("SELECT content, answer FROM receipts WHERE id = ?", (request_id,))
        return Receipt(*rows[0]) if rows else None

    def keep(self, request_id: str, receipt: Receipt) -> None:
        statement = "INSERT INTO receipts (id, content, answer) VALUES (?, ?, ?) RETURNING position"
        position = self._rows(statement, (request_id, receipt.content, receipt.answer))[0][0]
        self._rows("DELETE FROM receipts WHERE position <= ?", (position - RECEIPTS_MAX,))
        self._rows(
            "DELETE FROM changes WHERE position <= (SELECT max(position) FROM changes) - ?", (CHANGES_MAX,)
        )

    def changes(self, after: int) -> Sequence[Change]:
        statement = """
            SELECT position, kind, number FROM (
                SELECT * FROM changes WHERE position > ? ORDER BY position DESC LIMIT ?
            ) ORDER BY position
        """
        return [Change(*row) for row in self._rows(statement, (after, CHANGES_MAX))]

    def number(self, kind: str, names: Sequence[str]) -> dict[str, int]:
        statement = """
            INSERT INTO numbers (kind, name, number)
            VALUES (?1, ?2, (SELECT coalesce(max(number), 0) + 1 FROM numbers WHERE kind = ?1))
            ON CONFLICT (kind, name) DO NOTHING
        """
        found = {}
        for name in names:
            self._rows(statement, (kind, name))
            rows = self._rows("SELECT number FROM numbers WHERE kind = ? AND name = ?", (kind, name))
            found[name] = rows[0][0]
        return found

    def _party(self, name: str) -> Party:
        """A party by name, made if need be. Asked for first: a refused insert would use up a number."""
        party = self.party(name)
        if party is None:
            number = self._rows("INSERT INTO parties (name) VALUES (?) RETURNING number", (name,))[0][0]
            party = Party(number, name)
        return party

    def _rows(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        with _translated():
            return self._connection.execute(statement, values).fetchall()

    def _migrate(self) -> None:
        """Bring the file to this version's shape, one numbered step after the other, each once."""
        steps = _steps()
        made = self._rows("PRAGMA user_version", ())[0][0]
        if made > len(steps):
            raise StoreUnavailable(f"the store was made by a later version of kpgate (its step {made})")
        for number, step in enumerate(steps, 1):
            if number > made:
                with self.transaction():
                    self._rows(step.read_text("utf-8"), ())
                    # A pragma takes no parameters; the number is ours.
                    self._rows(f"PRAGMA user_version = {number}", ())
