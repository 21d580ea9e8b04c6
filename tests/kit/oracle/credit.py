"""Credits as plain Python says them: entries of the journal, what each changes, and what is decided before one is made.

`Books.apply` is the replay: there is one way to apply an entry, and `Oracle` uses it for its own decisions. Nothing
here is fast or sparing; LSNs are opaque.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

DONE, NO_CREDIT, TIED, OVER_BUDGET, BUDGET_TIED = 0, 1, 2, 3, 4
FULL, STALE, CHANGED, OVER_RANGE, LOT_TAKEN, NOT_DUE = 7, 9, 10, 11, 12, 13
DAY, MONTH, TOTAL = 0, 1, 2
HOLD, EXTEND, METER, POST, VOID, TRANSFER = 4, 5, 6, 7, 8, 9
PLAIN, ANYWHERE = 0xFFFFFFFF, 0xFFFFFFFE
NEVER = 2**63 - 1
LOTS = 4
LEGS_MAX = 12
AMOUNT_MAX = 2**53 - 1
CAP_NONE = 2**62
DIED, EXPIRED = 1, 2

Leg = tuple[int, int, int, int]
Four = tuple[int, int, int, int]


def windows(ledger_us: int) -> tuple[int, int]:
    """The day since 1970 and the month since the year 0."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ledger_us)
    return ledger_us // 86_400_000_000, at.year * 12 + at.month - 1


@dataclass(frozen=True)
class Entry:
    """One entry of the journal: what it says, by kind; what a kind does not have stays as it is here."""

    kind: int
    call: int
    time_us: int
    amount: int = 0
    overrun: int = 0
    lots: Four = (0, 0, 0, 0)
    account: int = 0
    party: int = 0
    key: int = 0
    seat: int = 0
    budgets: tuple[tuple[int, int, int], ...] = ()
    legs: tuple[Leg, ...] = ()
    reason: int = 0
    note: bytes = b""


def decode(lsn: int, kind: int, body: bytes) -> Entry | None:
    """An entry from its bytes; None for what is none of the ledger's."""
    if kind == HOLD:
        head = struct.Struct("<QqIIII4qII")
        time_us, amount, account, party, key, seat, *rest = head.unpack_from(body)
        *lots, count, note_bytes = rest
        parts = [struct.unpack_from("<IIII", body, head.size + 16 * i) for i in range(count)]
        note = body[head.size + 16 * count :]
        assert len(note) == note_bytes
        return Entry(kind, lsn, time_us, amount, lots=_four(lots), account=account, party=party, key=key, seat=seat,
                     budgets=tuple(part[:3] for part in parts), note=note)  # fmt: skip
    if kind == EXTEND:
        call, time_us, amount, *lots = struct.unpack("<QQq4q", body)
        return Entry(kind, call, time_us, amount, lots=_four(lots))
    if kind == METER:
        return Entry(kind, *struct.unpack("<QQq", body))
    if kind == POST:
        call, time_us, amount, overrun, *rest = struct.unpack_from("<QQqq4qII", body)
        *lots, reason, note_bytes = rest
        note = body[struct.calcsize("<QQqq4qII") :]
        assert len(note) == note_bytes
        return Entry(kind, call, time_us, amount, overrun, _four(lots), reason=reason, note=note)
    if kind == VOID:
        call, time_us, reason, note_bytes = struct.unpack_from("<QQII", body)
        assert len(body) == 24 + note_bytes
        return Entry(kind, call, time_us, reason=reason, note=body[24:])
    if kind == TRANSFER:
        time_us, count, note_bytes = struct.unpack_from("<QII", body)
        legs = tuple(struct.unpack_from("<IIqQ", body, 16 + 24 * i) for i in range(count))
        assert len(body) == 16 + 24 * count + note_bytes
        return Entry(kind, lsn, time_us, legs=legs, note=body[16 + 24 * count :])
    return None


