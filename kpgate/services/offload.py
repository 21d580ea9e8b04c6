"""Long work off the event loop: one thread, so that a long prompt delays no other call."""

import asyncio
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from kpgate._fast.wait import Wait

R = TypeVar("R")
NICENESS = 10


class Offload:
    """One worker thread at a lower priority. What runs there must hold the interpreter for moments only."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: SimpleQueue[tuple[Wait, Callable[..., Any], tuple[Any, ...]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Where whoever waits does."""
        return self._loop

    async def run(self, function: Callable[..., R], *arguments: Any) -> R:
        """Call `function` on the thread and wait for what it returns or raises."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="offload", daemon=True)
            self._thread.start()
        wait = Wait(self._loop)
        self._queue.put((wait, function, arguments))
        result: R = await wait
        return result

    def close(self) -> None:
        """End the thread after what is queued."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        while (job := self._queue.get()) is not None:
            wait, function, arguments = job
            try:
                outcome = function(*arguments)
            except Exception as error:  # noqa: BLE001 - carried to the one who waits
                self._loop.call_soon_threadsafe(wait.fail, error)
            else:
                self._loop.call_soon_threadsafe(wait.resolve, outcome)
