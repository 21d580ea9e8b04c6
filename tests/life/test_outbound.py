"""OpenAI's own client to providers whose API no caller speaks: Cohere and Bedrock. What it is charged, however a call
ends; what is refused; how Bedrock is signed for.

Prices are 2.5 and 10 dollars a million tokens: 250 and 1,000 microKPT a token.
"""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.kit.gateway_process import TRANSPORTS
from tests.kit.payer import Payer, read_until
from tests.kit.vendors import bedrock, cohere
from tests.kit.vendors.server import CACHED, INPUT, OUTPUT, SIGNATURE, TEXT, THOUGHT, VendorServer
from tests.kit.whole import SECRET, Whole

IN, OUT = 250, 1_000
PAID = INPUT * IN + OUTPUT * OUT
HELLO = 8
"""Tokens of the prompt, as kpgate counts them."""
CAP = 100
HELD = -(-HELLO * 115 // 100) * IN + CAP * OUT
MODELS = (
    *("plain", "tools", "thinking", "silent", "endless", "cut", "broken", "html", "length"),
    *("error-400", "error-424", "error-429", "error-500", "damaged", "malformed"),
)
VENDORS = ("cohere", "bedrock")
ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "hello"}]}
ARN = "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/plain"


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, VendorServer]]:
    with VendorServer(cohere.answer) as one, VendorServer(bedrock.answer) as other:
        yield {"cohere": one, "bedrock": other}


@pytest.fixture(scope="module", params=TRANSPORTS)
def gate(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, servers: dict[str, VendorServer]
) -> Iterator[Whole]:
    said = "[ledger]\nenabled = true\n[retries]\nmax = 0\n"
    for vendor, path, credential in (
        ("cohere", "/v2", 'api_key = "env:KPGATE_TEST_UPSTREAM"'),
        ("bedrock", "", bedrock.SIGNING),
    ):
        said += (
            f'[[providers]]\nname = "{vendor}"\ndialect = "{vendor}"\nbase_url = "{servers[vendor].url}{path}"\n'
            f"{credential}\n"
        )
        said += "".join(
            f'[[models]]\nname = "{vendor}-{name}"\ndeployments = [{{provider = "{vendor}", model = "{name}"}}]\n'
            f"price = {{ input = 2.5, output = 10 }}\noutput_tokens_max = {CAP}\n"
            for name in MODELS
        )
    said += (
        f'[[models]]\nname = "claude"\nfree = true\n'
        f'deployments = [{{provider = "bedrock", model = "{bedrock.CLAUDE}thinking"}}]\n'
        f'[[providers]]\nname = "lenient"\ndialect = "bedrock"\nbase_url = "{servers["bedrock"].url}"\n'
        'api_key = "env:KPGATE_TEST_UPSTREAM"\ndrop_unsupported = true\n'
        f'[[models]]\nname = "lenient"\ndeployments = [{{provider = "lenient", model = "{ARN}"}}]\nfree = true\n'
    )
    with Whole(tmp_path_factory.mktemp("outbound"), said, transport=request.param) as gate:
        yield gate


def whole(payer: Payer, model: str, **more: Any) -> tuple[int, dict[str, str], Any]:
    body = json.dumps(ASK | {"model": model} | more).encode()
    return payer.gate.post("/v1/chat/completions", payer.key, body)


def stream(payer: Payer, model: str, until: bytes) -> bytes:
    with payer.post("/v1/chat/completions", ASK | {"model": model, "stream": True}) as connection:
        return read_until(connection, until)


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("name", ["plain", "tools", "thinking"])
def test_the_same_call_costs_the_same_whole_and_streamed(gate: Whole, vendor: str, name: str) -> None:
    payer = Payer(gate)
    status, headers, said = whole(payer, f"{vendor}-{name}")
    assert status == 200 and said["usage"]["prompt_tokens_details"]["cached_tokens"] == CACHED
    assert int(headers["x-kpgate-cost-microkpt"]) == payer.paid() == PAID
    stream(payer, f"{vendor}-{name}", b"[DONE]")
    assert payer.paid() == 2 * PAID


@pytest.mark.parametrize("vendor", VENDORS)
def test_the_held_cap_is_asked_for(gate: Whole, servers: dict[str, VendorServer], vendor: str) -> None:
    payer = Payer(gate)
    for given, sent in (({}, CAP), ({"max_tokens": 50}, 50), ({"max_tokens": 500}, CAP)):
        assert whole(payer, f"{vendor}-plain", **given)[0] == 200
        body = servers[vendor].asked[-1].body
        found = body["max_tokens"] if vendor == "cohere" else body["inferenceConfig"]["maxTokens"]
        assert found == sent


@pytest.mark.parametrize("vendor", VENDORS)
def test_where_the_provider_says_nothing_kpgate_s_count_is_charged(gate: Whole, vendor: str) -> None:
    payer = Payer(gate)
    assert whole(payer, f"{vendor}-silent")[0] == 200
    once = payer.paid()
    assert once in [HELLO * IN + count * OUT for count in (4, 5, 6)]
    stream(payer, f"{vendor}-silent", b"[DONE]")
    assert payer.paid() - once in [HELLO * IN + count * OUT for count in (4, 5, 6)]


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_stream_without_credit_ends_at_its_hold(gate: Whole, vendor: str) -> None:
    payer = Payer(gate, HELD)
    reply = stream(payer, f"{vendor}-endless", b"[DONE]")
    assert b'"finish_reason":"length"' in reply
    assert payer.paid_for(reply.count(b'"word "'), HELLO * IN, OUT, HELD)


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("scenario", ["cut", "broken"])
def test_a_stream_that_breaks_off_is_paid_as_far_as_it_came(gate: Whole, vendor: str, scenario: str) -> None:
    payer = Payer(gate)
    assert b"Hello" in stream(payer, f"{vendor}-{scenario}", b"upstream_failed")
    assert payer.paid() in [HELLO * IN + count * OUT for count in (3, 4, 5, 6)]