def _four(lots: Sequence[int]) -> Four:
    one, two, three, four = lots
    return one, two, three, four


@dataclass
class Lot:
    """Nothing there and nothing held: no lot stands here. What was clawed back may leave less than is held."""

    amount: int = 0
    held: int = 0
    expiry_us: int = 0

    @property
    def covered(self) -> int:
        """What is held of it, and there."""
        return min(self.held, self.amount)


@dataclass
class Account:
    """Lots are part of the balance, and what they hold is part of what is held."""

    balance: int = 0
    held: int = 0
    floor: int = 0
    lots: list[Lot] = field(default_factory=lambda: [Lot() for _ in range(LOTS)])

    def free(self, ledger_us: int) -> tuple[int, int]:
        """What may be held, and what would be free as well if all that is held came back."""
        dead = [lot for lot in self.lots if lot.expiry_us <= ledger_us]
        free = self.balance - self.held - self.floor - sum(lot.amount - lot.covered for lot in dead)
        return free, self.held - sum(lot.covered for lot in dead)

    @property
    def plain(self) -> int:
        return self.balance - sum(lot.amount for lot in self.lots)

    @property
    def plain_held(self) -> int:
        return self.held - sum(lot.covered for lot in self.lots)

    @property
    def amounts(self) -> list[int]:
        return [lot.amount for lot in self.lots]

    def spread(self, amount: int, room: list[int]) -> Four:
        """An amount over the lots with room, the earliest expiry first; the plain balance has the rest."""
        taken = [0] * LOTS
        for i in sorted(range(LOTS), key=lambda i: (self.lots[i].expiry_us, i)):
            taken[i] = min(amount, room[i])
            amount -= taken[i]
        return _four(taken)


@dataclass
class Cell:
    """One window of a budget."""

    window: int = 0
    used: int = 0
    held: int = 0


@dataclass
class Budget:
    """Caps by DAY, MONTH, TOTAL; cells by window number mod 2."""

    caps: tuple[int, int, int] = (0, 0, 0)
    cells: dict[tuple[int, int], Cell] = field(default_factory=dict)

    def cell(self, period: int, window: int) -> Cell:
        return self.cells.setdefault((period, window % 2), Cell())


@dataclass
class Hold:
    """An open hold, from its HOLD and EXTENDs."""

    account: int
    amount: int
    lots: list[int]
    budgets: tuple[tuple[int, int, int], ...]
    seat: int = 0
    metered: int = 0
    is_sent: bool = False
    expires_us: int = 0


def _periods(day: int, month: int) -> tuple[tuple[int, int], ...]:
    return (DAY, day), (MONTH, month), (TOTAL, 0)


