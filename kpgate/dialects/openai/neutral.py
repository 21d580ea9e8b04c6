"""A chat completion request put into the neutral form. Pure; only calls that cross dialects come here.

Source: OpenAI API reference, chat completions: create (checked November 2026).
"""

from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

from kpgate._fast.body import Scan
from kpgate.dialects.openai.request import ChatRequest
from kpgate.dialects.openai.tools import Definition, Mark, Offered, custom_arguments, take_tools
from kpgate.domain.body import invalid
from kpgate.domain.call import Call
from kpgate.domain.chat import (
    Audio,
    Chat,
    File,
    Format,
    Image,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
)
from kpgate.domain.errors import InvalidRequest
from kpgate.domain.gpt import EFFORTS


class _Url(Struct, gc=False):
    url: str
    detail: str = ""


class _Sound(Struct, gc=False):
    data: str
    format: str


class _File(Struct, gc=False):
    file_data: str = ""
    file_id: str = ""
    filename: str = ""


class _Part(Struct, gc=False):
    type: str
    text: str | None = None
    image_url: _Url | None = None
    input_audio: _Sound | None = None
    file: _File | None = None
    refusal: str | None = None
    cache_control: Mark | None = None


class _Function(Struct, gc=False):
    name: str = ""
    arguments: str | None = None


class _Custom(Struct, gc=False):
    name: str = ""
    input: str = ""


class _Call(Struct, gc=False):
    id: str | None = None
    type: str | None = None
    function: _Function | None = None
    custom: _Custom | None = None


class _Spoken(Struct, gc=False):
    id: str = ""


class _Message(Struct, gc=False):
    role: str
    content: str | list[_Part] | None = None
    name: str | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None
    function_call: _Function | None = None
    refusal: str | None = None
    audio: _Spoken | None = None
    reasoning_content: str | None = None
    annotations: Any = None


class _Schema(Struct, gc=False):
    name: str = ""
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class _Format(Struct, gc=False):
    type: str
    json_schema: _Schema | None = None


class _Options(Struct, gc=False):
    include_usage: bool | None = None


class _Request(Struct, gc=False):
    """Every field that has a place in the neutral form, and those that change no answer."""

    model: str
    messages: list[_Message]
    stream: bool | None = None
    stream_options: _Options | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    tools: list[Offered] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    functions: list[Definition] | None = None
    function_call: str | dict[str, Any] | None = None
    response_format: _Format | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    modalities: list[str] | None = None
    audio: dict[str, Any] | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None


FIRST = 6
"""So many fields stand before those that most requests do not have."""
HINTS = ("store", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "service_tier")
"""Fields that do not change what is answered."""

