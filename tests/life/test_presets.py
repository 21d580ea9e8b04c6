"""Presets and the catalogue through the whole gateway, with the official client before and vendors' fakes behind."""

import http.client
import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import anthropic
import openai
import pytest

from kpgate.domain.presets import PRESETS
from kpgate.domain.quirks import NONE
from tests.kit.gateway_process import TRANSPORTS, until
from tests.kit.vendors import compatible
from tests.kit.vendors.compatible import CACHED, INPUT, OUTPUT, REASONING, TEXT
from tests.kit.vendors.server import VendorServer
from tests.kit.whole import SECRET, Whole

PER = {"input": 250, "cached": 25, "output": 1_000, "reasoning": 2_000}
"""microKPT a token by the prices below."""
PRICE = "{ input = 2.5, cached = 0.25, output = 10, reasoning = 20 }"
PLAIN = INPUT * PER["input"] + OUTPUT * PER["output"]
PART_CACHED = (INPUT - CACHED) * PER["input"] + CACHED * PER["cached"] + OUTPUT * PER["output"]
THOUGHT = PLAIN + REASONING * PER["reasoning"]
QUIRKY = [name for name, preset in PRESETS.items() if preset.quirks != NONE]
COSTS = {
    "openai": PLAIN,
    **dict.fromkeys(QUIRKY, PLAIN),
    "deepseek": PART_CACHED,
    "moonshot": PART_CACHED,
    "xai": THOUGHT,
}
FUNDS = 10**9
HELLO: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]
numbers = count()


class Scene(NamedTuple):
    gate: Whole
    vendors: VendorServer

    def payer(self) -> tuple[str, openai.OpenAI]:
        """A funded party's name, and its client."""
        name = f"payer-{next(numbers)}"
        key = self.gate.key(name)
        self.gate.fund(name, FUNDS)
        address = f"http://127.0.0.1:{self.gate.port}/v1"
        return name, openai.OpenAI(base_url=address, api_key=key, max_retries=0)

    def paid(self, name: str) -> int:
        """Once nothing is held any more."""
        until(lambda: self.gate.balance(name)["held_microkpt"] == 0)
        return FUNDS - int(self.gate.balance(name)["balance_microkpt"])

    def get(self, path: str, **key: Any) -> Any:
        """What a path answers to a new key."""
        connection = http.client.HTTPConnection("127.0.0.1", self.gate.port, timeout=20)
        try:
            connection.request("GET", path, headers={"authorization": f"Bearer {self.gate.key(**key)}"})
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


def provider(name: str, preset: str, url: str, more: str = "") -> str:
    return (
        f'[[providers]]\nname = "{name}"\npreset = "{preset}"\nbase_url = "{url}/{name}/v1"\n'
        f'api_key = "env:KPGATE_TEST_UPSTREAM"\n{more}\n'
    )


def model(name: str, at: str, there: str = "plain", price: str = f"price = {PRICE}") -> str:
    return (
        f'[[models]]\nname = "{name}"\ndeployments = [{{ provider = "{at}", model = "{there}" }}]\n{price}\n'
    )


@pytest.fixture(scope="module", params=TRANSPORTS)
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("presets")
    own = folder / "own.toml"
    own.write_text(
        'vendor = "house"\nsource = "what we agreed on"\n'
        '[[models]]\nname = "tuned"\ncontext_window = 8192\noutput_tokens_max = 1024\n'
        'inputs = ["text", "image"]\noutputs = ["text"]\ntools = true\nreasoning = false\n'
        "price = { input = 1, output = 2 }\n"
    )
    with VendorServer(compatible.answer) as vendors:
        settings = "".join(provider(name, name, vendors.url) + model(name, name) for name in COSTS)
        settings += model("thinker", "mistral", "thinking")
        settings += '[[models]]\nname = "relay"\ndeployments = [{ provider = "mistral", model = "down" }, '
        settings += f'{{ provider = "openai", model = "plain", priority = 1 }}]\nprice = {PRICE}\n'
        settings += provider("foundry", "azure-foundry", vendors.url) + model("foundry", "foundry")
        settings += provider("github", "github", vendors.url) + model("github", "github")
        settings += provider("house", "vllm", vendors.url) + model("tuned", "house", "tuned", "")
        settings += model("listed", "openai", "gpt-4o-mini", "") + model("nobody-knows", "house", "mine", "")
        settings += '[[models]]\nname = "either"\n'
        settings += 'deployments = [{ provider = "openai", model = "gpt-4o" }, '
        settings += '{ provider = "house", model = "tuned" }]\n'
        settings += f'[catalogue]\nfile = "{own}"\nunknown_price = {{ input = 50, output = 60 }}\n'
        settings += "[ledger]\nenabled = true\n"
        with Whole(folder, settings, transport=request.param) as gate:
            yield Scene(gate, vendors)


