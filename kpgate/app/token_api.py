"""The paths on party tokens: a key's own under `/kp/v1/tokens`, management's under `/admin/v1/tokens`.

What they ask is the clerk's to do. A token itself is shown once, to the key that asked for it.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from kpgate.app.control import AsksLater, new_id, wall_us
from kpgate.app.money_api import Request, only, read_query
from kpgate.domain.caller import DEVELOPER, Caller
from kpgate.domain.durations import read_end
from kpgate.domain.errors import InvalidRequest, NotFound, RoleRequired
from kpgate.domain.management import Answer, build, read_strictly
from kpgate.domain.money import Amount, OperationId
from kpgate.domain.token import LIFE_MAX_US, MODELS_MAX, ListTokens, RevokeToken, SignToken

TOKENS = "/kp/v1/tokens"
_TOKEN = re.compile(r"/(?:admin|kp)/v1/tokens/([0-9a-f]{32})")


class NewToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be signed. `expires` is a duration as 15min, or an RFC 3339 instant; absent, an hour.

    Units: microKPT. Without an id of the caller's own, asking twice gives two tokens.
    """

    cap_microkpt: Amount
    models: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...], Meta(max_length=MODELS_MAX)
    ] = ()
    expires: str | None = None
    label: Annotated[str, Meta(max_length=200)] = ""
    id: OperationId | None = None


class TokenApi:
    """Answers what is asked about party tokens. `control` reaches the clerk."""

    def __init__(self, control: AsksLater) -> None:
        self._control = control

    async def hold(self, sent: Request, caller: Caller) -> tuple[int, bytes]:
        """Answer a path of the key's own view. Shape: (status, JSON).

        Errors: those of the operation; RoleRequired for a token, MethodNotAllowed, InvalidRequest, NotFound.
        """
        if caller.token:
            raise RoleRequired("a party token has no tokens signed: this asks for a key")
        if not caller.number:
            raise NotFound("keys are off here: there is none to sign for")
        if sent.path == TOKENS:
            only(sent.method, "GET", "POST")
            if sent.method == "POST":
                return 201, msgspec.json.encode(await self._sign(sent, caller))
            asked = {"key": caller.key_id} | read_query(sent.query, "after", "count")
            return 200, msgspec.json.encode(await self._ask(sent, ListTokens, asked))
        match = _TOKEN.fullmatch(sent.path)
        if match is None:
            raise NotFound(f"no such path: {sent.path[:200]!r}")
        only(sent.method, "DELETE")
        read_query(sent.query)
        asked = {"token": match[1], "key": caller.key_id}
        return 200, msgspec.json.encode(await self._ask(sent, RevokeToken, asked))

    async def manage(self, sent: Request) -> Answer | None:
        """Answer a path of management; None for one that is not about tokens. Order: the role may ask it.

        Errors: those of the operation; MethodNotAllowed, InvalidRequest.
        """
        own = {"party": sent.actor.party} if sent.actor.role == DEVELOPER else {}
        if sent.path == "/admin/v1/tokens":
            only(sent.method, "GET")
            return await self._ask(
                sent, ListTokens, read_query(sent.query, "key", "party", "after", "count") | own
            )
        if sent.path.startswith("/admin/v1/tokens/"):
            only(sent.method, "DELETE")
            match = _TOKEN.fullmatch(sent.path)
            if match is None:
                raise NotFound("no party token has that id")
            return await self._ask(sent, RevokeToken, {"token": match[1]} | own)
        return None

    async def _sign(self, sent: Request, caller: Caller) -> Answer:
        asked: NewToken = read_strictly(sent.body, NewToken)
        fields = {
            "key": caller.key_id,
            "cap": asked.cap_microkpt,
            "models": asked.models,
            "label": asked.label,
        }
        if asked.expires is not None:
            fields["life_us"] = _life(asked.expires)
        return await self._ask(sent, SignToken, fields | {"id": asked.id or new_id()})

    async def _ask(self, sent: Request, kind: type[Any], fields: Mapping[str, Any]) -> Answer:
        return await self._control.ask(build(kind, {"id": new_id(), **fields}), sent.actor)


def _life(expires: str) -> int:
    now_us = wall_us()
    try:
        life_us = read_end(expires, now_us) - now_us
    except ValueError as error:
        raise InvalidRequest(f"expires: {error}", param="expires") from None
    if not 0 < life_us <= LIFE_MAX_US:
        raise InvalidRequest("expires: expected from a second to a day", param="expires")
    return life_us
