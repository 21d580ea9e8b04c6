"""Endpoints that take forms, by the official client: what is heard and drawn, what it costs, and forms that are none.

A second heard is 0.0001 dollars, 10,000 microKPT; an image 0.04, 4,000,000.
"""

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit.gateway_process import TRANSPORTS, until
from tests.kit.payer import Payer
from tests.kit.vendors import media
from tests.kit.vendors.media import HEARD_INPUT, HEARD_OUTPUT, PICTURE, SECONDS, WORDS, read_form
from tests.kit.vendors.server import VendorServer
from tests.kit.whole import Whole

SECOND, IMAGE = 10_000, 4_000_000
HEARD, IN, OUT = 1_500, 600, 1_000
"""microKPT a token of sound, of text, and of what is written."""
SOUND = bytes(range(256)) * 2000
"""512,000 bytes: 32 seconds of 128 kbit each."""
PRESUMED = -(-(len(SOUND) + 300) // 16_000)
LARGE = bytes(range(256)) * 20_000
"""5,120,000 bytes: more than is looked at for the model."""
PRICED = {
    "plain": "{ unit = 0.0001 }",
    "silent": "{ unit = 0.0001 }",
    "by-tokens": "{ input = 6, audio_input = 15, output = 10 }",
    "drawn": "{ unit = 0.04 }",
    "unpriced": "{ input = 1 }",
    "dall-e-2": "{ unit = 0.04 }",
} | dict.fromkeys(("error-400", "error-429", "error-500", "html", "truncated"), "{ unit = 0.0001 }")
PATHS = ("/v1/audio/transcriptions", "/v1/audio/translations", "/v1/images/edits", "/v1/images/variations")


@pytest.fixture(scope="module")
def server() -> Iterator[VendorServer]:
    with VendorServer(media.answer) as server:
        yield server


@pytest.fixture(scope="module", params=TRANSPORTS)
def gate(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, server: VendorServer
) -> Iterator[Whole]:
    at_home = {"drawn": "plain", "unpriced": "plain", "dall-e-2": "plain"}
    models = "".join(
        f'[[models]]\nname = "{name}"\ndeployments = [{{provider = "v", model = "{at_home.get(name, name)}"}}]\n'
        f"price = {price}\noutput_tokens_max = 1000\n"
        for name, price in PRICED.items()
    )
    settings = (
        f'[ledger]\nenabled = true\n[retries]\nmax = 0\n[[providers]]\nname = "v"\nbase_url = "{server.url}/v1"\n'
        f'api_key = "env:KPGATE_TEST_UPSTREAM"\n{models}'
    )
    with Whole(tmp_path_factory.mktemp("forms"), settings, transport=request.param) as gate:
        yield gate


@pytest.fixture
def payer(gate: Whole) -> Payer:
    return Payer(gate)


def post(
    payer: Payer, path: str, body: bytes, kind: str = "multipart/form-data; boundary=x"
) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", payer.gate.port, timeout=20)
    try:
        headers = {"authorization": f"Bearer {payer.key}", "content-type": kind}
        connection.request("POST", path, body, headers)
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()


def form(*fields: tuple[str, bytes, str]) -> bytes:
    parts = [
        b'--x\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
        % (name.encode(), more.encode(), value)
        for name, value, more in fields
    ]
    return b"".join(parts) + b"--x--\r\n"


def test_sound_is_heard_by_the_second(payer: Payer, server: VendorServer) -> None:
    with payer.client() as ask:
        heard = ask.audio.transcriptions.create(model="plain", file=("a.mp3", SOUND), language="en")
        assert heard.text == WORDS
        assert payer.paid() == 9 * SECOND, f"{SECONDS} seconds are nine that were begun"
        sent = read_form(server.asked[-1])
        assert (sent["model"], sent["language"], sent["file"]) == ("plain", "en", SOUND)
        assert payer.key not in str(server.asked[-1].headers)
        verbose = ask.audio.transcriptions.create(
            model="plain", file=("a.mp3", SOUND), response_format="verbose_json"
        )
        assert verbose.duration == SECONDS
        assert payer.paid() == 18 * SECOND
        with pytest.deprecated_call():
            assert ask.audio.translations.create(model="plain", file=("a.mp3", SOUND)).text == WORDS
    assert payer.paid() == 27 * SECOND
    wanted = ("/v1/audio/translations", 9)
    until(lambda: wanted in [(one["path"], one["units"]) for one in payer.gate.records()])


def test_what_nobody_timed_is_presumed(payer: Payer) -> None:
    with payer.client() as ask:
        assert ask.audio.transcriptions.create(model="silent", file=("a.mp3", SOUND)).text == WORDS
        assert payer.paid() == PRESUMED * SECOND
        written = ask.audio.transcriptions.create(model="plain", file=("a.mp3", SOUND), response_format="srt")
        assert str(written).strip() == WORDS
    assert payer.paid() == 2 * PRESUMED * SECOND


def test_sound_is_heard_by_the_token(payer: Payer) -> None:
    cost = HEARD_INPUT * HEARD + HEARD_OUTPUT * OUT
    with payer.client() as ask:
        ask.audio.transcriptions.create(model="by-tokens", file=("a.mp3", SOUND))
        assert payer.paid() == cost
        events = list(ask.audio.transcriptions.create(model="by-tokens", file=("a.mp3", SOUND), stream=True))
        assert [one.type for one in events] == ["transcript.text.delta", "transcript.text.done"]
    assert payer.paid() == cost + HEARD_INPUT * IN + HEARD_OUTPUT * OUT


def test_images_are_changed_by_the_image(payer: Payer, server: VendorServer) -> None:
    with payer.client() as ask:
        made = ask.images.edit(
            model="drawn", image=[("a.png", SOUND), ("b.png", SOUND)], prompt="a boat", n=2
        )
        assert made.data is not None and [one.b64_json for one in made.data] == [PICTURE] * 2
        assert payer.paid() == 2 * IMAGE
        assert read_form(server.asked[-1])["prompt"] == "a boat"
        with pytest.deprecated_call():
            ask.images.create_variation(image=("a.png", SOUND))
        assert read_form(server.asked[-1])["model"] == "plain", "OpenAI's own model where none is named"
    assert payer.paid() == 3 * IMAGE


def test_large_files_go_along(payer: Payer, server: VendorServer) -> None:
    with payer.client() as ask:
        assert ask.audio.transcriptions.create(model="plain", file=("a.wav", LARGE)).text == WORDS
    assert read_form(server.asked[-1])["file"] == LARGE
    assert payer.paid() == 9 * SECOND


@pytest.mark.parametrize("path", PATHS)
def test_forms_that_are_none(payer: Payer, server: VendorServer, path: str) -> None:
    asked = len(server.asked)
    file = ("file", SOUND, '; filename="a"')
    bad: list[tuple[bytes, str | None]] = [
        (b"", None),
        (b'{"model":"plain"}', None),
        (form(("model", b"plain", ""), file)[:-20], None),
        (form(("model", b"plain", ""), ("model", b"drawn", ""), file), "model"),
        (form(("model", b"", ""), file), "model"),
        (form(("model", b"plain", ""), ("stream", b"maybe", ""), file), "stream"),
    ]
    for body, param in bad:
        status, said = post(payer, path, body)
        assert (status, said["error"]["code"], said["error"]["param"]) == (400, "invalid_request", param), (
            body[:80]
        )
    status, said = post(payer, path, form(("model", b"nobody", ""), file))
    assert (status, said["error"]["code"]) == (404, "model_not_found")
    status, said = post(payer, path, form(("model", b"unpriced", ""), file))
    assert (status, said["error"]["code"]) == (403, "model_not_allowed")
    assert len(server.asked) == asked and payer.paid() == 0


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("content", [SOUND, LARGE], ids=["small", "large"])
def test_providers_that_fail_cost_nothing(payer: Payer, path: str, content: bytes) -> None:
    for model, status, code in (
        ("error-429", 429, "rate_limited"),
        ("error-500", 502, "upstream_failed"),
        ("html", 502, "upstream_failed"),
        ("truncated", 502, "upstream_failed"),
    ):
        found = post(payer, path, form(("model", model.encode(), ""), ("file", content, '; filename="a"')))
        assert (found[0], found[1]["error"]["code"]) == (status, code), found
    found = post(payer, path, form(("model", b"error-400", ""), ("file", content, '; filename="a"')))
    assert (found[0], found[1]["error"]["param"]) == (400, "temperature")
    assert payer.paid() == 0


def test_the_boundary_that_was_read_is_the_one_that_is_sent(payer: Payer, server: VendorServer) -> None:
    # One who parses by another boundary would find another model in it.
    hidden = form(("model", b"drawn", "")).replace(b"--x", b"--y")
    body = form(("model", b"plain", ""), ("file", SOUND + hidden, '; filename="a"'))
    assert post(payer, "/v1/audio/transcriptions", body, "multipart/form-data; boundary=y")[0] == 200
    assert server.asked[-1].headers["content-type"] == 'multipart/form-data; boundary="x"'
    assert read_form(server.asked[-1])["model"] == "plain"
