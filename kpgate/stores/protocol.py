"""What a store of keys promises, whichever it is; `tests/stores/test_key_store.py` holds each of them to it.

A store knows hashes, never secrets. Every change of a key or party leaves a row among the changes, in the same
transaction. A failing store raises StoreUnavailable, the cause kept.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from kpgate.domain.audit import Entry
from kpgate.domain.audit import Page as AuditPage
from kpgate.domain.caller import Party
from kpgate.domain.keys import Found, StoredKey
from kpgate.domain.limits import Limits
from kpgate.domain.plan import Plan
from kpgate.domain.tier import Tier

KEY, PARTY, TIER, TOKEN, TOKEN_SIGNER = 0, 1, 16, 17, 18
"""Kinds of changes: the first two as the region numbers its areas."""


class Change(msgspec.Struct, frozen=True, gc=False):
    """Something that readers must read anew. Order: `position` only rises."""

    position: int
    kind: int
    number: int


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """A request that was carried out: a hash of what it asked, and what was answered."""

    content: bytes
    answer: bytes


class Page(msgspec.Struct, frozen=True, gc=False):
    """Which keys are wanted: from after a number on, so many, of one party (or all), revoked ones or not."""

    after: int = 0
    count: int = 100
    party: str = ""
    revoked: bool = False


class KeyReader(Protocol):
    """What AUTH asks, from connections that cannot write."""

    def find(self, digest: bytes) -> Found | None:
        """The key that has a secret of this hash, revoked and expired ones too."""

    def of_number(self, number: int) -> StoredKey | None:
        """The key of a number, revoked and expired ones too."""

    def digests(self, number: int) -> list[bytes]:
        """The hashes of all secrets that one key ever had; none once it is revoked."""

    def all_digests(self) -> list[bytes]:
        """The hashes of all secrets of all keys that are not revoked."""

    def close(self) -> None:
        """Let go of the store."""


class KeyStore(Protocol):
    """The keys. Order: changes stand inside a transaction."""

    def get(self, key_id: str) -> StoredKey | None:
        """One key, or None."""

    def select(self, page: Page) -> Sequence[StoredKey]:
        """Keys in the order of their numbers."""

    def create(self, key: StoredKey, digest: bytes) -> StoredKey:
        """Keep a new key; it is given its number, and its party, by name, is made at first use.

        Errors: Conflict when the id or the hash is known already.
        """

    def rotate(self, number: int, digest: bytes, until_us: int) -> None:
        """Give a key one more secret; the others end at `until_us`, or sooner if they did before.

        Errors: Conflict when the hash is known already.
        """

    def revoke(self, number: int, now_us: int) -> None:
        """End a key, once."""


class PartyStore(Protocol):
    """The parties. Order: changes stand inside a transaction."""

    def set_party(
        self, name: str, limits: Limits | None, tier: Tier | None = None, plan: Plan | None = None
    ) -> Party:
        """Set a party's limits, its tier, its plan, making the party if need be. None leaves what it has."""

    def party(self, name: str) -> Party | None:
        """One party, or None."""

    def parties(self, after: int, count: int) -> Sequence[Party]:
        """So many parties in the order of their numbers, from after one on."""


class TierStore(Protocol):
    """The tiers. Order: changes stand inside a transaction."""

    def tier(self, name: str) -> Tier | None:
        """One tier, or None."""

    def tiers(self) -> Sequence[Tier]:
        """All tiers, by name."""

    def set_tier(self, tier: Tier) -> Tier:
        """Set the terms of the tier of that name, making it if need be; it is given its number."""

    def is_used(self, tier: Tier) -> bool:
        """Whether a party is of a tier."""

    def delete_tier(self, tier: Tier) -> None:
        """Forget a tier. Order: no party is of it."""


class PlanStore(Protocol):
    """The plans. Order: changes stand inside a transaction."""

    def plan(self, name: str) -> Plan | None:
        """One plan, or None."""

    def plans(self) -> Sequence[Plan]:
        """All plans, by name."""

    def set_plan(self, plan: Plan) -> Plan:
        """Set the terms of the plan of that name, making it if need be; it is given its number."""

    def has_parties(self, plan: Plan) -> bool:
        """Whether a party is of a plan."""

    def delete_plan(self, plan: Plan) -> None:
        """Forget a plan. Order: no party is of it."""


class Chronicle(Protocol):
    """What was changed and answered, and the numbers that names were given."""

    def transaction(self) -> AbstractContextManager[None]:
        """All that is done inside is kept, for good, or none of it."""

    def receipt(self, request_id: str) -> Receipt | None:
        """What an earlier request of this id asked and was answered."""

    def keep(self, request_id: str, receipt: Receipt) -> None:
        """Remember a request that was carried out. The oldest are forgotten, RECEIPTS_MAX are kept."""

    def changes(self, after: int) -> Sequence[Change]:
        """Changes after a position, oldest first; of long ago the newest CHANGES_MAX are known."""

    def number(self, kind: str, names: Sequence[str]) -> dict[str, int]:
        """The numbers of names of one kind, from 1, each given once and never to another name."""


class AuditLog(Protocol):
    """The audit log: rows are added, and never changed."""

    def append(self, entry: Entry) -> Entry:
        """Add a row; it is given its number and its hash."""

    def head(self) -> tuple[int, bytes]:
        """The newest row's number and hash; (0, empty) where there is none."""

    def select(self, page: AuditPage) -> Sequence[Entry]:
        """Rows, newest first."""


class Store(KeyStore, PartyStore, TierStore, PlanStore, Chronicle, Protocol):
    """The whole of what management needs."""


RECEIPTS_MAX = 10_000
CHANGES_MAX = 10_000
