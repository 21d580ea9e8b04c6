"""The ledger put together, on a real journal: left at any moment it starts again to what it had decided."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kpgate._fast.commit import Life, Region, Seat
from kpgate._fast.credit import DONE, Decision, Purse
from kpgate._fast.journal import recover
from kpgate._fast.wait import clock
from kpgate.app.areas import areas
from kpgate.app.bank import Bank
from kpgate.app.control import wall_us
from kpgate.app.directory import Directory
from kpgate.app.poster import AHEAD_BYTES, KEPT_BYTES, SEGMENT_BYTES
from kpgate.domain.batch import Entry
from kpgate.domain.invariants import Report, check
from kpgate.domain.ledger import note_end, note_hold, show_call
from kpgate.domain.money import (
    Movement,
    Refund,
    SetBudget,
    SetCreditLine,
    ShowBalance,
    ShowReceipt,
    Transfer,
)
from kpgate.domain.settings import Ledger
from kpgate.domain.usage import Usage
from kpgate.stores.sqlite import SqliteStore
from kpgate.stores.standing import SqliteStanding
from tests.kit.vault import HOUR_US, PRICE

SETTINGS = Ledger(enabled=True, accounts_max=1024)


class Node:
    """A data directory, and the bank that is at work in it."""

    def __init__(self, root: Path) -> None:
        self.directory = Directory(root)
        self.directory.prepare()
        self.directory.pepper()
        self.asked = 0
        self.begin()

    def begin(self) -> None:
        self.store = SqliteStore(self.directory.store)
        self.version = self.store.number("price", [PRICE.terms])[PRICE.terms]
        region = Region.create(areas(SETTINGS), 1)
        self.life = Life.claim(self.directory.run, 0, 1)
        self.bank = Bank(self.directory, Seat(region, self.life), SETTINGS, self.store, lambda: True, wall_us)
        self.bank.stand()

    def leave(self) -> None:
        """Go as a process goes that is killed: nothing is posted, signed or said. What is decided is written."""
        self.bank.poster.write()
        self.life.close()
        self.store.close()

    def again(self) -> None:
        self.leave()
        self.begin()

    def do(self, kind: type, **fields: object) -> dict[str, object]:
        self.asked += 1
        answer: dict[str, object] = self.bank.treasury.answer(kind(id=f"request-{self.asked}", **fields))
        return answer

    def give(self, kind: str, amount: int, expires_us: int = 0) -> None:
        movement = Movement(kind=kind, party="acme", amount=amount, expires_us=expires_us)  # type: ignore[arg-type]
        self.do(Transfer, movements=(movement,))

    def hold(self, amount: int, budgets: tuple[int, ...] = ()) -> Decision:
        number = self.bank.ledger.number_of("spend:acme")
        party = self.bank.ledger.party("acme")
        assert number is not None and party is not None
        decision = Decision()
        note = note_hold("request", "model", self.version, 1, 1, 10_000)
        purse = Purse(number, budgets, party=party)
        assert self.bank.credit.hold(clock(), 0, purse, amount, note, decision) == DONE
        return decision

    def charge(self, decision: Decision, actual: int) -> int:
        note = note_end("provider", "deployment", 1, 200, self.version, Usage(actual, 0))
        assert self.bank.credit.post(clock(), decision.handle, actual, 0, note) == DONE
        return decision.call

    def meter(self, decision: Decision, amount: int) -> None:
        assert self.bank.credit.sent(decision.handle) and self.bank.credit.meter(decision.handle, amount)
        assert self.bank.credit.record_meter(clock(), decision.handle) == DONE

    def balance(self) -> dict[str, object]:
        return self.do(ShowBalance, party="acme")

    def check(self) -> Report:
        entries: list[Entry] = []
        self.bank.poster.write()
        recover(
            self.directory.root / "journal", 0, SEGMENT_BYTES, lambda more, end: entries.extend(more), False
        )
        assert entries
        with SqliteStanding(self.store.connection).at_one_instant() as standing:
            report = check(standing, entries)
        assert report.sound, report.problems
        return report


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path)
    yield node
    node.leave()


def test_what_others_write_is_synced_and_what_nobody_writes_is_written_first(node: Node) -> None:
    journal, keep_synced = node.bank.journal, node.bank.poster.keep_synced
    node.give("grant", 1_000)
    keep_synced()
    node.hold(10)
    assert journal.flush(journal.tail)
    node.hold(20)
    written, tail = journal.written, journal.tail
    assert written < tail
    keep_synced()
    assert (journal.written, journal.durable) == (written, written), (
        "whoever writes now and then is left to it"
    )
    keep_synced()
    assert journal.written == journal.durable >= tail, "who decided it may be dead"


def test_what_was_decided_and_not_posted_is_found_at_the_next_start(node: Node) -> None:
    node.give("issue", 1000)
    call = node.charge(node.hold(600), 500)
    assert node.bank.ledger.balance("spend:acme") == 1000
    node.again()
    assert node.bank.ledger.balance("spend:acme") == node.balance()["balance_microkpt"] == 500
    assert node.do(ShowReceipt, call=show_call(call))["index"] == 0
    assert node.check().charges == 1


def test_calls_that_were_open_end_at_the_next_start(node: Node) -> None:
    node.give("issue", 1000)
    metered, silent = node.hold(300), node.hold(200)
    node.meter(metered, 120)
    assert node.balance()["held_microkpt"] == 500
    node.again()
    shown = node.balance()
    assert (shown["balance_microkpt"], shown["held_microkpt"], shown["free_microkpt"]) == (880, 0, 880)
    node.again()
    assert node.balance()["balance_microkpt"] == 880
    assert node.bank.ledger.charge(silent.call) is None
    assert node.check().charges == 1


def test_grants_lines_and_budgets_are_in_force_after_a_start(node: Node) -> None:
    ends_us = wall_us() + HOUR_US
    node.give("clawback", 300)
    node.give("grant", 300, ends_us)
    node.do(SetCreditLine, party="acme", line=40)
    node.do(SetBudget, party="acme", day=1000)
    (budget,) = node.bank.ledger.budgets()
    node.charge(node.hold(30, (budget.number,)), 25)
    before = node.balance()
    node.again()
    shown = node.balance()
    assert shown == before
    assert shown["expiring"] == [{"amount_microkpt": 275, "expires_us": ends_us}]
    assert (shown["balance_microkpt"], shown["credit_line_microkpt"]) == (-25, 40)
    state = node.bank.accounts.budget(budget.number)
    assert state is not None and (state.caps, state.total.used) == ((1000, 0, 0), 25)
    node.check()


def test_an_operation_that_was_decided_is_known_after_a_start(node: Node) -> None:
    node.give("issue", 1000)
    call = node.charge(node.hold(600), 500)
    operation = Refund(id="a-refund", call=show_call(call), amount=100)
    first = node.bank.treasury.answer(operation)
    node.again()
    assert node.bank.treasury.answer(operation) == first
    assert node.balance()["balance_microkpt"] == 600
    node.check()


def test_an_operation_that_was_journalled_and_not_posted_is_done_once(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.give("issue", 1000)
    operation = Transfer(
        id="a-transfer", movements=(Movement(kind="transfer", party="acme", to="bolt", amount=1),)
    )
    decided = node.bank.accounts.transfer

    class Dies(Exception):
        """The clerk, between its decision and the rest."""

    class Vault:
        def __getattr__(self, name: str) -> object:
            return getattr(node.bank.accounts, name)

        def transfer(self, *said: object) -> tuple[int, int]:
            decided(*said)  # type: ignore[arg-type]
            raise Dies

    monkeypatch.setattr(node.bank.treasury, "_vault", Vault())
    with pytest.raises(Dies):
        node.bank.treasury.answer(operation)
    node.again()
    assert node.bank.treasury.answer(operation)["done"]
    assert node.balance()["balance_microkpt"] == 999
    node.check()


def test_many_starts_in_the_middle_of_things_keep_everything(node: Node) -> None:
    node.give("issue", 10_000)
    charged = 0
    for i in range(6):
        node.charge(node.hold(100), 90 + i)
        charged += 90 + i
        left = node.hold(50)
        if i % 2:
            node.meter(left, 20 + i)
            charged += 20 + i
        if i % 3 == 0:
            node.bank.poster.post_all()
        node.again()
        assert node.balance()["balance_microkpt"] == 10_000 - charged
        assert sum(node.bank.ledger.balances().values()) == 0
    assert node.check().charges == 6 + 3


def test_many_starts_leave_no_pile_of_segments(node: Node) -> None:
    for _ in range(12):
        node.give("top_up", 5)
        node.bank.close()
        node.again()
    files = list((node.directory.root / "journal").glob("*.kpj"))
    assert len(files) * SEGMENT_BYTES <= KEPT_BYTES + AHEAD_BYTES
    assert node.balance()["balance_microkpt"] == 60
    assert node.check().sound
