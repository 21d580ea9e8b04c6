"""A batch of the journal's entries on its way into a store: rows to insert, and sums by which rows change.

It decides nothing: every amount follows from the entries and from immutable prices. It must not know how rows are
kept. Order: entries as the journal has them, each once.
"""

from collections.abc import Callable, Iterable

import msgspec

from kpgate._fast.charge import Charge, call_of
from kpgate._fast.journal import EXTEND, HOLD, METER, POST, TRANSFER, VOID
from kpgate.domain.errors import Internal
from kpgate.domain.ledger import (
    PLAIN,
    REVENUE,
    Posting,
    postings,
    read_budgets,
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


class Batch:
    """What entries amount to, on top of the holds that were open before.

    Shape: holds that are open are their HOLDs' bodies by call, extensions added; of those that are open now `metered`
    has what was used at last, where that was said. `transfers` are (lsn, part, kind, debit, credit, amount, time, call,
    memo), but for what is said by a charge's being `whole`; `deltas` by account; `lots` by (account, slot): change and
    expiry, 0 for as before; `lot_moves` (lsn, part, account, slot, change, expiry), but for what charges took; `ended`
    those that were open before.
    """

    def __init__(
        self,
        open_holds: dict[int, bytes],
        price: Callable[[int], Price | None],
        number: Callable[[str], int],
    ) -> None:
        self._before = open_holds
        self._price = price
        self._number = number
        self._prices: dict[int, Price | None] = {0: None}
        self._numbers: dict[str, int] = {}
        self.opened: dict[int, bytes] = {}
        self.metered: dict[int, int] = {}
        self.ended: set[int] = set()
        self.charges: list[Charge] = []
        self.transfers: list[TransferRow] = []
        self.deltas: dict[int, int] = {}
        self.lots: dict[tuple[int, int], tuple[int, int]] = {}
        self.lot_moves: list[tuple[int, int, int, int, int, int]] = []
        self._spent: dict[bytes, int] = {}
        self.operations: list[tuple[str, bytes, int]] = []
        self.refunds: list[tuple[int, int]] = []

    def take(self, entries: Iterable[Entry]) -> None:
        """Take entries into account.

        Errors: Internal for one that does not follow from what was before.
        """
        for lsn, kind, body in entries:
            if kind == HOLD:
                self.opened[lsn] = body
            elif kind == POST:
                self._charge(lsn, body)
            else:
                self._take_other(lsn, kind, body)

    def _take_other(self, lsn: int, kind: int, body: bytes) -> None:
        if kind == VOID:
            self._end(call_of(body))
        elif kind == EXTEND:
            self._extend(*read_extend(body))
        elif kind == METER:
            call, amount = read_meter(body)
            self.opened[call] = self._held(call)
            self.metered[call] = amount
        elif kind == TRANSFER:
            self._transfer(lsn, body)

    def uses(self) -> dict[tuple[int, int, int], int]:
        """What was charged to budgets: by (budget, period, window)."""
        found: dict[tuple[int, int, int], int] = {}
        for budgets, amount in self._spent.items():
            for budget in read_budgets(budgets):
                for key in uses_of(budget):
                    found[key] = found.get(key, 0) + amount
        return found

    def _held(self, call: int) -> bytes:
        found = self.opened.get(call)
        if found is None and call not in self.ended:
            found = self._before.get(call)
        if found is None:
            raise Internal(f"the journal ends or extends call {call:#x}, which is not open")
        return found

    def _extend(self, call: int, amount: int, lots: tuple[int, ...]) -> None:
        hold = read_hold(call, self._held(call))
        more = tuple([a + b for a, b in zip(hold.lots, lots, strict=True)])
        self.opened[call] = write_hold(msgspec.structs.replace(hold, amount=hold.amount + amount, lots=more))

    def _end(self, call: int) -> bytes:
        """A call is over; what its HOLD said."""
        body = self.opened.pop(call, None)
        if body is None:
            body = self._held(call)
        self.metered.pop(call, None)
        if call in self._before:
            self.ended.add(call)
        return body

    def _charge(self, lsn: int, body: bytes) -> None:
        end = Charge(lsn, self._end(call_of(body)), body)
        if end.amount > end.held:
            raise Internal(f"the journal charges call {end.call:#x} more than it held")
        self.charges.append(end)
        price = self._priced(end.price_version)
        if end.amount and not end.overrun and (price is None or not price.shares):
            # As almost all are. `postings` says the same, in a row of its own.
            end.whole = True
            self._add(end.account, -end.amount)
            self._add(self._of(REVENUE), end.amount)
        else:
            for part, posting in enumerate(postings(end.account, end, price)):
                self._move(lsn, part, posting, end.time_us, end.call, "")
        if not end.amount:
            return
        if end.from_lots:
            for slot, taken in enumerate(end.lots):
                if taken:
                    self._lot(end.account, slot, -taken, 0)
        budgets = end.budgets()
        if budgets:
            self._spent[budgets] = self._spent.get(budgets, 0) + end.amount

    def _priced(self, version: int) -> Price | None:
        """A price by its version, which is asked for once a batch."""
        if version not in self._prices:
            self._prices[version] = self._price(version)
        return self._prices[version]

    def _transfer(self, lsn: int, body: bytes) -> None:
        time_us, legs, note = read_transfer(body)
        said = read_transfer_note(note)
        if said.operation:
            self.operations.append((said.operation, said.content, lsn))
        for part, posting in enumerate(said.postings):
            if said.call and posting.kind == "refund":
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
        self._add(debit, -amount)
        self._add(credit, amount)

    def _add(self, account: int, amount: int) -> None:
        self.deltas[account] = self.deltas.get(account, 0) + amount

    def _of(self, account: int | str) -> int:
        """An account's number. Names are asked for once a batch."""
        if isinstance(account, int):
            return account
        number = self._numbers.get(account)
        if number is None:
            number = self._numbers[account] = self._number(account)
        return number
