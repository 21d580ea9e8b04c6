"""The operations of management: what may be asked of keys, parties and numbers, and what is answered.

One shape for the command line, the admin API and the clerk's socket. Each change carries an id: asked twice, it
is done once. The random of a new key comes from whoever asks, so that repeating a change gives the same key
without anybody keeping it.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from kpgate.domain.audit import GATEWAY, Actor, AuditOperation, Entry
from kpgate.domain.caller import CALL
from kpgate.domain.code import CodeOperation, ListCodes, RedeemCode
from kpgate.domain.errors import InvalidRequest
from kpgate.domain.limits import UNLIMITED, Limits
from kpgate.domain.money import MoneyOperation, MoneyReading
from kpgate.domain.price import AMOUNT_MAX
from kpgate.domain.secret import Secret
from kpgate.domain.tier import PRICE_FACTOR_MAX, PRIORITY_DEFAULT, PRIORITY_MAX, WHOLE_PRICE
from kpgate.domain.token import TokenOperation, TokenReading

RequestId = Annotated[str, Meta(min_length=8, max_length=64, pattern="^[A-Za-z0-9._-]+$")]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
KeyId = Annotated[str, Meta(min_length=1, max_length=32)]
Names = Annotated[tuple[Name, ...], Meta(max_length=256)]
Instant = Annotated[int, Meta(ge=0, le=253_402_300_800_000_000)]
Priority = Annotated[int, Meta(ge=0, le=PRIORITY_MAX)]
HoldingMin = Annotated[int, Meta(ge=0, le=AMOUNT_MAX)]
PriceFactor = Annotated[int, Meta(ge=1, le=PRICE_FACTOR_MAX)]
PAGE_MAX = 1000


class _Operation(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="op", omit_defaults=True
):
    """What all operations have in common: the id of the request."""

    id: RequestId


class _NewKey(_Operation, frozen=True, kw_only=True):
    """What is said of a key when it is made. Shape: `random` is RANDOM_BYTES in hexadecimal."""

    party: Name
    random: Secret
    label: Annotated[str, Meta(max_length=200)] = ""
    role: str = CALL
    models: Names = ()
    networks: Names = ()
    limits: Limits = UNLIMITED
    expires_us: Instant = 0


class CreateKey(_NewKey, frozen=True, kw_only=True, tag="keys.create"):
    """Make a key."""


class ImportKey(_NewKey, frozen=True, kw_only=True, tag="keys.import"):
    """Take over a key that kpgate did not make."""

    literal: Secret


class ListKeys(_Operation, frozen=True, kw_only=True, tag="keys.list"):
    """Keys in the order in which they were made, from after a number on, revoked ones if asked for."""

    after: Annotated[int, Meta(ge=0)] = 0
    count: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = 100
    party: str = ""
    revoked: bool = False


class GetKey(_Operation, frozen=True, kw_only=True, tag="keys.get"):
    """One key."""

    key: KeyId


class RotateKey(_Operation, frozen=True, kw_only=True, tag="keys.rotate"):
    """Give a key a new secret; the old one serves on for the grace period."""

    key: KeyId
    random: Secret
    grace_us: Annotated[int, Meta(ge=0, le=366 * 86_400_000_000)] = 0


class RevokeKey(_Operation, frozen=True, kw_only=True, tag="keys.revoke"):
    """End a key. Once this is answered it opens nothing on any worker."""

    key: KeyId


class SetParty(_Operation, frozen=True, kw_only=True, tag="party.set"):
    """Set a party's limits, its tier, its plan, or several, making the party if need be. None leaves what it has.

    Shape: `tier` and `plan` empty for none. A new plan's tier is the party's, unless another one is said as well.
    """

    party: Name
    limits: Limits | None = None
    tier: Annotated[str, Meta(max_length=200)] | None = None
    plan: Annotated[str, Meta(max_length=200)] | None = None


class GetParty(_Operation, frozen=True, kw_only=True, tag="party.get"):
    """One party."""

    party: Name


class ListParties(_Operation, frozen=True, kw_only=True, tag="party.list"):
    """Parties in the order in which they were made, from after a number on."""

    after: Annotated[int, Meta(ge=0)] = 0
    count: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = 100


class SetTier(_Operation, frozen=True, kw_only=True, tag="tier.set"):
    """Set a tier's terms, all of them, making the tier if need be. Units: `price_factor` basis points."""

    tier: Name
    limits: Limits = UNLIMITED
    models: Names = ()
    priority: Priority = PRIORITY_DEFAULT
    price_factor: PriceFactor = WHOLE_PRICE
    holding_min_microkpt: HoldingMin = 0


class GetTier(_Operation, frozen=True, kw_only=True, tag="tier.get"):
    """One tier."""

    tier: Name


class ListTiers(_Operation, frozen=True, kw_only=True, tag="tier.list"):
    """All tiers, by name."""


