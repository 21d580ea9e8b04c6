"""The real clerk with small segments, on a disk that is full for as long as a file says so.

Shape: the file is `full` in the data directory. Started by the supervisor, as `kpgate.app.clerk_child` is.
"""

import errno
import sys
from pathlib import Path

import msgspec

from kpgate._fast.journal import Journal
from kpgate.app import clerk_child, poster
from kpgate.app.bank import Bank

SEGMENT_BYTES = 1 << 16
AHEAD_BYTES = 2 * SEGMENT_BYTES


class _Disk:
    """A journal whose disk may be full. Everything else is the journal's."""

    def __init__(self, journal: Journal, mark: Path) -> None:
        self._journal = journal
        self._mark = mark

    def __getattr__(self, name: str) -> object:
        return getattr(self._journal, name)

    def prepare(self, ahead_bytes: int) -> bool:
        """Make one segment more, if there is room."""
        if self._mark.exists():
            sys.stderr.write(msgspec.json.encode({"event": "disk_full"}).decode() + "\n")
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._journal.prepare(ahead_bytes)


def main() -> None:
    """The process, from its start to its end."""
    poster.SEGMENT_BYTES = SEGMENT_BYTES
    poster.AHEAD_BYTES = AHEAD_BYTES
    made = Bank.__init__

    def furnish(bank: Bank, *said: object) -> None:
        made(bank, *said)  # type: ignore[arg-type]
        bank.poster._journal = _Disk(bank.journal, bank._directory.root / "full")  # type: ignore[assignment]

    Bank.__init__ = furnish  # type: ignore[assignment,method-assign]
    clerk_child.main()


if __name__ == "__main__":
    main()
