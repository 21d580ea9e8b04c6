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

PIECE = 20
"""So many at a time: the clerk has other work between them."""


class Tools(msgspec.Struct, frozen=True):
    """What plans are brought about with. `answer` and `settle` are the ledger's.

    Units: `time_us` the ledger's time, microseconds since 1970; it never goes back.
    """

    store: SqlitePlans
    answer: Callable[[Transfer | SetCreditLine], Answer]
    settle: Callable[[], None]
    time_us: Callable[[], int]


class Plans:
    """Keeps parties to their plans. `say` is told what the ledger refused; that is not asked for again."""

    def __init__(self, tools: Tools, say: Callable[..., None]) -> None:
        self._tools = tools
        self._store = tools.store
        self._say = say
        self._kept = ""
        self._refused: set[tuple[str, int]] = set()

    def changed(self) -> None:
        """A plan has other terms: look at all of its parties, a piece at each `keep`."""
        self._kept = ""

    def keep(self) -> None:
        """Make a piece of what grants are due and draw a piece of what lines are. Order: again and again.

        Errors: StoreUnavailable.
        """
        month = month_of(self._tools.time_us())[0]
        if month != self._kept and not self._bring_about(""):
            self._kept = month

    def join(self, party: str) -> None:
        """A party was given a plan: it is in force when this returns.

        Errors: StoreUnavailable.
        """
        self._bring_about(party)

    def _bring_about(self, party: str) -> bool:
        """Whether there may be more to do."""
        month, end_us = month_of(self._tools.time_us())
        # A grant that was decided and is not in the store yet would be asked for again: harmless, but for nothing.
        self._tools.settle()
        lines = [
            one for one in self._store.lines(PIECE + len(self._refused), party) if one not in self._refused
        ]
        for name, line in lines:
            drawn = SetCreditLine(id=f"plan-line:{secrets.token_hex(8)}", party=name, line=line)
            if not self._done(drawn, "line_refused", name):
                self._refused.add((name, line))
        due = self._store.due(month, PIECE, party)
        for one in due:
            grant = Movement(
                kind="grant", party=one.party, amount=one.amount, memo=f"plan {one.plan}", expires_us=end_us
            )
            made = Transfer(id=f"plan:{one.number}:{month}", movements=(grant,))
            self._done(made, "grant_refused", one.party)
        return bool(lines or due)

    def _done(self, operation: Transfer | SetCreditLine, refused: str, party: str) -> bool:
        try:
            self._tools.answer(operation)
        except StoreUnavailable:
            raise
        except GatewayError as error:
            self._say(refused, party=party, code=error.code)
            return False
        return True


def month_of(time_us: int) -> tuple[str, int]:
    """The month of an instant, in UTC, and when it ends. Units: microseconds since 1970."""
    now = datetime.fromtimestamp(time_us // 1_000_000, UTC)
    year, month = (now.year + 1, 1) if now.month == 12 else (now.year, now.month + 1)
    return f"{now.year:04}{now.month:02}", int(datetime(year, month, 1, tzinfo=UTC).timestamp()) * 1_000_000
