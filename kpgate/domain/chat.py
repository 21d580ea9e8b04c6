"""A chat as asked for, free of any vendor's spelling: its turns, the tools, and what the answer should be like.

Inbound dialects decode into it, outbound ones encode from it; only a call whose caller and provider speak
differently is ever put into it. What a form cannot carry it names in `unknown`: nothing is lost in silence.
"""

from collections.abc import Callable
from enum import StrEnum
from functools import cache
from operator import attrgetter
from typing import Any

import msgspec


class Role(StrEnum):
    """Whose turn it is. `tool` answers an assistant's calls; `developer` is an instruction among the turns."""

    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class Text(msgspec.Struct, gc=False):
    """Plain text.

    Shape: `cached` asks the provider to keep its prompt cache up to here, for `ttl`, empty for its default.
    """

    text: str
    cached: bool = False
    ttl: str = ""


class Image(msgspec.Struct, gc=False):
    """A picture. Shape: `data` is base64 of `media_type`, or `url` says where it is."""

    media_type: str = ""
    data: str = ""
    url: str = ""
    detail: str = ""
    cached: bool = False


class Audio(msgspec.Struct, gc=False):
    """Sound. Shape: `data` is base64, `format` as wav or mp3; `id` names one that the assistant said before."""

    format: str = ""
    data: str = ""
    id: str = ""
    transcript: str = ""


class File(msgspec.Struct, gc=False):
    """A document. Shape: `data` is base64 of `media_type`, or `url`, or the provider's `id` of an upload."""

    media_type: str = ""
    data: str = ""
    url: str = ""
    id: str = ""
    name: str = ""
    cached: bool = False


class Thinking(msgspec.Struct, gc=False):
    """What the model reasoned. Shape: `signature` is the vendor's seal on it; `redacted` stands instead of the text."""

    text: str = ""
    signature: str = ""
    redacted: str = ""


class Refusal(msgspec.Struct, gc=False):
    """Why the model would not answer."""

    text: str


class ToolCall(msgspec.Struct, gc=False):
    """A call that the assistant asks for. Shape: `arguments` is JSON as text; `signature` the vendor's seal on it."""

    id: str
    name: str
    arguments: str = "{}"
    signature: str = ""


class ToolResult(msgspec.Struct, gc=False):
    """What a call came to. Shape: `name` is the tool's where the form says it; `parts` are texts and images."""

    id: str
    parts: "list[Part]"
    name: str = ""
    failed: bool = False
    cached: bool = False


Part = Text | Image | Audio | File | Thinking | Refusal | ToolCall | ToolResult


class Turn(msgspec.Struct, gc=False):
    """One turn. Shape: the parts in the order they were written; `name` tells speakers of one role apart."""

    role: Role
    parts: list[Part]
    name: str = ""


class Tool(msgspec.Struct, gc=False):
    """A function that the model may call. Shape: `parameters` is a JSON schema, None for none."""

    name: str
    description: str = ""
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    cached: bool = False


class Choosing(StrEnum):
    """Whether the model may, must or must not call a tool."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"
    NAMED = "named"


class ToolChoice(msgspec.Struct, gc=False):
    """Which tool is to be called. Shape: `name` where it is `NAMED`."""

    how: Choosing
    name: str = ""


class Format(msgspec.Struct, gc=False):
    """That the answer is JSON. Shape: any object where `schema` is None."""

    schema: dict[str, Any] | None = None
    name: str = ""
    description: str = ""
    strict: bool | None = None


class Reasoning(msgspec.Struct, gc=False):
    """How much to think first: a vendor takes an effort, a budget, or both.

    Shape: `effort` is none, minimal, low, medium, high or xhigh; `shown` asks for what was thought.
    Units: `budget` tokens, 0 for not at all, -1 for as the model sees fit; None where only an effort was said.
    """

    effort: str = ""
    budget: int | None = None
    shown: bool | None = None


class Chat(msgspec.Struct, gc=False):
    """One chat completion as asked for. None is what the caller did not say.

    Units: `output_cap` tokens a choice. Shape: `logit_bias` is token to bias; `hints` are fields that do not change
    the answer (a user's name, metadata, cache keys), by this form's name; `unknown` names fields it cannot carry.
    """

    turns: list[Turn]
    tools: list[Tool] = []
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
    stop: list[str] = []
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    choices: int = 1
    reasoning: Reasoning | None = None
    modalities: list[str] = []
    voice: dict[str, Any] | None = None
    verbosity: str = ""
    stream: bool = False
    user: str = ""
    metadata: dict[str, str] | None = None
    hints: dict[str, Any] = {}
    unknown: list[str] = []

    def asks_of(self, names: tuple[str, ...]) -> bool:
        """Whether it may ask for anything by these fields: it does not where they are as nobody said them."""
        read, unsaid = _unsaid(names)
        return bool(read(self) != unsaid)

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


@cache
def _unsaid(names: tuple[str, ...]) -> tuple[Callable[[Chat], Any], Any]:
    """What reads so many fields at once, and what it reads of a chat that says nothing by them."""
    read = attrgetter(*names)
    return read, read(Chat([]))
