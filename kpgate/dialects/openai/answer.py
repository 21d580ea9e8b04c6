"""A chat completion's answer between OpenAI's spelling and the neutral form, whole. Pure; only calls that cross
dialects come here. `stream.py` has the same for streams.

Source: OpenAI API reference, chat completions: the object, errors (checked November 2026).
"""

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from kpgate.dialects.openai import annotations
from kpgate.dialects.openai.reply import error_kind, read_usage
from kpgate.domain.call import Call
from kpgate.domain.chat import Audio, Part, Refusal, Text, Thinking, ToolCall
from kpgate.domain.citing import leave_out
from kpgate.domain.reply import Choice, Citation, Failure, Finish, Reply
from kpgate.domain.usage import NOTHING, Usage

FINISHES = {
    "stop": Finish.STOP,
    "length": Finish.LENGTH,
    "tool_calls": Finish.TOOL_CALLS,
    "function_call": Finish.TOOL_CALLS,
    "content_filter": Finish.FILTERED,
}
REASONS = {
    Finish.STOP: "stop",
    Finish.STOP_SEQUENCE: "stop",
    Finish.LENGTH: "length",
    Finish.CONTEXT: "length",
    Finish.TOOL_CALLS: "tool_calls",
    Finish.FILTERED: "content_filter",
    Finish.REFUSED: "content_filter",
    Finish.PAUSED: "stop",
}
MESSAGE_MAX = 2000


class _Function(Struct, gc=False):
    name: str = ""
    arguments: str | None = None


class _Call(Struct, gc=False):
    id: str | None = None
    function: _Function | None = None


class _Sound(Struct, gc=False):
    id: str = ""
    data: str = ""
    transcript: str = ""


class _Message(Struct, gc=False):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None
    function_call: _Function | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    audio: _Sound | None = None
    annotations: Any = None


class _Choice(Struct, gc=False):
    message: _Message
    index: int = 0
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None


class _Reply(Struct, gc=False):
    choices: list[_Choice]
    id: str | None = None
    model: str | None = None
    created: int | float | None = None


class _Error(Struct, gc=False):
    message: str | None = None
    type: str | None = None
    param: str | None = None
    code: str | int | None = None


class _Failure(Struct, gc=False):
    error: _Error | str | None = None
    message: str | None = None


_reply = msgspec.json.Decoder(_Reply)
_failure = msgspec.json.Decoder(_Failure)
_encode = msgspec.json.Encoder().encode


def decode_reply(body: bytes) -> Reply:
    """What a whole reply says.

    Errors: msgspec.MsgspecError, ValueError for what is no chat completion.
    """
    said = _reply.decode(body)
    if not said.choices:
        raise ValueError("choices: there is none")
    choices = [_choice(choice) for choice in sorted(said.choices, key=lambda choice: choice.index)]
    usage = read_usage(body) or NOTHING
    return Reply(said.id or "", said.model or "", choices, usage, int(said.created or 0))


def _choice(choice: _Choice) -> Choice:
    message = choice.message
    parts: list[Part] = []
    thought = message.reasoning_content or message.reasoning
    if thought:
        parts.append(Thinking(thought))
    if message.content:
        parts.append(Text(message.content))
    if message.refusal:
        parts.append(Refusal(message.refusal))
    if message.audio is not None:
        parts.append(Audio("", message.audio.data, message.audio.id, message.audio.transcript))
    for at, call in enumerate(message.tool_calls or ()):
        function = call.function or _Function()
        parts.append(ToolCall(call.id or f"call_{at}", function.name, _arguments(function.arguments)))
    if message.function_call is not None:
        called = message.function_call
        parts.append(ToolCall("call_0", called.name, _arguments(called.arguments)))
    finish = FINISHES.get(choice.finish_reason or "stop", Finish.STOP)
    if not message.annotations:
        return Choice(parts, finish, "", choice.logprobs)
    cited = annotations.read(message.annotations, len(message.content or ""))
    return Choice(parts, finish, "", choice.logprobs, cited)


