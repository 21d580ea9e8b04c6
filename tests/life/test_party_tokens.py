"""Party tokens as their users meet them: capped exactly, ended at once, never wider than their key. Both transports."""

import http.client
import json
import signal
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from kpgate.app.backup import back_up, restore
from kpgate.app.ledger_cli import prove
from kpgate.domain.audit import ListAudit
from kpgate.domain.money import SetBudget
from tests.kit.barrier import Barrier
from tests.kit.command import said as commanded
from tests.kit.gateway_process import TRANSPORTS, until
from tests.kit.provider import answer, completion
from tests.kit.whole import Whole

SETTINGS = "[ledger]\nenabled = true"
SERVER = "workers = 2"
PROMPT, CAP = 10, 20
HELD = PROMPT * 250 + CAP * 1_000
PAID = 9 * 250 + 3 * 1_000
"""What a call of the scripted provider holds and costs, in microKPT."""
NUMBERS = count()


def opened(folder: Path, transport: str) -> Whole:
    return Whole(folder, SETTINGS, server=SERVER, transport=transport, model=f"output_tokens_max = {CAP}")


@pytest.fixture(scope="module", params=TRANSPORTS)
def running(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Whole]:
    with opened(tmp_path_factory.mktemp("tokens"), request.param) as gate:
        yield gate


@pytest.fixture
def gate(running: Whole) -> Whole:
    running.provider.default = answer(completion())
    return running


@pytest.fixture
def party(gate: Whole) -> str:
    """A party of the test's own, that has credit."""
    name = f"party-{next(NUMBERS)}"
    gate.fund(name, 10**9)
    return name


def ask(gate: Whole, method: str, path: str, secret: str, body: Any = None) -> tuple[int, Any]:
    """One request on a connection of its own, so that each worker is met: status, and what was said."""
    connection = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=20)
    try:
        sent = None if body is None else json.dumps(body).encode()
        connection.request(method, path, sent, {"authorization": f"Bearer {secret}"})
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()


def sign(gate: Whole, key: str, cap: int, **more: Any) -> dict[str, Any]:
    status, said = ask(gate, "POST", "/kp/v1/tokens", key, {"cap_microkpt": cap, **more})
    assert status == 201, said
    return dict(said)


def refused(gate: Whole, secret: str, times: int = 8, **more: Any) -> set[tuple[int, str]]:
    """How calls are refused, on every worker."""
    found = [gate.chat(secret, **more) for _ in range(times)]
    return {(status, said["error"]["code"]) for status, _, said in found}


def listed(gate: Whole, key: str) -> list[dict[str, Any]]:
    return list(ask(gate, "GET", "/kp/v1/tokens", key)[1]["tokens"])


def test_a_cap_for_ten_admits_ten_of_fifty_over_two_workers(gate: Whole, party: str):
    key = gate.key(party)
    made = sign(gate, key, 10 * HELD, label="phone")
    barrier = Barrier()
    gate.provider.default = barrier.step
    with ThreadPoolExecutor(50) as pool:
        calls = [pool.submit(gate.chat, made["token"]) for _ in range(50)]
        until(lambda: sum(call.done() for call in calls) == 40 and barrier.waiting == 10)
        (shown,) = listed(gate, key)
        assert (shown["used_microkpt"], shown["held_microkpt"]) == (0, 10 * HELD)
        gate.background.call(barrier.open.set)
        found = [call.result() for call in calls]
    assert sum(status == 200 for status, _, _ in found) == 10 == barrier.waiting
    assert {said["error"]["code"] for status, _, said in found if status != 200} == {"credit_held"}
    (shown,) = listed(gate, key)
    assert (shown["used_microkpt"], shown["held_microkpt"], shown["label"]) == (10 * PAID, 0, "phone")
    assert gate.balance(party)["balance_microkpt"] == 10**9 - 10 * PAID


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_cap_is_kept_over_kills_and_starts(tmp_path: Path, transport: str):
    paid, cap = 0, 18 * PAID + 4 * HELD
    for round_ in range(3):
        with opened(tmp_path, transport) as gate:
            gate.provider.default = answer(completion())
            if round_ == 0:
                key = gate.key("party")
                gate.fund("party", 10**9)
                token = sign(gate, key, cap, id="once-and-again")["token"]
            shown = listed(gate, key)[0]
            assert (shown["used_microkpt"], shown["held_microkpt"]) == (paid * PAID, 0)
            again = sign(gate, key, cap, id="once-and-again")
            assert (again["token"], again["used_microkpt"]) == (token, paid * PAID), (
                "asking gives nothing back"
            )

            with ThreadPoolExecutor(4) as pool:
                calls = list(pool.map(gate.chat, [token] * 6))
            paid += [status for status, _, _ in calls].count(200)
            gate.signal(signal.SIGKILL)
            gate.process.wait(20)
        # What is not posted yet is found by the next start.
        assert prove(gate.directory)[1] == [] and paid == 6 * (round_ + 1)
    with opened(tmp_path, transport) as gate:
        gate.provider.default = answer(completion())
        # More at once than there is room for: some are told to wait, none is let in beyond the cap.
        with ThreadPoolExecutor(8) as pool:
            burst = [status for status, _, _ in pool.map(gate.chat, [token] * 8)]
        assert set(burst) <= {200, 402, 429}
        admitted = burst.count(200)
        while (answered := gate.chat(token))[0] == 200:
            admitted += 1
        # What is left has to be enough for the most that a call may cost.
        assert admitted == (4 * HELD - HELD) // PAID + 1
        assert answered[0] == 402 and answered[2]["error"]["code"] == "budget_exhausted"
        assert "party token's cap has" in answered[2]["error"]["message"]
        assert gate.chat(key)[0] == 200, "its key spends on"
    assert prove(gate.directory)[1] == []


