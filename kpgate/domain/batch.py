"""A batch of the journal's entries on its way into a store: rows to insert, and sums by which rows change.

It decides nothing: every amount follows from the entries and from immutable prices. It must not know how rows are
kept. Order: entries as the journal has them, each once.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from kpgate._fast.journal import EXTEND, HOLD, METER, POST, TRANSFER, VOID
from kpgate.domain.errors import Internal
from kpgate.domain.ledger import (
    LOTS,
    PLAIN,
    End,
    Hold,
    Posting,
    postings,
    price_version_of,
    read_end,
    read_extend,
    read_hold,
    read_meter,
    read_transfer,
    read_transfer_note,
    uses_of,
    write_hold,
)
from kpgate.domain.price import Price

Entry = tuple[int, int, bytes]
TransferRow = tuple[int, int, str, int, int, int, int, int, str]
NO_LOTS = (0,) * LOTS


class Opened(NamedTuple):
    """A hold that is open. Shape: `body` is its HOLD's, extensions added; `metered` what was used at last."""

    hold: Hold
    metered: int
    body: bytes


class Charge(NamedTuple):
    """A call that was charged: its HOLD, its POST, and the bodies of both."""

    hold: Hold
    end: End
    body: bytes
    hold_body: bytes


class Batch:
    """What entries amount to, on top of the holds that were open before.

    Shape: `transfers` are (lsn, part, kind, debit, credit, amount, time, call, memo); `deltas` by account; `lots` by
    (account, slot): change and expiry, 0 for as before; `lot_moves` (lsn, part, account, slot, change, expiry), but for
    what charges took; `ended` those that were open before.
    """

    def __init__(
        self,
        open_holds: Mapping[int, Opened],
        price: Callable[[int], Price | None],
        number: Callable[[str], int],
    ) -> None:
        self._before = open_holds
        self._price = price
        self._number = number
        self._numbers: dict[str, int] = {}
        self.opened: dict[int, Opened] = {}
        self.ended: set[int] = set()
        self.charges: list[Charge] = []
        self.transfers: list[TransferRow] = []
        self.deltas: dict[int, int] = {}
        self.lots: dict[tuple[int, int], tuple[int, int]] = {}
        self.lot_moves: list[tuple[int, int, int, int, int, int]] = []
        self._spent: dict[tuple[int, int, int, int], int] = {}
        self.operations: list[tuple[str, bytes, int]] = []
        self.refunds: list[tuple[int, int]] = []

    def take(self, entry: Entry) -> None:
        """Take one entry into account.

        Errors: Internal for one that does not follow from what was before.
        """
        lsn, kind, body = entry
        if kind == HOLD:
            self.opened[lsn] = Opened(read_hold(lsn, body), 0, body)
        elif kind in (POST, VOID):
            self._end(read_end(lsn, kind, body), body)
        elif kind == EXTEND:
            self._extend(*read_extend(body))
        elif kind == METER:
            call, amount = read_meter(body)
            self.opened[call] = self._held(call)._replace(metered=amount)
        elif kind == TRANSFER:
            self._transfer(lsn, body)

    def uses(self) -> dict[tuple[int, int, int], int]:
        """What was charged to budgets: by (budget, period, window)."""
        found: dict[tuple[int, int, int], int] = {}
        for budget, amount in self._spent.items():
            for key in uses_of(budget):
                found[key] = found.get(key, 0) + amount
        return found

    def _held(self, call: int) -> Opened:
        found = self.opened.get(call)
        if found is None and call not in self.ended:
            found = self._before.get(call)
        if found is None:
            raise Internal(f"the journal ends or extends call {call:#x}, which is not open")
        return found

    def _extend(self, call: int, amount: int, lots: tuple[int, ...]) -> None:
        before = self._held(call)
        hold = before.hold
        more = tuple([a + b for a, b in zip(hold.lots, lots, strict=True)])
        hold = msgspec.structs.replace(hold, amount=hold.amount + amount, lots=more)
        self.opened[call] = Opened(hold, before.metered, write_hold(hold))

    def _end(self, end: End, body: bytes) -> None:
        call = end.call
        hold, _, hold_body = self._held(call)
        self.opened.pop(call, None)
        if call in self._before:
            self.ended.add(call)
        if end.amount > hold.amount:
            raise Internal(f"the journal charges call {call:#x} more than it held")
        if not end.posted:
            return
        self.charges.append(Charge(hold, end, body, hold_body))
        price = self._price(price_version_of(hold, end))
        for part, posting in enumerate(postings(hold.account, end, price)):
            self._move(end.lsn, part, posting, end.time_us, call, "")
        if not end.amount:
            return
        if end.lots != NO_LOTS:
            for slot in range(LOTS):
                if end.lots[slot]:
                    self._lot(hold.account, slot, -end.lots[slot], 0)
        spent, amount = self._spent, end.amount
        for budget in hold.budgets:
            spent[budget] = spent.get(budget, 0) + amount

    def _transfer(self, lsn: int, body: bytes) -> None:
        time_us, legs, note = read_transfer(body)
        said = read_transfer_note(note)
        if said.operation:
            self.operations.append((said.operation, said.content, lsn))
        for part, posting in enumerate(said.postings):
            if said.call:
                self.refunds.append((posting.amount, said.call))
            self._move(lsn, part, posting, time_us, said.call, posting.memo)
        for part, leg in enumerate(legs):
            if leg.slot != PLAIN:
                self._lot(leg.account, leg.slot, leg.delta, leg.expires_us)
                self.lot_moves.append((lsn, part, leg.account, leg.slot, leg.delta, leg.expires_us))

    def _lot(self, account: int, slot: int, delta: int, expires_us: int) -> None:
        before, ends_us = self.lots.get((account, slot), (0, 0))
        self.lots[account, slot] = (before + delta, expires_us or ends_us)

    def _move(self, lsn: int, part: int, posting: Posting, time_us: int, call: int, memo: str) -> None:
        debit, credit, amount = self._of(posting.debit), self._of(posting.credit), posting.amount
        self.transfers.append((lsn, part, posting.kind, debit, credit, amount, time_us, call, memo))
        deltas = self.deltas
        deltas[debit] = deltas.get(debit, 0) - amount
        deltas[credit] = deltas.get(credit, 0) + amount

    def _of(self, account: int | str) -> int:
        """An account's number. Names are asked for once a batch."""
        if isinstance(account, int):
            return account
        number = self._numbers.get(account)
        if number is None:
            number = self._numbers[account] = self._number(account)
        return number
