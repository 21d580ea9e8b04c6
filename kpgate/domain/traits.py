"""What a call asks of a model, and what its prompt is like: for rules, for capabilities, for sessions.

Pure, and bounded: of a long prompt only the beginning of the last user turn is looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from kpgate._fast.prose import Lexicon
from kpgate.domain.chat import Chat, Image, Role, Text
from kpgate.domain.language import COMMON, SCRIPTS, language_by

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


class Seen(NamedTuple):
    """What one pass over a text counted."""

    letters: int
    scripts: tuple[int, ...]
    words: int
    kinds: tuple[int, ...]
    fences: int
    code_lines: int
    items: int

    @property
    def language(self) -> str:
        """As `en`; empty where it is not clear."""
        return language_by(self.letters, self.scripts, self.kinds[:-1])


def see(text: str) -> Seen:
    """Look at the beginning of a text."""
    return Seen(*_LEXICON.read(text, TEXT_MAX))


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


def complexity(traits: Traits, seen: Seen, prompt_tokens: int) -> tuple[int, str]:
    """How much a call seems to ask of a model, from 0 to 100, and what it is made of.

    Shape: as `38` and `tokens=18,code=8,questions=12`. What adds nothing is left out.
    """
    counts = (
        (prompt_tokens >> 5).bit_length(),
        seen.fences + seen.code_lines,
        seen.kinds[-1],
        seen.items,
        traits.turns - 2,
        traits.tools,
        traits.json_schema,
        traits.images,
        traits.reasoning,
    )
    total, made_of = 0, ""
    for place, count in enumerate(counts):
        if count > 0:
            name, points, most, _ = FEATURES[place]
            found = min(points * count, most)
            total += found
            made_of += f",{name}={found}" if made_of else f"{name}={found}"
    return min(100, total), made_of


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
        self._seen: Seen | None = None
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
    def seen(self) -> Seen:
        """What was counted in the last user turn."""
        if self._seen is None:
            self._seen = see(self.traits.text)
        return self._seen

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
            self._language = self.seen.language
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
            self._complexity = complexity(self.traits, self.seen, self.prompt_tokens)
        return self._complexity
