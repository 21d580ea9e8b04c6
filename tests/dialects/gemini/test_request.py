"""Gemini requests: what is read of path and body, what is refused and in which words, what is sent on."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate.dialects.gemini.ask import encode_chat
from kpgate.dialects.gemini.count import MEDIA_BYTES_PER_TOKEN, PER_IMAGE, count_request
from kpgate.dialects.gemini.endpoints import COUNT, GENERATE, STREAM, UNKNOWN, VENDOR, find
from kpgate.dialects.gemini.forms import camel, may_be_snake
from kpgate.dialects.gemini.neutral import neutral
from kpgate.dialects.gemini.reply import decode_failure, decode_reply, decode_text
from kpgate.dialects.gemini.request import decode_count, decode_generate, forward, forward_count
from kpgate.dialects.gemini.stream import StreamReader
from kpgate.dialects.gemini.usage import read_usage
from kpgate.domain.call import Call
from kpgate.domain.dialect import Aim, Unspeakable
from kpgate.domain.errors import GatewayError, InvalidRequest, NotFound

HELLO: dict[str, Any] = {"contents": [{"parts": [{"text": "hello"}]}]}
BODY = json.dumps(HELLO).encode()


def decoded(body: Any) -> Call:
    return decode_generate(body if isinstance(body, bytes) else json.dumps(body).encode(), 64, "m")


def refusal(body: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        decoded(body)
    return caught.value


def onward(body: bytes, cap: int = 0, model: str = "up") -> bytes:
    return forward(body, decoded(body), model, cap)


class Words:
    """Counts words."""

    def count(self, text: str) -> int:
        return len(text.split())


@pytest.mark.parametrize(
    ("path", "query", "endpoint", "model", "stream", "listed"),
    [
        (b"/v1beta/models/gemini-3:generateContent", b"", GENERATE, "gemini-3", False, False),
        (b"/v1/models/gemini-3:generateContent", b"alt=json", GENERATE, "gemini-3", False, False),
        (b"/v1beta/models/a:streamGenerateContent", b"alt=sse", STREAM, "a", True, False),
        (b"/v1beta/models/a:streamGenerateContent", b"x=1&alt=sse", STREAM, "a", True, False),
        (b"/v1beta/models/a:streamGenerateContent", b"", STREAM, "a", True, True),
        (b"/v1beta/models/a:streamGenerateContent", b"$alt=json;enum-encoding=int", STREAM, "a", True, True),
        (b"/v1beta/models/meta/llama-3:generateContent", b"", GENERATE, "meta/llama-3", False, False),
        (b"/v1beta/models/meta%2Fllama-3:generateContent", b"", GENERATE, "meta/llama-3", False, False),
        (b"/v1beta/models/llama3%3A8b:generateContent", b"", GENERATE, "llama3:8b", False, False),
        (b"/v1beta/models/llama3:8b:generateContent", b"", GENERATE, "llama3:8b", False, False),
        (b"/v1beta/models/%C3%B6:generateContent", b"", GENERATE, "ö", False, False),
    ],
)
def test_the_path_says_the_model(
    path: bytes, query: bytes, endpoint: Any, model: str, stream: bool, listed: bool
) -> None:
    found = find(path, query)
    assert found is not None and found.path == endpoint.path, "labels are as many as there are methods"
    call = found.decode(BODY, 64)
    assert (call.model, call.stream, call.content.listed) == (model, stream, listed)


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b"..",
        b"a/../b",
        b"%2e%2e",
        b"a%2F..%2Fb",
        b"a//b",
        b"/a",
        b"a/",
        b".",
        b"%252e",
        b"a%00b",
        b"a%20b",
        b"a%5Cb",
        b"a%3Fb",
        b"a%23",
        b"%ff",
        b"%",
        b"a" * 257,
    ],
)
@pytest.mark.parametrize("method", [b"generateContent", b"streamGenerateContent", b"countTokens"])
def test_an_odd_name_is_refused_in_the_caller_s_dialect(name: bytes, method: bytes) -> None:
    found = find(b"/v1beta/models/" + name + b":" + method, b"")
    assert found is not None and "{" in found.path
    with pytest.raises(InvalidRequest) as caught:
        found.decode(BODY, 64)
    assert caught.value.param == "model"


@pytest.mark.parametrize("path", [b"/v1beta/models/a:embedContent", b"/v1beta/models", b"/v1beta/files"])
def test_what_google_has_but_kpgate_has_not_is_not_found(path: bytes) -> None:
    found = find(path, b"")
    assert found is not None and found.path == UNKNOWN.path
    with pytest.raises(NotFound):
        found.decode(BODY, 64)


@pytest.mark.parametrize(
    "path", [b"/v1/models/a", b"/v1/models/a:b", b"/v1/messages", b"/", b"/v1betamodels/"]
)
def test_other_paths_are_left_to_others(path: bytes) -> None:
    assert find(path, b"") is None


@pytest.mark.parametrize("query", [b"key=AIza", b"alt=sse&key=AIza"])
def test_a_key_in_the_query_is_refused_and_said_why(query: bytes) -> None:
    found = find(b"/v1beta/models/a:generateContent", query)
    assert found is not None
    with pytest.raises(InvalidRequest, match="would end up in logs") as caught:
        found.decode(BODY, 64)
    assert b"AIza" not in found.encode_error(caught.value, "r")


def test_another_form_of_stream_is_refused() -> None:
    found = find(b"/v1beta/models/a:streamGenerateContent", b"alt=proto")
    assert found is not None
    with pytest.raises(InvalidRequest, match="sse or json"):
        found.decode(BODY, 64)


@given(st.binary(max_size=60), st.binary(max_size=20))
def test_no_path_breaks_the_look_up(tail: bytes, query: bytes) -> None:
    found = find(b"/v1beta/models/" + tail, query)
    assert found is not None and found.path in {GENERATE.path, STREAM.path, COUNT.path, UNKNOWN.path}
    try:
        call = found.decode(BODY, 64)
    except GatewayError:
        return
    assert call.model and ".." not in call.model.split("/") and not call.model.startswith("/")


def test_the_upstream_path_says_the_model_too() -> None:
    assert VENDOR.native_path(GENERATE, "gemini-3", False) == "/models/gemini-3:generateContent"
    assert VENDOR.native_path(STREAM, "gemini-3", True) == "/models/gemini-3:streamGenerateContent?alt=sse"
    assert VENDOR.native_path(GENERATE, "tunedModels/x", False) == "/tunedModels/x:generateContent"
    assert VENDOR.native_path(GENERATE, "a b?c", False) == "/models/a%20b%3Fc:generateContent"
    assert VENDOR.tongue is not None
    assert VENDOR.tongue.path("models/x", True) == "/models/x:streamGenerateContent?alt=sse"


def test_a_body_without_edits_is_the_same_bytes() -> None:
    body = b'{ "contents" : [ {"parts":[{"text":"a","\xc3\xb6":1.50}]} ], "x": [1e2] }'
    assert onward(body) is body
    assert onward(body[:-1] + b', "generationConfig": {"maxOutputTokens": 5}}', 10).endswith(b'": 5}}')


def test_the_cap_goes_into_the_generation_config_and_nothing_else_changes() -> None:
    assert onward(b'{"contents":[{}]}', 9) == b'{"generationConfig":{"maxOutputTokens":9},"contents":[{}]}'
    given = b'{"contents":[{}],"generationConfig":{"topP": 0.50,"maxOutputTokens":%b}}'
    assert onward(given % b"10", 9) == given % b"9"
    assert onward(given % b"8", 9) == given % b"8"
    assert onward(given % b'"10"', 9) == given % b"9", "Google takes numbers in quotes"
    assert onward(given % b"null", 9) == given % b"9"
    snake = b'{"contents":[{}],"generation_config":{"max_output_tokens":%b}}'
    assert onward(snake % b"10", 9) == snake % b"9"
    assert json.loads(onward(b'{"contents":[{}],"generation_config":{"a":1}}', 9)) == {
        "contents": [{}],
        "generation_config": {"maxOutputTokens": 9, "a": 1},
    }
    assert json.loads(onward(b'{"contents":[{}],"generationConfig":null}', 9))["generationConfig"] == {
        "maxOutputTokens": 9
    }


def test_a_model_in_the_body_is_not_sent_on() -> None:
    assert json.loads(onward(b'{"model":"models/other","contents":[{}]}')) == {"contents": [{}]}


def test_the_call_has_cap_and_choices() -> None:
    call = decoded(HELLO | {"generationConfig": {"maxOutputTokens": 7, "candidateCount": "2"}})
    assert (call.output_cap, call.choices) == (7, 2)
    assert (decoded(HELLO).output_cap, decoded(HELLO).choices) == (0, 1)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b"[]", None),
        ({}, "contents"),
        ({"contents": []}, "contents"),
        ({"contents": 3}, "contents"),
        ({"contents": [{"parts": [{"text": 3}]}]}, "contents[0].parts[0].text"),
        (b'{"contents":[{}],"contents":[{}]}', "contents"),
        (b'{"contents":[{}],"generationConfig":{},"generation_config":{}}', "generationConfig"),
        (b'{"contents":[{}],"generationConfig":{},"generation\\u005fconfig":{}}', "generationConfig"),
        (b'{"contents":[{}],"system_instruction":{},"systemInstruction":{}}', "systemInstruction"),
        (HELLO | {"generationConfig": 3}, "generationConfig"),
        (HELLO | {"generationConfig": {"maxOutputTokens": 0}}, "generationConfig.maxOutputTokens"),
        (HELLO | {"generationConfig": {"maxOutputTokens": "x"}}, "generationConfig.maxOutputTokens"),
        (HELLO | {"generationConfig": {"maxOutputTokens": 1.5}}, "generationConfig.maxOutputTokens"),
        (HELLO | {"generationConfig": {"candidateCount": 9999}}, "generationConfig.candidateCount"),
        (
            b'{"contents":[{}],"generationConfig":{"maxOutputTokens":9,"maxOutputTokens":1}}',
            "generationConfig.maxOutputTokens",
        ),
        (
            b'{"contents":[{}],"generationConfig":{"maxOutputTokens":9,"max_output_tokens":1}}',
            "maxOutputTokens",
        ),
    ],
)
def test_what_is_wrong_is_named(body: Any, param: str | None) -> None:
    assert refusal(body).param == param


def test_an_escaped_field_hides_nothing() -> None:
    body = b'{"contents":[{}],"generation\\u005fconfig":{"max\\u005foutput_tokens":99}}'
    assert decoded(body).output_cap == 99
    assert json.loads(onward(body, 9))["generation_config"] == {"max_output_tokens": 9}


def test_a_long_text_of_underscores_is_looked_through_in_one_go() -> None:
    """With the square of its length as the time it takes, this would not end within a test's."""
    assert not may_be_snake(b'{"contents":[{"parts":[{"text":"' + b"_" * 2_000_000 + b'"}]}]}')


