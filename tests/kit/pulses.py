"""Upstreams in a region of their own, for tests."""

from pathlib import Path

from kpgate._fast import pulse
from kpgate._fast.commit import Life, Region, Seat
from kpgate._fast.pulse import Pulses, Rules

SEATS = 3
SECOND_US = 1_000_000


class Ward:
    """A region with room for upstreams, and any number of processes' views of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.region = Region.create(pulse.areas(SEATS, 300), SEATS)
        self._views: dict[int, Pulses] = {}

    def of(self, number: int, seat: int = 0) -> pulse.Pulse:
        """An upstream as one process sees it."""
        if seat not in self._views:
            self.join(seat)
        return self._views[seat].of(number)

    def join(self, seat: int) -> None:
        """A process comes, after the last one of its seat has died."""
        self._views.pop(seat, None)
        life = Life.obtain(self.folder, seat, SECOND_US)
        assert life is not None
        self._views[seat] = Pulses(self.region, Seat(self.region, life))
        life.close()


def rules(**more: int) -> Rules:
    """Rules that eject after two failures for ten seconds, one of two."""
    return Rules(**{"failures": 2, "base_us": 10 * SECOND_US, "max_us": 15 * SECOND_US} | more)
