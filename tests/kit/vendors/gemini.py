"""A Gemini API for tests: whole replies, event streams, errors in Google's error model.

Source: ai.google.dev, API reference, "Generating content"; guides "Function calling", "Thinking" (checked November
2026).
"""

import json
import re
from typing import Any

from tests.kit.vendors.gemini_fields import check
from tests.kit.vendors.server import (
    CACHED,
    CALLS,
    INPUT,
    OBJECT,
    OUTPUT,
    PIECES,
    REASONING,
    SIGNATURE,
    THOUGHT,
    Answer,
    Asked,
)

ASKED = re.compile(
    r"/v1beta/models/([^/:?]+):(generateContent|streamGenerateContent|countTokens)(\?alt=sse)?"
)
RESPONSE_ID = "mAIraYv_Hq2gz7IPx9Cd4Ag"
COUNTED = 31
ERRORS = {
    400: ("INVALID_ARGUMENT", "Invalid value at 'generation_config.temperature'."),
    429: ("RESOURCE_EXHAUSTED", "You exceeded your current quota."),
    500: ("INTERNAL", "An internal error has occurred."),
}

Json = dict[str, Any]


def answer(asked: Asked) -> Answer:
    """What the model of a scenario's name answers."""
    match = ASKED.fullmatch(asked.path)
    assert match is not None, f"Google has no such path: {asked.path}"
    model, method, sse = match.groups()
    wrong = check(asked.body, model)
    if wrong:
        return _error(400, wrong)
    if model.startswith("error-"):
        return _error(int(model.removeprefix("error-")))
    if model == "bad-key":
        return _bad_key()
    if method == "countTokens":
        said_so = {
            "totalTokens": COUNTED,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": COUNTED}],
        }
        return Answer(200, "application/json; charset=UTF-8", [json.dumps(said_so, indent=2).encode()])
    if model == "endless":
        return _endless()
    thoughts = model == "thinking"
    ended = {"finishReason": "MAX_TOKENS" if model == "length" else "STOP"}
    if model == "refusal":
        said: list[list[Json]] = [[{"text": ""}]]
        ended = {"finishReason": "SAFETY"}
    elif model == "blocked":
        feedback = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}
        return _send([feedback | _rest(model, 0, 0)], method == "streamGenerateContent")
    elif model == "malformed":
        said = [[]]
        ended = {"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": "Malformed function call"}
    else:
        said = _parts(model)
    if method == "generateContent":
        together = [part for parts in said for part in parts]
        if model not in ("tools", "thinking"):
            together = [{"text": "".join(part["text"] for part in together)}] if together else []
        content = {"content": {"parts": together, "role": "model"}} if together else {}
        return _send(
            [{"candidates": [content | ended | {"index": 0}]} | _rest(model, OUTPUT, thoughts)], False
        )
    assert sse, "kpgate asks for events"
    events: list[Json] = []
    for place, parts in enumerate(said):
        last = place == len(said) - 1
        candidate: Json = {"content": {"parts": parts, "role": "model"}, "index": 0}
        used = _rest(model, OUTPUT if last else place + 1, thoughts)
        events.append({"candidates": [candidate | (ended if last else {})]} | used)
    return _send(events, True, cut=model == "cut")


def _parts(model: str) -> list[list[Json]]:
    """The parts of each event."""
    if model == "tools":
        calls: list[Json] = [{"functionCall": {"name": name, "args": args}} for name, args in CALLS]
        calls[0]["thoughtSignature"] = SIGNATURE
        return [[calls[0]], [calls[1]]]
    if model == "schema":
        text = json.dumps(OBJECT)
        return [[{"text": text[:9]}], [{"text": text[9:]}]]
    spoken: list[list[Json]] = [[{"text": piece}] for piece in PIECES]
    if model == "thinking":
        spoken[-1][0]["thoughtSignature"] = SIGNATURE
        return [[{"text": THOUGHT, "thought": True}], *spoken]
    return spoken


def _rest(model: str, output: int, thoughts: bool | int) -> Json:
    """What every reply and event has beside its candidates."""
    named: Json = {"modelVersion": model, "responseId": RESPONSE_ID}
    if model == "silent":
        return named
    reasoning = REASONING if thoughts else 0
    used = {
        "promptTokenCount": INPUT,
        "cachedContentTokenCount": CACHED,
        "totalTokenCount": INPUT + output,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": INPUT}],
    }
    if output:
        used["candidatesTokenCount"] = max(output - reasoning, 0)
    if reasoning:
        used["thoughtsTokenCount"] = reasoning
    return {"usageMetadata": used} | named


def _send(events: list[Json], stream: bool, cut: bool = False) -> Answer:
    if stream:
        pieces = [b"data: " + json.dumps(event).encode() + b"\r\n\r\n" for event in events]
        return Answer(200, "text/event-stream", pieces[:1] if cut else pieces, cut=cut)
    return Answer(200, "application/json; charset=UTF-8", [json.dumps(events[0], indent=2).encode()])


def _endless() -> Answer:
    """Words without an end, and nothing of what they use."""
    word = {"candidates": [{"content": {"parts": [{"text": "word "}], "role": "model"}, "index": 0}]}
    pieces = [b"data: " + json.dumps(word).encode() + b"\r\n\r\n"] * 400
    return Answer(200, "text/event-stream", pieces)


def _error(status: int, wrong: str = "") -> Answer:
    word, message = ERRORS[status]
    message = wrong or message
    body: Json = {"error": {"code": status, "message": message, "status": word}}
    if status == 400:
        violation = {"field": "generation_config.temperature", "description": message}
        body["error"]["details"] = [
            {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}
        ]
    headers = {"retry-after": "7"} if status == 429 else {}
    return Answer(status, "application/json; charset=UTF-8", [json.dumps(body).encode()], headers)


def _bad_key() -> Answer:
    detail = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "API_KEY_INVALID",
        "domain": "googleapis.com",
    }
    message = "API key not valid. Please pass a valid API key."
    body = {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT", "details": [detail]}}
    return Answer(400, "application/json; charset=UTF-8", [json.dumps(body).encode()])
