"""Operations on money: once an id, all or none, refused by name, and never below a limit but by those that may."""

from collections.abc import Callable
from typing import Any

import pytest

from kpgate._fast.account import BUSY, FAILED, NO_ROOM, OVER_RANGE, Accounts
from kpgate.domain.errors import (
    Conflict,
    GatewayError,
    IdReused,
    InsufficientCredit,
    InvalidRequest,
    NotFound,
    StoreUnavailable,
)
from kpgate.domain.ledger import show_call
from kpgate.domain.money import (
    MoneyOperation,
    Movement,
    Refund,
    SetBudget,
    SetCreditLine,
    ShowAccounts,
    ShowBalance,
    ShowLog,
    ShowReceipt,
    ShowStatement,
    ShowTotals,
    Transfer,
)
from kpgate.domain.price import AMOUNT_MAX
from kpgate.services import treasury
from tests.kit.bank import Bank
from tests.kit.oracle import credit as plain
from tests.kit.vault import HOUR_US, Office


@pytest.fixture
def office() -> Office:
    return Office()


def movement(kind: Any, party: str = "acme", amount: int = 100, **more: Any) -> Movement:
    return Movement(kind=kind, party=party, amount=amount, **more)


def move(office: Office, kind: Any, party: str = "acme", amount: int = 100, **more: Any) -> dict[str, Any]:
    return office.do(Transfer, movements=(movement(kind, party, amount, **more),))


def balance(office: Office, party: str = "acme") -> int:
    found: int = office.do(ShowBalance, party=party)["balance_microkpt"]
    return found


def charged(office: Office, amount: int, party: str = "acme") -> int:
    call = office.vault.hold(office.account_of(party), amount)
    office.vault.end(call, amount)
    return call


def state(office: Office) -> object:
    return office.do(ShowAccounts), len(office.vault.entries), list(office.ledger.accounts())


# Once an id


def every(office: Office) -> list[MoneyOperation]:
    """An operation of every kind that changes something."""
    move(office, "issue", amount=1000)
    call = charged(office, 100)
    kinds = ("issue", "top_up", "grant", "reward", "adjust", "clawback")
    return [
        *(Transfer(id=f"each-{kind}", movements=(movement(kind, amount=5),)) for kind in kinds),
        Transfer(id="each-transfer", movements=(movement("transfer", to="other", amount=5),)),
        Transfer(id="each-payout", movements=(movement("payout", "writer", 5),)),
        Refund(id="each-refund", call=show_call(call), amount=7),
        SetCreditLine(id="each-line", party="acme", line=50),
        SetBudget(id="each-budget", party="acme", day=500),
    ]


def test_what_is_asked_twice_is_done_once_and_answered_the_same(office: Office) -> None:
    for operation in every(office):
        first = office.answer(operation)
        before = state(office)
        assert office.answer(operation) == first
        assert state(office) == before, operation


def test_an_id_is_of_one_operation(office: Office) -> None:
    for operation in every(office):
        office.answer(operation)
        other = Transfer(id=operation.id, movements=(movement("issue", amount=6),))
        before = state(office)
        with pytest.raises(IdReused) as raised:
            office.answer(other)
        assert raised.value.code == "id_reused" and raised.value.status == 409
        assert state(office) == before


def test_what_was_refused_stays_refused_the_same(office: Office) -> None:
    refused = Transfer(id="too-much", movements=(movement("transfer", to="other"),))
    with pytest.raises(InsufficientCredit) as first:
        office.answer(refused)
    move(office, "issue", amount=1000)
    before = state(office)
    with pytest.raises(InsufficientCredit) as second:
        office.answer(refused)
    assert vars(second.value) == vars(first.value) and state(office) == before
    with pytest.raises(IdReused):
        office.answer(Transfer(id="too-much", movements=(movement("issue"),)))


def test_a_refusal_names_the_same_when_it_is_asked_for_again(office: Office) -> None:
    refused = Transfer(id="of-nothing", movements=(movement("issue", amount=0),))
    said = []
    for _ in range(2):
        with pytest.raises(InvalidRequest) as raised:
            office.answer(refused)
        said.append(vars(raised.value))
    assert said[0] == said[1] and said[0]["param"] == "amount"