def _arguments(text: str | None) -> str:
    """Arguments that are an object. Errors: ValueError: an SDK that parses them must not be the first to notice."""
    if not text or text.isspace():
        return "{}"
    if not isinstance(msgspec.json.decode(text), dict):
        raise ValueError("tool_calls: arguments are not a JSON object")
    return text


class _CallShown(Struct, gc=False):
    id: str
    function: dict[str, str]
    type: str = "function"


class _Shown(Struct, gc=False):
    """A message as callers see it: what is unset is not there."""

    role: str = "assistant"
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | UnsetType = UNSET
    audio: dict[str, Any] | UnsetType = UNSET
    tool_calls: list[_CallShown] | UnsetType = UNSET
    annotations: list[dict[str, Any]] | UnsetType = UNSET


class _ChoiceShown(Struct, gc=False):
    index: int
    message: _Shown
    logprobs: dict[str, Any] | None
    finish_reason: str


class _Before(Struct, gc=False):
    cached_tokens: int
    audio_tokens: int
    cache_write_tokens: int | UnsetType = UNSET


class _After(Struct, gc=False):
    reasoning_tokens: int
    audio_tokens: int


class Spent(Struct, gc=False):
    """Usage as OpenAI spells it."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: _Before
    completion_tokens_details: _After


class _ReplyShown(Struct, gc=False):
    id: str
    object: str
    created: int
    model: str
    choices: list[_ChoiceShown]
    usage: Spent


def encode_reply(reply: Reply, call: Call) -> bytes:
    """A whole reply as a chat completion."""
    choices = [
        _ChoiceShown(index, _message(choice.parts), choice.logprobs, REASONS[choice.finish])
        for index, choice in enumerate(reply.choices)
    ]
    for shown, choice in zip(choices, reply.choices, strict=True):
        if choice.citations:
            _annotate(shown.message, choice.citations, call)
    named, model = reply.id or "chatcmpl-kpgate", reply.model or call.model
    used = encode_usage(reply.usage)
    return _encode(_ReplyShown(named, "chat.completion", reply.created_s, model, choices, used))


def _message(parts: list[Part]) -> _Shown:
    message = _Shown()
    calls = []
    for part in parts:
        if isinstance(part, Text):
            message.content = (message.content or "") + part.text
        elif isinstance(part, Refusal):
            message.refusal = (message.refusal or "") + part.text
        elif isinstance(part, Thinking):
            if part.text:
                message.reasoning_content = (message.reasoning_content or "") + part.text
        elif isinstance(part, ToolCall):
            calls.append(_CallShown(part.id, {"name": part.name, "arguments": part.arguments}))
        elif isinstance(part, Audio):
            sound = {"id": part.id, "data": part.data, "transcript": part.transcript}
            message.audio = {**sound, "expires_at": 0}
    if calls:
        message.tool_calls = calls
    return message


def _annotate(message: _Shown, citations: list[Citation], call: Call) -> None:
    """Where the message is from. What has no address is left out."""
    found = [said for one in citations if (said := annotations.spell(one)) is not None]
    if found:
        message.annotations = found
    if len(found) < len(citations):
        leave_out(call)


def encode_usage(usage: Usage) -> Spent:
    """Usage in OpenAI's words, to be encoded."""
    before = _Before(usage.cached, usage.audio_input, usage.written or UNSET)
    after = _After(usage.reasoning, usage.audio_output)
    return Spent(usage.input, usage.output, usage.total, before, after)


def decode_failure(status: int, body: bytes) -> Failure:
    """What an error's body says, whatever it is."""
    try:
        said = _failure.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Failure(f"the provider answered {status}")
    error = said.error
    if isinstance(error, str):
        return Failure(error[:MESSAGE_MAX])
    if error is None:
        return Failure((said.message or f"the provider answered {status}")[:MESSAGE_MAX])
    kind = str(error.code or error.type or "")
    return Failure((error.message or f"the provider answered {status}")[:MESSAGE_MAX], kind, error.param)


def encode_failure(status: int, failure: Failure) -> bytes:
    """A provider's refusal of the request as OpenAI spells errors."""
    error = {
        "message": failure.message,
        "type": error_kind(status),
        "param": failure.param,
        "code": failure.kind or None,
    }
    return msgspec.json.encode({"error": error})
