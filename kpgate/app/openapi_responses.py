"""The part of the OpenAPI document that is about the Responses API."""

from typing import Any

from kpgate.app.openapi_parts import open_to_more

Json = dict[str, Any]

# Path, operation, summary, request schema, whether it may stream.
CALLS: tuple[tuple[str, str, str, str, bool], ...] = (
    (
        "/v1/responses",
        "createResponse",
        "Answer items of a conversation. State, files and built-in tools are the provider's, where it has this API.",
        "ResponsesRequest",
        True,
    ),
)


def schemas() -> Json:
    """What is read of a request."""
    asked: Json = {
        "model": {"type": "string"},
        "input": {"type": ["string", "array", "null"]},
        "instructions": {"type": ["string", "null"]},
        "stream": {"type": ["boolean", "null"]},
        "max_output_tokens": {"type": ["integer", "null"]},
        "tools": {"type": ["array", "null"]},
        "background": {
            "type": ["boolean", "null"],
            "description": "Only false: a reply is given within its call.",
        },
    }
    return {"ResponsesRequest": open_to_more(asked, ("model",))}
