"""Tests that need an event loop: one each, uvloop's, and a way to wait for a state."""

import asyncio
import functools
import time
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop


def looped(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an `async` test on a loop of its own."""

    @functools.wraps(test)
    def run(*args: object, **kwargs: object) -> None:
        uvloop.run(test(*args, **kwargs))

    return run


async def until(state: Callable[[], object], within_s: float = 10.0) -> None:
    """Wait until `state()` is true.

    Errors: AssertionError when that takes longer than `within_s`.
    """
    deadline = time.monotonic() + within_s
    while not state():
        assert time.monotonic() < deadline, "the state did not come"
        await asyncio.sleep(0.001)
