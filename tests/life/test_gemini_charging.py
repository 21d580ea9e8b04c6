"""What a call of Gemini's is charged, however it ends: as docs/charging.md has it for every dialect.

Prices are 2.5 and 10 dollars a million tokens: 250 and 1,000 microKPT a token.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit.gateway_process import TRANSPORTS
from tests.kit.payer import Payer, read_until
from tests.kit.vendors import gemini
from tests.kit.vendors.server import INPUT, OUTPUT, VendorServer
from tests.kit.whole import Whole

IN, OUT = 250, 1_000
PAID = INPUT * IN + OUTPUT * OUT
HELLO = 4
"""Tokens of the prompt, as kpgate counts them."""
HELD = -(-HELLO * 115 // 100) * IN + 100 * OUT
MODELS = ("plain", "thinking", "silent", "endless", "cut", "error-400", "error-500", "malformed", "blocked")
ASK: dict[str, Any] = {"contents": [{"parts": [{"text": "hello"}]}]}


@pytest.fixture(scope="module")
def google() -> Iterator[VendorServer]:
    with VendorServer(gemini.answer) as server:
        yield server


@pytest.fixture(scope="module", params=TRANSPORTS)
def gate(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, google: VendorServer
) -> Iterator[Whole]:
    models = "".join(
        f'[[models]]\nname = "{name}"\ndeployments = [{{provider = "g", model = "{name}"}}]\n'
        "price = { input = 2.5, output = 10 }\noutput_tokens_max = 100\n"
        for name in MODELS
    )
    settings = (
        f'[ledger]\nenabled = true\n[[providers]]\nname = "g"\ndialect = "gemini"\n'
        f'base_url = "{google.url}/v1beta"\napi_key = "env:KPGATE_TEST_UPSTREAM"\n{models}'
    )
    with Whole(tmp_path_factory.mktemp("gemini"), settings, transport=request.param) as gate:
        yield gate


def whole(payer: Payer, model: str, **more: Any) -> tuple[int, dict[str, str], Any]:
    body = json.dumps(ASK | more).encode()
    return payer.gate.post(f"/v1beta/models/{model}:generateContent", payer.key, body)


def stream(payer: Payer, model: str, until: bytes, query: str = "?alt=sse") -> bytes:
    with payer.post(f"/v1beta/models/{model}:streamGenerateContent{query}", ASK) as connection:
        return read_until(connection, until)


@pytest.mark.parametrize("model", ["plain", "thinking"])
def test_the_same_call_costs_the_same_whole_streamed_and_listed(gate: Whole, model: str) -> None:
    payer = Payer(gate)
    status, headers, _ = whole(payer, model)
    assert status == 200
    assert int(headers["x-kpgate-cost-microkpt"]) == payer.paid() == PAID
    stream(payer, model, b'"STOP"')
    assert payer.paid() == 2 * PAID
    stream(payer, model, b"\n]", query="")
    assert payer.paid() == 3 * PAID


def test_the_held_cap_is_asked_for(gate: Whole, google: VendorServer) -> None:
    payer = Payer(gate)
    whole(payer, "plain", generationConfig={"temperature": 1})
    assert google.asked[-1].body["generationConfig"] == {"temperature": 1, "maxOutputTokens": 100}
    whole(payer, "plain", generation_config={"max_output_tokens": 50})
    assert google.asked[-1].body["generation_config"] == {"max_output_tokens": 50}
    assert payer.paid() == 2 * PAID


@pytest.mark.parametrize("streamed", [False, True])
def test_where_google_says_nothing_kpgate_s_count_is_charged(gate: Whole, streamed: bool) -> None:
    payer = Payer(gate)
    if streamed:
        stream(payer, "silent", b'"STOP"')
    else:
        assert whole(payer, "silent")[0] == 200
    assert payer.paid() in (HELLO * IN + count * OUT for count in (4, 5, 6, 7))


def test_a_stream_without_credit_ends_at_its_hold(gate: Whole) -> None:
    payer = Payer(gate, HELD)
    reply = stream(payer, "endless", b"MAX_TOKENS")
    assert payer.paid_for(reply.count(b'"word "'), HELLO * IN, OUT, HELD)


def test_a_stream_that_breaks_off_is_paid_as_far_as_it_came(gate: Whole) -> None:
    payer = Payer(gate)
    assert b'"reason":"upstream_failed"' in stream(payer, "cut", b"request_id")
    assert payer.paid() == HELLO * IN + 1 * OUT, "what was sent, not what the provider had said by then"


@pytest.mark.parametrize(("model", "status"), [("error-400", 400), ("error-500", 502)])
def test_what_google_refuses_costs_nothing(gate: Whole, model: str, status: int) -> None:
    payer = Payer(gate)
    assert whole(payer, model)[0] == status
    assert payer.paid() == 0


def test_a_blocked_prompt_costs_its_prompt(gate: Whole) -> None:
    payer = Payer(gate)
    assert whole(payer, "blocked")[0] == 200
    assert payer.paid() == INPUT * IN
    stream(payer, "blocked", b"PROHIBITED_CONTENT")
    assert payer.paid() == 2 * INPUT * IN


def test_counting_costs_nothing_and_needs_no_credit(gate: Whole) -> None:
    poor = Payer(gate, 0)
    body = json.dumps(ASK).encode()
    status, _, said = gate.post("/v1beta/models/plain:countTokens", poor.key, body)
    assert (status, said["totalTokens"]) == (200, gemini.COUNTED)
    status, _, said = gate.post("/v1beta/models/echo:countTokens", poor.key, body)
    assert (status, said) == (200, {"totalTokens": HELLO})
    status, _, said = whole(poor, "plain")
    assert (status, said["error"]["status"]) == (402, "RESOURCE_EXHAUSTED")
    assert said["error"]["details"][0]["reason"] == "insufficient_credit"
