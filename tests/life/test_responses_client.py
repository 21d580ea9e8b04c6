"""OpenAI's own client asking the Responses API: bytes through to a provider that serves it, and over the bridge.

What docs/dialects.md tables for every dialect is in `test_dialect_table.py`; here is what is this API's alone.
"""

import http.client
import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.kit.gateway_process import TRANSPORTS, until
from tests.kit.vendors import openai as vendor
from tests.kit.vendors.server import (
    INPUT,
    OBJECT,
    OUTPUT,
    REASONING,
    SCENARIOS,
    SIGNATURE,
    TEXT,
    THOUGHT,
    Answer,
    Asked,
    VendorServer,
    sse,
)
from tests.kit.whole import Whole

HELLO = "Hello there friend"
EXTRA = ("broken", "failing", "cut", "bad-arguments", "html", "empty", "failed")
NATIVE, ACROSS = "native-", "across-"
KINDS = (NATIVE, ACROSS)


class Person(BaseModel):
    """What `schema` answers."""

    name: str
    age: int


@pytest.fixture(scope="module")
def server() -> Iterator[VendorServer]:
    with VendorServer(vendor.answer) as server:
        yield server


def settings(url: str) -> str:
    said = ["[retries]\nmax = 0"]
    for kind, more in ((NATIVE, "responses = true"), (ACROSS, "")):
        said.append(
            f'[[providers]]\nname = "{kind}p"\nbase_url = "{url}/v1"\napi_key = "env:KPGATE_TEST_UPSTREAM"\n{more}'
        )
        said += [
            f'[[models]]\nname = "{kind}{name}"\ndeployments = [{{provider = "{kind}p", model = "{name}"}}]'
            for name in (*SCENARIOS, *EXTRA)
        ]
    said.append(
        f'[[providers]]\nname = "lenient"\nbase_url = "{url}/v1"\napi_key = "env:KPGATE_TEST_UPSTREAM"\n'
        'drop_unsupported = true\n[[models]]\nname = "lenient"\n'
        'deployments = [{provider = "lenient", model = "plain"}]'
    )
    return "\n".join(said)


@pytest.fixture(scope="module", params=TRANSPORTS)
def gate(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, server: VendorServer
) -> Iterator[Whole]:
    folder = tmp_path_factory.mktemp("responses")
    with Whole(folder, settings(server.url), transport=request.param) as gate:
        yield gate


@pytest.fixture(scope="module")
def client(gate: Whole) -> Iterator[Any]:
    with openai.OpenAI(
        base_url=f"http://127.0.0.1:{gate.port}/v1", api_key=gate.key(), max_retries=0
    ) as client:
        yield client


def test_the_bytes_go_through(gate: Whole, server: VendorServer) -> None:
    body = b'{ "model":"native-plain", "input" : "hi","new_field":{"x":[1]}, "stream":true }'
    connection = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=20)
    connection.request("POST", "/v1/responses", body, {"authorization": f"Bearer {gate.key()}"})
    reply = connection.getresponse()
    got = reply.read()
    connection.close()
    assert server.asked[-1].raw == body.replace(b"native-plain", b"plain")
    asked = Asked("/v1/responses", {}, server.asked[-1].body)
    assert got == b"".join(vendor.answer(asked).pieces)
    status, _, said = gate.post("/v1/responses", gate.key(), body.replace(b"true", b"false"))
    assert status == 200 and said["id"].startswith("resp_67cc")


def test_state_and_built_in_tools_are_the_provider_s(client: Any, server: VendorServer) -> None:
    asked: dict[str, Any] = {
        "input": [{"type": "item_reference", "id": "msg_1"}, {"role": "user", "content": HELLO}],
        "previous_response_id": "resp_0",
        "tools": [
            {"type": "web_search"},
            {"type": "mcp", "server_label": "x", "server_url": "https://e.com"},
        ],
        "tool_choice": {"type": "web_search"},
        "truncation": "auto",
        "store": True,
    }
    reply = client.responses.create(model="native-plain", **asked)
    assert reply.output_text == TEXT and reply.previous_response_id == "resp_0"
    assert server.asked[-1].body == {"model": "plain", **asked}
    for name, param in (
        ("previous_response_id", "previous_response_id"),
        ("tools", "tools.web_search"),
        ("tool_choice", "tool_choice.web_search"),
        ("truncation", "truncation"),
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.create(model="across-plain", **{"input": HELLO, name: asked[name]})
        assert (caught.value.param, caught.value.code) == (param, "invalid_request")
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="across-plain", input=asked["input"])
    assert caught.value.param == "input[0]"
    for kind in KINDS:
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.create(model=f"{kind}plain", input=HELLO, background=True)
        assert caught.value.param == "background"


CODEX: list[Any] = [
    {"type": "function", "name": "exec_command", "parameters": {"type": "object"}, "strict": False},
    {
        "type": "custom",
        "name": "apply_patch",
        "format": {"type": "grammar", "syntax": "lark", "definition": "s: /x/"},
    },
    {"type": "web_search", "external_web_access": False},
]
"""The kinds of tools that Codex offers when nobody has told it not to."""


