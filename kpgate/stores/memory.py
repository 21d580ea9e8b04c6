"""A store of keys in a process's memory: the tests' oracle for every other store."""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy

import msgspec

from kpgate.domain.caller import Party
from kpgate.domain.errors import Conflict
from kpgate.domain.keys import Found, StoredKey
from kpgate.domain.limits import Limits
from kpgate.domain.plan import Plan
from kpgate.domain.tier import NO_TIER, Tier
from kpgate.stores.protocol import CHANGES_MAX, KEY, PARTY, RECEIPTS_MAX, TIER, Change, Page, Receipt


class MemoryKeys:
    """Reader and writer in one. Nothing outlives it."""

    def __init__(self) -> None:
        self._parties: dict[str, Party] = {}
        self._tiers: dict[str, Tier] = {}
        self._tiers_made = 0
        self._plans: dict[str, Plan] = {}
        self._plans_made = 0
        self._keys: dict[int, StoredKey] = {}
        self._secrets: dict[bytes, tuple[int, int]] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        self._changes: list[Change] = []
        self._receipts: dict[str, Receipt] = {}
        self._position = 0

    def find(self, digest: bytes) -> Found | None:
        found = self._secrets.get(digest)
        return None if found is None else Found(self._fresh(self._keys[found[0]]), found[1])

    def of_number(self, number: int) -> StoredKey | None:
        key = self._keys.get(number)
        return None if key is None else self._fresh(key)

    def digests(self, number: int) -> list[bytes]:
        key = self._keys.get(number)
        if key is None or key.revoked_us:
            return []
        return [digest for digest, (owner, _) in self._secrets.items() if owner == number]

    def all_digests(self) -> list[bytes]:
        return [digest for digest, (owner, _) in self._secrets.items() if not self._keys[owner].revoked_us]

    def close(self) -> None:
        pass

    def get(self, key_id: str) -> StoredKey | None:
        for key in self._keys.values():
            if key.caller.key_id == key_id:
                return self._fresh(key)
        return None

    def select(self, page: Page) -> Sequence[StoredKey]:
        wanted = [
            self._fresh(key)
            for number, key in sorted(self._keys.items())
            if number > page.after
            and page.party in ("", key.caller.party.name)
            and (page.revoked or not key.revoked_us)
        ]
        return wanted[: page.count]

    def create(self, key: StoredKey, digest: bytes) -> StoredKey:
        if self.get(key.caller.key_id) is not None or digest in self._secrets:
            raise Conflict("this key exists already")
        party = self._party(key.caller.party.name)
        number = len(self._keys) + 1
        caller = dataclasses.replace(key.caller, number=number, party=party)
        self._keys[number] = made = msgspec.structs.replace(key, caller=caller)
        self._secrets[digest] = (number, 0)
        self._change(KEY, number)
        return made

    def rotate(self, number: int, digest: bytes, until_us: int) -> None:
        if digest in self._secrets:
            raise Conflict("this key exists already")
        for known, (owner, before_us) in self._secrets.items():
            if owner == number:
                self._secrets[known] = (owner, min(before_us or until_us, until_us))
        self._secrets[digest] = (number, 0)
        self._change(KEY, number)

    def revoke(self, number: int, now_us: int) -> None:
        key = self._keys[number]
        if not key.revoked_us:
            self._keys[number] = msgspec.structs.replace(key, revoked_us=now_us)
            self._change(KEY, number)

    def set_party(
        self, name: str, limits: Limits | None, tier: Tier | None = None, plan: Plan | None = None
    ) -> Party:
        known = name in self._parties
        party = self._party(name)
        limits = party.limits if limits is None else limits
        tier = party.tier if tier is None else tier
        of = party.plan if plan is None else plan.name
        party = self._parties[name] = dataclasses.replace(party, limits=limits, tier=tier, plan=of)
        if known:
            self._change(PARTY, party.number)
        return party

    def party(self, name: str) -> Party | None:
        return self._party(name) if name in self._parties else None

    def parties(self, after: int, count: int) -> Sequence[Party]:
        return [self._party(name) for name, party in self._parties.items() if party.number > after][:count]

    def tier(self, name: str) -> Tier | None:
        return self._tiers.get(name)

    def tiers(self) -> Sequence[Tier]:
        return [self._tiers[name] for name in sorted(self._tiers)]

    def set_tier(self, tier: Tier) -> Tier:
        known = self._tiers.get(tier.name)
        self._tiers_made += known is None
        number = self._tiers_made if known is None else known.number
        made = self._tiers[tier.name] = msgspec.structs.replace(tier, number=number)
        if known is not None:
            self._change(TIER, number)
        return made

    def is_used(self, tier: Tier) -> bool:
        return any(party.tier.number == tier.number for party in self._parties.values())

    def delete_tier(self, tier: Tier) -> None:
        self._tiers.pop(tier.name, None)

    def plan(self, name: str) -> Plan | None:
        return self._plans.get(name)

    def plans(self) -> Sequence[Plan]:
        return [self._plans[name] for name in sorted(self._plans)]

    def set_plan(self, plan: Plan) -> Plan:
        known = self._plans.get(plan.name)
        self._plans_made += known is None
        number = self._plans_made if known is None else known.number
        made = self._plans[plan.name] = msgspec.structs.replace(plan, number=number)
        return made

    def has_parties(self, plan: Plan) -> bool:
        return any(party.plan == plan.name for party in self._parties.values())

    def delete_plan(self, plan: Plan) -> None:
        self._plans.pop(plan.name, None)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        undo = {name: copy(value) for name, value in vars(self).items()}
        try:
            yield
            undo = {}
        finally:
            vars(self).update(undo)

    def receipt(self, request_id: str) -> Receipt | None:
        return self._receipts.get(request_id)

    def keep(self, request_id: str, receipt: Receipt) -> None:
        self._receipts[request_id] = receipt
        if len(self._receipts) > RECEIPTS_MAX:
            del self._receipts[next(iter(self._receipts))]

    def changes(self, after: int) -> Sequence[Change]:
        return [change for change in self._changes if change.position > after]

    def number(self, kind: str, names: Sequence[str]) -> dict[str, int]:
        for name in names:
            if (kind, name) not in self._numbers:
                taken = [number for (other, _), number in self._numbers.items() if other == kind]
                self._numbers[kind, name] = max(taken, default=0) + 1
        return {name: self._numbers[kind, name] for name in names}

    def _party(self, name: str) -> Party:
        if name not in self._parties:
            self._parties[name] = Party(len(self._parties) + 1, name)
        party = self._parties[name]
        return dataclasses.replace(party, tier=self._tiers.get(party.tier.name, NO_TIER))

    def _fresh(self, key: StoredKey) -> StoredKey:
        party = self._party(key.caller.party.name)
        return msgspec.structs.replace(key, caller=dataclasses.replace(key.caller, party=party))

    def _change(self, kind: int, number: int) -> None:
        self._position += 1
        self._changes = [*self._changes, Change(self._position, kind, number)][-CHANGES_MAX:]
