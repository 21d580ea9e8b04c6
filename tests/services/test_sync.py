"""What must survive a power loss: those who wait share a sync, and one that is late is made by a worker."""

import asyncio
from queue import SimpleQueue
from threading import Event
from typing import Any, cast

import pytest
import uvloop

from kpgate.domain.errors import StoreUnavailable
from kpgate.services.sync import Sync
from tests.kit.gateway_process import until


class Disk:
    """A journal on a disk that answers when it is let."""

    tail, filed, durable, failed = 100, 100, 100, 0

    def __init__(self) -> None:
        self.asked = 0
        self.answers = Event()
        self.reaches: SimpleQueue[int] = SimpleQueue()

    def sync(self) -> int:
        """How far, `reaches` says, or all once it `answers`; -1 is a failure."""
        self.asked += 1
        if self.filed > 100:
            reached = self.reaches.get(timeout=10)
            if reached < 0:
                self.failed = 5
                raise OSError(5, "the disk")
            self.durable = reached
            return reached
        assert self.answers.wait(10)
        self.durable = self.tail
        return self.durable


def of(disk: Disk) -> Sync:
    """What has that disk follow."""
    return Sync(cast(Any, disk), asyncio.get_running_loop())


def test_one_sync_is_for_all_who_wait() -> None:
    async def main() -> None:
        disk, turn = Disk(), asyncio.sleep
        sync = of(disk)
        disk.tail = disk.filed = 200
        first = [asyncio.ensure_future(sync.reach(200)) for _ in range(5)]
        await turn(0)
        until(lambda: disk.asked == 1)
        disk.tail = disk.filed = 300
        later = [asyncio.ensure_future(sync.reach(300)) for _ in range(5)]
        await turn(0)
        assert not any(one.done() for one in first + later)
        disk.reaches.put(200)
        await asyncio.gather(*first)
        until(lambda: disk.asked == 2)
        assert not any(one.done() for one in later), "that sync had begun before"
        disk.reaches.put(300)
        await asyncio.gather(*later)
        await sync.reach(300)
        assert disk.asked == 2, "what is durable is not synced again"

    uvloop.run(main())


def test_nobody_is_told_of_what_the_disk_did_not_take() -> None:
    async def main() -> None:
        disk = Disk()
        sync = of(disk)
        disk.tail = disk.filed = 200
        waits = [asyncio.ensure_future(sync.reach(200)) for _ in range(2)]
        disk.reaches.put(-1)
        for one in waits:
            with pytest.raises(StoreUnavailable):
                await one

    uvloop.run(main())


def test_what_does_not_reach_the_disk_is_synced_by_a_worker_and_said_after_two_seconds() -> None:
    async def main() -> None:
        disk = Disk()
        sync = of(disk)
        for tick in range(10):
            assert not sync.watch(tick * 100_000)
        assert disk.asked == 0, "nothing is behind"
        disk.tail = 200
        sync.watch(1_000_000)
        assert disk.asked == 0, "the clerk has its turn first"
        sync.watch(1_100_000)
        assert disk.asked == 0
        sync.watch(1_200_000)
        until(lambda: disk.asked == 1)
        assert not sync.watch(2_900_000) and disk.asked == 1, "one at a time"
        assert sync.watch(3_100_000)
        disk.answers.set()
        until(lambda: disk.durable == 200)
        assert not sync.watch(3_200_000)
        disk.tail = 300
        assert not sync.watch(3_300_000), "a new delay is counted from its own beginning"

    uvloop.run(main())


def test_a_disk_that_moves_but_is_two_seconds_behind_is_late() -> None:
    async def main() -> None:
        disk = Disk()
        disk.answers.set()
        disk.sync = lambda: disk.durable  # type: ignore[method-assign]
        sync = of(disk)
        lagged = []
        for tick in range(100):
            # A tick's worth is decided in each, and so much is on the disk as was decided so many ticks before.
            behind = min(tick, 30) if tick < 60 else 10
            disk.tail, disk.durable = 1_000 + tick, 1_000 + tick - behind
            lagged.append(sync.watch(tick * 100_000))
        assert lagged.index(True) == 22 and all(lagged[22:60]) and not any(lagged[60:])

    uvloop.run(main())


def test_a_disk_that_hangs_for_long_takes_no_memory() -> None:
    async def main() -> None:
        disk = Disk()
        disk.sync = lambda: disk.durable  # type: ignore[method-assign]
        sync = of(disk)
        for tick in range(10_000):
            disk.tail += 1
            sync.watch(tick * 100_000)
        assert sync.watch(1_000_000_000) and len(sync._undurable) == 600
        disk.durable = disk.tail
        assert not sync.watch(1_000_100_000) and not sync._undurable

    uvloop.run(main())
