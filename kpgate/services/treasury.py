"""Operations on money, one at a time: decided under the node's lock, journalled, synced, posted, then answered.

The same id with the same content is answered the same, and done once; with other content it is refused; what was
refused stays refused. Order: the clerk's alone.
"""

from collections.abc import Callable, Sequence
from functools import partial
from hashlib import blake2b
from typing import Any, Protocol

import msgspec

from kpgate._fast.account import (
    ANYWHERE,
    BUSY,
    DONE,
    FAILED,
    LOT_TAKEN,
    NEVER,
    NO_CREDIT,
    NO_ROOM,
    OVER_RANGE,
    PLAIN,
    TIED,
    AccountState,
)
from kpgate._fast.charge import Charge
from kpgate._fast.credit import HoldState
from kpgate.domain.errors import (
    REGISTRY,
    Conflict,
    GatewayError,
    IdReused,
    InsufficientCredit,
    Internal,
    InvalidRequest,
    NotFound,
    StoreUnavailable,
)
from kpgate.domain.ledger import (
    EARN,
    EXPIRED,
    ISSUED,
    LOTS,
    REVENUE,
    SPEND,
    TOP_UP,
    Posting,
    earn_of,
    note_transfer,
    read_call,
)
from kpgate.domain.management import Answer
from kpgate.domain.money import (
    CREDITING,
    MoneyOperation,
    Movement,
    Refund,
    SetBudget,
    SetCreditLine,
    ShowAccounts,
    ShowBalance,
    ShowHolds,
    ShowLog,
    ShowReceipt,
    ShowStatement,
    ShowTotals,
    Transfer,
    given_back,
)
from kpgate.services.receipts import Receipts
from kpgate.services.statements import Statements
from kpgate.stores.ledger import SqliteLedger
from kpgate.stores.lots import SqliteLots
from kpgate.stores.protocol import KEY, PARTY

RETRY_US = 250_000
LOCK_TRIES = 1000
CONTENT_BYTES = 32
ISSUED_MAX = 1 << 62
LEGS_MAX = 12
NOTE_BYTES_MAX = 3072
"""What one entry of the journal may say, as `_fast.account` has it."""
FORCED = ("clawback", "adjust")
Leg = tuple[int, int, int, int]
Legs = tuple[Leg, ...]


class Vault(Protocol):
    """The accounts in the region, as the clerk changes them."""

    def account(self, now_us: int, number: int) -> AccountState | None: ...

    def set_floor(self, number: int, floor: int) -> int: ...

    def set_caps(self, number: int, caps: tuple[int, int, int]) -> int: ...

    def transfer(self, now_us: int, legs: Legs, forced: bool, note: bytes) -> tuple[int, int]: ...

    def expire(self, now_us: int, account: int, slot: int, amount: int, note: bytes) -> tuple[int, int]: ...


class Books(Protocol):
    """What brings the store up to the journal."""

    def post_all(self) -> None:
        """Post all that is decided by now. Errors: StoreUnavailable."""


class Keys(Protocol):
    """Who owns a key."""

    def get(self, key_id: str) -> Any: ...

    def transaction(self) -> Any: ...


class Tools(msgspec.Struct, frozen=True):
    """What the treasury works with. `publish` tells workers what they must read anew.

    Units: `clock` microseconds, monotonic; `time_us` the ledger's time, since 1970.
    """

    vault: Vault
    ledger: SqliteLedger
    lots: SqliteLots
    receipts: Receipts
    books: Books
    keys: Keys
    clock: Callable[[], int]
    publish: Callable[[], bool]
    time_us: Callable[[], int]
    accounts_max: int
    holds: Callable[[], Sequence[HoldState]] = tuple