@pytest.mark.parametrize("code", [BUSY, NO_ROOM, FAILED])
def test_what_was_not_kept_may_be_asked_again(office: Office, code: int) -> None:
    operation = Transfer(id="an-operation", movements=(movement("issue"),))
    office.vault.refusing = code
    for _ in range(2):
        with pytest.raises(StoreUnavailable) as raised:
            office.answer(operation)
        assert raised.value.retry_after_us
    office.vault.refusing = 0
    office.answer(operation)
    assert balance(office) == 100


def test_what_was_decided_and_not_yet_synced_is_done_once(office: Office) -> None:
    operation = Transfer(id="an-operation", movements=(movement("issue"),))
    decide = office.vault.transfer

    def fail_after(*said: Any) -> tuple[int, int]:
        answer = decide(*said)
        office.failing = True
        return answer

    office.treasury._vault = office.vault
    office.vault.transfer = fail_after  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        office.answer(operation)
    office.vault.transfer = decide  # type: ignore[method-assign]
    office.failing = False
    assert office.answer(operation)["lsn"] == office.vault.entries[-1][0]
    assert balance(office) == 100


def test_a_line_or_a_budget_that_is_kept_and_not_in_force_is_set_when_asked_again(office: Office) -> None:
    for operation in (
        SetCreditLine(id="a-line-op", party="acme", line=50),
        SetBudget(id="a-budget-op", party="acme", day=9),
    ):
        office.vault.refusing = BUSY
        with pytest.raises(StoreUnavailable):
            office.answer(operation)
        office.vault.refusing = 0
        assert office.answer(operation)["done"]


# Transfers


@pytest.mark.parametrize("kind", ["issue", "top_up", "grant", "reward", "adjust"])
def test_what_gives_credit_is_issued(office: Office, kind: str) -> None:
    move(office, kind, memo="why")
    accounts = office.do(ShowAccounts)["accounts"]
    assert accounts["spend:acme"] == 100 == -accounts["house:issued"] and sum(accounts.values()) == 0
    (row,) = office.do(ShowStatement, party="acme")["rows"]
    assert (row["kind"], row["amount"], row["memo"], row["part"]) == (kind, 100, "why", 0)


def test_a_transfer_takes_what_is_free(office: Office) -> None:
    move(office, "issue")
    office.vault.hold(office.account_of("acme"), 60)
    with pytest.raises(InsufficientCredit, match="hold the rest"):
        move(office, "transfer", to="other", amount=41)
    with pytest.raises(InsufficientCredit, match=r"not so much$"):
        move(office, "transfer", to="other", amount=101)
    move(office, "transfer", to="other", amount=40)
    assert (balance(office), balance(office, "other")) == (60, 40)


def test_linked_transfers_are_made_together_or_not_at_all(office: Office) -> None:
    move(office, "issue")
    both = [movement("transfer", to="other", amount=70), movement("transfer", "other", 71, to="third")]
    before = state(office)
    with pytest.raises(InsufficientCredit):
        office.do(Transfer, movements=tuple(both))
    assert [balance(office, party) for party in ("acme", "other", "third")] == [100, 0, 0]
    assert len(office.vault.entries) == before[1]  # type: ignore[index]
    both[1] = movement("transfer", "other", 70, to="third", memo="on")
    answer = office.do(Transfer, movements=tuple(both))
    assert [balance(office, party) for party in ("acme", "other", "third")] == [30, 0, 70]
    rows = office.do(ShowStatement, party="other")["rows"]
    assert [(row["lsn"], row["part"], row["memo"]) for row in rows] == [
        (answer["lsn"], 0, ""),
        (answer["lsn"], 1, "on"),
    ]


@pytest.mark.parametrize(("kind", "amount"), [("clawback", 150), ("adjust", -150)])
def test_clawback_and_adjust_may_go_below_and_then_nothing_is_free(
    office: Office, kind: str, amount: int
) -> None:
    move(office, "issue")
    move(office, kind, amount=amount)
    shown = office.do(ShowBalance, party="acme")
    assert (shown["balance_microkpt"], shown["free_microkpt"]) == (-50, -50)
    assert not office.vault.hold(office.account_of("acme"), 1)
    with pytest.raises(InsufficientCredit):
        move(office, "transfer", to="other", amount=1)


@pytest.mark.parametrize("kind", ["clawback", "adjust"])
def test_what_may_go_below_takes_no_transfer_with_it(office: Office, kind: str) -> None:
    linked = (movement(kind, "third", 1), movement("transfer", to="other", amount=1_000))
    with pytest.raises(InvalidRequest, match="together"):
        office.do(Transfer, movements=linked)
    assert office.vault.entries == []


