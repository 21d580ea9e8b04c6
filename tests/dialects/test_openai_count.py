"""Prompt tokens of whole requests: the cookbook's own figures, images by size, and nothing that crashes."""

import json
import struct
from base64 import b64encode
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpgate._fast.tokens import Vocabulary
from kpgate.dialects.openai.count import (
    PER_MESSAGE,
    PER_REPLY,
    count_chat,
    count_completion,
    count_embedding,
    count_functions,
    count_request,
)
from kpgate.dialects.openai.images import image_tokens
from kpgate.dialects.openai.request import ChatRequest, decode_chat, decode_completion, decode_embedding
from kpgate.domain.body import invalid
from kpgate.domain.errors import InvalidRequest
from kpgate.domain.pictures import image_size
from kpgate.stores.vocabulary import open_vocabulary

COOKBOOK = [
    {
        "role": "system",
        "content": "You are a helpful, pattern-following assistant that translates corporate jargon into "
        "plain English.",
    },
    {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Things working well together will increase revenue.",
    },
    {
        "role": "system",
        "name": "example_user",
        "content": "Let's circle back when we have more bandwidth to touch base on opportunities for "
        "increased leverage.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Let's talk later when we're less busy about how to do better.",
    },
    {
        "role": "user",
        "content": "This late pivot means we don't have time to boil the ocean for the client deliverable.",
    },
]
"""The cookbook's example: 124 tokens for gpt-4o, 129 for gpt-4 and gpt-3.5. Source: section 6 (November 2026)."""

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_current_weather",
        "description": "Get the current weather in a given location",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
                "unit": {
                    "type": "string",
                    "description": "The unit of temperature to return",
                    "enum": ["celsius", "fahrenheit"],
                },
            },
            "required": ["location"],
        },
    },
}
ASKED = [
    {
        "role": "system",
        "content": "You are a helpful assistant that can answer to questions about the weather.",
    },
    {"role": "user", "content": "What's the weather like in San Francisco?"},
]
"""The cookbook's tools example: 101 tokens for gpt-4o, 105 for gpt-4. Source: section 7 (November 2026)."""


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    return open_vocabulary("o200k_base", tmp_path_factory.mktemp("tokens"))


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    return open_vocabulary("cl100k_base", tmp_path_factory.mktemp("tokens"))


@pytest.mark.parametrize(
    "role", ["user", "assistant", "system", "tool", "developer", "function", "critic", "USER"]
)
def test_a_role_has_as_many_tokens_as_its_name(newer: Vocabulary, older: Vocabulary, role: str) -> None:
    for vocabulary in (newer, older):
        counted = prompt(vocabulary, "gpt-4o", messages=[{"role": role, "content": ""}])
        assert counted == PER_REPLY + PER_MESSAGE + vocabulary.count(role)


def prompt(vocabulary: Any, model: str, **body: Any) -> int:
    return count_chat(decode_chat(json.dumps({"model": model} | body).encode(), 64), vocabulary, model)


def test_the_cookbook_s_messages(newer: Vocabulary, older: Vocabulary) -> None:
    assert prompt(newer, "gpt-4o", messages=COOKBOOK) == 124
    assert prompt(older, "gpt-4", messages=COOKBOOK) == 129


def test_the_cookbook_s_tools(newer: Vocabulary, older: Vocabulary) -> None:
    assert prompt(newer, "gpt-4o", messages=ASKED, tools=[WEATHER]) == 101
    assert prompt(older, "gpt-4", messages=ASKED, tools=[WEATHER]) == 105


@pytest.mark.parametrize(
    ("given", "tokens"),
    [("hello world", 2), (["hello world", "hello"], 3), ([1, 2, 3], 3), ([[1, 2], [3]], 3)],
)
def test_prompts_and_inputs_of_every_kind(newer: Vocabulary, given: Any, tokens: int) -> None:
    body = json.dumps({"model": "m", "prompt": given, "input": given}).encode()
    assert count_completion(decode_completion(body, 64), newer, "m") == tokens
    assert count_embedding(decode_embedding(body, 64), newer, "m") == tokens


def url(data: bytes) -> str:
    return f"data:image/x;base64,{b64encode(data).decode()}"


PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 1024, 768) + bytes(9)
GIF = b"GIF89a" + struct.pack("<HH", 320, 200) + bytes(20)
JPEG = (
    b"\xff\xd8\xff\xe0\x00\x10"
    + bytes(14)
    + b"\xff\xc2\x00\x11\x08"
    + struct.pack(">HH", 600, 800)
    + bytes(20)
)
WEBP_X = (
    b"RIFF\x00\x00\x00\x00WEBPVP8X" + bytes(8) + (639).to_bytes(3, "little") + (479).to_bytes(3, "little")
)
WEBP_L = b"RIFF\x00\x00\x00\x00WEBPVP8L" + bytes(5) + struct.pack("<I", 99 | (49 << 14)) + bytes(8)
WEBP = b"RIFF\x00\x00\x00\x00WEBPVP8 " + bytes(10) + struct.pack("<HH", 64, 48)


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (PNG, (1024, 768)),
        (GIF, (320, 200)),
        (JPEG, (800, 600)),
        (WEBP_X, (640, 480)),
        (WEBP_L, (100, 50)),
        (WEBP, (64, 48)),
    ],
    ids=["png", "gif", "jpeg", "webp-x", "webp-l", "webp"],
)
def test_sizes_are_read_from_data_urls(data: bytes, size: tuple[int, int]) -> None:
    assert image_size(url(data)) == size
    for cut in range(len(data)):
        image_size(url(data[:cut]))


