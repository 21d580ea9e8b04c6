"""Payments by webhook, over a whole gateway: replayed, forged, reordered, killed in between, and configured wrongly."""

import http.client
import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import time
from typing import Any

import pytest

from kpgate.app.config import load
from kpgate.app.control import new_id
from kpgate.domain.audit import ListAudit
from kpgate.domain.webhook import sign
from tests.kit.gateway_process import TRANSPORTS, until
from tests.kit.whole import Whole, pid_of

SECRET = "a secret that a shop signs with"
OLD = "and the one that it signed with before"
WELL = 'name = "shop"\nsecret = "env:SHOP_SECRET"'
SETTINGS = """
[ledger]
enabled = true
[[top_ups]]
name = "shop"
secret = "env:SHOP_SECRET"
old_secret = "env:SHOP_SECRET_OLD"
"""


class Shop(Whole):
    """A gateway, and a payment system that tells it of payments."""

    def tell(
        self, payment: Any, *, secret: str = SECRET, source: str = "shop", **more: str
    ) -> tuple[int, Any]:
        body = payment if isinstance(payment, bytes) else json.dumps(payment).encode()
        sent_s = int(time())
        headers = {
            "webhook-id": more.get("message", "msg_1"),
            "webhook-timestamp": str(sent_s),
            "webhook-signature": sign(secret.encode(), more.get("message", "msg_1").encode(), sent_s, body),
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("POST", f"/kp/v1/top-ups/{source}", body, headers)
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())
        finally:
            connection.close()

    def statement(self, key: str) -> list[dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", "/kp/v1/statement", None, {"authorization": f"Bearer {key}"})
            return list(json.loads(connection.getresponse().read())["rows"])
        finally:
            connection.close()

    def worth(self, party: str) -> int:
        return int(self.balance(party)["balance_microkpt"])


@pytest.fixture(scope="module", params=TRANSPORTS)
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    os.environ["SHOP_SECRET"], os.environ["SHOP_SECRET_OLD"] = SECRET, OLD
    with Shop(
        tmp_path_factory.mktemp("shop"), SETTINGS, server="workers = 2", transport=request.param
    ) as gate:
        yield gate


def payment(kind: str, number: str, party: str, amount: int, **more: str) -> dict[str, Any]:
    return {"type": kind, "id": number, "party": party, "amount_microkpt": amount, **more}


def code(found: tuple[int, Any]) -> tuple[int, str]:
    return found[0], found[1]["error"]["code"]


def test_a_payment_counts_once_however_often_it_is_told(shop: Shop):
    shop.key("acme")
    paid = payment("top_up", "pay_1", "acme", 25_000_000)
    status, said = shop.tell(paid)
    assert status == 200 and said["done"] and shop.worth("acme") == 25_000_000
    assert shop.tell(paid) == shop.tell(paid, message="msg_2") == shop.tell(paid, secret=OLD) == (200, said)
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda _: shop.tell(payment("top_up", "pay_2", "acme", 5)), range(40)))
    assert {status for status, _ in found} == {200} and shop.worth("acme") == 25_000_005
    for other in ({"amount_microkpt": 26_000_000}, {"party": "testers"}, {"memo": "other"}):
        shop.key("testers")
        assert code(shop.tell(paid | other)) == (409, "id_reused")
    assert shop.worth("acme") == 25_000_005


def test_a_clawback_may_come_before_its_top_up(shop: Shop):
    key = shop.key("early")
    assert shop.tell(payment("clawback", "pay_9", "early", 700))[0] == 200
    assert shop.worth("early") == -700
    assert shop.chat(key, "echo")[0] == 402
    assert shop.tell(payment("top_up", "pay_9", "early", 700))[0] == 200
    assert shop.worth("early") == 0


def test_nothing_that_is_not_signed_is_done_or_written_down(shop: Shop):
    shop.key("forged")
    paid = payment("top_up", "pay_3", "forged", 10**9)
    with shop.desk() as ask:
        before = ask(ListAudit(id=new_id()))["head"]
    assert code(shop.tell(paid, secret="a secret that somebody guessed")) == (401, "invalid_signature")
    assert code(shop.tell(paid, secret="")) == (401, "invalid_signature")
    assert code(shop.tell(paid, source="other")) == (404, "not_found")
    assert code(shop.tell(b" " * 70_000)) == (413, "body_too_large")
    assert shop.post("/kp/v1/top-ups/shop", shop.key("forged"), b"{}")[0] == 401
    with shop.desk() as ask:
        assert ask(ListAudit(id=new_id()))["head"] == before
    assert shop.worth("forged") == 0


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"", ""),
        (b"{", ""),
        (b"[]", "object"),
        (payment("refund", "p", "acme", 1), "type"),
        (payment("top_up", "", "acme", 1), "id"),
        (payment("top_up", "p", "", 1), "party"),
        (payment("top_up", "p", "acme", 0), "amount_microkpt"),
        (payment("top_up", "p", "acme", -5), "amount_microkpt"),
        (payment("top_up", "p", "acme", 1 << 63), "amount_microkpt"),
        (payment("top_up", "p", "acme", 1) | {"more": 1}, "more"),
        (payment("top_up", "p", "acme", 1, memo="x" * 300), "memo"),
    ],
)
def test_what_is_signed_and_makes_no_sense_is_named(shop: Shop, sent: Any, said: str):
    found = shop.tell(sent)
    assert code(found) == (400, "invalid_request") and said in found[1]["error"]["message"]


