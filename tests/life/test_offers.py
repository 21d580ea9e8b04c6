"""The endpoints of OpenAI's API beside text, by the official client: what is answered, what it is charged, and what
becomes of bad input and of providers that fail.

A dollar is 100 KPT: an image at 0.04 dollars is 4,000,000 microKPT, a character at 0.000015 is 1,500.
"""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from kpgate.domain.limits import Limits
from tests.kit.gateway_process import TRANSPORTS, until
from tests.kit.payer import Payer
from tests.kit.vendors import media
from tests.kit.vendors.media import (
    IMAGE_INPUT,
    IMAGE_OUTPUT,
    IMAGE_PICTURES,
    PICTURE,
    SOUND,
)
from tests.kit.vendors.server import VendorServer
from tests.kit.whole import Whole

IMAGE, CHARACTER = 4_000_000, 1_500
IN, OUT, SEEN = 500, 4_000, 1_000
"""microKPT a token of the prompt, of what is made, and of a picture in the prompt."""
JUDGED = 1_000
FAILING = ("error-400", "error-429", "error-500", "html", "truncated", "cut", "endless")
BY_UNIT = '{ unit = 0.04, currency = "USD" }'
BY_CHARACTER = "{ unit = 0.000015 }"
BY_TOKEN = "{ input = 5, output = 40, image = 10 }"
PRICED = {
    "plain": BY_UNIT,
    "silent": BY_UNIT,
    "by-tokens": BY_TOKEN,
    "silent-tokens": BY_TOKEN,
    "spoken": BY_CHARACTER,
    "judged": "{ input = 10 }",
    "by-call": "{ request = 0.01 }",
    "text-alone": "{ input = 2.5, output = 10 }",
} | dict.fromkeys(FAILING, BY_UNIT)
MODERATIONS, IMAGES, SPEECH = "/v1/moderations", "/v1/images/generations", "/v1/audio/speech"
BODIES: dict[str, dict[str, Any]] = {
    MODERATIONS: {"model": "judged", "input": "I want to hug them"},
    IMAGES: {"model": "plain", "prompt": "a small boat"},
    SPEECH: {"model": "spoken", "input": "Hello there.", "voice": "alloy"},
}


@pytest.fixture(scope="module")
def server() -> Iterator[VendorServer]:
    with VendorServer(media.answer) as server:
        yield server


@pytest.fixture(scope="module", params=TRANSPORTS)
def gate(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, server: VendorServer
) -> Iterator[Whole]:
    at_home = {"silent-tokens": "silent", "omni-moderation-latest": "judged"}
    models = "".join(
        f'[[models]]\nname = "{name}"\ndeployments = [{{provider = "v", model = "{at_home.get(name, name)}"}}]\n'
        f"price = {price}\noutput_tokens_max = 1000\n"
        for name, price in PRICED.items()
    )
    settings = (
        f'[ledger]\nenabled = true\n[retries]\nmax = 0\n[[providers]]\nname = "v"\nbase_url = "{server.url}/v1"\n'
        f'api_key = "env:KPGATE_TEST_UPSTREAM"\n{models}'
        '[[models]]\nname = "omni-moderation-latest"\nfree = true\n'
        'deployments = [{provider = "v", model = "judged"}]\n'
    )
    with Whole(tmp_path_factory.mktemp("offers"), settings, transport=request.param) as gate:
        yield gate


@pytest.fixture
def payer(gate: Whole) -> Payer:
    return Payer(gate)


def post(payer: Payer, path: str, body: dict[str, Any] | bytes) -> tuple[int, dict[str, str], Any]:
    return payer.gate.post(path, payer.key, body if isinstance(body, bytes) else json.dumps(body).encode())


def test_moderations(payer: Payer, server: VendorServer) -> None:
    with payer.client() as ask:
        judged = ask.moderations.create(model="judged", input=["one", "two"])
        assert [one.flagged for one in judged.results] == [False, False]
        assert payer.paid() == 2 * JUDGED
        assert ask.moderations.create(input="hello").results, "OpenAI's own model where none is named"
        assert server.asked[-1].body == {"model": "judged", "input": "hello"}
        parts: list[openai.types.ModerationMultiModalInputParam] = [
            {"type": "text", "text": "hello"},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        ]
        assert ask.moderations.create(model="judged", input=parts).results
    assert payer.paid() == 3 * JUDGED


