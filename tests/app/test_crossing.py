"""Calls that cross from other threads to the loop's: all of them, in order, by as few wake-ups as there are turns."""

import asyncio
import threading
from collections.abc import Callable
from contextvars import Context
from typing import Any

from kpgate.app.crossing import Crossing


class Counted:
    """A loop that counts how often it is woken."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.woken = 0

    def call_soon_threadsafe(
        self, callback: Callable[..., Any], *arguments: Any, context: Context | None = None
    ) -> None:
        self.woken += 1
        self.loop.call_soon_threadsafe(callback, *arguments, context=context)


def test_what_comes_in_one_turn_wakes_the_loop_once_and_keeps_its_order() -> None:
    async def main() -> None:
        loop = Counted()
        made: list[int] = []
        crossing = Crossing(loop, lambda error: None)  # type: ignore[arg-type]
        for number in range(9):
            crossing.call_soon_threadsafe(made.append, number)
        assert made == [] and loop.woken == 1
        await asyncio.sleep(0)
        assert made == list(range(9))
        crossing.call_soon(made.append, 9)
        await asyncio.sleep(0)
        assert made[-1] == 9 and loop.woken == 2

    asyncio.run(main())


def test_what_comes_of_a_call_is_made_in_the_next_turn() -> None:
    async def main() -> None:
        made: list[int] = []
        crossing = Crossing(asyncio.get_running_loop(), lambda error: None)

        def again() -> None:
            made.append(len(made))
            crossing.call_soon(again)

        crossing.call_soon(again)
        for turn in range(1, 4):
            await asyncio.sleep(0)
            assert len(made) == turn

    asyncio.run(main())


def test_one_that_fails_is_told_and_keeps_none_of_the_others() -> None:
    async def main() -> None:
        made: list[int] = []
        alarms: list[Exception] = []
        crossing = Crossing(asyncio.get_running_loop(), alarms.append)
        crossing.call_soon_threadsafe(int, "no number")
        crossing.call_soon_threadsafe(made.append, 1)
        await asyncio.sleep(0)
        assert made == [1] and isinstance(alarms[0], ValueError)

    asyncio.run(main())


def test_nothing_is_lost_between_threads() -> None:
    async def main() -> None:
        made: list[tuple[int, int]] = []
        crossing = Crossing(asyncio.get_running_loop(), lambda error: None)
        over = asyncio.Semaphore(0)

        def send(sender: int) -> None:
            for number in range(2000):
                crossing.call_soon_threadsafe(made.append, (sender, number))
            crossing.call_soon_threadsafe(over.release)

        threads = [threading.Thread(target=send, args=(sender,)) for sender in range(3)]
        for thread in threads:
            thread.start()
        for _ in threads:
            await asyncio.wait_for(over.acquire(), 30)
        for thread in threads:
            thread.join()
        for sender in range(3):
            assert [number for who, number in made if who == sender] == list(range(2000))

    asyncio.run(main())
