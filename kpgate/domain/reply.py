"""What a model answered, free of any vendor's spelling: whole, and as the pieces of a stream.

Outbound dialects decode into it, inbound ones encode from it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from kpgate.domain.chat import UNMADE, Part
from kpgate.domain.usage import NOTHING, Usage

MALFORMED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError, ValueError)
"""What is raised where a reply makes no sense."""


class Finish(StrEnum):
    """Why a choice ended."""

    # What is looked up by one is looked up in tables: an enumeration's own hash is not that fast.
    __hash__ = str.__hash__

    STOP = "stop"
    STOP_SEQUENCE = "stop_sequence"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    FILTERED = "filtered"
    REFUSED = "refused"
    PAUSED = "paused"
    CONTEXT = "context"


class Citation(msgspec.Struct, gc=False):
    """What a piece of a choice's text is from.

    Shape: from `start` to before `end`, in characters of the choice's texts, joined; `kind` is `url` for what is on the
    web, `document` for what the caller or a tool gave; `quoted` is the source's own text, each empty where unsaid.
    """

    start: int
    end: int
    kind: str = "url"
    url: str = ""
    title: str = ""
    quoted: str = ""


@dataclass
class Choice:
    """One answer. Shape: parts in order; `stopped_by` is the stop sequence met; `logprobs` as OpenAI spells them."""

    parts: list[Part]
    finish: Finish = Finish.STOP
    stopped_by: str = ""
    logprobs: dict[str, Any] | None = None
    citations: list[Citation] = UNMADE

    def __post_init__(self) -> None:
        self.citations = self.citations or []


@dataclass
class Reply:
    """A whole reply.

    Shape: `id` and `model` as the provider said them. Units: `created_s` seconds since the epoch, 0 where unsaid.
    """

    id: str
    model: str
    choices: list[Choice]
    usage: Usage = NOTHING
    created_s: int = 0


class Begun(msgspec.Struct, gc=False):
    """The stream's first piece. Shape: `usage` is what is known of it by now."""

    id: str
    model: str
    usage: Usage = NOTHING
    created_s: int = 0


class Said(msgspec.Struct, gc=False):
    """More of a choice's text. Shape: `logprobs` of this piece as OpenAI spells them."""

    text: str
    choice: int = 0
    logprobs: dict[str, Any] | None = None


class Thought(msgspec.Struct, gc=False):
    """More of a choice's reasoning, or the seal on it, which is `vendor`'s. Shape: `redacted` comes whole and alone."""

    text: str = ""
    choice: int = 0
    signature: str = ""
    redacted: str = ""
    vendor: str = ""


class Refused(msgspec.Struct, gc=False):
    """More of why a choice is refused."""

    text: str
    choice: int = 0


class Called(msgspec.Struct, gc=False):
    """A tool call begins. Shape: `call` counts a choice's calls from 0."""

    id: str
    name: str
    call: int = 0
    choice: int = 0
    signature: str = ""


class Argued(msgspec.Struct, gc=False):
    """More of a tool call's arguments, JSON as text."""

    text: str
    call: int = 0
    choice: int = 0


class Cited(msgspec.Struct, gc=False):
    """What a piece of a choice's text is from. Order: after that piece."""

    citation: Citation
    choice: int = 0


class Finished(msgspec.Struct, gc=False):
    """A choice ended."""

    finish: Finish
    choice: int = 0
    stopped_by: str = ""


class Used(msgspec.Struct, gc=False):
    """What the call used in all: the last word counts."""

    usage: Usage


class Over(msgspec.Struct, gc=False):
    """Nothing follows."""


class Broke(msgspec.Struct, gc=False):
    """The provider reports that it failed midway. Shape: `status` is the HTTP status it stands for, 0 unsaid."""

    message: str
    status: int = 0


Piece = Begun | Said | Thought | Refused | Called | Argued | Cited | Finished | Used | Over | Broke


class Failure(msgspec.Struct, gc=False):
    """What a provider's error body says. Shape: `kind` is its own word for it, `param` the field it blames."""

    message: str
    kind: str = ""
    param: str | None = None
