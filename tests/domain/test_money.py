"""Amounts as people write them: exact, and refused by name."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate.domain.errors import InvalidRequest
from kpgate.domain.management import Asked, decode, encode
from kpgate.domain.money import Movement, Refund, ShowStatement, Transfer, read_amount, show_amount
from kpgate.domain.price import AMOUNT_MAX


@pytest.mark.parametrize(
    ("text", "amount"),
    [("12.5 KPT", 12_500_000), ("12.5", 12_500_000), ("1 kpt", 1_000_000), ("0.000001", 1),
     ("12500000 microKPT", 12_500_000), ("  3  KPT ", 3_000_000), ("1e3", 1_000_000_000), ("5.000000000", 5_000_000),
     ("9007199254.740991", AMOUNT_MAX)],
)  # fmt: skip
def test_an_amount_is_read_exactly(text: str, amount: int) -> None:
    assert read_amount(text) == amount


@pytest.mark.parametrize(
    ("text", "why"),
    [("", "such as"), ("twelve", "such as"), ("1 USD", "such as"), ("1_000", "such as"), ("nan", "such as"),
     ("inf", "such as"), ("1,5", "such as"), ("1" * 41, "such as"), ("0", "above 0"), ("-1", "above 0"),
     ("0.0000001", "smallest"),
     ("1.000000000000000000000000000000000001", "smallest"), ("1e-999999", "smallest"), ("\u0663", "such as"),
     ("0.5 microKPT", "smallest"), ("9007199254.740992", "no account can hold"),
     (f"{1 << 53} microKPT", "no account can hold"), (f"{1 << 63} microKPT", "no account can hold"),
     (f"{1 << 64} microKPT", "no account can hold"), ("1e30", "no account can hold"),
     ("1e999999", "no account can hold")],
)  # fmt: skip
def test_what_is_no_amount_is_refused_by_name(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_amount(text)


@given(st.integers(1, AMOUNT_MAX))
def test_an_amount_is_read_as_it_is_shown(amount: int) -> None:
    assert read_amount(show_amount(amount).replace(",", "")) == amount
    assert show_amount(-amount) == "-" + show_amount(amount)


@pytest.mark.parametrize("amount", [1 << 53, -(1 << 53), 1 << 63, 1 << 64, 1.5, "1", True, None])
def test_an_operation_refuses_what_is_no_amount(amount: object) -> None:
    said = {
        "op": "money.transfer",
        "id": "an-operation",
        "movements": [{"kind": "issue", "party": "a", "amount": amount}],
    }
    with pytest.raises(InvalidRequest, match="amount"):
        decode(msgspec.json.encode({"what": said}))


@pytest.mark.parametrize("before", [-1, 1 << 63, 1 << 64])
def test_an_operation_refuses_what_is_no_position(before: int) -> None:
    said = {"op": "money.statement", "id": "an-operation", "party": "a", "before": before}
    with pytest.raises(InvalidRequest, match="before"):
        decode(msgspec.json.encode({"what": said}))


def test_operations_come_back_from_the_wire_as_they_were() -> None:
    movement = Movement(kind="grant", party="acme", amount=5, memo="welcome", expires_us=9)
    for operation in (
        Transfer(id="an-operation", movements=(movement,)),
        Refund(id="an-operation", call="kp1-0000000000000001"),
        ShowStatement(id="an-operation", party="acme", before=(1 << 63) - 1),
    ):
        assert decode(encode(Asked(operation))).what == operation
