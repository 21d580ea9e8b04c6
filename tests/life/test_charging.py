"""docs/charging.md, row by row: what a call is charged, however it ends. Each through the whole gateway.

Prices are 2.5 and 10 dollars a million tokens: 250 and 1,000 microKPT a token.
"""

import asyncio
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kpgate.app.control import new_id
from kpgate.app.verify import problems, read
from kpgate.domain.limits import Limits
from kpgate.domain.money import SetCreditLine
from tests.kit.gateway_process import until
from tests.kit.payer import Payer, read_until
from tests.kit.provider import Talk, answer, chunk, completion, events, head, page, raw, silence, stream
from tests.kit.receipt_verifier import verify_receipt
from tests.kit.whole import Whole

INPUT, OUTPUT = 250, 1_000
HELLO = 8
"""Tokens of the prompt that `chat` sends, as kpgate counts them."""
HELD = -(-HELLO * 115 // 100) * INPUT + 100 * OUTPUT
"""The provider's model is not one whose tokens are counted exactly: hence the margin."""


LONG_MODELS = """
[[models]]
name = "stepped"
deployments = [{provider = "p", model = "up"}]
output_tokens_max = 100
price = { input = 2.5, output = 10, cached = 1, long_above = 9, long_input = 5, long_output = 15 }
[[models]]
name = "ample"
deployments = [{provider = "p", model = "up"}]
output_tokens_max = 12000
price = { input = 2.5, output = 10 }
[ledger]
enabled = true
"""


@pytest.fixture(scope="module", params=["granian", "direct"])
def gate(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    folder = tmp_path_factory.mktemp("whole")
    with Whole(
        folder,
        LONG_MODELS,
        server="workers = 2",
        transport=request.param,
        model="output_tokens_max = 100",
    ) as one:
        yield one


OWN = "[ledger]\nenabled = true\n[retries]\nmax = 0"


@pytest.fixture(params=["granian", "direct"])
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Whole]:
    with Whole(tmp_path, OWN, transport=request.param, model="output_tokens_max = 100") as one:
        yield one


def test_a_reply_costs_what_the_provider_says_it_used(gate: Whole) -> None:
    payer = Payer(gate)
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    gate.script(answer(completion() | {"usage": usage}))
    status, headers, _ = gate.chat(payer.key)
    assert status == 200
    assert int(headers["x-kpgate-cost-microkpt"]) == payer.paid() == 9 * INPUT + 3 * OUTPUT
    assert gate.provider.requests[-1].json()["max_completion_tokens"] == 100


def test_a_stream_costs_what_the_provider_says_it_used(gate: Whole) -> None:
    payer = Payer(gate)
    with payer.send(stream=True) as connection:
        reply = read_until(connection, b"[DONE]")
    assert b"x-kpgate-receipt: kp1-" in reply and b"usage" not in reply
    assert payer.paid() == 9 * INPUT + 3 * OUTPUT


@pytest.mark.parametrize("streamed", [False, True])
def test_where_the_provider_says_nothing_kpgate_s_count_is_charged(gate: Whole, streamed: bool) -> None:
    payer = Payer(gate)
    if streamed:
        gate.script(stream(events("one two three")))
        with payer.send(stream=True) as connection:
            read_until(connection, b"[DONE]")
        # The provider sends the words without the spaces between them: "onetwothree" is four tokens, but three
        # where "one" had come before the rest.
        assert payer.paid() - HELLO * INPUT in (3 * OUTPUT, 4 * OUTPUT)
    else:
        told = completion("one two three")
        del told["usage"]
        gate.script(answer(told))
        assert gate.chat(payer.key)[0] == 200
        assert payer.paid() == HELLO * INPUT + 3 * OUTPUT


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("prompt", "cached", "cost"),
    [(9, 0, 9 * 250 + 3 * 1_000), (10, 0, 10 * 500 + 3 * 1_500), (10, 4, 6 * 500 + 4 * 200 + 3 * 1_500)],
)
def test_a_long_prompt_s_call_costs_what_long_calls_do(
    gate: Whole, prompt: int, cached: int, cost: int, streamed: bool
) -> None:
    payer = Payer(gate)
    told = completion("one two three", prompt, 3)
    told["usage"]["prompt_tokens_details"] = {"cached_tokens": cached}
    if streamed:
        said = [event for event in events("one two three") if b"DONE" not in event]
        last = b'data: {"choices":[],"usage":' + json.dumps(told["usage"]).encode() + b"}\n\n"
        gate.script(stream([*said, last, b"data: [DONE]\n\n"]))
        with payer.send(model="stepped", stream=True) as connection:
            reply = read_until(connection, b"[DONE]")
        call = reply.partition(b"x-kpgate-receipt: ")[2].partition(b"\r")[0].decode()
    else:
        gate.script(answer(told))
        status, headers, _ = gate.chat(payer.key, "stepped")
        assert status == 200 and int(headers["x-kpgate-cost-microkpt"]) == cost
        call = headers["x-kpgate-receipt"]
    assert payer.paid() == cost
    shown = payer.receipt(call)
    assert not list(problems(read(shown), "")), "kpgate verify"  # type: ignore[arg-type]
    verify_receipt(shown, "")