def test_it_ends_with_its_key_or_alone_at_once_on_every_worker(gate: Whole, party: str):
    key, admin = gate.key(party), gate.key("house", role="admin")
    first, second, third = (sign(gate, key, 10**8) for _ in range(3))
    for made in (first, second, third):
        assert {gate.chat(made["token"])[0] for _ in range(8)} == {200}
    status, shown = ask(gate, "DELETE", f"/kp/v1/tokens/{first['id']}", key)
    assert status == 200 and shown["revoked_at"]
    assert refused(gate, first["token"]) == {(401, "invalid_api_key")}
    assert ask(gate, "DELETE", f"/admin/v1/tokens/{second['id']}", admin)[0] == 200
    assert refused(gate, second["token"]) == {(401, "invalid_api_key")}
    assert {gate.chat(third["token"])[0] for _ in range(8)} == {200}
    gate.revoke(key)
    assert refused(gate, third["token"]) == {(401, "invalid_api_key")}
    assert "revoked" in gate.chat(third["token"])[2]["error"]["message"]
    with gate.desk() as desk:
        rows = desk(ListAudit(id="audit-0001", count=20))["rows"]
    made_here = {made["id"] for made in (first, second, third)}
    own = [row for row in rows if row["about"].get("token") in made_here]
    acts = [(row["act"], row["outcome"], row["via"]) for row in own]
    assert acts == [("tokens.revoke", "ok", "http")] * 2 + [("tokens.sign", "ok", "http")] * 3
    assert "eyJ" not in json.dumps(rows) and rows[-1]["about"] is not None


def test_it_may_do_less_than_its_key_and_nothing_else(gate: Whole, party: str):
    key, other = gate.key(party, models=("m", "echo")), gate.key(party)
    made = sign(gate, key, 10**8, models=["echo"], expires="15min")
    token = made["token"]
    assert gate.chat(token, "echo", max_tokens=5)[0] == 200
    assert refused(gate, token) == {(403, "model_not_allowed")}
    assert [one["id"] for one in ask(gate, "GET", "/v1/models", token)[1]["data"]] == ["echo"]
    status, me = ask(gate, "GET", "/kp/v1/me", token)
    assert (status, me["role"], me["models"], me["party"]) == (200, "call", ["echo"], party)
    assert me["token"]["id"] == made["id"] and me["token"]["used_microkpt"] > 0
    assert ask(gate, "GET", "/kp/v1/me", key)[1]["token"] is None
    for method, path in (
        ("POST", "/kp/v1/tokens"),
        ("GET", "/kp/v1/tokens"),
        ("DELETE", f"/kp/v1/tokens/{made['id']}"),
        ("GET", "/kp/v1/balance"),
        ("GET", "/kp/v1/statement"),
        ("POST", "/kp/v1/redeem"),
        ("GET", "/admin/v1/keys"),
    ):
        status, said = ask(gate, method, path, token, {"cap_microkpt": 1} if method == "POST" else None)
        assert (status, said["error"]["code"]) == (403, "role_required"), path
    for wider in ({"models": ["gpt-4o"]}, {"expires": "25h"}, {"expires": "2d"}, {"cap_microkpt": 0}):
        status, said = ask(gate, "POST", "/kp/v1/tokens", key, {"cap_microkpt": 5} | wider)
        assert (status, said["error"]["code"]) == (400, "invalid_request"), wider
    assert ask(gate, "DELETE", f"/kp/v1/tokens/{made['id']}", other)[0] == 404
    assert listed(gate, other) == []


