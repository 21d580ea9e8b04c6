"""Processes killed at random under load: nothing is lost, nothing is charged twice, and everything adds up.

`make sim SEED=... CYCLES=...` plays any history again: which process is killed when is the seed's.
"""

import http.client
import json
import os
import random
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import apsw
import pytest

from kpgate._fast.journal import HOLD, recover
from kpgate.app.ledger_cli import prove
from kpgate.app.node import Node
from kpgate.app.poster import SEGMENT_BYTES
from kpgate.domain.ledger import read_call, read_hold, read_hold_note
from kpgate.stores.standing import SqliteStanding
from tests.kit.gateway_process import until
from tests.kit.whole import Whole, pid_of

SEED = int(os.environ.get("SIM_SEED", "1"))
CYCLES = int(os.environ.get("SIM_CYCLES", "30"))
CALLERS = 6
SETTINGS = "[ledger]\nenabled = true\n[retries]\nmax = 0"
SERVER = "workers = 2\ndrain_s = 1"
STREAMED = 9 * 250 + 3 * 1_000
"""What a stream costs that ends well: the provider's usage, at the price of the model."""
Entry = tuple[int, int, bytes]


class Caller(threading.Thread):
    """Calls for ever, whole and streamed, and remembers what it was answered whole, and which calls broke off.

    Shape: `done` are (receipt, cost), `broken` the ids of requests whose answer did not come to its end.
    """

    def __init__(self, gate: Whole, key: str, seed: int) -> None:
        super().__init__(daemon=True)
        self.gate = gate
        self.key = key
        self.random = random.Random(seed)
        self.done: list[tuple[str, int]] = []
        self.broken: set[str] = set()
        self.sent = 0
        self.refused = 0
        self.over = False

    def run(self) -> None:
        while not self.over:
            streamed = self.random.random() < 0.4
            body = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "stream": streamed}
            connection = http.client.HTTPConnection("127.0.0.1", self.gate.port, timeout=10)
            try:
                self.sent += 1
                name = f"{self.name}-{self.sent}"
                self.broken.add(name)
                headers = {"authorization": f"Bearer {self.key}", "connection": "close", "x-request-id": name}
                connection.request("POST", "/v1/chat/completions", json.dumps(body).encode(), headers)
                reply = connection.getresponse()
                text = reply.read()
                if reply.status == 200 and (not streamed or text.endswith(b"data: [DONE]\n\n")):
                    cost = STREAMED if streamed else int(reply.getheader("x-kpgate-cost-microkpt") or -1)
                    self.done.append((reply.getheader("x-kpgate-receipt") or "", cost))
                    self.broken.remove(name)
                elif reply.status == 402:
                    self.refused += 1
                    self.broken.remove(name)
            except (OSError, http.client.HTTPException):
                pass
            finally:
                connection.close()


def entries_of(gate: Whole) -> list[Entry]:
    """What the journal's files say just now."""
    found: list[Entry] = []
    recover(gate.directory.root / "journal", 0, SEGMENT_BYTES, lambda more, end: found.extend(more))
    return found


def strike(gate: Whole, chance: random.Random, seen: dict[int, Entry]) -> str:
    """Kill somebody. What the journal says is kept before a new start may delete it."""
    whom = chance.choices(("worker", "clerk", "all", "supervisor"), (5, 3, 2, 1))[0]
    if whom in ("all", "supervisor"):
        if whom == "all":
            gate.kill_all()
        else:
            gate.process.kill()
            gate.process.wait()
        until(lambda: not Node(gate.directory.root).living())
        seen |= {entry[0]: entry for entry in entries_of(gate)}
        gate.again()
    else:
        pid = pid_of(gate, 0 if whom == "clerk" else chance.choice((1, 2)))
        if pid:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                return "nobody"
    return whom


@pytest.mark.timeout(60 + CYCLES * 6)
def test_whatever_is_killed_everything_adds_up(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    transport = chance.choice(("granian", "direct"))
    with Whole(
        tmp_path, SETTINGS, server=SERVER, transport=transport, model="output_tokens_max = 50"
    ) as gate:
        funded = [gate.key("rich"), gate.key("rich"), gate.key("other")]
        poor = gate.key("poor")
        gate.fund("rich", 10**12)
        gate.fund("other", 10**12)
        gate.fund("poor", 60_000)
        tokens = [gate.token(funded[0], 10**11), gate.token(funded[2], 120_000)]
        keys = [*funded, *tokens, funded[2], poor][: CALLERS + 1]
        callers = [Caller(gate, key, SEED * 100 + n) for n, key in enumerate(keys)]
        for one in callers:
            one.start()
        seen: dict[int, Entry] = {}
        killed: list[str] = []
        for _ in range(CYCLES):
            before = sum(len(one.done) for one in callers)
            wanted = before + chance.randrange(3, 40)
            _wait(lambda goal=wanted: sum(len(one.done) for one in callers) >= goal, killed)
            seen |= {entry[0]: entry for entry in entries_of(gate)}
            killed.append(strike(gate, chance, seen))
        until(lambda: gate.chat(funded[0])[0] == 200)
        for one in callers:
            one.over = True
        for one in callers:
            one.join()
        for party in ("rich", "other", "poor"):
            until(lambda name=party: gate.balance(name)["held_microkpt"] == 0)
        seen |= {entry[0]: entry for entry in entries_of(gate)}
        upstream = [request.headers.get("x-request-id", "") for request in gate.provider.requests]
        gate.signal(signal.SIGTERM)
        gate.ended()
        story = f"seed {SEED}, {transport}, {killed}"
        _prove(gate, callers, upstream, seen, story)


def _prove(
    gate: Whole, callers: list[Caller], upstream: list[str], seen: dict[int, Entry], story: str
) -> None:
    connection = apsw.Connection(str(gate.directory.store), flags=apsw.SQLITE_OPEN_READONLY)
    report, problems = prove(gate.directory)
    assert report.charges and not problems, (problems, story)
    with SqliteStanding(connection).at_one_instant() as standing:
        for caller in callers:
            for receipt, cost in caller.done:
                charge = standing.charge(read_call(receipt))
                assert charge is not None, f"{receipt} was answered and not charged: {story}"
                assert cost == charge.amount, f"{receipt} cost {cost}, charged {charge.amount}: {story}"
    answered = [receipt for caller in callers for receipt, _ in caller.done]
    assert len(set(answered)) == len(answered), "a call's id is never used again"
    held = {
        read_hold_note(read_hold(lsn, body).note).request_id
        for lsn, kind, body in seen.values()
        if kind == HOLD
    }
    assert len(answered) > CYCLES and callers[-1].refused
    asked = set(upstream) - {""}
    assert asked <= held, f"asked a provider without a hold: {story}"
    # Only for a call that was under way when somebody was killed, or that found nobody.
    broken = set().union(*(one.broken for one in callers))
    assert held - asked <= broken, f"held, and nobody was asked: {story}"


def _wait(holds: Callable[[], bool], killed: list[str]) -> None:
    deadline = monotonic() + 30
    while not holds():
        assert monotonic() < deadline, f"calls do not go on after {killed[-1:]}"
        threading.Event().wait(0.005)
