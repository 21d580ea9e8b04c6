"""Requests to Amazon signed as it wants them: Signature Version 4. Pure: keys and the time are given.

Source: docs.aws.amazon.com, IAM user guide, "Create a signed AWS API request"; the signature version 4 test suite as
botocore 1.44 has it (checked November 2026).
"""

import hmac
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import sha256
from time import gmtime, strftime
from urllib.parse import quote

import msgspec

from kpgate.domain.identity import Identity
from kpgate.domain.secret import Secret

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "bedrock"
SIGNED = frozenset((b"host", b"content-type"))
"""Headers that are signed where they are there: others may be changed on the way."""
SAFE = "-_.~"


class Asking(msgspec.Struct, frozen=True):
    """What is signed of a request. Shape: `target` is path and query as they are sent; headers' names in lower case."""

    method: str
    target: str
    headers: Sequence[tuple[str, str]]


def signer(identity: Identity, wall_s: Callable[[], float]) -> Callable[[bytes, bytes], bytes]:
    """What signs requests: given a head without its end and a body, the header lines that are to be added.

    Units: `wall_s` seconds since 1970.
    """
    token = identity.token.reveal()

    def sign(head: bytes, body: bytes) -> bytes:
        stamp = strftime("%Y%m%dT%H%M%SZ", gmtime(wall_s()))
        asking = _read_head(head)
        headers = [*asking.headers, ("x-amz-date", stamp)]
        lines = f"x-amz-date: {stamp}\r\n"
        if token:
            headers.append(("x-amz-security-token", token))
            lines += f"x-amz-security-token: {token}\r\n"
        asking = Asking(asking.method, asking.target, headers)
        return f"{lines}authorization: {authorize(identity, asking, body, stamp)}\r\n".encode()

    return sign


def authorize(identity: Identity, asking: Asking, body: bytes, stamp: str, service: str = SERVICE) -> str:
    """The value of the `authorization` header. Shape: `stamp` as 20150830T123600Z, which is a header, too."""
    day = stamp[:8]
    scope = f"{day}/{identity.region}/{service}/aws4_request"
    canonical, names = canonicalize(asking, body)
    digest = sha256(canonical.encode()).hexdigest()
    key = _key(identity.secret_key, day, identity.region, service)
    signature = hmac.digest(key, f"{ALGORITHM}\n{stamp}\n{scope}\n{digest}".encode(), "sha256").hex()
    return (
        f"{ALGORITHM} Credential={identity.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )


def canonicalize(asking: Asking, body: bytes) -> tuple[str, str]:
    """A request in the one form that is signed, and the names of its headers.

    Every service but S3 has the path encoded once more than it is sent.
    """
    path, _, query = asking.target.partition("?")
    pairs = [one.partition("=")[::2] for one in query.split("&") if one]
    encoded = sorted((_encode_query(name), _encode_query(value)) for name, value in pairs)
    merged: dict[str, list[str]] = {}
    for name, value in asking.headers:
        merged.setdefault(name, []).append(" ".join(value.split()))
    ordered = sorted(merged)
    names = ";".join(ordered)
    lines = (
        asking.method,
        quote(path, safe="/" + SAFE) or "/",
        "&".join(f"{name}={value}" for name, value in encoded),
        *(f"{name}:{','.join(merged[name])}" for name in ordered),
        "",
        names,
        sha256(body).hexdigest(),
    )
    return "\n".join(lines), names


def _encode_query(text: str) -> str:
    """A name or value of a query, which is sent percent-encoded as it is signed."""
    return quote(text, safe=SAFE + "%")


@lru_cache(maxsize=1024)
def _read_head(head: bytes) -> Asking:
    """What is signed of a request's head, which is the same for many requests."""
    first, *lines = head.removesuffix(b"\r\n").split(b"\r\n")
    method, target, _ = first.decode().split(" ")
    headers = []
    for line in lines:
        name, _, value = line.partition(b":")
        if name in SIGNED:
            headers.append((name.decode(), value.strip().decode()))
    return Asking(method, target, headers)


@lru_cache(maxsize=256)
def _key(secret: Secret, day: str, region: str, service: str) -> bytes:
    """The key of one day at one place."""
    key = f"AWS4{secret.reveal()}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