@pytest.mark.parametrize(
    "bad", ["https://x/y.png", "data:", "data:image/png;base64,???", "data:image/png,abc", "x"]
)
def test_what_has_no_size_counts_as_the_largest(bad: str) -> None:
    assert image_size(bad) is None
    assert image_tokens(bad, None, "gpt-4o") == 85 + 8 * 170


def test_images_cost_what_the_guide_says() -> None:
    """The guide's examples: 1024 x 1024 is 765 tokens, 2048 x 4096 is 1105, low detail 85, for gpt-4o."""
    square = PNG[:16] + struct.pack(">II", 1024, 1024) + bytes(9)
    tall = PNG[:16] + struct.pack(">II", 2048, 4096) + bytes(9)
    assert image_tokens(url(square), "high", "gpt-4o") == 765
    assert image_tokens(url(tall), None, "gpt-4o") == 1105
    assert image_tokens(url(tall), "low", "gpt-4o") == 85
    assert image_tokens(url(square), None, "gpt-4o-mini") == 2833 + 4 * 5667
    assert image_tokens(url(square), None, "gpt-4.1-mini") == 1659


def test_parts_are_counted_one_by_one(newer: Vocabulary) -> None:
    parts = [
        {"type": "text", "text": "hello world"},
        {"type": "image_url", "image_url": {"url": "x", "detail": "low"}},
    ]
    plain = prompt(newer, "gpt-4o", messages=[{"role": "user", "content": "hello world"}])
    assert prompt(newer, "gpt-4o", messages=[{"role": "user", "content": parts}]) == plain + 85


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "parameters", "properties", "enum", "type", "description", "x"]), inner
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(functions=st.lists(json_values, max_size=3))
def test_functions_of_any_shape_are_survived(newer: Vocabulary, functions: list[Any]) -> None:
    assert count_functions(functions, newer, "gpt-4o") >= 0


WORDS = st.text(max_size=30)
MAYBE = st.none() | WORDS
ODD = st.none() | st.booleans() | st.integers() | WORDS | st.just([]) | st.just({})
FUNCTION = st.fixed_dictionaries({}, optional={"name": WORDS, "arguments": MAYBE, "x": ODD})
PART = st.fixed_dictionaries(
    {"type": WORDS},
    optional={
        "text": MAYBE,
        "refusal": MAYBE,
        "image_url": st.none() | st.fixed_dictionaries({"url": WORDS}, optional={"detail": MAYBE}),
        "input_audio": ODD,
    },
)
CALLS = st.lists(
    st.fixed_dictionaries({}, optional={"id": MAYBE, "type": MAYBE, "function": st.none() | FUNCTION}),
    max_size=3,
)
MESSAGE = st.fixed_dictionaries(
    {"role": WORDS},
    optional={
        "content": MAYBE | st.lists(PART, max_size=3),
        "name": MAYBE,
        "refusal": MAYBE,
        "tool_calls": st.none() | CALLS,
        "function_call": st.none() | FUNCTION,
        "tool_call_id": ODD,
    },
)
MEMBER = st.sampled_from(["role", "content", "name", "refusal", "tool_calls", "function_call"])
ODD_MESSAGE = st.builds(lambda message, name, value: message | {name: value}, MESSAGE, MEMBER, ODD)


@settings(max_examples=300, deadline=None)
@given(
    messages=st.lists(MESSAGE, max_size=4) | st.lists(MESSAGE | ODD_MESSAGE, max_size=3),
    stream=st.none() | st.booleans() | st.just("yes"),
    escaped=st.booleans(),
)
def test_a_long_conversation_is_counted_and_refused_as_a_short_one_is(
    newer: Vocabulary, messages: list[Any], stream: Any, escaped: bool
) -> None:
    filler = {"role": "user", "content": "Nobody decodes what is only counted.\n" * 200}
    chat = {"model": "gpt-4o", "messages": [filler, *messages], "stream": stream}
    body = json.dumps(chat, ensure_ascii=escaped).encode()
    try:
        wanted = count_request(msgspec.json.decode(body, type=ChatRequest), newer, "gpt-4o")
    except msgspec.ValidationError as error:
        expected = invalid(str(error))
        with pytest.raises(InvalidRequest) as caught:
            decode_chat(body, 64)
        assert (str(caught.value), caught.value.param) == (str(expected), expected.param)
        return
    call = decode_chat(body, 64)
    assert count_chat(call, newer, "gpt-4o") == wanted
    # And again, by what is remembered of it.
    again = decode_chat(body, 64)
    if again.texts is not None:
        assert newer.unseen(again.texts) < 256 * len(again.texts.spans(0))
    assert count_chat(again, newer, "gpt-4o") == wanted


def test_a_long_plain_conversation_is_outlined() -> None:
    turn = {"role": "user", "content": [{"type": "text", "text": "long " * 1000}], "name": "Ada"}
    call = decode_chat(json.dumps({"model": "m", "messages": [turn] * 3}).encode(), 64)
    assert call.texts is not None and call.content.messages == []
