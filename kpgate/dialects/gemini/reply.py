"""What Gemini replies say: choices, usage, errors; and the same for callers that expect them.

Source: ai.google.dev, API reference, "GenerateContentResponse"; guide "Troubleshooting"; google.aip.dev/193 for errors
(checked November 2026).
"""

from typing import Any

import msgspec

from kpgate._fast.heading import Heading
from kpgate._fast.limit import Verdict
from kpgate.dialects.gemini import grounding, parts
from kpgate.dialects.gemini.forms import Answer, Candidate, Content, Fault, parts_of
from kpgate.dialects.gemini.forms import Part as Piece
from kpgate.dialects.gemini.usage import decode_usage, encode_usage
from kpgate.domain.call import Call
from kpgate.domain.chat import Part, Refusal, Thinking, ToolCall
from kpgate.domain.errors import GatewayError, UpstreamFailed
from kpgate.domain.reply import Choice, Failure, Finish, Reply
from kpgate.domain.usage import NOTHING

FILTERED = frozenset(
    (
        "SAFETY",
        "RECITATION",
        "LANGUAGE",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
        "MODEL_ARMOR",
    )
)
FAILED = frozenset(
    (
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "MALFORMED_RESPONSE",
    )
)
"""Ends at which the model failed: there is no answer, and another try may have one."""
REASONS = {
    Finish.STOP: "STOP",
    Finish.STOP_SEQUENCE: "STOP",
    Finish.TOOL_CALLS: "STOP",
    Finish.LENGTH: "MAX_TOKENS",
    Finish.CONTEXT: "MAX_TOKENS",
    Finish.FILTERED: "SAFETY",
    Finish.REFUSED: "SAFETY",
    Finish.PAUSED: "OTHER",
}
STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "INVALID_ARGUMENT",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    431: "INVALID_ARGUMENT",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
DOMAIN = "kpgate"

_answer = msgspec.json.Decoder(Answer)
_answers = msgspec.json.Decoder(list[Answer])


def decode_reply(body: bytes) -> Reply:
    """A whole reply in the neutral form.

    Errors: ValueError or msgspec's for what is none.
    """
    said = _answer.decode(body)
    usage = decode_usage(said.usage_metadata) or NOTHING
    reply = Reply(said.response_id or "", said.model_version or "", [], usage)
    for place, candidate in enumerate(said.candidates or ()):
        reply.choices.append(_choice(candidate, f"{reply.id or body.decode()}\0{place}"))
    if not reply.choices:
        reply.choices.append(blocked(said))
    return reply


def blocked(said: Answer) -> Choice:
    """The choice that there is where the prompt was refused. Errors: ValueError where it was not."""
    feedback = said.prompt_feedback
    if feedback is None or not feedback.block_reason:
        raise ValueError("it has no candidates, and does not say why")
    told = feedback.block_reason_message
    return Choice([Refusal(told)] if told else [], Finish.FILTERED)


def _choice(candidate: Candidate, seed: str) -> Choice:
    found: list[Part] = []
    for number, piece in enumerate(parts_of(candidate.content) if candidate.content is not None else ()):
        found += _pieces(piece, seed, number)
    called = any(isinstance(part, ToolCall) for part in found)
    finish = finish_of(candidate, called, bool(found))
    logprobs = parts.logprobs_in(candidate.logprobs_result)
    if candidate.grounding_metadata is None or candidate.content is None:
        return Choice(found, finish, logprobs=logprobs)
    cited = grounding.read(candidate.grounding_metadata, places(parts_of(candidate.content)))
    return Choice(found, finish, logprobs=logprobs, citations=cited)


def places(pieces: list[Piece]) -> list[tuple[int, str]]:
    """Of each piece where it begins in the candidate's text, and what it says there."""
    found, at = [], 0
    for piece in pieces:
        text = "" if piece.thought else piece.text or ""
        found.append((at, text))
        at += len(text)
    return found


def _pieces(piece: Piece, seed: str, number: int) -> list[Part]:
    """What a piece of an answer says. Shape: a call that has no id gets one of the seed and its place."""
    if piece.function_call is not None:
        return [parts.called(piece, piece.function_call.id or parts.make_id(seed, number))]
    if piece.inline_data is not None:
        return [parts.media(piece.inline_data)]
    if piece.file_data is not None:
        return [parts.linked(piece.file_data)]
    return parts.spoken(piece)


def finish_of(candidate: Candidate, called: bool, spoke: bool) -> Finish:
    """Why a candidate ended. Errors: ValueError where it failed to say anything."""
    reason = candidate.finish_reason
    if reason == "MAX_TOKENS":
        return Finish.LENGTH
    if reason in FILTERED:
        return Finish.FILTERED
    if reason in FAILED and not spoke:
        raise ValueError(f"the model failed: {reason}")
    return Finish.TOOL_CALLS if called else Finish.STOP