@pytest.fixture(scope="module")
def client(scene: Scene) -> openai.OpenAI:
    """One who asks for all that nobody looks at the price of."""
    return scene.payer()[1]


@pytest.fixture(scope="module")
def claude(client: openai.OpenAI) -> anthropic.Anthropic:
    """The same in another dialect."""
    return anthropic.Anthropic(base_url=str(client.base_url).removesuffix("/v1/"), api_key=client.api_key)


@pytest.mark.parametrize("vendor", COSTS)
@pytest.mark.parametrize("shape", ["whole", "stream", "stream with usage"])
def test_every_provider_is_asked_as_it_wants_and_charged_by_what_it_says(
    scene: Scene, vendor: str, shape: str
) -> None:
    name, client = scene.payer()
    if shape == "whole":
        reply = client.chat.completions.create(model=vendor, messages=HELLO, max_completion_tokens=77)
        assert reply.choices[0].message.content == TEXT
    else:
        options: Any = {"include_usage": True} if shape == "stream with usage" else openai.omit
        chunks = list(
            client.chat.completions.create(
                model=vendor, messages=HELLO, stream=True, stream_options=options, max_completion_tokens=77
            )
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text == TEXT
        assert shape != "stream" or all(chunk.choices for chunk in chunks)
    assert scene.paid(name) == COSTS[vendor]
    asked = next(one for one in reversed(scene.vendors.asked) if one.path.startswith(f"/{vendor}/"))
    assert asked.path == f"/{vendor}/v1/chat/completions"
    assert asked.headers["authorization"] == f"Bearer {SECRET}"
    field = PRESETS[vendor].quirks.cap or "max_completion_tokens"
    assert {name: value for name, value in asked.body.items() if name.startswith("max_")} == {field: 77}


CALL: Any = {"id": "call_abc", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOLS: Any = [
    {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
]
DUMPED: Any = {
    "role": "assistant",
    "content": None,
    "refusal": None,
    "annotations": [],
    "audio": None,
    "function_call": None,
    "reasoning_content": "hm",
    "tool_calls": [CALL],
}
"""An earlier answer as a client gives it back that keeps all it was given."""
SENT = ("user", "metadata", "store", "prompt_cache_key", "safety_identifier")
AGENT: list[Any] = [
    {"role": "system", "content": "Be kind."},
    {"role": "developer", "content": [{"type": "text", "text": "Use tools."}]},
    {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
    DUMPED,
    {"role": "tool", "tool_call_id": "call_abc", "content": "42"},
]


@pytest.mark.parametrize("vendor", COSTS)
def test_an_agent_s_own_client_is_understood_by_every_provider(
    scene: Scene, client: openai.OpenAI, vendor: str
) -> None:
    """What OpenAI's clients and those who use them send without being asked to."""
    raw = client.chat.completions.with_raw_response.create(
        model=vendor,
        messages=AGENT,
        tools=TOOLS,
        store=False,
        user="u",
        metadata={"a": "b"},
        seed=7,
        prompt_cache_key="k",
        safety_identifier="s",
    )
    assert raw.parse().choices[0].message.content == TEXT
    body = scene.vendors.asked[-1].body
    assert body[PRESETS[vendor].quirks.seed] == 7
    left = [one for one in PRESETS[vendor].quirks.refused if one in SENT]
    thought = ["messages.reasoning_content"] * ("reasoning_content" in PRESETS[vendor].quirks.unsaid)
    said = raw.headers.get("x-kpgate-dropped", "")
    assert sorted(filter(None, said.split(","))) == sorted(left + thought)
    (call,), answered = body["messages"][-2]["tool_calls"], body["messages"][-1]
    assert call["id"] == answered["tool_call_id"], "a call and its result are named alike"


def test_what_is_said_of_dropped_fields_is_of_the_provider_that_answered(
    scene: Scene, client: openai.OpenAI
) -> None:
    asked: Any = {"messages": HELLO, "user": "u"}
    raw = client.chat.completions.with_raw_response.create(model="mistral", **asked)
    assert raw.headers["x-kpgate-dropped"] == "user"
    raw = client.chat.completions.with_raw_response.create(model="relay", **asked)
    assert raw.headers["x-kpgate-provider"] == "openai" and raw.headers["x-kpgate-attempts"] == "2"
    assert "x-kpgate-dropped" not in raw.headers and scene.vendors.asked[-1].body["user"] == "u"


@pytest.mark.parametrize("vendor", COSTS)
@pytest.mark.parametrize("streamed", [False, True])
def test_claude_code_is_understood_by_every_provider(
    scene: Scene, claude: anthropic.Anthropic, vendor: str, streamed: bool
) -> None:
    asked: Any = {
        "model": vendor,
        "max_tokens": 50,
        "system": [{"type": "text", "text": "Be kind."}, {"type": "text", "text": "Be brief."}],
        "metadata": {"user_id": "u"},
        "thinking": {"type": "disabled"},
        "tools": [{"name": "f", "input_schema": {"type": "object", "properties": {}}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": ""},
                    {"type": "tool_use", "id": "toolu_01A", "name": "f", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "toolu_01A", "content": "42"}],
            },
        ],
    }
    if streamed:
        with claude.messages.stream(**asked) as stream:
            assert stream.get_final_text() == TEXT
    else:
        assert claude.messages.create(**asked).content[0].text == TEXT  # type: ignore[union-attr]
    body = scene.vendors.asked[-1].body
    if PRESETS[vendor].quirks.thinks_back:
        assert [one["reasoning_content"] for one in body["messages"] if "tool_calls" in one] == ["hm"]


@pytest.mark.parametrize("vendor", [name for name in COSTS if not PRESETS[name].responses])
def test_codex_is_understood_by_every_provider(scene: Scene, client: openai.OpenAI, vendor: str) -> None:
    reply = client.responses.create(
        model=vendor,
        instructions="Be kind.",
        input=[
            {
                "type": "message",
                "role": "developer",
                "content": [{"type": "input_text", "text": "Use tools."}],
            },
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go"}]},
            {"type": "function_call", "call_id": "call_abc", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_abc", "output": "42"},
        ],
        tools=[{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}],
        tool_choice="auto",
        parallel_tool_calls=True,
        store=False,
        prompt_cache_key="k",
        include=["reasoning.encrypted_content"],
    )
    assert reply.output_text == TEXT
    roles = [one["role"] for one in scene.vendors.asked[-1].body["messages"]]
    assert roles[:2] == (["system", "developer"] if PRESETS[vendor].quirks.developer else ["system", "user"])


@pytest.mark.parametrize("streamed", [False, True])
def test_a_content_in_pieces_is_read_across_dialects(claude: anthropic.Anthropic, streamed: bool) -> None:
    asked: Any = {
        "model": "thinker",
        "max_tokens": 2_000,
        "messages": [{"role": "user", "content": "hello"}],
        "thinking": {"type": "enabled", "budget_tokens": 1_024},
    }
    if streamed:
        with claude.messages.stream(**asked) as stream:
            message = stream.get_final_message()
    else:
        message = claude.messages.create(**asked)
    thought, text = message.content
    assert thought.type == "thinking" and thought.thinking == "Hm."
    assert text.type == "text" and text.text == TEXT


@pytest.mark.parametrize(
    ("vendor", "more", "param"),
    [
        ("zai", {"tool_choice": {"type": "any"}}, "tool_choice"),
        ("zai", {"stop_sequences": ["a", "b"]}, "stop_sequences"),
        ("moonshot", {"tool_choice": {"type": "any"}}, "tool_choice"),
        ("perplexity", {"tool_choice": {"type": "tool", "name": "f"}}, "tool_choice"),
        (
            "deepseek",
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
            "format",
        ),
        ("groq", {"top_k": 5}, "top_k"),
    ],
)
def test_what_the_provider_has_not_is_refused_before_it_is_asked(
    scene: Scene, vendor: str, more: dict[str, Any], param: str
) -> None:
    name, paying = scene.payer()
    client = anthropic.Anthropic(base_url=str(paying.base_url).removesuffix("/v1/"), api_key=paying.api_key)
    asked = len(scene.vendors.asked)
    tools: Any = [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]
    with pytest.raises(anthropic.BadRequestError, match=param):
        client.messages.create(
            model=vendor,
            max_tokens=9,
            messages=[{"role": "user", "content": "go"}],
            tools=tools,
            extra_body=more,
        )
    assert scene.paid(name) == 0 and len(scene.vendors.asked) == asked


@pytest.mark.parametrize("vendor", ["mistral", "openai"])
def test_the_held_cap_reaches_the_field_that_is_read(scene: Scene, vendor: str) -> None:
    name, client = scene.payer()
    client.chat.completions.create(model=vendor, messages=HELLO)
    assert scene.paid(name) == COSTS[vendor]
    body = scene.vendors.asked[-1].body
    field = "max_tokens" if vendor == "mistral" else "max_completion_tokens"
    assert body[field] == 4096 and len({"max_tokens", "max_completion_tokens"} & set(body)) == 1


def test_what_a_provider_cannot_do_is_refused_by_name_and_costs_nothing(scene: Scene) -> None:
    name, client = scene.payer()
    asked = len(scene.vendors.asked)
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="groq", messages=HELLO, n=2)
    assert caught.value.param == "n"
    assert scene.paid(name) == 0 and len(scene.vendors.asked) == asked


def test_credentials_and_headers_go_as_the_preset_says(scene: Scene) -> None:
    _, client = scene.payer()
    client.chat.completions.create(model="foundry", messages=HELLO)
    asked, headers = scene.vendors.asked[-1], scene.vendors.asked[-1].headers
    assert asked.path == "/foundry/v1/chat/completions"
    assert headers["api-key"] == SECRET and "authorization" not in headers
    client.chat.completions.create(model="github", messages=HELLO)
    headers = scene.vendors.asked[-1].headers
    assert headers["authorization"] == f"Bearer {SECRET}"
    assert headers["x-github-api-version"] == "2022-11-28"


def test_a_model_with_no_price_of_its_own_costs_what_its_vendor_asks(scene: Scene) -> None:
    for asked, price in (("listed", (15, 60)), ("tuned", (100, 200)), ("nobody-knows", (5_000, 6_000))):
        name, client = scene.payer()
        client.chat.completions.create(model=asked, messages=HELLO)
        assert scene.paid(name) == INPUT * price[0] + OUTPUT * price[1], asked


def test_a_price_says_where_it_is_from(scene: Scene) -> None:
    rows = scene.get("/admin/v1/prices", role="admin")["prices"]
    sources = {row["model"]: row["source"] for row in rows}
    assert sources["listed"].startswith("catalogue openai, 20") and "https://" in sources["listed"]
    assert sources["tuned"] == "catalogue house, what we agreed on"
    assert sources["nobody-knows"] == "[catalogue] unknown_price"
    assert sources["mistral"] is None


def test_models_show_what_they_can_to_those_who_may_use_them(scene: Scene) -> None:
    _, client = scene.payer()
    shown = {one.id: one for one in client.models.list()}
    listed: Any = shown["listed"]
    assert listed.object == "model" and listed.owned_by == "openai"
    assert (listed.context_window, listed.output_tokens_max) == (128_000, 16_384)
    assert listed.modalities["input"][:2] == ["text", "image"]
    assert listed.capabilities["tools"] is True and listed.capabilities["vision"] is True
    assert listed.pricing["currency"] == "KPT" and listed.pricing["per_tokens"] == 1_000_000
    assert (listed.pricing["input"], listed.pricing["output"]) == (15, 60)
    assert client.models.retrieve("listed") == listed
    unknown: Any = shown["nobody-knows"]
    assert unknown.context_window is None and unknown.capabilities["tools"] is None
    assert unknown.pricing["output"] == 6_000
    either: Any = shown["either"]
    assert (either.context_window, either.output_tokens_max) == (8192, 16_384)
    assert either.modalities["input"] == ["text", "image"] and either.modalities["output"] is None
    assert either.capabilities == {"vision": True, "tools": True, "json_schema": None, "reasoning": False}
    assert either.pricing["input"] == 250, "the dearest of its deployments"
    few = scene.get("/v1/models", models=("lis*",))["data"]
    assert [one["id"] for one in few] == ["listed"]


def test_the_model_s_own_cap_bounds_what_is_held(scene: Scene) -> None:
    """Nobody is held to the default where more is known to be possible, nor for more than is."""
    name, client = scene.payer()
    client.chat.completions.create(model="listed", messages=HELLO, max_completion_tokens=9_000)
    assert scene.vendors.asked[-1].body["max_completion_tokens"] == 9_000
    client.chat.completions.create(model="listed", messages=HELLO, max_completion_tokens=90_000)
    assert scene.vendors.asked[-1].body["max_completion_tokens"] == 16_384
    client.chat.completions.create(model="tuned", messages=HELLO)
    assert scene.vendors.asked[-1].body["max_completion_tokens"] == 1024
    assert scene.paid(name) > 0
