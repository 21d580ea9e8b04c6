"""What a batch of journal entries amounts to in the store: rows that are added, and sums by which rows change.

It asks nothing of the store but prices and the numbers of accounts.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from kpgate._fast.journal import EXTEND, HOLD, METER, POST, TRANSFER, VOID
from kpgate.domain.errors import Internal
from kpgate.domain.ledger import (
    LOTS,
    PLAIN,
    End,
    Hold,
    Posting,
    Reason,
    postings,
    price_version_of,
    read_end,
    read_extend,
    read_hold,
    read_meter,
    read_transfer,
    read_transfer_note,
)
from kpgate.domain.price import Price

Entry = tuple[int, int, bytes]


class Charge(NamedTuple):
    """A call that was charged: its HOLD, its POST, and the body of that."""

    hold: Hold
    end: End
    body: bytes


class Batch:
    """Entries being posted: rows that are inserted, and sums by which rows change."""

    def __init__(
        self,
        open_holds: Mapping[int, tuple[Hold, int]],
        price: Callable[[int], Price | None],
        number: Callable[[str], int],
    ) -> None:
        self._before = open_holds
        self._price = price
        self._number = number
        self.opened: dict[int, tuple[Hold, int]] = {}
        self.ended: list[int] = []
        self.charges: list[Charge] = []
        self.transfers: list[tuple[Any, ...]] = []
        self.deltas: dict[int, int] = {}
        self.lots: dict[tuple[int, int], tuple[int, int]] = {}
        self.uses: dict[tuple[int, int, int], int] = {}
        self.operations: list[tuple[str, bytes, int]] = []
        self.refunds: list[tuple[int, int]] = []
        self.last_us = 0

    def take(self, entry: Entry) -> None:
        """Take one entry into account.

        Errors: Internal for one that does not follow from what was before.
        """
        lsn, kind, body = entry
        if kind == HOLD:
            hold = read_hold(lsn, body)
            self.opened[lsn] = (hold, 0)
            self.last_us = hold.time_us
        elif kind in (POST, VOID):
            self._end(read_end(lsn, kind, body), body)
        elif kind == EXTEND:
            call, amount, lots = read_extend(body)
            hold, metered = self._held(call)
            more = tuple([a + b for a, b in zip(hold.lots, lots, strict=True)])
            self.opened[call] = (
                msgspec.structs.replace(hold, amount=hold.amount + amount, lots=more),
                metered,
            )
        elif kind == METER:
            call, amount = read_meter(body)
            self.opened[call] = (self._held(call)[0], amount)
        elif kind == TRANSFER:
            self._transfer(lsn, body)

    def _held(self, call: int) -> tuple[Hold, int]:
        found = self.opened.get(call) or self._before.get(call)
        if found is None or call in self.ended:
            raise Internal(f"the journal ends or extends call {call:#x}, which is not open")
        return found

    def _end(self, end: End, body: bytes) -> None:
        hold, _ = self._held(end.call)
        if self.opened.pop(end.call, None) is None or end.call in self._before:
            self.ended.append(end.call)
        self.last_us = end.time_us
        if end.amount > hold.amount:
            raise Internal(f"the journal charges call {end.call:#x} more than it held")
        if not end.posted:
            return
        self.charges.append(Charge(hold, end, body))
        price = self._price(price_version_of(hold, end))
        for part, posting in enumerate(postings(hold.account, end, price)):
            self._move(end.lsn, part, posting, end.time_us, end.call, "")
        if not end.amount:
            return
        for slot in range(LOTS):
            if end.lots[slot]:
                self._lot(hold.account, slot, -end.lots[slot], 0)
        for budget, day, month in hold.budgets:
            for period, window in enumerate((day, month, 0)):
                key = (budget, period, window)
                self.uses[key] = self.uses.get(key, 0) + end.amount

    def _transfer(self, lsn: int, body: bytes) -> None:
        time_us, legs, note = read_transfer(body)
        said = read_transfer_note(note)
        self.last_us = time_us
        if said.operation:
            self.operations.append((said.operation, said.content, lsn))
        for part, posting in enumerate(said.postings):
            if posting.kind == "refund" and said.memo:
                self.refunds.append((posting.amount, int(said.memo)))
            self._move(lsn, part, posting, time_us, 0, said.memo)
        for leg in legs:
            if leg.slot != PLAIN:
                self._lot(leg.account, leg.slot, leg.delta, leg.expires_us)

    def _lot(self, account: int, slot: int, delta: int, expires_us: int) -> None:
        before, ends_us = self.lots.get((account, slot), (0, 0))
        self.lots[account, slot] = (before + delta, expires_us or ends_us)

    def _move(self, lsn: int, part: int, posting: Posting, time_us: int, call: int, memo: str) -> None:
        debit, credit = (
            one if isinstance(one, int) else self._number(one) for one in (posting.debit, posting.credit)
        )
        self.transfers.append((lsn, part, posting.kind, debit, credit, posting.amount, time_us, call, memo))
        self.deltas[debit] = self.deltas.get(debit, 0) - posting.amount
        self.deltas[credit] = self.deltas.get(credit, 0) + posting.amount


def lost_end(hold: Hold, metered: int, lsn: int, *, void: bool) -> End:
    """How a hold ends that was open when all processes went: by what was last metered."""
    amount = 0 if void else min(metered, hold.amount)
    lots, left = [], amount
    for slot in range(LOTS):
        part = min(left, hold.lots[slot])
        lots.append(part)
        left -= part
    return End(lsn, hold.call, hold.time_us, amount, 0, tuple(lots), Reason.LOST, b"", amount > 0)