def test_tools_that_only_openai_has_are_refused_by_name_or_left_out_and_said(
    client: Any, server: VendorServer
) -> None:
    seen = len(server.asked)
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="across-plain", input=HELLO, tools=CODEX)
    assert caught.value.param == "tools.custom"
    assert "the OpenAI API, which this model is asked through, has nothing for it" in str(caught.value)
    assert len(server.asked) == seen
    said: list[Any] = [
        {"role": "user", "content": HELLO},
        {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": "*** Begin Patch"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "Done"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
    ]
    raw = client.responses.with_raw_response.create(
        model="lenient", input=said, tools=CODEX, tool_choice={"type": "web_search"}
    )
    assert raw.parse().output_text == TEXT
    named = {"tools.custom", "tools.web_search", "tool_choice.web_search", "input.web_search_call"}
    assert set(raw.headers["x-kpgate-dropped"].split(",")) == named
    body = server.asked[-1].body
    assert [tool["function"]["name"] for tool in body["tools"]] == ["exec_command"]
    called, done = body["messages"][1:]
    assert called["tool_calls"][0]["function"] == {
        "name": "apply_patch",
        "arguments": '{"input":"*** Begin Patch"}',
    }
    assert (done["role"], done["tool_call_id"], done["content"]) == ("tool", "c1", "Done")
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="lenient", input=HELLO, previous_response_id="resp_0")
    assert caught.value.param == "previous_response_id", "a conversation is no field that could be left out"


@pytest.mark.parametrize("kind", KINDS)
def test_reasoning_is_summed_up_and_counted(client: Any, kind: str) -> None:
    reply = client.responses.create(model=f"{kind}thinking", input=HELLO, reasoning={"effort": "low"})
    thought, said = reply.output
    assert (thought.type, thought.summary[0].text, said.content[0].text) == ("reasoning", THOUGHT, TEXT)
    assert reply.usage.output_tokens_details.reasoning_tokens == REASONING
    with client.responses.stream(model=f"{kind}thinking", input=HELLO) as stream:
        events = list(stream)
        final = stream.get_final_response()
    deltas = [event.delta for event in events if event.type == "response.reasoning_summary_text.delta"]
    assert "".join(deltas) == THOUGHT and final.output[0].summary[0].text == THOUGHT
    if kind == NATIVE:
        assert final.output[0].encrypted_content == SIGNATURE


@pytest.mark.parametrize("kind", KINDS)
def test_a_refusal_and_a_parsed_answer(client: Any, kind: str) -> None:
    refused = client.responses.create(model=f"{kind}refusal", input=HELLO)
    assert refused.output[0].content[0].refusal == vendor.REFUSAL and refused.output_text == ""
    with client.responses.stream(model=f"{kind}refusal", input=HELLO) as stream:
        spoken = [event.delta for event in stream if event.type == "response.refusal.delta"]
    assert "".join(spoken) == vendor.REFUSAL
    parsed = client.responses.parse(model=f"{kind}schema", input=HELLO, text_format=Person)
    assert parsed.output_parsed == Person(**OBJECT)  # type: ignore[arg-type]


def test_a_reply_over_the_bridge_says_again_what_was_asked(client: Any, server: VendorServer) -> None:
    tools = [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}]
    raw = client.responses.with_raw_response.create(
        model="across-plain",
        input=HELLO,
        instructions="Be kind.",
        tools=tools,
        tool_choice={"type": "function", "name": "f"},
        parallel_tool_calls=False,
        temperature=0.5,
        metadata={"a": "b"},
        prompt_cache_key="k",
        max_output_tokens=40,
        store=True,
    )
    reply = raw.parse()
    assert (reply.instructions, reply.temperature, reply.metadata) == ("Be kind.", 0.5, {"a": "b"})
    assert (reply.tools[0].name, reply.tool_choice.name, reply.parallel_tool_calls) == ("f", "f", False)
    assert (reply.max_output_tokens, reply.error, reply.previous_response_id) == (40, None, None)
    assert raw.headers["x-kpgate-dropped"] == "prompt_cache_key,store,metadata"
    sent = server.asked[-1].body
    assert sent["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": HELLO},
    ]
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert sent["max_completion_tokens"] == 40 and "metadata" not in sent


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", ["broken", "cut"])
def test_a_stream_that_breaks_is_an_error_not_an_end(client: Any, kind: str, model: str) -> None:
    got: list[Any] = []
    stream = client.responses.create(model=f"{kind}{model}", input=HELLO, stream=True)
    with pytest.raises(openai.APIError) as caught:
        got += iter(stream)
    expected = "Overloaded" if model == "broken" else "provider"
    assert expected in caught.value.message
    assert [event.sequence_number for event in got] == list(range(len(got))) and len(got) >= 4


def test_an_error_s_event_goes_on_in_the_stream_s_numbers_and_ends_it(gate: Whole) -> None:
    for model in ("native-cut", "across-cut"):
        body = json.dumps({"model": model, "input": HELLO, "stream": True}).encode()
        connection = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=20)
        connection.request("POST", "/v1/responses", body, {"authorization": f"Bearer {gate.key()}"})
        events = [
            json.loads(line[6:])
            for line in connection.getresponse().read().splitlines()
            if line.startswith(b"data: ")
        ]
        connection.close()
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        error = next(event for event in events if event["type"] == "error")
        assert error["code"] == error["error"]["code"] == "upstream_failed"
        if model == "across-cut":
            assert events[-1]["type"] == "response.failed"
            assert events[-1]["response"]["error"]["code"] == "server_error"


