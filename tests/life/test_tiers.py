"""What a tier says of its parties is so on the next call, on every worker: models, limits, price, order."""

import asyncio
import json
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from kpgate.app.control import new_id
from kpgate.domain.limits import Limits
from kpgate.domain.management import DeleteTier, SetParty, SetTier
from kpgate.domain.money import SetCreditLine, ShowHolds
from tests.kit.gateway_process import TRANSPORTS, read_all, request, until
from tests.kit.provider import Talk, answer, completion
from tests.kit.whole import Whole

SETTINGS = "[ledger]\nenabled = true"
PAID = 9 * 250 + 3 * 1_000
BODY = json.dumps(
    {"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 9}
).encode()


def tier(gate: Whole, name: str, **terms: Any) -> None:
    with gate.desk() as ask:
        ask(SetTier(id=new_id(), tier=name, **terms))


def join(gate: Whole, party: str, name: str) -> None:
    with gate.desk() as ask:
        ask(SetParty(id=new_id(), party=party, tier=name))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_tier_s_terms_hold_from_the_next_call_on_every_worker(tmp_path: Path, transport: str):
    with Whole(tmp_path, SETTINGS, server="workers = 2", transport=transport) as gate:
        gate.provider.default = answer(completion())
        key = gate.key("party")
        gate.fund("party", 10**9)

        def paid() -> int:
            before = gate.balance("party")["balance_microkpt"]
            assert gate.chat(key)[0] == 200
            return int(before - gate.balance("party")["balance_microkpt"])

        assert paid() == PAID
        tier(gate, "half", price_factor=5_000)
        join(gate, "party", "half")
        # Connections of its own each: both workers are met.
        assert {paid() for _ in range(8)} == {PAID // 2}
        tier(gate, "half", price_factor=3_333)
        # 5,250 at 33.33 % is 1,749.825: rounded upwards, once.
        assert {paid() for _ in range(8)} == {1_750}
        tier(gate, "half", models=("echo*",))
        for _ in range(8):
            status, _, said = gate.chat(key)
            assert (status, said["error"]["code"]) == (403, "model_not_allowed")
        assert "half" in said["error"]["message"]
        assert gate.chat(key, "echo", max_tokens=5)[0] == 200
        tier(gate, "half", limits=Limits(requests="1/d"))
        found = [gate.chat(key)[0] for _ in range(4)]
        assert sorted(found) == [200, 429, 429, 429]
        gate.party("party", Limits(concurrency=9))
        assert gate.chat(key)[0] == 200, "its own limits come before its tier's"
        join(gate, "party", "")
        assert paid() == PAID
        with gate.desk() as ask:
            assert ask(DeleteTier(id=new_id(), tier="half"))["name"] == "half"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_gate_asks_for_a_balance_where_it_is_held_from(tmp_path: Path, transport: str):
    least = 1_000_000
    with Whole(
        tmp_path, SETTINGS, transport=transport, model="holding_min_kpt = 1\noutput_tokens_max = 20"
    ) as gate:
        gate.provider.default = answer(completion())
        key = gate.key("party")
        gate.fund("party", least - 1)
        status, _, said = gate.chat(key)
        assert (status, said["error"]["code"]) == (403, "holding_too_small")
        assert said["error"]["message"].startswith("1 microKPT more ")
        assert not gate.provider.requests and gate.balance("party")["held_microkpt"] == 0
        with gate.desk() as ask:
            ask(SetCreditLine(id=new_id(), party="party", line=5 * least))
        assert gate.chat(key)[0] == 403, "what may be owed is not what is had"
        gate.fund("party", 1)
        assert gate.chat(key)[0] == 200
        assert gate.chat(key)[0] == 403, "it has paid for the call before"
        assert gate.chat(key, "echo", max_tokens=5)[0] == 200
        tier(gate, "whale", holding_min_microkpt=2 * least)
        join(gate, "party", "whale")
        status, _, said = gate.chat(key, "echo", max_tokens=5)
        assert (status, said["error"]["code"]) == (403, "holding_too_small")
        gate.fund("party", 2 * least)
        assert gate.chat(key, "echo", max_tokens=5)[0] == 200
        with gate.desk() as ask:
            assert ask(ShowHolds(id=new_id()))["holds"] == []


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_calls_under_way_hold_is_listed(tmp_path: Path, transport: str):
    may_end = asyncio.Event()

    async def late(talk: Talk) -> None:
        await talk.rest_of_body()
        await may_end.wait()
        await answer(completion())(talk)

    with Whole(tmp_path, SETTINGS, server="workers = 2", transport=transport) as gate, ExitStack() as sockets:
        gate.provider.default = late
        key = gate.key("party")
        gate.fund("party", 10**9)
        head = f"authorization: Bearer {key}"
        calls = [
            sockets.enter_context(gate.open(request("/v1/chat/completions", head, body=BODY)))
            for _ in range(3)
        ]
        until(lambda: len(gate.provider.requests) == 3)
        with gate.desk() as ask:
            first = ask(ShowHolds(id=new_id(), count=2))
            rest = ask(ShowHolds(id=new_id(), after=first["after"]))
        holds = first["holds"] + rest["holds"]
        assert len({one["call"] for one in holds}) == 3 and rest["after"] is None
        assert {(one["party"], one["is_sent"]) for one in holds} == {("party", True)}
        assert sum(one["amount_microkpt"] for one in holds) == gate.balance("party")["held_microkpt"]
        gate.background.call(may_end.set)
        for call in calls:
            assert read_all(call).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_of_those_who_wait_for_a_place_the_higher_tier_is_served_first(tmp_path: Path, transport: str):
    order: list[str] = []
    may_end = {name: asyncio.Event() for name in ("first", "second", "low", "lower", "high")}

    async def late(talk: Talk) -> None:
        await talk.rest_of_body()
        user = json.loads(talk.request.body)["user"]
        order.append(user)
        await may_end[user].wait()
        await answer(completion())(talk)

    server = "workers = 1\ninflight_max = 2\nqueue_wait_s = 20"
    with Whole(tmp_path, server=server, transport=transport) as gate, ExitStack() as sockets:
        gate.provider.default = late
        tier(gate, "low", priority=1)
        tier(gate, "high", priority=8)
        keys = {name: gate.key(name) for name in ("low", "high")}
        for name in keys:
            join(gate, name, name)
        calls: dict[str, socket.socket] = {}
        for name in may_end:
            sent = json.dumps(json.loads(BODY) | {"user": name}).encode()
            key = keys["high" if name == "high" else "low"]
            one = gate.open(request("/v1/chat/completions", f"authorization: Bearer {key}", body=sent))
            calls[name] = sockets.enter_context(one)
            if name != "high":
                until(lambda: gate.metric("kpgate_inflight") == len(calls))
        # The queue is as long as there are places: the last of the low tier had to go.
        assert read_all(calls.pop("lower")).startswith(b"HTTP/1.1 503 ")
        for ended, served in (("first", "high"), ("second", "low")):
            gate.background.call(may_end[ended].set)
            until(lambda wanted=served: order[-1:] == [wanted])
        for event in may_end.values():
            gate.background.call(event.set)
        for call in calls.values():
            assert read_all(call).startswith(b"HTTP/1.1 200 ")
        assert sorted(order[:2]) == ["first", "second"] and order[2:] == ["high", "low"]
