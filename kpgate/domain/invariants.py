"""What must hold of a ledger whatever happened, as `kpgate ledger check` proves it: of its store, and of its journal.

Pure: it is shown what a store says and what the journal has, and changes nothing. A problem is a sentence that names
where it is. It must not know how either is kept.
"""

import struct
from collections.abc import Iterable, Mapping

import msgspec

from kpgate._fast.journal import EXTEND, HOLD, METER, POST, TRANSFER, VOID
from kpgate.domain.ledger import (
    LOTS,
    OF_TOKEN,
    PLAIN,
    End,
    Hold,
    Posting,
    TransferNote,
    postings,
    price_version_of,
    read_end,
    read_extend,
    read_hold,
    read_meter,
    read_transfer,
    read_transfer_note,
    show_call,
    time_of,
    uses_of,
)
from kpgate.domain.standing import ChargeRow, Entry, LotMove, Part, Standing, Sums

OF_CALLS = ("share", "charge", "overrun")
NO_LOTS = (0,) * LOTS
UNREADABLE = (ValueError, struct.error, msgspec.MsgspecError)
"""What reading bytes that are no entry may raise."""
PROBLEMS_MAX = 1000


class Report(msgspec.Struct, frozen=True):
    """What was looked at, and what is wrong. Shape: of very many problems only the first are told."""

    accounts: int
    charges: int
    transfers: int
    entries: int
    problems: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether everything holds."""
        return not self.problems


def check(standing: Standing, entries: Iterable[Entry]) -> Report:
    """Prove a ledger, or say what is wrong with it.

    Shape: `entries` are the journal's, in order, from anywhere to its end: those before the store's cursor are
    compared with it, those beyond among themselves.
    """
    sums = standing.sums()
    look = _Look(standing, sums)
    look.at_sums()
    look.at_tokens()
    charges = look.at_charges()
    seen = _Replay(look).run(entries)
    return Report(len(sums.accounts), charges, sum(sums.counts.values()), seen, tuple(look.problems))


class _Look:
    """A store being looked at."""

    def __init__(self, standing: Standing, sums: Sums) -> None:
        self.standing = standing
        self.sums = sums
        self.problems: list[str] = []
        self._numbers = {name: number for number, (name, _) in sums.accounts.items()}

    def say(self, problem: str) -> None:
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(problem)

    def at_sums(self) -> None:
        sums = self.sums
        total = sum(balance for _, balance in sums.accounts.values())
        if total:
            self.say(f"all balances sum to {total}, not to 0")
        for number, (name, balance) in sums.accounts.items():
            if balance != (moved := sums.moved.get(number, 0)):
                self.say(f"account {name}: its balance is {balance}, its transfers come to {moved}")
        for number in sums.moved.keys() - sums.accounts.keys():
            self.say(f"account {number}: there are transfers of it, but no account")
        for lsn in sums.wrong:
            self.say(f"entry {lsn:#x}: a transfer moves nothing, less, or to where it was")
        for lsn in sums.undone:
            self.say(
                f"entry {lsn:#x}: the store has its transfers, and not the operation that asked for them"
            )
        for operation in sums.unmoved:
            self.say(f"operation {operation}: the store has no transfer of its entry")
        for lsn in sums.astray:
            self.say(f"entry {lsn:#x}: it refunds another account than was charged")
        for name in sums.misnamed:
            self.say(f"account {name}: it is not its owner's")
        if 0 < sums.newest >= sums.cursor:
            self.say(f"entry {sums.newest:#x}: the store has it, but is posted to {sums.cursor:#x} only")
        for (account, slot), (amount, _) in sums.lots.items():
            if amount < 0:
                self.say(f"account {account}: lot {slot} is {amount}")

    def at_tokens(self) -> None:
        """What party tokens spent and hold, against their caps."""
        taken: dict[tuple[int, int], int] = {}
        for (budget, period, tag), used in self.sums.uses.items():
            if period == OF_TOKEN:
                taken[budget, tag] = used
        for number in self.sums.mistaken:
            self.say(f"budget {number}: it is not as the party token has it whose it is")
        for call in self.sums.unread:
            self.say(f"{show_call(call)}: its open hold cannot be read")
        for hold, _ in self.sums.open.values():
            self.at_tenant(hold)
            for budget, _, _, tag in hold.budgets:
                if tag:
                    taken[budget, tag] = taken.get((budget, tag), 0) + hold.amount
        for (budget, tag), amount in taken.items():
            cap = self.sums.caps.get((budget, tag))
            if cap is None:
                self.say(f"budget {budget}: party token {tag} of it took {amount}, and was never signed")
            elif amount > cap:
                self.say(f"budget {budget}: party token {tag} of it took {amount}, its cap is {cap}")

    def at_charges(self) -> int:
        """Every charge by itself, then what they come to together; how many there are."""
        uses: dict[tuple[int, int, int], int] = {}
        taken: dict[tuple[int, int], int] = {}
        unrefunded = dict(self.sums.refunded)
        count = parts = 0
        for row, moved in self.standing.charges():
            count += 1
            parts += len(moved)
            try:
                hold, end = read_hold(row.call, row.hold), read_end(row.lsn, POST, row.post)
                self._at_charge(row, moved, hold, end)
            except UNREADABLE:
                self.say(f"{show_call(row.call)}: the charge's entries or its price cannot be read")
                continue
            if row.refunded != unrefunded.pop(row.call, 0) or not 0 <= row.refunded <= row.amount:
                self.say(
                    f"{show_call(row.call)}: refunded {row.refunded} of {row.amount}, by other transfers"
                )
            self._take_lots(hold.account, end, taken)
            for budget in hold.budgets if end.amount else ():
                for key in uses_of(budget):
                    uses[key] = uses.get(key, 0) + end.amount
        for call in unrefunded:
            self.say(f"{show_call(call)}: refunded, but never charged")
        for key in uses.keys() | self.sums.uses.keys():
            if uses.get(key, 0) != self.sums.uses.get(key, 0):
                self.say(f"budget {key[0]}: the use of window {key[2]} is not what its calls were charged")
        self._at_lots(taken)
        if parts != sum(self.sums.counts.get(kind, 0) for kind in OF_CALLS):
            self.say("there are transfers of charges that no call was charged")
        return count

    def _take_lots(self, account: int, end: End, taken: dict[tuple[int, int], int]) -> None:
        for slot, amount in enumerate(end.lots):
            if amount and end.lsn >= self.sums.put.get((account, slot), (0, 0))[1]:
                taken[account, slot] = taken.get((account, slot), 0) + amount

    def _at_lots(self, taken: Mapping[tuple[int, int], int]) -> None:
        """Every lot against what was put into it and what charges took, and when it was said to end."""
        sums = self.sums
        for key in sums.lots.keys() | sums.put.keys() | taken.keys():
            amount, ends_us = sums.lots.get(key, (0, 0))
            derived = sums.put.get(key, (0, 0))[0] - taken.get(key, 0)
            if amount != derived:
                self.say(
                    f"account {key[0]}: lot {key[1]} is {amount}, what was put in and taken comes to {derived}"
                )
            if ends_us != sums.ends.get(key, 0):
                self.say(f"account {key[0]}: lot {key[1]} does not end when it was said to")

    def _at_charge(self, row: ChargeRow, parts: list[Part], hold: Hold, end: End) -> None:
        name = show_call(row.call)
        said = (end.call, end.amount, hold.account, hold.party)
        if said != (row.call, row.amount, row.account, row.party):
            self.say(f"{name}: the charge is not what its entries say")
        self.at_tenant(hold)
        if row.call in self.sums.open:
            self.say(f"{name}: charged, but still open")
        self.at_end(hold, end)
        price = self.standing.price(price_version_of(hold, end))
        derived = self.resolve(postings(hold.account, end, price), end.time_us, end.call)
        if parts != derived:
            if sum([part[4] for part in parts if part[1] != "overrun"]) != end.amount:
                self.say(f"{name}: its shares do not sum to its charge")
            self.say(f"{name}: its transfers are not what its price says{_unlike(parts, derived)}")

    def at_tenant(self, hold: Hold) -> None:
        """A call against who owns what it touches."""
        if problem := self.sums.tenants.problem(hold):
            self.say(f"{show_call(hold.call)}: {problem}")

    def at_end(self, hold: Hold, end: End) -> None:
        """A call's end against its hold."""
        if not 0 <= end.amount <= hold.amount or end.overrun < 0:
            self.say(
                f"{show_call(end.call)}: charged {end.amount}, held {hold.amount}, overrun {end.overrun}"
            )
        if end.lots == hold.lots == NO_LOTS:
            return
        if any(not 0 <= end.lots[i] <= hold.lots[i] for i in range(LOTS)) or sum(end.lots) > end.amount:
            self.say(f"{show_call(end.call)}: it was charged to lots that it did not hold")

    def resolve(self, moves: Iterable[Posting], time_us: int, call: int) -> list[Part]:
        """Postings as the store keeps them. An account that is not there has number 0."""
        return [
            (
                part,
                move.kind,
                self._number(move.debit),
                self._number(move.credit),
                move.amount,
                time_us,
                call,
                move.memo,
            )
            for part, move in enumerate(moves)
        ]

    def _number(self, account: int | str) -> int:
        return account if isinstance(account, int) else self._numbers.get(account, 0)


