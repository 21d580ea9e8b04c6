"""Party tokens as signed text: JSON Web Tokens with one algorithm, one kind, one issuer, one audience.

What a token's header asks for chooses nothing: it must be what is written here, and then the signature decides.
Source: RFC 7519, RFC 8037, and RFC 8725 on what goes wrong with them (checked November 2026).
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

import msgspec
from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwk import OKPKey
from joserfc.jws import JWSRegistry

from kpgate.app.signing import Signer
from kpgate.domain.errors import InvalidApiKey
from kpgate.domain.token import AUDIENCE, ISSUER, KIND, TOKEN_BYTES_MAX, Claims, Header, Token

ALGORITHM = "EdDSA"
_header = msgspec.json.Decoder(Header)
_claims = msgspec.json.Decoder(Claims)


class _One(JWSRegistry):
    """The one algorithm there is here, by the name that every library knows, though RFC 9864 has a newer one."""

    def get_alg(self, name: str) -> Any:
        if name != ALGORITHM:
            raise UnsupportedAlgorithmError(f"not {ALGORITHM}")
        return self.algorithms[ALGORITHM]


_registry = _One(algorithms=[ALGORITHM])


class Believed(msgspec.Struct, frozen=True):
    """A key that signs or signed, and until when it is believed. Units: microseconds since 1970, 0 for ever."""

    key: OKPKey
    until_us: int


def sign(token: Token, key: str, origin: str, seed: bytes) -> str:
    """A token's spelling. Shape: `key` is the id of its key, `origin` the log's.

    Order: the same token is always spelled the same.
    """
    claims = Claims(
        iss=ISSUER + origin,
        aud=AUDIENCE,
        sub=key,
        jti=token.id,
        iat=token.made_us // 1_000_000,
        exp=token.expires_us // 1_000_000,
        cap=token.cap,
        models=token.models,
        key=token.key,
        kp=(token.number, token.budget, token.tag),
    )
    header = {"alg": ALGORITHM, "kid": Signer(seed).id, "typ": KIND}
    return jws.serialize_compact(
        header, msgspec.json.encode(claims), _key(seed, private=True), registry=_registry
    )


def believe(seed: bytes, until_us: int) -> tuple[str, Believed]:
    """The id of a key, and what verifies by it."""
    return Signer(seed).id, Believed(_key(seed, private=False), until_us)


def read(credential: bytes, known: Mapping[str, Believed], origin: str, now_us: int) -> Claims:
    """What a token says that one of the known keys signed for this log, and that has not ended.

    Errors: InvalidApiKey, which says why it is none.
    """
    if len(credential) > TOKEN_BYTES_MAX:
        raise _no(f"no party token has more than {TOKEN_BYTES_MAX} bytes")
    try:
        header = _header.decode(_bytes(credential.partition(b".")[0]))
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise _no("the party token's header is not one that kpgate writes") from None
    if header.alg != ALGORITHM or header.typ != KIND:
        raise _no(f"the party token is not signed by {ALGORITHM}, or is a token of another kind")
    signer = known.get(header.kid)
    if signer is None or 0 < signer.until_us <= now_us:
        raise _no("the party token is signed by a key that is not this gateway's, or no more")
    try:
        signed = jws.deserialize_compact(credential, signer.key, registry=_registry)
        claims = _claims.decode(signed.payload)
    except (JoseError, msgspec.DecodeError, ValueError, RecursionError):
        raise _no("the party token is forged or damaged: its signature does not fit") from None
    if claims.iss != ISSUER + origin:
        raise _no("the party token was signed by another gateway")
    if claims.aud != AUDIENCE:
        raise _no("the party token is for another audience")
    if claims.exp * 1_000_000 <= now_us:
        raise _no("the party token has expired")
    return claims


def _no(why: str) -> InvalidApiKey:
    return InvalidApiKey(why)


def _key(seed: bytes, *, private: bool) -> OKPKey:
    said: dict[str, str | list[str]] = {"kty": "OKP", "crv": "Ed25519", "x": _text(Signer(seed).public)}
    if private:
        said["d"] = _text(seed)
    return OKPKey.import_key(said)


def _text(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def _bytes(text: bytes) -> bytes:
    return urlsafe_b64decode(text + b"=" * (-len(text) % 4))
