"""A chat completion's answer between OpenAI's spelling and the neutral form, whole. Pure; only calls that cross
dialects come here. `stream.py` has the same for streams.

Source: OpenAI API reference, chat completions: the object, errors (checked November 2026).
"""

from typing import Any

import msgspec
from msgspec import Struct

from kpgate._fast.pen import Pen
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
    # Other vendors' own: Mistral, TGI and Together; Z.ai.
    "model_length": Finish.CONTEXT,
    "eos_token": Finish.STOP,
    "eos": Finish.STOP,
    "stop_sequence": Finish.STOP_SEQUENCE,
    "sensitive": Finish.FILTERED,
    "model_context_window_exceeded": Finish.CONTEXT,
}
FAILURES = frozenset(("insufficient_system_resource", "network_error", "error", "abort"))
"""Ends that are failures of the provider's: DeepSeek's, Z.ai's, Mistral's and OpenRouter's, SGLang's and vLLM's."""
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


class Piece(Struct, gc=False):
    """A piece of a content that is a list, as Mistral's models have it that reason. Kinds without words keep none."""

    type: str = ""
    text: str | None = None
    thinking: "list[Piece] | str | None" = None


class _Message(Struct, gc=False):
    content: str | list[Piece] | None = None
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
    content = message.content
    if isinstance(content, list):
        parts += [Thinking(text) if thinks else Text(text) for text, thinks in told(content)]
    elif content:
        parts.append(Text(content))
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
    finish = finish_of(choice.finish_reason or "stop")
    if not message.annotations:
        return Choice(parts, finish, "", choice.logprobs)
    cited = annotations.read(message.annotations, len(content) if isinstance(content, str) else 0)
    return Choice(parts, finish, "", choice.logprobs, cited)


def finish_of(reason: str) -> Finish:
    """Why a choice ended. Errors: ValueError where the provider failed."""
    if reason in FAILURES:
        raise ValueError(f"finish_reason: {reason}")
    return FINISHES.get(reason, Finish.STOP)


def told(content: list[Piece]) -> list[tuple[str, bool]]:
    """The words of a content that is a list, in order, each with whether it is thought or said."""
    found = []
    for piece in content:
        thinking = piece.thinking
        if thinking:
            words = thinking if isinstance(thinking, str) else "".join(one.text or "" for one in thinking)
            found.append((words, True))
        elif piece.text:
            found.append((piece.text, False))
    return [one for one in found if one[0]]


def _arguments(text: str | None) -> str:
    """Arguments that are an object. Errors: ValueError: an SDK that parses them must not be the first to notice."""
    if not text or text.isspace():
        return "{}"
    if not isinstance(msgspec.json.decode(text), dict):
        raise ValueError("tool_calls: arguments are not a JSON object")
    return text


def encode_reply(reply: Reply, call: Call) -> bytes:
    """A whole reply as a chat completion."""
    pen = Pen()
    pen.raw(b'{"id":')
    pen.text(reply.id or "chatcmpl-kpgate")
    pen.raw(b',"object":"chat.completion","created":')
    pen.number(reply.created_s)
    pen.raw(b',"model":')
    pen.text(reply.model or call.model)
    pen.raw(b',"choices":')
    before = b"["
    for index, choice in enumerate(reply.choices):
        pen.raw(before)
        _write_choice(pen, index, choice, call)
        before = b","
    pen.raw(b'],"usage":' if reply.choices else b'[],"usage":')
    write_usage(pen, reply.usage)
    pen.raw(b"}")
    return pen.done()


def _write_choice(pen: Pen, index: int, choice: Choice, call: Call) -> None:
    """A choice as callers see it: of the message's members, those after the refusal only where there is something."""
    content = refusal = None
    thought = ""
    calls: list[dict[str, Any]] = []
    more: dict[str, Any] = {}
    for part in choice.parts:
        kind = type(part)
        if kind is Text:
            content = part.text if content is None else content + part.text  # type: ignore[union-attr]
        elif kind is Refusal:
            refusal = (refusal or "") + part.text  # type: ignore[union-attr]
        elif kind is Thinking:
            thought += part.text  # type: ignore[union-attr]
        elif kind is ToolCall:
            calls.append(_called(part))  # type: ignore[arg-type]
        elif kind is Audio:
            more["audio"] = _sound(part)  # type: ignore[arg-type]
    if calls:
        more["tool_calls"] = calls
    if choice.citations:
        more["annotations"] = _annotations(choice.citations, call)
    pen.raw(b'{"index":')
    pen.number(index)
    pen.raw(b',"message":{"role":"assistant","content":')
    _write_words(pen, content)
    pen.raw(b',"refusal":')
    _write_words(pen, refusal)
    if thought:
        pen.raw(b',"reasoning_content":')
        pen.text(thought)
    for name, value in more.items():
        if value:
            pen.raw(b',"%b":%b' % (name.encode(), _encode(value)))
    pen.raw(b'},"logprobs":')
    pen.raw(b"null" if choice.logprobs is None else _encode(choice.logprobs))
    pen.raw(b',"finish_reason":')
    pen.text(REASONS[choice.finish])
    pen.raw(b"}")


def _write_words(pen: Pen, words: str | None) -> None:
    if words is None:
        pen.raw(b"null")
    else:
        pen.text(words)


def _called(part: ToolCall) -> dict[str, Any]:
    return {"id": part.id, "function": {"name": part.name, "arguments": part.arguments}, "type": "function"}


def _sound(part: Audio) -> dict[str, Any]:
    return {"id": part.id, "data": part.data, "transcript": part.transcript, "expires_at": 0}


def _annotations(citations: list[Citation], call: Call) -> list[dict[str, Any]]:
    """Where the message is from. What has no address is left out."""
    found = [said for one in citations if (said := annotations.spell(one)) is not None]
    if len(found) < len(citations):
        leave_out(call)
    return found


def write_usage(pen: Pen, usage: Usage) -> None:
    """Put down a usage in OpenAI's words."""
    pen.raw(b'{"prompt_tokens":')
    pen.number(usage.input)
    pen.raw(b',"completion_tokens":')
    pen.number(usage.output)
    pen.raw(b',"total_tokens":')
    pen.number(usage.input + usage.output)
    pen.raw(b',"prompt_tokens_details":{"cached_tokens":')
    pen.number(usage.cached)
    pen.raw(b',"audio_tokens":')
    pen.number(usage.audio_input)
    if usage.cache_write or usage.cache_write_long:
        pen.raw(b',"cache_write_tokens":')
        pen.number(usage.cache_write + usage.cache_write_long)
    pen.raw(b'},"completion_tokens_details":{"reasoning_tokens":')
    pen.number(usage.reasoning)
    pen.raw(b',"audio_tokens":')
    pen.number(usage.audio_output)
    pen.raw(b"}}")


def encode_usage(usage: Usage) -> bytes:
    """A usage by itself."""
    pen = Pen()
    write_usage(pen, usage)
    return pen.done()


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
