"""The admin API: HTTP's spelling of management, whatever transport carries it.

Every path asks for an admin key. Bodies are decoded strictly; what they ask is the clerk's to do.
"""

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec

from kpgate.app.control import AsksLater, new_id, new_random, wall_us
from kpgate.app.money_api import MoneyApi, Request, only, read_query
from kpgate.app.sparing import Sparing
from kpgate.app.token_api import TokenApi
from kpgate.domain.audit import ASKED, OK, Actor, ListAudit, NoteAct
from kpgate.domain.caller import CALL, DEVELOPER
from kpgate.domain.durations import read_duration, read_end, read_since
from kpgate.domain.errors import BodyTooLarge, GatewayError, InvalidRequest, NotFound, RoleRequired
from kpgate.domain.limits import UNLIMITED, Limits
from kpgate.domain.management import (
    Answer,
    CreateKey,
    DeletePlan,
    DeleteTier,
    GetKey,
    GetParty,
    GetPlan,
    GetTier,
    HoldingMin,
    ListKeys,
    ListParties,
    ListPlans,
    ListTiers,
    PriceFactor,
    Priority,
    RevokeKey,
    RotateKey,
    SetParty,
    SetPlan,
    SetTier,
    build,
    read_strictly,
)
from kpgate.domain.roles import permit
from kpgate.domain.tier import PRIORITY_DEFAULT, WHOLE_PRICE

BODY_BYTES_MAX = 65_536
_KEY = re.compile(r"/admin/v1/keys/([A-Za-z0-9]{1,32})")
_ROTATE = re.compile(r"/admin/v1/keys/([A-Za-z0-9]{1,32})/rotate")
_PARTY = re.compile(r"/admin/v1/parties/([^/]{1,600})")
_TERMS = re.compile(r"/admin/v1/(plans|tiers)(?:/([^/]{1,600}))?")

REFUSALS_A_MINUTE = 60

Reload = Callable[[], Awaitable[Answer]]
Read = Callable[[], Awaitable[bytes]]


class _Sent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body. Unknown fields are errors."""


class NewKey(_Sent, frozen=True):
    """What a new key is to be. `expires` is a duration as 30d, or an RFC 3339 instant."""

    party: str
    label: str = ""
    role: str = CALL
    models: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    limits: Limits = UNLIMITED
    expires: str | None = None


class Rotation(_Sent, frozen=True):
    """How long the old secret serves on, as 24h."""

    grace: str = "0s"


class PartyTerms(_Sent, frozen=True):
    """A party's limits, of which what is absent is not limited; its tier and plan, "" for none, absent as they are."""

    limits: Limits = UNLIMITED
    tier: str | None = None
    plan: str | None = None


class PlanTerms(_Sent, frozen=True):
    """All of a plan's terms. Units: microKPT."""

    kind: str = "pay_per_token"
    grant_microkpt: HoldingMin = 0
    line_microkpt: HoldingMin = 0
    tier: str = ""


class TierTerms(_Sent, frozen=True):
    """All of a tier's terms. `price_factor` is basis points of the price."""

    limits: Limits = UNLIMITED
    models: tuple[str, ...] = ()
    priority: Priority = PRIORITY_DEFAULT
    price_factor: PriceFactor = WHOLE_PRICE
    holding_min_microkpt: HoldingMin = 0


class _Kind(NamedTuple):
    """What tiers, or plans, are called, and what may be asked about them."""

    field: str
    terms: type[Any]
    list: type[Any]
    get: type[Any]
    set: type[Any]
    delete: type[Any]


_KINDS = {
    "plans": _Kind("plan", PlanTerms, ListPlans, GetPlan, SetPlan, DeletePlan),
    "tiers": _Kind("tier", TierTerms, ListTiers, GetTier, SetTier, DeleteTier),
}


