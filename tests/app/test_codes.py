"""A redemption code is worth its amount once, to one party, whatever happens in between."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate.app.control import new_id
from kpgate.domain.code import CreateCodes, ListCodes, RedeemCode, RevokeCode, mint, read_code
from kpgate.domain.errors import (
    Conflict,
    IdReused,
    InvalidCode,
    InvalidRequest,
    NotFound,
    RateLimited,
    StoreUnavailable,
)
from kpgate.domain.ledger import LOTS
from kpgate.domain.management import Asked, build, decode, encode
from kpgate.domain.money import Movement, ShowBalance, Transfer
from tests.app.test_bank import Node

DAY_US = 86_400_000_000


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path)
    yield made
    made.leave()


def create(node: Node, **more: Any) -> list[dict[str, str]]:
    fields = {"id": new_id(), "amount": 700} | more
    codes: list[dict[str, str]] = node.bank.answer(build(CreateCodes, fields))["codes"]
    return codes


def redeem(node: Node, code: str, party: str = "acme") -> dict[str, Any]:
    return node.bank.answer(build(RedeemCode, {"id": new_id(), "code": code, "party": party}))


def balance(node: Node, party: str = "acme") -> int:
    return int(node.bank.answer(ShowBalance(id=new_id(), party=party))["balance_microkpt"])


def states(node: Node) -> list[str]:
    return [one["state"] for one in node.bank.answer(ListCodes(id=new_id()))["codes"]]


@given(st.binary(min_size=32, max_size=64), st.integers(0, 999))
def test_a_code_is_read_however_it_was_typed_and_not_with_a_wrong_letter(random: bytes, place: int):
    _, letters, code = mint(random, place)
    secret = read_code(code)
    assert secret == letters and len(secret) == 24
    typed = code.lower().replace("0", "o").replace("1", "l").replace("-", " ")
    assert read_code(f"  {typed} ") == secret
    at = place % 24
    other = "Z" if secret[at] != "Z" else "Y"
    wrong = secret[:at] + other + secret[at + 1 :] + code[-1]
    assert read_code(wrong) != secret
    assert read_code(code[:-1]) is None and read_code(code + "0") is None and read_code("") is None


def test_a_code_credits_one_party_once(node: Node):
    (made,) = create(node, memo="spring")
    answer = redeem(node, made["code"])
    assert answer == redeem(node, made["code"]) and answer["code"] == made["id"]
    assert balance(node) == 700
    with pytest.raises(InvalidCode):
        redeem(node, made["code"], "other")
    shown = node.bank.answer(ListCodes(id=new_id()))["codes"][0]
    assert (shown["state"], shown["redeemed_by"], shown["memo"]) == ("redeemed", "acme", "spring")
    assert shown["redeemed_at"] is not None
    with pytest.raises(Conflict, match="redeemed"):
        node.bank.answer(RevokeCode(id=new_id(), code=made["id"]))


def test_a_killed_clerk_redeems_nothing_twice(node: Node):
    (made,) = create(node)
    redeem(node, made["code"])
    node.leave()
    node.begin()
    assert redeem(node, made["code"])["amount_microkpt"] == 700 and balance(node) == 700
    with pytest.raises(InvalidCode):
        redeem(node, made["code"], "other")


def test_what_was_decided_and_not_posted_is_known_to_whoever_asks_again(node: Node):
    (made,) = create(node)
    books = node.bank.treasury._books

    class Stuck:
        """Posts what was decided before, and not what comes now."""

        asked = 0

        def post_all(self) -> None:
            self.asked += 1
            if self.asked > 1:
                raise StoreUnavailable("another process writes")

    node.bank.treasury._books = Stuck()
    with pytest.raises(StoreUnavailable):
        redeem(node, made["code"])
    node.bank.treasury._books = books
    with pytest.raises(InvalidCode):
        redeem(node, made["code"], "other")
    assert redeem(node, made["code"])["amount_microkpt"] == 700 and balance(node) == 700


def test_a_batch_asked_for_twice_is_made_once(node: Node):
    asked = {"id": "batch-0001", "count": 3}
    first = create(node, **asked)
    soon_us = node.bank.codes._tools.time_us() + DAY_US
    assert create(node, **asked) == first and len({one["code"] for one in first}) == 3
    assert states(node) == ["active"] * 3
    with pytest.raises(IdReused):
        create(node, **asked, amount=5)
    lasting = create(node, id="batch-0002", expires_us=soon_us)
    assert create(node, id="batch-0002", expires_us=soon_us + 5) == lasting
    assert create(node, id="batch-0003") != lasting


def test_revoked_and_expired_codes_are_worth_nothing(node: Node):
    now_us = 2_000_000_000_000_000
    node.bank.codes._tools = _at(node, now_us)
    revoked, *_ = create(node)
    old, *_ = create(node, expires_us=now_us + DAY_US)
    stale, *_ = create(node, grant_expires_us=now_us + DAY_US)
    assert node.bank.answer(RevokeCode(id=new_id(), code=revoked["id"]))["state"] == "revoked"
    node.bank.codes._tools = _at(node, now_us + DAY_US)
    for one in (revoked, old, stale):
        with pytest.raises(InvalidCode):
            redeem(node, one["code"])
    assert states(node) == ["revoked", "expired", "expired"]
    with pytest.raises(NotFound):
        node.bank.answer(RevokeCode(id=new_id(), code="c00000000000000"))
    for field in ("expires_us", "grant_expires_us"):
        with pytest.raises(InvalidRequest, match="past"):
            create(node, **{field: now_us})


def test_a_refused_credit_leaves_the_code_as_it_was(node: Node):
    now_us = node.bank.codes._tools.time_us()
    for day in range(1, LOTS + 1):
        grant = Movement(kind="grant", party="full", amount=1, expires_us=now_us + day * DAY_US)
        node.bank.answer(Transfer(id=new_id(), movements=(grant,)))
    (made,) = create(node, grant_expires_us=now_us + 99 * DAY_US)
    for _ in range(2):
        with pytest.raises(Conflict, match="grants"):
            redeem(node, made["code"], "full")
    assert states(node) == ["active"]
    assert redeem(node, made["code"])["party"] == "acme" and balance(node) == 700
    with pytest.raises(InvalidCode):
        redeem(node, made["code"], "full")


def test_ids_that_begin_as_the_gateway_s_own_are_nobody_else_s(node: Node):
    (made,) = create(node)
    movement = Movement(kind="top_up", party="thief", amount=1)
    for taken in (f"code:{made['id']}:0", "plan:1:203104", "plan-line:0123456789abcdef"):
        with pytest.raises(InvalidRequest, match="gateway's own"):
            node.bank.answer(Transfer(id=taken, movements=(movement,)))
        with pytest.raises(InvalidRequest, match="gateway's own"):
            create(node, id=taken)
    assert redeem(node, made["code"])["amount_microkpt"] == 700


def test_guessing_is_slowed_for_the_party_that_guesses(node: Node):
    (made,) = create(node)
    for guess in range(10):
        with pytest.raises(InvalidCode):
            redeem(node, mint(bytes([guess]) * 32, 0)[2] if guess % 2 else "none")
    with pytest.raises(RateLimited) as caught:
        redeem(node, made["code"])
    assert 0 < caught.value.retry_after_us <= 60_000_000
    assert redeem(node, made["code"], "other")["amount_microkpt"] == 700


def test_no_code_is_kept_or_shown(node: Node, tmp_path: Path):
    (made,) = create(node)
    operation = build(RedeemCode, {"id": new_id(), "code": made["code"], "party": "acme"})
    assert made["code"] not in repr(operation) and decode(encode(Asked(operation))).what == operation
    redeem(node, made["code"])
    letters = read_code(made["code"])
    assert letters is not None
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert made["code"].encode() not in kept and letters.encode() not in kept


def _at(node: Node, now_us: int) -> Any:
    return msgspec.structs.replace(node.bank.codes._tools, time_us=lambda: now_us)
