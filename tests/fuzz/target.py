"""What a fuzz target is, where its corpus stands, and how an input says where it is cut.

A target is a module of `targets`: `check(data)` raises if `data` shows a defect, `WORDS` are what a mutation likes
to put in. Its corpus is the files of `corpus/<name>`. A new target needs nothing else.
"""

import importlib
import pkgutil
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, cast

from tests.fuzz import targets

CORPUS = Path(__file__).parent / "corpus"
INPUT_BYTES_MAX = 2048


class Target(Protocol):
    """Shape: a module."""

    WORDS: tuple[bytes, ...]

    def check(self, data: bytes) -> None:
        """Run one input. Errors: whatever it raises is a defect."""


def names() -> list[str]:
    """All targets."""
    return [module.name for module in pkgutil.iter_modules(targets.__path__)]


def target(name: str) -> Target:
    """The target of that name."""
    return cast(Target, importlib.import_module(f"tests.fuzz.targets.{name}"))


def corpus(name: str) -> dict[str, bytes]:
    """The kept inputs of a target."""
    return {path.name: path.read_bytes() for path in sorted((CORPUS / name).glob("*"))}


def pieces(data: bytes, cut: int, piece_bytes_max: int = 32_768) -> Iterator[bytes]:
    """`data` as it may arrive. Shape: `cut` a byte; 0 of eight: whole, 1: byte by byte, else at random by it."""
    dice = random.Random(cut)
    start = 0
    while start < len(data):
        size = {0: piece_bytes_max, 1: 1}.get(cut % 8) or dice.choice((1, 2, 3, 7, 20, 60, 400))
        yield data[start : start + size]
        start += size
