"""Gemini replies: what they say in the neutral form and back, and errors in Google's error model."""

import json
from typing import Any

import pytest
from hypothesis import given

from kpgate.dialects.gemini.ask import encode_chat
from kpgate.dialects.gemini.neutral import neutral
from kpgate.dialects.gemini.reply import (
    FAILED,
    FILTERED,
    STATUSES,
    decode_failure,
    decode_reply,
    decode_text,
    encode_error,
    encode_error_event,
    encode_error_item,
    encode_failure,
    encode_reply,
)
from kpgate.dialects.gemini.request import decode_generate
from kpgate.dialects.gemini.usage import read_usage
from kpgate.domain.call import Call
from kpgate.domain.chat import Chat, Image, Refusal, Role, Text, Thinking, ToolCall, Turn
from kpgate.domain.dialect import Aim
from kpgate.domain.errors import REGISTRY, InvalidRequest, RateLimited, UpstreamFailed
from kpgate.domain.reply import Choice, Failure, Finish, Reply
from kpgate.domain.seals import GOOGLE
from kpgate.domain.usage import Usage
from tests.kit.turns import replies
from tests.kit.vendors import gemini
from tests.kit.vendors.server import CALLS, SIGNATURE, TEXT, THOUGHT, Asked

WHOLE = "/v1beta/models/{}:generateContent"


def asked(shows: bool = True) -> Call:
    thinking = {"thinkingConfig": {"includeThoughts": shows}}
    body = json.dumps({"contents": [{"parts": [{"text": "a"}]}], "generationConfig": thinking}).encode()
    call = decode_generate(body, 64, "m")
    neutral(body, call)
    return call


def answered(model: str) -> bytes:
    return b"".join(gemini.answer(Asked(WHOLE.format(model), {}, None)).pieces)


def reply_of(candidate: dict[str, Any], **more: Any) -> Reply:
    return decode_reply(json.dumps({"candidates": [candidate], **more}).encode())


@given(replies())
def test_a_reply_is_the_same_after_it_was_told(reply: Reply) -> None:
    assert decode_reply(encode_reply(reply, asked())) == reply


def test_what_the_vendor_answers() -> None:
    reply = decode_reply(answered("plain"))
    assert (reply.id, reply.model) == (gemini.RESPONSE_ID, "plain")
    assert reply.choices == [Choice([Text(TEXT)], Finish.STOP)]
    assert reply.usage == Usage(21, 9, 5, 0, "provider")
    reply = decode_reply(answered("thinking"))
    assert reply.choices[0].parts[0] == Thinking(THOUGHT)
    assert reply.choices[0].parts[-1] == Thinking("", SIGNATURE, "", GOOGLE)
    assert reply.usage == Usage(21, 9, 5, 4, "provider")


def test_calls_get_ids_of_their_own_that_are_the_same_every_time() -> None:
    first, second = decode_reply(answered("tools")).choices[0].parts
    assert isinstance(first, ToolCall) and isinstance(second, ToolCall)
    assert (first.name, json.loads(first.arguments), first.signature) == (*CALLS[0], SIGNATURE)
    assert (second.name, json.loads(second.arguments), second.signature) == (*CALLS[1], "")
    assert first.id != second.id and first == decode_reply(answered("tools")).choices[0].parts[0]
    assert decode_reply(answered("tools")).choices[0].finish is Finish.TOOL_CALLS


@pytest.mark.parametrize("reason", sorted(FILTERED))
def test_filters_by_any_name_are_filtered(reason: str) -> None:
    assert reply_of({"finishReason": reason}).choices == [Choice([], Finish.FILTERED)]


@pytest.mark.parametrize("reason", sorted(FAILED))
def test_where_the_model_failed_there_is_no_answer(reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        reply_of({"finishReason": reason})


def test_a_prompt_that_is_blocked_is_filtered() -> None:
    assert decode_reply(answered("blocked")).choices == [Choice([], Finish.FILTERED)]
    said = {"promptFeedback": {"blockReason": "OTHER", "blockReasonMessage": "No."}}
    assert decode_reply(json.dumps(said).encode()).choices == [Choice([Refusal("No.")], Finish.FILTERED)]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("STOP", Finish.STOP), ("MAX_TOKENS", Finish.LENGTH), ("OTHER", Finish.STOP), ("NEW", Finish.STOP)],
)
def test_other_ends(reason: str, finish: Finish) -> None:
    assert reply_of({"finishReason": reason}).choices[0].finish is finish


def test_pictures_and_logprobs() -> None:
    logprobs: dict[str, Any] = {
        "chosenCandidates": [{"token": "ö", "tokenId": 7, "logProbability": -0.5}],
        "topCandidates": [{"candidates": [{"token": "a", "logProbability": -1.5}]}],
    }
    parts = [{"text": "ö"}, {"inlineData": {"mimeType": "image/png", "data": "aGVsbG8="}}]
    choice = reply_of({"content": {"parts": parts}, "logprobsResult": logprobs}).choices[0]
    assert choice.parts == [Text("ö"), Image("image/png", "aGVsbG8=")]
    top = {"token": "a", "logprob": -1.5, "bytes": [97]}
    said = {"token": "ö", "logprob": -0.5, "bytes": [195, 182], "top_logprobs": [top]}
    assert choice.logprobs == {"content": [said], "refusal": None}
    (back,) = json.loads(encode_reply(Reply("", "", [choice]), asked()))["candidates"]
    del logprobs["chosenCandidates"][0]["tokenId"]
    assert back["logprobsResult"] == logprobs


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'{"candidates":[{"content"',
        b'{"candidates":7}',
        b'{"candidates":[]}',
        b"{}",
        b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":[1]}}]}}]}',
        b'{"candidates":[{"content":{"parts":[{"text":7}]}}]}',
        b'{"error":{"code":500,"message":"x"}}',
        b"\xff",
    ],
)
def test_nonsense_is_a_value_error(body: bytes) -> None:
    with pytest.raises((ValueError, Exception)) as caught:
        decode_reply(body)
    assert isinstance(caught.value, ValueError)


