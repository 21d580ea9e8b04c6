"""Bedrock's runtime for tests: Converse, and ConverseStream in Amazon's binary framing, both behind a signature, which
is held to what came by code of its own.

Source: docs.aws.amazon.com, Bedrock API reference, "Converse", "ConverseStream", by botocore 1.44's model of them;
Lex V2 developer guide, "Event stream encoding"; IAM user guide, "Create a signed AWS API request" (checked November
2026).
"""

import hashlib
import hmac
import json
import re
from datetime import UTC, datetime, timedelta
from struct import pack
from typing import Any
from urllib.parse import unquote
from zlib import crc32

from tests.kit.vendors.server import (
    CACHED,
    CALLS,
    INPUT,
    OBJECT,
    OUTPUT,
    PIECES,
    SIGNATURE,
    TEXT,
    THOUGHT,
    Answer,
    Asked,
)
from tests.kit.whole import SECRET

CLAUDE = "anthropic.claude-"
PATH = re.compile(r"/model/([^/]+)/(converse|converse-stream)")
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(\S+)/(\d{8})/([a-z0-9-]+)/bedrock/aws4_request, "
    r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)
UNCHANGED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")
"""What stands in a signed path as it is."""
SKEW = timedelta(minutes=5)
"""How far the signer's clock may be off."""
WRITTEN = 3
"""Units: tokens that a cache was written for."""
KEPT = 1
"""Of those, what is kept for an hour."""
ERRORS = {
    400: ("ValidationException", "The value at 'inferenceConfig.temperature' is not valid."),
    424: ("ModelErrorException", "The model failed."),
    429: ("ThrottlingException", "Too many requests, please wait before trying again."),
    500: ("InternalServerException", "The system encountered an unexpected error."),
}
FIELDS = frozenset(
    ("messages", "system", "inferenceConfig", "toolConfig", "additionalModelRequestFields", "outputConfig")
)
SIGNING = (
    'signing = { access_key = "env:KPGATE_TEST_UPSTREAM", secret_key = "env:KPGATE_TEST_UPSTREAM",'
    ' session_token = "env:KPGATE_TEST_UPSTREAM", region = "eu-central-1" }'
)
"""How a provider of a gateway under test signs."""
STREAM = "application/vnd.amazon.eventstream"

Json = dict[str, Any]


def answer(asked: Asked) -> Answer:
    """What the model of a scenario's name answers, `CLAUDE` before it or not."""
    match = PATH.fullmatch(asked.path)
    assert match is not None, f"Bedrock has no such path: {asked.path}"
    scenario, streamed = unquote(match[1]).removeprefix(CLAUDE), match[2] == "converse-stream"
    unsigned = refusal(asked)
    if unsigned:
        headers = {"x-amzn-errortype": "InvalidSignatureException"}
        return Answer(403, "application/json", [json.dumps({"message": unsigned}).encode()], headers)
    assert set(asked.body) <= FIELDS, f"Converse has no such fields: {set(asked.body) - FIELDS}"
    roles = [message["role"] for message in asked.body["messages"]]
    assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"] * (len(roles) % 2), "they alternate"
    if scenario.startswith("error-"):
        return _error(int(scenario.removeprefix("error-")))
    if scenario == "html":
        return Answer(200, "application/json", [b"<html>"])
    if streamed:
        return Answer(200, STREAM, _messages(scenario), cut=scenario == "cut")
    said: Json = {
        "output": {"message": {"role": "assistant", "content": _content(scenario)}},
        "stopReason": _reason(scenario),
        "metrics": {"latencyMs": 551},
    }
    if scenario != "silent":
        said["usage"] = usage()
    return Answer(200, "application/json", [json.dumps(said).encode()])


def refusal(asked: Asked, secret: str = SECRET, now: datetime | None = None) -> str:
    """Why a request is not let in; empty where it is signed for, or has a key of Bedrock's own."""
    authorization = asked.headers.get("authorization", "")
    if re.fullmatch(r"Bearer \S+", authorization):
        return ""
    match = AUTHORIZATION.fullmatch(authorization)
    if match is None:
        return "it is neither signed nor has it a key"
    _, day, region, names, signature = match.groups()
    stamp = asked.headers.get("x-amz-date", "")
    signed = names.split(";")
    wanted = {"host", "x-amz-date"} | {"x-amz-security-token"} & set(asked.headers)
    if signed != sorted(signed) or not wanted <= set(signed) <= set(asked.headers):
        return "what is signed is not what has to be"
    if not stamp.startswith(day):
        return "it is signed for another day"
    made_at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if abs(made_at - (now or datetime.now(UTC))) > SKEW:
        return "its signature has expired, or is not yet valid"
    path, _, query = asked.path.partition("?")
    assert not query, "Converse has no query"
    canonical = b"\n".join(
        (
            b"POST",
            b"".join(bytes([one]) if one in UNCHANGED else b"%%%02X" % one for one in path.encode()),
            b"",
            *(f"{name}:{asked.headers[name]}".encode() for name in signed),
            b"",
            names.encode(),
            hashlib.sha256(asked.raw).hexdigest().encode(),
        )
    )
    key = b"AWS4" + secret.encode()
    for word in (day, region, "bedrock", "aws4_request"):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    digest = hashlib.sha256(canonical).hexdigest()
    text = "\n".join(("AWS4-HMAC-SHA256", stamp, f"{day}/{region}/bedrock/aws4_request", digest))
    made = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return "" if made == signature else "its signature is not that of what came"