@dataclass
class Books:
    """What a journal has come to. Errors: AssertionError for an entry that no rule could have made."""

    accounts: dict[int, Account] = field(default_factory=dict)
    budgets: dict[int, Budget] = field(default_factory=dict)
    open: dict[int, Hold] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    ledger_us: int = 0

    def account(self, number: int) -> Account:
        return self.accounts.setdefault(number, Account())

    def budget(self, number: int) -> Budget:
        return self.budgets.setdefault(number, Budget())

    def replay(self, entries: Iterable[tuple[int, int, bytes]]) -> "Books":
        """Apply a journal's entries, checked: (LSN, kind, body) in order."""
        for lsn, kind, body in entries:
            entry = decode(lsn, kind, body)
            if entry is not None:
                self.apply(entry)
                self.check()
        return self

    def apply(self, entry: Entry) -> None:
        """Change what one entry changes."""
        assert entry.time_us >= self.ledger_us, "time went back"
        self.ledger_us = entry.time_us
        if entry.kind == HOLD:
            assert entry.call not in self.open and entry.call not in self.ended
            self.open[entry.call] = Hold(entry.account, 0, [0] * LOTS, entry.budgets, entry.seat)
        if entry.kind in (HOLD, EXTEND):
            self._take(self.open[entry.call], entry)
        elif entry.kind in (POST, VOID):
            assert entry.call not in self.ended, "ended twice"
            self._give(self.open.pop(entry.call), entry)
            self.ended.add(entry.call)
        elif entry.kind == METER:
            self.open[entry.call].metered = entry.amount
        elif entry.kind == TRANSFER:
            for leg in entry.legs:
                self._move(*leg)

    def _take(self, hold: Hold, entry: Entry) -> None:
        account = self.account(hold.account)
        assert 0 < entry.amount <= account.free(entry.time_us)[0], "held more than was free"
        account.held += entry.amount
        hold.amount += entry.amount
        for i, part in enumerate(entry.lots):
            account.lots[i].held += part
            hold.lots[i] += part
        for number, day, month in hold.budgets:
            for period, window in _periods(day, month):
                cell = self.budget(number).cell(period, window)
                if cell.window != window:
                    assert cell.held == 0, "a window was taken over while something was held in it"
                    cell.window, cell.used = window, 0
                cell.held += entry.amount

    def _give(self, hold: Hold, entry: Entry) -> None:
        account = self.account(hold.account)
        assert 0 <= entry.amount <= hold.amount and entry.overrun >= 0, "charged more than was held"
        assert all(0 <= part <= held for part, held in zip(entry.lots, hold.lots, strict=True))
        account.balance -= entry.amount
        account.held -= hold.amount
        for i, part in enumerate(entry.lots):
            account.lots[i].amount -= part
            account.lots[i].held -= hold.lots[i]
        for number, day, month in hold.budgets:
            for period, window in _periods(day, month):
                cell = self.budget(number).cell(period, window)
                assert cell.window == window
                cell.used += entry.amount
                cell.held -= hold.amount

    def _move(self, number: int, slot: int, delta: int, expiry_us: int) -> None:
        account = self.account(number)
        account.balance += delta
        if slot != PLAIN:
            lot = account.lots[slot]
            lot.amount += delta
            if expiry_us:
                lot.expiry_us = expiry_us

    def check(self) -> None:
        """Held is the sum of what is open, everywhere, and no lot holds more than it has."""
        for number, account in self.accounts.items():
            holds = [hold for hold in self.open.values() if hold.account == number]
            assert account.held == sum(hold.amount for hold in holds)
            for i, lot in enumerate(account.lots):
                assert lot.amount >= 0 and lot.held == sum(hold.lots[i] for hold in holds)
        for number, budget in self.budgets.items():
            for (period, _), cell in budget.cells.items():
                held = sum(
                    hold.amount
                    for hold in self.open.values()
                    for one, day, month in hold.budgets
                    if one == number and (period, cell.window) in _periods(day, month)
                )
                assert cell.held == held


@dataclass
class Answer:
    """A code, and what a decision says with it."""

    code: int
    free: int = 0
    held: int = 0
    budget: int = -1
    period: int = -1


