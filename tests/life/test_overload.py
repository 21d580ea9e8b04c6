"""Where all places are taken, what is under way is settled, and who looks after the gateway is served."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.kit.gateway_process import TRANSPORTS, read_all, request, until
from tests.kit.provider import Talk, answer, completion
from tests.kit.whole import Whole

SERVER = "workers = 1\ninflight_max = 2\nqueue_wait_s = 20"
SETTINGS = "[ledger]\nenabled = true"
BODY = json.dumps(
    {"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 9}
).encode()
PAID = 9 * 250 + 3 * 1_000


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_no_place_is_needed_to_look_settle_or_manage(tmp_path: Path, transport: str):
    opened = asyncio.Event()
    waiting = 0

    async def late(talk: Talk) -> None:
        nonlocal waiting
        await talk.rest_of_body()
        waiting += 1
        await opened.wait()
        await answer(completion())(talk)

    with Whole(tmp_path, SETTINGS, server=SERVER, transport=transport) as gate:
        gate.provider.default = late
        key, admin = gate.key("party"), gate.key("house", role="admin")
        gate.fund("party", 1_000_000)
        head = f"authorization: Bearer {key}"
        calls = [gate.open(request("/v1/chat/completions", head, body=BODY)) for _ in range(4)]
        until(lambda: waiting == 2)
        until(lambda: gate.metric("kpgate_inflight") == 4)
        status, headers, said = gate.chat(key)
        assert (status, said["error"]["code"]) == (503, "overloaded")
        assert int(headers["retry-after-ms"]) > 0
        assert gate.get("/health/ready")[0] == 200
        for path, secret in (("/kp/v1/balance", key), ("/admin/v1/accounts", admin), ("/v1/models", key)):
            asked = request(path, f"authorization: Bearer {secret}", method="GET")
            assert read_all(gate.open(asked)).startswith(b"HTTP/1.1 200 "), path
        assert waiting == 2
        gate.background.call(opened.set)
        for call in calls:
            assert read_all(call).startswith(b"HTTP/1.1 200 ")
        assert gate.balance("party")["balance_microkpt"] == 1_000_000 - 4 * PAID
