"""Counts that no call has: a provider that says them says nothing of what was used, and breaks nothing."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from kpgate.dialects.anthropic import usage as anthropic
from kpgate.dialects.gemini import usage as gemini
from kpgate.dialects.openai import offers, reply
from kpgate.dialects.responses import usage as responses
from kpgate.domain.usage import Usage

Read = Callable[[bytes], Usage | None]
HUGE = 1 << 70

OPENAI = {
    "prompt_tokens": 9,
    "completion_tokens": 5,
    "prompt_tokens_details": {
        "cached_tokens": 1,
        "audio_tokens": 1,
        "image_tokens": 1,
        "cache_write_tokens": 1,
    },
    "completion_tokens_details": {"reasoning_tokens": 1, "audio_tokens": 1},
}
OFFERS = {
    "input_tokens": 9,
    "output_tokens": 5,
    "input_tokens_details": {"image_tokens": 1, "audio_tokens": 1},
}
RESPONSES = {
    "input_tokens": 9,
    "output_tokens": 5,
    "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 1},
    "output_tokens_details": {"reasoning_tokens": 1},
}
ANTHROPIC = {
    "input_tokens": 9,
    "output_tokens": 5,
    "cache_creation_input_tokens": 2,
    "cache_read_input_tokens": 1,
    "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 1},
    "output_tokens_details": {"thinking_tokens": 1},
}
GEMINI = {
    "promptTokenCount": 9,
    "candidatesTokenCount": 5,
    "thoughtsTokenCount": 1,
    "toolUsePromptTokenCount": 1,
    "cachedContentTokenCount": 1,
    "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 1}, {"modality": "IMAGE", "tokenCount": 1}],
    "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 1}],
}


def places(said: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where the numbers stand."""
    items = said.items() if isinstance(said, dict) else enumerate(said) if isinstance(said, list) else ()
    found = [path] if isinstance(said, int) else []
    for key, value in items:
        found += places(value, (*path, key))
    return found


CASES: list[tuple[str, Read, dict[str, Any], str]] = [
    ("openai", reply.read_usage, OPENAI, "usage"),
    ("offers", offers.read_usage, OFFERS, "usage"),
    ("responses", responses.read_usage, RESPONSES, "usage"),
    ("anthropic", anthropic.read_usage, ANTHROPIC, "usage"),
    ("gemini", gemini.read_usage, GEMINI, "usageMetadata"),
]


@pytest.mark.parametrize(
    ("read", "said", "key"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_count_beyond_all_is_no_count(read: Read, said: dict[str, Any], key: str) -> None:
    found = read(json.dumps({key: said}).encode())
    assert found is not None and found.input >= 9 and found.output >= 5
    for path in places(said):
        odd = json.loads(json.dumps(said))
        at = odd
        for step in path[:-1]:
            at = at[step]
        for number in (HUGE, -HUGE, -1):
            at[path[-1]] = number
            used = read(json.dumps({key: odd}).encode())
            assert used is None or max(used.input, used.output, used.cache_write_long) < 100, (path, number)
