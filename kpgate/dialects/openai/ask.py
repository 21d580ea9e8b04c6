"""A chat completion between OpenAI's spelling and the neutral form, both ways. Pure; only calls that cross dialects
come here.

Source: OpenAI API reference, chat completions: create (checked November 2026).
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from kpgate.dialects.openai.request import named
from kpgate.domain.call import Call
from kpgate.domain.chat import (
    Audio,
    Chat,
    Choosing,
    File,
    Format,
    Image,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from kpgate.domain.dialect import Aim
from kpgate.domain.errors import InvalidRequest


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


class _Function(Struct, gc=False):
    name: str = ""
    arguments: str | None = None


class _Call(Struct, gc=False):
    id: str | None = None
    type: str | None = None
    function: _Function | None = None


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


class _Definition(Struct, gc=False):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Tool(Struct, gc=False):
    type: str = "function"
    function: _Definition | None = None


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
    tools: list[_Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    functions: list[_Definition] | None = None
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


HINTS = ("store", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "service_tier")
"""Fields that do not change what is answered."""

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
}
"""OpenAI's name for a field of the neutral form, where it is another one."""

_KNOWN = frozenset(field.encode_name for field in msgspec.structs.fields(_Request))
_request = msgspec.json.Decoder(_Request)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ROLES = {role.value: role for role in Role} | {"function": Role.TOOL}


def neutral(body: bytes, call: Call) -> Chat:
    """A request in the neutral form. Order: `decode_chat` found it fit to be read.

    Errors: InvalidRequest, naming what was wrong and where.
    """
    try:
        asked = _request.decode(body)
        members = _members.decode(body)
    except msgspec.ValidationError as error:
        raise named(str(error)) from None
    unknown = [name for name, raw in members.items() if name not in _KNOWN and bytes(raw) != b"null"]
    tools = [_tool(tool, at) for at, tool in enumerate(asked.tools or ())]
    tools += [_defined(function) for function in asked.functions or ()]
    cap = asked.max_completion_tokens if asked.max_completion_tokens is not None else asked.max_tokens
    stop = [asked.stop] if isinstance(asked.stop, str) else asked.stop
    hints = {name: value for name in HINTS if (value := getattr(asked, name)) is not None}
    return Chat(
        turns=_turns(asked.messages),
        tools=tools,
        tool_choice=_choice(asked.tool_choice if asked.tool_choice is not None else asked.function_call),
        parallel_tools=asked.parallel_tool_calls,
        format=_format(asked.response_format),
        output_cap=cap,
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        frequency_penalty=asked.frequency_penalty,
        presence_penalty=asked.presence_penalty,
        seed=asked.seed,
        stop=stop or [],
        logit_bias=asked.logit_bias or None,
        logprobs=asked.logprobs,
        top_logprobs=asked.top_logprobs,
        choices=asked.n or 1,
        reasoning=Reasoning(asked.reasoning_effort) if asked.reasoning_effort else None,
        modalities=asked.modalities or [],
        voice=asked.audio,
        verbosity=asked.verbosity or "",
        stream=asked.stream is True,
        user=asked.user or "",
        metadata=asked.metadata,
        hints=hints,
        unknown=unknown,
    )


def _turns(messages: list[_Message]) -> list[Turn]:
    turns = []
    calls = 0
    for at, message in enumerate(messages):
        role = _ROLES.get(message.role)
        if role is None:
            where = f"messages[{at}].role"
            raise InvalidRequest(f"{where}: expected one of {', '.join(_ROLES)}", param=where)
        parts = _parts(message.content, f"messages[{at}].content")
        if role is Role.TOOL:
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
            function = one.function or _Function()
            parts.append(ToolCall(one.id or f"call_{calls}", function.name, function.arguments or "{}"))
        if message.function_call is not None:
            calls += 1
            called = message.function_call
            parts.append(ToolCall(f"call_{calls}", called.name, called.arguments or "{}"))
        turns.append(Turn(role, parts, message.name or ""))
    return turns


