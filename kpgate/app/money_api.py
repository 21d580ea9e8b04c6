"""The paths on money: management's under `/admin/v1`, and the holder's own view under `/kp/v1`.

What they ask is the clerk's to do. A holder sees its own party's, whatever it asks for.
"""

import csv
import io
import re
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple
from urllib.parse import parse_qsl, unquote

import msgspec
from msgspec import Meta

from kpgate.app.control import AsksLater, new_id, wall_us
from kpgate.domain.audit import Actor
from kpgate.domain.caller import DEVELOPER, Caller
from kpgate.domain.code import COUNT_MAX, CreateCodes, ListCodes, RedeemCode, RevokeCode
from kpgate.domain.durations import instant, read_end
from kpgate.domain.errors import InvalidRequest, MethodNotAllowed, NotFound
from kpgate.domain.ledger import show_call
from kpgate.domain.management import Answer, build, read_strictly
from kpgate.domain.money import (
    Amount,
    Cap,
    Memo,
    Movement,
    OperationId,
    Refund,
    SetBudget,
    SetCreditLine,
    ShowAccounts,
    ShowBalance,
    ShowHolds,
    ShowLog,
    ShowReceipt,
    ShowStatement,
    ShowTotals,
    Transfer,
)
from kpgate.domain.token import ShowToken
from kpgate.services.management import show_tier

JSON, CSV = b"application/json", b"text/csv; charset=utf-8"
_PARTY = re.compile(r"/admin/v1/parties/([^/]{1,600})/(balance|statement|totals|credit-line)")
_CODE = re.compile(r"/admin/v1/codes/([A-Za-z0-9]{1,32})")
_RECEIPT = re.compile(r"/(?:admin|kp)/v1/receipts/([A-Za-z0-9-]{1,64})")
_WHOLE = re.compile(r"[0-9]{1,18}")
_OF_TOKEN = ("id", "label", "cap_microkpt", "used_microkpt", "held_microkpt", "expires_at")
_NUMBERS = ("before", "count", "size", "after")


class Request(NamedTuple):
    """What came to `/admin/v1`, and from whom."""

    method: str
    path: str
    query: str
    body: bytes
    actor: Actor


class _Sent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body. Unknown fields are errors; without an id of the caller's own, asking twice does it twice."""

    id: OperationId | None = None


class NewTransfers(_Sent, frozen=True):
    """Transfers that are made together, all or none."""

    movements: Annotated[tuple[Movement, ...], Meta(min_length=1, max_length=8)] = ()


class NewRefund(_Sent, frozen=True):
    """What of a call's charge is given back; 0 is all that is left."""

    call: str = ""
    amount: Cap = 0


class CreditLine(_Sent, frozen=True):
    """How far a balance may go below 0."""

    line: Cap = 0


class Budget(_Sent, frozen=True):
    """Caps of a party's or a key's spending; 0 is none."""

    party: str = ""
    key: str = ""
    day: Cap = 0
    month: Cap = 0
    total: Cap = 0


class NewCodes(_Sent, frozen=True):
    """Codes of one worth. `expires` and `grant_expires` are durations as 30d, or RFC 3339 instants."""

    amount: Amount = 0
    count: Annotated[int, Meta(ge=1, le=COUNT_MAX)] = 1
    memo: Memo = ""
    expires: str | None = None
    grant_expires: str | None = None


