"""What the clients from npm do beyond one call, by what they do where they are told nothing.

What docs/dialects.md tables for every dialect is in `test_dialect_table.py`; here are tools in several steps, thoughts
given back, schemas as tools, leaving, waiting, and streams that break.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from kpgate.domain.limits import Limits
from tests.kit.callers.npm_client import SAID, Node
from tests.kit.dialect_table import PROVIDERS, provided
from tests.kit.gateway_process import TRANSPORTS, until
from tests.kit.provider import events, stream
from tests.kit.vendors.server import (
    CALLS,
    INPUT,
    OUTPUT,
    SIGNATURE,
    TEXT,
    THOUGHT,
    Answer,
    Asked,
    VendorServer,
)
from tests.kit.whole import Whole

VENDORS = ("openai", "responses", "anthropic", "gemini", "cohere")
STEPS, OBJECT = "steps", "object"
"""Two scenarios of these tests' own: tools are called until their results are there; a tool named `json` is called."""
MODELS = (STEPS, OBJECT, "plain", "thinking", "cut")
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}

Ask = Callable[..., Any]


def working(answer: Callable[[Asked], Answer]) -> Callable[[Asked], Answer]:
    """A vendor's fake that has STEPS and OBJECT as well."""

    def answers(asked: Asked) -> Answer:
        done = b"noon sharp" in asked.raw
        for name, scenario in ((STEPS, "plain" if done else "tools"), (OBJECT, "tools")):
            if asked.body.get("model") == name or f"/{name}:" in asked.path:
                asked.body = {**asked.body, "model": scenario}
                found = answer(replace(asked, path=asked.path.replace(f"/{name}:", f"/{scenario}:")))
                if name == OBJECT:
                    found.pieces = [piece.replace(CALLS[0][0].encode(), b"json") for piece in found.pieces]
                return found
        return answer(asked)

    return answers


class Bench:
    """A gateway before the vendors, and the clients."""

    def __init__(self, stack: ExitStack, folder: Any, transport: str, node: Node) -> None:
        self.node = node
        self.servers = {
            name: stack.enter_context(VendorServer(working(PROVIDERS[name].answer))) for name in VENDORS
        }
        said = ["[retries]\nmax = 0"]
        for name, server in self.servers.items():
            said.append(provided(name, server.url, {f"{name}-{model}": model for model in MODELS}))
        self.gate = stack.enter_context(Whole(folder, "\n".join(said), transport=transport))
        self.key = self.gate.key()

    def ask(self, client: str, ask: str, vendor: str, model: str, key: str = "", **said: Any) -> Any:
        """What a client finds. Shape: `model` is what is asked as `plain`."""
        models = {name: f"{vendor}-{name}" for name in MODELS} | {"plain": f"{vendor}-{model}"}
        return self.node.ask(
            client=client,
            ask=ask,
            url=f"http://127.0.0.1:{self.gate.port}",
            key=key or self.key,
            models=models if vendor else {"plain": model},
            said=SAID | said,
        )


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with Node() as node:
        yield node


@pytest.fixture(scope="module", params=TRANSPORTS)
def bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, node: Node
) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(stack, tmp_path_factory.mktemp("npm"), request.param, node)


@pytest.mark.parametrize("vendor", ["openai", "anthropic", "gemini"])
@pytest.mark.parametrize("client", ["openai-chat", "ai-chat", "ai-responses", "ai-anthropic", "ai-google"])
def test_tools_run_until_there_is_an_answer(bench: Bench, client: str, vendor: str) -> None:
    found = bench.ask(client, "steps", vendor, STEPS)
    answered = {"text": TEXT, "steps": 2, "input": 2 * INPUT, "output": 2 * OUTPUT}
    assert found["whole"] == found["streamed"] == answered
    assert [(call["name"], call["arguments"]) for call in found["ran"]] == [*CALLS, *CALLS]


THINKING = {
    "anthropic": {"thinking": {"type": "enabled", "budgetTokens": 2000}},
    "google": {"thinkingConfig": {"includeThoughts": True}},
    "openai": {"store": False, "reasoningEffort": "low", "reasoningSummary": "auto", "forceReasoning": True},
}


@pytest.mark.parametrize("vendor", ["responses", "anthropic", "gemini"])
@pytest.mark.parametrize("client", ["ai-responses", "ai-anthropic", "ai-google"])
def test_thoughts_are_given_back_under_their_seal(bench: Bench, client: str, vendor: str) -> None:
    found = bench.ask(client, "thought", vendor, "plain", providerOptions=THINKING)
    assert found["whole"] == found["streamed"] == {"thought": THOUGHT, "text": TEXT}
    assert found["text"] == TEXT
    assert SIGNATURE.encode() in bench.servers[vendor].asked[-1].raw


@pytest.mark.parametrize("vendor", VENDORS)
def test_an_object_comes_as_the_arguments_of_a_tool(bench: Bench, vendor: str) -> None:
    """The AI SDK has Anthropic's models whose names it does not know call a tool, one call at a time."""
    found = bench.ask("ai-anthropic", "object", vendor, OBJECT, city=CITY)
    assert found == {"object": CALLS[0][1], "streamed": CALLS[0][1]}
    assert b"json" in bench.servers[vendor].asked[-1].raw


@pytest.mark.parametrize("client", ["ai-chat", "ai-responses", "ai-anthropic", "ai-google"])
def test_a_stream_that_breaks_is_an_error_not_an_end(bench: Bench, client: str) -> None:
    found = bench.ask(client, "broken", "anthropic", "cut")
    assert found["text"] and found["errors"] == ["provider anthropic: the connection was closed"]


@pytest.mark.parametrize("client", ["openai-chat", "ai-chat", "ai-google"])
def test_who_leaves_is_one_record(bench: Bench, client: str) -> None:
    gate, name = bench.gate, f"leaves-{client}"
    gate.script(stream(events("Hello there.")[:1], stall=True))
    found = bench.ask(client, "leave", "", "m", headers={"x-request-id": name})
    assert found["text"] == "Hello" and found.get("last", "abort") == "abort"
    gate.settled()
    until(lambda: any(record["id"] == name for record in gate.records()))
    records = [record for record in gate.records() if record["id"] == name]
    assert [(record["status"], record["end"]) for record in records] == [(499, "caller@upstream")]


@pytest.mark.parametrize("client", ["openai-chat", "ai-chat", "ai-anthropic"])
def test_clients_wait_as_told_and_are_admitted(bench: Bench, client: str) -> None:
    key = bench.gate.key(limits=Limits(requests="4/s", requests_burst=1))
    before = bench.gate.metric("kpgate_refusals_total")
    assert bench.ask(client, "patient", "", "echo", key=key) == [SAID["hello"]] * 2
    assert bench.gate.metric("kpgate_refusals_total") > before, "one was sent away, and came back in time"


def test_what_a_client_takes_for_kept_is_refused_with_what_to_do(bench: Bench) -> None:
    found = bench.ask("ai-responses-kept", "thought", "responses", "plain")
    assert found["text"] == TEXT and b'"item_reference"' in bench.servers["responses"].asked[-1].raw
    with pytest.raises(AssertionError, match=r"item_reference \(with `store: false`"):
        bench.ask("ai-responses-kept", "thought", "anthropic", "plain")