def test_camel_keeps_what_is_the_caller_s_own() -> None:
    told = b'{"function_call":{"args":{"a_b":1.50},"will_continue":[{"x_y":"a_b"}]},"x":"a_b"}'
    assert camel(told) == b'{"functionCall":{"args":{"a_b":1.50},"willContinue":[{"xY":"a_b"}]},"x":"a_b"}'


def test_everything_of_a_prompt_is_counted() -> None:
    body = HELLO | {
        "systemInstruction": {"parts": {"text": "be kind"}},
        "tools": [{"functionDeclarations": [{"name": "f", "description": "does it"}]}],
    }
    plain, more = count_request(decoded(HELLO), Words(), "m"), count_request(decoded(body), Words(), "m")
    assert (plain, more) == (3 + 1, plain + 3 + 2 + 8 + 1 + 2)
    image = {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]}]}
    assert count_request(decoded(image), Words(), "m") == 3 + PER_IMAGE
    sound = {"contents": [{"parts": [{"inlineData": {"mimeType": "audio/wav", "data": "A" * 4000}}]}]}
    assert count_request(decoded(sound), Words(), "m") == 3 + 3000 // MEDIA_BYTES_PER_TOKEN
    calls = {
        "contents": [
            {"parts": [{"functionCall": {"name": "f", "args": {"a": 1}}}]},
            {"parts": [{"function_response": {"name": "f", "response": {"a": "b c"}}}]},
        ]
    }
    assert count_request(decoded(calls), Words(), "m") == 2 * 3 + 2 * 3 + (1 + 2) + (1 + 3)


