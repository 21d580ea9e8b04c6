"""The admin API: HTTP's spelling of management, whatever transport carries it.

Every path asks for an admin key. Bodies are decoded strictly; what they ask is the clerk's to do.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

import msgspec

from kpgate.app.control import AsksLater, new_id, new_random, wall_us
from kpgate.app.money_api import MoneyApi, only
from kpgate.domain.caller import ADMIN, CALL, Caller
from kpgate.domain.durations import read_duration, read_end
from kpgate.domain.errors import BodyTooLarge, InvalidRequest, NotFound, RoleRequired
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
from kpgate.domain.tier import PRIORITY_DEFAULT, WHOLE_PRICE

BODY_BYTES_MAX = 65_536
_KEY = re.compile(r"/admin/v1/keys/([A-Za-z0-9]{1,32})")
_ROTATE = re.compile(r"/admin/v1/keys/([A-Za-z0-9]{1,32})/rotate")
_PARTY = re.compile(r"/admin/v1/parties/([^/]{1,600})")
_TERMS = re.compile(r"/admin/v1/(plans|tiers)(?:/([^/]{1,600}))?")

Reload = Callable[[], Awaitable[Answer]]


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

    def __init__(self, control: AsksLater, money: MoneyApi, reload: Reload) -> None:
        self._control = control
        self._money = money
        self._reload = reload

    async def handle(self, method: str, path: str, body: bytes, caller: Caller) -> tuple[int, bytes]:
        """Answer one request.

        Shape: `path` may carry a query; (status, JSON).
        Errors: RoleRequired, NotFound, MethodNotAllowed, InvalidRequest, BodyTooLarge, Conflict, StoreUnavailable.
        """
        if caller.role != ADMIN:
            raise RoleRequired("this path asks for an admin key")
        if len(body) > BODY_BYTES_MAX:
            raise BodyTooLarge(f"a management body has at most {BODY_BYTES_MAX} bytes")
        path, _, query = path.partition("?")
        status, answer = await self._answer(method, path, query, body)
        return status, msgspec.json.encode(answer)

    async def _answer(self, method: str, path: str, query: str, body: bytes) -> tuple[int, Answer]:
        if path == "/admin/v1/keys":
            only(method, "GET", "POST")
            if method == "POST":
                return 201, await self._create(body)
            return 200, await self._ask(ListKeys, _list_fields(query))
        if path == "/admin/v1/reload":
            only(method, "POST")
            return 200, await self._reload()
        if match := _KEY.fullmatch(path):
            only(method, "GET", "DELETE")
            if method == "DELETE":
                return 200, await self._ask(RevokeKey, {"key": match[1]})
            return 200, await self._ask(GetKey, {"key": match[1]})
        if match := _ROTATE.fullmatch(path):
            only(method, "POST")
            return 200, await self._rotate(match[1], body)
        if path == "/admin/v1/parties":
            only(method, "GET")
            return 200, await self._ask(ListParties, _list_fields(query))
        if match := _PARTY.fullmatch(path):
            return 200, await self._party(method, unquote(match[1]), body)
        if match := _TERMS.fullmatch(path):
            return 200, await self._terms(method, _KINDS[match[1]], match[2], body)
        answer = await self._money.manage(method, path, query, body)
        if answer is None:
            raise NotFound(f"no such path: {path[:200]!r}")
        return 200, answer

    async def _party(self, method: str, name: str, body: bytes) -> Answer:
        only(method, "GET", "PUT")
        if method == "GET":
            return await self._ask(GetParty, {"party": name})
        terms: PartyTerms = read_strictly(body, PartyTerms)
        return await self._ask(SetParty, {"party": name, **msgspec.structs.asdict(terms)})

    async def _terms(self, method: str, kind: _Kind, name: str | None, body: bytes) -> Answer:
        """Tiers and plans: names for terms, which are set as a whole."""
        if name is None:
            only(method, "GET")
            return await self._ask(kind.list, {})
        only(method, "GET", "PUT", "DELETE")
        named = {kind.field: unquote(name)}
        if method != "PUT":
            return await self._ask(kind.get if method == "GET" else kind.delete, named)
        return await self._ask(kind.set, named | msgspec.structs.asdict(read_strictly(body, kind.terms)))

    async def _create(self, body: bytes) -> Answer:
        sent: NewKey = read_strictly(body, NewKey)
        fields = msgspec.structs.asdict(sent)
        expires = fields.pop("expires")
        if expires is not None:
            fields["expires_us"] = _read("expires", lambda: read_end(expires, wall_us()))
        return await self._ask(CreateKey, fields | {"random": new_random()})

    async def _rotate(self, key_id: str, body: bytes) -> Answer:
        sent: Rotation = read_strictly(body or b"{}", Rotation)
        grace_us = _read("grace", lambda: read_duration(sent.grace))
        return await self._ask(RotateKey, {"key": key_id, "random": new_random(), "grace_us": grace_us})

    async def _ask(self, kind: type[Any], fields: dict[str, Any]) -> Answer:
        return await self._control.ask(build(kind, {"id": new_id(), **fields}))


def _read(field: str, read: Callable[[], int]) -> int:
    try:
        return read()
    except ValueError as error:
        raise InvalidRequest(f"{field}: {error}", param=field) from None


def _list_fields(query: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, text in parse_qsl(query, keep_blank_values=True, max_num_fields=16):
        if name in ("after", "count"):
            if not (text.isascii() and text.isdecimal() and len(text) <= 15):
                raise InvalidRequest(f"{name}: expected a whole number", param=name)
            fields[name] = int(text)
        elif name == "party":
            fields[name] = text
        elif name == "revoked":
            fields[name] = text in ("1", "true")
        else:
            raise InvalidRequest(f"{name[:64]!r} is not a parameter of this list", param=name[:64])
    return fields
