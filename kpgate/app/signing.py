"""The node's signing keys: Ed25519, in DATA/signing, made once; they sign the heads of the log.

A key that is rotated out stays for verification; the new one is endorsed by it. The library that signs is loaded with
the first key: a clerk without a ledger starts without it.
"""

import os
import secrets
from hashlib import sha256
from pathlib import Path

from kpgate.domain.errors import StoreUnavailable

SEED_BYTES = 32
ENDORSES = b"kpgate-signer-v1\n"


class Signer:
    """One key."""

    def __init__(self, seed: bytes) -> None:
        # house: imports - a tenth of the clerk's start and of its memory, where nothing is ever signed
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._private.public_key().public_bytes_raw()
        self.id = key_id(self.public)

    def sign(self, message: bytes) -> bytes:
        """A message's signature."""
        return self._private.sign(message)

    def __repr__(self) -> str:
        return f"<Signer {self.id}>"


def key_id(public: bytes) -> str:
    """What a key is called: the beginning of its public half's SHA-256."""
    return sha256(public).hexdigest()[:16]


def endorsement(public: bytes) -> bytes:
    """What an older key signs of a newer one."""
    return ENDORSES + public.hex().encode() + b"\n"


def is_signed(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether a signature is that key's."""
    # house: imports - as above
    from cryptography.exceptions import InvalidSignature

    # house: imports - as above
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


class Keyring:
    """The keys of a data directory. Order: the newest signs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def signers(self) -> list[Signer]:
        """Every key, oldest first, the first made at first use.

        Errors: StoreUnavailable when one cannot be read.
        """
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return self.kept() or [self.make()]
        except OSError as error:
            raise StoreUnavailable("a signing key cannot be made") from error

    def kept(self) -> list[Signer]:
        """Every key that is there, oldest first; none is made.

        Errors: StoreUnavailable when one cannot be read.
        """
        found = []
        try:
            for path in sorted(self._folder.glob("*.key")):
                seed = bytes.fromhex(path.read_text().strip())
                if len(seed) != SEED_BYTES:
                    raise ValueError
                found.append(Signer(seed))
            return found
        except (OSError, ValueError) as error:
            raise StoreUnavailable("a signing key cannot be read") from error

    def make(self) -> Signer:
        """Make the next key. Order: names sort by when they were made.

        Errors: OSError.
        """
        seed = secrets.token_bytes(SEED_BYTES)
        # Beyond the newest, not by their number: of those that are gone none is written over.
        taken = (int(path.stem) for path in self._folder.glob("*.key") if path.stem.isdecimal())
        number = max(taken, default=-1) + 1
        path = self._folder / f"{number:06}.key"
        draft = path.with_suffix(".new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(seed.hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return Signer(seed)
