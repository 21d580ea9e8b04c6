"""Roles over a whole gateway: every path by every role, ways up that are none, and what the audit log says of it."""

import http.client
import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread
from typing import Any

import apsw
import pytest

from kpgate.app.audit_cli import examine
from kpgate.app.control import new_id, new_random
from kpgate.app.directory import Directory
from kpgate.app.ledger_cli import prove
from kpgate.app.openapi import document
from kpgate.app.reach import reach
from kpgate.domain.audit import Actor, ListAudit
from kpgate.domain.caller import ADMIN, AUDITOR, CALL, DEVELOPER, OPERATOR, OWNER, ROLES
from kpgate.domain.management import CreateKey, ListKeys, build
from kpgate.domain.money import Movement, ShowBalance, Transfer
from kpgate.domain.roles import LINES
from tests.kit.gateway_process import TRANSPORTS, until
from tests.kit.whole import Whole, pid_of


class Roles(Whole):
    """A gateway with a key of each role, all of one party."""

    def send(self, method: str, path: str, key: str, sent: Any = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            body = None if sent is None else json.dumps(sent)
            connection.request(method, path, body, {"authorization": f"Bearer {key}"})
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())
        finally:
            connection.close()

    def rows(self, **asked: Any) -> list[dict[str, Any]]:
        with self.desk() as ask:
            return list(ask(build(ListAudit, {"id": new_id(), **asked}))["rows"])


@pytest.fixture(scope="module", params=TRANSPORTS)
def gate(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roles]:
    settings = "[ledger]\nenabled = true"
    with Roles(
        tmp_path_factory.mktemp("roles"), settings, server="workers = 1", transport=request.param
    ) as made:
        yield made


def test_every_path_is_let_to_those_of_its_line_and_to_nobody_else(gate: Roles):
    keys = {role: gate.key("acme", role=role) for role in ROLES}
    for line in LINES:
        # Nothing that is sent makes sense: who may is told what is wrong with it, who may not is told that.
        path = re.sub(r"\{\w+\}", "acme" if "{name}" in line.path else "none", line.path)
        for role, key in keys.items():
            status, said = gate.send(line.method, path, key, [] if line.method in ("POST", "PUT") else None)
            refused = (status, said.get("error", {}).get("code")) == (403, "role_required")
            assert refused == (role not in line.roles), (line, role, status, said)
    assert gate.send("GET", "/admin/v1/nothing", keys[CALL])[0] == 403
    assert gate.send("GET", "/admin/v1/nothing", keys[AUDITOR])[0] == 404


def code(found: tuple[int, Any]) -> tuple[int, str]:
    return found[0], found[1]["error"]["code"]


REFUSED = (403, "role_required")
GRANT = Movement(kind="grant", party="acme", amount=1)


def test_no_role_makes_its_way_up(gate: Roles):
    keys = {role: gate.key("acme", role=role) for role in ROLES}
    ids = {role: key.split("-")[2] for role, key in keys.items()}
    for maker, role in (
        (ADMIN, OWNER),
        (ADMIN, ADMIN),
        (OPERATOR, ADMIN),
        (OPERATOR, OPERATOR),
        (OPERATOR, AUDITOR),
        (DEVELOPER, DEVELOPER),
        (DEVELOPER, ADMIN),
    ):
        sent = {"party": "acme", "role": role}
        assert code(gate.send("POST", "/admin/v1/keys", keys[maker], sent)) == REFUSED
        # A new secret of somebody else's key would be the same as making one.
        assert code(gate.send("POST", f"/admin/v1/keys/{ids[role]}/rotate", keys[maker])) == REFUSED
        assert code(gate.send("DELETE", f"/admin/v1/keys/{ids[role]}", keys[maker])) == REFUSED
    for role, key in keys.items():
        assert gate.send("GET", "/kp/v1/me", key)[1]["role"] == role, "and none of them is gone"
    assert gate.send("POST", "/admin/v1/keys", keys[OWNER], {"party": "acme", "role": OWNER})[0] == 201
    assert gate.send("POST", "/admin/v1/keys", keys[OPERATOR], {"party": "new", "role": CALL})[0] == 201


