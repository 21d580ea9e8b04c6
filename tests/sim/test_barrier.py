"""Credit for ten, asked for by 256 at once over four workers: ten are admitted, in every round.

The provider answers nobody until all are decided. `make sim ROUNDS=1000` plays as many rounds as are wanted.
"""

import json
import os
import selectors
import socket
from collections import Counter
from pathlib import Path

import pytest

from tests.kit.barrier import Barrier
from tests.kit.gateway_process import until
from tests.kit.whole import Whole

ROUNDS = int(os.environ.get("SIM_ROUNDS", "12"))
CALLERS, CREDIT_FOR = 256, 10
INPUT, OUTPUT, PROMPT, CAP = 250, 1_000, 10, 20
HELD = PROMPT * INPUT + CAP * OUTPUT
PAID = 9 * INPUT + 3 * OUTPUT
SETTINGS = "[ledger]\nenabled = true"
SERVER = "workers = 4\ndrain_s = 1"


@pytest.mark.parametrize("transport", ["granian", "direct"])
@pytest.mark.timeout(60 + ROUNDS * 5)
def test_credit_for_ten_admits_ten_of_256_over_four_workers(tmp_path: Path, transport: str) -> None:
    with Whole(
        tmp_path, SETTINGS, server=SERVER, transport=transport, model=f"output_tokens_max = {CAP}"
    ) as gate:
        key = gate.key("party")
        gate.fund("party", CREDIT_FOR * HELD)
        for _ in range(ROUNDS):
            barrier = Barrier()
            gate.provider.default = barrier.step
            callers = [_send(gate, key) for _ in range(CALLERS)]
            try:
                found = _statuses(callers, CALLERS - CREDIT_FOR)
                until(lambda seen=barrier: seen.waiting == CREDIT_FOR)
                gate.background.call(barrier.open.set)
                found += _statuses(callers, CREDIT_FOR)
            finally:
                for caller in callers:
                    caller.close()
            assert found[200] == CREDIT_FOR == barrier.waiting
            assert found[402] + found[429] == CALLERS - CREDIT_FOR
            until(lambda: gate.balance("party")["held_microkpt"] == 0)
            assert gate.balance("party")["balance_microkpt"] == CREDIT_FOR * (HELD - PAID)
            gate.fund("party", CREDIT_FOR * PAID)


def _send(gate: Whole, key: str) -> socket.socket:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hello"}]}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\nconnection: close\r\n"
    return gate.open(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)


def _statuses(callers: list[socket.socket], count: int) -> Counter[int]:
    """The statuses of the next answers, so many; who was answered is asked no more."""
    found: Counter[int] = Counter()
    with selectors.DefaultSelector() as selector:
        for one in callers:
            selector.register(one, selectors.EVENT_READ)
        while found.total() < count:
            ready = selector.select(20)
            assert ready, f"only {found} of {count} were answered"
            for entry, _ in ready:
                one = entry.fileobj
                assert isinstance(one, socket.socket)
                selector.unregister(one)
                callers.remove(one)
                with one:
                    answer = one.recv(65536)
                assert answer, f"a caller was left without an answer after {found}"
                found[int(answer[9:12])] += 1
    return found
