"""What a call asks of a model, and what its prompt is like: for rules, for capabilities, for sessions.

Pure, and bounded: of a long prompt only the beginning of the last user turn is looked at.
"""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from kpgate.domain.chat import Chat, Image, Role, Text
from kpgate.domain.language import language_of

TEXT_MAX = 4000
"""How much of the last user turn is looked at. Units: characters."""

CODE = re.compile(r"```|\b(?:def|class|function|SELECT|import|#include)\b|[{};]\s*$", re.MULTILINE)
REASONING = re.compile(
    r"\b(?:why|how|prove|derive|explain|compare|analy[sz]e|design|refactor|optimi[sz]e|debug|step by step"
    r"|trade-?offs?|plan|evaluate|implement)\b",
    re.IGNORECASE,
)
LISTED = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s", re.MULTILINE)


class Traits(msgspec.Struct, gc=False):
    """What was read of a call's content.

    Shape: `text` begins the last user turn, `opening` what the conversation began with; `metadata` is the caller's.
    """

    turns: int = 0
    tools: bool = False
    images: bool = False
    json_schema: bool = False
    reasoning: bool = False
    text: str = ""
    opening: str = ""
    user: str = ""
    metadata: dict[str, Any] | None = None


NO_TRAITS = Traits()
"""Of a call that has no chat."""


class Weights(msgspec.Struct, frozen=True):
    """What each feature adds to a complexity, and where it is full. The sum ends at 100.

    Shape: `tokens` for each doubling of the prompt beyond 32 tokens; the others for each occurrence, up to the last
    number of them.
    """

    tokens: int = 6
    tokens_most: int = 48
    code: int = 8
    code_most: int = 24
    questions: int = 6
    questions_most: int = 24
    lists: int = 2
    lists_most: int = 12
    turns: int = 2
    turns_most: int = 12
    tools: int = 10
    json_schema: int = 6
    images: int = 10
    reasoning: int = 30


WEIGHTS = Weights()


def complexity(traits: Traits, prompt_tokens: int, weights: Weights = WEIGHTS) -> tuple[int, str]:
    """How much a call seems to ask of a model, from 0 to 100, and what it is made of.

    Shape: as `38` and `tokens=18,code=8,questions=12`. What adds nothing is left out.
    """
    text = traits.text
    found = {
        "tokens": min(weights.tokens * max(0, (prompt_tokens // 32).bit_length()), weights.tokens_most),
        "code": min(weights.code * len(CODE.findall(text)), weights.code_most),
        "questions": min(weights.questions * len(REASONING.findall(text)), weights.questions_most),
        "lists": min(weights.lists * len(LISTED.findall(text)), weights.lists_most),
        "turns": min(weights.turns * max(0, traits.turns - 2), weights.turns_most),
        "tools": weights.tools * traits.tools,
        "json_schema": weights.json_schema * traits.json_schema,
        "images": weights.images * traits.images,
        "reasoning": weights.reasoning * traits.reasoning,
    }
    made_of = ",".join(f"{name}={points}" for name, points in found.items() if points)
    return min(100, sum(found.values())), made_of


def read_chat(chat: Chat) -> Traits:
    """The traits of a chat in the neutral form."""
    first = next((turn for turn in chat.turns if turn.role is Role.USER), None)
    last = next((turn for turn in reversed(chat.turns) if turn.role is Role.USER), None)
    system = next((turn for turn in chat.turns if turn.role in (Role.SYSTEM, Role.DEVELOPER)), None)
    thinking = chat.reasoning
    return Traits(
        turns=len(chat.turns),
        tools=bool(chat.tools),
        images=any(isinstance(part, Image) for turn in chat.turns for part in turn.parts),
        json_schema=chat.format is not None and chat.format.schema is not None,
        reasoning=thinking is not None and (thinking.effort not in ("", "none") or bool(thinking.budget)),
        text="" if last is None else _text(last.parts),
        opening="".join(_text(turn.parts) for turn in (system, first) if turn is not None),
        user=chat.user,
        metadata=dict(chat.metadata) if chat.metadata else None,
    )


def _text(parts: Sequence[Any]) -> str:
    return " ".join(part.text[:TEXT_MAX] for part in parts if isinstance(part, Text))[:TEXT_MAX]


class Facts:
    """What rules ask about one call. What costs something is found when it is first asked for.

    Shape: `headers` are lower case; `read` gives the traits.
    """

    def __init__(self, headers: Sequence[tuple[bytes, bytes]], read: Any) -> None:
        self._headers = headers
        self._read = read
        self._traits: Traits | None = None
        self._complexity: tuple[int, str] | None = None
        self._language: str | None = None
        self.party = ""
        self.tier = ""
        self.key = ""
        self.model = ""
        self.prompt_tokens = 0
        self.output_cap = 0
        self.stream = False

    @property
    def traits(self) -> Traits:
        """What was read of the content."""
        if self._traits is None:
            self._traits = self._read()
        return self._traits

    @property
    def turns(self) -> int:
        return self.traits.turns

    @property
    def tools(self) -> bool:
        return self.traits.tools

    @property
    def images(self) -> bool:
        return self.traits.images

    @property
    def json_schema(self) -> bool:
        return self.traits.json_schema

    @property
    def reasoning(self) -> bool:
        return self.traits.reasoning

    @property
    def complexity(self) -> int:
        """From 0 to 100."""
        return self._complexities()[0]

    @property
    def made_of(self) -> str:
        """What the complexity is made of; empty where nobody asked."""
        return "" if self._complexity is None else f"{self._complexity[0]};{self._complexity[1]}"

    @property
    def language(self) -> str:
        """As `en`; empty where it is not clear."""
        if self._language is None:
            self._language = language_of(self.traits.text)
        return self._language

    def header(self, name: bytes) -> str:
        """A header's value, empty where there is none. Shape: `name` in lower case."""
        for one, value in self._headers:
            if one == name:
                return value.decode("latin-1")
        return ""

    def metadata(self, key: str) -> str:
        """A value of the caller's metadata as text, empty where there is none."""
        said = (self.traits.metadata or {}).get(key, "")
        return said if isinstance(said, str) else ""

    def _complexities(self) -> tuple[int, str]:
        if self._complexity is None:
            self._complexity = complexity(self.traits, self.prompt_tokens)
        return self._complexity
