"""How many tokens an OpenAI request's prompt has: text counted exactly, framed as OpenAI documents it.

Pure and on the path of every call: texts are counted where they stand, nothing is joined.
Source: OpenAI cookbook, "How to count tokens with tiktoken", sections 6 and 7 (checked November 2026).
"""

from typing import Any

import msgspec
from msgspec.structs import astuple

from kpgate._fast.outline import Outline
from kpgate.dialects.openai.images import image_tokens
from kpgate.dialects.openai.request import (
    CALLED,
    IMAGE,
    NAME,
    TURN,
    ChatRequest,
    ImageUrl,
    Message,
    Prompt,
)
from kpgate.domain.call import Call
from kpgate.domain.dialect import Counter

PER_MESSAGE = 3
PER_NAME = 1
PER_REPLY = 3

FUNCTION_INIT = 7
FUNCTION_INIT_OLDER = 10
FUNCTIONS_END = 12
PROPERTIES_INIT = 3
PROPERTY_KEY = 3
ENUM_INIT = -3
ENUM_ITEM = 3

_image = msgspec.json.Decoder(ImageUrl)


def count_chat(call: Call, vocabulary: Counter, model: str) -> int:
    """The prompt tokens of a chat completion."""
    total = count_request(call.content, vocabulary, model)
    return total if call.texts is None else total + _outlined(call.texts, vocabulary, model)


def _outlined(texts: Outline, vocabulary: Counter, model: str) -> int:
    """The messages of a conversation that was not decoded."""
    total = PER_MESSAGE * (texts.tally(TURN) + texts.tally(CALLED)) + PER_NAME * texts.tally(NAME)
    for image in map(_image.decode, texts.raw(IMAGE)):
        total += image_tokens(image.url, image.detail, model)
    return total + vocabulary.count_outlined(texts)


def count_completion(call: Call, vocabulary: Counter, model: str) -> int:
    """The prompt tokens of a completion."""
    prompt = call.content.prompt
    return 1 if prompt is None else count_text(prompt, vocabulary)


def count_embedding(call: Call, vocabulary: Counter, model: str) -> int:
    """The tokens of what is to be embedded."""
    total = call.counted = count_text(call.content.input, vocabulary)
    return total


def count_text(text: Prompt, vocabulary: Counter) -> int:
    """A text, several, or tokens that the caller made itself."""
    if isinstance(text, str):
        return vocabulary.count(text)
    total = 0
    for one in text:
        if isinstance(one, str):
            total += vocabulary.count(one)
        else:
            total += 1 if isinstance(one, int) else len(one)
    return total


def count_request(request: ChatRequest, vocabulary: Counter, model: str) -> int:
    """The prompt tokens of a chat, its tools and images."""
    count, messages = vocabulary.count, request.messages
    total = PER_REPLY
    total += PER_MESSAGE * len(messages)
    for message in messages:
        # All of its fields at once: each by its name is a call.
        role, content, name, calls, function, refusal = astuple(message)
        if role in ("user", "assistant", "system", "tool", "developer", "function"):
            # Each is one token, in every encoding there is.
            total += 1
        else:
            total += count(role)
        if isinstance(content, str):
            total += count(content)
        elif content is not None:
            for part in content:
                if part.text is not None:
                    total += count(part.text)
                elif part.image_url is not None:
                    total += image_tokens(part.image_url.url, part.image_url.detail, model)
                elif part.refusal is not None:
                    total += count(part.refusal)
        if name is not None:
            total += PER_NAME + count(name)
        if calls is not None or function is not None or refusal is not None:
            total += _calls(message, vocabulary)
    if request.tools:
        functions = [tool.get("function") for tool in request.tools if isinstance(tool, dict)]
        total += count_functions(functions, vocabulary, model)
    if request.functions:
        total += count_functions(request.functions, vocabulary, model)
    return total


def _calls(message: Message, vocabulary: Counter) -> int:
    """What an assistant said other than content: each call's name and arguments."""
    total = vocabulary.count(message.refusal) if message.refusal is not None else 0
    functions = [call.function for call in message.tool_calls or ()]
    for function in (*functions, message.function_call):
        if function is not None:
            total += (
                PER_MESSAGE + vocabulary.count(function.name) + vocabulary.count(function.arguments or "")
            )
    return total


def count_functions(functions: list[Any], vocabulary: Counter, model: str) -> int:
    """The tokens of function definitions. What is not shaped as documented counts for what it has."""
    older = model.startswith(("gpt-3.5", "gpt-4")) and not model.startswith(("gpt-4o", "gpt-4.1", "gpt-4.5"))
    total = 0
    for function in functions:
        if not isinstance(function, dict):
            continue
        total += FUNCTION_INIT_OLDER if older else FUNCTION_INIT
        total += vocabulary.count(f"{function.get('name', '')}:{_sentence(function)}")
        parameters = function.get("parameters")
        properties = parameters.get("properties") if isinstance(parameters, dict) else None
        if isinstance(properties, dict) and properties:
            total += PROPERTIES_INIT
            for key, shape in properties.items():
                total += PROPERTY_KEY + _property(key, shape if isinstance(shape, dict) else {}, vocabulary)
    return total + FUNCTIONS_END if functions else total


def _property(key: str, shape: dict[str, Any], vocabulary: Counter) -> int:
    total = vocabulary.count(f"{key}:{shape.get('type', '')}:{_sentence(shape)}")
    choices = shape.get("enum")
    if isinstance(choices, list):
        total += ENUM_INIT + sum(ENUM_ITEM + vocabulary.count(str(choice)) for choice in choices)
    return total


def _sentence(shape: dict[str, Any]) -> str:
    return str(shape.get("description") or "").removesuffix(".")
