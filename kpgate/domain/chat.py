"""A chat as asked for, free of any vendor's spelling: its turns, the tools, and what the answer should be like.

Inbound dialects decode into it, outbound ones encode from it; only a call whose caller and provider speak
differently is ever put into it. What a form cannot carry it names in `unknown`: nothing is lost in silence.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

UNMADE: Any = None
"""Stands for a list that nobody gave, until `__post_init__` makes it: each form that is made of a class with factories
looks for what a factory is, when compiled, and that takes longer than all the rest of making it.
"""


class Role(StrEnum):
    """Whose turn it is. `tool` answers an assistant's calls; `developer` is an instruction among the turns."""

    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass
class Text:
    """Plain text.

    Shape: `cached` asks the provider to keep its prompt cache up to here, for `ttl`, empty for its default.
    """

    text: str
    cached: bool = False
    ttl: str = ""


@dataclass
class Image:
    """A picture. Shape: `data` is base64 of `media_type`, or `url` says where it is."""

    media_type: str = ""
    data: str = ""
    url: str = ""
    detail: str = ""
    cached: bool = False
    ttl: str = ""


@dataclass
class Audio:
    """Sound. Shape: `data` is base64, `format` as wav or mp3; `id` names one that the assistant said before."""

    format: str = ""
    data: str = ""
    id: str = ""
    transcript: str = ""


@dataclass
class File:
    """A document. Shape: `data` is base64 of `media_type`, or `url`, or the provider's `id` of an upload."""

    media_type: str = ""
    data: str = ""
    url: str = ""
    id: str = ""
    name: str = ""
    cached: bool = False
    ttl: str = ""


@dataclass
class Thinking:
    """What the model reasoned. Shape: `signature` is the vendor's seal on it; `redacted` stands instead of the text.

    `vendor` is whose seal either is, as `domain/seals` names them: it alone gets that back.
    """

    text: str = ""
    signature: str = ""
    redacted: str = ""
    vendor: str = ""


@dataclass
class Refusal:
    """Why the model would not answer."""

    text: str


@dataclass
class ToolCall:
    """A call that the assistant asks for. Shape: `arguments` is JSON as text; `signature` Google's seal on it: no other
    vendor seals calls.
    """

    id: str
    name: str
    arguments: str = "{}"
    signature: str = ""
    cached: bool = False
    ttl: str = ""


@dataclass
class ToolResult:
    """What a call came to. Shape: `name` is the tool's where the form says it; `parts` are texts and images."""

    id: str
    parts: "list[Part]"
    name: str = ""
    failed: bool = False
    cached: bool = False
    ttl: str = ""


Part = Text | Image | Audio | File | Thinking | Refusal | ToolCall | ToolResult


def marks(parts: "list[Part]") -> bool:
    """Whether any of the parts, or what is in a result among them, asks for the prompt's cache to be kept up to it."""
    return any(
        getattr(part, "cached", False) or (type(part) is ToolResult and marks(part.parts)) for part in parts
    )


@dataclass
class Turn:
    """One turn. Shape: the parts in the order they were written; `name` tells speakers of one role apart."""

    role: Role
    parts: list[Part]
    name: str = ""


@dataclass
class Tool:
    """A function that the model may call. Shape: `parameters` is a JSON schema, None for none."""

    name: str
    description: str = ""
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    cached: bool = False
    ttl: str = ""


class Choosing(StrEnum):
    """Whether the model may, must or must not call a tool."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"
    NAMED = "named"


@dataclass
class ToolChoice:
    """Which tool is to be called. Shape: `name` where it is `NAMED`."""

    how: Choosing
    name: str = ""


@dataclass
class Format:
    """That the answer is JSON. Shape: any object where `schema` is None."""

    schema: dict[str, Any] | None = None
    name: str = ""
    description: str = ""
    strict: bool | None = None


@dataclass
class Reasoning:
    """How much to think first: a vendor takes an effort, a budget, or both.

    Shape: `effort` is none, minimal, low, medium, high or xhigh; `shown` asks for what was thought; `most` says that
    it is to be all the effort there is, where a vendor has more than xhigh.
    Units: `budget` tokens, 0 for not at all, -1 for as the model sees fit; None where only an effort was said.
    """

    effort: str = ""
    budget: int | None = None
    shown: bool | None = None
    most: bool = False


@dataclass
class Chat:
    """One chat completion as asked for. None is what the caller did not say.

    Units: `output_cap` tokens a choice. Shape: `logit_bias` is token to bias; `hints` are fields that do not change
    the answer (a user's name, metadata, cache keys), by this form's name; `unknown` names fields it cannot carry.
    """

    turns: list[Turn]
    tools: list[Tool] = UNMADE
    tool_choice: ToolChoice | None = None
    parallel_tools: bool | None = None
    format: Format | None = None
    output_cap: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop: list[str] = UNMADE
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    choices: int = 1
    reasoning: Reasoning | None = None
    modalities: list[str] = UNMADE
    voice: dict[str, Any] | None = None
    verbosity: str = ""
    stream: bool = False
    user: str = ""
    metadata: dict[str, str] | None = None
    hints: dict[str, Any] = UNMADE
    unknown: list[str] = UNMADE

    def __post_init__(self) -> None:
        self.tools = self.tools or []
        self.stop = self.stop or []
        self.modalities = self.modalities or []
        self.hints = self.hints or {}
        self.unknown = self.unknown or []

    def asks_more(self) -> bool:
        """Whether it asks for anything beside an answer to its turns, of so many tokens: most do not."""
        return bool(
            self.tools
            or self.stop
            or self.modalities
            or self.verbosity
            or self.choices != 1
            or self.tool_choice is not None
            or self.parallel_tools is not None
            or self.format is not None
            or self.temperature is not None
            or self.top_p is not None
            or self.top_k is not None
            or self.frequency_penalty is not None
            or self.presence_penalty is not None
            or self.seed is not None
            or self.logit_bias is not None
            or self.logprobs is not None
            or self.top_logprobs is not None
            or self.reasoning is not None
            or self.voice is not None
            or self.metadata is not None
        )

    def asks(self, name: str) -> bool:
        """Whether it asks for anything by that field: more than one choice of text, as long as ever, is something."""
        value = getattr(self, name)
        if name == "choices":
            return bool(value > 1)
        if name == "modalities":
            return any(one != "text" for one in value)
        if name == "verbosity":
            return value not in ("", "medium")
        # The seed 0 is one.
        return value is not None if name == "seed" else bool(value)