def test_a_party_is_paid_what_it_earned_and_no_more(office: Office) -> None:
    move(office, "issue", amount=1000)
    charged(office, 300)
    earned = office.do(ShowBalance, party="writer")["earned_microkpt"]
    assert earned == 300 * 3_333 // 10_000
    for amounts in ((earned + 1,), (earned, 1), (earned - 1, 2)):
        with pytest.raises(InsufficientCredit, match="earned"):
            office.do(Transfer, movements=tuple(movement("payout", "writer", one) for one in amounts))
    move(office, "payout", "writer", earned - 1)
    assert office.do(ShowBalance, party="writer")["earned_microkpt"] == 1
    (newest, *_) = office.do(ShowStatement, party="writer", account="earn")["rows"]
    assert (newest["kind"], newest["amount"]) == ("payout", -(earned - 1))
    with pytest.raises(InsufficientCredit):
        move(office, "payout", "a-stranger", 1)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"kind": "issue", "amount": 0}, "amount"),
        ({"kind": "issue", "amount": -1}, "amount"),
        ({"kind": "clawback", "amount": -1}, "amount"),
        ({"kind": "adjust", "amount": 0}, "amount"),
        ({"kind": "transfer", "amount": -1, "to": "other"}, "amount"),
        ({"kind": "payout", "amount": 0}, "amount"),
        ({"kind": "transfer"}, "to"),
        ({"kind": "transfer", "to": "acme"}, "to"),
        ({"kind": "transfer", "to": "other\n"}, "party"),
        ({"kind": "transfer", "to": " other"}, "party"),
        ({"kind": "issue", "to": "other"}, "to"),
        ({"kind": "issue", "party": "a\x00b"}, "party"),
        ({"kind": "issue", "party": " "}, "party"),
        ({"kind": "clawback", "expires_us": 1 << 55}, "expires"),
        ({"kind": "transfer", "to": "other", "expires_us": 1 << 55}, "expires"),
        ({"kind": "grant", "expires_us": 1}, "expires"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(office: Office, said: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        move(office, **said)
    assert raised.value.param == why and why in raised.value.message
    assert office.vault.entries == []


def test_no_account_holds_more_than_it_can(office: Office) -> None:
    move(office, "issue", amount=AMOUNT_MAX)
    with pytest.raises(InvalidRequest, match="more than an account"):
        move(office, "issue", amount=1)
    office.do(SetCreditLine, party="other", line=AMOUNT_MAX)
    with pytest.raises(InvalidRequest, match="more than an account"):
        move(office, "transfer", "other", AMOUNT_MAX, to="acme")
    assert balance(office) == AMOUNT_MAX


def test_the_house_issues_no_more_than_its_account_can_say() -> None:
    """An entry that the store cannot take would stop it for good: it is refused before there is one."""
    office = Office(accounts_max=5000)
    for i in range(64):
        said = tuple(movement("issue", f"party-{i}-{j}", AMOUNT_MAX) for j in range(8))
        office.do(Transfer, movements=said)
    with pytest.raises(InvalidRequest, match="have issued"):
        office.do(Transfer, movements=said)
    with pytest.raises(InvalidRequest, match="have issued"):
        move(office, "issue", amount=1 << 30)
    move(office, "clawback", "party-0-0", amount=1 << 30)
    move(office, "issue", amount=1 << 30)
    accounts = office.do(ShowAccounts)["accounts"]
    assert sum(accounts.values()) == 0 and -accounts["house:issued"] <= treasury.ISSUED_MAX


def test_more_than_an_entry_can_say_is_refused_by_name(office: Office) -> None:
    move(office, "issue", amount=1000)
    linked = tuple(movement("transfer", to=f"other-{i}", amount=1) for i in range(treasury.LEGS_MAX // 2 + 1))
    with pytest.raises(InvalidRequest, match="too many"):
        office.do(Transfer, movements=linked)
    said = tuple(movement("issue", memo="\U0001f4b0" * 200, amount=1) for _ in range(8))
    with pytest.raises(InvalidRequest, match="too long"):
        office.do(Transfer, movements=said)
    assert balance(office) == 1000


def test_what_is_refused_by_the_bounds_is_what_the_region_refuses(tmp_path: Any) -> None:
    """The bounds stand here a second time: an entry of just that much is taken."""
    accounts: Accounts = Bank(tmp_path).clerk.accounts
    legs = tuple((1, plain.PLAIN, 1, 0) for _ in range(treasury.LEGS_MAX))
    assert accounts.transfer(0, legs, False, bytes(treasury.NOTE_BYTES_MAX))[0] == 0
    for more in ((*legs, legs[0]), bytes(1)), (legs, bytes(treasury.NOTE_BYTES_MAX + 1)):
        with pytest.raises(ValueError):
            accounts.transfer(0, more[0], False, more[1])


def test_there_are_no_more_accounts_than_the_region_has_room_for() -> None:
    office = Office(accounts_max=8)
    move(office, "issue")
    before = office.do(ShowAccounts)
    for _ in range(3):
        with pytest.raises(Conflict, match="accounts_max"):
            office.do(
                Transfer, movements=(movement("issue", "b"), movement("issue", "c"), movement("issue", "d"))
            )
    assert len(office.do(ShowAccounts)["accounts"]) <= 8 + 1 and balance(office) == 100
    assert len(before["accounts"]) == 6


# Grants that end


def test_a_grant_is_spent_first_and_what_is_left_ends(office: Office) -> None:
    ends_us = office.time_us() + HOUR_US
    move(office, "grant", amount=50, expires_us=ends_us)
    move(office, "issue", amount=100)
    charged(office, 20)
    shown = office.do(ShowBalance, party="acme")
    assert shown["expiring"] == [{"amount_microkpt": 30, "expires_us": ends_us}]
    office.treasury.expire()
    assert balance(office) == 130
    office.vault.now_us += HOUR_US
    assert office.do(ShowBalance, party="acme")["free_microkpt"] == 100
    for _ in range(2):
        office.treasury.expire()
        accounts = office.do(ShowAccounts)["accounts"]
        assert (accounts["spend:acme"], accounts["house:expired"]) == (100, 30)
    assert office.do(ShowBalance, party="acme")["expiring"] == []


def test_what_a_call_holds_of_an_ended_grant_is_taken_when_it_ends(office: Office) -> None:
    move(office, "grant", amount=50, expires_us=office.time_us() + HOUR_US)
    call = office.vault.hold(office.account_of("acme"), 40)
    office.vault.now_us += 2 * HOUR_US
    office.treasury.expire()
    assert balance(office) == 40
    office.vault.end(call, 25)
    assert balance(office) == 15
    office.treasury.expire()
    accounts = office.do(ShowAccounts)["accounts"]
    assert (accounts["spend:acme"], accounts["house:expired"]) == (0, 25) and sum(accounts.values()) == 0


def test_grants_that_end_together_share_a_place_and_five_ends_are_too_many(office: Office) -> None:
    now_us = office.time_us()
    for _ in range(2):
        for i in range(1, plain.LOTS + 1):
            move(office, "grant", amount=i, expires_us=now_us + i * HOUR_US)
    shown = office.do(ShowBalance, party="acme")["expiring"]
    assert [lot["amount_microkpt"] for lot in shown] == [2, 4, 6, 8]
    with pytest.raises(Conflict, match="at most 4"):
        move(office, "grant", expires_us=now_us + 5 * HOUR_US)
    office.vault.now_us += HOUR_US
    office.treasury.expire()
    office.post_all()
    move(office, "grant", amount=9, expires_us=now_us + 5 * HOUR_US)
    assert balance(office) == 4 + 6 + 8 + 9


def test_grants_of_one_operation_take_a_place_each(office: Office) -> None:
    now_us = office.time_us()
    ends = [now_us + i * HOUR_US for i in (1, 2, 1, 3, 4)]
    office.do(Transfer, movements=tuple(movement("grant", amount=10, expires_us=end_us) for end_us in ends))
    shown = office.do(ShowBalance, party="acme")["expiring"]
    assert sorted((lot["expires_us"], lot["amount_microkpt"]) for lot in shown) == [
        (ends[0], 20), (ends[1], 10), (ends[3], 10), (ends[4], 10)
    ]  # fmt: skip
    with pytest.raises(Conflict, match="at most 4"):
        office.do(
            Transfer,
            movements=tuple(
                movement("grant", "new", 1, expires_us=now_us + i * HOUR_US) for i in range(1, 6)
            ),
        )
    assert office.ledger.balance("spend:new") == 0


# What is taken back


@pytest.mark.parametrize("kind", ["clawback", "adjust"])
def test_a_grant_that_was_taken_back_is_not_taken_again_when_it_ends(office: Office, kind: str) -> None:
    move(office, "grant", expires_us=office.time_us() + HOUR_US)
    move(office, kind, amount=100 if kind == "clawback" else -100)
    assert office.do(ShowBalance, party="acme")["expiring"] == []
    office.vault.now_us += 2 * HOUR_US
    office.treasury.expire()
    assert balance(office) == 0
    move(office, "top_up")
    assert charged(office, 100) and balance(office) == 0


def lots(office: Office) -> list[int]:
    shown = office.do(ShowBalance, party="acme")["expiring"]
    return [lot["amount_microkpt"] for lot in sorted(shown, key=lambda lot: lot["expires_us"])]


def test_what_ends_first_is_taken_back_first_and_then_it_is_owed(office: Office) -> None:
    for hours in (3, 1, 2):
        move(office, "grant", amount=10 * hours, expires_us=office.time_us() + hours * HOUR_US)
    move(office, "issue", amount=5)
    for amount, left, held in ((7, [3, 20, 30], 58), (13, [10, 30], 45), (41, [], 4), (9, [], -5)):
        move(office, "clawback", amount=amount)
        assert (lots(office), balance(office)) == (left, held)


def test_what_an_operation_gave_is_taken_back_first_where_it_is_named(office: Office) -> None:
    ends = [office.time_us() + hours * HOUR_US for hours in (1, 2)]
    for name, end_us in (("soon", ends[0]), ("late", ends[1]), ("plain", 0), ("code:letters:0", ends[1])):
        given = movement("grant", amount=50, expires_us=end_us)
        office.answer(Transfer(id=name.ljust(8, "-"), movements=(given,)))
    move(office, "clawback", amount=60, reverses="late----")
    assert lots(office) == [50, 40]
    move(office, "clawback", amount=20, reverses="plain---")
    assert (lots(office), balance(office)) == ([50, 40], 120)
    move(office, "clawback", amount=10, reverses="code:letters")
    assert lots(office) == [50, 30]
    move(office, "clawback", amount=40, reverses="late----")
    assert (lots(office), balance(office)) == ([40], 70)
    for known, who in (("never-asked", "acme"), ("late----", "other"), ("code:lett", "acme")):
        with pytest.raises(NotFound, match="gave the party credit"):
            move(office, "clawback", who, reverses=known)
    with pytest.raises(InvalidRequest, match="takes nothing back"):
        move(office, "grant", reverses="late----")


def test_a_payment_that_is_taken_back_takes_what_never_ends_first(office: Office) -> None:
    move(office, "grant", amount=30, expires_us=office.time_us() + HOUR_US)
    move(office, "top_up", amount=20)
    for number, left, held in ((1, [30], 38), (2, [26], 26)):
        taken = movement("clawback", amount=12)
        office.answer(Transfer(id=f"topup:shop:clawback:{number}", movements=(taken,)))
        assert (lots(office), balance(office)) == (left, held)


def test_what_calls_hold_of_a_grant_is_taken_back_as_well_and_they_are_charged_once(office: Office) -> None:
    move(office, "grant", expires_us=office.time_us() + HOUR_US)
    first, second = (office.vault.hold(office.account_of("acme"), 60 - 20 * i) for i in range(2))
    move(office, "clawback", amount=70)
    assert (lots(office), balance(office)) == ([30], 30)
    assert office.do(ShowBalance, party="acme")["free_microkpt"] == -70
    move(office, "issue", amount=60)
    with pytest.raises(InsufficientCredit, match="calls under way"):
        move(office, "transfer", to="other", amount=1)
    office.vault.end(first, 50)
    assert (lots(office), balance(office)) == ([], 40)
    ends = [office.time_us() + i * HOUR_US for i in range(2, 6)]
    for end_us in ends[:3]:
        move(office, "grant", amount=1, expires_us=end_us)
    with pytest.raises(Conflict, match="at most 4"):
        # The place is a call's still.
        move(office, "grant", amount=1, expires_us=ends[3])
    office.vault.now_us += HOUR_US
    office.treasury.expire()
    office.vault.end(second, 40)
    assert balance(office) == 3
    office.restart()
    assert balance(office) == 3


def test_what_was_lost_is_charged_to_what_is_left_of_a_grant(office: Office) -> None:
    move(office, "grant", expires_us=office.time_us() + HOUR_US)
    for amount in (60, 40):
        office.vault.record_meter(office.vault.hold(office.account_of("acme"), amount), amount)
    move(office, "clawback", amount=70)
    office.restart()
    assert (lots(office), balance(office)) == ([], -70)
    office.vault.now_us += HOUR_US
    office.treasury.expire()
    assert balance(office) == -70


# Refunds


def test_a_refund_goes_back_to_the_grants_that_the_call_was_paid_from(office: Office) -> None:
    for hours in (1, 2):
        move(office, "grant", amount=30, expires_us=office.time_us() + hours * HOUR_US)
    move(office, "issue", amount=50)
    call = show_call(charged(office, 90))
    assert (lots(office), balance(office)) == ([], 20)
    # What was spent last comes back first.
    for amount, left, held in ((20, [], 40), (15, [5], 55), (40, [15, 30], 95)):
        answer = office.do(Refund, call=call, amount=amount)
        assert (answer["refunded_microkpt"], answer["restored_microkpt"]) == (amount, amount)
        assert (lots(office), balance(office)) == (left, held)
    office.vault.now_us += 2 * HOUR_US
    office.treasury.expire()
    assert balance(office) == 50


def test_what_was_paid_from_a_grant_that_has_ended_is_given_back_to_nobody(office: Office) -> None:
    move(office, "grant", amount=60, expires_us=office.time_us() + HOUR_US)
    move(office, "issue", amount=50)
    call = show_call(charged(office, 100))
    office.vault.now_us += 2 * HOUR_US
    refund = Refund(id="a-refund", call=call, amount=70)
    first = office.answer(refund)
    assert (first["refunded_microkpt"], first["restored_microkpt"]) == (70, 40)
    assert balance(office) == 50 and office.answer(refund) == first
    rows = office.do(ShowStatement, party="acme")["rows"]
    assert [(row["kind"], row["amount"], show_call(row["call"])) for row in rows[:2]] == [
        ("refund", 70, call), ("expire", -30, call)
    ]  # fmt: skip
    answer = office.do(Refund, call=call)
    assert (answer["refunded_microkpt"], answer["restored_microkpt"]) == (30, 0)
    assert balance(office) == 50
    with pytest.raises(Conflict, match="0 microKPT are left"):
        office.do(Refund, call=call)


def test_a_refund_with_no_place_for_its_grant_goes_to_the_one_that_ends_next(office: Office) -> None:
    now_us = office.time_us()
    for hours in (2, 9):
        move(office, "grant", amount=10, expires_us=now_us + hours * HOUR_US)
    call = show_call(charged(office, 20))
    for hours in (1, 4, 3, 5):
        move(office, "grant", amount=hours, expires_us=now_us + hours * HOUR_US)
    assert office.do(Refund, call=call)["restored_microkpt"] == 20
    assert (lots(office), balance(office)) == ([1, 13, 4, 5], 33)


def test_a_refund_gives_back_at_most_what_was_charged(office: Office) -> None:
    move(office, "issue")
    call = show_call(charged(office, 60))
    assert balance(office) == 40
    with pytest.raises(Conflict, match="60 microKPT are left"):
        office.do(Refund, call=call, amount=61)
    office.do(Refund, call=call, amount=25)
    with pytest.raises(Conflict, match="35 microKPT are left"):
        office.do(Refund, call=call, amount=36)
    office.do(Refund, call=call)
    assert balance(office) == 100
    with pytest.raises(Conflict, match="0 microKPT are left"):
        office.do(Refund, call=call)
    (newest, *_) = office.do(ShowStatement, party="acme")["rows"]
    assert (newest["kind"], newest["amount"], show_call(newest["call"])) == ("refund", 35, call)


def test_what_was_not_charged_is_not_refunded(office: Office) -> None:
    move(office, "issue")
    void = office.vault.hold(office.account_of("acme"), 60)
    office.vault.end(void, -1)
    open_still = office.vault.hold(office.account_of("acme"), 60)
    for call in (void, open_still, 1 << 60):
        with pytest.raises(NotFound):
            office.do(Refund, call=show_call(call))
    for text in ("", "60", "kp1-ffffffffffffffff"):
        with pytest.raises(InvalidRequest, match="hexadecimal"):
            office.do(Refund, call=text)


# Lines and budgets


def test_a_credit_line_is_how_far_a_balance_goes_below_0(office: Office) -> None:
    office.do(SetCreditLine, party="acme", line=50)
    acme = office.account_of("acme")
    assert office.do(ShowBalance, party="acme")["credit_line_microkpt"] == 50
    assert not office.vault.hold(acme, 51) and office.vault.hold(acme, 50)
    office.do(SetCreditLine, party="acme", line=0)
    assert office.do(ShowBalance, party="acme")["free_microkpt"] == -50
    assert list(office.ledger.accounts()) == []


@pytest.mark.parametrize(("before", "after"), [(50, 0), (50, 20), (0, 50), (20, 50)])
def test_a_line_that_is_half_set_gives_nobody_more_than_was_kept(
    office: Office, before: int, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.do(SetCreditLine, party="acme", line=before)
    acme = office.account_of("acme")
    operation = SetCreditLine(id="half-set", party="acme", line=after)
    for broken in (office.vault, office.ledger):
        with monkeypatch.context() as patch:
            patch.setattr(broken, "set_floor", fail)
            with pytest.raises(StoreUnavailable):
                office.answer(operation)
        kept = {row.number: row.floor for row in office.ledger.accounts()}.get(acme, 0)
        state = office.vault.account(0, acme)
        assert state is not None and state.floor >= kept
        if kept:
            # What a clerk does that finds the region standing.
            office.vault.set_floor(acme, kept)
    office.answer(operation)
    assert office.do(ShowBalance, party="acme")["credit_line_microkpt"] == after


def fail(number: int, floor: int) -> int:
    raise StoreUnavailable("the store does not answer")


def test_a_budget_is_a_partys_or_a_keys(office: Office) -> None:
    for said in ({}, {"party": "acme", "key": "k"}):
        with pytest.raises(InvalidRequest, match="name one"):
            office.do(SetBudget, **said)
    with pytest.raises(NotFound):
        office.do(SetBudget, key="nobody", day=1)
    office.do(SetBudget, party="acme", day=10, total=30)
    office.do(SetBudget, party="acme", day=20)
    (row,) = office.ledger.budgets()
    assert row.caps == (20, 0, 0) and office.vault.oracle.books.budget(row.number).caps == (20, 0, 0)
    assert office.published


def test_a_change_is_told_before_it_is_answered(office: Office) -> None:
    told: list[bool] = []
    office.treasury._publish = lambda: not told.append(True) and False  # type: ignore[func-returns-value]
    with pytest.raises(StoreUnavailable, match="not yet in force"):
        move(office, "issue")
    assert told and office.vault.entries == []


# Questions


@pytest.mark.parametrize("kind", [ShowBalance, ShowStatement, ShowTotals])
def test_a_party_that_is_not_there_has_nothing_to_show(office: Office, kind: Callable[..., Any]) -> None:
    with pytest.raises(NotFound):
        office.do(kind, party="nobody")


def test_totals_are_the_balance(office: Office) -> None:
    move(office, "issue", amount=1000)
    move(office, "clawback", amount=10)
    charged(office, 300)
    shown = office.do(ShowTotals, party="acme")
    assert shown["spend"] == {"issue": 1000, "clawback": -10, "share": -99, "charge": -201}
    assert sum(shown["spend"].values()) == balance(office)
    assert office.do(ShowTotals, party="writer") == {"party": "writer", "spend": {}, "earn": {"share": 99}}


def test_pages_of_a_statement_follow_each_other(office: Office) -> None:
    for i in range(5):
        move(office, "issue", amount=i + 1)
    seen, before = [], 0
    while before is not None:
        page = office.do(ShowStatement, party="acme", before=before, count=2)
        seen += [row["amount"] for row in page["rows"]]
        before = page["before"]
    assert seen == [5, 4, 3, 2, 1]


def test_what_there_is_no_receipt_or_head_of_is_not_found(office: Office) -> None:
    for kind, said in (
        (ShowReceipt, {"call": "kp1-ffffffffffffffff"}),
        (ShowReceipt, {"call": "x"}),
        (ShowLog, {"size": 5}),
    ):
        with pytest.raises(GatewayError) as raised:
            office.do(kind, **said)
        assert isinstance(raised.value, NotFound)


def test_the_codes_are_the_regions() -> None:
    assert (plain.NO_CREDIT, plain.TIED, plain.OVER_RANGE) == (1, 2, OVER_RANGE)
