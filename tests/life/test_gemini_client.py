"""Google's own client with nothing changed but its base URL, to a Gemini provider: bytes through, held and metered."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google import genai
from google.genai import errors, types

from tests.kit.gateway_process import TRANSPORTS
from tests.kit.vendors import gemini
from tests.kit.vendors.server import (
    CACHED,
    CALLS,
    INPUT,
    OBJECT,
    OUTPUT,
    REASONING,
    SCENARIOS,
    SIGNATURE,
    TEXT,
    THOUGHT,
    VendorServer,
)
from tests.kit.whole import SECRET, Whole

HELLO = "Hello there friend"
EXTRA = ("blocked", "bad-key", "cut", "malformed")


def settings(url: str) -> str:
    models = "".join(
        f'[[models]]\nname = "{name}"\ndeployments = [{{provider = "g", model = "{name}"}}]\n'
        for name in (*SCENARIOS, *EXTRA)
    )
    return (
        f'[[providers]]\nname = "g"\ndialect = "gemini"\nbase_url = "{url}/v1beta"\n'
        f'api_key = "env:KPGATE_TEST_UPSTREAM"\n[retries]\nmax = 0\n{models}'
    )


@pytest.fixture(scope="module")
def google() -> Iterator[VendorServer]:
    with VendorServer(gemini.answer) as server:
        yield server


@pytest.fixture(scope="module", params=TRANSPORTS)
def gate(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, google: VendorServer
) -> Iterator[Whole]:
    folder = tmp_path_factory.mktemp("gemini")
    with Whole(folder, settings(google.url), transport=request.param) as gate:
        yield gate


@pytest.fixture(scope="module")
def client(gate: Whole) -> Iterator[genai.Client]:
    with connect(gate, gate.key()) as client:
        yield client


def connect(gate: Whole, key: str) -> genai.Client:
    return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=f"http://127.0.0.1:{gate.port}"))


def test_a_whole_reply(client: genai.Client, google: VendorServer) -> None:
    reply = client.models.generate_content(
        model="plain",
        contents=HELLO,
        config=types.GenerateContentConfig(temperature=0.5, max_output_tokens=50),
    )
    assert reply.text == TEXT
    assert reply.usage_metadata is not None and reply.usage_metadata.prompt_token_count == INPUT
    asked = google.asked[-1]
    assert asked.path == "/v1beta/models/plain:generateContent"
    assert asked.headers["x-goog-api-key"] == SECRET
    assert asked.body["generationConfig"] == {"temperature": 0.5, "maxOutputTokens": 50}


def test_a_stream(client: genai.Client, google: VendorServer) -> None:
    chunks = list(client.models.generate_content_stream(model="plain", contents=HELLO))
    assert [chunk.text for chunk in chunks] == ["Hello", ", wör", "ld."]
    assert chunks[-1].usage_metadata is not None
    assert chunks[-1].usage_metadata.candidates_token_count == OUTPUT
    assert google.asked[-1].path == "/v1beta/models/plain:streamGenerateContent?alt=sse"
