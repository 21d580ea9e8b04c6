"""What a call asks of a model, and what its prompt is like: for rules, for capabilities, for sessions.

Pure, and bounded: of a long prompt only the beginning of the last user turn is looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kpgate._fast.prose import Lexicon, Prose
from kpgate.domain.chat import Chat, Image, Role, Text
from kpgate.domain.language import COMMON, SCRIPTS, language_of

TEXT_MAX = 4000
"""How much of the last user turn is looked at. Units: characters."""

QUESTIONS = [
    "why",
    "how",
    "prove",
    "derive",
    "explain",
    "compare",
    "analyze",
    "analyse",
    "design",
    "refactor",
    "optimize",
    "optimise",
    "debug",
    "plan",
    "evaluate",
    "implement",
    "tradeoff",
    "tradeoffs",
    "steps",
]
"""Words that ask for more than an answer."""
_LEXICON = Lexicon([*COMMON.values(), QUESTIONS], list(SCRIPTS.values()))


QUESTION = len(COMMON)
"""Which kind of the lexicon's words these are."""


def see(text: str) -> Prose:
    """What one pass over the beginning of a text counts."""
    return _LEXICON.read(text, TEXT_MAX)


@dataclass
class Traits:
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


FEATURES: tuple[tuple[str, int, int, str], ...] = (
    ("tokens", 6, 48, "each doubling of the prompt, from 32 tokens on"),
    ("code", 8, 24, "each code fence, and each line that ends with `{`, `}` or `;`"),
    ("questions", 6, 24, f"each of the words {', '.join(QUESTIONS)}"),
    ("lists", 2, 12, "each line that begins as an item of a list does"),
    ("turns", 2, 12, "each turn of the conversation after the second"),
    ("tools", 10, 10, "tools"),
    ("json_schema", 6, 6, "a JSON schema for the output"),
    ("images", 10, 10, "images in the prompt"),
    ("reasoning", 30, 30, "an effort or a budget for reasoning that the caller asks for"),
)
"""What makes a call complex: the feature, its points, the most it comes to, and what counts. The sum ends at 100."""


def complexity(traits: Traits, seen: Prose, prompt_tokens: int) -> tuple[int, str]:
    """How much a call seems to ask of a model, from 0 to 100, and what it is made of.

    Shape: as `38` and `tokens=18,code=8,questions=12`. What adds nothing is left out.
    """
    made_of: list[str] = []
    tokens, doublings = prompt_tokens >> 5, 0
    while tokens > 0:
        tokens >>= 1
        doublings += 1
    code, questions, lists, turns = (
        seen.fences + seen.code_lines,
        seen.of_kind(QUESTION),
        seen.items,
        traits.turns - 2,
    )
    total = 0
    if doublings:
        total += _points(0, doublings, made_of)
    if code:
        total += _points(1, code, made_of)
    if questions:
        total += _points(2, questions, made_of)
    if lists:
        total += _points(3, lists, made_of)
    if turns > 0:
        total += _points(4, turns, made_of)
    if traits.tools:
        total += _points(5, 1, made_of)
    if traits.json_schema:
        total += _points(6, 1, made_of)
    if traits.images:
        total += _points(7, 1, made_of)
    if traits.reasoning:
        total += _points(8, 1, made_of)
    return min(100, total), ",".join(made_of)


def _points(place: int, count: int, made_of: list[str]) -> int:
    """What a feature that occurs so often adds, and says."""
    name, points, most, _ = FEATURES[place]
    found: int = min(points * count, most)
    made_of.append(f"{name}={found}")
    return found


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
        self._seen: Prose | None = None
        self._language: str | None = None
        self.party = ""
        self.tier = ""
        self.key = ""
        self.model = ""
        self.prompt_tokens = 0
        self.output_cap = 0
        self.stream = False

    def read(self) -> Traits:
        """What was read of the content."""
        if self._traits is None:
            self._traits = self._read()
        return self._traits

    def seen(self) -> Prose:
        """What was counted in the last user turn."""
        if self._seen is None:
            self._seen = see(self.read().text)
        return self._seen

    def has(self, name: str) -> bool:
        """What is true or false of a call, by the name that rules have for it."""
        if name == "stream":
            return self.stream
        if name == "tools":
            return self.read().tools
        if name == "images":
            return self.read().images
        if name == "json_schema":
            return self.read().json_schema
        if name == "reasoning":
            return self.read().reasoning
        raise KeyError(name)

    def count(self, name: str) -> int:
        """A number of a call, by the name that rules have for it. `complexity` is from 0 to 100."""
        if name == "prompt_tokens":
            return self.prompt_tokens
        if name == "output_cap":
            return self.output_cap
        if name == "turns":
            return self.read().turns
        if name == "complexity":
            return self._complexities()[0]
        raise KeyError(name)

    def word(self, name: str) -> str:
        """A text of a call, by the name that rules have for it. `language` is as `en`, empty where it is not clear."""
        if name == "party":
            return self.party
        if name == "tier":
            return self.tier
        if name == "key":
            return self.key
        if name == "model":
            return self.model
        if name == "language":
            if self._language is None:
                self._language = language_of(self.seen())
            return self._language
        raise KeyError(name)

    def made_of(self) -> str:
        """The complexity and what it is made of, as `12:tokens=12`; empty where nobody asked."""
        if self._complexity is None:
            return ""
        return f"{self._complexity[0]}:{self._complexity[1]}"

    def header(self, name: bytes) -> str:
        """A header's value, empty where there is none. Shape: `name` in lower case."""
        for one, value in self._headers:
            if one == name:
                return value.decode("latin-1")
        return ""

    def metadata(self, key: str) -> str:
        """A value of the caller's metadata as text, empty where there is none."""
        metadata = self.read().metadata
        said = metadata.get(key, "") if metadata else ""
        return said if isinstance(said, str) else ""

    def _complexities(self) -> tuple[int, str]:
        if self._complexity is None:
            self._complexity = complexity(self.read(), self.seen(), self.prompt_tokens)
        return self._complexity
