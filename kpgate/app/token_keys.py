"""The keys that sign party tokens: Ed25519, each made from the pepper, the log and a number, and kept nowhere.

A restored data directory has another log, and so other keys: what was signed before is nothing to it, for nobody knows
what was spent since. The library that signs is loaded with the first token, so that a start does not wait for it.
"""

import importlib
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from kpgate.domain.token import Claims, Token
from kpgate.stores.tokens import Signers, TokenReader

SEED_BYTES = 32
_LIBRARY = "kpgate.app.token_signing"


def seed(pepper: bytes, origin: str, number: int) -> bytes:
    """The private half of one of a log's keys."""
    said = f"{origin}:{number}".encode()
    return blake2b(said, key=pepper[:64], person=b"kpgate token key", digest_size=SEED_BYTES).digest()


class TokenSigner:
    """Signs, for the clerk."""

    def __init__(self, pepper: bytes) -> None:
        self._pepper = pepper

    def sign(self, token: Token, key: str, signers: Signers) -> str:
        """A token's spelling: the same whenever it is asked for. Shape: `key` is the id of its key."""
        library = importlib.import_module(_LIBRARY)
        spelled: str = library.sign(
            token, key, signers.origin, seed(self._pepper, signers.origin, token.signer)
        )
        return spelled


class TokenEyes:
    """Reads tokens, for AUTH. Order: `learn` before anything else, and again after `forget`.

    Units: `wall_us` microseconds since 1970.
    """

    def __init__(self, reader: TokenReader, pepper: bytes, wall_us: Callable[[], int]) -> None:
        self._reader = reader
        self._pepper = pepper
        self._wall_us = wall_us
        self._known: dict[str, Any] | None = None
        self._signers = Signers("", ())

    def learn(self) -> set[int]:
        """Read who signs, and the numbers of tokens that were revoked.

        Errors: StoreUnavailable.
        """
        self._signers, self._known = self._reader.signers(), None
        return set(self._reader.revoked(self._wall_us()))

    def read(self, credential: bytes) -> Token:
        """What a token says that was signed here. It asks no store.

        Errors: InvalidApiKey, which says why it is none.
        """
        library = importlib.import_module(_LIBRARY)
        origin = self._signers.origin
        if self._known is None:
            self._known = {}
            for number, until_us in self._signers.known:
                key_id, key = library.believe(seed(self._pepper, origin, number), until_us)
                self._known[key_id] = key
        claims: Claims = library.read(credential, self._known, origin, self._wall_us())
        number, budget, tag = claims.kp
        return Token(
            number=number,
            id=claims.jti,
            key=claims.key,
            budget=budget,
            tag=tag,
            cap=claims.cap,
            models=claims.models,
            expires_us=claims.exp * 1_000_000,
        )
