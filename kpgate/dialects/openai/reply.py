"""What OpenAI replies say: usage, errors, the list of models.

Source: OpenAI API reference, error codes, streaming and models pages (checked November 2026).
"""

from collections.abc import Iterable

import msgspec
import orjson

from kpgate.domain.errors import GatewayError
from kpgate.domain.usage import Usage

CONTENT_TYPE = b"application/json"
EVENT_STREAM = b"text/event-stream"

_TYPES = {
    400: "invalid_request_error",
    401: "invalid_request_error",
    402: "insufficient_quota",
    403: "invalid_request_error",
    404: "invalid_request_error",
    429: "rate_limit_error",
}


class _Details(msgspec.Struct, gc=False):
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None


_usage = msgspec.json.Decoder(_Usage)


def decode_usage(raw: bytes) -> Usage | None:
    """A usage object as a provider wrote it. None when it makes no sense: negative, not numbers, no object."""
    try:
        said = _usage.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    before, after = said.prompt_tokens_details, said.completion_tokens_details
    usage = Usage(
        said.prompt_tokens or 0,
        said.completion_tokens or 0,
        (before.cached_tokens or 0) if before is not None else 0,
        (after.reasoning_tokens or 0) if after is not None else 0,
        "provider",
    )
    return usage if min(usage.input, usage.output, usage.cached, usage.reasoning) >= 0 else None


def encode_error(error: GatewayError) -> bytes:
    """An error's body. Shape: all four of message, type, param and code."""
    kind = _TYPES.get(error.status, "server_error" if error.status >= 500 else "invalid_request_error")
    return orjson.dumps(
        {"error": {"message": error.message, "type": kind, "param": error.param, "code": error.code}}
    )


def encode_error_event(error: GatewayError) -> bytes:
    """The same as the last event of a stream that has begun."""
    return b"data: " + encode_error(error) + b"\n\n"


def encode_model(name: str, created_s: int, owner: str) -> dict[str, object]:
    """One model as `GET /v1/models/{id}` shows it. Units: `created_s` seconds since the epoch."""
    return {"id": name, "object": "model", "created": created_s, "owned_by": owner}


def encode_models(models: Iterable[dict[str, object]]) -> bytes:
    """The list of `GET /v1/models`."""
    return orjson.dumps({"object": "list", "data": list(models)})
