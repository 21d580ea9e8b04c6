"""A compact set of hashes: 8 bytes each, so that a node's every key fits in each worker's memory.

It answers "certainly not" or "perhaps": half of a keyed 128-bit hash is kept, which nobody without the pepper
can aim at.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from sys import byteorder

_RECENT_MAX = 1024


class Fingerprints:
    """The hashes that are known. Shape: only the first 8 bytes of a hash count."""

    __slots__ = ("_recent", "_sorted")

    def __init__(self, digests: Iterable[bytes] = ()) -> None:
        found = array("Q", b"".join([digest[:8] for digest in digests]))
        if byteorder == "little":
            found.byteswap()
        self._sorted = array("Q", sorted(found))
        self._recent: set[int] = set()

    def add(self, digest: bytes) -> None:
        """Know one more."""
        self._recent.add(int.from_bytes(digest[:8], "big"))
        if len(self._recent) > _RECENT_MAX:
            self._sorted = array("Q", sorted({*self._sorted, *self._recent}))
            self._recent.clear()

    def __contains__(self, digest: bytes) -> bool:
        number = int.from_bytes(digest[:8], "big")
        at = bisect_left(self._sorted, number)
        return (at < len(self._sorted) and self._sorted[at] == number) or number in self._recent

    def __len__(self) -> int:
        return len(self._sorted) + len(self._recent)
