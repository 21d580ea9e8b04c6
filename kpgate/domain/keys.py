"""API keys: how they are spelled, told from mistyped ones, and recognised by a keyed hash.

Pure functions: the random and the pepper come in as arguments. A key as text stays with whoever was given it;
everything else in the house knows its id or its hash.
"""

import re
from hashlib import blake2b
from zlib import crc32

import msgspec

from kpgate.domain.caller import Caller

PREFIX = "sk-kp-"
RANDOM_BYTES = 40
"""Random that one key takes: 8 bytes for its id, 32 for its secret."""
DIGEST_BYTES = 16
PEPPER_BYTES = 32
LITERAL_MIN, LITERAL_MAX = 8, 512

_ID_LETTERS = "abcdefghjkmnpqrstuvwxyz023456789"
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH, _SECRET_LENGTH, _CHECK_LENGTH = 10, 43, 6
_FORM = re.compile(
    rb"sk-kp-[%b]{%d}-[0-9A-Za-z]{%d}" % (_ID_LETTERS.encode(), _ID_LENGTH, _SECRET_LENGTH + _CHECK_LENGTH)
)


class StoredKey(msgspec.Struct, frozen=True, gc=False):
    """A key as the store knows it. Units: microseconds since the epoch; `revoked_us` 0 while it is not."""

    caller: Caller
    created_us: int
    revoked_us: int = 0


class Found(msgspec.Struct, frozen=True, gc=False):
    """A key found by the hash of one of its secrets.

    Units: `until_us` microseconds since the epoch, when that secret stops serving after a rotation; 0 for never.
    """

    key: StoredKey
    until_us: int = 0


def mint_id(random: bytes) -> str:
    """The public id that `random` gives. It is safe to show.

    Shape: `random` is RANDOM_BYTES from the system's source.
    """
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"a key takes {RANDOM_BYTES} random bytes")
    number = int.from_bytes(random[:8], "big")
    return "".join(_ID_LETTERS[(number >> 5 * place) & 31] for place in range(_ID_LENGTH))


def spell(key_id: str, random: bytes) -> str:
    """The whole key `sk-kp-<id>-<secret>`, its last letters a checksum of the rest.

    Shape: the secret is the last 32 bytes of `random`; `key_id` need not come from the same.
    """
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"a key takes {RANDOM_BYTES} random bytes")
    start = f"{PREFIX}{key_id}-{_base62(int.from_bytes(random[8:], 'big'), _SECRET_LENGTH)}"
    return start + _base62(crc32(start.encode()), _CHECK_LENGTH)


def is_ours(credential: bytes) -> bool:
    """Whether a credential claims to be a key that kpgate made."""
    return credential.startswith(b"sk-kp-")


def is_whole(credential: bytes) -> bool:
    """Whether a key that kpgate made arrived as it was spelled: right length, letters and checksum."""
    if _FORM.fullmatch(credential) is None:
        return False
    start = credential[:-_CHECK_LENGTH]
    return _base62(crc32(start), _CHECK_LENGTH).encode() == credential[-_CHECK_LENGTH:]


def read_id(key: str) -> str:
    """The id inside a whole key.

    Errors: ValueError, which does not repeat the key.
    """
    if not key.isascii() or not is_whole(key.encode()):
        raise ValueError("this is not a whole kpgate key: letters are missing or mistyped")
    return key[len(PREFIX) : len(PREFIX) + _ID_LENGTH]


def literal_problem(key: str) -> str:
    """What keeps a key that kpgate did not make from being imported, or an empty string."""
    if not LITERAL_MIN <= len(key) <= LITERAL_MAX:
        return f"a key has from {LITERAL_MIN} to {LITERAL_MAX} characters, not {len(key)}"
    if not key.isprintable():
        return "a key consists of printable characters"
    if key != key.strip():
        return "a key does not begin or end with a space: HTTP would cut it"
    if key.startswith(PREFIX) and not (key.isascii() and is_whole(key.encode())):
        return f"a key that begins with {PREFIX} must be a whole kpgate key: this one is mistyped"
    return ""


def digest(pepper: bytes, credential: bytes) -> bytes:
    """What is kept instead of a key: a hash that nobody can make, or test, without the pepper."""
    return blake2b(credential, key=pepper, digest_size=DIGEST_BYTES).digest()


def peppered(pepper: bytes) -> blake2b:
    """The same hash before it has seen a credential: of each, a copy is to be updated."""
    return blake2b(key=pepper, digest_size=DIGEST_BYTES)


def _base62(number: int, length: int) -> str:
    letters = []
    for _ in range(length):
        number, place = divmod(number, 62)
        letters.append(_LETTERS[place])
    return "".join(reversed(letters))