def test_what_it_spends_is_its_key_s_and_its_party_s(gate: Whole, party: str):
    key = gate.key(party)
    with gate.desk() as desk:
        desk(SetBudget(id="budget-01", key=key.split("-")[2], total=2 * PAID + HELD))
    made = sign(gate, key, HELD)
    assert gate.chat(made["token"])[0] == 200
    receipt = gate.chat(key)[1]["x-kpgate-receipt"]
    rows = ask(gate, "GET", "/kp/v1/statement?count=9", key)[1]["rows"]
    assert [row["amount_microkpt"] for row in rows] == [-PAID, -PAID, 10**9] and rows[0]["call"] == receipt
    assert ask(gate, "GET", f"/kp/v1/receipts/{rows[1]['call']}", key)[1]["leaf"]["amount_microkpt"] == PAID
    assert refused(gate, made["token"]) == {(402, "budget_exhausted")}
    more = sign(gate, key, HELD)
    assert gate.chat(more["token"])[0] == 200
    last = sign(gate, key, HELD)
    status, _, said = gate.chat(last["token"])
    assert (status, said["error"]["code"]) == (402, "budget_exhausted"), "its key's budget counts it as well"
    assert "whole budget" in said["error"]["message"]

    def calls() -> list[dict[str, Any]]:
        chats = [one for one in gate.records() if one["path"] == "/v1/chat/completions"]
        return [one for one in chats if one["party"] == party]

    until(lambda: len(calls()) >= 12)
    paid = [one for one in calls() if one["status"] == 200]
    assert {one["key"] for one in paid} == {key.split("-")[2]}
    assert sorted(one["token"] for one in paid) == sorted((made["id"], "", more["id"]))


def test_what_is_not_a_token_is_told_why(gate: Whole, party: str):
    key = gate.key(party)
    made = sign(gate, key, 10**8)["token"]
    head, payload, signature = made.split(".")

    def spelled(what: Any) -> str:
        return urlsafe_b64encode(json.dumps(what).encode()).rstrip(b"=").decode()

    header = json.loads(urlsafe_b64decode(head + "=="))
    claims = json.loads(urlsafe_b64decode(payload + "=="))
    assert (header["alg"], len(claims["jti"])) == ("EdDSA", 32) and claims["exp"] - claims["iat"] == 3600
    for said, credential in (
        ("EdDSA", f"{spelled(header | {'alg': 'none'})}.{payload}."),
        ("EdDSA", f"{spelled(header | {'alg': 'HS256'})}.{payload}.{signature}"),
        ("forged", f"{head}.{spelled(claims | {'cap': 10**12})}.{signature}"),
        ("forged", f"{head}.{payload}.{signature[::-1]}"),
        ("not this gateway's", f"{spelled(header | {'kid': '0' * 16})}.{payload}.{signature}"),
        ("bytes", f"{head}.{payload}{'A' * 5000}.{signature}"),
        ("not known", "eyJhbGciOiJFZERTQSJ9"),
    ):
        status, _, body = gate.chat(credential)
        assert (status, body["error"]["code"]) == (401, "invalid_api_key")
        assert said in body["error"]["message"], credential
    assert gate.chat(made)[0] == 200


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_restored_directory_knows_none_that_was_signed_before(tmp_path: Path, transport: str):
    first, backup, second = tmp_path / "first", tmp_path / "backup", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    with opened(first, transport) as gate:
        gate.provider.default = answer(completion())
        key = gate.key("party")
        gate.fund("party", 10**9)
        made = sign(gate, key, 10**8)
        assert gate.chat(made["token"])[0] == 200
        back_up(gate.directory, backup, lambda _: None)
        assert gate.chat(made["token"])[0] == 200
    restore(backup, second / "data", lambda _: None)
    with opened(second, transport) as gate:
        gate.provider.default = answer(completion())
        assert refused(gate, made["token"]) == {(401, "invalid_api_key")}
        assert listed(gate, key)[0]["used_microkpt"] == PAID, "what it had spent by then is kept"
        again = sign(gate, key, 10**8)
        assert gate.chat(again["token"])[0] == 200
    assert prove(gate.directory)[1] == []


def test_operators_list_and_end_them_by_hand(gate: Whole, party: str):
    key = gate.key(party)
    made, other = sign(gate, key, 10**8, label="phone"), sign(gate, key, 10**8)
    data = gate.directory.root
    found = commanded(data, "party-token", "list", "--party", party)
    assert [(one["id"], one["label"]) for one in found] == [(made["id"], "phone"), (other["id"], "")]
    assert commanded(data, "party-token", "revoke", made["id"])["revoked_at"]
    assert refused(gate, made["token"]) == {(401, "invalid_api_key")}
    assert commanded(data, "party-token", "rotate-key")["signer"] == 2
    assert {gate.chat(other["token"])[0] for _ in range(8)} == {200}, "believed until it ends"
    assert commanded(data, "party-token", "rotate-key", "--at-once")["signer"] == 3
    assert refused(gate, other["token"]) == {(401, "invalid_api_key")}
    assert gate.chat(sign(gate, key, 10**8)["token"])[0] == 200