def _parts(content: str | list[_Part] | None, where: str) -> list[Part]:
    if content is None:
        return []
    if isinstance(content, str):
        return [Text(content)]
    return [_part(part, f"{where}[{at}]") for at, part in enumerate(content)]


def _part(part: _Part, where: str) -> Part:
    if part.type == "text" and part.text is not None:
        return Text(part.text)
    if part.type == "image_url" and part.image_url is not None:
        media_type, data = _data_url(part.image_url.url)
        url = "" if data else part.image_url.url
        return Image(media_type, data, url, part.image_url.detail)
    if part.type == "input_audio" and part.input_audio is not None:
        return Audio(part.input_audio.format, part.input_audio.data)
    if part.type == "file" and part.file is not None:
        media_type, data = _data_url(part.file.file_data)
        return File(media_type, data, "", part.file.file_id, part.file.filename)
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


def _tool(tool: _Tool, at: int) -> Tool:
    if tool.type != "function" or tool.function is None:
        where = f"tools[{at}]"
        raise InvalidRequest(
            f"{where}: only function tools are known where caller and provider speak other dialects",
            param=where,
        )
    return _defined(tool.function)


def _defined(function: _Definition) -> Tool:
    return Tool(function.name, function.description or "", function.parameters, function.strict)


def _choice(choice: str | dict[str, Any] | None) -> ToolChoice | None:
    if choice is None:
        return None
    if isinstance(choice, str):
        if choice in ("auto", "none", "required"):
            return ToolChoice(Choosing(choice))
    else:
        function = choice.get("function", choice)
        name = function.get("name") if isinstance(function, dict) else None
        if isinstance(name, str):
            return ToolChoice(Choosing.NAMED, name)
    raise InvalidRequest("tool_choice: expected auto, none, required or a function", param="tool_choice")


def _format(wanted: _Format | None) -> Format | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return Format()
    shape = wanted.json_schema
    if wanted.type == "json_schema" and shape is not None and shape.schema is not None:
        return Format(shape.schema, shape.name, shape.description or "", shape.strict)
    raise InvalidRequest(
        "response_format: expected text, json_object or a json_schema with a schema", param="response_format"
    )


def encode_chat(chat: Chat, aim: Aim) -> bytes:
    """The request that asks a provider for a chat.

    Errors: Unspeakable for what chat completions have no field for.
    """
    sent: dict[str, Any] = {"model": aim.model, "messages": list(_messages(chat.turns, aim))}
    cap = _least(chat.output_cap, aim.cap)
    if cap is not None:
        sent["max_completion_tokens"] = cap
    if chat.tools:
        sent["tools"] = [_encode_tool(tool) for tool in chat.tools]
    if chat.tool_choice is not None:
        sent["tool_choice"] = _encode_choice(chat.tool_choice)
    if chat.format is not None:
        sent["response_format"] = _encode_format(chat.format)
    if chat.reasoning is not None:
        effort = chat.reasoning.effort or effort_of(chat.reasoning.budget)
        if effort:
            sent["reasoning_effort"] = effort
    if chat.stop:
        sent["stop"] = chat.stop
    if chat.choices != 1:
        sent["n"] = chat.choices
    for name, value in (
        ("parallel_tool_calls", chat.parallel_tools),
        ("temperature", chat.temperature),
        ("top_p", chat.top_p),
        ("top_k", chat.top_k),
        ("frequency_penalty", chat.frequency_penalty),
        ("presence_penalty", chat.presence_penalty),
        ("seed", chat.seed),
        ("logit_bias", chat.logit_bias),
        ("logprobs", chat.logprobs),
        ("top_logprobs", chat.top_logprobs),
        ("modalities", chat.modalities or None),
        ("audio", chat.voice),
        ("verbosity", chat.verbosity or None),
        ("user", chat.user or None),
        ("metadata", chat.metadata),
    ):
        if value is not None:
            sent[name] = value
    if aim.stream:
        sent |= {"stream": True, "stream_options": {"include_usage": True}}
    return msgspec.json.encode(sent)