def test_a_count_is_of_the_contents_or_of_a_whole_request() -> None:
    whole = {"generateContentRequest": HELLO | {"systemInstruction": {"parts": [{"text": "be kind"}]}}}
    counts = [
        count_request(decode_count(json.dumps(body).encode(), 64, "m"), Words(), "m")
        for body in (HELLO, whole)
    ]
    assert counts == [4, 4 + 3 + 2]
    for body in ({}, HELLO | whole):
        with pytest.raises(InvalidRequest):
            decode_count(json.dumps(body).encode(), 64, "m")


GOOGLES = """
contents parts text role systemInstruction system_instruction tools functionDeclarations name
parameters parametersJsonSchema toolConfig functionCallingConfig mode allowedFunctionNames
generationConfig generation_config maxOutputTokens candidateCount stopSequences responseSchema
responseJsonSchema properties responseMimeType thinkingConfig thinkingLevel inlineData inline_data
mimeType data fileData fileUri functionCall function_call functionResponse args id response output
error thought thoughtSignature safetySettings threshold labels cachedContent model
generateContentRequest type nullable items anyOf
"""
FIELDS = st.sampled_from(GOOGLES.split())
ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(("", "user", "model", "ANY", "application/json", "STRING", "aGk=", "é")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4),
    max_leaves=25,
)


@given(st.dictionaries(FIELDS, ODD, max_size=5), ODD)
def test_no_body_does_worse_than_be_refused(body: dict[str, Any], contents: Any) -> None:
    for raw in (json.dumps(body).encode(), json.dumps({"contents": contents} | body).encode()):
        for read in (decode_generate, decode_count):
            try:
                call = read(raw, 64, "m")
                count_request(call, Words(), "m")
                (forward if read is decode_generate else forward_count)(raw, call, "up", 9)
                if read is decode_generate:
                    encode_chat(neutral(raw, call), Aim("gemini-3", dropped=[]))
            except (InvalidRequest, Unspeakable):
                continue


@given(ODD, ODD)
def test_no_reply_does_worse_than_be_refused(parts: Any, rest: Any) -> None:
    content = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}
    for said in (content, {"candidates": rest}, rest):
        raw = json.dumps(said).encode()
        for read in (decode_reply, lambda data: StreamReader().read(b"", data)):
            try:
                read(raw)
            except (ValueError, msgspec.MsgspecError):
                continue
        decode_failure(400, raw)
        decode_text(raw)
        read_usage(raw)
