"""The part of the OpenAPI document that is about Gemini's dialect."""

from typing import Any

from kpgate.app.openapi_parts import open_to_more, ref
from kpgate.dialects.gemini.reply import STATUSES

Json = dict[str, Any]

# Path, operation, summary, request schema, reply schema, whether it is a stream.
CALLS: tuple[tuple[str, str, str, str, str, bool], ...] = (
    (
        "/v1beta/models/{model}:generateContent",
        "generateContent",
        "Answer a conversation. Also under /v1.",
        "GeminiRequest",
        "Passed",
        False,
    ),
    (
        "/v1beta/models/{model}:streamGenerateContent",
        "streamGenerateContent",
        "The same as a stream: events with alt=sse, else a JSON list. Also under /v1.",
        "GeminiRequest",
        "GeminiItems",
        True,
    ),
    (
        "/v1beta/models/{model}:countTokens",
        "countTokens",
        "Count a prompt's tokens, free of charge: by Gemini where it answers, else here. Also under /v1.",
        "GeminiCountRequest",
        "GeminiCount",
        False,
    ),
)
MODEL = "The model's name, its slashes as they are or percent-encoded."
ALT: tuple[str, Json, str] = (
    "alt",
    {"type": "string", "enum": ["sse", "json"]},
    "sse for events; a JSON list whose items come one by one if absent.",
)
COUNTED: tuple[tuple[str, Json, str], ...] = (
    (
        "x-kpgate-count",
        {"type": "string"},
        "How near kpgate's own count is: exact, or calibrated for models whose vocabulary is not public.",
    ),
)


def schemas() -> Json:
    """What is asked and answered in Gemini's dialect."""
    listed: Json = {"type": ["array", "object"]}
    asked: Json = {
        "contents": listed,
        "systemInstruction": {"type": ["object", "null"]},
        "tools": {"type": ["array", "object", "null"]},
        "generationConfig": {"type": ["object", "null"]},
    }
    fault = {
        "code": {"type": "integer"},
        "message": {"type": "string"},
        "status": {"type": "string", "enum": sorted(set(STATUSES.values()))},
        "details": {
            "type": "array",
            "description": "The first is a google.rpc.ErrorInfo whose reason is kpgate's code.",
            "items": open_to_more({}, ()),
        },
    }
    error: Json = {"type": "object", "properties": fault, "required": ["code", "message", "status"]}
    return {
        "GeminiRequest": open_to_more(asked, ("contents",)),
        "GeminiCountRequest": open_to_more(
            {
                "contents": {"type": ["array", "object", "null"]},
                "generateContentRequest": ref("GeminiRequest"),
            },
            (),
        ),
        "GeminiItems": {"type": "array", "items": ref("Passed")},
        "GeminiCount": open_to_more({"totalTokens": {"type": "integer"}}, ("totalTokens",)),
        "GeminiError": {"type": "object", "properties": {"error": error}, "required": ["error"]},
    }
