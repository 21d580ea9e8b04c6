"""What Anthropic replies say, whole: messages, errors, limits; both ways.

Source: platform.claude.com, API reference, "Create a Message", "Errors", "Rate limits" (checked November 2026).
"""

from time import time_ns
from typing import Any

import msgspec
from msgspec.structs import astuple

from kpgate._fast.heading import Heading
from kpgate._fast.limit import Verdict
from kpgate.dialects.anthropic import citations
from kpgate.dialects.anthropic.usage import Tokens, decode_usage, encode_usage
from kpgate.domain.call import Call
from kpgate.domain.chat import Part, Refusal, Text, Thinking, ToolCall
from kpgate.domain.citing import leave_out, within
from kpgate.domain.durations import instant
from kpgate.domain.errors import GatewayError, UpstreamFailed
from kpgate.domain.reply import Choice, Citation, Failure, Finish, Reply
from kpgate.domain.seals import ANTHROPIC, wrap
from kpgate.domain.usage import NOTHING

KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
REASONS = {
    Finish.STOP: "end_turn",
    Finish.STOP_SEQUENCE: "stop_sequence",
    Finish.LENGTH: "max_tokens",
    Finish.TOOL_CALLS: "tool_use",
    Finish.FILTERED: "refusal",
    Finish.REFUSED: "refusal",
    Finish.PAUSED: "pause_turn",
    Finish.CONTEXT: "model_context_window_exceeded",
}
FINISHES = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP_SEQUENCE,
    "max_tokens": Finish.LENGTH,
    "tool_use": Finish.TOOL_CALLS,
    "refusal": Finish.REFUSED,
    "pause_turn": Finish.PAUSED,
    "model_context_window_exceeded": Finish.CONTEXT,
}


class StopDetails(msgspec.Struct, gc=False):
    """Why a model refused."""

    explanation: str | None = None


class ReplyBlock(msgspec.Struct, gc=False):
    """A block of a reply: what of it the model said."""

    type: str
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw()
    citations: Any = None


class Answer(msgspec.Struct, gc=False, kw_only=True):
    """A whole message. Order: as it comes, which is how it is read fastest."""

    id: str = ""
    type: str
    model: str = ""
    content: list[ReplyBlock]
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None
    usage: Tokens | None = None


class Fault(msgspec.Struct, gc=False):
    """What went wrong."""

    type: str = ""
    message: str = ""


class _Error(msgspec.Struct, gc=False):
    error: Fault


_STOP = Finish.STOP
_answer = msgspec.json.Decoder(Answer)
_error = msgspec.json.Decoder(_Error)


def decode_reply(body: bytes) -> Reply:
    """A whole reply in the neutral form. Blocks of Anthropic's own tools have no place there.

    Errors: ValueError or msgspec's for what is none.
    """
    id, kind, model, content, reason, met, details, used = astuple(_answer.decode(body))
    if kind != "message":
        raise ValueError("it is not a message")
    parts: list[Part] = []
    cited: list[Citation] = []
    at = 0
    for block in content:
        part = part_of(block)
        if part is None:
            continue
        parts.append(part)
        if type(part) is Text:
            length = len(part.text)
            if block.citations:
                cited += citations.read(block.citations, at, at + length)
            at += length
    if details is not None and details.explanation:
        parts.append(Refusal(details.explanation))
    finish = FINISHES.get(reason or "", _STOP)
    usage = decode_usage(used) if used is not None else None
    return Reply(id, model, [Choice(parts, finish, met or "", None, cited)], usage or NOTHING)


def part_of(block: ReplyBlock) -> Part | None:
    """What a block of a reply says. Errors: ValueError where it lacks what its type promises."""
    kind = block.type
    if kind == "text":
        text = block.text
        return Text(text) if text else None
    if kind == "tool_use":
        arguments = bytes(block.input).decode()
        if not (block.id and block.name) or arguments[:1] != "{":
            raise ValueError("a tool_use block has no id, no name or no input")
        return ToolCall(block.id, block.name, arguments)
    if kind == "thinking":
        return Thinking(block.thinking or "", block.signature or "", "", ANTHROPIC if block.signature else "")
    return Thinking("", "", block.data or "", ANTHROPIC) if kind == "redacted_thinking" else None


def decode_text(body: bytes) -> str:
    """All that a whole reply says, for counting; empty where it is not what a reply is."""
    try:
        said = _answer.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    texts: list[str] = []
    for block in said.content:
        texts.append(block.text or block.thinking or bytes(block.input).decode())
    return "".join(texts)


