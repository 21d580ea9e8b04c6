"""Whether what was decided survives a power loss: who must know waits for it, and a sync that is late is made here.

The clerk syncs as often as it is asked to; a worker does where its replies wait, one sync for all that do, and where
the clerk does not come to it. It must not know what a journal's entries mean.
"""

import asyncio
from collections import deque
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread

from kpgate._fast.journal import Journal
from kpgate._fast.wait import Wait
from kpgate.domain.errors import StoreUnavailable

LATE_US = 150_000
LAG_MAX_US = 2_000_000
SEEN_MAX = 600
STORE_WAIT_US = 500_000


class Sync:
    """Has the disk follow one worker's journal."""

    def __init__(self, journal: Journal, loop: asyncio.AbstractEventLoop) -> None:
        self._journal = journal
        self._loop = loop
        self._undurable: deque[tuple[int, int]] = deque()
        self._hurrying = False
        self._waiting: list[tuple[int, Wait]] = []
        self._rounds: SimpleQueue[None] = SimpleQueue()
        self._busy = False
        self._thread: Thread | None = None

    async def reach(self, position: int) -> None:
        """Wait until the disk has all before a position that is written: one sync is for all who wait.

        Errors: StoreUnavailable when the disk fails.
        """
        if self._journal.durable >= position:
            return
        wait = Wait(self._loop)
        self._waiting.append((position, wait))
        if not self._busy:
            self._begin()
        await wait
        if self._journal.durable < position:
            raise StoreUnavailable("the journal cannot be synced", retry_after_us=STORE_WAIT_US)

    def watch(self, now_us: int) -> bool:
        """See how old the oldest is that was decided and is not on the disk, and sync where the clerk does not come
        to it; whether nothing more may be held. Order: once a tick.
        """
        journal, waiting = self._journal, self._undurable
        durable, tail = journal.durable, journal.tail
        while waiting and waiting[0][0] <= durable:
            waiting.popleft()
        if tail > durable and len(waiting) < SEEN_MAX and not (waiting and waiting[-1][0] == tail):
            waiting.append((tail, now_us))
        late_us = now_us - waiting[0][1] if waiting else 0
        if late_us > LATE_US and not self._hurrying:
            self._hurrying = True
            # A disk that hangs keeps it for good: it is nobody's to wait for.
            Thread(target=self._hurry, name="sync", daemon=True).start()
        return late_us > LAG_MAX_US

    def _hurry(self) -> None:
        try:
            # What an error means is noted in the journal, for everybody.
            with suppress(OSError):
                self._journal.sync()
        finally:
            self._hurrying = False

    def _begin(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = Thread(target=self._work, name="durable", daemon=True)
            self._thread.start()
        self._busy = True
        self._rounds.put(None)

    def _done(self, well: bool) -> None:
        asked, self._waiting, self._busy = self._waiting, [], False
        durable = self._journal.durable
        # Those who came while the disk was at work wait for the next sync, unless it failed.
        self._waiting = [one for one in asked if well and one[0] > durable]
        if self._waiting:
            self._begin()
        for position, wait in asked:
            if position <= durable or not well:
                wait.resolve()

    def _work(self) -> None:
        # The loop may have ended meanwhile.
        with suppress(RuntimeError):
            while True:
                self._rounds.get()
                well = False
                try:
                    # What an error means is noted in the journal, for everybody.
                    with suppress(OSError):
                        self._journal.sync()
                        well = not self._journal.failed
                finally:
                    self._loop.call_soon_threadsafe(self._done, well)
