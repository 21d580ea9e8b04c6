from typing import Final, NamedTuple, final

from kpgate._fast.commit import Life, Region, Seat
from kpgate._fast.journal import Journal

DONE: Final[int]
NO_CREDIT: Final[int]
TIED: Final[int]
OVER_BUDGET: Final[int]
BUDGET_TIED: Final[int]
NO_ROOM: Final[int]
FAILED: Final[int]
FULL: Final[int]
BUSY: Final[int]
STALE: Final[int]
CHANGED: Final[int]
OVER_RANGE: Final[int]
GONE: Final[int]

DAY: Final[int]
MONTH: Final[int]
TOTAL: Final[int]

NOTE_BYTES_MAX: Final[int]
END_NOTE_BYTES_MAX: Final[int]

class HoldState(NamedTuple):
    call: int
    seat: int
    account: int
    amount: int
    is_sent: bool
    metered: int

@final
class Purse:
    account: Final[int]
    party: Final[int]
    key: Final[int]
    budgets: Final[tuple[int, ...]]
    def __new__(
        cls,
        account: int,
        budgets: tuple[int, ...] = (),
        *,
        party: int = 0,
        key: int = 0,
        tags: tuple[int, ...] = (),
    ) -> Purse: ...

@final
class Decision:
    call: int
    handle: int
    budget: int
    period: int
    free: int
    held: int
    more: int
    def __new__(cls) -> Decision: ...

@final
class Credit:
    life_us: Final[int]
    stored_words: Final[int]
    def __new__(cls, region: Region, seat: Seat, journal: Journal, life_us: int) -> Credit: ...
    def hold(
        self, now_us: int, generation: int, purse: Purse, amount: int, note: bytes, decision: Decision
    ) -> int: ...
    def extend(
        self,
        now_us: int,
        generation: int,
        handle: int,
        amount: int,
        decision: Decision | None = None,
        least: int = 0,
    ) -> int: ...
    def sent(self, handle: int) -> bool: ...
    def meter(self, handle: int, amount: int) -> bool: ...
    def record_meter(self, now_us: int, handle: int) -> int: ...
    def post(self, now_us: int, handle: int, actual: int, reason: int, note: bytes) -> int: ...
    def void(self, now_us: int, handle: int, reason: int, note: bytes) -> int: ...
    def end_dead(self, now_us: int, life: Life, void_sent: bool = False) -> int: ...
    def end_expired(self, now_us: int, void_sent: bool = False) -> int: ...
    def seats_with_holds(self) -> set[int]: ...
    def holds_open(self) -> list[HoldState]: ...
    def open_holds(self) -> int: ...
    def stale_holds(self) -> int: ...

def areas(accounts: int = ..., budgets: int = ..., holds: int = ...) -> dict[int, tuple[int, int]]: ...