def test_a_hold_is_for_the_step_that_a_prompt_may_reach(gate: Whole) -> None:
    # Eight tokens and their margin are ten, which the step is for.
    held = 10 * 500 + 100 * 1_500
    poor, payer = Payer(gate, held - 1), Payer(gate, held)
    assert gate.chat(poor.key, "stepped")[0] == 402
    gate.script(answer(completion("one", 500, 5_000)))
    assert gate.chat(payer.key, "stepped")[0] == 200
    assert payer.paid() == held, "no more than was held"


@pytest.mark.parametrize("at_once", [False, True])
def test_a_long_prompt_s_stream_is_metered_by_what_long_calls_cost(gate: Whole, at_once: bool) -> None:
    long = [{"role": "user", "content": "hello " * 20}]
    payer = Payer(gate)
    with payer.send(model="stepped", stream=True, messages=long) as connection:
        read_until(connection, b"[DONE]")
    until(lambda: any(one["party"] == payer.name for one in gate.records()))
    prompt = next(one["prompt_tokens"] for one in gate.records() if one["party"] == payer.name)
    held = -(-prompt * 115 // 100) * 500 + 100 * 1_500
    payer = Payer(gate, held)
    endless = [event for event in events("word " * 400) if b"DONE" not in event and b'"stop"' not in event]
    fields = {"content-type": "text/event-stream", "transfer-encoding": "chunked"}
    burst = raw(head(200, fields) + b"".join(map(chunk, endless)), stall=True)
    gate.script(burst if at_once else stream(endless, stall=True))
    with payer.send(model="stepped", stream=True, messages=long) as connection:
        reply = read_until(connection, b"[DONE]")
    assert b'"finish_reason":"length"' in reply
    words = reply.count(b'"content": "word"')
    assert payer.paid() == prompt * 500 + words * 1_500
    # Were they metered by the price of short calls, half as many more would have been sent on.
    assert 0 < words <= (held - prompt * 500) // 1_500


def test_embeddings_are_charged_by_the_same_path(gate: Whole) -> None:
    payer = Payer(gate)
    body = json.dumps({"model": "m", "input": "hello"}).encode()
    assert gate.post("/v1/embeddings", payer.key, body)[0] == 200
    assert payer.paid() == 2 * INPUT


def test_what_kpgate_refuses_costs_nothing(gate: Whole) -> None:
    poor = Payer(gate, 1)
    seen = len(gate.provider.requests)
    status, _, body = gate.chat(poor.key)
    assert (status, body["error"]["code"]) == (402, "insufficient_credit")
    assert gate.chat(Payer(gate).key, "nobody's")[0] == 404
    assert poor.paid() == 0
    assert len(gate.provider.requests) == seen


@pytest.mark.parametrize(
    ("steps", "status"),
    [
        ([page(503), page(503)], 502),
        ([page(500), page(503)], 502),
        ([answer({"error": {"message": "no"}}, status=400)], 400),
        ([answer({"error": {"message": "no"}}, status=429)], 429),
    ],
)
def test_where_nobody_answers_nothing_is_charged(gate: Whole, steps: list[Any], status: int) -> None:
    payer = Payer(gate)
    gate.script(*steps)
    assert gate.chat(payer.key)[0] == status
    assert payer.paid() == 0


def test_a_deadline_before_the_first_byte_costs_nothing(tmp_path: Path) -> None:
    gate = Whole(tmp_path, OWN)
    named = 'api_key = "env:KPGATE_TEST_UPSTREAM"'
    gate.configure(gate.text(OWN).replace(named, f"{named}\ntimeouts = {{ first_byte_s = 0.3 }}"))
    with gate:
        payer = Payer(gate)
        gate.script(silence())
        assert gate.chat(payer.key)[0] == 504
        assert payer.paid() == 0


def test_a_call_that_was_tried_twice_is_charged_once(gate: Whole) -> None:
    payer = Payer(gate)
    gate.script(page(503))
    status, headers, _ = gate.chat(payer.key)
    assert (status, headers["x-kpgate-attempts"]) == (200, "2")
    assert payer.paid() == 9 * INPUT + 3 * OUTPUT


@pytest.mark.parametrize("streamed", [False, True])
def test_a_client_that_leaves_before_the_first_byte_pays_its_prompt(gate: Whole, streamed: bool) -> None:
    payer = Payer(gate)
    seen = len(gate.provider.requests)
    gate.script(silence())
    connection = payer.send(stream=streamed)
    until(lambda: len(gate.provider.requests) == seen + 1)
    connection.close()
    assert payer.paid() == HELLO * INPUT


def test_a_client_that_leaves_within_a_stream_pays_what_it_was_sent(gate: Whole) -> None:
    payer = Payer(gate)
    gate.script(stream(events("one two three")[:2], stall=True))
    connection = payer.send(stream=True)
    read_until(connection, b"two")
    connection.close()
    assert payer.paid() == HELLO * INPUT + 2 * OUTPUT


@pytest.mark.parametrize("how", [{"cut": True}, {"reset": True}])
def test_a_provider_that_breaks_off_is_paid_what_it_sent(gate: Whole, how: dict[str, bool]) -> None:
    payer = Payer(gate)
    gate.script(stream(events("one two three")[:2], **how))
    with payer.send(stream=True) as connection:
        assert b"upstream_failed" in read_until(connection, b"error")
    assert payer.paid() == HELLO * INPUT + 2 * OUTPUT


@pytest.mark.parametrize("how", [{"cut": True}, {"reset": True}])
def test_a_stream_that_breaks_off_before_its_first_event_costs_nothing(
    gate: Whole, how: dict[str, bool]
) -> None:
    payer = Payer(gate)
    gate.script(stream([], **how), stream([], **how))
    with payer.send(stream=True) as connection:
        assert b" 502 " in read_until(connection, b"upstream_failed")
    assert payer.paid() == 0


def test_a_stream_that_broke_off_unseen_may_be_answered_whole_by_the_next_attempt(gate: Whole) -> None:
    payer = Payer(gate)
    gate.script(stream([], cut=True), answer(completion()))
    with payer.send(stream=True) as connection:
        reply = read_until(connection, b"completion_tokens")
    assert b"x-kpgate-attempts: 2" in reply and b"Hello there." in reply
    assert payer.paid() == 9 * INPUT + 3 * OUTPUT


def test_what_a_provider_uses_beyond_the_hold_is_the_house_s(gate: Whole) -> None:
    payer = Payer(gate)
    gate.script(answer(completion(completion_tokens=5_000)))
    status, headers, _ = gate.chat(payer.key)
    assert status == 200
    assert int(headers["x-kpgate-cost-microkpt"]) == payer.paid() == HELD


@pytest.mark.parametrize("more", [0, 1, 40, 200, 255, 300])
def test_a_stream_that_passes_its_hold_goes_on_to_the_last_of_its_credit(gate: Whole, more: int) -> None:
    funds = HELD + more * OUTPUT
    payer = Payer(gate, funds)
    endless = [event for event in events("word " * 500) if b"DONE" not in event and b'"stop"' not in event]
    gate.script(stream(endless, stall=True))
    with payer.send(stream=True) as connection:
        reply = read_until(connection, b"[DONE]")
    assert b'"finish_reason":"length"' in reply
    words = reply.count(b'"content": "word"')
    # A piece of a stream is 2 KiB at most.
    piece = 2048 // min(map(len, endless))
    assert 100 + more - piece <= words <= 100 + more
    assert payer.paid() == HELLO * INPUT + words * OUTPUT <= funds


def test_of_a_stream_that_is_ended_at_its_hold_the_provider_s_word_is_charged_where_it_came(
    gate: Whole,
) -> None:
    payer = Payer(gate, HELD)
    told = [event for event in events("word " * 400) if b"DONE" not in event and b'"stop"' not in event]
    used = {"prompt_tokens": 9, "completion_tokens": 47}
    told.insert(50, b"data: " + json.dumps({"choices": [], "usage": used}).encode() + b"\n\n")
    gate.script(stream(told, stall=True))
    with payer.send(stream=True) as connection:
        assert b'"finish_reason":"length"' in read_until(connection, b"[DONE]")
    assert payer.paid() == 9 * INPUT + 47 * OUTPUT


def test_a_long_stream_ends_at_its_hold_as_a_short_one_does(gate: Whole) -> None:
    held = -(-HELLO * 115 // 100) * INPUT + 12_000 * OUTPUT
    payer = Payer(gate, held)
    told = events(" ".join(["word~" * 60] * 300))[:300]
    gate.script(stream([event.replace(b"~", b" ") for event in told], stall=True))
    with payer.send(model="ample", stream=True) as connection:
        reply = read_until(connection, b"[DONE]")
    assert b'"finish_reason":"length"' in reply
    assert payer.paid_for(reply.count(b"word"), HELLO * INPUT, OUTPUT, held)


def test_a_stream_goes_on_beyond_its_hold_while_there_is_credit(gate: Whole) -> None:
    payer = Payer(gate)
    gate.script(stream(events("word " * 399 + "end")))
    with payer.send(stream=True) as connection:
        reply = read_until(connection, b"[DONE]")
    assert b"end" in reply and b'"finish_reason":"length"' not in reply
    assert payer.paid() >= HELLO * INPUT + 400 * OUTPUT


@pytest.mark.parametrize("whose", ["another's", "its party's", "its own"])
def test_a_change_of_keys_ends_a_stream_that_needs_more_only_where_its_own_is_revoked(
    gate: Whole, whose: str
) -> None:
    payer = Payer(gate)
    told, changed = events("word " * 399 + "end"), threading.Event()

    async def step(talk: Talk) -> None:
        await talk.rest_of_body()
        await talk.send(head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"}))
        await talk.send(b"".join(map(chunk, told[:20])))
        await asyncio.to_thread(changed.wait, 30)
        await talk.send(b"".join(map(chunk, told[20:])) + chunk(b""))

    gate.script(step)
    with payer.send(stream=True) as connection:
        reply = read_until(connection, b"word")
        if whose == "its own":
            gate.revoke(payer.key)
        elif whose == "another's":
            gate.key(f"{payer.name}-other")
        else:
            gate.party(payer.name, Limits(requests="1000/min"))
        changed.set()
        reply += read_until(connection, b"[DONE]")
    ended = b'"finish_reason":"length"' in reply
    assert ended == (whose == "its own") == (b'"end"' not in reply)
    if ended:
        assert payer.paid_for(reply.count(b'"content": "word"'), HELLO * INPUT, OUTPUT, HELD)


def test_a_credit_line_is_spent_to_its_end_and_no_further(gate: Whole) -> None:
    payer = Payer(gate, 0)
    assert gate.chat(payer.key)[0] == 402
    with gate.desk() as ask:
        ask(SetCreditLine(id=new_id(), party=payer.name, line=2 * (100 * OUTPUT + 10 * INPUT)))
    until(lambda: gate.chat(payer.key)[0] == 200)
    while gate.chat(payer.key)[0] == 200:
        pass
    assert gate.chat(payer.key)[2]["error"]["code"] == "insufficient_credit"
    assert 0 < payer.paid() <= 2 * (100 * OUTPUT + 10 * INPUT)


def workers(gate: Whole) -> list[int]:
    folder = gate.directory.run
    return [int(path.read_text()) for path in folder.glob("*.life") if path.stem != "0" and path.read_text()]


def test_a_call_of_a_worker_that_died_costs_what_was_metered(own: Whole) -> None:
    silent, streaming = Payer(own), Payer(own)
    own.script(silence())
    one = silent.send()
    until(lambda: len(own.provider.requests) == 1)
    own.script(stream(events("word " * 4_000), stall=True))
    two = streaming.send(stream=True)
    got = 0
    while got < 200_000:
        got += len(two.recv(65536))
    for pid in workers(own):
        os.kill(pid, signal.SIGKILL)
    one.close()
    two.close()
    assert silent.paid() == 0
    paid = streaming.paid()
    assert HELLO * INPUT < paid <= HELLO * INPUT + 4_100 * OUTPUT


def test_when_all_processes_died_calls_cost_what_the_journal_says(tmp_path: Path) -> None:
    settings = "[ledger]\nenabled = true"
    with Whole(tmp_path, settings, model="output_tokens_max = 100") as gate:
        payer = Payer(gate)
        assert gate.chat(payer.key)[0] == 200
        gate.script(silence())
        open_call = payer.send()
        until(lambda: len(gate.provider.requests) == 2)
        gate.kill_all()
        open_call.close()
        gate.again()
        assert payer.paid() == 9 * INPUT + 3 * OUTPUT
        assert gate.chat(payer.key)[0] == 200


def test_a_drain_that_is_over_charges_what_was_sent(tmp_path: Path) -> None:
    settings = "[ledger]\nenabled = true"
    with Whole(
        tmp_path, settings, server="workers = 1\ndrain_s = 0.2", model="output_tokens_max = 100"
    ) as gate:
        payer = Payer(gate)
        gate.script(stream(events("one two three")[:2], stall=True))
        connection = payer.send(stream=True)
        read_until(connection, b"two")
        gate.signal(signal.SIGTERM)
        assert b"draining" in read_until(connection, b"error")
        connection.close()
        gate.ended()
        assert payer.paid() == HELLO * INPUT + 2 * OUTPUT


def test_raw_bytes_that_are_no_reply_cost_nothing(gate: Whole) -> None:
    payer = Payer(gate)
    gate.script(raw(b"nonsense\r\n\r\n"), page(503))
    assert gate.chat(payer.key)[0] == 502
    assert payer.paid() == 0
