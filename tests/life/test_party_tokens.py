"""Party tokens as their users meet them: capped exactly, ended at once, never wider than their key. Both transports."""

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kpgate.app.control import new_id
from kpgate.app.ledger_cli import prove
from kpgate.domain.management import Asked, ListKeys
from kpgate.domain.money import ShowStatement
from tests.kit.gateway_process import TRANSPORTS
from tests.kit.provider import answer, completion
from tests.kit.whole import Whole

SETTINGS = "[ledger]\nenabled = true"
PAID = 9 * 250 + 3 * 1_000
"""What a call of the scripted provider costs, in microKPT."""


@pytest.fixture(params=TRANSPORTS)
def gate(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Whole]:
    with Whole(tmp_path, SETTINGS, server="workers = 2", transport=request.param) as gate:
        gate.provider.default = answer(completion())
        yield gate


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


def refused(gate: Whole, secret: str, times: int = 8) -> set[tuple[int, str]]:
    """How calls are refused, on every worker."""
    found = [gate.chat(secret) for _ in range(times)]
    return {(status, said["error"]["code"]) for status, _, said in found}


def test_a_cap_for_ten_admits_ten_of_fifty(gate: Whole):
    key = gate.key("party")
    gate.fund("party", 10**9)
    most = 9 * 250 + 20 * 1_000
    made = sign(gate, key, 10 * PAID, label="phone")
    with ThreadPoolExecutor(50) as pool:
        found = list(pool.map(lambda _: gate.chat(made["token"], max_tokens=3), range(50)))
    assert most and {status for status, _, _ in found} <= {200, 402, 429}
    assert sum(status == 200 for status, _, _ in found) <= 10
    while gate.chat(made["token"], max_tokens=3)[0] == 200:
        found.append((200, {}, {}))
    assert sum(status == 200 for status, _, _ in found) == 10
    status, _, said = gate.chat(made["token"], max_tokens=3)
    assert (status, said["error"]["code"]) == (402, "budget_exhausted")
    assert "party token's cap has 0 left" in said["error"]["message"]
    (shown,) = ask(gate, "GET", "/kp/v1/tokens", key)[1]["tokens"]
    assert (shown["used_microkpt"], shown["held_microkpt"]) == (10 * PAID, 0)
    assert gate.balance("party")["balance_microkpt"] == 10**9 - 10 * PAID
    assert gate.chat(key, max_tokens=3)[0] == 200, "its key spends on"
