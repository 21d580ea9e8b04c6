"""How many tokens an Anthropic request's prompt has, by our own count: text by our vocabulary, media roughly.

Anthropic's own vocabulary is not public, so this is near, not exact: money is settled on what the provider says.
Source: platform.claude.com, "Token counting", "Vision", "PDF support" (checked November 2026).
"""

from typing import Any

from kpgate.dialects.anthropic.forms import Block, Source, Tool, blocks_of
from kpgate.domain.call import Call
from kpgate.domain.dialect import Counter
from kpgate.domain.pictures import encoded_size

PER_CALL = 3
PER_TURN = 3
PER_BLOCK = 3
PER_TOOL = 8
TOOLS_INIT = 300
"""The system prompt that Anthropic adds where there are tools."""
SERVER_TOOL = 700
"""About what one of Anthropic's own tools adds."""
PIXELS_PER_TOKEN = 750
PICTURE_MOST = 1600
"""A picture is scaled down to about as much; also for one whose size cannot be told."""
PDF_BYTES_PER_TOKEN = 40
"""A page is 1,500 to 3,000 tokens of text and its picture as well: near this for usual pages."""
PDF_UNSEEN = 3000
"""A document that only a URL or an upload's id leads to."""


def count_messages(call: Call, vocabulary: Counter, model: str) -> int:
    """The prompt tokens of a request."""
    request = call.content
    count = vocabulary.count
    total = PER_CALL
    system = request.system
    if system is not None:
        total += PER_TURN + _content(system, vocabulary)
    for message in request.messages:
        content = message.content
        total += PER_TURN + (count(content) if isinstance(content, str) else _content(content, vocabulary))
    if request.tools:
        total += TOOLS_INIT
        for tool in request.tools:
            total += _tool(tool, vocabulary)
    return total


def _tool(tool: Tool, vocabulary: Counter) -> int:
    if not tool.own:
        return SERVER_TOOL
    schema = bytes(tool.input_schema).decode()
    count = vocabulary.count
    return PER_TOOL + count(tool.name) + count(tool.description or "") + count(schema)


def _content(content: str | list[Block], vocabulary: Counter) -> int:
    if isinstance(content, str):
        return vocabulary.count(content)
    total = 0
    for block in content:
        if block.text is not None:
            total += vocabulary.count(block.text)
        else:
            total += _other(block, vocabulary)
    return total


def _other(block: Block, vocabulary: Counter) -> int:
    """A block that is no text."""
    count = vocabulary.count
    if isinstance(block.source, Source):
        if block.type == "image":
            return picture_tokens(block.source.data or "")
        return PER_BLOCK + count(block.title or "") + _document(block.source, vocabulary)
    if block.thinking is not None:
        return PER_BLOCK + count(block.thinking)
    if block.name is not None:
        return PER_BLOCK + count(block.name) + count(bytes(block.input).decode())
    if block.data is not None:
        return PER_BLOCK + len(block.data) // 4
    return PER_BLOCK + _result(block.content, vocabulary)


def _result(content: Any, vocabulary: Counter) -> int:
    """What a tool's result says. What has another form, as results of Anthropic's own tools, counts for its strings."""
    if isinstance(content, str):
        return vocabulary.count(content)
    if isinstance(content, dict):
        if content.get("type") == "image":
            source = content.get("source")
            data = source.get("data") if isinstance(source, dict) else None
            return picture_tokens(data if isinstance(data, str) else "")
        return sum(_result(one, vocabulary) for one in content.values())
    return sum(_result(one, vocabulary) for one in content) if isinstance(content, list) else 0


def picture_tokens(data: str) -> int:
    """A picture's tokens, by its size. Shape: `data` is its base64, empty where only a URL leads to it."""
    size = encoded_size(data) if data else None
    if size is None:
        return PICTURE_MOST
    width, height = size
    return max(1, min(PICTURE_MOST, -(-width * height // PIXELS_PER_TOKEN)))


def _document(source: Source, vocabulary: Counter) -> int:
    if source.type == "text":
        return vocabulary.count(source.data or "")
    if source.type == "content":
        return _content(blocks_of(source.content), vocabulary)
    if source.data is not None:
        return max(1, len(source.data) * 3 // 4 // PDF_BYTES_PER_TOKEN)
    return PDF_UNSEEN