def test_images_by_the_image(payer: Payer, server: VendorServer) -> None:
    with payer.client() as ask:
        reply = ask.images.generate(model="plain", prompt="a small boat", n=2, size="1024x1024")
        assert reply.data is not None and [one.b64_json for one in reply.data] == [PICTURE] * 2
        assert server.asked[-1].body["size"] == "1024x1024"
        assert payer.paid() == 2 * IMAGE
        ask.images.generate(model="silent", prompt="a small boat")
    assert payer.paid() == 3 * IMAGE
    wanted = (IMAGES, 1, IMAGE)
    until(
        lambda: wanted in [(one["path"], one["units"], one["cost_microkpt"]) for one in payer.gate.records()]
    )
    assert payer.gate.metric("kpgate_units_total") >= 3


def test_images_by_the_token(payer: Payer) -> None:
    cost = (IMAGE_INPUT - IMAGE_PICTURES) * IN + IMAGE_PICTURES * SEEN + IMAGE_OUTPUT * OUT
    with payer.client() as ask:
        ask.images.generate(model="by-tokens", prompt="a small boat")
        assert payer.paid() == cost
        streamed = list(ask.images.generate(model="by-tokens", prompt="a small boat", stream=True))
        assert [one.type for one in streamed] == [
            "image_generation.partial_image",
            "image_generation.completed",
        ]
        assert payer.paid() == 2 * cost
        ask.images.generate(model="silent-tokens", prompt="a small boat")
    assert payer.paid() == 2 * cost + 3 * IN + 1000 * OUT, "nobody says how many: what was held for them"


def test_speech_is_sent_on_as_it_comes(payer: Payer, server: VendorServer) -> None:
    with payer.client() as ask:
        spoken = ask.audio.speech.create(model="spoken", voice="alloy", input="Grüße!")
        assert spoken.content == b"".join(SOUND)
        assert spoken.response.headers["content-type"] == "audio/mpeg"
        assert "x-kpgate-receipt" in spoken.response.headers
        assert payer.paid() == 6 * CHARACTER
        with ask.audio.speech.with_streaming_response.create(
            model="spoken", voice="alloy", input="Hello", stream_format="sse"
        ) as events:
            assert b"speech.audio.done" in events.read()
    assert payer.paid() == 11 * CHARACTER
    assert "authorization" in server.asked[-1].headers and payer.key not in str(server.asked[-1].headers)


def test_speech_is_not_kept_until_it_ends(payer: Payer) -> None:
    with (
        payer.client() as ask,
        ask.audio.speech.with_streaming_response.create(
            model="endless", voice="alloy", input="Hello"
        ) as spoken,
    ):
        assert len(next(spoken.iter_bytes(1 << 20))) == 1 << 20
    # The client left in the middle of it.
    assert payer.paid() == 5 * IMAGE
    until(lambda: any(one["end"].startswith("caller@") for one in payer.gate.records()))


def test_speech_that_breaks_off_is_seen_to(payer: Payer) -> None:
    with payer.client() as ask, pytest.raises(openai.APIConnectionError):
        ask.audio.speech.create(model="cut", voice="alloy", input="Hello")
    assert payer.paid() == 5 * IMAGE, "it was spoken, as far as anybody knows"


@pytest.mark.parametrize("path", [IMAGES, SPEECH])
@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("error-429", 429, "rate_limited"),
        ("error-500", 502, "upstream_failed"),
        ("html", 502, "upstream_failed"),
        ("truncated", 502, "upstream_failed"),
    ],
)
def test_providers_that_fail_cost_nothing(
    payer: Payer, path: str, model: str, status: int, code: str
) -> None:
    found = post(payer, path, BODIES[path] | {"model": model})
    assert (found[0], found[2]["error"]["code"]) == (status, code)
    assert payer.paid() == 0


def test_a_provider_s_refusal_goes_through_and_costs_nothing(payer: Payer) -> None:
    status, _, said = post(payer, IMAGES, BODIES[IMAGES] | {"model": "error-400"})
    assert (status, said["error"]["param"]) == (400, "temperature")
    assert payer.paid() == 0


