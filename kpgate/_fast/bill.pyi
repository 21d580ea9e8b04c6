from typing import Any, final

MOST: int

@final
class Bill:
    def __new__(cls, price: Any) -> Bill: ...
    def charge(
        self,
        prompt: int,
        output: int,
        cached: int,
        reasoning: int,
        heard: int,
        spoken: int,
        seen: int,
        written: int,
        kept: int,
        units: int,
        factor: int,
    ) -> int: ...

@final
class Tariff:
    input: int
    output: int
    request: int
    margin: int
    unit: int
    steps: tuple[tuple[int, Tariff], ...]
    def __init__(
        self,
        input: int,
        output: int,
        request: int,
        margin: int = 100,
        unit: int = 0,
        steps: tuple[tuple[int, Tariff], ...] = (),
    ) -> None: ...
    def bound(self, prompt_tokens: int, output_tokens: int, factor: int = 10_000, units: int = 0) -> int: ...
    def affordable(self, amount: int, prompt_tokens: int, factor: int = 10_000, units: int = 0) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
