"""Plans brought about: each month's grant once, and the credit line that goes with the plan.

A grant is one operation of the ledger, whose id comes from the party and the month: whoever asks again, after a crash
or because the clock was set back, asks for the same operation. Order: the clerk's alone.
"""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from kpgate.domain.errors import GatewayError, StoreUnavailable
from kpgate.domain.management import Answer
from kpgate.domain.money import Movement, SetCreditLine, Transfer
from kpgate.stores.plans import SqlitePlans

PIECE = 100


class Tools(msgspec.Struct, frozen=True):
    """What plans are brought about with. `answer` and `settle` are the ledger's.

    Units: `time_us` the ledger's time, microseconds since 1970; it never goes back.
    """

    store: SqlitePlans
    answer: Callable[[Transfer | SetCreditLine], Answer]
    settle: Callable[[], None]
    time_us: Callable[[], int]


class Plans:
    """Keeps parties to their plans."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._store = tools.store
        self._kept = ""

    def keep(self, say: Callable[..., None], *, changed: bool = False) -> None:
        """Make what grants are due and draw what lines are. `changed` says that a party or plan is another since.

        Shape: `say` is told of a grant that the ledger refused; it is not asked for again.
        Errors: StoreUnavailable.
        """
        month, end_us = month_of(self._tools.time_us())
        if month == self._kept and not changed:
            return
        # A grant that was decided and is not in the store yet would be asked for again: harmless, but for nothing.
        self._tools.settle()
        self._draw_lines()
        while due := self._store.due(month, PIECE):
            for one in due:
                grant = Movement(
                    kind="grant",
                    party=one.party,
                    amount=one.amount,
                    memo=f"plan {one.plan}",
                    expires_us=end_us,
                )
                try:
                    self._tools.answer(Transfer(id=f"plan:{one.number}:{month}", movements=(grant,)))
                except StoreUnavailable:
                    raise
                except GatewayError as error:
                    say("grant_refused", party=one.party, code=error.code)
        self._kept = month

    def _draw_lines(self) -> None:
        while found := self._store.lines(PIECE):
            for party, line in found:
                self._tools.answer(
                    SetCreditLine(id=f"plan-line:{secrets.token_hex(8)}", party=party, line=line)
                )


def month_of(time_us: int) -> tuple[str, int]:
    """The month of an instant, in UTC, and when it ends. Units: microseconds since 1970."""
    now = datetime.fromtimestamp(time_us // 1_000_000, UTC)
    year, month = (now.year + 1, 1) if now.month == 12 else (now.year, now.month + 1)
    return f"{now.year:04}{now.month:02}", int(datetime(year, month, 1, tzinfo=UTC).timestamp()) * 1_000_000
