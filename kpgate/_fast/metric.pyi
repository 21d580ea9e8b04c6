from typing import Final, final

from kpgate._fast.commit import Region

@final
class Counter:
    value: Final[int]
    def add(self, more: int) -> int: ...

@final
class Gauge:
    value: Final[int]
    def add(self, more: int) -> int: ...
    def set(self, value: int) -> None: ...

@final
class Histogram:
    counts: Final[list[int]]
    total: Final[int]
    def observe(self, value: int) -> int: ...

@final
class RequestCells:
    def __new__(
        cls,
        *,
        requests: tuple[Counter, ...] = (),
        total: tuple[Histogram, ...] = (),
        overhead: tuple[Histogram, ...] = (),
        first_byte: tuple[Histogram, ...] = (),
        prompt_tokens: tuple[Counter, ...] = (),
        completion_tokens: tuple[Counter, ...] = (),
    ) -> RequestCells: ...
    def record(
        self, total_us: int, overhead_us: int, first_byte_us: int, prompt_tokens: int, completion_tokens: int
    ) -> int: ...

@final
class Shard:
    index: Final[int]
    overflows: Final[int]
    def __new__(cls, region: Region, index: int) -> Shard: ...
    def counter(self, name: str, labels: str = "") -> Counter: ...
    def gauge(self, name: str, labels: str = "") -> Gauge: ...
    def histogram(
        self, name: str, labels: str, bounds: tuple[int, ...], scale: int = 1_000_000
    ) -> Histogram: ...

def zero_gauges(region: Region, index: int) -> None: ...
def escape(value: str) -> str: ...
def render(region: Region, helps: dict[str, str]) -> bytes: ...
def overflows(region: Region) -> int: ...
def areas(shards: int, series: int = 4096) -> dict[int, tuple[int, int]]: ...
