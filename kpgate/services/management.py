"""Management of keys and parties: every operation, over any store, one at a time.

A change is committed, then published, then answered; nothing is answered while something committed is not
published. The same request id with the same content is answered the same, and done once. An answer that is kept
holds no secret: the secret is spelled from the request.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from kpgate.domain.access import read_network
from kpgate.domain.audit import GATEWAY, OK, Actor, Entry
from kpgate.domain.caller import DEVELOPER, ROLES, Caller, Party
from kpgate.domain.durations import instant
from kpgate.domain.errors import Conflict, InvalidApiKey, InvalidRequest, NotFound, StoreUnavailable
from kpgate.domain.keys import RANDOM_BYTES, StoredKey, digest, literal_problem, mint_id, spell
from kpgate.domain.limits import Limits
from kpgate.domain.management import (
    Answer,
    Asked,
    Change,
    CreateKey,
    DeletePlan,
    DeleteTier,
    EnsureNumbers,
    GetKey,
    GetParty,
    GetPlan,
    GetTier,
    ImportKey,
    ListKeys,
    ListParties,
    ListPlans,
    ListTiers,
    Operation,
    Ping,
    RevokeKey,
    RotateKey,
    SetParty,
    SetPlan,
    SetTier,
    encode,
    entry,
    is_act,
)
from kpgate.domain.plan import NO_PLAN, Plan
from kpgate.domain.roles import Wanted, check_covers, check_gives, check_moves, narrowed
from kpgate.domain.secret import Secret
from kpgate.domain.tier import NO_TIER, Tier
from kpgate.stores.protocol import Page, Receipt, Store

T = TypeVar("T")

REPUBLISHED = 64
"""How many of the newest changes are published again at the start: more than one operation makes."""


class Management:
    """Answers operations. `publish(kind, number)` tells every worker, False when it could not yet. `note` adds a
    row to the audit log, in the transaction of the change that it tells of.

    Units: `wall_us` gives microseconds since the epoch.
    """

    def __init__(
        self,
        store: Store,
        pepper: bytes,
        publish: Callable[[int, int], bool],
        wall_us: Callable[[], int],
        note: Callable[[Entry], object],
    ) -> None:
        self._store = store
        self._pepper = pepper
        self._publish = publish
        self._wall_us = wall_us
        self._note = note
        known = store.changes(0)
        self._published = known[-REPUBLISHED].position - 1 if len(known) >= REPUBLISHED else 0

    def answer(self, operation: Operation, actor: Actor = GATEWAY) -> Answer:
        """Carry an operation out, as far as it is up to whoever asks; a change is in the audit log with it.

        Errors: InvalidRequest, NotFound, Conflict, RoleRequired; StoreUnavailable when it was not kept, or is
        kept and not yet in force: asking again with the same id then has no further effect.
        """
        if not self.catch_up():
            raise StoreUnavailable("an earlier change is not yet in force", retry_after_us=100_000)
        match operation:
            case Ping():
                return {"ok": True}
            case GetKey():
                return show(self._get(operation.key, actor))
            case ListKeys():
                return self._list(operation, actor)
            case GetParty():
                return show_party(self._party(operation.party))
            case ListParties():
                return self._parties(operation)
            case GetTier():
                return show_tier(self._tier(operation.tier))
            case GetPlan():
                return show_plan(self._plan(operation.plan))
            case ListPlans():
                return {"plans": [show_plan(plan) for plan in self._store.plans()]}
            case ListTiers():
                return {"tiers": [show_tier(tier) for tier in self._store.tiers()]}
        return self._once(operation, actor)

    def check_actor(self, actor: Actor) -> None:
        """Let a key act that is in force now: it may have ended since AUTH let the request in.

        Errors: InvalidApiKey.
        """
        if actor.key:
            key = self._store.get(actor.key)
            if key is None or key.revoked_us or 0 < key.caller.expires_us <= self._wall_us():
                raise InvalidApiKey("the API key was revoked or has expired")

    def catch_up(self) -> bool:
        """Publish what is committed and not yet published. False: some of it could not be, try again."""
        for change in self._store.changes(self._published):
            if not self._publish(change.kind, change.number):
                return False
            self._published = change.position
        return True

    def _once(self, operation: Change, actor: Actor) -> Answer:
        content = digest(self._pepper, encode(operation))
        with self._store.transaction():
            before = self._store.receipt(operation.id)
            if before is None:
                answer = self._change(operation, actor)
                self._store.keep(operation.id, Receipt(content, msgspec.json.encode(answer)))
                asked = Asked(operation, actor)
                if is_act(asked):
                    made = {"key": answer["id"]} if isinstance(operation, CreateKey | ImportKey) else {}
                    self._note(entry(asked, self._wall_us(), OK, **made))
            elif before.content == content:
                answer = msgspec.json.decode(before.answer)
            else:
                raise Conflict("this request id was used for something else")
        if not self.catch_up():
            raise StoreUnavailable("the change is kept and not yet in force", retry_after_us=100_000)
        if isinstance(operation, CreateKey | RotateKey):
            answer["key"] = spell(answer["id"], _random(operation.random))
        return answer

    def _change(self, operation: Change, actor: Actor) -> Answer:
        match operation:
            case RotateKey():
                return self._rotate(operation, actor)
            case RevokeKey():
                key = self._get(operation.key, actor)
                check_gives(actor.role, key.caller.role)
                self._store.revoke(key.caller.number, self._wall_us())
                return show(self._get(operation.key))
            case SetParty():
                return self._set_party(operation, actor)
            case SetTier():
                return self._set_tier(operation)
            case DeleteTier():
                return self._delete_tier(operation)
            case SetPlan():
                return self._set_plan(operation)
            case DeletePlan():
                return self._delete_plan(operation)
            case EnsureNumbers():
                return {"numbers": self._store.number(operation.kind, operation.names)}
        return self._create(operation, actor)

    def _create(self, operation: CreateKey | ImportKey, actor: Actor) -> Answer:
        if operation.role not in ROLES:
            raise InvalidRequest(f"role: expected one of {', '.join(ROLES)}", param="role")
        check_gives(actor.role, operation.role)
        now_us = self._wall_us()
        if operation.expires_us and operation.expires_us <= now_us:
            raise InvalidRequest("expires: lies in the past", param="expires")
        _check_limits(operation.limits)
        random = _random(operation.random)
        wanted = Wanted(
            tuple([_name("models", model) for model in operation.models]),
            tuple([_network(network) for network in operation.networks]),
            operation.limits,
            operation.expires_us,
        )
        if actor.role == DEVELOPER:
            if operation.party != actor.party:
                raise InvalidRequest("party: a developer's key makes keys of its own party", param="party")
            wanted = narrowed(self._get(actor.key).caller, wanted)
        caller = Caller(
            key_id=mint_id(random),
            number=0,
            party=Party(0, _name("party", operation.party)),
            role=operation.role,
            label=_name("label", operation.label) if operation.label else "",
            models=wanted.models,
            networks=wanted.networks,
            limits=wanted.limits,
            expires_us=wanted.expires_us,
        )
        if isinstance(operation, ImportKey):
            text = operation.literal.reveal()
            if problem := literal_problem(text):
                raise InvalidRequest(problem)
        else:
            text = spell(caller.key_id, random)
        return show(self._store.create(StoredKey(caller, now_us), digest(self._pepper, text.encode())))

    def _rotate(self, operation: RotateKey, actor: Actor) -> Answer:
        key = self._get(operation.key, actor)
        check_gives(actor.role, key.caller.role)
        if actor.role == DEVELOPER:
            check_covers(self._get(actor.key).caller, key.caller)
        now_us = self._wall_us()
        if key.revoked_us or 0 < key.caller.expires_us <= now_us:
            raise Conflict("this key was revoked or has expired: make a new one")
        text = spell(key.caller.key_id, _random(operation.random))
        until_us = now_us + operation.grace_us
        self._store.rotate(key.caller.number, digest(self._pepper, text.encode()), until_us)
        return {**show(key), "old_secret_until": instant(until_us)}

    def _list(self, operation: ListKeys, actor: Actor) -> Answer:
        party = actor.party if actor.role == DEVELOPER else operation.party
        page = Page(operation.after, operation.count, party, operation.revoked)
        found: Sequence[StoredKey] = self._store.select(page)
        more = found[-1].caller.number if len(found) == operation.count else None
        return {"keys": [show(key) for key in found], "after": more}

    def _set_party(self, operation: SetParty, actor: Actor) -> Answer:
        if operation.limits is not None:
            _check_limits(operation.limits)
        name, plan, becomes = _name("party", operation.party), None, operation.tier
        if operation.plan is not None:
            plan = self._plan(operation.plan) if operation.plan else NO_PLAN
            if plan.grant or plan.line:
                check_moves(actor.role, "a plan that grants credit or gives a credit line")
            if becomes is None and plan.tier:
                becomes = plan.tier
        tier = None if becomes is None else self._tier(becomes) if becomes else NO_TIER
        return show_party(self._store.set_party(name, operation.limits, tier, plan))

    def _set_plan(self, operation: SetPlan) -> Answer:
        grant, line = operation.grant_microkpt, operation.line_microkpt
        for field, amount, kind in (
            ("grant_microkpt", grant, "subscription"),
            ("line_microkpt", line, "credit_line"),
        ):
            if bool(amount) != (operation.kind == kind):
                raise InvalidRequest(
                    f"{field}: expected above 0 for a {kind}, and for nothing else", param=field
                )
        if operation.tier:
            self._tier(operation.tier)
        plan = Plan(0, _name("plan", operation.plan), operation.kind, grant, line, operation.tier)
        return show_plan(self._store.set_plan(plan))

    def _delete_plan(self, operation: DeletePlan) -> Answer:
        plan = self._plan(operation.plan)
        if self._store.has_parties(plan):
            raise Conflict(f"there are parties of the plan {plan.name!r}: give them another one first")
        self._store.delete_plan(plan)
        return show_plan(plan)

    def _plan(self, name: str) -> Plan:
        return _known("plan", name, self._store.plan(name))

    def _set_tier(self, operation: SetTier) -> Answer:
        _check_limits(operation.limits)
        terms = Tier(
            0,
            _name("tier", operation.tier),
            operation.limits,
            tuple([_name("models", model) for model in operation.models]),
            operation.priority,
            operation.price_factor,
            operation.holding_min_microkpt,
        )
        return show_tier(self._store.set_tier(terms))

    def _delete_tier(self, operation: DeleteTier) -> Answer:
        tier = self._tier(operation.tier)
        if self._store.is_used(tier):
            raise Conflict(f"there are parties of the tier {tier.name!r}: give them another one first")
        if any(plan.tier == tier.name for plan in self._store.plans()):
            raise Conflict(f"there is a plan whose parties become of the tier {tier.name!r}: change it first")
        self._store.delete_tier(tier)
        return show_tier(tier)

    def _parties(self, operation: ListParties) -> Answer:
        found = self._store.parties(operation.after, operation.count)
        more = found[-1].number if len(found) == operation.count else None
        return {"parties": [show_party(party) for party in found], "after": more}

    def _party(self, name: str) -> Party:
        return _known("party", name, self._store.party(name))

    def _tier(self, name: str) -> Tier:
        return _known("tier", name, self._store.tier(name))

    def _get(self, key_id: str, actor: Actor = GATEWAY) -> StoredKey:
        """A key that exists, and that a developer may know of."""
        key = self._store.get(key_id)
        if key is None or (actor.role == DEVELOPER and key.caller.party.name != actor.party):
            raise NotFound(f"no key has the id {key_id[:32]!r}")
        return key


def _known(what: str, name: str, found: T | None) -> T:
    if found is None:
        raise NotFound(f"no {what} is named {name[:100]!r}")
    return found


def show(key: StoredKey) -> Answer:
    """A key as management answers it: nothing in it is secret. Units: instants are RFC 3339 in UTC."""
    caller = key.caller
    return {
        "id": caller.key_id,
        "number": caller.number,
        "party": caller.party.name,
        "label": caller.label,
        "role": caller.role,
        "models": list(caller.models),
        "networks": list(caller.networks),
        "limits": _terms(caller.limits),
        "created_at": instant(key.created_us),
        "expires_at": instant(caller.expires_us),
        "revoked_at": instant(key.revoked_us),
    }


def show_party(party: Party) -> Answer:
    """A party as management answers it."""
    return {
        "name": party.name,
        "number": party.number,
        "limits": _terms(party.limits),
        "tier": party.tier.name or None,
        "plan": party.plan or None,
    }


def show_plan(plan: Plan) -> Answer:
    """A plan as management answers it."""
    return {
        "name": plan.name,
        "number": plan.number,
        "kind": plan.kind,
        "grant_microkpt": plan.grant,
        "line_microkpt": plan.line,
        "tier": plan.tier or None,
    }


def show_tier(tier: Tier) -> Answer:
    """A tier as management answers it. Units: `price_factor` basis points."""
    return {
        "name": tier.name,
        "number": tier.number,
        "limits": _terms(tier.limits),
        "models": list(tier.models),
        "priority": tier.priority,
        "price_factor": tier.price_factor,
        "holding_min_microkpt": tier.holding_min,
    }


def _terms(limits: Limits) -> dict[str, Any]:
    said = msgspec.structs.asdict(limits)
    return {name: value for name, value in said.items() if value is not None}


def _random(given: Secret) -> bytes:
    try:
        random = bytes.fromhex(given.reveal())
    except ValueError:
        random = b""
    if len(random) != RANDOM_BYTES:
        raise InvalidRequest(f"random: expected {RANDOM_BYTES} bytes in hexadecimal")
    return random


def _name(field: str, text: str) -> str:
    if not text.isprintable() or text != text.strip() or not text:
        raise InvalidRequest(f"{field}: expected printable characters, no space at either end", param=field)
    return text


def _network(text: str) -> str:
    try:
        read_network(text)
    except ValueError as error:
        raise InvalidRequest(f"networks: {error}", param="networks") from None
    return text


def _check_limits(limits: Limits) -> None:
    if problems := limits.problems():
        raise InvalidRequest("; ".join(f"limits.{problem}" for problem in problems), param="limits")