def encode_reply(reply: Reply, call: Call) -> bytes:
    """A whole reply as Gemini's callers know it. Errors: UpstreamFailed for a call whose arguments are no object."""
    candidates = []
    for index, choice in enumerate(reply.choices):
        pieces = encode_parts(shown(choice.parts, call))
        parts.excuse(pieces)
        said: dict[str, Any] = {
            "content": Content(pieces, "model"),
            "finishReason": REASONS[choice.finish],
            "index": index,
        }
        logprobs = parts.logprobs_out(choice.logprobs)
        if logprobs is not None:
            said["logprobsResult"] = logprobs
        grounds = grounding.spell(choice.citations, places(pieces)) if choice.citations else None
        if grounds is not None:
            said["groundingMetadata"] = grounds
        candidates.append(said)
    told: dict[str, Any] = {"candidates": candidates}
    if reply.usage.source != "none":
        told["usageMetadata"] = encode_usage(reply.usage)
    return msgspec.json.encode(told | {"modelVersion": reply.model, "responseId": reply.id})


def shown(said: list[Part], call: Call) -> list[Part]:
    """What the caller is to see: thoughts if it asked for them, or must give them back under their seal."""
    if call.content.shows:
        return said
    return [part for part in said if not isinstance(part, Thinking) or part.signature or part.redacted]


def encode_parts(said: list[Part]) -> list[Piece]:
    """An answer's parts. Errors: UpstreamFailed for a call whose arguments are no object."""
    try:
        return parts.encode_parts(said, {}, _unsaid)
    except ValueError as error:
        raise UpstreamFailed(f"of a tool call of the provider's, {error}") from None


def _unsaid(name: str, why: str) -> None:
    raise ValueError(f"{name} cannot be said")


def encode_count(tokens: int) -> bytes:
    """The answer to a request to count."""
    return msgspec.json.encode({"totalTokens": tokens})


def decode_failure(status: int, body: bytes) -> Failure:
    """What a provider's error says, in a list too, as streams have it.

    Errors: UpstreamFailed where it is about kpgate's own key, which Google blames on the request.
    """
    fault = find_fault(body)
    if fault is None:
        return Failure(f"the provider answered {status}")
    reasons = [one for one in fault.details or () if isinstance(one, dict)]
    if any(one.get("reason") == "API_KEY_INVALID" for one in reasons):
        raise UpstreamFailed("the provider refused kpgate's credential (API_KEY_INVALID)")
    param = None
    for one in reasons:
        violations = one.get("fieldViolations")
        if isinstance(violations, list) and violations and isinstance(violations[0], dict):
            param = violations[0].get("field")
    return Failure(fault.message or f"the provider answered {status}", fault.status or "", _text(param))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def find_fault(body: bytes) -> Fault | None:
    """The error in a body, None where there is none."""
    try:
        if body[:1] == b"[":
            return next((one.error for one in _answers.decode(body) if one.error is not None), None)
        return _answer.decode(body).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def encode_failure(status: int, failure: Failure) -> bytes:
    """A provider's error for the caller."""
    details = []
    if failure.param:
        violation = {"field": failure.param, "description": failure.message}
        details.append({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]})
    return _error(status, failure.message, details)


def encode_error(error: GatewayError, request_id: str) -> bytes:
    """An error of kpgate's. Shape: Google's words, kpgate's code as the reason of an ErrorInfo."""
    details: list[dict[str, Any]] = [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": error.code,
            "domain": DOMAIN,
            "metadata": {"request_id": request_id},
        }
    ]
    if error.param:
        violation = {"field": error.param, "description": error.message}
        details.append({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]})
    if error.retry_after_us > 0:
        seconds = f"{error.retry_after_us / 1_000_000:.3f}s"
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": seconds})
    return _error(error.status, error.message, details)


def _error(status: int, message: str, details: list[dict[str, Any]]) -> bytes:
    word = STATUSES.get(status, "INVALID_ARGUMENT" if status < 500 else "INTERNAL")
    fault: dict[str, Any] = {"code": status, "message": message, "status": word}
    if details:
        fault["details"] = details
    return msgspec.json.encode({"error": fault})


def encode_error_event(error: GatewayError, request_id: str) -> bytes:
    """The same as the last event of a stream that has begun."""
    return b"data: " + encode_error(error, request_id) + b"\r\n\r\n"


def encode_error_item(error: GatewayError, request_id: str) -> bytes:
    """The same as the last item of a stream that is a JSON list."""
    return b",\n" + encode_error(error, request_id) + b"\n]"


def encode_limits(verdict: Verdict, headers: Heading) -> None:
    """Write what is left of the limits, as headers: Google has none of its own for it."""
    for unit, limit, remaining, reset_us in (
        (b"requests", verdict.requests_limit, verdict.requests_remaining, verdict.requests_reset_us),
        (b"tokens", verdict.tokens_limit, verdict.tokens_remaining, verdict.tokens_reset_us),
    ):
        if limit > 0:
            headers.count(b"x-ratelimit-limit-" + unit, limit)
            headers.count(b"x-ratelimit-remaining-" + unit, remaining)
            headers.last(b"x-ratelimit-reset-" + unit, reset_us)


def decode_text(body: bytes) -> str:
    """All that a whole reply says, for counting; empty where it is not what a reply is."""
    try:
        return said_in(_answer.decode(body))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""


def said_in(answer: Answer) -> str:
    """What a reply or an event says, thoughts and calls too."""
    texts: list[str] = []
    for candidate in answer.candidates or ():
        for piece in parts_of(candidate.content) if candidate.content is not None else ():
            if piece.text:
                texts.append(piece.text)
            elif piece.function_call is not None:
                texts += (piece.function_call.name, bytes(piece.function_call.args).decode())
    return "".join(texts)
