"""How many tokens a Responses request's prompt has: as chat completions of the same content are counted.

What the provider keeps (`previous_response_id`, `conversation`) is not seen and not counted; its usage has it.
Source: OpenAI cookbook, "How to count tokens with tiktoken", sections 6 and 7 (checked November 2026).
"""

from typing import Any

from kpgate.dialects.openai.count import PER_MESSAGE, PER_REPLY, count_functions
from kpgate.dialects.openai.images import image_tokens
from kpgate.dialects.responses.request import Item, Part, ResponsesRequest
from kpgate.domain.call import Call
from kpgate.domain.dialect import Counter


def count_response(call: Call, vocabulary: Counter, model: str) -> int:
    """The prompt tokens of a request, its tools and images."""
    request: ResponsesRequest = call.content
    count = vocabulary.count
    total = PER_REPLY
    if request.instructions:
        total += PER_MESSAGE + count("system") + count(request.instructions)
    said = request.input
    if isinstance(said, str):
        total += PER_MESSAGE + count("user") + count(said)
    else:
        for item in said or ():
            total += PER_MESSAGE + _item(item, vocabulary, model)
    if request.tools:
        functions = [tool for tool in request.tools if isinstance(tool, dict)]
        total += count_functions(functions, vocabulary, model)
    return total


def _item(item: Item, vocabulary: Counter, model: str) -> int:
    count = vocabulary.count
    total = count(item.role) if item.role else 0
    content = item.content
    if isinstance(content, str):
        total += count(content)
    elif content is not None:
        total += sum(_part(part, vocabulary, model) for part in content)
    for text in (item.name, item.arguments, item.output):
        if isinstance(text, str):
            total += count(text)
    for parts in (item.output, item.summary):
        if isinstance(parts, list):
            total += sum(_loose(part, vocabulary, model) for part in parts)
    return total


def _part(part: Part, vocabulary: Counter, model: str) -> int:
    if part.text is not None:
        return vocabulary.count(part.text)
    if part.image_url is not None:
        return image_tokens(part.image_url, part.detail, model)
    return vocabulary.count(part.refusal) if part.refusal is not None else 0


def _loose(part: Any, vocabulary: Counter, model: str) -> int:
    """A part of a list whose shape depends on the item."""
    if not isinstance(part, dict):
        return 0
    text, url = part.get("text"), part.get("image_url")
    if isinstance(text, str):
        return vocabulary.count(text)
    return image_tokens(url, None, model) if isinstance(url, str) else 0
