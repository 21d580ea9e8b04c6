"""A plan grants each month once, whatever happens in between, and draws the line that goes with it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kpgate.app.control import new_id
from kpgate.domain.errors import Conflict
from kpgate.domain.ledger import LOTS
from kpgate.domain.money import Movement, ShowBalance, ShowStatement, Transfer
from kpgate.domain.plan import NO_PLAN, Plan
from kpgate.services.plans import month_of
from tests.app.test_bank import Node

MONTHLY = Plan(0, "monthly", "subscription", grant=700)
LINE = Plan(0, "line", "credit_line", line=50)


def us(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp()) * 1_000_000  # type: ignore[misc,arg-type]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path)
    yield made
    made.leave()


class Told(list[tuple[str, dict[str, Any]]]):
    def __call__(self, event: str, **fields: Any) -> None:
        self.append((event, fields))


def keep(node: Node, at_us: int, *, changed: bool = False) -> Told:
    """As the clerk does it, until nothing is left."""
    said, plans = Told(), node.bank.plans
    plans._tools = msgspec.structs.replace(plans._tools, time_us=lambda: at_us)
    plans._say = said
    if changed:
        plans.changed()
    for _ in range(100):
        plans.keep()
        if plans._after is None:
            return said
    raise AssertionError("it comes to an end")


def give(node: Node, party: str, plan: Plan) -> None:
    with node.store.transaction():
        node.store.set_party(party, None, plan=node.store.set_plan(plan) if plan.name else plan)


def balance(node: Node, party: str = "acme") -> dict[str, Any]:
    return node.bank.answer(ShowBalance(id=new_id(), party=party))


def grants(node: Node, party: str = "acme") -> list[int]:
    rows = node.bank.answer(ShowStatement(id=new_id(), party=party))["rows"]
    return [row["amount"] for row in rows if row["kind"] == "grant"]


def test_months_are_those_of_utc():
    assert month_of(us(2031, 1, 31, 23, 59, 59)) == ("203101", us(2031, 2, 1))
    assert month_of(us(2031, 12, 1)) == ("203112", us(2032, 1, 1))
    assert month_of(us(2032, 2, 29)) == ("203202", us(2032, 3, 1))


def test_each_month_is_granted_once(node: Node):
    first, second = us(2031, 3, 31, 23), us(2031, 4, 1)
    give(node, "acme", MONTHLY)
    for at_us in (first, first, first + 1):
        keep(node, at_us, changed=True)
    assert grants(node) == [700]
    assert balance(node)["expiring"] == [{"amount_microkpt": 700, "expires_us": second}]
    keep(node, second)
    assert grants(node) == [700, 700]
    keep(node, first, changed=True)
    assert grants(node) == [700, 700], "a clock that was set back grants nothing"


def test_a_killed_clerk_grants_nothing_twice_and_the_next_one_what_is_due(node: Node):
    at_us = us(2031, 3, 5)
    give(node, "acme", MONTHLY)
    keep(node, at_us)
    node.leave()
    node.begin()
    keep(node, at_us)
    assert grants(node) == [700]
    give(node, "other", MONTHLY)
    node.leave()
    node.begin()
    keep(node, at_us)
    assert (grants(node), grants(node, "other")) == ([700], [700])


def test_whoever_changes_within_a_month_has_had_that_month(node: Node):
    give(node, "acme", MONTHLY)
    keep(node, us(2031, 3, 5))
    give(node, "acme", Plan(0, "large", "subscription", grant=9_000))
    keep(node, us(2031, 3, 6), changed=True)
    assert grants(node) == [700]
    keep(node, us(2031, 4, 6))
    assert grants(node) == [9_000, 700]
    give(node, "acme", NO_PLAN)
    keep(node, us(2031, 5, 6))
    assert grants(node) == [9_000, 700]


def test_a_line_is_drawn_and_taken_back_with_the_plan(node: Node):
    at_us = us(2031, 3, 5)
    give(node, "acme", LINE)
    keep(node, at_us)
    assert balance(node)["credit_line_microkpt"] == 50
    give(node, "acme", msgspec.structs.replace(LINE, line=80))
    keep(node, at_us, changed=True)
    assert balance(node)["credit_line_microkpt"] == 80
    give(node, "acme", MONTHLY)
    keep(node, at_us, changed=True)
    assert balance(node)["credit_line_microkpt"] == 0


def test_a_refused_grant_is_said_and_holds_up_nobody(node: Node):
    at_us = us(2031, 3, 5)
    for day in range(1, LOTS + 1):
        grant = Movement(kind="grant", party="full", amount=1, expires_us=us(2040, 1, day))
        node.bank.answer(Transfer(id=new_id(), movements=(grant,)))
    give(node, "full", MONTHLY)
    give(node, "acme", MONTHLY)
    said = keep(node, at_us)
    assert [(event, fields["party"], fields["code"]) for event, fields in said] == [
        ("grant_refused", "full", "conflict")
    ]
    assert grants(node) == [700] and grants(node, "full") == [1] * LOTS
    assert not keep(node, at_us, changed=True)


def test_many_subscribers_are_all_granted(node: Node):
    with node.store.transaction():
        plan = node.store.set_plan(MONTHLY)
        for number in range(250):
            node.store.set_party(f"party-{number}", None, plan=plan)
    keep(node, us(2031, 3, 5))
    assert all(balance(node, f"party-{number}")["balance_microkpt"] == 700 for number in range(250))


def test_a_party_that_joins_waits_for_nobody(node: Node):
    with node.store.transaction():
        plan = node.store.set_plan(MONTHLY)
        for number in range(50):
            node.store.set_party(f"party-{number}", None, plan=plan)
    node.bank.plans.join("party-49")
    assert grants(node, "party-49") == [700] and not grants(node, "party-0")


def test_a_line_that_cannot_be_drawn_is_said_and_drawn_when_it_can_be(node: Node):
    at_us = us(2031, 3, 5)
    give(node, "acme", LINE)
    plans = node.bank.plans

    def refuse(operation: Any) -> Any:
        raise Conflict("there is no room for more accounts")

    keeping = plans._tools
    plans._tools = msgspec.structs.replace(keeping, answer=refuse)
    assert [event for event, _ in keep(node, at_us)] == ["line_refused"]
    assert keep(node, at_us) == [], "it is said once a pass"
    plans._tools = keeping
    assert keep(node, at_us, changed=True) == []
    assert balance(node)["credit_line_microkpt"] == 50
