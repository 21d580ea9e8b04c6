"""The way from the server's threads to the loop's: whatever came since is taken over in one turn, by one wake-up.

Knows neither server nor request. To a server it stands in for the loop.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any


class Crossing:
    """Calls from any thread, made on the loop's in their order.

    Order: safe from any thread that holds the interpreter.
    """

    __slots__ = ("_alarm", "_coming", "_context", "_woken", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, alarm: Callable[[Exception], None]) -> None:
        self.loop = loop
        self._alarm = alarm
        self._coming: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._context = Context()
        self._woken = False

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *arguments: Any, context: Context | None = None
    ) -> None:
        """As the loop's own, but that nobody has a handle of it and it runs in no context of its own."""
        self._coming.append((callback, arguments))
        if not self._woken:
            self._woken = True
            self.loop.call_soon_threadsafe(self._turn, context=self._context)

    call_soon = call_soon_threadsafe

    def _turn(self) -> None:
        # Before it is looked at: what comes from now on wakes the loop anew.
        self._woken = False
        coming = self._coming
        for _ in range(len(coming)):
            callback, arguments = coming.popleft()
            try:
                callback(*arguments)
            except Exception as error:  # noqa: BLE001 - the edge of a callback: the others are to be made
                self._alarm(error)
