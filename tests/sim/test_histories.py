"""Seeded histories of a whole ledger in one process: whoever goes, wherever the journal is cut, whatever clocks say.

After every start all that was safe is there, in order, and everything adds up. `make sim SEED=...` plays others.
"""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from kpgate._fast.credit import (
    BUDGET_TIED,
    DONE,
    FULL,
    NO_CREDIT,
    NO_ROOM,
    OVER_BUDGET,
    TIED,
    Decision,
    Purse,
)
from kpgate._fast.journal import EXTEND, HOLD, METER, POST, TRANSFER, VOID
from kpgate.app.ledger_cli import prove
from kpgate.domain.batch import Entry
from kpgate.domain.errors import GatewayError, NotFound
from kpgate.domain.ledger import (
    note_end,
    note_hold,
    read_end,
    read_extend,
    read_hold,
    read_transfer,
    read_transfer_note,
    show_call,
    time_of,
)
from kpgate.domain.money import (
    MoneyOperation,
    Movement,
    Refund,
    SetBudget,
    SetCreditLine,
    ShowReceipt,
    Transfer,
)
from kpgate.domain.usage import Usage
from tests.kit.oracle.book import Book
from tests.kit.small_node import SmallNode, Worker
from tests.kit.vault import HOUR_US, PRICE

SEED = int(os.environ.get("SIM_SEED", "1"))
HISTORIES = int(os.environ.get("SIM_HISTORIES", "24"))
STEPS = 160
PARTIES = ("plain", "owing", "capped")
LINE = 3_000
CAPS = ((1_200, 0, 0), (0, 1_500, 0), (0, 0, 1_500), (1_500, 2_500, 3_500))
"""By day, month and in all; 0 is none."""
Kind = Literal["top_up", "grant", "transfer", "clawback", "adjust"]
KINDS: tuple[Kind, ...] = ("top_up", "grant", "grant", "transfer", "transfer", "clawback", "adjust")
REFUSED = {NO_CREDIT, TIED, OVER_BUDGET, BUDGET_TIED, FULL, NO_ROOM}


@dataclass
class Call:
    """A call that is open."""

    worker: Worker
    call: int
    handle: int
    amount: int


