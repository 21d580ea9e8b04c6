"""What a call over Anthropic's dialect is charged, however it ends: as docs/charging.md has it for every dialect.

Both ways to a provider: an Anthropic caller whose bytes go through, and an OpenAI caller over the bridge; and an
Anthropic caller to a provider that speaks OpenAI. Prices are 2.5 and 10 dollars a million tokens: 250 and 1,000
microKPT a token; 500 where it is put into the provider's cache.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit.gateway_process import TRANSPORTS, until
from tests.kit.payer import Payer, read_until
from tests.kit.provider import answer, completion, events, stream
from tests.kit.vendors import anthropic as vendor
from tests.kit.vendors.server import INPUT, OUTPUT, VendorServer
from tests.kit.whole import Whole

IN, OUT, WRITE = 250, 1_000, 500
PAID = (INPUT - vendor.WRITTEN) * IN + vendor.WRITTEN * WRITE + OUTPUT * OUT
NATIVE, ACROSS = "/v1/messages", "/v1/chat/completions"
PROMPTS = {NATIVE: 7, ACROSS: 8}
"""Tokens of the prompt, as kpgate counts it in each dialect."""
ENDS = {NATIVE: b"message_stop", ACROSS: b"[DONE]"}
LENGTHS = {NATIVE: b'"stop_reason":"max_tokens"', ACROSS: b'"finish_reason":"length"'}
ASK: dict[str, Any] = {"max_tokens": 500, "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture(scope="module")
def claude() -> Iterator[VendorServer]:
    with VendorServer(vendor.answer) as server:
        yield server


@pytest.fixture(scope="module", params=TRANSPORTS)
def gate(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, claude: VendorServer
) -> Iterator[Whole]:
    more = "price = { input = 2.5, output = 10, cache_write = 5 }\noutput_tokens_max = 100\n"
    settings = "[ledger]\nenabled = true\n" + vendor.settings(claude.url, more)
    folder = tmp_path_factory.mktemp("charging")
    with Whole(folder, settings, transport=request.param, model="output_tokens_max = 100") as gate:
        yield gate


def held(path: str, dearest: int = WRITE) -> int:
    return -(-PROMPTS[path] * 115 // 100) * dearest + 100 * OUT


def whole(payer: Payer, path: str, model: str, **more: Any) -> tuple[int, dict[str, str], Any]:
    return payer.gate.post(path, payer.key, json.dumps(ASK | {"model": model} | more).encode())


def listen(payer: Payer, path: str, model: str, until: bytes) -> bytes:
    with payer.post(path, ASK | {"model": model, "stream": True}) as connection:
        return read_until(connection, until)


@pytest.mark.parametrize("path", [NATIVE, ACROSS])
@pytest.mark.parametrize("model", ["plain", "thinking", "tools"])
def test_the_same_call_costs_the_same_whole_and_streamed(gate: Whole, path: str, model: str) -> None:
    payer = Payer(gate)
    status, headers, _ = whole(payer, path, model)
    assert status == 200
    assert int(headers["x-kpgate-cost-microkpt"]) == payer.paid() == PAID
    assert b"x-kpgate-receipt: kp1-" in listen(payer, path, model, ENDS[path])
    assert payer.paid() == 2 * PAID


def test_the_same_over_openai(gate: Whole) -> None:
    payer = Payer(gate)
    status, headers, _ = whole(payer, NATIVE, "m")
    assert status == 200
    assert int(headers["x-kpgate-cost-microkpt"]) == payer.paid() == 9 * IN + 3 * OUT
    listen(payer, NATIVE, "m", b"message_stop")
    assert payer.paid() == 2 * (9 * IN + 3 * OUT)
    assert gate.provider.requests[-1].json()["max_completion_tokens"] == 100


@pytest.mark.parametrize("path", [NATIVE, ACROSS])
def test_the_held_cap_is_asked_for(gate: Whole, claude: VendorServer, path: str) -> None:
    payer = Payer(gate)
    whole(payer, path, "plain")
    assert claude.asked[-1].body["max_tokens"] == 100
    whole(payer, path, "plain", max_tokens=50)
    assert claude.asked[-1].body["max_tokens"] == 50
    whole(payer, path, "plain", max_tokens=None)
    assert claude.asked[-1].body["max_tokens"] == 100, "nobody gets more than is held for"
    assert payer.paid() == 3 * PAID


@pytest.mark.parametrize("path", [NATIVE, ACROSS])
@pytest.mark.parametrize("streamed", [False, True])
def test_where_the_provider_says_nothing_kpgate_s_count_is_charged(
    gate: Whole, path: str, streamed: bool
) -> None:
    payer = Payer(gate)
    if streamed:
        listen(payer, path, "unmetered", ENDS[path])
    else:
        assert whole(payer, path, "unmetered")[0] == 200
    assert payer.paid() in (PROMPTS[path] * IN + count * OUT for count in (4, 5, 6, 7))


@pytest.mark.parametrize("path", [NATIVE, ACROSS])
def test_a_stream_without_credit_ends_at_its_hold(gate: Whole, path: str) -> None:
    payer = Payer(gate, held(path))
    reply = listen(payer, path, "endless", ENDS[path])
    assert LENGTHS[path] in reply
    assert payer.paid_for(reply.count(b'"word "'), PROMPTS[path] * IN, OUT, held(path))
    if path == NATIVE:
        assert reply.count(b"event: content_block_stop") == 1 and reply.count(b"event: message_delta") == 1


def test_a_stream_of_openai_s_without_credit_ends_at_its_hold_in_anthropic_s_shape(gate: Whole) -> None:
    payer = Payer(gate, held(NATIVE, IN))
    endless = [event for event in events("word " * 400) if b"DONE" not in event and b'"stop"' not in event]
    gate.script(stream(endless, stall=True))
    reply = listen(payer, NATIVE, "m", b"message_stop")
    assert LENGTHS[NATIVE] in reply and reply.count(b"event: content_block_stop") == 1
    assert payer.paid_for(reply.count(b'"word'), PROMPTS[NATIVE] * IN, OUT, held(NATIVE, IN))


@pytest.mark.parametrize("path", [NATIVE, ACROSS])
def test_a_client_that_leaves_within_a_stream_pays_what_it_was_sent(gate: Whole, path: str) -> None:
    payer = Payer(gate)
    listen(payer, path, "stalled", b'", w')
    # "Hello" and ", wör" are of four or five tokens, by where they were counted.
    assert payer.paid() - PROMPTS[path] * IN in (4 * OUT, 5 * OUT)


@pytest.mark.parametrize("path", [NATIVE, ACROSS])
@pytest.mark.parametrize("model", ["cut", "early"])
def test_a_provider_that_breaks_off_is_paid_what_it_sent(gate: Whole, path: str, model: str) -> None:
    payer = Payer(gate)
    assert b'"Hello"' in listen(payer, path, model, b"error")
    assert payer.paid() == PROMPTS[path] * IN + 1 * OUT


@pytest.mark.parametrize("path", [NATIVE, ACROSS])
def test_a_provider_that_fails_before_a_word_is_paid_the_prompt_or_nothing(gate: Whole, path: str) -> None:
    payer = Payer(gate)
    begun = b" 200 OK" in listen(payer, path, "broken", b"Overloaded")
    assert payer.paid() == (PROMPTS[path] * IN if begun else 0), "by what had been sent on when it failed"


@pytest.mark.parametrize("path", [NATIVE, ACROSS])
@pytest.mark.parametrize(("model", "status"), [("error-400", 400), ("error-529", 502), ("error-429", 429)])
def test_what_the_provider_refuses_costs_nothing(gate: Whole, path: str, model: str, status: int) -> None:
    payer = Payer(gate)
    assert whole(payer, path, model)[0] == status
    assert whole(payer, path, model, stream=True)[0] == status
    assert payer.paid() == 0


def test_a_reply_that_makes_no_sense_costs_nothing_where_it_cannot_be_answered(gate: Whole) -> None:
    payer = Payer(gate)
    for model in ("malformed", "odd"):
        status, _, said = whole(payer, ACROSS, model)
        assert (status, said["error"]["code"]) == (502, "upstream_failed")
    gate.script(answer({"choices": "none"}))
    status, _, said = whole(payer, NATIVE, "m")
    assert (status, said["error"]["type"]) == (502, "api_error")
    told: Any = completion("")
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "no"}}
    told["choices"][0]["message"]["tool_calls"] = [call]
    gate.script(answer(told))
    assert whole(payer, NATIVE, "m")[0] == 502
    assert payer.paid() == 0


def test_what_kpgate_refuses_costs_nothing_and_says_so_in_shape(gate: Whole, claude: VendorServer) -> None:
    poor = Payer(gate, 1)
    seen = len(claude.asked)
    status, headers, said = whole(poor, NATIVE, "plain")
    assert (status, said["error"]["type"], headers["x-should-retry"]) == (402, "billing_error", "false")
    assert whole(poor, ACROSS, "plain", n=2)[0] == 402
    rich = Payer(gate)
    assert whole(rich, ACROSS, "plain", n=2)[0] == 400, "found out once it is held for, and given back"
    status, _, said = whole(rich, NATIVE, "plain", thinking={"type": "enabled", "budget_tokens": 200})
    assert (status, "thinking.budget_tokens" in said["error"]["message"]) == (400, True)
    assert (poor.paid(), rich.paid(), len(claude.asked)) == (0, 0, seen)


@pytest.mark.parametrize("model", ["plain", "m"])
def test_counting_costs_nothing_and_needs_no_credit(gate: Whole, model: str) -> None:
    poor = Payer(gate, 0)
    body = json.dumps({"model": model, "messages": ASK["messages"]}).encode()
    status, _, said = gate.post("/v1/messages/count_tokens", poor.key, body)
    assert (status, said) == (200, {"input_tokens": vendor.COUNTED if model == "plain" else PROMPTS[NATIVE]})
    assert poor.paid() == 0


def test_what_went_into_the_cache_is_counted_and_in_the_log(gate: Whole) -> None:
    def written() -> float:
        wanted = 'kpgate_tokens_total{model="plain",kind="cache_write"}'
        lines = gate.get("/metrics")[1].decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(wanted))

    payer, before = Payer(gate), written()
    _, headers, _ = whole(payer, NATIVE, "plain")
    call = headers["x-kpgate-receipt"]
    until(lambda: written() - before == vendor.WRITTEN)
    until(
        lambda: (
            [one["cache_write_tokens"] for one in gate.records() if one["receipt"] == call]
            == [vendor.WRITTEN]
        )
    )
