from collections.abc import Mapping
from os import PathLike
from typing import Final, final

KEY: Final[int]
PARTY: Final[int]
MODEL: Final[int]
DEPLOYMENT: Final[int]
CALL: Final[int]
METRIC: Final[int]
ACCOUNT: Final[int]
BUDGET: Final[int]
HOLD: Final[int]
JOURNAL: Final[int]
PULSE: Final[int]

@final
class Region:
    path: Final[str]
    size_bytes: Final[int]
    resident: Final[bool]
    seats: Final[int]
    generation: Final[int]
    owner: Final[tuple[int, int, int] | None]
    takeovers: Final[int]
    repairs: Final[int]
    @staticmethod
    def create(
        areas: Mapping[int, tuple[int, int]], seats: int, path: str | PathLike[str] | None = None
    ) -> Region: ...
    @staticmethod
    def open(path: str | PathLike[str]) -> Region: ...
    def changes(self, since: int) -> tuple[int, list[tuple[int, int]] | None]: ...
    def dump(self, kind: int) -> bytes: ...

@final
class Life:
    index: Final[int]
    held: Final[bool]
    @staticmethod
    def obtain(folder: str | PathLike[str], index: int, patience_us: int = 0) -> Life | None: ...
    @staticmethod
    def claim(folder: str | PathLike[str], first: int, count: int) -> Life: ...
    def close(self) -> None: ...

@final
class Seat:
    region: Final[Region]
    life: Final[Life]
    index: Final[int]
    incarnation: Final[int]
    patience_us: int
    timed: bool
    hold_ns_max: Final[int]
    wait_ns_max: Final[int]
    stores_left: int
    waits: Final[list[int]]
    def __new__(cls, region: Region, life: Life) -> Seat: ...
    def heal(self) -> bool: ...
    def publish(self, kind: int, number: int) -> bool: ...

def life_is_free(folder: str | PathLike[str], index: int) -> bool: ...
