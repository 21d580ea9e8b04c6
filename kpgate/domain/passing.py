"""A reply on its way to the caller as it comes, byte for byte: what it says is nobody's here but its two ends'.

Of a stream of events the last bytes are looked at, for what was used. Here is also what is read of a reply where
nothing is. Knows no vendor.
"""

from collections.abc import Callable
from typing import Any

from kpgate.domain.usage import Usage

TAIL_BYTES = 16_384


class Passing:
    """What passes: `domain.dialect.Framing`. It has no boundaries, so an error after its first byte cuts it."""

    __slots__ = ("_find", "_tail")

    at_boundary = False
    events = 0
    text_bytes = 0

    def __init__(self, find: Callable[[bytes], Usage | None] | None = None) -> None:
        self._find = find
        self._tail = b""

    @property
    def usage(self) -> Usage | None:
        """What its last bytes say was used; None where they do not."""
        return self._find(self._tail) if self._find is not None else None

    def feed(self, chunk: bytes) -> bytes:
        """Take what arrived, to send on now."""
        if self._find is not None:
            self._tail = (self._tail + chunk)[-TAIL_BYTES:]
        return chunk

    def finish(self) -> bytes:
        """Nothing is left to send."""
        return b""

    def take_text(self) -> str:
        """Nothing that is counted."""
        return ""


def pass_on(call: object) -> Passing:
    """What sends a reply on."""
    return Passing()


def same(used: Any) -> Any:
    """A usage that was read already."""
    return used


def uncut(framer: object, request_id: str, model: str, choices: int) -> bytes:
    """The end of a stream that nobody can cut: it says nothing that is metered."""
    return b""


def unsaid(body: bytes) -> None:
    """The usage of a reply that says none."""


def sound(body: bytes) -> str:
    """What is wrong with a reply that nobody looks at: nothing."""
    return ""


def silent(body: bytes) -> str:
    """The text of a reply that has none."""
    return ""
