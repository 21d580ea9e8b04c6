"""What Google's API refuses of a request to generate: fields that it does not have, levels and budgets that a model has
not, seals that it did not make, calls without one.

Source: ai.google.dev, API reference, "Generating content", "Caching" (Content, Part, Tool, ToolConfig); guides
"Thinking", "Thought signatures"; docs.cloud.google.com, "Thinking" (checked November 2026).
"""

import re
from collections.abc import Iterator
from typing import Any

from tests.kit.vendors.server import SIGNATURE

Json = dict[str, Any]

ANYTHING: Any = None
_MEDIA = {"mimeType": ANYTHING, "data": ANYTHING, "displayName": ANYTHING}
_LINK = {"mimeType": ANYTHING, "fileUri": ANYTHING, "displayName": ANYTHING}
_PART: Json = {
    **dict.fromkeys(
        ("text", "thought", "thoughtSignature", "executableCode", "codeExecutionResult"), ANYTHING
    ),
    **dict.fromkeys(
        ("toolCall", "toolResponse", "videoMetadata", "mediaResolution", "partMetadata"), ANYTHING
    ),
    "inlineData": _MEDIA,
    "fileData": _LINK,
    "functionCall": dict.fromkeys(("id", "name", "args"), ANYTHING),
    "functionResponse": {
        **dict.fromkeys(("id", "name", "response", "willContinue", "scheduling"), ANYTHING),
        "parts": {"inlineData": _MEDIA, "fileData": _LINK},
    },
}
_CONTENT: Json = {"role": ANYTHING, "parts": _PART}
_FUNCTION = dict.fromkeys(
    (
        "name",
        "description",
        "behavior",
        "parameters",
        "parametersJsonSchema",
        "response",
        "responseJsonSchema",
    ),
    ANYTHING,
)
_TOOLS = ("googleSearch", "googleSearchRetrieval", "codeExecution", "urlContext", "fileSearch", "computerUse")
_CONFIG = (
    *("stopSequences", "responseMimeType", "responseSchema", "responseJsonSchema", "_responseJsonSchema"),
    *("responseModalities", "candidateCount", "maxOutputTokens", "temperature", "topP", "topK", "seed"),
    *("presencePenalty", "frequencyPenalty", "responseLogprobs", "logprobs", "speechConfig", "imageConfig"),
    *("mediaResolution", "enableEnhancedCivicAnswers"),
)
FIELDS: Json = {
    **dict.fromkeys(("model", "safetySettings", "cachedContent", "serviceTier", "store", "labels"), ANYTHING),
    "contents": _CONTENT,
    "systemInstruction": _CONTENT,
    "tools": {
        **dict.fromkeys((*_TOOLS, "googleMaps", "mcpServers"), ANYTHING),
        "functionDeclarations": _FUNCTION,
    },
    "toolConfig": {
        "functionCallingConfig": dict.fromkeys(("mode", "allowedFunctionNames"), ANYTHING),
        **dict.fromkeys(("retrievalConfig", "includeServerSideToolInvocations"), ANYTHING),
    },
    "generationConfig": {
        **dict.fromkeys(_CONFIG, ANYTHING),
        "thinkingConfig": dict.fromkeys(("includeThoughts", "thinkingBudget", "thinkingLevel"), ANYTHING),
    },
}
"""What a request may have, by its place; a list of something has it as something alone does."""
LEVELS = ("MINIMAL", "LOW", "MEDIUM", "HIGH")
BUDGETS = {"pro": (128, 32_768, False), "flash": (1, 24_576, True), "flash-lite": (512, 24_576, True)}
"""Of Gemini 2.5: from, to, and whether it can do without. Units: tokens."""
EXCUSES = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")
_TO_STANDARD = str.maketrans("-_", "+/")
_OLDER = re.compile(r"gemini-2\.5-(pro|flash-lite|flash)")


def check(body: Any, model: str, seals: tuple[str, ...] = (SIGNATURE,)) -> str:
    """What is wrong with a request, in Google's words; empty where it is right. Shape: `seals` are those it made."""
    if not isinstance(body, dict):
        return ""
    body = body.get("generateContentRequest", body)
    for name, where in _unknown(_plain(body), FIELDS, ""):
        return f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}': Cannot find field."
    plain = _plain(body)
    thinking = plain.get("generationConfig", {}).get("thinkingConfig") or {}
    return _thinking(thinking, model) or _seals(_all(plain.get("contents")), model, seals)


def _thinking(config: Json, model: str) -> str:
    level, budget = config.get("thinkingLevel"), config.get("thinkingBudget")
    older = _OLDER.search(model)
    if level is not None and budget is not None:
        return "You can only set only one of thinking budget and thinking level."
    if level is not None and (older is not None or level.upper() not in _levels(model)):
        return f"Thinking level {level} is not supported for this model."
    if budget is None or budget == -1:
        return ""
    least, most, idle = BUDGETS[older[1]] if older is not None else (1, 32_768, False)
    if not (least <= budget <= most or (budget == 0 and idle)):
        return f"The thinking budget {budget} is invalid. Please choose a value between {least} and {most}."
    return ""


def _levels(model: str) -> tuple[str, ...]:
    if re.search(r"gemini-3-pro", model):
        return ("LOW", "HIGH")
    return LEVELS[1:] if re.search(r"gemini-3\.[78]-|gemini-3\.1-pro", model) else LEVELS


def _seals(contents: list[Json], model: str, made: tuple[str, ...]) -> str:
    """Shape: the calls of the current turn are those after the last that the user said."""
    older = _OLDER.search(model) is not None
    known = {one.translate(_TO_STANDARD) for one in (made if older else (*made, *EXCUSES))}
    turn = -1
    for at, content in enumerate(contents):
        texts = [part for part in _all(content.get("parts")) if "functionResponse" not in part]
        turn = at if texts and content.get("role", "user") == "user" else turn
    for at, content in enumerate(contents):
        parts = _all(content.get("parts"))
        seals = [part["thoughtSignature"] for part in parts if "thoughtSignature" in part]
        if any(seal.translate(_TO_STANDARD) not in known for seal in seals):
            return "Corrupted thought signature."
        calls = [part for part in parts if "functionCall" in part]
        if at > turn and calls and not older and "thoughtSignature" not in calls[0]:
            return "Function call is missing a thought_signature in functionCall parts."
    return ""


def _unknown(value: Any, known: Any, where: str) -> Iterator[tuple[str, str]]:
    """Fields that there are not, each with its place."""
    if known is ANYTHING:
        return
    for one in _all(value):
        for name, inner in one.items() if isinstance(one, dict) else ():
            if name not in known:
                yield name, where
            else:
                yield from _unknown(inner, known[name], f"{where}.{name}".removeprefix("."))


def _all(value: Any) -> list[Any]:
    """What is there once or several times."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _plain(value: Any) -> Any:
    """Fields in camelCase: Google takes either spelling."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        re.sub(r"(?<=[a-z])_([a-z])", lambda m: m[1].upper(), name): _plain(one)
        for name, one in value.items()
    }
