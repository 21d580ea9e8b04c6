from typing import Final, NamedTuple, final

from kpgate._fast.commit import Region, Seat
from kpgate._fast.journal import Journal

DONE: Final[int]
NO_CREDIT: Final[int]
TIED: Final[int]
NO_ROOM: Final[int]
FAILED: Final[int]
BUSY: Final[int]
OVER_RANGE: Final[int]
LOT_TAKEN: Final[int]
NOT_DUE: Final[int]

PLAIN: Final[int]
ANYWHERE: Final[int]
NEVER: Final[int]

class LotState(NamedTuple):
    amount: int
    held: int
    expiry_us: int

class AccountState(NamedTuple):
    balance: int
    held: int
    free: int
    floor: int
    lots: tuple[LotState, ...]
    last_lsn: int

class CellState(NamedTuple):
    window: int
    used: int
    held: int

class BudgetState(NamedTuple):
    caps: tuple[int, int, int]
    days: tuple[CellState, CellState]
    months: tuple[CellState, CellState]
    total: CellState
    tag: int

@final
class Accounts:
    stored_words: Final[int]
    def __new__(cls, region: Region, seat: Seat, journal: Journal) -> Accounts: ...
    def account(self, now_us: int, number: int) -> AccountState | None: ...
    def budget(self, number: int) -> BudgetState | None: ...
    def load_account(
        self, number: int, balance: int, floor: int, lots: tuple[tuple[int, int], ...] = ()
    ) -> int: ...
    def set_floor(self, number: int, floor: int) -> int: ...
    def load_budget(
        self,
        number: int,
        caps: tuple[int, int, int],
        days: tuple[tuple[int, int], ...] = (),
        months: tuple[tuple[int, int], ...] = (),
        total_used: int = 0,
        tag: int = 0,
    ) -> int: ...
    def set_caps(self, number: int, caps: tuple[int, int, int]) -> int: ...
    def transfer(
        self, now_us: int, legs: tuple[tuple[int, int, int, int], ...], forced: bool, note: bytes
    ) -> tuple[int, int]: ...
    def expire(self, now_us: int, account: int, slot: int, amount: int, note: bytes) -> tuple[int, int]: ...

def windows(ledger_us: int) -> tuple[int, int]: ...
