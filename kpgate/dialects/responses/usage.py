"""What a call used, as the Responses API spells it, both ways.

Source: OpenAI API reference, responses: the object (checked November 2026).
"""

from typing import Any

import msgspec

from kpgate._fast.sse import find_usage
from kpgate.dialects.openai.reply import TOKENS_MAX
from kpgate.domain.usage import Usage


class _Written(msgspec.Struct, gc=False):
    ttl_12h_tokens: int | None = None


class _Details(msgspec.Struct, gc=False):
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_tokens_details: _Written | None = None


class _Usage(msgspec.Struct, gc=False):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None


_usage = msgspec.json.Decoder(_Usage)
_NOTHING = _Details()


def decode_usage(raw: bytes) -> Usage | None:
    """A usage object as a provider wrote it. None when it makes no sense: negative, not numbers, no object."""
    try:
        said = _usage.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    before = said.input_tokens_details or _NOTHING
    reasoning = (said.output_tokens_details or _NOTHING).reasoning_tokens or 0
    counts = (said.input_tokens or 0, said.output_tokens or 0, before.cached_tokens or 0, reasoning)
    written = before.cache_write_tokens or 0
    if min(*counts, written) < 0 or max(*counts, written) > TOKENS_MAX:
        return None
    if not written:
        return Usage(*counts, "provider")
    apart = before.cache_write_tokens_details
    kept = (apart.ttl_12h_tokens or 0) if apart is not None else 0
    # Whatever the parts come to, no more was written than that.
    kept = max(0, min(kept, written))
    return Usage(*counts, "provider", cache_write=written - kept, cache_write_long=kept)


def read_usage(body: bytes) -> Usage | None:
    """What a whole reply says was used. None where it does not say, or makes no sense."""
    raw = find_usage(body)
    return None if raw is None else decode_usage(raw)


def encode_usage(usage: Usage) -> dict[str, Any]:
    """Usage in this spelling."""
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": usage.written},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total,
    }