def _read_if(call: int, body: bytes) -> Hold | None:
    """A HOLD's body, if it is one."""
    try:
        return read_hold(call, body)
    except UNREADABLE:
        return None


def _unlike(parts: list[Part], derived: list[Part]) -> str:
    """The end of a sentence about transfers that are not what they should be."""
    amounts, expected = [part[:5] for part in parts], [part[:5] for part in derived]
    return "" if amounts != expected else ": their time, call or memo"


class _Replay:
    """A journal being read beside the store."""

    def __init__(self, look: _Look) -> None:
        self._look = look
        self._say = look.say
        self._cursor = look.sums.cursor
        self._open: dict[int, tuple[Hold, int]] = {}
        self._ended: set[int] = set()
        self._operations: set[str] = set()
        # From the cursor on nobody else has added it up yet.
        self._lots = {key: amount for key, (amount, _) in look.sums.lots.items()}
        self._first = self._last = self._last_us = 0

    def run(self, entries: Iterable[Entry]) -> int:
        """Take all entries; how many there were."""
        count = 0
        compared = False
        for entry in entries:
            if not compared and entry[0] >= self._cursor:
                self._at_cursor()
                compared = True
            self._first = self._first or entry[0]
            self._follow(*entry)
            self._take(*entry)
            count += 1
        if count and not compared:
            self._at_cursor()
        return count

    def _follow(self, lsn: int, kind: int, body: bytes) -> None:
        if lsn <= self._last:
            self._say(f"entry {lsn:#x}: it does not follow entry {self._last:#x}")
        time_us = time_of(kind, body)
        if time_us and time_us < self._last_us:
            self._say(f"entry {lsn:#x}: time goes back")
        self._last, self._last_us = lsn, max(time_us, self._last_us)

    def _take(self, lsn: int, kind: int, body: bytes) -> None:
        if kind == HOLD:
            hold = read_hold(lsn, body)
            self._open[lsn] = (hold, 0)
            if hold.amount <= 0 or not 0 <= sum(hold.lots) <= hold.amount:
                self._say(f"{show_call(lsn)}: it holds {hold.amount}, of lots {sum(hold.lots)}")
        elif kind in (EXTEND, METER):
            self._change(kind, body)
        elif kind in (POST, VOID):
            self._end(read_end(lsn, kind, body), body)
        elif kind == TRANSFER:
            self._transfer(lsn, body)

    def _change(self, kind: int, body: bytes) -> None:
        call, amount, lots = read_extend(body) if kind == EXTEND else (*read_meter(body), ())
        found = self._open.get(call)
        if found is None:
            if call >= self._first or call in self._ended:
                self._say(f"{show_call(call)}: extended or metered, but not open")
            return
        hold, metered = found
        if kind == METER:
            self._open[call] = (hold, amount)
            return
        more = tuple([a + b for a, b in zip(hold.lots, lots, strict=True)])
        self._open[call] = (msgspec.structs.replace(hold, amount=hold.amount + amount, lots=more), metered)

    def _end(self, end: End, body: bytes) -> None:
        name = show_call(end.call)
        found = self._open.pop(end.call, None)
        if end.call in self._ended or (found is None and end.call >= self._first):
            self._say(f"{name}: ended twice, or never held")
            return
        self._ended.add(end.call)
        if found is not None:
            self._look.at_end(found[0], end)
        if end.lsn >= self._cursor:
            held = found or self._look.sums.open.get(end.call)
            if held is not None:
                for slot, amount in enumerate(end.lots):
                    self._move_lot(end.lsn, (held[0].account, slot), -amount)
            return
        row = self._look.standing.charge(end.call)
        if not end.posted:
            if row is not None:
                self._say(f"{name}: the journal charges nothing, the store {row.amount}")
        elif row is None or row.lsn != end.lsn or row.post != body:
            self._say(f"{name}: the store does not have the charge that the journal has")
        elif found is not None and _read_if(end.call, row.hold) != found[0]:
            self._say(f"{name}: the store does not have the hold that the journal has")

    def _transfer(self, lsn: int, body: bytes) -> None:
        time_us, legs, note = read_transfer(body)
        said = read_transfer_note(note)
        if said.operation:
            if said.operation in self._operations:
                self._say(f"entry {lsn:#x}: operation {said.operation} is done a second time")
            self._operations.add(said.operation)
        moved: dict[int, int] = {}
        put = []
        for part, leg in enumerate(legs):
            moved[leg.account] = moved.get(leg.account, 0) + leg.delta
            if leg.slot != PLAIN:
                put.append((part, leg.account, leg.slot, leg.delta, leg.expires_us))
                if lsn >= self._cursor:
                    self._move_lot(lsn, (leg.account, leg.slot), leg.delta)
        for posting in said.postings:
            for account, amount in ((posting.debit, posting.amount), (posting.credit, -posting.amount)):
                if isinstance(account, int):
                    moved[account] = moved.get(account, 0) + amount
        if any(moved.values()):
            self._say(f"entry {lsn:#x}: its postings are not what it does to accounts")
        if lsn < self._cursor:
            self._compare_transfer(lsn, time_us, said, put)

    def _compare_transfer(self, lsn: int, time_us: int, said: TransferNote, put: list[LotMove]) -> None:
        standing, since = self._look.standing, self._look.sums.lots_since
        parts, derived = list(standing.parts(lsn)), self._look.resolve(said.postings, time_us, said.call)
        if parts != derived:
            self._say(
                f"entry {lsn:#x}: the store does not have the transfers that the journal has{_unlike(parts, derived)}"
            )
        if said.operation and standing.operation(said.operation) != (said.content, lsn, "", "", ""):
            self._say(
                f"entry {lsn:#x}: the store does not have operation {said.operation} as the journal has it"
            )
        if since <= lsn and list(standing.lot_moves(lsn)) != put:
            self._say(f"entry {lsn:#x}: the store does not have what the journal puts into lots")

    def _move_lot(self, lsn: int, key: tuple[int, int], delta: int) -> None:
        self._lots[key] = left = self._lots.get(key, 0) + delta
        if left < 0:
            self._say(f"entry {lsn:#x}: it takes more of account {key[0]}'s lot {key[1]} than there is")

    def _at_cursor(self) -> None:
        """When the cursor's last entry was, and what is open there, of the calls that these entries tell of."""
        if self._last_us and self._last_us != self._look.sums.last_us:
            self._say(f"the store is posted to {self._cursor:#x}, but of another time than that")
        kept = {call: found for call, found in self._look.sums.open.items() if call >= self._first > 0}
        for call in kept.keys() | self._open.keys():
            if kept.get(call) != self._open.get(call):
                self._say(
                    f"{show_call(call)}: the store and the journal do not agree whether, or for what, it is open"
                )
