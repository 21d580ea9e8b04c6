"""How Anthropic writes what requests and replies share: content blocks and their sources.

Fields that kpgate does not read are left alone; a block of a kind that it does not know keeps its `type`.
Source: platform.claude.com, API reference, "Create a Message" (checked November 2026).
"""

from typing import Any

import msgspec


class CacheControl(msgspec.Struct, gc=False):
    """Where the prompt's prefix is kept for later calls. Shape: `ttl` is 5m or 1h."""

    type: str
    ttl: str | None = None


class Source(msgspec.Struct, gc=False):
    """Where a picture or a document is. Shape: `type` is base64, url, text, content or file, and says what else is."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: str | list[Any] | None = None


class Block(msgspec.Struct, gc=False):
    """One content block of any kind: `type` says which of the fields it has.

    Shape: `content` is a tool's result, a text or blocks that `blocks_of` makes; `input` is raw JSON; of a search
    result `source` is a text.
    """

    type: str
    text: str | None = None
    source: Source | str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw()
    tool_use_id: str | None = None
    content: str | list[Any] | dict[str, Any] | None = None
    is_error: bool | None = None
    cache_control: CacheControl | None = None
    title: str | None = None
    context: str | None = None
    citations: Any = None


Content = str | list[Block]


class Message(msgspec.Struct, gc=False):
    """One turn."""

    role: str
    content: Content


class Tool(msgspec.Struct, gc=False):
    """A tool. Shape: `type` is custom, or absent, for the caller's own; else it is one of Anthropic's."""

    name: str = ""
    type: str | None = None
    description: str | None = None
    input_schema: msgspec.Raw = msgspec.Raw()
    strict: bool | None = None
    cache_control: CacheControl | None = None
    input_examples: Any = None
    defer_loading: bool | None = None
    eager_input_streaming: bool | None = None
    allowed_callers: Any = None

    @property
    def own(self) -> bool:
        """Whether it is the caller's, and not one that Anthropic defines."""
        return self.type is None or self.type == "custom"


def blocks_of(content: str | list[Any] | dict[str, Any] | None) -> list[Block]:
    """What a tool's result, or a document made of blocks, says.

    Errors: msgspec.ValidationError for what are no blocks.
    """
    if content is None or isinstance(content, str):
        return [Block("text", content)] if content else []
    return msgspec.convert(content if isinstance(content, list) else [content], list[Block])
