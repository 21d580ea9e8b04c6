import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, final

from kpgate._fast.outbox import Outbox
from kpgate._fast.wait import Wheel

__pyx_capi__: dict[str, object]

@final
class Lane:
    def __init__(
        self,
        serve: Callable[[Any], Awaitable[None]],
        *,
        wheel: Wheel,
        loop: asyncio.AbstractEventLoop,
        outbox: Outbox,
        error: Callable[[str, str], Exception],
        alarm: Callable[[BaseException], None],
        clients_max: int,
        failed: tuple[int, list[tuple[bytes, bytes]], bytes] | None = None,
        preamble: Callable[[bytes], tuple[int, str | None] | None] | None = None,
    ) -> None: ...
    @property
    def loop(self) -> asyncio.AbstractEventLoop: ...
    @property
    def wheel(self) -> Wheel: ...
    @property
    def clients(self) -> set[Any]: ...
    @property
    def draining(self) -> bool: ...
    @property
    def turned_away(self) -> int: ...
    @turned_away.setter
    def turned_away(self, value: int) -> None: ...
    def bound(
        self,
        *,
        head_us: int,
        idle_us: int,
        body_idle_us: int,
        write_stall_us: int,
        bytes_a_second_min: int,
    ) -> None: ...
    def drain(self) -> None: ...
