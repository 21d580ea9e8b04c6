"""A desk at a journal of small segments, for its tests."""

from pathlib import Path

from kpgate._fast.commit import Life, Region, Seat
from kpgate._fast.journal import Journal, areas, recover, segments

SEGMENT_BYTES = 64 * 1024
RING_BYTES = 32 * 1024
NOTE = 9


def gather(
    files: Path, since: int, found: list[tuple[int, int, bytes]], *, rebooted: bool = True
) -> tuple[int, str]:
    return recover(files, since, SEGMENT_BYTES, lambda more, end: found.extend(more), rebooted)


def notes(found: list[tuple[int, int, bytes]]) -> list[bytes]:
    return [body for _, kind, body in found if kind == NOTE]


class Desk:
    """A region with a journal, and a seat at it."""

    def __init__(self, folder: Path, ring_bytes: int = RING_BYTES) -> None:
        self.folder = folder
        (folder / "journal").mkdir(exist_ok=True)
        self.files = folder / "journal"
        self.region = Region.create(areas(ring_bytes), 8)
        self.life = Life.claim(folder, 0, 8)
        self.seat = Seat(self.region, self.life)
        # A test that waits for its turn is no test of patience.
        self.seat.patience_us = 1_000_000
        self.journal = Journal(self.region, self.seat, self.files)

    def stand(self, segments_ready: int = 3) -> "Desk":
        firsts = segments(self.files)
        end, problem = recover(self.files, 0, SEGMENT_BYTES, lambda found, end: None) if firsts else (0, "")
        assert not problem
        first = firsts[-1] + SEGMENT_BYTES if firsts else SEGMENT_BYTES
        self.journal.stand(first, end, 1, SEGMENT_BYTES, 1_000_000, 0)
        while self.journal.prepare(segments_ready * SEGMENT_BYTES):
            pass
        return self

    def put(self, *bodies: bytes) -> list[int]:
        lsns = []
        for body in bodies:
            lsn = self.journal.append(NOTE, body, 5)
            if not lsn:
                assert self.journal.flush(self.journal.tail)
                self.journal.prepare(3 * SEGMENT_BYTES)
                lsn = self.journal.append(NOTE, body, 5)
            assert lsn > 0
            lsns.append(lsn)
        return lsns

    def read(self) -> list[tuple[int, int, bytes]]:
        found: list[tuple[int, int, bytes]] = []
        _, problem = gather(self.files, 0, found)
        assert not problem
        return found
