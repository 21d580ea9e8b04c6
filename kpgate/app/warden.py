"""Ends an owner of the node's lock that neither goes on nor dies: stopped, or stuck in its process.

Everybody else waits for the lock meanwhile, and nobody may take it from the living. Between two looks only so much
time counts: where all processes stood still together, the owner has had no time either.
Source: docs/decisions/0001-one-lock.md; pidfd_open(2), Linux manual (checked November 2026).
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from kpgate._fast.commit import Region, Seat, life_is_free

PATIENCE_US = 1_000_000
"""How long one and the same hold may last. It lasts microseconds."""
LOOK_US_MAX = 200_000
"""How much of the time between two looks counts: two of the clerk's ticks."""


class Warden:
    """Watches the lock from a seat. `say(seat, pid)` is told whom it killed."""

    def __init__(self, region: Region, seat: Seat, folder: Path, say: Callable[[int, int], None]) -> None:
        self._region = region
        self._seat = seat
        self._folder = folder
        self._say = say
        self._seen: tuple[int, int, int] | None = None
        self._stood_us = 0
        self._looked_us = 0

    def look(self, now_us: int) -> None:
        """Look once. A dead owner's lock is taken over, and what it left finished, though nobody asks for it.

        Errors: OSError, ValueError, where the owner's life file cannot be read.
        """
        owner = self._region.owner
        passed_us, self._looked_us = now_us - self._looked_us, now_us
        if owner is None or owner != self._seen:
            self._seen, self._stood_us = owner, 0
            return
        if self._seat.heal():
            return
        self._stood_us += min(passed_us, LOOK_US_MAX)
        if self._stood_us >= PATIENCE_US:
            self._stood_us = 0
            self._end(owner)

    def _end(self, owner: tuple[int, int, int]) -> None:
        life = self._folder / f"{owner[0]}.life"
        signed = life.read_text()
        try:
            pinned = os.pidfd_open(int(signed))
        except OSError:
            # It has died just now, and the next look takes the lock over; or the system pins no process, and by
            # a mere number nobody is killed.
            return
        try:
            # A number may be given to another process until it is pinned: then this is no longer the owner's.
            lives = life.read_text() == signed and not life_is_free(self._folder, owner[0])
            if lives and self._region.owner == owner:
                signal.pidfd_send_signal(pinned, signal.SIGKILL)
                self._say(owner[0], int(signed))
        finally:
            os.close(pinned)