def test_a_developer_has_its_own_party_and_gives_no_more_than_it_has(gate: Roles):
    gate.fund("acme", 5_000_000)
    theirs = gate.key("rival")
    own = gate.key("acme", role=DEVELOPER, models=("ech*",), networks=("127.0.0.0/8",))
    made = gate.send("POST", "/admin/v1/keys", own, {"party": "acme"})[1]
    assert (made["models"], made["networks"], made["role"]) == (["ech*"], ["127.0.0.0/8"], CALL)
    assert gate.chat(made["key"], "echo")[0] == 200 and gate.chat(made["key"], "m")[0] == 403
    for sent in (
        {"party": "rival"},
        {"party": "acme", "models": ["*"]},
        {"party": "acme", "networks": ["0.0.0.0/0"]},
    ):
        assert code(gate.send("POST", "/admin/v1/keys", own, sent)) == (400, "invalid_request")
    wide = gate.key("acme").split("-")[2]
    assert code(gate.send("POST", f"/admin/v1/keys/{wide}/rotate", own)) == REFUSED, (
        "it would be its own then"
    )
    capped = gate.key("acme", role=DEVELOPER)
    budget = {"key": capped.split("-")[2], "total": 5}
    assert gate.send("PUT", "/admin/v1/budgets", gate.key("house", role=OWNER), budget)[0] == 200
    assert code(gate.send("POST", "/admin/v1/keys", capped, {"party": "acme"})) == REFUSED
    other = theirs.split("-")[2]
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/rotate")):
        assert code(gate.send(method, f"/admin/v1/keys/{other}{path}", own)) == (404, "not_found")
    listed = gate.send("GET", "/admin/v1/keys?party=rival&count=1000", own)[1]["keys"]
    assert {key["party"] for key in listed} == {"acme"}
    for what in ("", "/balance", "/statement", "/totals"):
        assert gate.send("GET", f"/admin/v1/parties/acme{what}", own)[0] == 200
        assert code(gate.send("GET", f"/admin/v1/parties/rival{what}", own)) == REFUSED
    gate.fund("rival", 5_000_000)
    for secret, status in ((made["key"], 200), (theirs, 404)):
        receipt = gate.chat(secret, "echo")[1]["x-kpgate-receipt"]
        assert gate.send("GET", f"/admin/v1/receipts/{receipt}", own)[0] == status
    assert gate.send("POST", f"/admin/v1/keys/{made['id']}/rotate", own)[0] == 200
    assert gate.send("DELETE", f"/admin/v1/keys/{made['id']}", own)[1]["revoked_at"]


def fields_of(method: str, path: str) -> set[str]:
    """What a body of a path may say."""
    described = document()
    body = described["paths"][path][method.lower()].get("requestBody")
    if body is None:
        return set()
    name = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    return set(described["components"]["schemas"][name]["properties"])


def money(gate: Roles) -> list[tuple[object, ...]]:
    """What every account has and may owe, but for those that have and owe nothing."""
    with closing(apsw.Connection(str(gate.directory.store))) as store:
        return store.execute("SELECT name, balance, floor FROM accounts WHERE balance OR floor").fetchall()