@dataclass
class Oracle:
    """The whole of `_fast.credit` and `_fast.account`, said plainly. `made` are the entries, a call is an index."""

    holds_max: int
    anchor_us: int
    life_us: int
    books: Books = field(default_factory=Books)
    made: list[Entry] = field(default_factory=list)
    generation: int = 0
    stale: int = 0

    def now(self, now_us: int) -> int:
        return max(self.books.ledger_us, now_us + self.anchor_us)

    def _make(self, entry: Entry) -> int:
        self.books.apply(entry)
        self.made.append(entry)
        return len(self.made) - 1

    def _judge(self, hold: Hold, amount: int, ledger_us: int) -> Answer:
        account = self.books.account(hold.account)
        free, held = account.free(ledger_us)
        if free < amount:
            return Answer(TIED if free + held >= amount else NO_CREDIT, free, held)
        tied = None
        for number, day, month in hold.budgets:
            budget = self.books.budget(number)
            for period, window in _periods(day, month):
                cell, cap = budget.cell(period, window), budget.caps[period] or CAP_NONE
                mine = cell.window == window
                used, inside = (cell.used, cell.held) if mine else (0, 0)
                pinned = not mine and (cell.held > 0 or cell.window > window)
                answer = Answer(0, 0 if pinned else cap - used - inside, inside, number, period)
                if used + amount > cap:
                    return replace(answer, code=OVER_BUDGET)
                if tied is None and (pinned or used + inside + amount > cap):
                    tied = replace(answer, code=BUDGET_TIED)
        return tied or Answer(DONE, free - amount, held + amount)

    def hold(
        self, now_us: int, generation: int, account: int, budgets: tuple[int, ...], amount: int
    ) -> Answer:
        """The call of a hold that is done is the last entry's index."""
        if generation != self.generation:
            return Answer(CHANGED)
        at_us = self.now(now_us)
        day, month = windows(at_us)
        hold = Hold(account, amount, [0] * LOTS, tuple((number, day, month) for number in budgets))
        answer = self._judge(hold, amount, at_us)
        if answer.code == DONE and len(self.books.open) == self.holds_max:
            return replace(answer, code=FULL)
        if answer.code == DONE:
            call = len(self.made)
            lots = self._lots(account, amount, at_us)
            self._make(Entry(HOLD, call, at_us, amount, lots=lots, account=account, budgets=hold.budgets))
            self.books.open[call].expires_us = now_us + self.life_us
        return answer

    def _lots(self, number: int, amount: int, at_us: int) -> Four:
        account = self.books.account(number)
        return account.spread(
            amount, [lot.amount - lot.covered if lot.expiry_us > at_us else 0 for lot in account.lots]
        )

    def extend(self, now_us: int, generation: int, call: int, amount: int, least: int = 0) -> Answer:
        """With `least`: as much as there is, where that is less than the amount and no less than that."""
        hold = self.books.open.get(call)
        if hold is None:
            self.stale += 1
            return Answer(STALE)
        if generation != self.generation:
            return Answer(CHANGED)
        amount = min(amount, max(least, AMOUNT_MAX - hold.amount)) if least else amount
        if hold.amount + amount > AMOUNT_MAX:
            return Answer(OVER_RANGE)
        at_us = self.now(now_us)
        answer = self._judge(hold, amount, at_us)
        if answer.code != DONE and least and self._judge(hold, least, at_us).code == DONE:
            # What is enough for some amount is enough for all that are smaller.
            fits, fails = least, amount
            while fails - fits > 1:
                middle = (fits + fails) // 2
                fits, fails = (
                    (middle, fails) if self._judge(hold, middle, at_us).code == DONE else (fits, middle)
                )
            amount, answer = fits, self._judge(hold, fits, at_us)
        if answer.code == DONE:
            self._make(Entry(EXTEND, call, at_us, amount, lots=self._lots(hold.account, amount, at_us)))
        return answer

    def meter(self, call: int, amount: int) -> bool:
        hold = self.books.open.get(call)
        if hold is not None:
            hold.is_sent, hold.metered = True, max(hold.metered, amount)
        return hold is not None

    def end(self, now_us: int, call: int, actual: int, reason: int) -> int:
        """Charge, or with -1 charge nothing."""
        hold = self.books.open.get(call)
        if hold is None:
            self.stale += 1
            return STALE
        entry = Entry(VOID, call, self.now(now_us), reason=reason)
        if actual >= 0:
            charged = min(actual, hold.amount)
            account = self.books.account(hold.account)
            lots = account.spread(
                charged, [min(*both) for both in zip(hold.lots, account.amounts, strict=True)]
            )
            entry = replace(entry, kind=POST, amount=charged, overrun=actual - charged, lots=lots)
        self._make(entry)
        return DONE

    def end_expired(self, now_us: int, void_sent: bool) -> list[int]:
        """The calls that were ended. Order: any; the journal's is the compiled one's own."""
        late = [call for call, hold in self.books.open.items() if hold.expires_us <= now_us]
        for call in late:
            self.reap(now_us, call, EXPIRED, void_sent)
        return late

    def reap(self, now_us: int, call: int, reason: int, void_sent: bool) -> None:
        hold = self.books.open[call]
        self.end(
            now_us, call, min(hold.metered, hold.amount) if hold.is_sent and not void_sent else -1, reason
        )

    def transfer(self, now_us: int, legs: tuple[Leg, ...], forced: bool, ended: bool = False) -> int:
        """`forced` may take what calls hold, but of a lot that has `ended`."""
        at_us = self.now(now_us)
        kept = {number: _copy(self.books.account(number)) for number, *_ in legs}
        code, made = DONE, []
        for asked in legs:
            for leg in [asked] if asked[1] != ANYWHERE else self._places(asked, at_us):
                code = code or self._try(*leg, forced and not ended)
                made.append(leg)
        for number in kept:
            code = code or self._weigh(number, legs, at_us, forced)
        self.books.accounts.update(kept)
        if code == DONE:
            self._make(Entry(TRANSFER, len(self.made), at_us, legs=tuple(made)))
        return code

    def _places(self, asked: Leg, at_us: int) -> list[Leg]:
        """A debit of no place: of what ends as it says, then of what ends first, then of the plain balance."""
        number, _, delta, ends_us = asked
        account = self.books.account(number)
        funds = [
            (lot.expiry_us, slot, lot.amount)
            for slot, lot in enumerate(account.lots)
            if lot.expiry_us > at_us
        ]
        if ends_us == NEVER:
            funds.append((NEVER, PLAIN, max(0, account.plain)))
        taken: dict[int, int] = {}
        left = -delta
        for _, slot, amount in sorted(funds, key=lambda fund: (fund[0] != ends_us, *fund)):
            taken[slot] = min(left, amount)
            left -= taken[slot]
        taken[PLAIN] = taken.get(PLAIN, 0) + left
        return [(number, slot, -amount, 0) for slot, amount in sorted(taken.items()) if amount]

    def _try(self, number: int, slot: int, delta: int, expiry_us: int, held_too: bool) -> int:
        account = self.books.account(number)
        if slot != PLAIN:
            lot = account.lots[slot]
            stands = lot.amount or lot.held
            if (not stands and delta > 0 and not expiry_us) or (
                (stands or delta < 0) and expiry_us not in (0, lot.expiry_us)
            ):
                return LOT_TAKEN
            if lot.amount + delta < 0:
                return NO_CREDIT
            if delta < 0 and lot.amount + delta < lot.held and not held_too:
                return TIED
        self.books._move(number, slot, delta, expiry_us)
        return DONE

    def _weigh(self, number: int, legs: tuple[Leg, ...], at_us: int, forced: bool) -> int:
        account = self.books.account(number)
        amounts = [abs(account.balance), abs(account.plain), *(lot.amount for lot in account.lots)]
        if max(amounts) > AMOUNT_MAX:
            return OVER_RANGE
        debits = [slot for one, slot, delta, _ in legs if one == number and delta < 0]
        if forced or not debits:
            return DONE
        free = account.plain - account.plain_held - account.floor
        if PLAIN in debits and free < 0:
            return TIED if free + account.plain_held >= 0 else NO_CREDIT
        free, held = account.free(at_us)
        if free < 0:
            return TIED if free + held >= 0 else NO_CREDIT
        return DONE

    def expire(self, now_us: int, number: int, slot: int, amount: int) -> int:
        if self.books.account(number).lots[slot].expiry_us > self.now(now_us):
            return NOT_DUE
        return self.transfer(now_us, ((number, slot, -amount, 0),), True, ended=True)


def _copy(account: Account) -> Account:
    return replace(account, lots=[replace(lot) for lot in account.lots])
