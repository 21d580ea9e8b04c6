"""A receipt: what a charged call amounts to, as a leaf of the log; and what a verifier needs to believe it.

Pure. docs/receipts.md says the same in words, for whoever writes a verifier.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from hashlib import blake2b, sha256
from typing import Any

from kpgate._fast.charge import Charge
from kpgate._fast.leaf import Speller
from kpgate.domain.ledger import (
    End,
    Hold,
    price_version_of,
    public,
    read_end_note,
    read_hold_note,
    show_call,
)
from kpgate.domain.price import terms_hash
from kpgate.domain.usage import COUNTS

VERSION = 1
HEAD_TITLE = "kpgate-log-v1"
FOLLOWS_TITLE = "kpgate-origin-v1"
SALT_BYTES = 16
PARTIES_REMEMBERED = 10_000


_spell = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode


def receipt(hold: Hold, end: End, terms: str, origin: str, secret: bytes) -> dict[str, Any]:
    """The receipt of a charged call. Shape: `terms` spell its price; `secret` is the log's."""
    asked, said = read_hold_note(hold.note), read_end_note(end.note)
    return {
        "amount_microkpt": end.amount,
        "call": show_call(hold.call),
        "factor_basis_points": asked.factor,
        "log": origin,
        "model": asked.model,
        "overrun_microkpt": end.overrun,
        "party": pseudonym(hold.party, origin, secret),
        "price": price_version_of(hold, end),
        "price_sha256": terms_hash(terms),
        "reason": end.reason,
        "request": asked.request_id,
        "salt": _keyed(secret, b"salt", show_call(hold.call).encode()),
        "time_us": end.time_us,
        "usage": public(said.usage),
        "v": VERSION,
    }


def canonical(value: dict[str, Any]) -> bytes:
    """The one spelling of a receipt: keys sorted, no space, ASCII alone."""
    return _spell(value).encode()


def leaves(
    charges: Iterable[Charge], terms: Callable[[int], str], origin: str, secret: bytes
) -> Iterator[bytes]:
    """The canonical receipts of charges, each written at once: there are as many as charges.

    Shape: `terms` spell a price by its version.
    """
    spell = _speller(origin, secret).leaf
    for one in charges:
        yield spell(one, pseudonym(one.party, origin, secret), terms_hash(terms(one.price_version)))


def hashes(charges: Sequence[Charge], terms: Callable[[int], str], origin: str, secret: bytes) -> bytes:
    """The hashes of charges' leaves, one after the other. Shape: as of `leaves`."""
    called = partial(pseudonym, origin=origin, secret=secret)
    return _speller(origin, secret).hashes(charges, called, lambda version: terms_hash(terms(version)))


@lru_cache(64)
def _speller(origin: str, secret: bytes) -> Speller:
    return Speller(origin, COUNTS, VERSION, secret)


@lru_cache(PARTIES_REMEMBERED)
def pseudonym(party: int, origin: str, secret: bytes) -> str:
    """What a party is called in a log: the same in all its receipts, and told to nobody else."""
    return _keyed(secret, b"party", f"{origin}:{party}".encode())


def log_secret(pepper: bytes, origin: str) -> bytes:
    """The secret of a log, by which parties and calls cannot be guessed from hashes."""
    return blake2b(origin.encode(), key=pepper[:64], person=b"kpgate log", digest_size=32).digest()


def follower(before: str) -> str:
    """The origin of a log that follows another: it says which one, for it is this text's hash.

    Shape: `before` is the other log's origin, size and root, and 32 random hexadecimal digits, colons between.
    """
    return sha256(f"{FOLLOWS_TITLE}\n{before}\n".encode()).hexdigest()[:32]


def head_bytes(origin: str, size: int, root: bytes, time_us: int, key_id: str) -> bytes:
    """What is signed of a tree head: six lines."""
    return f"{HEAD_TITLE}\n{origin}\n{size}\n{root.hex()}\n{time_us}\n{key_id}\n".encode()


def _keyed(secret: bytes, person: bytes, data: bytes) -> str:
    begun = _begun(secret, person).copy()
    begun.update(data)
    return begun.hexdigest()


@lru_cache(64)
def _begun(secret: bytes, person: bytes) -> blake2b:
    return blake2b(key=secret, person=person, digest_size=SALT_BYTES)