def test_a_party_that_is_none_is_said_so_and_the_payment_counts_once_it_is_there(shop: Shop):
    paid = payment("top_up", "pay_4", "later", 50)
    assert code(shop.tell(paid)) == (404, "not_found")
    shop.key("later")
    assert shop.tell(paid)[0] == 200 and shop.worth("later") == 50


def test_the_id_of_a_payment_is_nobody_else_s(shop: Shop):
    owner = shop.key("house", role="owner")
    moved = {"id": "topup:shop:0000", "movements": [{"kind": "grant", "party": "acme", "amount": 1}]}
    status, _, said = shop.post("/admin/v1/transfers", owner, json.dumps(moved).encode())
    assert (status, said["error"]["param"]) == (400, "id")


def test_it_is_in_the_statement_and_in_the_audit_log(shop: Shop):
    key = shop.key("told")
    shop.tell(payment("top_up", "pay_5", "told", 60, memo="invoice 17"))
    shop.tell(payment("top_up", "pay_6", "told", 1))
    rows = shop.statement(key)
    assert [(row["kind"], row["amount_microkpt"], row["memo"]) for row in rows] == [
        ("top_up", 1, "shop pay_6"),
        ("top_up", 60, "invoice 17"),
    ]
    with shop.desk() as ask:
        newest = ask(ListAudit(id=new_id(), key="shop"))["rows"][0]
    assert (newest["via"], newest["act"], newest["outcome"]) == ("top_up", "money.top_up", "ok")


def test_a_clerk_that_is_killed_meanwhile_loses_none_and_counts_none_twice(tmp_path: Path):
    os.environ["SHOP_SECRET"], os.environ["SHOP_SECRET_OLD"] = SECRET, OLD
    with Shop(tmp_path, SETTINGS, server="workers = 2") as gate:
        gate.key("acme")
        told: list[int] = []

        def tell(number: int) -> None:
            # As payment systems do: again, until it is answered well.
            while gate.tell(payment("top_up", f"pay_{number}", "acme", 1))[0] != 200:
                pass
            told.append(number)

        with ThreadPoolExecutor(4) as pool:
            work = [pool.submit(tell, number) for number in range(80)]
            for goal in (10, 40):
                until(lambda goal=goal: len(told) > goal)
                before = pid_of(gate, 0)
                os.kill(before, signal.SIGKILL)
                until(lambda before=before: pid_of(gate, 0) not in (0, before))
            for one in work:
                one.result(60)
        assert gate.worth("acme") == len(told) == 80


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('name = "Shop"\nsecret = "env:SHOP_SECRET"', "name"),
        ('name = "shop"\nsecret = "canary-in-clear"', "never in clear"),
        ('name = "shop"\nsecret = "env:SHOP_NONE"', "is not set"),
        ('name = "shop"\nsecret = "env:SHOP_BROKEN"', "base64"),
        ('name = "shop"\nsecret = "env:SHOP_EMPTY"', "shorter than 24 bytes"),
        ('name = "shop"\nsecret = "env:SHOP_SHORT"', "shorter than 24 bytes"),
        ('name = "shop"\nsecret = "env:SHOP_SECRET"\nold_secret = "env:SHOP_EMPTY"', "shorter than 24 bytes"),
        ('name = "shop"\nsecret = "env:SHOP_SECRET"\nold_secret = "env:SHOP_NONE"', "old_secret"),
        (
            'name = "shop"\nsecret = "env:SHOP_SECRET"\n[[top_ups]]\nname = "shop"\nsecret = "env:SHOP_SECRET"',
            "another",
        ),
    ],
)
def test_a_source_that_is_configured_wrongly_is_named(tmp_path: Path, written: str, said: str):
    file = tmp_path / "kpgate.toml"
    file.write_text(f"[[top_ups]]\n{written}\n")
    secrets = {"SHOP_BROKEN": "whsec_canary!", "SHOP_EMPTY": "whsec_", "SHOP_SHORT": "whsec_" + "A" * 28}
    loaded = load(file, {"SHOP_SECRET": SECRET, **secrets})
    found = " ".join(f"{problem}" for problem in loaded.problems)
    assert said in found and "canary" not in found
