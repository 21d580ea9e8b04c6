"""Google's own client with nothing changed but its base URL, to a Gemini provider: bytes through, held and metered."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from google import genai
from google.genai import errors, types

from tests.kit.gateway_process import TRANSPORTS, until
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


def test_a_conversation(client: genai.Client, google: VendorServer) -> None:
    chat = client.chats.create(model="plain")
    assert chat.send_message(HELLO).text == TEXT
    assert chat.send_message("Again").text == TEXT
    assert [content["role"] for content in google.asked[-1].body["contents"]] == ["user", "model", "user"]


WEATHER = types.FunctionDeclaration(
    name="get_weather",
    description="The weather.",
    parameters_json_schema={"type": "object", "properties": {"city": {"type": "string"}}},
)
TOOLS = types.GenerateContentConfig(
    tools=[types.Tool(function_declarations=[WEATHER])],
    automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
)


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_and_their_results_with_the_seal(
    client: genai.Client, google: VendorServer, streamed: bool
) -> None:
    ask: dict[str, Any] = {"model": "tools", "contents": HELLO, "config": TOOLS}
    replies = (
        list(client.models.generate_content_stream(**ask))
        if streamed
        else [client.models.generate_content(**ask)]
    )
    parts = [
        part for reply in replies for part in reply.candidates[0].content.parts  # type: ignore[index,union-attr]
    ]  # fmt: skip
    calls = [part.function_call for part in parts]
    assert [(call.name, call.args) for call in calls if call is not None] == list(CALLS)
    results = [types.Part.from_function_response(name=name, response={"output": "done"}) for name, _ in CALLS]
    contents = [types.UserContent(HELLO), types.ModelContent(parts), types.UserContent(results)]
    assert client.models.generate_content(model="plain", contents=contents, config=TOOLS).text == TEXT
    sent = google.asked[-1].body["contents"]
    assert sent[1]["parts"][0]["thoughtSignature"] == SIGNATURE
    assert [part["functionResponse"]["name"] for part in sent[2]["parts"]] == [name for name, _ in CALLS]


def test_a_picture_a_schema_and_thoughts(client: genai.Client, google: VendorServer) -> None:
    picture = types.Part.from_bytes(data=b"not really one", mime_type="image/png")
    schema = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}
    reply = client.models.generate_content(
        model="schema",
        contents=["What is it?", picture],
        config=types.GenerateContentConfig(
            response_mime_type="application/json", response_json_schema=schema, system_instruction="Be brief."
        ),
    )
    assert json.loads(reply.text or "") == OBJECT
    body = google.asked[-1].body
    assert body["generationConfig"]["responseJsonSchema"] == schema
    assert body["contents"][0]["parts"][1]["inlineData"]["mime_type"] == "image/png", "as the client sent it"
    assert body["systemInstruction"]["parts"] == [{"text": "Be brief."}]
    reply = client.models.generate_content(model="thinking", contents=HELLO)
    parts = reply.candidates[0].content.parts  # type: ignore[index,union-attr]
    assert parts is not None and (parts[0].text, parts[0].thought) == (THOUGHT, True)
    assert reply.text == TEXT
    assert reply.usage_metadata is not None and reply.usage_metadata.thoughts_token_count == REASONING


def test_tokens_are_counted_by_google_where_it_is_asked_and_by_kpgate_where_not(
    client: genai.Client, gate: Whole, google: VendorServer
) -> None:
    counted = client.models.count_tokens(model="plain", contents=HELLO)
    assert counted.total_tokens == gemini.COUNTED
    assert google.asked[-1].path == "/v1beta/models/plain:countTokens"
    whole = {"generateContentRequest": {"model": "models/other", "contents": [{"parts": [{"text": HELLO}]}]}}
    path = "/v1beta/models/{}:countTokens"
    status, headers, said = gate.post(path.format("plain"), gate.key(), json.dumps(whole).encode())
    assert (status, said["totalTokens"], headers["x-kpgate-provider"]) == (200, gemini.COUNTED, "g")
    assert google.asked[-1].body["generateContentRequest"]["model"] == "models/plain"
    asked = len(google.asked)
    own = [
        client.models.count_tokens(model="echo", contents=one).total_tokens for one in (HELLO, [HELLO] * 2)
    ]
    assert own == [6, 3 + 2 * 3]
    status, headers, said = gate.post(path.format("echo"), gate.key(), BODY)
    assert (status, said, headers["x-kpgate-count"]) == (200, {"totalTokens": 6}, "calibrated")
    assert "x-kpgate-provider" not in headers and len(google.asked) == asked


def test_a_blocked_prompt_is_what_the_client_knows(client: genai.Client) -> None:
    reply = client.models.generate_content(model="blocked", contents=HELLO)
    assert not reply.candidates and reply.prompt_feedback is not None
    assert reply.prompt_feedback.block_reason is types.BlockedReason.PROHIBITED_CONTENT


def test_errors_are_the_client_s_own(gate: Whole, client: genai.Client) -> None:
    def refused(model: str, kind: type[errors.APIError], **more: Any) -> errors.APIError:
        with pytest.raises(kind) as caught:
            client.models.generate_content(model=model, contents=HELLO, **more)
        return caught.value

    assert refused("error-400", errors.ClientError).status == "INVALID_ARGUMENT"
    assert refused("nobody's", errors.ClientError).status == "NOT_FOUND"
    limited = refused("error-429", errors.ClientError)
    assert (limited.code, limited.status) == (429, "RESOURCE_EXHAUSTED")
    assert refused("error-500", errors.ServerError).status == "UNAVAILABLE"
    assert "credential" in str(refused("bad-key", errors.ServerError).message)
    wrong = refused("plain", errors.ClientError, config={"candidate_count": 9999})
    assert wrong.details["error"]["details"][0]["reason"] == "invalid_request"
    assert wrong.details["error"]["details"][1]["fieldViolations"][0]["field"] == (
        "generationConfig.candidateCount"
    )
    with connect(gate, "sk-wrong") as stranger, pytest.raises(errors.ClientError) as unknown:
        stranger.models.generate_content(model="plain", contents=HELLO)
    assert (unknown.value.code, unknown.value.status) == (401, "UNAUTHENTICATED")


def test_a_stream_that_breaks_is_an_error_not_an_end(client: genai.Client) -> None:
    with pytest.raises(errors.APIError, match="provider g"):
        list(client.models.generate_content_stream(model="cut", contents=HELLO))


BODY = json.dumps({"contents": [{"parts": [{"text": HELLO}]}]}).encode()


def test_without_alt_sse_a_stream_is_a_json_list(gate: Whole) -> None:
    path = "/v1beta/models/{}:streamGenerateContent"
    said: Any
    status, headers, said = gate.post(path.format("plain"), gate.key(), BODY)
    assert (status, headers["content-type"]) == (200, "application/json; charset=utf-8")
    texts = [item["candidates"][0]["content"]["parts"][0]["text"] for item in said]
    assert "".join(texts) == TEXT and len(texts) == 3
    _, _, said = gate.post(path.format("cut"), gate.key(), BODY)
    assert said[-1]["error"]["status"] == "UNAVAILABLE"


def test_v1_is_the_same_and_what_is_odd_is_told_in_google_s_words(gate: Whole) -> None:
    key = gate.key("odd")
    assert gate.post("/v1/models/plain:generateContent", key, BODY)[0] == 200
    assert records_of(gate, "odd", 1)[0]["path"] == "/v1beta/models/{model}:generateContent"

    def told(path: str, secret: str = key) -> tuple[int, str, str]:
        status, _, said = gate.post(path, secret, BODY)
        return status, said["error"]["status"], said["error"]["message"]

    assert told("/v1beta/models/a%2F..%2Fb:generateContent")[:2] == (400, "INVALID_ARGUMENT")
    assert told("/v1beta/models/a:embedContent")[:2] == (404, "NOT_FOUND")
    assert "x-goog-api-key" in told("/v1beta/models/plain:generateContent?key=sk-a", "")[2]
    assert told("/v1beta/models/plain:generateContent?key=sk-a", "")[:2] == (401, "UNAUTHENTICATED")
    assert told("/v1beta/models/plain:generateContent?key=sk-a")[:2] == (400, "INVALID_ARGUMENT")
    status, said = gate.get("/v1beta/models/plain:generateContent")
    assert (status, json.loads(said)["error"]["code"]) == (405, 405)


def records_of(gate: Whole, party: str, count: int) -> list[dict[str, Any]]:
    """What the log says of a party, once it has so many lines of it: they come in lots."""
    found: list[dict[str, Any]] = []

    def complete() -> bool:
        found[:] = [record for record in gate.records() if record["party"] == party]
        return len(found) >= count

    until(complete)
    return found


def test_the_record_and_the_metrics_have_the_usage(gate: Whole) -> None:
    with connect(gate, gate.key("recorded")) as client:
        client.models.generate_content(model="plain", contents=HELLO)
        list(client.models.generate_content_stream(model="plain", contents=HELLO))
    records = records_of(gate, "recorded", 2)
    assert [record["path"].rpartition(":")[2] for record in records] == [
        "generateContent",
        "streamGenerateContent",
    ]
    for record in records:
        assert (record["input_tokens"], record["output_tokens"], record["usage"]) == (
            INPUT,
            OUTPUT,
            "provider",
        )
        assert record["cached_tokens"] == CACHED
    assert b'model}:streamGenerateContent"' in gate.get("/metrics")[1]