def effort_of(budget: int | None) -> str:
    """The effort that a budget of thinking comes nearest to. Units: tokens."""
    if budget is None or budget < 0:
        return ""
    if budget == 0:
        return "none"
    return "low" if budget <= 2048 else "medium" if budget <= 12_288 else "high"


def _least(*caps: int | None) -> int | None:
    said = [cap for cap in caps if cap]
    return min(said) if said else None


def _messages(turns: list[Turn], aim: Aim) -> Iterable[dict[str, Any]]:
    for turn in turns:
        results = [part for part in turn.parts if isinstance(part, ToolResult)]
        for result in results:
            yield {"role": "tool", "tool_call_id": result.id, "content": _tool_content(result, aim)}
        parts = [part for part in turn.parts if not isinstance(part, ToolResult)]
        if parts or not results:
            yield _message(turn, parts, aim)


def _message(turn: Turn, parts: Sequence[Part], aim: Aim) -> dict[str, Any]:
    message: dict[str, Any] = {"role": turn.role.value}
    if turn.name:
        message["name"] = turn.name
    content: list[dict[str, Any]] = []
    calls, thought = [], []
    for part in parts:
        if isinstance(part, ToolCall):
            function = {"name": part.name, "arguments": part.arguments}
            calls.append({"id": part.id, "type": "function", "function": function})
        elif isinstance(part, Thinking):
            # Chat completions have no field for it; providers that think aloud take back their own.
            thought.append(part)
        elif isinstance(part, Audio) and part.id:
            message["audio"] = {"id": part.id}
        else:
            content.append(_encode_part(part, aim))
    if thought:
        aim.leave_out("thinking")
    if all(part["type"] == "text" for part in content) and len(content) <= 1:
        message["content"] = content[0]["text"] if content else None if calls else ""
    else:
        message["content"] = content
    if calls:
        message["tool_calls"] = calls
    return message


def _tool_content(result: ToolResult, aim: Aim) -> str | list[dict[str, Any]]:
    texts = [part.text for part in result.parts if isinstance(part, Text)]
    if len(texts) != len(result.parts):
        aim.lack("tool_result.image", "a tool's result may only be text there")
    if len(texts) <= 1:
        return texts[0] if texts else ""
    return [{"type": "text", "text": text} for text in texts]


def _encode_part(part: Part, aim: Aim) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text}
    if isinstance(part, Image):
        url: dict[str, Any] = {"url": part.url or f"data:{part.media_type};base64,{part.data}"}
        if part.detail:
            url["detail"] = part.detail
        return {"type": "image_url", "image_url": url}
    if isinstance(part, Audio):
        return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}
    assert isinstance(part, File), "tool calls, results and thinking have places of their own"
    if part.id:
        return {"type": "file", "file": {"file_id": part.id}}
    if part.url and not part.data:
        aim.lack("file.url", "a file is sent as data or by its id there")
        return {"type": "text", "text": part.url}
    data = {"file_data": f"data:{part.media_type};base64,{part.data}"}
    return {"type": "file", "file": data | ({"filename": part.name} if part.name else {})}


def _encode_tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parameters"] = tool.parameters
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _encode_choice(choice: ToolChoice) -> str | dict[str, Any]:
    if choice.how is Choosing.NAMED:
        return {"type": "function", "function": {"name": choice.name}}
    return choice.how.value


def _encode_format(wanted: Format) -> dict[str, Any]:
    if wanted.schema is None:
        return {"type": "json_object"}
    shape: dict[str, Any] = {"name": wanted.name or "answer", "schema": wanted.schema}
    if wanted.description:
        shape["description"] = wanted.description
    if wanted.strict is not None:
        shape["strict"] = wanted.strict
    return {"type": "json_schema", "json_schema": shape}
