"""A party token is what kpgate signed, or it is nothing: whatever its header asks for, and whoever made it."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from kpgate.app.signing import Signer
from kpgate.app.token_keys import seed
from kpgate.app.token_signing import believe, read, sign
from kpgate.domain.errors import InvalidApiKey
from kpgate.domain.token import KIND, TOKEN_BYTES_MAX, Claims, Token, is_token

PEPPER, ORIGIN = b"p" * 32, "0" * 31 + "1"
NOW_US = 1_800_000_000_000_000
SEED = seed(PEPPER, ORIGIN, 1)
TOKEN = Token(
    number=7,
    id="ab" * 16,
    key=3,
    budget=9,
    tag=2,
    cap=5_000,
    models=("m*",),
    expires_us=NOW_US + 60_000_000,
    made_us=NOW_US,
)
KID, BELIEVED = believe(SEED, 0)
KNOWN = {KID: BELIEVED}
HEADER = {"alg": "EdDSA", "kid": KID, "typ": KIND}


def text(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def claims(**other: Any) -> dict[str, Any]:
    payload = sign(TOKEN, "parent", ORIGIN, SEED).split(".")[1]
    return json.loads(urlsafe_b64decode(payload + "==")) | other


def made(header: dict[str, Any], said: Any, by: bytes = SEED) -> bytes:
    """A token as anybody could spell it who has a key."""
    start = f"{text(json.dumps(header).encode())}.{text(json.dumps(said).encode())}"
    return f"{start}.{text(Ed25519PrivateKey.from_private_bytes(by).sign(start.encode()))}".encode()


def why(credential: bytes, known: Any = KNOWN, now_us: int = NOW_US) -> str:
    with pytest.raises(InvalidApiKey) as refused:
        read(credential, known, ORIGIN, now_us)
    error = refused.value
    assert (error.code, error.status) == ("invalid_api_key", 401)
    assert len(credential) < 20 or credential.decode("latin-1") not in error.message
    return error.message


def test_a_token_says_what_was_signed_and_is_spelled_the_same_each_time():
    spelled = sign(TOKEN, "parent", ORIGIN, SEED).encode()
    assert is_token(spelled) and spelled == sign(TOKEN, "parent", ORIGIN, SEED).encode()
    said = read(spelled, KNOWN, ORIGIN, NOW_US)
    assert isinstance(said, Claims)
    assert (said.jti, said.key, said.cap, said.models, said.kp) == ("ab" * 16, 3, 5_000, ("m*",), (7, 9, 2))
    assert (said.sub, said.iat, said.exp) == ("parent", NOW_US // 10**6, NOW_US // 10**6 + 60)
    # Another library's key made the same thing.
    assert read(made(HEADER, claims()), KNOWN, ORIGIN, NOW_US) == said


def test_the_header_chooses_nothing():
    public = Signer(SEED).public
    for secret in (public, text(public).encode(), b""):
        start = (
            f"{text(json.dumps(HEADER | {'alg': 'HS256'}).encode())}.{text(json.dumps(claims()).encode())}"
        )
        mac = hmac.new(secret, start.encode(), hashlib.sha256).digest()
        assert "EdDSA" in why(f"{start}.{text(mac)}".encode()), "a public key is no secret"
        start = start.replace(start.split(".")[0], text(json.dumps(HEADER).encode()))
        mac = hmac.new(secret, start.encode(), hashlib.sha512).digest()
        assert "forged" in why(f"{start}.{text(mac)}".encode())
    for alg in ("none", "None", "HS512", "RS256", "ES256", "Ed25519", "Ed448", "eddsa", ""):
        start = f"{text(json.dumps(HEADER | {'alg': alg}).encode())}.{text(json.dumps(claims()).encode())}"
        assert "EdDSA" in why(f"{start}.".encode())
        assert "EdDSA" in why(made(HEADER | {"alg": alg}, claims()))
    assert "kind" in why(made(HEADER | {"typ": "JWT"}, claims()))
    for more in ({"jwk": {"kty": "OKP"}}, {"jku": "http://x"}, {"crit": ["b64"], "b64": False}, {"x5u": "y"}):
        assert "header" in why(made(HEADER | more, claims()))
    assert "header" in why(made({"alg": "EdDSA", "typ": KIND}, claims()))


def test_nobody_else_signs():
    stranger = b"s" * 32
    assert "key" in why(made(HEADER | {"kid": Signer(stranger).id}, claims(), stranger))
    assert "forged" in why(made(HEADER, claims(), stranger))
    spelled = sign(TOKEN, "parent", ORIGIN, SEED)
    head, payload, signature = spelled.split(".")
    richer = text(json.dumps(claims(cap=10**12)).encode())
    assert "forged" in why(f"{head}.{richer}.{signature}".encode())
    assert "forged" in why(f"{head}.{payload}.".encode())
    ended = believe(SEED, NOW_US)
    assert "no more" in why(spelled.encode(), dict([ended]))
    assert read(spelled.encode(), dict([believe(SEED, NOW_US + 1)]), ORIGIN, NOW_US).cap == 5_000


def test_what_was_signed_for_somebody_else_or_has_ended_is_refused():
    assert "another gateway" in why(made(HEADER, claims(iss="kpgate:" + "f" * 32)))
    assert "another gateway" in why(made(HEADER, claims(iss="kpgate")))
    assert "audience" in why(made(HEADER, claims(aud="other")))
    spelled = sign(TOKEN, "parent", ORIGIN, SEED).encode()
    assert read(spelled, KNOWN, ORIGIN, TOKEN.expires_us - 1).cap == 5_000
    assert "expired" in why(spelled, now_us=TOKEN.expires_us)
    # A data directory that was restored has another log, and other keys.
    assert seed(PEPPER, "2" * 32, 1) != SEED != seed(PEPPER, ORIGIN, 2) and seed(b"q" * 32, ORIGIN, 1) != SEED


@pytest.mark.parametrize(
    "other",
    [
        {"cap": 0},
        {"cap": -5},
        {"cap": 2**53},
        {"cap": "9"},
        {"cap": 1.5},
        {"exp": "never"},
        {"exp": -1},
        {"jti": "x"},
        {"models": "m"},
        {"kp": [1, 2]},
        {"aud": ["kpgate", "x"]},
        {"admin": True},
        {"key": 0},
    ],
)
def test_claims_are_read_strictly(other: dict[str, Any]):
    assert "signature does not fit" in why(made(HEADER, claims(**other)))


def test_what_is_too_long_is_not_looked_at():
    long = made(HEADER, claims(models=["m" * TOKEN_BYTES_MAX]))
    assert str(TOKEN_BYTES_MAX) in why(long)
    assert str(TOKEN_BYTES_MAX) in why(b"eyJ" + b"a" * TOKEN_BYTES_MAX)


@given(st.integers(0, 2000), st.integers(1, 255))
def test_a_token_that_was_changed_anywhere_is_refused(at: int, flip: int):
    spelled = bytearray(sign(TOKEN, "parent", ORIGIN, SEED).encode())
    at %= len(spelled)
    spelled[at] ^= flip
    try:
        said = read(bytes(spelled), KNOWN, ORIGIN, NOW_US)
    except InvalidApiKey:
        return
    # The last letter of base64 has bits that mean nothing.
    assert at == len(spelled) - 1 and said.jti == TOKEN.id


@given(st.binary(max_size=200))
def test_anything_else_is_refused_in_the_same_way(data: bytes):
    for credential in (data, b"eyJ" + data, b"eyJhbGciOiJFZERTQSJ9." + data, b"." * 5 + data):
        why(credential)