ALIKE = frozenset(
    (
        *("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "seed", "logit_bias"),
        *("logprobs", "top_logprobs", "modalities", "verbosity", "user", "metadata"),
    )
)
"""Fields that are the neutral form's by name and by shape."""

SPELLED = {
    "output_cap": "max_completion_tokens",
    "choices": "n",
    "format": "response_format",
    "format.schema": "response_format.json_schema",
    "reasoning": "reasoning_effort",
    "parallel_tools": "parallel_tool_calls",
    "voice": "audio",
    "image": "messages: image_url",
    "image.url": "messages: image_url",
    "audio": "messages: input_audio",
    "file": "messages: file",
    "file.url": "messages: file",
    "file.id": "messages: file.file_id",
    "cached": "messages: cache_control",
    "name": "messages.name",
    "thinking": "messages.reasoning_content",
    "tool_result.image": "messages: tool",
    "tool_result.failed": "messages: tool",
    "turns": "messages",
    "strict": "tools.function.strict",
    "audio.id": "messages.audio",
    "detail": "messages: image_url.detail",
}
"""OpenAI's name for a field of the neutral form, where it is another one."""

_FIELDS = tuple(field.encode_name for field in msgspec.structs.fields(_Request))
_REST = _FIELDS[FIRST:]
_KNOWN = frozenset(_FIELDS)


class _Plain(_Request, gc=False, forbid_unknown_fields=True):
    """A request without a field that has no place in the neutral form, as most are."""


_request = msgspec.json.Decoder(_Request)
_plain = msgspec.json.Decoder(_Plain)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TOOL = Role.TOOL
_SPEAKERS = {role.value: role for role in Role if role is not _TOOL}
_ROLES = _SPEAKERS | {"tool": _TOOL, "function": _TOOL}


def neutral(body: bytes, call: Call) -> Chat:
    """A request in the neutral form. Order: `decode_chat` found it fit to be read.

    Errors: InvalidRequest, naming what was wrong and where.
    """
    turns = _plain_turns(call.content, call.scan)
    if turns is not None:
        return _chat(call.content, turns)
    asked, unknown = _decode(body)
    chat = _chat(asked, _turns(asked.messages))
    chat.unknown = unknown
    if [one for one in asked.messages if one.annotations]:
        chat.hints["messages.annotations"] = None
    # All at once: each asked for by its name would cost as much as they do together.
    rest = astuple(asked)[FIRST:]
    if rest.count(None) == len(rest):
        return chat
    for name, value in zip(_REST, rest, strict=True):
        if value is not None:
            if name in ALIKE:
                setattr(chat, name, value)
            elif name in HINTS:
                chat.hints[name] = value
    take_tools(chat, asked)
    chat.parallel_tools = asked.parallel_tool_calls
    if asked.response_format is not None:
        chat.format = _format(asked.response_format)
    if asked.stop:
        chat.stop = [asked.stop] if isinstance(asked.stop, str) else asked.stop
    if asked.reasoning_effort:
        chat.reasoning = Reasoning(effort_of(asked.reasoning_effort, "reasoning_effort"))
    chat.voice = asked.audio
    return chat


def _chat(asked: Any, turns: list[Turn]) -> Chat:
    """What most requests say, and no more of it than that."""
    cap = asked.max_completion_tokens
    chat = Chat(turns)
    chat.output_cap = cap if cap is not None else asked.max_tokens
    chat.stream = asked.stream is True
    if asked.n:
        chat.choices = asked.n
    return chat


def _plain_turns(asked: ChatRequest, offsets: Scan) -> list[Turn] | None:
    """The turns of a request that says no more than was read of it to count it. None: it has to be read again.

    It says no more where it has as many members as were found to say something: of a message whose content is a text,
    that and its role.
    """
    _, messages, stream, options, cap, completion_cap, choices, tools, functions = astuple(asked)
    unsaid = (stream, options, cap, completion_cap, choices, tools, functions).count(None)
    within = 2 * len(messages)
    if options is not None and options.include_usage is not None:
        within += 1
    if offsets.count != 9 - unsaid or offsets.nested != within or tools is not None or functions is not None:
        return None
    turns = []
    for message in messages:
        role, content = _SPEAKERS.get(message.role), message.content
        if role is None or not isinstance(content, str):
            return None
        turns.append(Turn(role, [Text(content)]))
    return turns


def _decode(body: bytes) -> tuple[_Request, list[str]]:
    """A request, and its fields that have no place here."""
    try:
        return _plain.decode(body), []
    except msgspec.ValidationError:
        pass
    try:
        members = _members.decode(body)
        unknown = [name for name, raw in members.items() if name not in _KNOWN and bytes(raw) != b"null"]
        return _request.decode(body), unknown
    except msgspec.ValidationError as error:
        raise invalid(str(error)) from None


def _turns(messages: list[_Message]) -> list[Turn]:
    turns = []
    calls = 0
    for at, message in enumerate(messages):
        role = _ROLES.get(message.role)
        if role is None:
            where = f"messages[{at}].role"
            raise InvalidRequest(f"{where}: expected one of {', '.join(_ROLES)}", param=where)
        content = message.content
        parts: list[Part] = (
            [Text(content)] if isinstance(content, str) else _parts(content, f"messages[{at}].content")
        )
        if role is _TOOL:
            # The older form names the function instead of a call.
            known = message.tool_call_id if message.tool_call_id is not None else f"call_{calls}"
            result = ToolResult(known, parts, message.name or "")
            turns.append(Turn(role, [result]))
            continue
        if message.reasoning_content:
            parts.insert(0, Thinking(message.reasoning_content))
        if message.refusal:
            parts.append(Refusal(message.refusal))
        if message.audio is not None:
            parts.append(Audio(id=message.audio.id))
        for one in message.tool_calls or ():
            calls += 1
            parts.append(_called(one, f"call_{calls}"))
        if message.function_call is not None:
            calls += 1
            called = message.function_call
            parts.append(ToolCall(f"call_{calls}", called.name, called.arguments or "{}"))
        turns.append(Turn(role, parts, message.name or ""))
    return turns


def _called(call: _Call, made: str) -> ToolCall:
    if call.custom is not None:
        return ToolCall(call.id or made, call.custom.name, custom_arguments(call.custom.input))
    function = call.function or _Function()
    return ToolCall(call.id or made, function.name, function.arguments or "{}")


def effort_of(said: str, where: str) -> str:
    """A reasoning effort. Errors: InvalidRequest for one that nobody knows."""
    if said in EFFORTS:
        return said
    if said == "max":
        return EFFORTS[-1]
    raise InvalidRequest(f"{where}: expected one of {', '.join(EFFORTS)}", param=where)


def _parts(content: list[_Part] | None, where: str) -> list[Part]:
    if content is None:
        return []
    return [_part(part, f"{where}[{at}]") for at, part in enumerate(content)]


def _part(part: _Part, where: str) -> Part:
    mark = part.cache_control
    if part.type == "text" and part.text is not None:
        return Text(part.text) if mark is None else Text(part.text, True, mark.ttl)
    if part.type == "image_url" and part.image_url is not None:
        media_type, data = _data_url(part.image_url.url)
        url = "" if data else part.image_url.url
        return Image(media_type, data, url, part.image_url.detail, mark is not None)
    if part.type == "input_audio" and part.input_audio is not None:
        return Audio(part.input_audio.format, part.input_audio.data)
    if part.type == "file" and part.file is not None:
        media_type, data = _data_url(part.file.file_data)
        return File(media_type, data, "", part.file.file_id, part.file.filename, mark is not None)
    if part.type == "refusal" and part.refusal is not None:
        return Refusal(part.refusal)
    raise InvalidRequest(
        f"{where}: expected a text, image_url, input_audio, file or refusal part with what it names",
        param=where,
    )


def _data_url(url: str) -> tuple[str, str]:
    """Media type and base64 of a data URL; two empty strings for any other."""
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        return "", ""
    return head[5:-7].partition(";")[0], data


def _format(wanted: _Format) -> Format | None:
    if wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return Format()
    shape = wanted.json_schema
    if wanted.type == "json_schema" and shape is not None and shape.schema is not None:
        return Format(shape.schema, shape.name, shape.description or "", shape.strict)
    raise InvalidRequest(
        "response_format: expected text, json_object or a json_schema with a schema", param="response_format"
    )