class DeleteTier(_Operation, frozen=True, kw_only=True, tag="tier.delete"):
    """Forget a tier that no party is of."""

    tier: Name


class SetPlan(_Operation, frozen=True, kw_only=True, tag="plan.set"):
    """Set a plan's terms, all of them, making the plan if need be. Parties keep the tier that they have."""

    plan: Name
    kind: Literal["pay_per_token", "subscription", "credit_line"] = "pay_per_token"
    grant_microkpt: HoldingMin = 0
    line_microkpt: HoldingMin = 0
    tier: Annotated[str, Meta(max_length=200)] = ""


class GetPlan(_Operation, frozen=True, kw_only=True, tag="plan.get"):
    """One plan."""

    plan: Name


class ListPlans(_Operation, frozen=True, kw_only=True, tag="plan.list"):
    """All plans, by name."""


class DeletePlan(_Operation, frozen=True, kw_only=True, tag="plan.delete"):
    """Forget a plan that no party is of."""

    plan: Name


class EnsureNumbers(_Operation, frozen=True, kw_only=True, tag="numbers.ensure"):
    """The numbers of names of one kind, given to them for ever at first sight."""

    kind: Literal["model", "deployment", "price", "upstream"]
    names: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=1000)], ...], Meta(max_length=500)]


class Ping(_Operation, frozen=True, kw_only=True, tag="ping"):
    """Nothing but an answer."""


Change = (
    CreateKey
    | ImportKey
    | RotateKey
    | RevokeKey
    | SetParty
    | SetTier
    | DeleteTier
    | SetPlan
    | DeletePlan
    | EnsureNumbers
)
Reading = ListKeys | GetKey | GetParty | ListParties | GetTier | ListTiers | GetPlan | ListPlans | Ping
Operation = Change | Reading
AnyOperation = Operation | MoneyOperation | CodeOperation | TokenOperation | AuditOperation
Answer = dict[str, Any]
_UNWRITTEN = Reading | MoneyReading | ListCodes | RedeemCode | TokenReading | AuditOperation


class Asked(msgspec.Struct, frozen=True, omit_defaults=True):
    """An operation on its way, and who asks for it."""

    what: AnyOperation
    by: Actor = GATEWAY


def is_act(asked: Asked) -> bool:
    """Whether the audit log tells of it: who changes something does, the gateway's own upkeep and a holder's
    code do not, nor does a note."""
    return bool(asked.by.via) and not isinstance(asked.what, _UNWRITTEN)


def entry(asked: Asked, time_us: int, outcome: str, **more: Any) -> Entry:
    """What the audit log says of an operation: all that was asked but its secrets, and what else is told.

    Units: `time_us` microseconds since 1970.
    """
    said = msgspec.json.decode(_teller.encode(asked.what))
    about = {name: value for name, value in said.items() if name != "op" and value is not None} | more
    return Entry(time_us, asked.by, said["op"], msgspec.json.encode(about).decode(), outcome)


def _conceal(kind: type, value: Any) -> Any:
    if kind is Secret and isinstance(value, str | Secret):
        return Secret(value) if isinstance(value, str) else value
    raise TypeError("expected a string")


def _reveal(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"{type(value).__name__} is not sent")


def _omit(value: Any) -> None:
    """A secret is not told."""


_decoder = msgspec.json.Decoder(Asked, dec_hook=_conceal)
_encoder = msgspec.json.Encoder(enc_hook=_reveal)
_teller = msgspec.json.Encoder(enc_hook=_omit)


def encode(operation: AnyOperation | Asked) -> bytes:
    """An operation as it goes over the clerk's socket: one line of JSON, secrets and all."""
    return _encoder.encode(operation)


def decode(line: bytes) -> Asked:
    """Read an operation, and who asks for it.

    Errors: InvalidRequest, which repeats no value.
    """
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(_plain(str(error).replace("$.what", "$"))) from None


def read_strictly(body: bytes, kind: type[Any]) -> Any:
    """Read a JSON body of management as a struct.

    Errors: InvalidRequest, naming the field and what it expects; it repeats no value.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(_plain(str(error))) from None


def build(kind: type[Any], fields: Mapping[str, Any]) -> Any:
    """Make an operation from loose fields, as strictly as if they had been sent.

    Errors: InvalidRequest, which repeats no value.
    """
    try:
        return msgspec.convert(fields, kind, dec_hook=_conceal)
    except msgspec.ValidationError as error:
        raise InvalidRequest(_plain(str(error))) from None


def _plain(message: str) -> str:
    """What msgspec says, its path as a caller would write it."""
    said, _, where = message.partition(" - at `$.")
    if where:
        return f"{where.rstrip('`')}: {said[:1].lower()}{said[1:]}"
    return said.partition(" - at `$`")[0]
