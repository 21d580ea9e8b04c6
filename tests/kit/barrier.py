"""A provider that answers when it is told to: nobody's call ends before all are decided."""

import asyncio

from tests.kit.provider import Talk, answer, completion


class Barrier:
    """A step for a provider. Shape: `waiting` is how many calls have come to it."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.waiting = 0

    async def step(self, talk: Talk) -> None:
        """Answer once it is open."""
        await talk.rest_of_body()
        self.waiting += 1
        await self.open.wait()
        await answer(completion())(talk)
