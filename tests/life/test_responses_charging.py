"""What a call of the Responses API is charged, however it ends: as docs/charging.md has it for every dialect.

Both ways: to a provider that serves it, and over the bridge to one that has chat completions; and a chat to a provider
that has nothing else. Prices are 2.5 and 10 dollars a million tokens: 250 and 1,000 microKPT a token.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit.gateway_process import TRANSPORTS
from tests.kit.payer import Payer, read_until
from tests.kit.vendors import openai as vendor
from tests.kit.vendors.server import INPUT, OUTPUT, VendorServer
from tests.kit.whole import Whole

IN, OUT = 250, 1_000
PAID = INPUT * IN + OUTPUT * OUT
PROMPT = 8
"""Tokens of the prompt, as kpgate counts them."""
HELD = -(-PROMPT * 115 // 100) * IN + 100 * OUT
MODELS = (
    "plain",
    "thinking",
    "tools",
    "silent",
    "endless",
    "cut",
    "broken",
    "error-400",
    "error-500",
    "failed",
)
NATIVE, ACROSS, CHAT = "native", "across", "chat"
RESPONSES = (NATIVE, ACROSS)
PATHS = {NATIVE: "/v1/responses", ACROSS: "/v1/responses", CHAT: "/v1/chat/completions"}
ENDS = {NATIVE: b"event: response.completed", ACROSS: b"event: response.completed", CHAT: b"[DONE]"}
CAPS = {NATIVE: "max_output_tokens", ACROSS: "max_completion_tokens", CHAT: "max_output_tokens"}
ASKS: dict[str, dict[str, Any]] = {
    NATIVE: {"input": "hello"},
    ACROSS: {"input": "hello"},
    CHAT: {"messages": [{"role": "user", "content": "hello"}]},
}


@pytest.fixture(scope="module")
def server() -> Iterator[VendorServer]:
    with VendorServer(vendor.answer) as server:
        yield server


@pytest.fixture(scope="module", params=TRANSPORTS)
def gate(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, server: VendorServer
) -> Iterator[Whole]:
    said = ["[ledger]\nenabled = true\n[retries]\nmax = 0"]
    for kind, more in ((NATIVE, "responses = true"), (ACROSS, ""), (CHAT, 'dialect = "responses"')):
        said.append(
            f'[[providers]]\nname = "{kind}"\nbase_url = "{server.url}/v1"\n{more}\n'
            'api_key = "env:KPGATE_TEST_UPSTREAM"'
        )
        said += [
            f'[[models]]\nname = "{kind}-{name}"\ndeployments = [{{provider = "{kind}", model = "{name}"}}]\n'
            "price = { input = 2.5, output = 10 }\noutput_tokens_max = 100"
            for name in MODELS
        ]
    folder = tmp_path_factory.mktemp("charging")
    with Whole(folder, "\n".join(said), transport=request.param) as gate:
        yield gate


def whole(payer: Payer, kind: str, model: str, **more: Any) -> tuple[int, dict[str, str], Any]:
    body = json.dumps({"model": f"{kind}-{model}"} | ASKS[kind] | more).encode()
    return payer.gate.post(PATHS[kind], payer.key, body)


def listen(payer: Payer, kind: str, model: str, until: bytes) -> bytes:
    body = {"model": f"{kind}-{model}", "stream": True} | ASKS[kind]
    with payer.post(PATHS[kind], body) as connection:
        return read_until(connection, until)


@pytest.mark.parametrize("kind", PATHS)
@pytest.mark.parametrize("model", ["plain", "thinking", "tools"])
def test_the_same_call_costs_the_same_whole_and_streamed(gate: Whole, kind: str, model: str) -> None:
    payer = Payer(gate)
    status, headers, _ = whole(payer, kind, model)
    assert status == 200
    assert int(headers["x-kpgate-cost-microkpt"]) == payer.paid() == PAID
    assert b"x-kpgate-receipt: kp1-" in listen(payer, kind, model, ENDS[kind])
    assert payer.paid() == 2 * PAID


@pytest.mark.parametrize("kind", PATHS)
def test_the_held_cap_is_asked_for(gate: Whole, server: VendorServer, kind: str) -> None:
    payer = Payer(gate)
    own = "max_completion_tokens" if kind == CHAT else "max_output_tokens"
    whole(payer, kind, "plain")
    assert server.asked[-1].body[CAPS[kind]] == 100
    whole(payer, kind, "plain", **{own: 50})
    assert server.asked[-1].body[CAPS[kind]] == 50
    whole(payer, kind, "plain", **{own: 5000})
    assert server.asked[-1].body[CAPS[kind]] == 100, "nobody gets more than is held for"
    assert payer.paid() == 3 * PAID


@pytest.mark.parametrize("kind", PATHS)
@pytest.mark.parametrize("streamed", [False, True])
def test_where_the_provider_says_nothing_kpgate_s_count_is_charged(
    gate: Whole, kind: str, streamed: bool
) -> None:
    payer = Payer(gate)
    if streamed:
        listen(payer, kind, "silent", ENDS[kind])
    else:
        assert whole(payer, kind, "silent")[0] == 200
    assert payer.paid() in (PROMPT * IN + count * OUT for count in (4, 5, 6, 7))


@pytest.mark.parametrize("kind", PATHS)
def test_a_stream_without_credit_ends_at_its_hold(gate: Whole, kind: str) -> None:
    payer = Payer(gate, HELD)
    end = b'"finish_reason":"length"' if kind == CHAT else b"event: response.incomplete"
    reply = listen(payer, kind, "endless", end)
    assert payer.paid_for(reply.count(b'"word "'), PROMPT * IN, OUT, HELD)
    assert kind == CHAT or b"max_output_tokens" in reply


@pytest.mark.parametrize("kind", PATHS)
def test_a_stream_that_breaks_off_is_paid_as_far_as_it_came(gate: Whole, kind: str) -> None:
    payer = Payer(gate)
    reply = listen(payer, kind, "cut", b"upstream_failed")
    pieces = sum(word.encode() in reply for word in ("Hello", ", w", "ld."))
    assert pieces and payer.paid() in (PROMPT * IN + count * OUT for count in range(pieces, pieces + 5))


@pytest.mark.parametrize("kind", PATHS)
@pytest.mark.parametrize(("model", "status"), [("error-400", 400), ("error-500", 502)])
def test_what_the_provider_refuses_costs_nothing(gate: Whole, kind: str, model: str, status: int) -> None:
    payer = Payer(gate)
    assert whole(payer, kind, model)[0] == status
    assert whole(payer, kind, model, stream=True)[0] == status
    assert payer.paid() == 0


def test_a_response_that_failed_is_told_and_costs_what_the_provider_says(gate: Whole) -> None:
    payer = Payer(gate)
    status, _, said = whole(payer, NATIVE, "failed")
    assert (status, said["status"]) == (200, "failed"), "as the provider told it"
    assert payer.paid() == PAID
    other = Payer(gate)
    status, _, said = whole(other, CHAT, "failed")
    assert (status, said["error"]["code"]) == (502, "upstream_failed")
    assert other.paid() == 0


@pytest.mark.parametrize("kind", RESPONSES)
def test_what_kpgate_refuses_costs_nothing(gate: Whole, kind: str) -> None:
    poor, rich = Payer(gate, 1), Payer(gate)
    status, headers, said = whole(poor, kind, "plain")
    assert (status, said["error"]["code"], headers["x-should-retry"]) == (402, "insufficient_credit", "false")
    assert whole(rich, kind, "plain", background=True)[0] == 400
    if kind == ACROSS:
        refused = whole(rich, kind, "plain", tools=[{"type": "web_search"}])
        assert refused[0] == 400, "found out once it is held for, and given back"
    assert (poor.paid(), rich.paid()) == (0, 0)
