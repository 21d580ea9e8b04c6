from typing import Final, final

from kpgate._fast.commit import Life, Region, Seat

DONE: Final[int]
REFUSED: Final[int]
NEVER: Final[int]
FULL: Final[int]
BUSY: Final[int]
STALE: Final[int]

REQUESTS: Final[int]
TOKENS: Final[int]
CONCURRENCY: Final[int]

@final
class Gate:
    scope: Final[int]
    number: Final[int]
    limited: Final[bool]
    def __new__(
        cls,
        scope: int,
        number: int,
        *,
        request_units: int = 0,
        request_window_us: int = 0,
        request_burst: int = 0,
        token_units: int = 0,
        token_window_us: int = 0,
        token_burst: int = 0,
        concurrency_max: int = 0,
    ) -> Gate: ...
    def tokens_alone(self) -> Gate: ...

@final
class Verdict:
    call: int
    chosen: int
    refused_scope: int
    refused_kind: int
    wait_us: int
    requests_limit: int
    requests_remaining: int
    requests_reset_us: int
    tokens_limit: int
    tokens_remaining: int
    tokens_reset_us: int
    def __new__(cls) -> Verdict: ...

@final
class Limits:
    life_us: Final[int]
    def __new__(cls, region: Region, seat: Seat, life_us: int) -> Limits: ...
    def admit(
        self,
        now_us: int,
        fixed: tuple[Gate, ...],
        candidates: tuple[Gate, ...],
        tokens: int,
        verdict: Verdict,
    ) -> int: ...
    def peek(self, now_us: int, fixed: tuple[Gate, ...], verdict: Verdict) -> int: ...
    def move(self, now_us: int, handle: int, to: Gate, tokens: int, verdict: Verdict) -> int: ...
    def settle(self, now_us: int, handle: int, tokens_actual: int) -> int: ...
    def cancel(self, now_us: int, handle: int) -> int: ...
    def end_dead(self, now_us: int, life: Life) -> int: ...
    def end_expired(self, now_us: int) -> int: ...
    def seats_with_calls(self) -> set[int]: ...
    def in_use(self, scope: int, number: int) -> int: ...
    def open_calls(self) -> int: ...
    def stale_calls(self) -> int: ...

def areas(
    keys: int = ..., parties: int = ..., models: int = ..., deployments: int = ..., calls: int = ...
) -> dict[int, tuple[int, int]]: ...
