"""Alerts over a whole gateway: told once, signed, again until they are taken in, whoever dies meanwhile."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from time import time
from typing import Any

import pytest

from kpgate.app.config import load
from kpgate.app.control import new_id
from kpgate.domain.money import SetBudget
from kpgate.domain.secret import Secret
from kpgate.domain.webhook import Source, check
from tests.kit.gateway_process import until
from tests.kit.whole import Whole, pid_of

SECRET = "a secret that alerts are signed with"
SOURCE = Source("kpgate", (Secret(SECRET),), 300_000_000)


class Receiver:
    """Somebody who wants to be told; `answers` are statuses, 0 for never, the last one for ever."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.got: list[dict[str, Any]] = []
        self.refused: list[dict[str, Any]] = []
        self.let_go = Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = [(name.lower().encode(), value.encode()) for name, value in self.headers.items()]
                check(SOURCE, headers, body, int(time() * 1_000_000))
                said = json.loads(body)
                assert said["id"] == self.headers["webhook-id"]
                status = receiver.answers.pop(0) if len(receiver.answers) > 1 else receiver.answers[0]
                (receiver.got if status == 200 else receiver.refused).append(said)
                if status == 0:
                    receiver.let_go.wait(30)
                    return
                self.send_response(status)
                if status == 302:
                    self.send_header("location", "/elsewhere")
                self.end_headers()

            def do_GET(self) -> None:
                raise AssertionError("no redirect is followed")

            def log_message(self, *said: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/kpgate"
        self._thread = Thread(target=self._server.serve_forever)
        self._thread.start()

    def stop(self) -> None:
        self.let_go.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def receiving(*answers: int) -> Iterator[Receiver]:
    receiver = Receiver(*answers)
    try:
        yield receiver
    finally:
        receiver.stop()


def settings(url: str) -> str:
    os.environ["ALERTS_SECRET"] = SECRET
    return f'[ledger]\nenabled = true\n[alerts]\nurl = "{url}"\nsecret = "env:ALERTS_SECRET"\n'


def cap(gate: Whole, **fields: Any) -> None:
    with gate.desk() as ask:
        ask(SetBudget(id=new_id(), **fields))


def cost_of_one(gate: Whole, key: str) -> int:
    return int(gate.chat(key, "echo", max_tokens=5)[1]["x-kpgate-cost-microkpt"])


def told(receiver: Receiver, **wanted: Any) -> list[int]:
    return [
        said["threshold_percent"]
        for said in receiver.got
        if all(said[name] == value for name, value in wanted.items())
    ]


def test_each_threshold_is_told_once_a_budget_and_again_where_the_cap_is_another(tmp_path: Path):
    with receiving(200) as receiver, Whole(tmp_path, settings(receiver.url), server="workers = 2") as gate:
        gate.fund("acme", 10**9)
        key = gate.key("acme")
        one = cost_of_one(gate, key)
        key_id = key.split("-")[2]
        cap(gate, party="acme", day=one * 20)
        cap(gate, key=key_id, total=one * 100)
        for _ in range(8):
            cost_of_one(gate, key)
        # The party's day has nine calls of twenty, the key's budget began with its cap.
        assert receiver.got == []
        cost_of_one(gate, key)
        cost_of_one(gate, key)
        until(lambda: told(receiver, party="acme") == [50])
        while gate.chat(key, "echo", max_tokens=5)[0] == 200:
            pass
        # Refused is what could cost more than is left, so that 100 % may never be.
        until(lambda: len(told(receiver, party="acme")) >= 2)
        assert told(receiver, party="acme") == [50, 80, 95, 100][: len(told(receiver, party="acme"))]
        said = receiver.got[0]
        assert (said["type"], said["period"], said["cap_microkpt"]) == ("budget.threshold", "day", one * 20)
        assert len(said["window"]) == 10 and said["used_microkpt"] * 2 >= said["cap_microkpt"]
        cap(gate, party="acme", day=one * 38)
        cost_of_one(gate, key)
        until(lambda: len(told(receiver, cap_microkpt=one * 38)) >= 1)
        assert told(receiver, cap_microkpt=one * 38) == [50]
        assert len({one["id"] for one in receiver.got}) == len(receiver.got)
        until(lambda: any(said.get("clerk") == "budget_threshold" for said in gate.said))


def test_an_alert_is_sent_until_it_is_taken_in_and_is_the_same_one(tmp_path: Path):
    with receiving(500, 302, 200) as receiver, Whole(tmp_path, settings(receiver.url)) as gate:
        gate.fund("acme", 10**9)
        key = gate.key("acme")
        cap(gate, party="acme", month=cost_of_one(gate, key) * 10)
        for _ in range(5):
            cost_of_one(gate, key)
        until(lambda: len(receiver.got) == 1)
        assert [one["id"] for one in receiver.refused] == [receiver.got[0]["id"]] * 2
        assert receiver.refused[0] == receiver.got[0] and receiver.got[0]["window"].count("-") == 1
        until(lambda: any(said.get("clerk") == "alert_failed" for said in gate.said))


def half_spent(gate: Whole) -> str:
    """A budget that is half used, and a key that uses it."""
    gate.fund("acme", 10**9)
    key = gate.key("acme")
    cap(gate, party="acme", total=cost_of_one(gate, key) * 4)
    cost_of_one(gate, key)
    cost_of_one(gate, key)
    return key


def test_a_receiver_that_hangs_holds_up_no_call_no_change_and_no_end(tmp_path: Path):
    with receiving(0) as receiver:
        with Whole(tmp_path, settings(receiver.url)) as gate:
            key = half_spent(gate)
            until(lambda: len(receiver.refused) == 1)
            cap(gate, party="acme", total=10**9)
            assert cost_of_one(gate, key) > 0
            gate.fund("acme", 5)
            gate.signal(signal.SIGTERM)
            assert gate.ended() == 0
        assert receiver.got == []


def test_a_clerk_that_is_killed_before_it_is_taken_in_tells_it_after(tmp_path: Path):
    with receiving(503, 503, 200) as receiver, Whole(tmp_path, settings(receiver.url)) as gate:
        half_spent(gate)
        until(lambda: len(receiver.refused) == 1)
        before = pid_of(gate, 0)
        os.kill(before, signal.SIGKILL)
        until(lambda: pid_of(gate, 0) not in (0, before))
        until(lambda: len(receiver.got) >= 1)
        assert receiver.got[0] == receiver.refused[0]
        assert (receiver.got[0]["period"], receiver.got[0]["window"]) == ("total", "")


def test_a_cap_that_is_lowered_below_what_is_used_is_told_of_without_another_call(tmp_path: Path):
    with receiving(200) as receiver, Whole(tmp_path, settings(receiver.url)) as gate:
        half_spent(gate)
        until(lambda: told(receiver) == [50])
        used = receiver.got[0]["used_microkpt"]
        cap(gate, party="acme", total=used)
        until(lambda: sorted(told(receiver, cap_microkpt=used)) == [50, 80, 95, 100])


def test_a_balance_that_runs_low_is_told_by_webhook_and_log_and_anew_after_a_top_up(tmp_path: Path):
    more = "balances_microkpt = [1000000]\n"
    with receiving(200) as receiver, Whole(tmp_path, settings(receiver.url) + more) as gate:
        gate.fund("acme", 1_000_000)
        key = gate.key("acme")
        one = cost_of_one(gate, key)
        until(lambda: len(receiver.got) == 1)
        said = receiver.got[0]
        assert (said["type"], said["party"], said["threshold_microkpt"]) == (
            "balance.threshold",
            "acme",
            1_000_000,
        )
        assert said["left_microkpt"] == said["balance_microkpt"] == 1_000_000 - one
        cost_of_one(gate, key)
        gate.fund("acme", 2 * one - 1)
        until(lambda: len(receiver.got) == 2)
        assert receiver.got[1]["left_microkpt"] == 999_999
        assert receiver.got[0]["id"] != receiver.got[1]["id"]
        until(lambda: [said.get("clerk") for said in gate.said].count("balance_threshold") == 2)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('url = "https://a.example"', "go together"),
        ('secret = "env:ALERTS_SECRET"', "go together"),
        ('url = "ftp://a.example"\nsecret = "env:ALERTS_SECRET"', "url"),
        ('url = "https://a.example"\nsecret = "canary in clear"', "never in clear"),
        ('url = "https://a.example"\nsecret = "env:ALERTS_EMPTY"', "shorter than 24 bytes"),
        ("thresholds = [0]", "thresholds"),
        ("thresholds = [101]", "thresholds"),
        ("balances_microkpt = [0]", "balances_microkpt"),
        (f"balances_microkpt = [{1 << 53}]", "balances_microkpt"),
    ],
)
def test_what_is_configured_wrongly_is_named(tmp_path: Path, written: str, said: str):
    file = tmp_path / "kpgate.toml"
    file.write_text(f"[alerts]\n{written}\n")
    found = " ".join(
        f"{problem}" for problem in load(file, {"ALERTS_SECRET": SECRET, "ALERTS_EMPTY": "whsec_"}).problems
    )
    assert said in found and "canary" not in found