class Treasury:
    """Answers operations on money."""

    def __init__(self, tools: Tools) -> None:
        self._vault = tools.vault
        self._ledger = tools.ledger
        self._lots = tools.lots
        self._receipts = tools.receipts
        self._books = tools.books
        self._keys = tools.keys
        self._clock = tools.clock
        self._publish = tools.publish
        self._time_us = tools.time_us
        self._accounts_max = tools.accounts_max
        self._statements = Statements(tools.ledger, self._read, tools.holds)

    def answer(self, operation: MoneyOperation) -> Answer:
        """Carry an operation out.

        Errors: InvalidRequest, NotFound, InsufficientCredit, Conflict, IdReused; StoreUnavailable when it is not
        known whether it was kept: asking again with the same id tells.
        """
        # What reads must see, and what an id may be known from: all that was decided before.
        self._books.post_all()
        match operation:
            case ShowBalance():
                return self._statements.balance(operation.party)
            case ShowStatement():
                return self._statements.statement(operation)
            case ShowTotals():
                return self._statements.totals(operation.party)
            case ShowReceipt():
                party = self._statements.party(operation.party) if operation.party else None
                return self._receipts.show(self._ledger, operation.call, party)
            case ShowLog():
                return self._receipts.show_log(operation.before, operation.size)
            case ShowHolds():
                return self._statements.open_holds(operation)
            case ShowAccounts():
                return {"accounts": self._ledger.balances()}
        content = blake2b(msgspec.msgpack.encode(operation), digest_size=CONTENT_BYTES).digest()
        before = self._ledger.operation(operation.id)
        if before is not None:
            if before.content != content:
                raise IdReused("this id was used for another operation")
            if before.code:
                raise REGISTRY[before.code](before.message, param=before.param)
            return self._done(operation, before.lsn)
        try:
            return self._change(operation, content)
        except StoreUnavailable:
            raise
        except GatewayError as error:
            self._ledger.keep_refusal(operation.id, content, error)
            raise

    def expire(self) -> None:
        """Take what is free of grants that have ended: it is the house's. What is held comes with its end.

        Errors: StoreUnavailable.
        """
        for account, slot in self._lots.ended(self._time_us()):
            lot = self._read(account).lots[slot]
            free = lot.amount - lot.held
            if free > 0:
                moves = [Posting("expire", account, EXPIRED, free)]
                self._vault.expire(self._clock(), account, slot, free, note_transfer("", b"", moves))

    def _change(self, operation: MoneyOperation, content: bytes) -> Answer:
        match operation:
            case Transfer():
                return self._transfer(operation, content)
            case Refund():
                return self._refund(operation, content)
            case SetCreditLine():
                self._line(self._account(operation.party), -operation.line)
                self._tell()
                self._ledger.keep_done(operation.id, content)
            case SetBudget():
                self._budget(operation)
                self._ledger.keep_done(operation.id, content)
            case _:
                raise Internal("an operation that nobody knows")
        return self._done(operation, 0)

    def _line(self, account: int, floor: int) -> None:
        """Set a floor where it is kept and where it counts, the stricter first: a clerk that dies in between leaves
        nobody more than was decided, and the next one has the store's in force."""
        keep = partial(self._ledger.set_floor, account, floor)
        enforce = partial(self._until_free, partial(self._vault.set_floor, account, floor))
        stricter = floor > self._read(account).floor
        for step in (enforce, keep) if stricter else (keep, enforce):
            step()

    def _done(self, operation: MoneyOperation, lsn: int) -> Answer:
        answer: Answer = {"id": operation.id, "done": True}
        if lsn:
            answer["lsn"] = lsn
        if isinstance(operation, Refund):
            refunded, ended = self._lots.returned(lsn)
            answer |= {"refunded_microkpt": refunded, "restored_microkpt": refunded - ended}
        return answer

    def _transfer(self, operation: Transfer, content: bytes) -> Answer:
        legs: list[Leg] = []
        moves: list[Posting] = []
        earned: dict[str, int] = {}
        kinds = {movement.kind for movement in operation.movements}
        forced = not kinds.isdisjoint(FORCED)
        if forced and "transfer" in kinds:
            # What may put a balance below its limit does so for the whole entry.
            raise InvalidRequest("movements: a transfer is not made together with a clawback or adjust")
        # A payment's credit never ends: nor does what is taken back of it, while there is such.
        first_us = NEVER if operation.id.startswith(TOP_UP) else 0
        for movement in operation.movements:
            moves.append(self._posting(movement, legs, earned, first_us))
        issued = self._ledger.balance(ISSUED) + sum(
            move.amount if move.credit == ISSUED else -move.amount
            for move in moves
            if ISSUED in (move.debit, move.credit)
        )
        if abs(issued) > ISSUED_MAX:
            raise InvalidRequest("amount: more than the house can have issued", param="amount")
        lsn = self._move(tuple(legs), forced, note_transfer(operation.id, content, moves))
        return self._done(operation, lsn)

    def _posting(self, movement: Movement, legs: list[Leg], earned: dict[str, int], first_us: int) -> Posting:
        """The posting of a movement; what it does in the region is added to `legs`.

        Shape: `first_us` is when that ends of which something is taken back first.
        """
        kind, amount, party, memo = movement.kind, movement.amount, movement.party, movement.memo
        self._check(movement)
        if kind == "payout":
            earned[party] = earned.get(party, self._ledger.balance(earn_of(party))) - amount
            if earned[party] < 0:
                raise InsufficientCredit(f"{party!r} has not earned so much")
            return Posting(kind, earn_of(party), ISSUED, amount, memo)
        account = self._account(party)
        if kind == "transfer":
            other = self._account(movement.to)
            legs += [(account, PLAIN, -amount, 0), (other, PLAIN, amount, 0)]
            return Posting(kind, account, other, amount, memo)
        if kind == "clawback" or amount < 0:
            if movement.reverses:
                first_us = self._end_of(movement.reverses, account)
            legs.append((account, ANYWHERE, -abs(amount), first_us))
            return Posting(kind, account, ISSUED, abs(amount), memo)
        slot = PLAIN if not movement.expires_us else self._slot(account, movement.expires_us, legs)
        legs.append((account, slot, amount, movement.expires_us))
        return Posting(kind, ISSUED, account, amount, memo)

    def _check(self, movement: Movement) -> None:
        """Errors: InvalidRequest for a movement that says what it cannot mean."""
        kind = movement.kind
        if movement.amount == 0 or (movement.amount < 0 and kind != "adjust"):
            raise InvalidRequest("amount: expected a whole number of microKPT above 0", param="amount")
        if movement.expires_us:
            if kind not in CREDITING:
                raise InvalidRequest(f"expires: a {kind} does not expire", param="expires")
            if movement.expires_us <= self._time_us():
                raise InvalidRequest("expires: lies in the past", param="expires")
        if movement.reverses and kind != "clawback" and movement.amount > 0:
            raise InvalidRequest(f"reverses: a {kind} takes nothing back", param="reverses")
        if bool(movement.to) != (kind == "transfer") or movement.to == movement.party:
            raise InvalidRequest("to: expected another party for a transfer, none otherwise", param="to")

    def _end_of(self, operation: str, account: int) -> int:
        """When that ends which an operation gave an account. Errors: NotFound."""
        ends_us = self._lots.given(operation, account)
        if ends_us is None:
            raise NotFound("reverses: no operation of this id gave the party credit", param="reverses")
        return ends_us or NEVER

    def _slot(self, account: int, expires_us: int, legs: list[Leg]) -> int:
        """The lot of an account that ends then, or a free one, with what `legs` are about to put there."""
        planned = {slot: ends_us for number, slot, _, ends_us in legs if number == account and slot < LOTS}
        lots = self._read(account).lots
        ends = [planned.get(i, lot.expiry_us if lot.amount or lot.held else 0) for i, lot in enumerate(lots)]
        for wanted in (expires_us, 0):
            if wanted in ends:
                return ends.index(wanted)
        raise Conflict(f"an account has at most {LOTS} grants that expire at once")

    def _refund(self, operation: Refund, content: bytes) -> Answer:
        try:
            call = read_call(operation.call)
        except ValueError as error:
            raise InvalidRequest(f"call: {error}", param="call") from None
        found = self._ledger.charge(call)
        if found is None:
            raise NotFound("call: it was not charged")
        _, _, refunded, charge = found
        left = charge.amount - refunded
        amount = operation.amount or left
        if not 0 < amount <= left:
            raise Conflict(f"amount: of this call's charge {left} microKPT are left to refund")
        account = charge.account
        legs, ended = self._restore(charge, refunded, amount)
        moves = [Posting("refund", REVENUE, account, amount)]
        if ended:
            moves.append(Posting("expire", account, EXPIRED, ended))
        note = note_transfer(operation.id, content, moves, call)
        return self._done(operation, self._move(legs, True, note))

    def _restore(self, charge: Charge, refunded: int, amount: int) -> tuple[Legs, int]:
        """What a refund puts back to where it was paid from, and how much of it has ended since."""
        account, time_us = charge.account, self._time_us()
        ends = self._lots.ends(account, charge.lsn)
        paid = [(ends.get(slot, NEVER), part) for slot, part in enumerate(charge.lots) if part]
        paid.append((NEVER, charge.amount - sum(charge.lots)))
        legs: list[Leg] = []
        ended = 0
        for ends_us, part in given_back(amount, refunded, paid):
            if ends_us == NEVER:
                legs.append((account, PLAIN, part, 0))
            elif ends_us <= time_us:
                ended += part
            else:
                slot, ends_us = self._place(account, ends_us, legs)
                legs.append((account, slot, part, ends_us))
        return tuple(legs), ended

    def _place(self, account: int, ends_us: int, legs: list[Leg]) -> tuple[int, int]:
        """A lot that ends then, or where there is none and no place for it, what ends next."""
        try:
            return self._slot(account, ends_us, legs), ends_us
        except Conflict:
            lots = enumerate(self._read(account).lots)
            later = [
                (lot.expiry_us, slot)
                for slot, lot in lots
                if lot.amount + lot.held and lot.expiry_us > ends_us
            ]
            next_us, slot = min(later, default=(0, PLAIN))
            return slot, next_us

    def _move(self, legs: Legs, forced: bool, note: bytes) -> int:
        """Decide a transfer, and have it posted; its LSN."""
        if len(legs) > LEGS_MAX or len(note) > NOTE_BYTES_MAX:
            raise InvalidRequest("movements: too many, or too long memos, for one operation")
        for _ in range(LOCK_TRIES):
            code, lsn = self._vault.transfer(self._clock(), legs, forced, note)
            if code != BUSY:
                break
        if code == DONE:
            self._books.post_all()
            return lsn
        if code in (NO_CREDIT, TIED):
            held = " free: calls under way hold the rest" if code == TIED else ""
            raise InsufficientCredit(f"the account has not so much{held}")
        if code == LOT_TAKEN:
            raise Conflict("another grant took the place meanwhile")
        if code == OVER_RANGE:
            raise InvalidRequest("amount: more than an account can hold", param="amount")
        assert code in (NO_ROOM, FAILED, BUSY), "a code of the vault"
        raise StoreUnavailable("the journal does not go on", retry_after_us=RETRY_US)

    def _budget(self, operation: SetBudget) -> None:
        if bool(operation.party) == bool(operation.key):
            raise InvalidRequest("a budget is a party's or a key's: name one of the two", param="party")
        if operation.key:
            key = self._keys.get(operation.key)
            if key is None:
                raise NotFound(f"no key has the id {operation.key[:32]!r}")
            kind, owner = KEY, key.caller.number
        else:
            self._account(operation.party)
            kind, owner = PARTY, self._statements.party(operation.party)
        caps = (operation.day, operation.month, operation.total)
        with self._keys.transaction():
            number = self._ledger.set_budget(kind, owner, caps)
            self._check_room(number)
        self._until_free(lambda: self._vault.set_caps(number, caps))
        self._tell()

    def _account(self, party: str) -> int:
        """The account that a party's calls are charged to, opened at first use."""
        if not party.isprintable() or party != party.strip():
            raise InvalidRequest(
                "party: expected printable characters, no space at either end", param="party"
            )
        with self._keys.transaction():
            number = self._ledger.account(party, SPEND)
            self._ledger.account(party, EARN)
            self._check_room(number)
        self._tell()
        return number

    def _check_room(self, number: int) -> None:
        """Errors: Conflict for a number that the region has no place for. Order: within a transaction."""
        if number >= self._accounts_max:
            raise Conflict("there is no room for more accounts: raise [ledger] accounts_max")

    def _read(self, account: int) -> AccountState:
        for _ in range(LOCK_TRIES):
            state = self._vault.account(self._clock(), account)
            if state is not None:
                return state
        raise StoreUnavailable("the accounts could not be read in time", retry_after_us=RETRY_US)

    def _tell(self) -> None:
        if not self._publish():
            raise StoreUnavailable("the change is kept and not yet in force", retry_after_us=RETRY_US)

    def _until_free(self, act: Callable[[], int]) -> None:
        for _ in range(LOCK_TRIES):
            if act() == DONE:
                return
        raise StoreUnavailable("the change is kept and not yet in force", retry_after_us=RETRY_US)
