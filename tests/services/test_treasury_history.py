"""Any history of operations, calls, starts and time comes to what plain rules say; every invariant holds throughout.

The rules here know parties by name and grants by their end; they know nothing of slots, numbers, entries or tables.
"""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from kpgate.domain.errors import (
    Conflict,
    GatewayError,
    IdReused,
    InsufficientCredit,
    InvalidRequest,
)
from kpgate.domain.invariants import check
from kpgate.domain.ledger import LOTS, show_call
from kpgate.domain.money import (
    MoneyOperation,
    Movement,
    Refund,
    SetBudget,
    SetCreditLine,
    Transfer,
)
from kpgate.stores.standing import SqliteStanding
from tests.kit.node_office import NodeOffice
from tests.kit.oracle.book import Book
from tests.kit.oracle.credit import windows
from tests.kit.vault import DAY_US, HOUR_US, PRICE, SHARES, Office

PARTIES = ("acme", "bolt", "writer")
NEVER = 1 << 62
STEPS = 20_000
"""Of the machine over the plain rules, in all: about 20 s."""
NODE_STEPS = 2_000
"""Over a node's own: about as long."""


@dataclass
class Fund:
    """A part of a balance that ends together: what there is, and what of it is held.

    What is taken back may leave less than is held: the plain balance then stands in for it.
    """

    amount: int = 0
    held: int = 0

    @property
    def lacks(self) -> int:
        return max(0, self.held - self.amount)


@dataclass
class Purse:
    """What a party has: `funds` by when they end."""

    funds: dict[int, Fund] = field(default_factory=lambda: {NEVER: Fund()})
    line: int = 0
    earned: int = 0
    caps: tuple[int, int, int] = (0, 0, 0)
    has_budget: bool = False
    used: dict[tuple[int, int], int] = field(default_factory=dict)
    may_owe: bool = False

    @property
    def balance(self) -> int:
        return sum(fund.amount for fund in self.funds.values())

    @property
    def held(self) -> int:
        return sum(fund.held for fund in self.funds.values())

    def free(self, now_us: int) -> int:
        return self.line + sum(
            fund.amount - fund.held if ends_us > now_us else -fund.lacks
            for ends_us, fund in self.funds.items()
        )

    def plain_free(self, given: dict[int, int]) -> int:
        """What does not end and is free, once so much more is given by when it ends."""
        lacks = sum(
            max(0, fund.lacks - given.get(ends_us, 0))
            for ends_us, fund in self.funds.items()
            if ends_us != NEVER
        )
        return self.funds[NEVER].amount - self.funds[NEVER].held - lacks + self.line

    @property
    def grants(self) -> set[int]:
        """When those end that there is something of, or held of."""
        return {
            ends_us for ends_us, fund in self.funds.items() if ends_us != NEVER and fund.amount + fund.held
        }

    def take_back(self, amount: int, first_us: int, now_us: int) -> None:
        """What `first_us` says, then what ends first; then it is owed."""
        plain = max(0, self.funds[NEVER].amount)
        there = [[first_us, plain]] if first_us == NEVER else [[first_us, self.amount_of(first_us)]]
        there += [[ends_us, self.amount_of(ends_us)] for ends_us in sorted(self.grants - {first_us})]
        for ends_us, most in there:
            if ends_us > now_us:
                part = min(amount, most)
                self.funds.setdefault(ends_us, Fund()).amount -= part
                amount -= part
        self.funds[NEVER].amount -= amount

    def amount_of(self, ends_us: int) -> int:
        return self.funds[ends_us].amount if ends_us in self.funds else 0

    def give_back(self, ends_us: int, amount: int) -> None:
        """To what ends then; with no place for another grant, to what ends next."""
        if ends_us != NEVER and ends_us not in self.grants and len(self.grants) == LOTS:
            ends_us = min((other for other in self.grants if other > ends_us), default=NEVER)
        self.funds.setdefault(ends_us, Fund()).amount += amount


@dataclass
class Call:
    """A call that holds: `parts` of which funds; after its end, what it was charged, `paid` from where, as far as it is
    not refunded.
    """

    party: str
    parts: dict[int, int]
    windows: tuple[tuple[int, int], ...]
    has_budget: bool
    metered: int = 0
    charged: int = 0
    refunded: int = 0
    paid: list[list[int]] = field(default_factory=list)

    @property
    def amount(self) -> int:
        return sum(self.parts.values())