def usage() -> Json:
    """What every answer used: what caches were read and written for stands beside the rest."""
    return {
        "inputTokens": INPUT - CACHED - WRITTEN,
        "outputTokens": OUTPUT,
        "totalTokens": INPUT + OUTPUT,
        "cacheReadInputTokens": CACHED,
        "cacheWriteInputTokens": WRITTEN,
        "cacheDetails": [{"ttl": "1h", "inputTokens": KEPT}, {"ttl": "5m", "inputTokens": WRITTEN - KEPT}],
    }


def frame(payload: bytes, **headers: str) -> bytes:
    """A message of an event stream. Shape: headers are texts; `_` stands for `-`, and each begins with a colon."""
    block = b""
    for name, value in headers.items():
        spelled = b":" + name.replace("_", "-").encode()
        block += bytes([len(spelled)]) + spelled + b"\x07" + pack(">H", len(value)) + value.encode()
    prelude = pack(">II", 16 + len(block) + len(payload), len(block))
    message = prelude + pack(">I", crc32(prelude)) + block + payload
    return message + pack(">I", crc32(message))


def event(kind: str, said: Json) -> bytes:
    """One event; like Amazon's its payload is padded."""
    body = json.dumps(said | {"p": "abcdefghijkl"}).encode()
    return frame(body, event_type=kind, content_type="application/json", message_type="event")


def exception(kind: str, message: str) -> bytes:
    """A failure within a stream."""
    body = json.dumps({"message": message}).encode()
    return frame(body, exception_type=kind, content_type="application/json", message_type="exception")


def _error(status: int) -> Answer:
    kind, message = ERRORS[status]
    headers = {"x-amzn-errortype": f"{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/"}
    if status == 429:
        headers["retry-after"] = "7"
    return Answer(status, "application/json", [json.dumps({"message": message}).encode()], headers)


def _reason(scenario: str) -> str:
    return {
        "tools": "tool_use",
        "length": "max_tokens",
        "refusal": "guardrail_intervened",
        "malformed": "malformed_model_output",
    }.get(scenario, "end_turn")


def _content(scenario: str) -> list[Json]:
    if scenario == "tools":
        return [
            {"toolUse": {"toolUseId": f"tooluse_{at}Kz", "name": name, "input": given}}
            for at, (name, given) in enumerate(CALLS)
        ]
    if scenario == "schema":
        return [{"text": json.dumps(OBJECT)}]
    if scenario == "refusal":
        return [{"text": "I can't help with that."}]
    if scenario == "thinking":
        thought = {"reasoningText": {"text": THOUGHT, "signature": SIGNATURE}}
        return [{"reasoningContent": thought}, {"text": TEXT}]
    return [{"text": TEXT}]


def _messages(scenario: str) -> list[bytes]:
    if scenario == "thrown":
        return [exception("throttlingException", "too many requests")]
    sent = [event("messageStart", {"role": "assistant"})]
    if scenario == "endless":
        return sent + [_delta(0, {"text": "word "})] * 400
    for at, block in enumerate(_content(scenario)):
        if "toolUse" in block:
            call = block["toolUse"]
            started = {"toolUse": {"toolUseId": call["toolUseId"], "name": call["name"]}}
            sent.append(event("contentBlockStart", {"start": started, "contentBlockIndex": at}))
            text = json.dumps(call["input"])
            sent += [_delta(at, {"toolUse": {"input": bit}}) for bit in ("", text[:6], text[6:])]
        elif "reasoningContent" in block:
            for bit in ({"text": THOUGHT[:4]}, {"text": THOUGHT[4:]}, {"signature": SIGNATURE}):
                sent.append(_delta(at, {"reasoningContent": bit}))
        else:
            text = block["text"]
            pieces = PIECES if text == TEXT else (text[:9], text[9:])
            sent += [_delta(at, {"text": piece}) for piece in pieces]
            if scenario == "cut":
                return sent[:-1]
            if scenario == "broken":
                return [*sent[:-1], exception("modelStreamErrorException", "the model is gone")]
            if scenario == "damaged":
                return [*sent[:-1], sent[-1][:-6] + b"\0\0" + sent[-1][-4:]]
        sent.append(event("contentBlockStop", {"contentBlockIndex": at}))
    sent.append(event("messageStop", {"stopReason": _reason(scenario)}))
    if scenario != "silent":
        sent.append(event("metadata", {"usage": usage(), "metrics": {"latencyMs": 551}}))
    return sent


def _delta(at: int, delta: Json) -> bytes:
    return event("contentBlockDelta", {"delta": delta, "contentBlockIndex": at})
