"""What OpenAI replies say: usage, errors, the list of models.

Source: OpenAI API reference, error codes, streaming and models pages (checked November 2026).
"""

from collections.abc import Iterable

import msgspec
import orjson

from kpgate._fast.heading import Heading
from kpgate._fast.limit import Verdict
from kpgate._fast.sse import find_usage
from kpgate._fast.usage import Counts
from kpgate.domain.dialect import Framing
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
    audio_tokens: int | None = None
    image_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_write_tokens: int | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None


_NOTHING = _Details()
TOKENS_MAX = 1 << 40
"""More than any call has: a provider that says more says nonsense."""

_usage = msgspec.json.Decoder(_Usage)
_counts = Counts()


def _counted(counts: Counts) -> Usage:
    if not counts.detailed:
        return Usage(counts.prompt, counts.completion, 0, 0, "provider")
    return Usage(
        counts.prompt,
        counts.completion,
        counts.cached,
        counts.reasoning,
        "provider",
        counts.audio_prompt,
        counts.audio_completion,
        counts.image,
        counts.cache_write,
    )


def decode_usage(raw: bytes) -> Usage | None:
    """A usage object as a provider wrote it. None when it makes no sense: negative, not numbers, no object."""
    counts = _counts
    if counts.read(raw):
        return _counted(counts)
    try:
        said = _usage.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    total, spoken = said.prompt_tokens or 0, said.completion_tokens or 0
    if not (0 <= total <= TOKENS_MAX and 0 <= spoken <= TOKENS_MAX):
        return None
    before, after = said.prompt_tokens_details, said.completion_tokens_details
    if before is None and after is None:
        return Usage(total, spoken, source="provider")
    before, after = before or _NOTHING, after or _NOTHING
    parts = (
        before.cached_tokens or 0,
        after.reasoning_tokens or 0,
        before.audio_tokens or 0,
        after.audio_tokens or 0,
        before.image_tokens or 0,
        before.cache_write_tokens or 0,
    )
    if min(parts) < 0 or max(parts) > TOKENS_MAX:
        return None
    cached, reasoning, heard, said_aloud, seen, written = parts
    return Usage(total, spoken, cached, reasoning, "provider", heard, said_aloud, seen, written)


def read_usage(body: bytes) -> Usage | None:
    """What a whole reply says was used. None where it does not say, or makes no sense."""
    counts = _counts
    if counts.find(body):
        return _counted(counts)
    raw = find_usage(body)
    return None if raw is None else decode_usage(raw)


class _Said(msgspec.Struct, gc=False):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None


class _Choice(msgspec.Struct, gc=False):
    message: _Said | None = None
    text: str | None = None


class _Reply(msgspec.Struct, gc=False):
    choices: list[_Choice] = []


_reply = msgspec.json.Decoder(_Reply)


def decode_text(body: bytes) -> str:
    """All that a whole reply says, for counting; empty where it is not what a reply is."""
    try:
        said = _reply.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    texts: list[str | None] = []
    for choice in said.choices:
        texts.append(choice.text)
        if choice.message is not None:
            texts += (choice.message.content, choice.message.refusal, choice.message.reasoning_content)
    return "".join(filter(None, texts))


def encode_cut_chat(framer: Framing, request_id: str, model: str, choices: int) -> bytes:
    """The end of a chat's stream that the gateway cuts: every choice is as long as it may be."""
    ends = [{"index": index, "delta": {}, "finish_reason": "length"} for index in range(choices)]
    return _cut(request_id, model, "chat.completion.chunk", ends)


def encode_cut_completion(framer: Framing, request_id: str, model: str, choices: int) -> bytes:
    """The same of a completion's stream."""
    ends = [{"index": index, "text": "", "finish_reason": "length"} for index in range(choices)]
    return _cut(request_id, model, "text_completion", ends)


def _cut(request_id: str, model: str, kind: str, ends: list[dict[str, object]]) -> bytes:
    event = {"id": request_id, "object": kind, "created": 0, "model": model, "choices": ends}
    return b"data: " + orjson.dumps(event) + b"\n\ndata: [DONE]\n\n"


def encode_error(error: GatewayError, request_id: str) -> bytes:
    """An error's body. Shape: all four of message, type, param and code."""
    said = {"message": error.message, "type": error_kind(error.status), "param": error.param}
    return orjson.dumps({"error": said | {"code": error.code}})


def error_kind(status: int) -> str:
    """OpenAI's word for what a status means."""
    return _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")


def encode_error_event(error: GatewayError, request_id: str) -> bytes:
    """The same as the last event of a stream that has begun."""
    return b"data: " + encode_error(error, request_id) + b"\n\n"


def encode_limits(verdict: Verdict, headers: Heading) -> None:
    """Write what is left of the limits, as headers."""
    if verdict.requests_limit > 0:
        headers.count(b"x-ratelimit-limit-requests", verdict.requests_limit)
        headers.count(b"x-ratelimit-remaining-requests", verdict.requests_remaining)
        headers.last(b"x-ratelimit-reset-requests", verdict.requests_reset_us)
    if verdict.tokens_limit > 0:
        headers.count(b"x-ratelimit-limit-tokens", verdict.tokens_limit)
        headers.count(b"x-ratelimit-remaining-tokens", verdict.tokens_remaining)
        headers.last(b"x-ratelimit-reset-tokens", verdict.tokens_reset_us)


def encode_model(name: str, created_s: int, owner: str) -> dict[str, object]:
    """One model as `GET /v1/models/{id}` shows it. Units: `created_s` seconds since the epoch."""
    return {"id": name, "object": "model", "created": created_s, "owned_by": owner}


def encode_models(models: Iterable[dict[str, object]]) -> bytes:
    """The list of `GET /v1/models`."""
    return orjson.dumps({"object": "list", "data": list(models)})
