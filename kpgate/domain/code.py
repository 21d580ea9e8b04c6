"""Redemption codes: how they are spelled, and what may be asked about them.

A code is worth an amount once. Whoever made it was shown it once; everybody else knows its id or its keyed hash.
"""

from hashlib import blake2b
from typing import Annotated
from zlib import crc32

import msgspec
from msgspec import Meta

from kpgate.domain.money import Amount, Memo, OperationId, PartyName
from kpgate.domain.secret import Secret

PREFIX = "KPC"
COUNT_MAX = 1000
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_SECRET_LENGTH, _GROUP = 24, 5
_MEANT = str.maketrans({"O": "0", "I": "1", "L": "1", "-": "", " ": ""})
_TEXT_MAX = 100
_Instant = Annotated[int, Meta(ge=0, le=253_402_300_800_000_000)]


class _Asked(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="op", omit_defaults=True
):
    """What all have in common: an id, by which asking twice does it once."""

    id: OperationId


class CreateCodes(_Asked, frozen=True, kw_only=True, tag="codes.create"):
    """Make codes of one worth.

    Rule: the codes come from the operation's id and the pepper, so that asking twice gives the same ones.
    Units: microKPT; instants in microseconds since 1970, 0 for never. `grant_expires_us` ends what was redeemed.
    """

    amount: Amount
    count: Annotated[int, Meta(ge=1, le=COUNT_MAX)] = 1
    memo: Memo = ""
    expires_us: _Instant = 0
    grant_expires_us: _Instant = 0


class ListCodes(_Asked, frozen=True, kw_only=True, tag="codes.list"):
    """Codes in the order in which they were made, from after a number on."""

    after: Annotated[int, Meta(ge=0)] = 0
    count: Annotated[int, Meta(ge=1, le=COUNT_MAX)] = 100


class RevokeCode(_Asked, frozen=True, kw_only=True, tag="codes.revoke"):
    """End a code that nobody has redeemed."""

    code: Annotated[str, Meta(min_length=1, max_length=32)]


class RedeemCode(_Asked, frozen=True, kw_only=True, tag="codes.redeem"):
    """Credit a party with what a code is worth."""

    code: Secret
    party: PartyName


CodeOperation = CreateCodes | ListCodes | RevokeCode | RedeemCode


def mint(seed: bytes, place: int) -> tuple[str, str, str]:
    """The id, safe to show, the letters, and the spelling of one of the codes that a seed gives.

    Shape: `KPC-` and five groups of five letters, the last one a checksum of the others.
    """
    made = blake2b(place.to_bytes(4, "big"), key=seed, digest_size=22).digest()
    number = int.from_bytes(made[7:], "big")
    secret = "".join(_LETTERS[number >> 5 * at & 31] for at in range(_SECRET_LENGTH))
    whole = secret + _check(secret)
    groups = [whole[at : at + _GROUP] for at in range(0, len(whole), _GROUP)]
    return f"c{made[:7].hex()}", secret, "-".join((PREFIX, *groups))


def read_code(text: str) -> str | None:
    """The letters of a code as somebody typed it, or None where it cannot be one.

    Rule: case, spaces and hyphens do not count, nor which of 0 and O, 1, I and L was meant.
    """
    if len(text) > _TEXT_MAX or not text.isascii():
        return None
    letters = text.strip().upper().removeprefix(PREFIX).translate(_MEANT)
    secret = letters[:_SECRET_LENGTH]
    if len(letters) != _SECRET_LENGTH + 1 or not set(letters) <= set(_LETTERS):
        return None
    return secret if letters[-1] == _check(secret) else None


def _check(secret: str) -> str:
    return _LETTERS[crc32(secret.encode()) & 31]