@pytest.mark.parametrize(
    ("path", "more", "param"),
    [
        (MODERATIONS, {"input": None}, "input"),
        (MODERATIONS, {"input": [5]}, "input[0]"),
        (MODERATIONS, {"model": 5}, "model"),
        (IMAGES, {"prompt": None}, "prompt"),
        (IMAGES, {"n": 0}, "n"),
        (IMAGES, {"n": 10**9}, "n"),
        (IMAGES, {"n": "2"}, "n"),
        (IMAGES, {"stream": "yes"}, "stream"),
        (SPEECH, {"input": ""}, "input"),
        (SPEECH, {"input": 5}, "input"),
        (SPEECH, {"model": None}, "model"),
    ],
)
def test_what_is_wrong_is_named(payer: Payer, path: str, more: dict[str, Any], param: str) -> None:
    status, _, said = post(payer, path, BODIES[path] | more)
    assert (status, said["error"]["code"], said["error"]["param"]) == (400, "invalid_request", param)


@pytest.mark.parametrize("path", BODIES)
def test_bodies_that_are_none(payer: Payer, path: str) -> None:
    for body in (b"", b"{", b"[]", b"\xff", b'{"model":"plain","model":"spoken"}'):
        status, _, said = post(payer, path, body)
        assert (status, said["error"]["code"]) == (400, "invalid_request"), body
    found = post(payer, path, BODIES[path] | {"model": "nobody"})
    assert (found[0], found[2]["error"]["code"]) == (404, "model_not_found")
    # The echo has a price for tokens, and none of these endpoints.
    found = post(payer, path, BODIES[path] | {"model": "echo"})
    assert (found[0], found[2]["error"]["code"]) == (400, "invalid_request")
    assert found[2]["error"]["message"].startswith("model: echo is not served on")
    assert found[2]["error"]["param"] == "model" and "x-kpgate-receipt" not in found[1]
    assert payer.paid() == 0


@pytest.mark.parametrize("path", [IMAGES, SPEECH])
def test_what_has_no_price_is_refused(payer: Payer, path: str, server: VendorServer) -> None:
    asked = len(server.asked)
    # Who makes images says how many tokens they were; who speaks says nothing.
    for model in ("judged", "text-alone") if path == SPEECH else ("judged",):
        found = post(payer, path, BODIES[path] | {"model": model})
        assert (found[0], found[2]["error"]["code"]) == (403, "model_not_allowed"), (model, found)
    assert len(server.asked) == asked
    for model in ("plain", "spoken"):
        chat = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
        assert post(payer, "/v1/chat/completions", chat)[0] == 403, "text is not given away either"
        assert post(payer, "/v1/embeddings", {"model": model, "input": "hi"})[0] == 403
    assert payer.paid() == 0


def test_a_fixed_price_is_enough(payer: Payer) -> None:
    assert post(payer, IMAGES, BODIES[IMAGES] | {"model": "by-call", "n": 3})[0] == 200
    assert post(payer, MODERATIONS, BODIES[MODERATIONS] | {"model": "by-call"})[0] == 200
    assert payer.paid() == 2 * 1_000_000


def test_credit_and_limits_are_looked_at_first(gate: Whole, server: VendorServer) -> None:
    poor = Payer(gate, IMAGE)
    status, _, said = post(poor, IMAGES, BODIES[IMAGES] | {"n": 2})
    assert (status, said["error"]["code"]) == (402, "insufficient_credit")
    assert post(poor, IMAGES, BODIES[IMAGES])[0] == 200
    assert poor.paid() == IMAGE
    slow = Payer(gate)
    slow.key = gate.key(slow.name, limits=Limits(requests="1/h"))
    assert post(slow, MODERATIONS, BODIES[MODERATIONS])[0] == 200
    assert post(slow, MODERATIONS, BODIES[MODERATIONS])[0] == 429
    with Payer(gate).client() as ask:
        capped = ask.with_options(default_headers={"x-kpgate-max-cost-microkpt": str(IMAGE)})
        assert capped.images.generate(model="plain", prompt="a small boat").data
        with pytest.raises(openai.APIStatusError) as refused:
            capped.images.generate(model="plain", prompt="a small boat", n=2)
        assert refused.value.code == "max_cost_exceeded"
