"""The usage of an OpenAI reply, in plain Python: what a decoder of the whole text says of it."""

import json
from typing import Any

BEFORE, AFTER = "prompt_tokens_details", "completion_tokens_details"
PLACES = (
    (None, "prompt_tokens"),
    (None, "completion_tokens"),
    (BEFORE, "cached_tokens"),
    (AFTER, "reasoning_tokens"),
    (BEFORE, "audio_tokens"),
    (AFTER, "audio_tokens"),
    (BEFORE, "image_tokens"),
    (BEFORE, "cache_write_tokens"),
)


def counts_of(usage: Any) -> tuple[int, ...] | None:
    """The counts in a usage, in the order of `PLACES`. None: they make no sense."""
    if not isinstance(usage, dict):
        return None
    found = []
    for outer, name in PLACES:
        place = usage if outer is None else usage.get(outer) or {}
        count = place.get(name) if isinstance(place, dict) else "nonsense"
        if count is not None and (type(count) is not int or count < 0):
            return None
        found.append(count or 0)
    return tuple(found)


def find_counts(body: bytes) -> tuple[int, ...] | None:
    """The same of a whole reply."""
    reply = json.loads(body)
    return counts_of(reply.get("usage")) if isinstance(reply, dict) else None
