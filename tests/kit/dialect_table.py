"""Every client against every provider's dialect: the table in docs/dialects.md, which is written from what came of it.

Rows are `CALLERS`, columns `PROVIDERS`: a new one is a line. Run as a module it asks for everything through real
gateways over both transports, and writes the table; a cell that fails for no stated reason is never written.
"""

import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kit.callers.anthropic_messages import AnthropicMessages
from tests.kit.callers.common import ASKS, Caller
from tests.kit.callers.gemini_content import GeminiContent
from tests.kit.callers.npm_client import Node, NpmClient
from tests.kit.callers.openai_chat import OpenAIChat
from tests.kit.callers.openai_responses import OpenAIResponses
from tests.kit.gateway_process import ROOT, TRANSPORTS
from tests.kit.vendors import anthropic, bedrock, cohere, gemini, openai, responses
from tests.kit.vendors.server import SCENARIOS, Answer, Asked, VendorServer
from tests.kit.whole import Whole

PAGE = ROOT / "docs" / "dialects.md"
BEGIN, END = "<!-- table -->", "<!-- /table -->"
YES = "yes"


@dataclass(frozen=True)
class Provided:
    """A provider's dialect. Shape: `path` follows the fake's address; `more` and `credential` are TOML of its table."""

    dialect: str
    answer: Callable[[Asked], Answer]
    path: str
    more: str = ""
    credential: str = 'api_key = "env:KPGATE_TEST_UPSTREAM"'


CALLERS: dict[str, tuple[str, Any]] = {
    "openai, chat": ("`openai` (Python), chat completions", OpenAIChat),
    "openai, responses": ("`openai` (Python), responses", OpenAIResponses),
    "anthropic": ("`anthropic` (Python)", AnthropicMessages),
    "gemini": ("`google-genai` (Python)", GeminiContent),
    "openai of npm, chat": ("`openai` (npm), chat completions", "openai-chat"),
    "openai of npm, responses": ("`openai` (npm), responses", "openai-responses"),
    "ai, chat": ("`ai` with `@ai-sdk/openai` (npm), chat completions", "ai-chat"),
    "ai, responses": ("`ai` with `@ai-sdk/openai` (npm), responses", "ai-responses"),
    "ai, anthropic": ("`ai` with `@ai-sdk/anthropic` (npm)", "ai-anthropic"),
    "ai, gemini": ("`ai` with `@ai-sdk/google` (npm)", "ai-google"),
}
"""Who asks: as the table has it, and the client's class, or what a client from npm is called there."""
PROVIDERS: dict[str, Provided] = {
    "openai": Provided("openai", openai.answer, "/v1"),
    "openai with responses": Provided("openai", openai.answer, "/v1", "responses = true"),
    "responses": Provided("responses", responses.answer, "/v1"),
    "azure": Provided("azure", openai.answer_azure, "", 'api_version = "2024-10-21"'),
    "azure v1": Provided("azure", openai.answer, "/openai/v1", "responses = true"),
    "anthropic": Provided("anthropic", anthropic.answer, "/v1"),
    "gemini": Provided("gemini", gemini.answer, "/v1beta"),
    "cohere": Provided("cohere", cohere.answer, "/v2"),
    "bedrock": Provided("bedrock", bedrock.answer, "", "", bedrock.SIGNING),
}
REFUSED: dict[tuple[str, str, str], str] = {}
"""What a caller cannot have of a provider: caller, provider, ask, and the field it is refused by."""

CELLS = [(caller, provider, ask) for caller in CALLERS for provider in PROVIDERS for ask in ASKS]


def provided(name: str, url: str, models: Mapping[str, str]) -> str:
    """One of `PROVIDERS` and its models, as TOML. Shape: `models` are their names there by those here."""
    one = PROVIDERS[name]
    provider = (
        f'[[providers]]\nname = "{name}"\ndialect = "{one.dialect}"\n{one.more}\n'
        f'base_url = "{url}{one.path}"\n{one.credential}'
    )
    deployed = [
        f'[[models]]\nname = "{here}"\ndeployments = [{{provider = "{name}", model = "{there}"}}]'
        for here, there in models.items()
    ]
    return "\n".join([provider, *deployed])


