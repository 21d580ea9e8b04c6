"""Real processes: limits that come out exact over workers, keys that end everywhere, workers that are killed."""

import http.client
import json
import os
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest

from kpgate.domain.limits import Limits
from tests.kit.gateway_process import TRANSPORTS, until
from tests.kit.provider import events, silence, stream
from tests.kit.whole import Whole

TWO = "workers = 2"

pytestmark = pytest.mark.parametrize("transport", TRANSPORTS)


def burst(gate: Whole, keys: list[str], calls: int) -> Counter[int]:
    """Many calls at once, each on a connection of its own; how often each status came."""
    with ThreadPoolExecutor(24) as pool:
        return Counter(pool.map(lambda number: gate.chat(keys[number % len(keys)])[0], range(calls)))


def workers(gate: Whole) -> list[int]:
    """The worker processes."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            if b"kpgate.app.worker" in words and parent == gate.process.pid:
                found.append(int(entry.name))
    return found


def test_limits_are_exact_over_workers_and_metrics_show_all_of_them(tmp_path: Path, transport: str) -> None:
    with Whole(tmp_path, server=TWO, transport=transport) as gate:
        one = gate.key("alone", Limits(requests="7/d"))
        assert burst(gate, [one], 40) == {200: 7, 429: 33}
        gate.party("shared", Limits(requests="9/d"))
        pair = [gate.key("shared"), gate.key("shared")]
        assert burst(gate, pair, 40) == {200: 9, 429: 31}
        assert gate.metric("kpgate_requests_total") == 80
        assert gate.metric("kpgate_workers") == 2
        assert gate.metric("kpgate_refusals_total") == 64


def test_concurrency_is_exact_and_comes_back(tmp_path: Path, transport: str) -> None:
    with Whole(tmp_path, server=TWO, transport=transport) as gate:
        key = gate.key(limits=Limits(concurrency=3))
        gate.script(*[silence() for _ in range(3)])
        connections: list[http.client.HTTPConnection] = []

        def hold() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=20)
            connections.append(connection)
            body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}]})
            connection.request("POST", "/v1/chat/completions", body, {"authorization": f"Bearer {key}"})

        for _ in range(3):
            hold()
        until(lambda: len(gate.provider.requests) == 3)
        status, headers, body = gate.chat(key)
        assert (status, body["error"]["code"]) == (429, "concurrency_limited")
        assert int(headers["retry-after-ms"]) > 0
        for connection in connections:
            connection.close()
        gate.settled()
        assert burst(gate, [key], 1) == {200: 1}


def test_waiting_as_told_admits(tmp_path: Path, transport: str) -> None:
    with Whole(tmp_path, server=TWO, transport=transport) as gate:
        key = gate.key(limits=Limits(requests="4/s", requests_burst=1))
        for _ in range(4):
            status, headers, _ = gate.chat(key)
            if status == 429:
                time.sleep(int(headers["retry-after-ms"]) / 1000)
                status, headers, _ = gate.chat(key)
            assert status == 200


def test_a_revoked_key_opens_nothing_on_any_worker(tmp_path: Path, transport: str) -> None:
    with Whole(tmp_path, server=TWO, transport=transport) as gate:
        for _ in range(5):
            key = gate.key()
            assert burst(gate, [key], 8) == {200: 8}
            gate.revoke(key)
            assert burst(gate, [key], 8) == {401: 8}


def test_keys_may_do_what_they_were_made_for(tmp_path: Path, transport: str) -> None:
    with Whole(
        tmp_path, server='workers = 1\ntrusted_proxies = ["127.0.0.1/32"]', transport=transport
    ) as gate:
        only = gate.key(models=("ech*",))
        assert gate.chat(only, "echo")[0] == 200
        assert gate.chat(only, "m")[2]["error"]["code"] == "model_not_allowed"
        placed = gate.key(networks=("10.0.0.0/8",))
        assert gate.chat(placed)[2]["error"]["code"] == "source_not_allowed"
        connection = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=20)
        headers = {"authorization": f"Bearer {placed}", "x-forwarded-for": "8.8.8.8, 10.1.2.3"}
        connection.request("GET", "/v1/models", headers=headers)
        assert connection.getresponse().status == 200
        connection.close()


def test_a_killed_worker_loses_its_calls_only_and_its_limits_come_back(
    tmp_path: Path, transport: str
) -> None:
    with Whole(tmp_path, server=TWO, transport=transport) as gate:
        key = gate.key(limits=Limits(concurrency=4))
        gate.script(*[silence() for _ in range(4)])
        sockets = []
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}]}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
        for _ in range(4):
            sockets.append(gate.open(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body))
        until(lambda: len(gate.provider.requests) == 4)
        assert gate.chat(key)[0] == 429
        for pid in workers(gate):
            os.kill(pid, signal.SIGKILL)
        for one in sockets:
            assert one.recv(1) == b""
            one.close()
        until(lambda: gate.chat(key)[0] == 200)
        assert burst(gate, [key], 4)[200] == 4
        assert len(workers(gate)) == 2


def test_calls_go_on_while_the_clerk_is_dead_or_the_store_is_locked(tmp_path: Path, transport: str) -> None:
    with Whole(tmp_path, transport=transport) as gate:
        warm, cold = gate.key(), gate.key()
        assert gate.chat(warm)[0] == 200
        store = apsw.Connection(str(gate.directory.store))
        store.set_busy_timeout(10_000)
        store.execute("BEGIN EXCLUSIVE")
        try:
            assert gate.chat(warm)[0] == 200
            assert gate.chat(cold)[0] in (200, 503), "a locked store is never a wrong key"
        finally:
            store.execute("ROLLBACK")
            store.close()
        clerks = [line for line in gate.said if line.get("process") == "clerk"]
        assert not clerks
        assert gate.chat(warm)[0] == 200
        assert gate.chat(gate.key())[0] == 200


def test_draining_ends_no_stream(tmp_path: Path, transport: str) -> None:
    with Whole(tmp_path, transport=transport) as gate:
        key = gate.key()
        count = 200
        gate.script(*[stream(events("a b c d e f g h"), every_s=0.1) for _ in range(count)])
        body = json.dumps(
            {"model": "m", "stream": True, "messages": [{"role": "user", "content": "x"}]}
        ).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
        sockets = [
            gate.open(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body) for _ in range(count)
        ]
        until(lambda: len(gate.provider.requests) == count)
        gate.signal(signal.SIGTERM)
        until(lambda: gate.get("/health/ready")[0] == 503)
        for one in sockets:
            received = b""
            while b"0\r\n\r\n" not in received:
                piece = one.recv(65_536)
                assert piece, "a stream was cut"
                received += piece
            assert b"[DONE]" in received
            one.close()
        assert gate.ended() == 0
        ends = Counter(record["end"] for record in gate.records() if record["stream"])
        assert ends == {"ok@respond": count}


def test_a_reload_is_whole_or_not_at_all(tmp_path: Path, transport: str) -> None:
    with Whole(tmp_path, server=TWO, transport=transport) as gate:
        admin, key = gate.key(role="admin"), gate.key()
        assert gate.chat(key, "later")[0] == 404
        more = '[[models]]\nname = "later"\ndeployments = [{provider = "p", model = "up"}]\n'
        gate.configure(gate.text(more, "", TWO))
        assert gate.post("/admin/v1/reload", admin, b"")[0] == 200
        assert burst(gate, [key], 8) == {200: 8}
        assert gate.chat(key, "later")[0] == 200
        gate.configure(gate.text('[[models]]\nname = "later"\n', "", TWO))
        status, _, said = gate.post("/admin/v1/reload", admin, b"")
        assert (status, said["error"]["code"]) == (400, "invalid_request")
        assert gate.chat(key, "later")[0] == 200
        assert gate.post("/admin/v1/reload", key, b"")[2]["error"]["code"] == "role_required"
