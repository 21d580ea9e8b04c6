"""What a Gemini reply says was used, both ways.

Source: ai.google.dev, "Understand and count tokens" and API reference, "UsageMetadata" (checked November 2026).
"""

from typing import Any

import msgspec

from kpgate.dialects.gemini.forms import Candidate, ModalityTokens, UsageMetadata
from kpgate.domain.usage import Usage

TOKENS_MAX = 1 << 40
"""More than any call has: a provider that says more says nonsense."""


class Metered(msgspec.Struct, gc=False, rename="camel"):
    """A reply's usage alone."""

    usage_metadata: UsageMetadata | None = None


_metered = msgspec.json.Decoder(Metered)


def decode_usage(said: UsageMetadata | None) -> Usage | None:
    """A usage as Google spells it. None where it is not said, or makes no sense.

    Shape: what tools of Google's own put into the prompt stands beside it, thoughts beside the candidates.
    """
    if said is None:
        return None
    prompt = (said.prompt_token_count or 0) + (said.tool_use_prompt_token_count or 0)
    thoughts = said.thoughts_token_count or 0
    output = (said.candidates_token_count or 0) + thoughts
    heard = seen = aloud = 0
    if said.prompt_tokens_details:
        heard = _of(said.prompt_tokens_details, "AUDIO")
        seen = _of(said.prompt_tokens_details, "IMAGE")
    if said.candidates_tokens_details:
        aloud = _of(said.candidates_tokens_details, "AUDIO")
    cached = said.cached_content_token_count or 0
    given = (
        said.prompt_token_count or 0,
        said.tool_use_prompt_token_count or 0,
        said.candidates_token_count or 0,
        thoughts,
        cached,
        heard,
        seen,
        aloud,
    )
    if min(given) < 0 or max(*given, prompt, output) > TOKENS_MAX or not prompt + output:
        return None
    return Usage(prompt, output, cached, thoughts, "provider", heard, aloud, seen)


def read_usage(body: bytes) -> Usage | None:
    """What a whole reply says was used. None where it does not say, or makes no sense."""
    try:
        return decode_usage(_metered.decode(body).usage_metadata)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def encode_usage(usage: Usage) -> dict[str, Any]:
    """A usage as Google spells it."""
    said: dict[str, Any] = {
        "promptTokenCount": usage.input,
        "candidatesTokenCount": usage.output - usage.reasoning,
        "totalTokenCount": usage.total,
    }
    if usage.cached:
        said["cachedContentTokenCount"] = usage.cached
    if usage.reasoning:
        said["thoughtsTokenCount"] = usage.reasoning
    if usage.audio_input or usage.image:
        said["promptTokensDetails"] = _details(
            ("AUDIO", usage.audio_input), ("IMAGE", usage.image), total=usage.input
        )
    if usage.audio_output:
        said["candidatesTokensDetails"] = _details(
            ("AUDIO", usage.audio_output), total=usage.output - usage.reasoning
        )
    return said


def is_last(candidates: list[Candidate] | None) -> bool:
    """Whether a stream's event ends a choice: what it says was used is not a provisional figure."""
    return any(one.finish_reason for one in candidates or ())


def _of(details: list[ModalityTokens], modality: str) -> int:
    return sum(one.token_count or 0 for one in details if one.modality == modality)


def _details(*parts: tuple[str, int], total: int) -> list[dict[str, Any]]:
    rest = total - sum(tokens for _, tokens in parts)
    shown = [*parts, ("TEXT", max(rest, 0))]
    return [{"modality": name, "tokenCount": tokens} for name, tokens in shown if tokens]
