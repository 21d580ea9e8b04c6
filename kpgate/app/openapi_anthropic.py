"""The part of the OpenAPI document that is about Anthropic's dialect."""

from typing import Any

from kpgate.app.openapi_parts import open_to_more
from kpgate.dialects.anthropic.reply import KINDS

Json = dict[str, Any]

# Path, operation, summary, request schema, reply schema, whether it may stream.
CALLS: tuple[tuple[str, str, str, str, str, bool], ...] = (
    ("/v1/messages", "createMessage", "Answer a conversation.", "MessagesRequest", "Passed", True),
    (
        "/v1/messages/count_tokens",
        "countMessageTokens",
        "Count a prompt's tokens, free of charge: by Anthropic where it answers, else here.",
        "MessagesCountRequest",
        "MessagesCount",
        False,
    ),
)
LIMITED: tuple[tuple[str, Json, str], ...] = tuple(
    (f"anthropic-ratelimit-{unit}-{word}", {"type": kind}, f"{meaning} {unit}.")
    for unit in ("requests", "tokens")
    for word, kind, meaning in (
        ("limit", "integer", "The burst of the tightest limit on"),
        ("remaining", "integer", "What is left of the tightest limit on"),
        ("reset", "string", "The instant, by RFC 3339, at which it is whole again: the limit on"),
    )
)
NAMED: tuple[tuple[str, Json, str], ...] = (
    ("request-id", {"type": "string"}, "The same as x-request-id, where Anthropic's clients look for it."),
)


def schemas() -> Json:
    """What is asked and answered in Anthropic's dialect."""
    asked: Json = {
        "model": {"type": "string"},
        "messages": {"type": "array"},
        "system": {"type": ["string", "array", "null"]},
        "tools": {"type": ["array", "null"]},
        "thinking": {"type": ["object", "null"]},
    }
    generating: Json = {
        "max_tokens": {"type": ["integer", "null"], "description": "Anthropic itself wants one."},
        "stream": {"type": ["boolean", "null"]},
    }
    kinds = sorted({*KINDS.values(), "api_error"})
    fault = {"type": {"type": "string", "enum": kinds}, "message": {"type": "string"}}
    error = {
        "type": {"const": "error"},
        "error": {"type": "object", "properties": fault, "required": list(fault)},
        "request_id": {"type": ["string", "null"]},
    }
    return {
        "MessagesRequest": open_to_more(asked | generating, ("model", "messages")),
        "MessagesCountRequest": open_to_more(asked, ("model", "messages")),
        "MessagesCount": open_to_more({"input_tokens": {"type": "integer"}}, ("input_tokens",)),
        "AnthropicError": {"type": "object", "properties": error, "required": list(error)},
    }
