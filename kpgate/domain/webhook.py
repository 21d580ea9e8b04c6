"""Webhooks, signed as Standard Webhooks has it: in from whoever takes payments, out to whoever wants to be told.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from hashlib import sha256

import msgspec

from kpgate.domain.errors import InvalidSignature
from kpgate.domain.secret import Secret

PREFIX = "whsec_"
SIGNATURES_MAX = 16
HEADER_BYTES_MAX = 2048
_ID = re.compile(rb"[!-~]{1,200}")
_TIME = re.compile(rb"[0-9]{1,12}")


class Source(msgspec.Struct, frozen=True):
    """Whoever may send: its name, the secrets that it may sign with, how far its clock may be off.

    Units: `tolerance_us` microseconds.
    """

    name: str
    secrets: tuple[Secret, ...]
    tolerance_us: int


def key_of(secret: Secret) -> bytes:
    """The key that a secret stands for: base64 after `whsec_`, else the text itself.

    Errors: ValueError, which repeats nothing of it.
    """
    text = secret.reveal()
    if not text.startswith(PREFIX):
        return text.encode()
    try:
        return b64decode(text.removeprefix(PREFIX), validate=True)
    except ValueError:
        raise ValueError("is not base64 after whsec_") from None


def sign(key: bytes, message: bytes, sent_s: int, body: bytes) -> str:
    """The signature of a message. Units: `sent_s` seconds since 1970."""
    said = b"%b.%d.%b" % (message, sent_s, body)
    return "v1," + b64encode(hmac.digest(key, said, sha256)).decode()


def check(source: Source, headers: Iterable[tuple[bytes, bytes]], body: bytes, now_us: int) -> None:
    """Let a message in that its source signed just now. The signature is looked at first, in constant time.

    Errors: InvalidSignature.
    """
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in (b"webhook-id", b"webhook-timestamp", b"webhook-signature"):
            if name in found or len(value) > HEADER_BYTES_MAX:
                raise InvalidSignature(f"the header {name.decode()} is there twice, or too long")
            found[name] = value
    if len(found) < 3:
        raise InvalidSignature("expected the headers webhook-id, webhook-timestamp and webhook-signature")
    message, sent = found[b"webhook-id"], found[b"webhook-timestamp"]
    if not _ID.fullmatch(message) or not _TIME.fullmatch(sent):
        raise InvalidSignature("webhook-id or webhook-timestamp is not one")
    given = found[b"webhook-signature"].split(b" ")[:SIGNATURES_MAX]
    right = [sign(key_of(secret), message, int(sent), body).encode() for secret in source.secrets]
    # Every pair is compared, so that time tells nothing of which came near.
    if not sum(hmac.compare_digest(one, other) for one in given for other in right):
        raise InvalidSignature("no signature of it is one by this source's secret")
    if abs(now_us - int(sent) * 1_000_000) > source.tolerance_us:
        raise InvalidSignature("its timestamp is too far from this gateway's clock")
