"""Usage read where it stands: whatever is read is what a decoder reads, and what is usual is read."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpgate._fast.usage import Counts
from tests.kit.oracle.usage import AFTER, BEFORE, counts_of, find_counts

NAMES = ("prompt_tokens", "completion_tokens", "cached_tokens", "audio_tokens", "image_tokens", "usage", "x")
USUAL = {
    "prompt_tokens": 90,
    "completion_tokens": 18,
    "total_tokens": 108,
    BEFORE: {"cached_tokens": 64, "audio_tokens": 0},
    AFTER: {"reasoning_tokens": 7, "audio_tokens": 2, "accepted_prediction_tokens": 0},
}
REST = {"service_tier": "default", "system_fingerprint": None}

values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-5, 1 << 45),
        st.floats(0, 5),
        st.sampled_from(["usage", 'a "usage": {', '","usage":{"prompt_tokens":1}', "\\", "é", ""]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=8,
)
counts = st.one_of(st.none(), st.integers(0, 1 << 44), st.integers(0, 300))
details = st.one_of(st.none(), st.dictionaries(st.sampled_from(NAMES), st.one_of(counts, values), max_size=4))
usages = st.one_of(
    values,
    st.fixed_dictionaries(
        {"prompt_tokens": counts, "completion_tokens": counts},
        optional={"total_tokens": counts, BEFORE: details, AFTER: details, "x": values},
    ),
)


def shown(one: Counts) -> tuple[int, ...]:
    return (
        one.prompt,
        one.completion,
        one.cached,
        one.reasoning,
        one.audio_prompt,
        one.audio_completion,
        one.image,
        one.cache_write,
    )


def spell(value: Any, indent: int | None, escaped: bool) -> bytes:
    """A value as some provider writes it: with or without spaces, a key perhaps with an escape."""
    separators = None if indent is not None else (",", ":")
    text = json.dumps(value, ensure_ascii=escaped, indent=indent, separators=separators)
    return (text.replace('"usage":', '"\\u0075sage":') if escaped else text).encode()


@settings(max_examples=500, deadline=None)
@given(
    before=st.dictionaries(st.sampled_from([*NAMES, "choices"]), values, max_size=3),
    usage=usages,
    after=st.dictionaries(st.sampled_from([*NAMES, "z"]), values, max_size=3),
    indent=st.sampled_from([None, None, 0, 2]),
    escaped=st.booleans(),
    end=st.sampled_from([b"", b"\n"]),
)
def test_what_is_found_in_a_reply_is_what_a_decoder_finds(
    before: dict[str, Any],
    usage: Any,
    after: dict[str, Any],
    indent: int | None,
    escaped: bool,
    end: bytes,
) -> None:
    after.pop("usage", None)
    body = spell(before | {"usage": usage} | after, indent, escaped) + end
    one = Counts()
    if one.find(body):
        assert shown(one) == find_counts(body)
    twice = b'{"usage":{"prompt_tokens":1},"a":1,"usage":%b}' % spell(usage, indent, escaped)
    if one.find(twice):
        assert shown(one) == find_counts(twice)
    alone = spell(usage, indent, escaped)
    if one.read(alone):
        assert shown(one) == counts_of(json.loads(alone))


@given(
    text=st.text(max_size=30),
    prompt=st.integers(0, 10**9),
    cached=st.integers(0, 99),
    indent=st.sampled_from([None, 1]),
)
def test_what_providers_send_is_found(text: str, prompt: int, cached: int, indent: int | None) -> None:
    usage = USUAL | {"prompt_tokens": prompt, BEFORE: {"cached_tokens": cached}}
    reply = {"id": text, "choices": [{"message": {"content": text, "usage": {}}}], "usage": usage}
    one = Counts()
    for body in (reply, reply | REST):
        assert one.find(json.dumps(body, indent=indent).encode())
        assert shown(one) == (prompt, 18, cached, 7, 0, 2, 0, 0) and one.detailed
    assert one.read(b'{"prompt_tokens":3,"completion_tokens":2}') and not one.detailed


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'"usage"',
        b'{"usage":null}',
        b'{"usage":[]}',
        b'{"usage":{}} x',
        b'{"usage":{"prompt_tokens":1}',
        b'{"a":{"usage":{"prompt_tokens":1}}}',
        b'[{"usage":{"prompt_tokens":1}}]',
        b'{"a":"\\",\\"usage\\":{\\"prompt_tokens\\":1}}',
        b'{"usage":{"prompt_tokens":1},"\\u0075sage":{"prompt_tokens":2}}',
        b'{"usage":{"prompt_tokens":-1}}',
        b'{"usage":{"prompt_tokens":1.5}}',
        b'{"usage":{"prompt_tokens":1e3}}',
        b'{"usage":{"prompt_tokens":01}}',
        b'{"usage":{"prompt_tokens":"1"}}',
        b'{"usage":{"prompt_tokens":1,"prompt_tokens":2}}',
        b'{"usage":{"prompt_tokens":12345678901234567890}}',
        b'{"usage":{"prompt_tokens_details":[]}}',
        b'{"usage":{"prompt_tokens":1},"z":"%b"}' % (b"z" * 5000),
    ],
)
def test_what_is_unusual_is_left_to_a_decoder(body: bytes) -> None:
    assert not Counts().find(body)