class Redemption(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A code as somebody typed it."""

    code: Annotated[str, Meta(max_length=100)]


class MoneyApi:
    """Answers what is asked about money. `control` reaches the clerk."""

    def __init__(self, control: AsksLater) -> None:
        self._control = control

    async def manage(self, sent: Request) -> Answer | None:
        """Answer a path of management; None for one that is not about money. Order: the role may ask it.

        Errors: those of the operation; MethodNotAllowed, InvalidRequest.
        """
        method, path, query, body, _ = sent
        match path:
            case "/admin/v1/accounts":
                only(method, "GET")
                return await self._for(sent, ShowAccounts, read_query(query))
            case "/admin/v1/transfers":
                only(method, "POST")
                return await self._for(sent, Transfer, _fields(body, NewTransfers))
            case "/admin/v1/refunds":
                only(method, "POST")
                return await self._for(sent, Refund, _fields(body, NewRefund))
            case "/admin/v1/budgets":
                only(method, "PUT")
                return await self._for(sent, SetBudget, _fields(body, Budget))
            case "/admin/v1/holds":
                only(method, "GET")
                return await self._for(sent, ShowHolds, read_query(query, "after", "count"))
            case "/admin/v1/codes":
                only(method, "GET", "POST")
                if method == "GET":
                    return await self._for(sent, ListCodes, read_query(query, "after", "count"))
                return await self._for(sent, CreateCodes, _new_codes(body))
        if match := _CODE.fullmatch(path):
            only(method, "DELETE")
            return await self._for(sent, RevokeCode, {"code": match[1]})
        if match := _RECEIPT.fullmatch(path):
            only(method, "GET")
            asked = {"call": match[1]} | read_query(query)
            if sent.actor.role == DEVELOPER:
                asked["party"] = sent.actor.party
            return await self._for(sent, ShowReceipt, asked)
        if match := _PARTY.fullmatch(path):
            return await self._of_party(sent, unquote(match[1]), match[2])
        return None

    async def _of_party(self, sent: Request, party: str, what: str) -> Answer:
        if what == "credit-line":
            only(sent.method, "PUT")
            return await self._for(sent, SetCreditLine, {"party": party} | _fields(sent.body, CreditLine))
        only(sent.method, "GET")
        if what == "balance":
            return await self._for(sent, ShowBalance, {"party": party} | read_query(sent.query))
        if what == "totals":
            return await self._for(sent, ShowTotals, {"party": party} | read_query(sent.query))
        return await self._statement(party, read_query(sent.query, "account", *_NUMBERS[:2]))

    async def _for(self, sent: Request, kind: type[Any], fields: Mapping[str, Any]) -> Answer:
        return await self._control.ask(build(kind, {"id": new_id(), **fields}), sent.actor)

    async def redeem(self, method: str, body: bytes, caller: Caller) -> bytes:
        """Credit the caller's party with a code.

        Errors: InvalidCode, RateLimited, MethodNotAllowed, InvalidRequest; NotFound where there are no keys.
        """
        only(method, "POST")
        if not caller.number:
            raise NotFound("keys are off here: there is no party to credit")
        sent: Redemption = read_strictly(body, Redemption)
        return msgspec.json.encode(
            await self._ask(RedeemCode, {"code": sent.code, "party": caller.party.name})
        )

    async def hold(self, method: str, path: str, query: str, caller: Caller) -> tuple[bytes, bytes]:
        """Answer a path of the holder's own view. Shape: (content type, body).

        Errors: those of the operation; MethodNotAllowed, InvalidRequest, NotFound.
        """
        only(method, "GET", "HEAD")
        party = caller.party.name
        match path:
            case "/kp/v1/me":
                read_query(query)
                return JSON, msgspec.json.encode(_me(caller) | {"token": await self._token(caller)})
            case "/kp/v1/balance":
                read_query(query)
                answer = await self._ask(ShowBalance, {"party": party})
            case "/kp/v1/statement":
                asked = read_query(query, "account", "format", *_NUMBERS[:2])
                form = asked.pop("format", "json")
                if form not in ("json", "csv"):
                    raise InvalidRequest("format: expected json or csv", param="format")
                answer = await self._statement(party, asked)
                if form == "csv":
                    return CSV, _csv(answer["rows"])
            case "/kp/v1/log":
                answer = await self._ask(ShowLog, read_query(query, "before", "size"))
            case _:
                match = _RECEIPT.fullmatch(path)
                if match is None:
                    raise NotFound(f"no such path: {path[:200]!r}")
                read_query(query)
                answer = await self._ask(ShowReceipt, {"call": match[1], "party": party})
        return JSON, msgspec.json.encode(answer)

    async def _token(self, caller: Caller) -> Answer | None:
        """The party token that asks, as whoever has it may see it; None where it is a key."""
        if not caller.token:
            return None
        shown = await self._ask(ShowToken, {"token": caller.token})
        return {name: shown[name] for name in _OF_TOKEN}

    async def _statement(self, party: str, asked: Mapping[str, Any]) -> Answer:
        answer = await self._ask(ShowStatement, {"party": party, **asked})
        for row in answer["rows"]:
            row["at"] = instant(row.pop("time_us"))
            row["amount_microkpt"] = row.pop("amount")
            row["call"] = show_call(row["call"]) if row["call"] else None
        return answer

    async def _ask(self, kind: type[Any], fields: Mapping[str, Any]) -> Answer:
        return await self._control.ask(build(kind, {"id": new_id(), **fields}))


def only(method: str, *served: str) -> None:
    """Serve these methods alone. Errors: MethodNotAllowed."""
    if method not in served:
        raise MethodNotAllowed(method, *served)


def _new_codes(body: bytes) -> dict[str, Any]:
    fields = _fields(body, NewCodes)
    for name in ("expires", "grant_expires"):
        if name in fields:
            try:
                fields[f"{name}_us"] = read_end(fields.pop(name), wall_us())
            except ValueError as error:
                raise InvalidRequest(f"{name}: {error}", param=name) from None
    return fields


def _fields(body: bytes, kind: type[Any]) -> dict[str, Any]:
    sent = msgspec.to_builtins(read_strictly(body, kind))
    return {name: value for name, value in sent.items() if value is not None}


def read_query(query: str, *known: str) -> dict[str, Any]:
    """A path's parameters, all of which must be known. Errors: InvalidRequest, which names the one."""
    fields: dict[str, Any] = {}
    for name, text in parse_qsl(query, keep_blank_values=True, max_num_fields=16):
        if name not in known:
            raise InvalidRequest(f"{name[:64]!r} is not a parameter of this path", param=name[:64])
        if name in _NUMBERS:
            if not _WHOLE.fullmatch(text):
                raise InvalidRequest(f"{name}: expected a whole number", param=name)
            fields[name] = int(text)
        else:
            fields[name] = text
    return fields


def _me(caller: Caller) -> Answer:
    limits, tier = msgspec.structs.asdict(caller.limits), caller.party.tier
    return {
        "key": caller.key_id,
        "party": caller.party.name,
        "role": caller.role,
        "label": caller.label,
        "models": list(caller.models),
        "networks": list(caller.networks),
        "limits": {name: value for name, value in limits.items() if value is not None},
        "tier": show_tier(tier) if tier.number else None,
        "plan": caller.party.plan or None,
        "expires_at": instant(caller.expires_us),
    }


def _csv(rows: list[dict[str, Any]]) -> bytes:
    """A statement as a table. A memo that a spreadsheet would take for a formula is quoted."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\r\n")
    table.writerow(("lsn", "at", "kind", "amount_microkpt", "call", "memo"))
    for row in rows:
        memo = row["memo"]
        if memo[:1] in ("=", "+", "-", "@", "\t", "\r"):
            memo = "'" + memo
        table.writerow((row["lsn"], row["at"], row["kind"], row["amount_microkpt"], row["call"] or "", memo))
    return text.getvalue().encode()
