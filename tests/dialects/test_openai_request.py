"""OpenAI request bodies: what is read of them, what is refused and in which words, what is sent on."""

import json
from typing import Any

import pytest

from kpgate.dialects.openai.request import decode_chat, decode_completion, decode_embedding, forward
from kpgate.domain.call import Call
from kpgate.domain.errors import InvalidRequest

HELLO: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def chat(**more: Any) -> Call:
    return decode_chat(json.dumps(HELLO | more).encode(), 64)


def refusal(body: bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        decode_chat(body, 64)
    return caught.value


def test_a_chat_says_its_model_and_defaults() -> None:
    call = chat()
    assert (call.model, call.stream, call.usage_wanted, call.output_cap, call.choices) == (
        "m",
        False,
        False,
        0,
        1,
    )


def test_the_newer_name_of_the_output_cap_wins() -> None:
    assert chat(max_tokens=5).output_cap == 5
    assert chat(max_tokens=5, max_completion_tokens=7).output_cap == 7


def test_completions_reserve_their_documented_default_and_best_of() -> None:
    call = decode_completion(b'{"model":"m","prompt":"p","n":2,"best_of":3}', 64)
    assert (call.output_cap, call.choices) == (16, 3)


@pytest.mark.parametrize("value", ["one", ["one", "two"], [1, 2], [[1], [2, 3]]])
def test_embeddings_take_every_documented_input(value: Any) -> None:
    assert decode_embedding(json.dumps({"model": "m", "input": value}).encode(), 64).content.input == value


@pytest.mark.parametrize(
    ("body", "message", "param"),
    [
        (b'{"model":"m"}', "messages: this field is required", "messages"),
        (b'{"model":1,"messages":[]}', "model: expected a string, got an integer", "model"),
        (b'{"model":"m","messages":[]}', "messages: expected at least one message", "messages"),
        (
            b'{"model":"m","messages":[{"role":"user","content":"a"},{"role":"user","content":7}]}',
            "messages[1].content: expected a string or a list, got an integer",
            "messages[1].content",
        ),
        (
            b'{"model":"m","messages":[{"content":"a"}]}',
            "messages[0].role: this field is required",
            "messages[0].role",
        ),
        (b"[1]", "an object", None),
        (b'{"model":"m","model":"n","messages":[]}', "model", "model"),
        (b'{"model":"m","\\u006dodel":"n","messages":[]}', "model", "model"),
        (b'{"model":"m","messages":[{"role":"user"}],"n":0}', "n: expected an integer from 1", "n"),
        (b'{"model":"m","messages":[{"role":"user"}],"max_tokens":-1}', "max_tokens", "max_tokens"),
        (b'{"model":"m"', "", None),
        (b"", "", None),
    ],
)
def test_what_is_wrong_is_named(body: bytes, message: str, param: str | None) -> None:
    error = refusal(body)
    assert message in error.message
    assert error.param == param


def test_ten_thousand_levels_are_refused() -> None:
    body = b'{"model":"m","messages":' + b"[" * 10_000 + b"]" * 10_000 + b"}"
    assert "deep" in refusal(body).message or "nest" in refusal(body).message


def test_a_lone_surrogate_is_refused_not_crashed_on() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"\\ud800"}]}'
    assert refusal(body).message


def test_the_same_model_goes_on_byte_for_byte() -> None:
    body = b'{ "model" : "m",\n "messages":[{"role":"user","content":"hi"}], "unknown": [1,  2] }'
    assert forward(body, decode_chat(body, 64), "m") is body


def test_only_the_model_s_name_changes() -> None:
    body = b'{ "model" : "m",\n "messages":[{"role":"user","content":"hi"}], "unknown": [1,  2] }'
    assert forward(body, decode_chat(body, 64), 'up"stream') == body.replace(b'"m"', b'"up\\"stream"', 1)


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (None, {"include_usage": True}),
        ({"include_usage": False}, {"include_usage": True}),
        ({"x": 1}, {"x": 1, "include_usage": True}),
    ],
)
def test_a_stream_is_always_asked_for_its_usage(options: Any, sent: Any) -> None:
    body = json.dumps(
        HELLO | {"stream": True} | ({} if options is None else {"stream_options": options})
    ).encode()
    forwarded = json.loads(forward(body, decode_chat(body, 64), "m"))
    assert forwarded == HELLO | {"stream": True, "stream_options": sent}


def test_a_caller_who_asked_for_usage_is_sent_on_untouched() -> None:
    body = json.dumps(HELLO | {"stream": True, "stream_options": {"include_usage": True}}).encode()
    assert forward(body, decode_chat(body, 64), "m") is body


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, {"max_completion_tokens": 50}),
        ({"max_tokens": 20}, {"max_tokens": 20}),
        ({"max_tokens": 51}, {"max_tokens": 50}),
        ({"max_completion_tokens": 50}, {"max_completion_tokens": 50}),
        ({"max_completion_tokens": 90}, {"max_completion_tokens": 50}),
        ({"max_completion_tokens": 10, "max_tokens": 90}, {"max_completion_tokens": 10, "max_tokens": 50}),
        ({"max_tokens": None}, {"max_tokens": None, "max_completion_tokens": 50}),
        ({"max_completion_tokens": None}, {"max_completion_tokens": 50}),
    ],
)
def test_no_more_output_is_asked_for_than_is_held_for(given: dict[str, Any], sent: dict[str, Any]) -> None:
    body = json.dumps(HELLO | given | {"unknown": [1, {"a": 2}]}).encode()
    forwarded = json.loads(forward(body, decode_chat(body, 64), "m", 50))
    assert forwarded == HELLO | {"unknown": [1, {"a": 2}]} | sent


@pytest.mark.parametrize(("given", "sent"), [({}, 16), ({"max_tokens": 7}, 7), ({"max_tokens": 99}, 16)])
def test_a_completion_is_told_its_cap_too(given: dict[str, Any], sent: int) -> None:
    body = json.dumps({"model": "m", "prompt": "a"} | given).encode()
    forwarded = json.loads(forward(body, decode_completion(body, 64), "m", 16))
    assert forwarded == {"model": "m", "prompt": "a", "max_tokens": sent}
