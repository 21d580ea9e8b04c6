"""Plans brought about: each month's grant once, and the credit line that goes with the plan.

A grant is one operation of the ledger, whose id comes from the party and the month: whoever asks again, after a crash
or because the clock was set back, asks for the same operation. Order: the clerk's alone.
"""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from kpgate.domain.errors import GatewayError, StoreUnavailable
from kpgate.domain.ledger import GRANT, LINE
from kpgate.domain.management import Answer
from kpgate.domain.money import Movement, SetCreditLine, Transfer
from kpgate.stores.plans import Due, SqlitePlans

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
    """Keeps parties to their plans, in passes over all of them. `say` is told what the ledger refused."""

    def __init__(self, tools: Tools, say: Callable[..., None]) -> None:
        self._tools = tools
        self._say = say
        self._month = ""
        self._after: int | None = 0

    def changed(self) -> None:
        """A plan has other terms: begin a new pass."""
        self._after = 0

    def keep(self) -> None:
        """Go on with the pass, a piece; a new month begins a new one. Order: again and again.

        Errors: StoreUnavailable.
        """
        month, end_us = month_of(self._tools.time_us())
        if month != self._month:
            self._month, self._after = month, 0
        if self._after is None:
            return
        # A grant that was decided and is not in the store yet would be asked for again: harmless, but for nothing.
        self._tools.settle()
        due = self._tools.store.due(month, self._after, PIECE)
        for one in due:
            self._bring_about(one, month, end_us)
            self._after = one.number
        if len(due) < PIECE:
            self._after = None

    def join(self, party: str) -> None:
        """A party was given a plan: it is in force when this returns.

        Errors: StoreUnavailable.
        """
        month, end_us = month_of(self._tools.time_us())
        self._tools.settle()
        for one in self._tools.store.due_to(month, party):
            self._bring_about(one, month, end_us)

    def _bring_about(self, due: Due, month: str, end_us: int) -> None:
        if due.line is not None:
            drawn = SetCreditLine(id=f"{LINE}{secrets.token_hex(8)}", party=due.party, line=due.line)
            self._ask(drawn, "line_refused", due.party)
        if due.grant:
            grant = Movement(
                kind="grant",
                party=due.party,
                amount=due.grant,
                memo=f"plan {due.plan}"[:200],
                expires_us=end_us,
            )
            made = Transfer(id=f"{GRANT}{due.number}:{month}", movements=(grant,))
            self._ask(made, "grant_refused", due.party)

    def _ask(self, operation: Transfer | SetCreditLine, refused: str, party: str) -> None:
        try:
            self._tools.answer(operation)
        except StoreUnavailable:
            raise
        except GatewayError as error:
            self._say(refused, party=party, code=error.code)


def month_of(time_us: int) -> tuple[str, int]:
    """The month of an instant, in UTC, and when it ends. Units: microseconds since 1970."""
    now = datetime.fromtimestamp(time_us // 1_000_000, UTC)
    year, month = (now.year + 1, 1) if now.month == 12 else (now.year, now.month + 1)
    return f"{now.year:04}{now.month:02}", int(datetime(year, month, 1, tzinfo=UTC).timestamp()) * 1_000_000