def encode_reply(reply: Reply, call: Call) -> bytes:
    """A whole reply as Anthropic's callers know it: of several choices the first.

    Errors: UpstreamFailed for a call whose arguments are no object.
    """
    choice = reply.choices[0] if reply.choices else Choice([])
    content, details = [], None
    reason, shows = REASONS[choice.finish], call.content.shows_thinking
    for part in _cited(choice, call) if choice.citations else choice.parts:
        if type(part) is dict:
            content.append(part)
        elif type(part) is Refusal:
            reason, details = REASONS[Finish.REFUSED], refused(part.text)
        elif (block := encode_part(part, shows)) is not None:
            content.append(block)
    return msgspec.json.encode(
        {
            "id": reply.id,
            "type": "message",
            "role": "assistant",
            "model": reply.model,
            "content": content,
            "stop_reason": reason,
            "stop_sequence": choice.stopped_by or None,
            "stop_details": details,
            "usage": encode_usage(reply.usage),
        }
    )


def _cited(choice: Choice, call: Call) -> list[Any]:
    """A choice's parts, its texts as blocks by what they are from."""
    made: list[Any] = []
    at = 0
    for part in choice.parts:
        if type(part) is Text:
            made += citations.blocks(part.text, within(choice.citations, at, len(part.text)))
            at += len(part.text)
        else:
            made.append(part)
    if sum(len(one.get("citations", ())) for one in made if type(one) is dict) < len(choice.citations):
        leave_out(call)
    return made


def refused(why: str) -> dict[str, Any]:
    """Why the model would not answer."""
    return {"type": "refusal", "category": None, "explanation": why}


def encode_part(part: Part, shows_thinking: bool = True) -> dict[str, Any] | None:
    """A block of a reply. None: there is none for it. A thought that is not to be shown is there for its seal only.

    Errors: UpstreamFailed for a call whose arguments are no object.
    """
    if type(part) is Text:
        return {"type": "text", "text": part.text}
    if type(part) is ToolCall:
        return {
            "type": "tool_use",
            "id": part.id,
            "name": part.name,
            "input": msgspec.Raw(_object(part.arguments)),
        }
    if type(part) is Thinking:
        if part.redacted:
            return {"type": "redacted_thinking", "data": wrap(part.redacted, part.vendor, ANTHROPIC)}
        if shows_thinking or part.signature:
            thought = part.text if shows_thinking else ""
            seal = wrap(part.signature, part.vendor, ANTHROPIC)
            return {"type": "thinking", "thinking": thought, "signature": seal}
    return None


def _object(arguments: str) -> bytes:
    """A call's arguments, which are an object here. Errors: UpstreamFailed."""
    written = (arguments.strip() or "{}").encode()
    try:
        msgspec.json.decode(written, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, RecursionError):
        raise UpstreamFailed("the arguments of a tool call of the provider's are not a JSON object") from None
    return written


def encode_count(tokens: int) -> bytes:
    """The answer to a request to count."""
    return b'{"input_tokens":%d}' % tokens


def decode_failure(status: int, body: bytes) -> Failure:
    """What a provider's error says."""
    try:
        fault = _error.decode(body).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Failure(f"the provider answered {status}")
    return Failure(fault.message or f"the provider answered {status}", fault.type)


def encode_failure(status: int, failure: Failure) -> bytes:
    """A provider's error as Anthropic's callers know it."""
    return _spell(kind_of(status), failure.message, None)


def kind_of(status: int) -> str:
    """Anthropic's word for a status."""
    return KINDS.get(status, "invalid_request_error" if status < 500 else "api_error")


def encode_error(error: GatewayError, request_id: str) -> bytes:
    """An error's body."""
    return _spell(kind_of(error.status), error.message, request_id)


def encode_error_event(error: GatewayError, request_id: str) -> bytes:
    """The same as the last event of a stream that has begun."""
    return b"event: error\ndata: " + encode_error(error, request_id) + b"\n\n"


def _spell(kind: str, message: str, request_id: str | None) -> bytes:
    return msgspec.json.encode(
        {"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id}
    )


def encode_limits(verdict: Verdict, headers: Heading) -> None:
    """Write what is left of the limits, as headers. Anthropic says when they are whole by the clock on the wall."""
    now_us = time_ns() // 1000 if verdict.requests_limit > 0 or verdict.tokens_limit > 0 else 0
    if verdict.requests_limit > 0:
        headers.count(b"anthropic-ratelimit-requests-limit", verdict.requests_limit)
        headers.count(b"anthropic-ratelimit-requests-remaining", verdict.requests_remaining)
        headers.add(b"anthropic-ratelimit-requests-reset", _reset(now_us, verdict.requests_reset_us))
    if verdict.tokens_limit > 0:
        headers.count(b"anthropic-ratelimit-tokens-limit", verdict.tokens_limit)
        headers.count(b"anthropic-ratelimit-tokens-remaining", verdict.tokens_remaining)
        headers.add(b"anthropic-ratelimit-tokens-reset", _reset(now_us, verdict.tokens_reset_us))


def _reset(now_us: int, wait_us: int) -> bytes:
    """An instant in whole seconds, rounded up."""
    at_us = -(-(now_us + wait_us) // 1_000_000) * 1_000_000
    return (instant(at_us) or "").replace(".000Z", "Z").encode()
