"""Top-ups by webhook: HTTP's spelling of what payment systems say. Signed by them, no key is asked for.

What is not signed is not read. What is signed is one operation of the ledger, whose id comes from the payment.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from kpgate.app.control import AsksLater, wall_us
from kpgate.app.money_api import only
from kpgate.app.references import resolve
from kpgate.domain.audit import Actor
from kpgate.domain.errors import NotFound
from kpgate.domain.ledger import TOP_UP
from kpgate.domain.management import build, read_strictly
from kpgate.domain.money import Amount, Memo, PartyName, TopUp
from kpgate.domain.settings import Settings
from kpgate.domain.webhook import Source, check
from kpgate.services.exchange import Exchange

ID_LENGTH = 32


class Payment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is said of a payment: `id` is the payment's, the same whenever it is told of. Units: microKPT."""

    type: Literal["top_up", "clawback"]
    id: Annotated[str, Meta(min_length=1, max_length=200)]
    party: PartyName
    amount_microkpt: Amount
    memo: Memo = ""


def sources(settings: Settings, environ: Mapping[str, str]) -> dict[str, Source]:
    """Who may send, by name.

    Errors: ReferenceFailed for a secret that is not there.
    """
    found = {}
    for one in settings.top_ups:
        written = [one.secret] if one.old_secret is None else [one.secret, one.old_secret]
        secrets = tuple(resolve(reference, environ) for reference in written)
        found[one.name] = Source(one.name, secrets, round(one.tolerance_s * 1_000_000))
    return found


class TopUps:
    """Answers `POST /kp/v1/top-ups/{source}`. `control` reaches the clerk."""

    def __init__(self, control: AsksLater) -> None:
        self._control = control

    async def receive(self, source: Source | None, exchange: Exchange, body: bytes, actor: Actor) -> bytes:
        """Carry out what a source says of a payment.

        Errors: MethodNotAllowed; NotFound for a source or a party that is none; InvalidSignature, InvalidRequest;
        IdReused where the payment was told of otherwise before; StoreUnavailable: to be sent again.
        """
        only(exchange.method, "POST")
        if source is None:
            raise NotFound("no source of top-ups has this name here")
        check(source, exchange.headers, body, wall_us())
        said: Payment = read_strictly(body, Payment)
        digest = sha256(f"{said.type}:{said.id}".encode()).hexdigest()[:ID_LENGTH]
        fields = {
            "id": f"{TOP_UP}{source.name}:{digest}",
            "kind": said.type,
            "party": said.party,
            "amount": said.amount_microkpt,
            "memo": said.memo or f"{source.name} {said.id}"[:200],
        }
        return msgspec.json.encode(await self._control.ask(build(TopUp, fields), actor))