def test_who_moves_no_money_moves_none_whatever_is_asked(gate: Roles):
    """Every path that a role besides owner and admin may change something by, with all that can be said there."""
    owner, operator = gate.key("house", role=OWNER), gate.key("house", role=OPERATOR)
    gate.fund("house", 5_000)
    assert gate.send("PUT", "/admin/v1/tiers/fast", owner, {"priority": 1})[0] == 200
    for name, terms in {
        "gold": {"kind": "subscription", "grant_microkpt": 10**12},
        "line": {"kind": "credit_line", "line_microkpt": 10**12},
        "plain": {"kind": "pay_per_token", "tier": "fast"},
    }.items():
        assert gate.send("PUT", f"/admin/v1/plans/{name}", owner, terms)[0] == 200
    assert gate.send("PUT", "/admin/v1/parties/drawn", owner, {"plan": "line"})[0] == 200
    key = {"party": "new", "label": "x", "role": CALL, "models": ["m"], "networks": ["::1/128"]}
    limits = {"limits": {"requests": "9/s"}}
    # Of a path, what is sent to it, and whether it is done.
    sent: dict[tuple[str, str], list[tuple[Any, bool]]] = {
        ("POST", "/admin/v1/keys"): [({**key, **limits, "expires": "1h"}, True)],
        ("DELETE", "/admin/v1/keys/{id}"): [(None, True)],
        ("POST", "/admin/v1/keys/{id}/rotate"): [({"grace": "1h"}, True)],
        ("PUT", "/admin/v1/parties/{name}"): [
            ({**limits, "tier": "fast", "plan": "plain"}, True),
            ({"plan": "gold"}, False),
            ({"plan": "line"}, False),
            ({"plan": ""}, True),
        ],
        ("DELETE", "/admin/v1/tokens/{id}"): [(None, True)],
        ("POST", "/admin/v1/reload"): [(None, True)],
    }
    lines = {(line.method, line.path) for line in LINES if {OPERATOR, DEVELOPER} & set(line.roles)}
    assert set(sent) == {(method, path) for method, path in lines if method != "GET"}
    before = money(gate)
    assert ("spend:drawn", 0, -(10**12)) in before
    for (method, path), tries in sent.items():
        said = {name for body, _ in tries for name in body or {}}
        assert said == fields_of(method, path), "all that can be said is tried"
        for body, done in tries:
            for name in ("house", "never-seen") if "{name}" in path else ("",):
                made = gate.key("house")
                thing = token_of(gate, made) if "tokens" in path else made.split("-")[2]
                where = path.replace("{name}", name).replace("{id}", thing)
                status, answer = gate.send(method, where, operator, body)
                assert (status // 100 == 2) is done, (where, body, answer)
                assert done or (status, answer["error"]["code"]) == REFUSED
                assert money(gate) == before, (where, body)
    assert gate.send("PUT", "/admin/v1/parties/untouched", operator, {"plan": "gold"})[0] == 403
    assert gate.send("GET", "/admin/v1/parties/untouched", owner)[0] == 404
    assert (
        gate.send("PUT", "/admin/v1/parties/house", gate.key("house", role=ADMIN), {"plan": "gold"})[0] == 200
    )
    assert money(gate) != before


def token_of(gate: Roles, key: str) -> str:
    """The id of a party token of a key's."""
    return str(gate.send("POST", "/kp/v1/tokens", key, {"cap_microkpt": 5})[1]["id"])


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_act_is_a_row_and_no_secret_is_in_any(tmp_path: Path, transport: str):
    # One of its own: how many refusals are written down a minute is bounded.
    with Roles(tmp_path, "[ledger]\nenabled = true", server="workers = 1", transport=transport) as gate:
        admin = gate.key("house", role=ADMIN)
        made = gate.send("POST", "/admin/v1/keys", admin, {"party": "acme", "label": "ours"})[1]
        moved = {"id": "audited-0001", "movements": [{"kind": "grant", "party": "acme", "amount": 5}]}
        assert gate.send("POST", "/admin/v1/transfers", admin, moved)[0] == 200
        assert gate.send("POST", "/admin/v1/transfers", admin, moved | {"movements": []})[0] == 400
        taken = {"id": "audited-0002", "movements": [{"kind": "payout", "party": "acme", "amount": 10**12}]}
        assert gate.send("POST", "/admin/v1/transfers", admin, taken)[0] == 402
        assert gate.send("DELETE", "/admin/v1/tiers/none", admin)[0] == 404
        assert gate.send("POST", "/admin/v1/keys", admin, {"party": "acme", "role": OWNER})[0] == 403
        assert gate.send("POST", "/admin/v1/reload", gate.key("house"))[0] == 403
        key_id = admin.split("-")[2]
        found = gate.rows(key=key_id)
        assert [(row["act"], row["outcome"]) for row in reversed(found)] == [
            ("keys.create", "ok"),
            ("money.transfer", "asked"),
            ("money.transfer", "ok"),
            ("money.transfer", "asked"),
            ("money.transfer", "insufficient_credit"),
            ("tier.delete", "not_found"),
            ("keys.create", "role_required"),
        ]
        first = found[-1]
        assert first["about"]["key"] == made["id"] and first["about"]["label"] == "ours"
        assert (first["via"], first["role"], first["party"], first["peer"]) == (
            "http",
            ADMIN,
            "house",
            "127.0.0.1",
        )
        assert (
            found[-2]["about"]["movements"] == moved["movements"]
            and found[-2]["about"]["id"] == "audited-0001"
        )
        newest = gate.rows(count=1)[0]
        assert (newest["act"], newest["about"]) == ("refused", {"path": "POST /admin/v1/reload"})
        everything = json.dumps(gate.rows(count=1000))
        assert made["key"].split("-", 3)[3] not in everything and "random" not in everything
        assert examine(gate.directory)[0] == [] and prove(gate.directory)[1] == []


def test_a_flood_of_refusals_is_counted_not_kept(gate: Roles):
    key = gate.key("flood")
    for _ in range(150):
        assert code(gate.send("GET", "/admin/v1/keys", key)) == REFUSED
    found = gate.rows(party="flood", count=1000)
    # 60 a minute and worker, of which there is one; two minutes may be touched.
    assert len(found) <= 120


def by_command(directory: Directory) -> Any:
    return reach(directory, actor=Actor(via="cli", peer="uid 0"))


def test_an_act_of_the_command_line_is_a_row_beside_a_gateway_and_without_one(tmp_path: Path):
    directory = Directory(tmp_path / "data")

    def act() -> list[dict[str, Any]]:
        with by_command(directory) as ask:
            ask(build(CreateKey, {"id": new_id(), "party": "acme", "random": new_random()}))
            ask(Transfer(id=new_id(), movements=(Movement(kind="grant", party="acme", amount=5),)))
            return list(ask(ListAudit(id=new_id()))["rows"])

    with Roles(tmp_path, "[ledger]\nenabled = true"):
        beside = act()
    alone = act()
    assert [(row["act"], row["outcome"]) for row in reversed(alone)] == 2 * [
        ("keys.create", "ok"),
        ("money.transfer", "asked"),
        ("money.transfer", "ok"),
    ]
    assert alone[3:] == beside
    assert {(row["via"], row["peer"], row["role"]) for row in alone} == {("cli", "uid 0", OWNER)}
    assert examine(directory)[0] == []


def test_a_clerk_that_is_killed_leaves_no_act_without_its_row(tmp_path: Path):
    with Roles(tmp_path, "[ledger]\nenabled = true") as gate, by_command(gate.directory) as ask:
        made: list[str] = []

        def act() -> None:
            while len(made) < 60:
                made.append(ask(Transfer(id=new_id(), movements=(GRANT,)))["id"])
                party = f"p{len(made)}"
                ask(build(CreateKey, {"id": new_id(), "party": party, "random": new_random()}))

        work = Thread(target=act)
        work.start()
        for goal in (5, 20, 35):
            until(lambda goal=goal: len(made) > goal)
            before = pid_of(gate, 0)
            os.kill(before, signal.SIGKILL)
            until(lambda before=before: pid_of(gate, 0) not in (0, before))
        work.join(60)
        rows = ask(ListAudit(id=new_id(), count=1000))["rows"]
        keys = ask(ListKeys(id=new_id(), count=1000))["keys"]
        balance = ask(ShowBalance(id=new_id(), party="acme"))["balance_microkpt"]
    asked = {row["about"]["id"] for row in rows if row["outcome"] == "asked"}
    assert set(made) <= asked and balance == len(made) == 60
    noted = [row["about"]["key"] for row in rows if row["act"] == "keys.create"]
    assert sorted(noted) == sorted(key["id"] for key in keys), "each key once"
    assert examine(gate.directory)[0] == []


def test_what_cannot_be_written_down_is_not_done(tmp_path: Path):
    with Roles(tmp_path, "[ledger]\nenabled = true") as gate:
        owner = gate.key("house", role=OWNER)
        gate.fund("acme", 5)
        store = apsw.Connection(str(gate.directory.store))
        store.set_busy_timeout(10_000)
        store.execute("BEGIN IMMEDIATE")
        sent = {"movements": [{"kind": "grant", "party": "acme", "amount": 7}]}
        found = gate.send("POST", "/admin/v1/transfers", owner, sent)
        store.execute("ROLLBACK")
        store.close()
        assert code(found) == (503, "store_unavailable") and gate.balance("acme")["balance_microkpt"] == 5


def test_a_role_that_is_none_is_refused(gate: Roles):
    owner = gate.key("house", role=OWNER)
    assert code(gate.send("POST", "/admin/v1/keys", owner, {"party": "a", "role": "root"})) == (
        400,
        "invalid_request",
    )