@pytest.mark.parametrize(
    ("model", "stream"), [("bad-arguments", False), ("html", False), ("html", True), ("empty", False)]
)
def test_a_reply_that_is_none_is_the_provider_s_fault(client: Any, model: str, stream: bool) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        client.responses.create(model=f"across-{model}", input=HELLO, stream=stream)
    assert caught.value.code == "upstream_failed"


def test_errors_are_the_client_s_own(client: Any) -> None:
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="sk-wrong").responses.create(model="native-plain", input=HELLO)
    with pytest.raises(openai.NotFoundError) as unknown:
        client.responses.create(model="none", input=HELLO)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as wrong:
        client.responses.create(model="native-plain", input=[{"role": "user", "content": 7}])
    assert wrong.value.param == "input[0].content"
    for kind in KINDS:
        with pytest.raises(openai.BadRequestError) as refused:
            client.responses.create(model=f"{kind}error-400", input=HELLO)
        assert (refused.value.param, refused.value.code) == ("temperature", "invalid_value")
        assert "Invalid 'temperature'" in refused.value.message


def test_echo_answers_here_too(client: Any) -> None:
    assert client.responses.create(model="echo", input=HELLO).output_text == HELLO
    with client.responses.stream(model="echo", input=HELLO, max_output_tokens=2) as stream:
        *_, last = stream
    assert (last.type, last.response.output_text) == ("response.incomplete", "Hello there")


def test_the_record_and_the_metrics_have_the_usage(gate: Whole, client: Any) -> None:
    ids = [f"usage-{kind}{streams}" for kind in KINDS for streams in (False, True)]
    for at, name in enumerate(ids):
        ask = partial(
            client.responses.create,
            model=f"{KINDS[at // 2]}plain",
            input=HELLO,
            extra_headers={"x-request-id": name},
        )
        assert list(ask(stream=True)) if at % 2 else ask()

    def told() -> list[dict[str, Any]]:
        return [record for record in gate.records() if record["id"] in ids]

    until(lambda: len(told()) == len(ids))
    for record in told():
        used = (record["input_tokens"], record["output_tokens"], record["usage"])
        assert used == (INPUT, OUTPUT, "provider")
    assert b'path="/v1/responses"' in gate.get("/metrics")[1]


def test_a_chat_is_asked_of_a_provider_that_only_has_responses(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """A chat caller's hints find their place, and nothing is left at the provider."""

    def answer(asked: Asked) -> Answer:
        assert asked.path == "/v1/responses"
        return vendor.answer(asked)

    with VendorServer(answer) as server:
        text = (
            f'[[providers]]\nname = "r"\ndialect = "responses"\nbase_url = "{server.url}/v1"\n'
            '[[models]]\nname = "plain"\ndeployments = [{provider = "r", model = "plain"}]\n'
        )
        with Whole(tmp_path_factory.mktemp("only"), text) as gate:
            messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": HELLO}]
            body = {"model": "plain", "messages": messages, "prompt_cache_key": "k", "service_tier": "flex"}
            status, headers, said = gate.post("/v1/chat/completions", gate.key(), json.dumps(body).encode())
            assert (status, said["choices"][0]["message"]["content"]) == (200, TEXT)
            assert headers["x-kpgate-dropped"] == "service_tier"
            sent = server.asked[-1].body
            assert (sent["store"], sent["instructions"], sent["prompt_cache_key"]) == (False, "Be kind.", "k")
            status, _, said = gate.post(
                "/v1/chat/completions", gate.key(), json.dumps(body | {"stop": ["x"]}).encode()
            )
            assert (status, said["error"]["param"]) == (400, "stop")


def test_a_first_event_that_is_an_error_can_be_tried_elsewhere(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Over the bridge nothing has been said before the first event: the next deployment answers."""

    def fails(asked: Asked) -> Answer:
        error = {"error": {"message": "busy", "type": "server_error", "param": None, "code": None}}
        return Answer(200, "text/event-stream", sse(error))

    with VendorServer(fails) as first, VendorServer(vendor.answer) as second:
        text = (
            f'[[providers]]\nname = "a"\nbase_url = "{first.url}/v1"\n'
            f'[[providers]]\nname = "b"\nbase_url = "{second.url}/v1"\n'
            '[[models]]\nname = "two"\ndeployments = [{provider = "a", model = "plain"},'
            '{provider = "b", model = "plain", priority = 1}]\n'
        )
        with Whole(tmp_path_factory.mktemp("two"), text) as gate:
            with openai.OpenAI(
                base_url=f"http://127.0.0.1:{gate.port}/v1", api_key=gate.key(), max_retries=0
            ) as client:
                events = list(client.responses.create(model="two", input=HELLO, stream=True))
            assert events[-1].type == "response.completed"