class Admin:
    """Answers `/admin/v1`. `control` reaches the clerk, `reload` is the worker's way to have settings read anew."""

    def __init__(
        self,
        control: AsksLater,
        money: MoneyApi,
        reload: Reload,
        prices: Callable[[], Answer],
        health: Callable[[], Answer],
    ) -> None:
        self._control = control
        self._money = money
        self._tokens = TokenApi(control)
        self._reload = reload
        self._shown = {"/admin/v1/prices": prices, "/admin/v1/health": health}
        self._refusals = Sparing(REFUSALS_A_MINUTE)

    async def handle(self, method: str, path: str, actor: Actor, read: Read) -> tuple[int, bytes]:
        """Answer one request. Its body is read once it is clear that whoever asks may.

        Shape: `path` may carry a query; (status, JSON).
        Errors: RoleRequired, NotFound, MethodNotAllowed, InvalidRequest, BodyTooLarge, Conflict, StoreUnavailable.
        """
        path, _, query = path.partition("?")
        try:
            template, place = permit(actor.role, method, path)
            if actor.role == DEVELOPER and "{name}" in template and unquote(place) != actor.party:
                raise RoleRequired("a developer's key sees its own party alone")
        except RoleRequired as error:
            await self._note_refusal(f"{method} {path}", actor, error)
            raise
        body = await read()
        if len(body) > BODY_BYTES_MAX:
            raise BodyTooLarge(f"a management body has at most {BODY_BYTES_MAX} bytes")
        status, answer = await self._answer(Request(method, path, query, body, actor))
        return status, msgspec.json.encode(answer)

    async def _answer(self, sent: Request) -> tuple[int, Answer]:
        method, path = sent.method, sent.path
        if path == "/admin/v1/keys":
            only(method, "GET", "POST")
            if method == "POST":
                return 201, await self._create(sent)
            return 200, await self._ask(sent, ListKeys, _keys_wanted(sent.query))
        if path == "/admin/v1/reload":
            only(method, "POST")
            return 200, await self._reload_noted(sent)
        if path in self._shown:
            only(method, "GET")
            read_query(sent.query)
            return 200, self._shown[path]()
        if path == "/admin/v1/audit":
            only(method, "GET")
            return 200, await self._ask(sent, ListAudit, _acts_wanted(sent.query))
        if match := _KEY.fullmatch(path):
            only(method, "GET", "DELETE")
            return 200, await self._ask(sent, RevokeKey if method == "DELETE" else GetKey, {"key": match[1]})
        if match := _ROTATE.fullmatch(path):
            only(method, "POST")
            return 200, await self._rotate(match[1], sent)
        if path == "/admin/v1/parties":
            only(method, "GET")
            return 200, await self._ask(sent, ListParties, read_query(sent.query, "after", "count"))
        if match := _PARTY.fullmatch(path):
            return 200, await self._party(unquote(match[1]), sent)
        if match := _TERMS.fullmatch(path):
            return 200, await self._terms(_KINDS[match[1]], match[2], sent)
        answer = await self._money.manage(sent)
        if answer is None:
            answer = await self._tokens.manage(sent)
        if answer is None:
            raise NotFound(f"no such path: {path[:200]!r}")
        return 200, answer

    async def _party(self, name: str, sent: Request) -> Answer:
        only(sent.method, "GET", "PUT")
        if sent.method == "GET":
            return await self._ask(sent, GetParty, {"party": name})
        terms: PartyTerms = read_strictly(sent.body, PartyTerms)
        return await self._ask(sent, SetParty, {"party": name, **msgspec.structs.asdict(terms)})

    async def _terms(self, kind: _Kind, name: str | None, sent: Request) -> Answer:
        """Tiers and plans: names for terms, which are set as a whole."""
        if name is None:
            only(sent.method, "GET")
            return await self._ask(sent, kind.list, {})
        only(sent.method, "GET", "PUT", "DELETE")
        named = {kind.field: unquote(name)}
        if sent.method != "PUT":
            return await self._ask(sent, kind.get if sent.method == "GET" else kind.delete, named)
        terms = msgspec.structs.asdict(read_strictly(sent.body, kind.terms))
        return await self._ask(sent, kind.set, named | terms)

    async def _create(self, sent: Request) -> Answer:
        fields = msgspec.structs.asdict(read_strictly(sent.body, NewKey))
        expires = fields.pop("expires")
        if expires is not None:
            fields["expires_us"] = _read("expires", lambda: read_end(expires, wall_us()))
        return await self._ask(sent, CreateKey, fields | {"random": new_random()})

    async def _rotate(self, key_id: str, sent: Request) -> Answer:
        rotation: Rotation = read_strictly(sent.body or b"{}", Rotation)
        grace_us = _read("grace", lambda: read_duration(rotation.grace))
        return await self._ask(sent, RotateKey, {"key": key_id, "random": new_random(), "grace_us": grace_us})

    async def _reload_noted(self, sent: Request) -> Answer:
        """A reload reaches every worker and no store: what is asked is written down first, then what came of it."""
        await self._ask(sent, NoteAct, {"act": "reload", "outcome": ASKED})
        outcome = OK
        try:
            return await self._reload()
        except GatewayError as error:
            outcome = error.code
            raise
        finally:
            with suppress(GatewayError):
                await self._ask(sent, NoteAct, {"act": "reload", "outcome": outcome})

    async def _note_refusal(self, path: str, actor: Actor, error: RoleRequired) -> None:
        """Have the audit log tell of a refusal; a flood of them is counted."""
        if not self._refusals.let(wall_us()):
            return
        fields = {"act": "refused", "outcome": error.code, "path": path[:300]}
        note = build(NoteAct, {"id": new_id(), "missed": self._refusals.take_missed(), **fields})
        with suppress(GatewayError):
            # It is refused whether that can be written down or not.
            await self._control.ask(note, actor)

    async def _ask(self, sent: Request, kind: type[Any], fields: dict[str, Any]) -> Answer:
        return await self._control.ask(build(kind, {"id": new_id(), **fields}), sent.actor)


def _read(field: str, read: Callable[[], int]) -> int:
    try:
        return read()
    except ValueError as error:
        raise InvalidRequest(f"{field}: {error}", param=field) from None


def _keys_wanted(query: str) -> dict[str, Any]:
    fields = read_query(query, "after", "count", "party", "revoked")
    if "revoked" in fields:
        fields["revoked"] = fields["revoked"] in ("1", "true")
    return fields


def _acts_wanted(query: str) -> dict[str, Any]:
    fields = read_query(query, "before", "count", "party", "key", "since")
    if "since" in fields:
        fields["since_us"] = _read("since", partial(read_since, fields.pop("since"), wall_us()))
    return fields
