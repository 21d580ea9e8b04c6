"""A journal replayed: every posting from the first, on balances by number or name. It has no store to agree with."""

from collections.abc import Mapping

import msgspec

from kpgate._fast.journal import EXTEND, HOLD, METER, POST, TRANSFER, VOID
from kpgate.domain.ledger import (
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
    show_call,
)
from kpgate.domain.price import Price


class Book:
    """The state that a journal amounts to: balances, and what is open.

    Shape: `balances` by account number or name; `held` by account number; `open` HOLDs by call; `lots` what is in each
    and when it ends, by (account, slot).
    """

    def __init__(self) -> None:
        self.balances: dict[int | str, int] = {}
        self.held: dict[int, int] = {}
        self.open: dict[int, Hold] = {}
        self.metered: dict[int, int] = {}
        self.lots: dict[tuple[int, int], tuple[int, int]] = {}
        self.charged = 0
        self.problems: list[str] = []

    def apply(self, entry: tuple[int, int, bytes], prices: Mapping[int, Price]) -> None:
        """Take one entry into account."""
        lsn, kind, body = entry
        if kind == HOLD:
            hold = read_hold(lsn, body)
            self.open[lsn] = hold
            self.held[hold.account] = self.held.get(hold.account, 0) + hold.amount
        elif kind == EXTEND:
            call, amount, lots = read_extend(body)
            self._extend(call, amount, lots)
        elif kind == METER:
            call, amount = read_meter(body)
            self.metered[call] = amount
        elif kind in (POST, VOID):
            self._end(read_end(lsn, kind, body), prices)
        elif kind == TRANSFER:
            _, legs, note = read_transfer(body)
            for posting in read_transfer_note(note).postings:
                self.move(posting)
            for leg in legs:
                if leg.slot != PLAIN:
                    amount, ends_us = self.lots.get((leg.account, leg.slot), (0, 0))
                    self.lots[leg.account, leg.slot] = (amount + leg.delta, leg.expires_us or ends_us)

    def expired(self, account: int, time_us: int) -> int:
        """What an account has in lots that have ended, and nobody holds: it is not to be spent any more.

        Less than is held may be there, where some was taken back.
        """
        held = [hold.lots for hold in self.open.values() if hold.account == account]
        return sum(
            max(0, amount - sum(lots[slot] for lots in held))
            for (owner, slot), (amount, ends_us) in self.lots.items()
            if owner == account and ends_us <= time_us
        )

    def move(self, posting: Posting) -> None:
        """Do one posting."""
        self.balances[posting.debit] = self.balances.get(posting.debit, 0) - posting.amount
        self.balances[posting.credit] = self.balances.get(posting.credit, 0) + posting.amount

    def _extend(self, call: int, amount: int, lots: tuple[int, ...]) -> None:
        hold = self.open.get(call)
        if hold is None:
            self.problems.append(f"{show_call(call)}: extended, but not held")
            return
        self.open[call] = msgspec.structs.replace(
            hold,
            amount=hold.amount + amount,
            lots=tuple(a + b for a, b in zip(hold.lots, lots, strict=True)),
        )
        self.held[hold.account] += amount

    def _end(self, end: End, prices: Mapping[int, Price]) -> None:
        hold = self.open.pop(end.call, None)
        if hold is None:
            self.problems.append(f"{show_call(end.call)}: ended, but not held, or ended twice")
            return
        if end.amount > hold.amount:
            self.problems.append(
                f"{show_call(end.call)}: charged {end.amount}, more than the {hold.amount} held"
            )
        self.metered.pop(end.call, None)
        self.held[hold.account] -= hold.amount
        self.charged += end.amount
        for slot, taken in enumerate(end.lots):
            if taken:
                amount, ends_us = self.lots.get((hold.account, slot), (0, 0))
                self.lots[hold.account, slot] = (amount - taken, ends_us)
        version = price_version_of(hold, end)
        for posting in postings(hold.account, end, prices.get(version)):
            self.move(posting)
