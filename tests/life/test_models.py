"""The models that a key may use, listed and got by the vendors' own clients; and why a Gemini call would go where."""

import http.client
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import errors, types

from tests.kit.gateway_process import TRANSPORTS
from tests.kit.whole import Whole

NAMES = ["m", "echo", *(f"extra/{number}" for number in range(5))]
MODELS = "".join(
    f'[[models]]\nname = "{name}"\ndeployments = [{{provider = "p", model = "up"}}]\noutput_tokens_max = 77\n'
    for name in NAMES[2:]
)


@pytest.fixture(scope="module", params=TRANSPORTS)
def gate(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    with Whole(tmp_path_factory.mktemp("models"), MODELS, transport=request.param) as gate:
        yield gate


@pytest.fixture(scope="module")
def keys(gate: Whole) -> tuple[str, str]:
    return gate.key(), gate.key(models=("ech*",))


def test_anthropic_s_client_lists_and_gets(gate: Whole, keys: tuple[str, str]) -> None:
    url = f"http://127.0.0.1:{gate.port}"
    with anthropic.Anthropic(base_url=url, api_key=keys[0], max_retries=0) as client:
        assert [one.id for one in client.models.list(limit=2)] == NAMES, "page by page"
        page = client.models.list(limit=3)
        assert [one.id for one in page.data] == NAMES[:3]
        assert (page.first_id, page.last_id, page.has_more) == (NAMES[0], NAMES[2], True)
        back = client.models.list(limit=2, before_id=NAMES[5])
        assert ([one.id for one in back.data], back.has_more) == (NAMES[3:5], True)
        assert [one.id for one in client.models.list(limit=1000, after_id=NAMES[-1]).data] == []
        one = client.models.retrieve("extra/1")
        assert (one.type, one.id, one.display_name, one.lifecycle) == (
            "model",
            "extra/1",
            "extra/1",
            "active",
        )
        assert one.max_tokens == 77 and one.created_at.year > 2000
        with pytest.raises(anthropic.NotFoundError) as missing:
            client.models.retrieve("none")
        body: Any = missing.value.body
        assert body["error"]["type"] == "not_found_error"
        for asked in ({"limit": 0}, {"after_id": "none"}, {"after_id": "m", "before_id": "echo"}):
            with pytest.raises(anthropic.BadRequestError):
                client.models.list(**asked)
    with anthropic.Anthropic(base_url=url, api_key=keys[1], max_retries=0) as client:
        assert [one.id for one in client.models.list()] == ["echo"]
        with pytest.raises(anthropic.NotFoundError):
            client.models.retrieve("m")
    with (
        anthropic.Anthropic(base_url=url, api_key="sk-none", max_retries=0) as client,
        pytest.raises(anthropic.AuthenticationError),
    ):
        client.models.list()


def test_google_s_client_lists_and_gets(gate: Whole, keys: tuple[str, str]) -> None:
    options = types.HttpOptions(base_url=f"http://127.0.0.1:{gate.port}")
    with genai.Client(api_key=keys[0], http_options=options) as client:
        for size in (2, 7, 1000):
            found = client.models.list(config=types.ListModelsConfig(page_size=size))
            assert [one.name for one in found] == [f"models/{name}" for name in NAMES]
        one = client.models.get(model="m")
        assert (one.name, one.display_name) == ("models/m", "m")
        actions = {"generateContent", "streamGenerateContent", "countTokens"}
        assert actions == set(one.supported_actions or ())
        other = client.models.get(model="models/extra/1")
        assert (other.name, other.output_token_limit) == ("models/extra/1", 77)
        with pytest.raises(errors.ClientError, match="NOT_FOUND"):
            client.models.get(model="none")
        with pytest.raises(errors.ClientError, match="INVALID_ARGUMENT"):
            client.models.list(config=types.ListModelsConfig(page_token="none"))
    with genai.Client(api_key=keys[1], http_options=options) as client:
        assert [one.name for one in client.models.list()] == ["models/echo"]
        with pytest.raises(errors.ClientError, match="NOT_FOUND"):
            client.models.get(model="m")
    with (
        genai.Client(api_key="sk-none", http_options=options) as client,
        pytest.raises(errors.ClientError, match="UNAUTHENTICATED"),
    ):
        client.models.list()


def test_openai_s_is_what_it_was(gate: Whole, keys: tuple[str, str]) -> None:
    with openai.OpenAI(base_url=f"http://127.0.0.1:{gate.port}/v1", api_key=keys[0], max_retries=0) as client:
        assert [one.id for one in client.models.list()] == NAMES
        assert client.models.retrieve("extra/1").object == "model"


def test_a_gemini_call_is_explained(gate: Whole, keys: tuple[str, str]) -> None:
    body = json.dumps({"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}).encode()
    for method in ("generateContent", "streamGenerateContent"):
        status, _, said = gate.post(f"/kp/v1/route?path=/v1beta/models/extra%2F1:{method}", keys[0], body)
        assert status == 200 and said["candidates"][0]["model"] == "extra/1"
    for path, code in (
        ("/v1beta/models/none:generateContent", 404),
        ("/v1beta/models/m", 404),
        ("/v1beta/", 404),
    ):
        assert gate.post(f"/kp/v1/route?path={path}", keys[0], body)[0] == code
    assert gate.post("/kp/v1/route?path=/v1beta/models/m:generateContent", keys[1], body)[0] == 403


def test_only_reading_is_served(gate: Whole, keys: tuple[str, str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=20)
    connection.request("DELETE", "/v1beta/models/m", headers={"x-goog-api-key": keys[0]})
    reply = connection.getresponse()
    assert (reply.status, reply.getheader("allow")) == (405, "GET, HEAD")
    assert json.loads(reply.read())["error"]["status"] == "INVALID_ARGUMENT"
    connection.close()