def test_a_damaged_stream_ends_with_an_error(gate: Whole) -> None:
    assert b"a message is damaged" in stream(Payer(gate), "bedrock-damaged", b"upstream_failed")


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize(
    ("scenario", "status"), [("error-400", 400), ("error-429", 429), ("error-500", 502), ("html", 502)]
)
def test_what_the_provider_refuses_costs_nothing(
    gate: Whole, vendor: str, scenario: str, status: int
) -> None:
    payer = Payer(gate)
    for more in ({}, {"stream": True}):
        given, _, said = whole(payer, f"{vendor}-{scenario}", **more)
        assert given == status and set(said["error"]) == {"message", "type", "param", "code"}
    assert payer.paid() == 0


@pytest.mark.parametrize("model", ["cohere-broken", "bedrock-malformed", "bedrock-error-424"])
def test_a_model_that_failed_is_the_provider_s_failure(gate: Whole, model: str) -> None:
    payer = Payer(gate)
    status, _, said = whole(payer, model)
    assert (status, said["error"]["code"]) == (502, "upstream_failed")
    assert payer.paid() == 0


@pytest.mark.parametrize("vendor", VENDORS)
def test_what_cannot_be_said_is_refused_by_the_caller_s_name_for_it(gate: Whole, vendor: str) -> None:
    payer = Payer(gate)
    status, _, said = whole(payer, f"{vendor}-plain", n=2)
    assert (status, said["error"]["param"]) == (400, "n")
    assert f"the {vendor} API" in said["error"]["message"]
    status, headers, _ = whole(payer, f"{vendor}-plain", user="ada", store=False)
    assert (status, headers["x-kpgate-dropped"]) == (200, "store,user")


def test_what_cannot_be_said_is_dropped_where_that_is_allowed(
    gate: Whole, servers: dict[str, VendorServer]
) -> None:
    payer = Payer(gate)
    status, headers, _ = whole(payer, "lenient", seed=1, n=1)
    assert (status, headers["x-kpgate-dropped"]) == (200, "seed")
    asked = servers["bedrock"].asked[-1]
    assert asked.path == f"/model/{ARN.replace(':', '%3A').replace('/', '%2F')}/converse"
    assert asked.headers["authorization"] == f"Bearer {SECRET}" and "x-amz-date" not in asked.headers


@pytest.mark.parametrize("vendor", VENDORS)
def test_replies_are_told_apart_and_name_the_model(gate: Whole, vendor: str) -> None:
    base = f"http://127.0.0.1:{gate.port}/v1"
    with openai.OpenAI(base_url=base, api_key=Payer(gate).key, max_retries=0) as client:
        ask: Any = ASK | {"model": f"{vendor}-thinking"}
        first = client.chat.completions.create(**ask)
        assert first.model == f"{vendor}-thinking" and first.choices[0].message.content == TEXT
        chunks: Any = list(client.chat.completions.create(**ask, stream=True))
        assert {chunk.model for chunk in chunks} == {f"{vendor}-thinking"}
        assert len({chunk.id for chunk in chunks}) == 1
        thoughts = [getattr(one.choices[0].delta, "reasoning_content", None) for one in chunks if one.choices]
        assert "".join(filter(None, thoughts)) == THOUGHT
        if vendor == "bedrock":
            assert first.id != chunks[0].id, "Bedrock gives none"


def test_anthropic_s_callers_get_bedrock_s_seal_and_give_it_back(
    gate: Whole, servers: dict[str, VendorServer]
) -> None:
    payer = Payer(gate)
    ask = ASK | {"model": "claude", "max_tokens": 50}
    status, _, said = gate.post("/v1/messages", payer.key, json.dumps(ask).encode())
    assert status == 200 and said["content"][0]["signature"] == SIGNATURE
    turns = [*ASK["messages"], {"role": "assistant", "content": said["content"]}, *ASK["messages"]]
    again = ask | {"messages": turns}
    assert gate.post("/v1/messages", payer.key, json.dumps(again).encode())[0] == 200
    sent = servers["bedrock"].asked[-1].body["messages"][1]["content"]
    assert sent[0]["reasoningContent"]["reasoningText"]["signature"] == SIGNATURE


@pytest.mark.parametrize("streamed", [False, True])
def test_bedrock_is_signed_for_what_it_gets(
    gate: Whole, servers: dict[str, VendorServer], streamed: bool
) -> None:
    payer = Payer(gate)
    if streamed:
        stream(payer, "bedrock-plain", b"[DONE]")
    else:
        whole(payer, "bedrock-plain")
    asked = servers["bedrock"].asked[-1]
    match = bedrock.AUTHORIZATION.fullmatch(asked.headers["authorization"])
    assert match is not None and bedrock.refusal(asked) == ""
    key, _, region, names, _ = match.groups()
    assert (key, region) == (SECRET, "eu-central-1")
    assert names == "content-type;host;x-amz-date;x-amz-security-token"


def test_no_key_is_ever_shown(gate: Whole) -> None:
    assert SECRET not in json.dumps(gate.records())
