"""A node's shared memory for tests: a small region, seats in it, and what they may kill."""

from pathlib import Path

from kpgate._fast import limit, metric
from kpgate._fast.commit import CALL, DEPLOYMENT, KEY, MODEL, PARTY, Life, Region, Seat

CALL_WORDS = 16


class Node:
    """A small region with as many seats as a test wants."""

    def __init__(self, folder: Path, *, calls: int = 8, seats: int = 16) -> None:
        self.folder = folder
        self.calls = calls
        areas = limit.areas(keys=8, parties=8, models=8, deployments=8, calls=calls)
        self.region = Region.create({**areas, **metric.areas(seats, series=64)}, seats)

    def sit(self, index: int) -> limit.Limits:
        """Limits decided from a seat of one's own."""
        return self.sit_with(index)[1]

    def sit_with(self, index: int) -> tuple[Seat, limit.Limits]:
        """The seat as well."""
        life = Life.obtain(self.folder, index)
        assert life is not None, f"seat {index} is taken"
        seat = Seat(self.region, life)
        # A test that waits for its turn is no test of patience.
        seat.patience_us = 1_000_000
        return seat, limit.Limits(self.region, seat, 60_000_000)

    def state(self) -> tuple[object, ...]:
        """Everything that commits decide, free call entries blanked: equal means nothing has happened."""
        limits = tuple(self.region.dump(kind) for kind in (KEY, PARTY, MODEL, DEPLOYMENT))
        words = memoryview(self.region.dump(CALL)).cast("Q")
        calls = []
        for at in range(0, len(words), CALL_WORDS):
            entry = list(words[at : at + CALL_WORDS])
            # Word 0 is the state, odd while open; word 1 links the free ones.
            calls.append((entry[0], *entry[2:]) if entry[0] & 1 else (entry[0],))
        _, changes = self.region.changes(max(0, self.region.generation - 16))
        return (limits, tuple(calls), self.region.generation, tuple(changes or ()))