class Crossing:
    """A gateway before all the providers, and every client connected to it."""

    def __init__(self, folder: Path, transport: str, node: Node, stack: ExitStack) -> None:
        self.servers = {
            name: stack.enter_context(VendorServer(provided.answer)) for name, provided in PROVIDERS.items()
        }
        self.gate = stack.enter_context(Whole(folder, self._settings(), transport=transport))
        url, key = f"http://127.0.0.1:{self.gate.port}", self.gate.key()
        self._asked = ""
        self.callers: dict[str, Caller] = {
            name: NpmClient(node, made, url, key, self._got)
            if isinstance(made, str)
            else stack.enter_context(made(url, key, self._got))
            for name, (_, made) in CALLERS.items()
        }

    def _settings(self) -> str:
        said = ["[retries]\nmax = 0"]
        for at, name in enumerate(PROVIDERS):
            models = {f"{at}-{scenario}": scenario for scenario in SCENARIOS}
            said.append(provided(name, self.servers[name].url, models))
        return "\n".join(said)

    def _got(self) -> bytes:
        # Some take JSON as text within JSON: what is looked for is what it says.
        return self.servers[self._asked].asked[-1].raw.replace(b'\\"', b'"')

    def outcome(self, caller: str, provider: str, ask: str) -> str:
        """What came of a cell, as the table has it. Errors: whatever the client met."""
        self._asked = provider
        at = list(PROVIDERS).index(provider)
        param = REFUSED.get((caller, provider, ask))
        try:
            getattr(self.callers[caller], ask)(lambda scenario: f"{at}-{scenario}")
        except Exception as error:
            if param is not None and param in str(error):
                return f"refused: `{param}`"
            raise
        return YES


@contextmanager
def crossing(folder: Path, transport: str, node: Node) -> Iterator[Crossing]:
    """Everything that a cell needs. Shape: `node` is for the clients from npm."""
    with ExitStack() as stack:
        yield Crossing(folder, transport, node, stack)


def render(outcomes: dict[tuple[str, str, str], str]) -> str:
    """The table."""
    lines = [
        f"| client | provider's dialect | {' | '.join(ASKS)} |",
        f"|---|---|{'---|' * len(ASKS)}",
    ]
    for caller, (title, _) in CALLERS.items():
        for provider in PROVIDERS:
            cells = " | ".join(outcomes[caller, provider, ask] for ask in ASKS)
            lines.append(f"| {title} | {provider} | {cells} |")
    return "\n".join(lines)


def written() -> dict[tuple[str, str, str], str]:
    """What the page says, by cell."""
    titles = {title: caller for caller, (title, _) in CALLERS.items()}
    found = {}
    page = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    for line in page.splitlines():
        title, *cells = re.split(r" *\| *", line.strip("| "))
        if title in titles:
            provider, *cells = cells
            found.update(
                {(titles[title], provider, ask): cell for ask, cell in zip(ASKS, cells, strict=True)}
            )
    return found


def main() -> int:
    """Ask for everything and write the table."""
    outcomes: dict[tuple[str, str, str], str] = {}
    failed = 0
    for transport in TRANSPORTS:
        with (
            tempfile.TemporaryDirectory() as folder,
            Node() as node,
            crossing(Path(folder), transport, node) as made,
        ):
            for cell in CELLS:
                try:
                    found = made.outcome(*cell)
                    assert outcomes.setdefault(cell, found) == found, "both transports are one"
                except Exception as error:  # noqa: BLE001 - every cell is asked for before any is mended
                    print(f"{transport}: {', '.join(cell)}: {type(error).__name__}: {error}", file=sys.stderr)
                    failed += 1
    if failed:
        return 1
    page = PAGE.read_text()
    before, after = page.partition(BEGIN)[0], page.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{render(outcomes)}\n{END}{after}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
