from collections.abc import Sequence
from typing import final

from kpgate._fast.pulse import Pulse, Rules

WEIGHTED: int
COST: int
LATENCY: int
LEAST_BUSY: int

_Candidate = tuple[Pulse, Pulse | None, int, int, int, int, int, int, int, int, int, int, int]

@final
class Size:
    def __new__(
        cls,
        prompt_tokens: int = 0,
        output_cap: int = 0,
        choices: int = 1,
        kind: int = 0,
        streamed: bool = False,
    ) -> Size: ...
    @property
    def prompt_tokens(self) -> int: ...
    @property
    def output_cap(self) -> int: ...
    @property
    def choices(self) -> int: ...
    @property
    def kind(self) -> int: ...
    @property
    def streamed(self) -> bool: ...

@final
class Choice:
    def __new__(
        cls, candidates: Sequence[_Candidate], rules: Rules, strategy: int = 0, sticky: bool = False
    ) -> Choice: ...
    @property
    def count(self) -> int: ...
    @property
    def strategy(self) -> int: ...
    @property
    def sticky(self) -> bool: ...
    @property
    def grouped(self) -> bool: ...
    @property
    def tracked(self) -> bool: ...
    def order(
        self,
        random: int,
        eligible: int,
        now_us: int,
        size: Size | None = None,
        session: int = 0,
        key: int = 0,
        asks: bool = True,
    ) -> tuple[int, ...]: ...
    def within(self, eligible: int, size: Size, cost_max: int, factor: int) -> int: ...
    def expected(self, i: int, size: Size, factor: int) -> int: ...
    def states(self, now_us: int) -> list[int]: ...
    def scores(self, now_us: int, size: Size) -> list[float]: ...