def test_usage_by_kind() -> None:
    said = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 30,
        "toolUsePromptTokenCount": 7,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 5,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 50},
            {"modality": "IMAGE", "tokenCount": 40},
            {"modality": "AUDIO", "tokenCount": 10},
        ],
        "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 20}],
    }
    usage = read_usage(json.dumps({"usageMetadata": said}).encode())
    assert usage == Usage(107, 25, 30, 5, "provider", 10, 20, 40)
    assert usage is not None
    told = json.loads(encode_reply(Reply("", "", [], usage), asked()))["usageMetadata"]
    assert told["totalTokenCount"] == 132
    assert read_usage(json.dumps({"usageMetadata": told}).encode()) == usage


@pytest.mark.parametrize(
    "said",
    [None, {}, 7, {"promptTokenCount": -1}, {"promptTokenCount": "9"}, {"promptTokenCount": 1 << 50}],
)
def test_usage_that_makes_no_sense_is_none(said: Any) -> None:
    assert read_usage(json.dumps({"usageMetadata": said}).encode()) is None


def test_thoughts_are_shown_to_who_asked_or_must_give_them_back() -> None:
    reply = Reply("r", "m", [Choice([Thinking("a"), Thinking("b", SIGNATURE), Text("c")])])
    texts = [
        [part["text"] for part in json.loads(encode_reply(reply, asked(shows)))["candidates"][0]["content"]["parts"]]
        for shows in (True, False)
    ]  # fmt: skip
    assert texts == [["a", "b", "c"], ["b", "c"]]


def test_a_call_with_arguments_that_are_no_object_is_the_provider_s_failure() -> None:
    for arguments in ("[1]", "{", "7", '{"a":}'):
        with pytest.raises(UpstreamFailed):
            encode_reply(Reply("", "", [Choice([ToolCall("a", "f", arguments)])]), asked())
    assert b'"args":{}' in encode_reply(Reply("", "", [Choice([ToolCall("a", "f", "")])]), asked())


def test_failures_of_the_provider() -> None:
    body = b"".join(gemini.answer(Asked(WHOLE.format("error-400"), {}, None)).pieces)
    failure = Failure(gemini.ERRORS[400][1], "INVALID_ARGUMENT", "generation_config.temperature")
    assert decode_failure(400, body) == failure
    assert decode_failure(400, b"[" + body + b"]") == failure
    assert decode_failure(404, b"<html>") == Failure("the provider answered 404")
    told = json.loads(encode_failure(400, failure))["error"]
    assert (told["code"], told["status"], told["message"]) == (400, "INVALID_ARGUMENT", failure.message)
    assert decode_failure(400, encode_failure(400, failure)) == failure


def test_kpgate_s_own_key_is_not_the_caller_s_business() -> None:
    with pytest.raises(UpstreamFailed, match="credential"):
        decode_failure(400, answered("bad-key"))


def test_every_error_has_google_s_word_and_kpgate_s_code() -> None:
    for code, kind in REGISTRY.items():
        if code == "method_not_allowed":
            continue
        error = kind("what happened", param="a.b", retry_after_us=1_500_000)
        told = json.loads(encode_error(error, "req-1"))["error"]
        assert (told["code"], told["message"]) == (error.status, "what happened")
        assert told["status"] == STATUSES[error.status]
        info, bad, wait = told["details"]
        assert (info["reason"], info["domain"], info["metadata"]) == (code, "kpgate", {"request_id": "req-1"})
        assert bad["fieldViolations"][0]["field"] == "a.b" and wait["retryDelay"] == "1.500s"


def test_errors_within_streams() -> None:
    error = RateLimited("slow down")
    assert encode_error_event(error, "r") == b"data: " + encode_error(error, "r") + b"\r\n\r\n"
    assert json.loads(b"[{}" + encode_error_item(error, "r"))[1] == json.loads(encode_error(error, "r"))


def test_all_that_is_said_is_counted() -> None:
    assert decode_text(answered("thinking")) == THOUGHT + TEXT
    assert decode_text(answered("tools")).startswith("get_weather{")
    assert decode_text(b"nonsense") == ""


def test_a_conversation_over_two_vendors_keeps_its_ids() -> None:
    """What Gemini answered without ids is asked about again with those that the caller got."""
    reply = decode_reply(answered("tools"))
    chat = Chat([Turn(Role.USER, [Text("a")]), Turn(Role.ASSISTANT, reply.choices[0].parts)])
    sent = json.loads(encode_chat(chat, Aim("gemini-3", dropped=[])))
    told = json.loads(encode_reply(reply, asked()))["candidates"][0]["content"]
    assert sent["contents"][1]["parts"] == told["parts"]


def test_the_blame_is_the_caller_s_where_it_is() -> None:
    with pytest.raises(InvalidRequest):
        decode_generate(b"{}", 64, "m")