amounts = st.integers(1, 60)
parties = st.sampled_from(PARTIES)
few = st.sampled_from((0, 0, 0, 0, 90, 300))
kinds = st.sampled_from(("issue", "top_up", "grant", "reward", "adjust", "clawback", "transfer", "payout"))
movements = st.tuples(kinds, parties, amounts, parties, st.integers(0, 3), st.booleans(), st.integers(0, 9))


class History(RuleBasedStateMachine):
    """One ledger, and what plain rules make of the same."""

    steps = 0
    make_office: type[Office] | type[NodeOffice] = Office

    def __init__(self) -> None:
        super().__init__()
        # What holds is looked at once before the first step.
        History.steps -= 1
        self.office = self.make_office()
        # Who was given what by which operation: the first that ends of it.
        self.given: dict[str, list[tuple[str, int]]] = {name: [] for name in PARTIES}
        self.purses = {name: Purse() for name in PARTIES}
        self.open: dict[int, Call] = {}
        self.ended: dict[int, Call] = {}
        self.asked: list[tuple[MoneyOperation, object]] = []
        self.now_us = self.office.time_us()

    def teardown(self) -> None:
        self.all_that_is_checked()
        self.office.close()

    @initialize()
    def parties_are_there(self) -> None:
        for party in PARTIES:
            self.office.do(Transfer, movements=(Movement(kind="issue", party=party, amount=300),))
            self.purses[party].funds[NEVER].amount = 300

    # Operations

    def ask(self, operation: MoneyOperation) -> object:
        """What is answered, or the code of the refusal."""
        try:
            answer: object = self.office.answer(operation)
        except GatewayError as error:
            answer = (error.code, error.message)
        self.asked.append((operation, answer))
        return answer

    def new_id(self) -> str:
        return f"operation-{len(self.asked)}"

    @rule(said=st.lists(movements, min_size=1, max_size=3))
    def transfer(self, said: list[tuple[Any, str, int, str, int, bool, int]]) -> None:
        made = []
        for kind, party, amount, to, hours, negative, which in said:
            crediting = kind in ("issue", "top_up", "grant", "reward")
            given = self.given[party][which:] if kind == "clawback" or (kind == "adjust" and negative) else []
            made.append(
                Movement(
                    kind=kind,
                    party=party,
                    amount=-amount if kind == "adjust" and negative else amount,
                    to=to if kind == "transfer" else "",
                    # Few ends, so that some meet and some are one too many.
                    expires_us=self.now_us // DAY_US * DAY_US + DAY_US + hours * HOUR_US
                    if crediting and hours
                    else 0,
                    reverses=given[0][0] if given else "",
                )
            )
        expected = self.expect(made)
        request_id = self.new_id()
        answer = self.ask(Transfer(id=request_id, movements=tuple(made)))
        if expected is None:
            assert isinstance(answer, dict), answer
            for movement in made:
                self.apply(movement)
            self.remember(request_id, made)
        else:
            assert isinstance(answer, tuple) and answer[0] == expected.code, (answer, expected)

    def expect(self, made: list[Movement]) -> type[GatewayError] | None:
        """Why an operation is refused, if it is."""
        named = {movement.kind for movement in made}
        forced = bool(named & {"adjust", "clawback"})
        if forced and "transfer" in named:
            return InvalidRequest
        earned = {name: purse.earned for name, purse in self.purses.items()}
        ends: dict[str, set[int]] = {name: set(purse.grants) for name, purse in self.purses.items()}
        for movement in made:
            if movement.kind == "transfer" and movement.to == movement.party:
                return InvalidRequest
            if movement.kind == "payout":
                earned[movement.party] -= movement.amount
                if earned[movement.party] < 0:
                    return InsufficientCredit
            if movement.expires_us:
                ends[movement.party].add(movement.expires_us)
                if len(ends[movement.party]) > LOTS:
                    return Conflict
        if "transfer" not in named:
            return None
        return self.expect_transfers(made)

    def expect_transfers(self, made: list[Movement]) -> type[GatewayError] | None:
        """Whether those who give have it, when all is done."""
        plain = dict.fromkeys(PARTIES, 0)
        total = dict.fromkeys(PARTIES, 0)
        given: dict[str, dict[int, int]] = {name: {} for name in PARTIES}
        givers = {movement.party for movement in made if movement.kind == "transfer"}
        for movement in made:
            if movement.kind == "payout":
                continue
            sign = -1 if movement.kind == "transfer" else 1
            total[movement.party] += sign * movement.amount
            if not movement.expires_us:
                plain[movement.party] += sign * movement.amount
            else:
                ending = given[movement.party]
                ending[movement.expires_us] = ending.get(movement.expires_us, 0) + movement.amount
            if movement.kind == "transfer":
                plain[movement.to] += movement.amount
                total[movement.to] += movement.amount
        for name in givers:
            purse = self.purses[name]
            if purse.plain_free(given[name]) + plain[name] < 0 or purse.free(self.now_us) + total[name] < 0:
                return InsufficientCredit
        return None

    def apply(self, movement: Movement) -> None:
        purse = self.purses[movement.party]
        if movement.kind == "payout":
            purse.earned -= movement.amount
        elif movement.kind == "transfer":
            purse.funds[NEVER].amount -= movement.amount
        elif movement.kind == "clawback" or movement.amount < 0:
            first_us = dict(self.given[movement.party]).get(movement.reverses, 0)
            purse.take_back(abs(movement.amount), first_us, self.now_us)
        else:
            ends_us = movement.expires_us or NEVER
            purse.funds.setdefault(ends_us, Fund()).amount += movement.amount
        if movement.kind == "transfer":
            self.purses[movement.to].funds[NEVER].amount += movement.amount
        purse.may_owe = purse.may_owe or movement.kind in ("clawback", "adjust")

    def remember(self, request_id: str, made: list[Movement]) -> None:
        """What an operation gave to whom."""
        for name in PARTIES:
            ends = [
                movement.expires_us or NEVER
                for movement in made
                if name == (movement.to or movement.party)
                and movement.kind not in ("payout", "clawback")
                and movement.amount > 0
            ]
            if ends:
                self.given[name].insert(0, (request_id, min(ends)))

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def what_is_repeated_is_answered_the_same(self, data: st.DataObject) -> None:
        operation, before = data.draw(st.sampled_from(self.asked))
        try:
            answer: object = self.office.answer(operation)
        except GatewayError as error:
            answer = (error.code, error.message)
        assert answer == before
        other = Transfer(id=operation.id, movements=(Movement(kind="issue", party="acme", amount=61),))
        try:
            self.office.answer(other)
        except IdReused:
            return
        raise AssertionError("an id was used twice")

    @rule(party=parties, line=st.integers(-40, 40), caps=st.tuples(few, few, few))
    def set_limits(self, party: str, line: int, caps: tuple[int, int, int]) -> None:
        purse = self.purses[party]
        if line >= 0:
            self.ask(SetCreditLine(id=self.new_id(), party=party, line=line))
            purse.may_owe = purse.may_owe or line < purse.line
            purse.line = line
            return
        day, month, total = caps
        self.ask(SetBudget(id=self.new_id(), party=party, day=day, month=month, total=total))
        purse.caps, purse.has_budget = caps, True

    @precondition(lambda self: self.ended)
    @rule(data=st.data(), amount=st.integers(0, 60))
    def refund(self, data: st.DataObject, amount: int) -> None:
        number = data.draw(st.sampled_from(sorted(self.ended)))
        call = self.ended[number]
        left = call.charged - call.refunded
        answer = self.ask(Refund(id=self.new_id(), call=show_call(number), amount=amount))
        if 0 < (amount or left) <= left:
            assert isinstance(answer, dict), answer
            amount = amount or left
            call.refunded += amount
            restored = self.give_back(call, amount)
            assert (answer["refunded_microkpt"], answer["restored_microkpt"]) == (amount, restored)
        else:
            assert isinstance(answer, tuple) and answer[0] in ("conflict", "not_found")

    def give_back(self, call: Call, amount: int) -> int:
        """What was paid last comes back first, to where it was from unless that has ended; how much did."""
        purse, restored = self.purses[call.party], 0
        while amount:
            paid = call.paid[-1]
            part = min(amount, paid[1])
            paid[1] -= part
            amount -= part
            if paid[0] > self.now_us:
                restored += part
                purse.give_back(paid[0], part)
            if not paid[1]:
                call.paid.pop()
        return restored

    # Calls

    def number_of_budget(self, party: str) -> tuple[int, ...]:
        if not self.purses[party].has_budget:
            return ()
        rows = self.office.store.connection.execute(
            "SELECT budgets.number FROM budgets JOIN parties ON parties.number = owner WHERE kind = 1 AND name = ?",
            (party,),
        ).fetchall()
        number: Any = rows[0][0]
        return (number,)

    def fits(self, party: str, amount: int, when: tuple[tuple[int, int], ...]) -> bool:
        """Whether a budget has room in each of its windows."""
        purse = self.purses[party]
        for cap, window in zip(purse.caps, when, strict=True):
            held = sum(
                one.amount
                for one in self.open.values()
                if one.party == party and one.has_budget and window in one.windows
            )
            if cap and purse.used.get(window, 0) + held + amount > cap:
                return False
        return True

    @rule(party=parties, amount=amounts)
    def hold(self, party: str, amount: int) -> None:
        purse = self.purses[party]
        day, month = windows(self.now_us)
        when = ((0, day), (1, month), (2, 0))
        budgets = self.number_of_budget(party)
        call = self.office.vault.hold(
            self.office.account_of(party), amount, budgets, version=self.office.version
        )
        allowed = purse.free(self.now_us) >= amount and (
            not purse.has_budget or self.fits(party, amount, when)
        )
        if not call:
            # A call of a window long past keeps the place of the one that now is: it waits.
            older = any(
                one.party == party and one.has_budget and one.windows != when for one in self.open.values()
            )
            assert not allowed or older, "refused although there was enough"
            return
        assert allowed, "held more than there was"
        self.open[call] = Call(party, self.take(purse, amount), when, purse.has_budget)

    def take(self, purse: Purse, amount: int) -> dict[int, int]:
        """Hold an amount of what ends first."""
        parts = {}
        for ends_us, fund in sorted(purse.funds.items()):
            if ends_us <= self.now_us:
                continue
            room = fund.amount - fund.held
            part = amount if ends_us == NEVER else min(amount, max(0, room))
            if part:
                parts[ends_us] = part
                fund.held += part
                amount -= part
        return parts

    @precondition(lambda self: self.open)
    @rule(data=st.data(), amount=amounts)
    def extend(self, data: st.DataObject, amount: int) -> None:
        number = data.draw(st.sampled_from(sorted(self.open)))
        call = self.open[number]
        purse = self.purses[call.party]
        if self.office.vault.extend(number, amount):
            assert purse.free(self.now_us) >= amount
            assert not call.has_budget or self.fits(call.party, amount, call.windows)
            for ends_us, part in self.take(purse, amount).items():
                call.parts[ends_us] = call.parts.get(ends_us, 0) + part

    @precondition(lambda self: self.open)
    @rule(data=st.data(), amount=st.integers(0, 80))
    def meter(self, data: st.DataObject, amount: int) -> None:
        number = data.draw(st.sampled_from(sorted(self.open)))
        # What is metered never falls.
        self.open[number].metered = amount = max(amount, self.open[number].metered)
        self.office.vault.record_meter(number, amount)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), actual=st.integers(-1, 90))
    def end(self, data: st.DataObject, actual: int) -> None:
        number = data.draw(st.sampled_from(sorted(self.open)))
        self.office.vault.end(number, actual, version=self.office.version)
        self.settle(number, actual)

    def settle(self, number: int, actual: int) -> None:
        """What a call is charged leaves the funds it held, first what ends first; the rest is free again."""
        call = self.open.pop(number)
        purse = self.purses[call.party]
        call.charged = left = max(0, min(actual, call.amount))
        for ends_us, part in sorted(call.parts.items()):
            fund = purse.funds[ends_us]
            fund.held -= part
            # What was taken back of it meanwhile is not there to pay with.
            paid = min(left, part if ends_us == NEVER else min(part, fund.amount))
            fund.amount -= paid
            left -= paid
            call.paid.append([ends_us, paid])
        if left:
            purse.funds[NEVER].amount -= left
            call.paid.append([NEVER, left])
        for window in call.windows if call.has_budget else ():
            purse.used[window] = purse.used.get(window, 0) + call.charged
        for share in SHARES:
            part = call.charged * share.basis_points // 10_000
            if share.party in self.purses:
                self.purses[share.party].earned += part
        self.ended[number] = call

    # Time, posting, starts

    @rule(what=st.sampled_from(("an hour", "five hours", "a day", "a month", "expire", "start")))
    def happens(self, what: str) -> None:
        hours = {"an hour": 1, "five hours": 5, "a day": 24, "a month": 24 * 31}.get(what, 0)
        if hours:
            self.office.vault.now_us += hours * HOUR_US
            self.now_us = self.office.time_us()
        elif what == "expire":
            self.expire()
        else:
            self.start_again()

    def expire(self) -> None:
        self.office.post_all()
        self.office.treasury.expire()
        for purse in self.purses.values():
            for ends_us, fund in purse.funds.items():
                if ends_us <= self.now_us:
                    fund.amount = min(fund.amount, fund.held)

    def start_again(self) -> None:
        self.office.restart()
        for number, call in sorted(self.open.items()):
            self.settle(number, call.metered if call.metered else -1)

    # What always holds

    @invariant()
    def the_accounts_are_what_the_rules_say(self) -> None:
        History.steps += 1
        for name, purse in self.purses.items():
            number = self.office.ledger.number_of(f"spend:{name}")
            state = self.office.vault.account(self.office.vault.now_us, number or 0)
            assert state is not None
            said = (purse.balance, purse.held, purse.free(self.now_us))
            assert (state.balance, state.held, state.free) == said
            funds = {ends_us: fund.amount for ends_us, fund in purse.funds.items() if ends_us != NEVER}
            lots = {lot.expiry_us: lot.amount for lot in state.lots if lot.amount}
            assert lots == {ends_us: amount for ends_us, amount in funds.items() if amount}
            assert purse.may_owe or state.free >= 0, "below its limit, and by nothing that may"

    @invariant()
    def the_balances_are_what_the_rules_say(self) -> None:
        # Not after each step: a batch is of several entries.
        if History.steps % 3:
            return
        self.office.post_all()
        balances = self.office.ledger.balances()
        assert sum(balances.values()) == 0
        for name, purse in self.purses.items():
            assert balances[f"spend:{name}"] == purse.balance
            assert balances.get(f"earn:{name}", 0) == purse.earned

    @invariant()
    def the_store_is_what_the_journal_amounts_to(self) -> None:
        if History.steps % 9 == 0:
            self.all_that_is_checked()

    def numbers(self) -> list[tuple[str, int]]:
        rows: Any = self.office.store.connection.execute("SELECT name, number FROM accounts").fetchall()
        return list(rows)

    def all_that_is_checked(self) -> None:
        self.office.post_all()
        with SqliteStanding(self.office.store.connection).at_one_instant() as standing:
            report = check(standing, self.office.vault.entries)
        assert report.sound, report.problems
        book = Book()
        for entry in self.office.vault.entries:
            book.apply(entry, {self.office.version: PRICE})
        assert not book.problems and set(book.open) == set(self.open)
        numbers = {number: name for name, number in self.numbers()}
        replayed = {
            numbers[one] if isinstance(one, int) else one: sum_ for one, sum_ in book.balances.items()
        }
        kept = self.office.ledger.balances()
        assert {name: sum_ for name, sum_ in replayed.items() if sum_} == {n: b for n, b in kept.items() if b}
        for row in self.office.ledger.accounts():
            account = self.office.vault.account(self.office.vault.now_us, row.number)
            assert account is not None
            lots = {(slot, lot.amount) for slot, lot in enumerate(account.lots) if lot.amount}
            assert (row.balance, row.floor) == (account.balance, account.floor)
            assert {(slot, amount) for slot, amount, _ in row.lots} == lots


class NodeHistory(History):
    """The same of a node: what decides is compiled, and its journal in files."""

    make_office = NodeOffice


# Long by what is asked of it: half a minute of a core that has nothing else to do.
@pytest.mark.timeout(180)
@pytest.mark.parametrize(("machine", "steps"), [(History, STEPS), (NodeHistory, NODE_STEPS)])
def test_steps_of_any_histories_come_to_what_the_rules_say(machine: type[History], steps: int) -> None:
    History.steps, told = 0, settings(max_examples=150, stateful_step_count=150, deadline=None)
    while History.steps < steps:
        run_state_machine_as_test(machine, settings=told)
