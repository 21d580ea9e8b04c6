"""Party tokens: what one says, and what may be asked about them.

A key has kpgate sign a token, with a spend cap and for a day at most, and gives it to somebody who makes calls with it.
It may never do more than its key. Pure: who signs and who keeps count is elsewhere.
Source: docs/decisions/0008-party-tokens.md.
"""

import re
from typing import Annotated

import msgspec
from msgspec import Meta

from kpgate.domain.money import Amount, OperationId
from kpgate.domain.price import AMOUNT_MAX

LIFE_MAX_US = 86_400_000_000
LIFE_US = 3_600_000_000
KEPT_US = 900_000_000
"""How long after its end a token's budget is nobody else's."""
LIVE_MAX = 10_000
"""How many live tokens a key has at most."""
MODELS_MAX = 32
TOKEN_BYTES_MAX = 4_096
ISSUER, AUDIENCE, KIND = "kpgate:", "kpgate", "kpgate+jwt"
KIND_BUDGET = 2
"""The kind of a token's budget, beside a key's and a party's."""

_FORM = re.compile(rb"eyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*")
_KeyId = Annotated[str, Meta(min_length=1, max_length=32)]
_Name = Annotated[str, Meta(min_length=1, max_length=200)]
_TokenId = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
_Count = Annotated[int, Meta(ge=0)]


class Claims(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is signed. Shape: RFC 7519's names, then ours: `kp` is number, budget and tag.

    Units: seconds since 1970; `cap` microKPT.
    """

    iss: str
    aud: str
    sub: _KeyId
    jti: _TokenId
    iat: _Count
    exp: _Count
    cap: Annotated[int, Meta(ge=1, le=AMOUNT_MAX)]
    models: tuple[str, ...]
    key: Annotated[int, Meta(ge=1)]
    kp: tuple[_Count, _Count, _Count]


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How it is signed: in one way, whatever it says."""

    alg: str
    kid: str
    typ: str


class Token(msgspec.Struct, frozen=True, gc=False):
    """A party token as the gateway knows it.

    Shape: `id` is its `jti`; `key` its key's number; it spends from `budget` as long as that carries its `tag`.
    Units: `cap` microKPT; instants in microseconds since 1970; `revoked_us` 0 while it is not.
    """

    number: int
    id: str
    key: int
    budget: int
    tag: int
    cap: int
    models: tuple[str, ...]
    expires_us: int
    made_us: int = 0
    revoked_us: int = 0
    label: str = ""
    signer: int = 0


class _Asked(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="op", omit_defaults=True
):
    """What all have in common: an id, by which asking twice does it once."""

    id: OperationId


class SignToken(_Asked, frozen=True, kw_only=True, tag="tokens.sign"):
    """Sign a token for a key. Units: `cap` microKPT; `life_us` microseconds, 0 for an hour or as long as the key.

    Rule: the token's id comes from the operation's, so that asking twice gives the same token.
    """

    key: _KeyId
    cap: Amount
    models: Annotated[tuple[_Name, ...], Meta(max_length=MODELS_MAX)] = ()
    label: Annotated[str, Meta(max_length=200)] = ""
    life_us: Annotated[int, Meta(ge=0, le=LIFE_MAX_US)] = 0


class ListTokens(_Asked, frozen=True, kw_only=True, tag="tokens.list"):
    """Live tokens in the order in which they were signed, from after a number on, of one key or party, or all."""

    key: Annotated[str, Meta(max_length=32)] = ""
    party: Annotated[str, Meta(max_length=200)] = ""
    after: _Count = 0
    count: Annotated[int, Meta(ge=1, le=1000)] = 100


class ShowToken(_Asked, frozen=True, kw_only=True, tag="tokens.show"):
    """One token."""

    token: _TokenId


class RevokeToken(_Asked, frozen=True, kw_only=True, tag="tokens.revoke"):
    """End a token, of one key or party where one is said. Once this is answered it opens nothing on any worker."""

    token: _TokenId
    key: Annotated[str, Meta(max_length=32)] = ""
    party: Annotated[str, Meta(max_length=200)] = ""


class RotateTokenSigner(_Asked, frozen=True, kw_only=True, tag="tokens.rotate_key"):
    """Have a new key sign tokens. Those before it are believed for as long as a token lives, or, `at_once`, no more."""

    at_once: bool = False


TokenReading = ListTokens | ShowToken
TokenOperation = SignToken | RevokeToken | RotateTokenSigner | TokenReading


def is_token(credential: bytes) -> bool:
    """Whether a credential claims to be a token: it is spelled as a signed JSON object is."""
    return credential.startswith(b"eyJ") and _FORM.fullmatch(credential) is not None