class History:
    """One history, and what must hold of it."""

    def __init__(self, node: SmallNode, seed: int) -> None:
        self.node = node
        self.chance = random.Random(seed)
        self.told = [f"seed {seed}"]
        self.asked = 0
        self.open: list[Call] = []
        self.answered: dict[int, int] = {}
        self.acknowledged: list[tuple[MoneyOperation, object]] = []
        self.owners: dict[int, str] = {}
        self.lines: list[tuple[int, int]] = []
        node.begin()
        for party in PARTIES:
            self.do(Transfer(id=self.id(), movements=(Movement(kind="issue", party=party, amount=9_000),)))
        self.draw(LINE)
        self.caps = caps = self.chance.choice(CAPS)
        self.do(SetBudget(id=self.id(), party="capped", day=caps[0], month=caps[1], total=caps[2]))
        self.budget = next(iter(node.bank.ledger.budgets())).number

    def id(self) -> str:
        self.asked += 1
        return f"operation-{self.asked}"

    def do(self, operation: MoneyOperation) -> None:
        self.settle_ring()
        try:
            answer: object = self.node.bank.treasury.answer(operation)
        except GatewayError as error:
            answer = (error.code, error.message)
            if error.code == "store_unavailable":
                return
        self.acknowledged.append((operation, answer))

    def step(self) -> None:
        actions: list[tuple[int, Callable[[], object]]] = [
            (14, self.hold),
            (5, self.extend),
            (5, self.meter),
            (9, self.post),
            (3, self.void),
            (5, self.move),
            (2, self.refund),
            (1, lambda: self.draw(self.chance.choice((0, 500, LINE, 2 * LINE)))),
            (3, lambda: self.flush(self.chance.choice(self.node.workers))),
            (1, self.node.bank.poster.sync),
            (3, self.node.bank.poster.keep_synced),
            (4, self.node.bank.poster.post),
            (1, self.node.bank.poster.sign),
            (1, self.node.bank.treasury.expire),
            (2, self.expire_holds),
            (1, self.node.bank.poster.keep_time),
            (2, self.pass_time),
            (1, self.jump),
            (1, self.kill_worker),
            (1, self.kill_clerk),
            (1, self.kill_all),
            (1, self.lose_power),
        ]
        weights, doings = zip(*actions, strict=True)
        self.chance.choices(doings, weights)[0]()

    # What calls do

    def hold(self) -> None:
        node, worker = self.node, self.chance.choice(self.node.workers)
        party = self.chance.choice(PARTIES)
        account, owner = node.bank.ledger.number_of(f"spend:{party}"), node.bank.ledger.party(party)
        assert account is not None and owner is not None
        amount = self.chance.choice((1, 40, 700, 2_500, self.chance.randrange(1, 9_000)))
        budgets = (self.budget,) if party == "capped" else ()
        before = node.bank.accounts.account(node.now_us, account)
        assert before is not None
        decision = Decision()
        note = note_hold("request", "model", node.version, 1, 1, 10_000)
        purse = Purse(account, budgets, party=owner)
        code = worker.credit.hold(node.now_us, node.region.generation, purse, amount, note, decision)
        if code == DONE:
            assert amount <= before.free, self.told
            self.open.append(Call(worker, decision.call, decision.handle, amount))
            self.owners[decision.call] = party
        else:
            assert code in REFUSED, (code, self.told)
            if code in (NO_CREDIT, TIED):
                assert amount > before.free, self.told
                assert (code == TIED) == (decision.free + decision.held >= amount), self.told
            if code == NO_ROOM:
                self.settle_ring()

    def extend(self) -> None:
        if self.open:
            one = self.chance.choice(self.open)
            more = self.chance.choice((10, 300, 5_000))
            code = one.worker.credit.extend(self.node.now_us, self.node.region.generation, one.handle, more)
            assert code == DONE or code in REFUSED, (code, self.told)
            one.amount += more * (code == DONE)

    def meter(self) -> None:
        if self.open:
            one = self.chance.choice(self.open)
            assert one.worker.credit.sent(one.handle)
            assert one.worker.credit.meter(one.handle, self.chance.randrange(one.amount + 1))
            if self.chance.random() < 0.7:
                assert one.worker.credit.record_meter(self.node.now_us, one.handle) in (DONE, NO_ROOM)

    def post(self) -> None:
        if self.open:
            one = self.take()
            actual = self.chance.choice(
                (0, one.amount, one.amount + 5, self.chance.randrange(one.amount + 1))
            )
            note = note_end("provider", "deployment", 1, 200, self.node.version, Usage(actual, 0))
            while (code := one.worker.credit.post(self.node.now_us, one.handle, actual, 0, note)) == NO_ROOM:
                self.settle_ring()
            assert code == DONE, (code, self.told)
            if self.chance.random() < 0.5 and self.flush(one.worker):
                self.answered[one.call] = min(actual, one.amount)

    def void(self) -> None:
        if self.open:
            one = self.take()
            while (code := one.worker.credit.void(self.node.now_us, one.handle, 5, b"")) == NO_ROOM:
                self.settle_ring()
            assert code == DONE, (code, self.told)

    def take(self) -> Call:
        return self.open.pop(self.chance.randrange(len(self.open)))

    def flush(self, worker: Worker) -> bool:
        return worker.journal.flush(worker.journal.tail)

    def settle_ring(self) -> None:
        self.node.bank.poster.write()
        while self.node.bank.poster.prepare():
            pass

    # What operators do

    def move(self) -> None:
        chance, now_us = self.chance, self.node.wall_us()
        party = chance.choice(PARTIES)
        kind: Kind = chance.choice(KINDS)
        amount = chance.choice((chance.randrange(1, 4_000), chance.randrange(1, 30_000)))
        movement = Movement(
            kind=kind,
            party=party,
            amount=-amount if kind == "adjust" and chance.random() < 0.5 else amount,
            to=chance.choice([one for one in PARTIES if one != party]) if kind == "transfer" else "",
            expires_us=now_us + chance.choice((1, 6)) * HOUR_US if kind == "grant" else 0,
        )
        self.do(Transfer(id=self.id(), movements=(movement,)))

    def draw(self, line: int) -> None:
        """Set a credit line, which is in force from the next entry on."""
        self.do(SetCreditLine(id=self.id(), party="owing", line=line))
        number = self.node.bank.ledger.number_of("spend:owing")
        assert number is not None
        state = self.node.bank.accounts.account(self.node.now_us, number)
        assert state is not None
        self.lines.append((self.node.bank.journal.tail, -state.floor))

    def refund(self) -> None:
        if self.answered:
            call = self.chance.choice(list(self.answered))
            self.do(Refund(id=self.id(), call=show_call(call), amount=self.chance.choice((0, 1, 50))))

    # What befalls it

    def expire_holds(self) -> None:
        self.settle_ring()
        self.node.bank.end_expired()
        self.drop_ended()

    def drop_ended(self) -> None:
        left = {one.call for one in self.node.workers[0].credit.holds_open()}
        self.open = [one for one in self.open if one.call in left]

    def pass_time(self) -> None:
        self.node.now_us += self.chance.choice((1, 1_000_000, HOUR_US, 5 * HOUR_US))

    def jump(self) -> None:
        """The wall clock is set."""
        by_us = self.chance.choice((-HOUR_US, HOUR_US, -7_000_000))
        self.told.append(f"clock {by_us}")
        self.node.ahead_us += by_us

    def kill_worker(self) -> None:
        place = self.chance.randrange(len(self.node.workers))
        self.told.append(f"worker {place}")
        self.settle_ring()
        worker = self.node.workers[place]
        ended = [one for one in self.open if one.worker is worker]
        self.node.kill_worker(place)
        self.drop_ended()
        assert not [one for one in ended if one in self.open], self.told

    def kill_clerk(self) -> None:
        self.told.append("clerk")
        self.node.leave_clerk()
        self.node.seat_clerk()
        self.settle_ring()
        self.check(self.node.entries())

    def kill_all(self) -> None:
        """Files hold what was written, or a little more."""
        written = self.node.bank.journal.written
        self.told.append(f"all at {written:#x}")
        self.end(written, lambda tail: self.node.cut(self.chance.randint(written, tail)))
        charges = self.node.bank.ledger
        for call, amount in self.answered.items():
            found = charges.charge(call)
            assert (found[3].amount if found else 0) == amount, (show_call(call), self.told)

    def lose_power(self) -> None:
        """Files hold what was synced, and anything of the rest."""
        durable = self.node.bank.journal.durable
        self.told.append(f"power at {durable:#x}")

        def fail(tail: int) -> None:
            if self.chance.random() < 0.5:
                self.node.cut(self.chance.randint(durable, tail))
            else:
                self.node.lose_sectors(durable, self.chance)
            self.node.reboot()

        self.end(durable, fail)
        kept = {entry[0] for entry in self.node.entries()}
        self.answered = {call: amount for call, amount in self.answered.items() if self.ended(call, kept)}

    def ended(self, call: int, kept: set[int]) -> bool:
        found = self.node.bank.ledger.charge(call)
        return call in kept and (found is not None and found[3].reason == 0)

    def end(self, safe: int, befall: Callable[[int], None]) -> None:
        """All processes go; then everything that was safe is there, and it adds up."""
        node = self.node
        node.bank.poster.write()
        tail = node.bank.journal.tail
        everything = node.entries()
        node.leave()
        befall(tail)
        left = node.entries()
        node.begin()
        self.open = []
        node.bank.poster.write()
        found = node.entries()
        kept = [entry for entry in found if entry[0] < tail]
        assert kept == left == everything[: len(kept)], self.told
        assert all(entry[0] < everything[len(kept)][0] for entry in kept[-1:] if len(kept) < len(everything))
        assert len(kept) >= sum(entry[0] < safe for entry in everything), self.told
        self.check_lost(kept, found[len(kept) :])
        self.check(found)
        for operation, answer in self.acknowledged[-20:]:
            self.check_known(operation, answer)

    # What must hold

    def check_known(self, operation: MoneyOperation, answer: object) -> None:
        """Asked again, it is answered the same, unless it was never done."""
        try:
            again: object = self.node.bank.treasury.answer(operation)
        except GatewayError as error:
            again = (error.code, error.message)
        assert again == answer, (operation, self.told)

    def check_lost(self, kept: list[Entry], more: list[Entry]) -> None:
        """Every call that was open ends once, by what was last metered; nothing else happens."""
        book = self.book(kept)
        ends = [read_end(*entry) for entry in more]
        assert all(entry[1] in (POST, VOID) for entry in more), self.told
        assert sorted(end.call for end in ends) == sorted(book.open), self.told
        for end in ends:
            wanted = min(book.metered.get(end.call, 0), book.open[end.call].amount)
            assert end.amount == wanted, (show_call(end.call), self.told)

    def book(self, entries: list[Entry]) -> Book:
        book = Book()
        for entry in entries:
            book.apply(entry, {self.node.version: PRICE})
        assert not book.problems, (book.problems, self.told)
        return book

    def check(self, entries: list[Entry]) -> None:
        """Journal, store, log and region say the same."""
        node = self.node
        node.bank.poster.post_all()
        node.bank.poster.sign()
        _, problems = prove(node.directory)
        assert not problems, (problems, self.told)
        book, ledger = self.book(entries), node.bank.ledger
        names = {ledger.number_of(name): name for name in ledger.balances()}
        replayed: dict[str, int] = {}
        for account, balance in book.balances.items():
            name = account if isinstance(account, str) else names[account]
            replayed[name] = replayed.get(name, 0) + balance
        balances = ledger.balances()
        assert {k: v for k, v in replayed.items() if v} == {k: v for k, v in balances.items() if v}, self.told
        assert sum(balances.values()) == 0, self.told
        for party in PARTIES:
            number = ledger.number_of(f"spend:{party}")
            assert number is not None
            state = node.bank.accounts.account(node.now_us, number)
            assert state is not None
            assert (state.balance, state.held) == (balances[f"spend:{party}"], book.held.get(number, 0))
            stored = {row.number: row.lots for row in ledger.accounts()}.get(number, ())
            lots = [(slot, lot.amount, lot.expiry_us) for slot, lot in enumerate(state.lots) if lot.amount]
            assert lots == sorted(stored), self.told
        assert node.bank.credit.open_holds() == len(book.open), self.told
        self.check_limits(entries)
        self.check_tenants(entries)

    def check_tenants(self, entries: list[Entry]) -> None:
        """Each call is held by, charged to, listed for and shown to the party that made it, and nobody else."""
        bank = self.node.bank
        ledger = bank.ledger
        owned = {
            party: (
                ledger.number_of(f"spend:{party}"),
                ledger.party(party),
                (self.budget,) * (party == "capped"),
            )
            for party in PARTIES
        }
        for lsn, kind, body in entries:
            if kind == HOLD:
                hold = read_hold(lsn, body)
                touched = (hold.account, hold.party, tuple(number for number, *_ in hold.budgets))
                assert touched == owned[self.owners[lsn]], (show_call(lsn), self.told)
        for party, (account, *_) in owned.items():
            assert account is not None
            listed = {row["call"] for row in ledger.statement(account, 0, 1 << 30)} - {0}
            assert {self.owners[call] for call in listed} <= {party}, (party, self.told)
            for call in self.chance.sample(sorted(listed), min(2, len(listed))):
                self.check_shown(call, party)

    def check_shown(self, call: int, party: str) -> None:
        for other in PARTIES:
            asked = ShowReceipt(id="question", call=show_call(call), party=other)
            try:
                shown = self.node.bank.treasury.answer(asked)["leaf"]["call"]
            except NotFound:
                shown = None
            assert shown == (show_call(call) if other == party else None), (other, party, self.told)

    def check_limits(self, entries: list[Entry]) -> None:
        """No hold, extension or transfer puts an account or a budget beyond its limit, at any entry."""
        ledger = self.node.bank.ledger
        owing, ahead, line = ledger.number_of("spend:owing"), sorted(self.lines), 0
        book = Book()
        uses: dict[tuple[int, int], int] = {}
        for entry in entries:
            lsn, kind, body = entry
            while ahead and ahead[0][0] <= lsn:
                line = ahead.pop(0)[1]
            before = book.open.get(read_end(lsn, kind, body).call) if kind in (POST, VOID) else None
            book.apply(entry, {self.node.version: PRICE})
            spenders: list[int] = []
            if kind in (HOLD, EXTEND):
                call, amount = (lsn, read_hold(lsn, body).amount) if kind == HOLD else read_extend(body)[:2]
                hold = book.open[call]
                spenders = [hold.account]
                for _, day, month, _ in hold.budgets:
                    for period, (window, cap) in enumerate(zip((day, month, 0), self.caps, strict=True)):
                        used = uses[period, window] = uses.get((period, window), 0) + amount
                        assert not cap or used <= cap, (show_call(call), period, self.told)
            elif before is not None:
                for _, day, month, _ in before.budgets:
                    for key in ((0, day), (1, month), (2, 0)):
                        uses[key] += read_end(lsn, kind, body).amount - before.amount
            elif kind == TRANSFER:
                moves = read_transfer_note(read_transfer(body)[2]).postings
                spenders = [
                    move.debit for move in moves if move.kind == "transfer" and isinstance(move.debit, int)
                ]
            for account in spenders:
                free = book.balances.get(account, 0) - book.held.get(account, 0)
                free -= book.expired(account, time_of(kind, body))
                assert free + line * (account == owing) >= 0, (hex(lsn), self.told)
            assert kind in (HOLD, EXTEND, METER, POST, VOID, TRANSFER)


@pytest.mark.parametrize("seed", range(SEED, SEED + HISTORIES))
def test_any_history_comes_to_what_its_journal_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    node = SmallNode(tmp_path, monkeypatch)
    history = History(node, seed)
    for _ in range(STEPS):
        history.step()
    history.kill_all()
    history.lose_power()
    node.leave()
