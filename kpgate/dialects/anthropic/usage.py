"""What an Anthropic reply says was used, both ways.

Source: platform.claude.com, API reference, "Usage"; "Prompt caching", tracking cache performance (checked November
2026).
"""

from typing import Any

import msgspec

from kpgate.domain.usage import Usage

TOKENS_MAX = 1 << 40
"""More than any call has: a provider that says more says nonsense."""


class Written(msgspec.Struct, gc=False):
    """What was put into the cache, by how long it is kept."""

    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class OutputDetails(msgspec.Struct, gc=False):
    """Parts of the output."""

    thinking_tokens: int | None = None


class Tokens(msgspec.Struct, gc=False):
    """A usage as it stands in replies and events: `input_tokens` are those that no cache was read or written for."""

    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None
    output_tokens_details: OutputDetails | None = None
    cache_creation: Written | None = None


class _Metered(msgspec.Struct, gc=False):
    usage: Tokens | None = None


_metered = msgspec.json.Decoder(_Metered)


def merge(before: Tokens | None, after: Tokens) -> Tokens:
    """What a stream said by now: figures are cumulative, and one that is not said again stands."""
    if before is None:
        return after
    return Tokens(
        *(
            old if new is None else new
            for old, new in zip(msgspec.structs.astuple(before), msgspec.structs.astuple(after), strict=True)
        )
    )


def decode_usage(said: Tokens | None) -> Usage | None:
    """A usage as Anthropic spells it. None where it is not said, or makes no sense."""
    if said is None:
        return None
    fresh, written, cached, output, details, apart = msgspec.structs.astuple(said)
    fresh, written, cached, output = fresh or 0, written or 0, cached or 0, output or 0
    thought = (details.thinking_tokens or 0) if details is not None else 0
    prompt = fresh + written + cached
    if fresh < 0 or written < 0 or cached < 0 or output < 0 or thought < 0:
        return None
    if prompt > TOKENS_MAX or output > TOKENS_MAX or thought > TOKENS_MAX:
        return None
    if not written:
        return Usage(prompt, output, cached, thought, "provider") if prompt + output else None
    kept = (apart.ephemeral_1h_input_tokens or 0) if apart is not None else 0
    # Whatever the parts come to, no more was written than that.
    kept = max(0, min(kept, written))
    return Usage(
        prompt, output, cached, thought, "provider", cache_write=written - kept, cache_write_long=kept
    )


def read_usage(body: bytes) -> Usage | None:
    """What a whole reply says was used. None where it does not say, or makes no sense."""
    try:
        return decode_usage(_metered.decode(body).usage)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def encode_usage(used: Usage) -> dict[str, Any]:
    """A usage as Anthropic spells it: what a cache was read or written for stands beside the rest of the prompt."""
    said: dict[str, Any] = {
        "input_tokens": max(0, used.input - used.cached - used.written),
        "cache_creation_input_tokens": used.written,
        "cache_read_input_tokens": used.cached,
        "output_tokens": used.output,
    }
    if used.written:
        said["cache_creation"] = {
            "ephemeral_5m_input_tokens": used.cache_write,
            "ephemeral_1h_input_tokens": used.cache_write_long,
        }
    if used.reasoning:
        said["output_tokens_details"] = {"thinking_tokens": used.reasoning}
    return said
