"""A Responses request put into the neutral form. Pure; only calls that cross dialects come here.

What only the provider's own state or machinery could answer is refused by name: nothing here has either.
Source: OpenAI API reference, responses: create (checked November 2026).
"""

from typing import Any, NoReturn

import msgspec
from msgspec import Struct

from kpgate.dialects.openai.neutral import effort_of
from kpgate.dialects.openai.tools import custom_arguments
from kpgate.domain.body import invalid
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
from kpgate.domain.errors import InvalidRequest
from kpgate.domain.seals import OPENAI, unwrap


class _Sound(Struct, gc=False):
    data: str = ""
    format: str = ""


class _Part(Struct, gc=False):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    file_id: str | None = None
    detail: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    input_audio: _Sound | None = None
    annotations: Any = None


class _Item(Struct, gc=False):
    type: str = "message"
    role: str | None = None
    content: str | list[_Part] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: Any = None
    output: Any = None
    summary: list[_Part] | None = None
    encrypted_content: str | None = None
    input: str | None = None
    phase: str | None = None


class _Function(Struct, gc=False):
    type: str = "function"
    name: str = ""
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    defer_loading: bool | None = None


class _Format(Struct, gc=False):
    type: str = "text"
    name: str = ""
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class _TextOptions(Struct, gc=False):
    format: _Format | None = None
    verbosity: str | None = None


class _Reasoning(Struct, gc=False):
    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None
    context: Any = None


class _Request(Struct, gc=False):
    """Every field that has a place in the neutral form, and those that change no answer."""

    model: str
    input: str | list[_Item] | None = None
    instructions: str | None = None
    stream: bool | None = None
    stream_options: Any = None
    max_output_tokens: int | None = None
    tools: list[_Function] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: _TextOptions | None = None
    reasoning: _Reasoning | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    include: list[str] | None = None
    truncation: str | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    background: bool | None = None
    previous_response_id: Any = None
    conversation: Any = None
    prompt: Any = None
    prompt_cache_key: Any = None
    prompt_cache_retention: Any = None
    prompt_cache_options: Any = None
    safety_identifier: Any = None
    service_tier: Any = None


KEPT = "this is kept by the provider, and the one that answers for this model has no Responses API"
KNOWN = frozenset(
    (
        *("message", "function_call", "function_call_output", "reasoning"),
        *("custom_tool_call", "custom_tool_call_output"),
    )
)
"""Kinds of items that have a place in the neutral form."""
STATE = ("previous_response_id", "conversation", "prompt")
"""What only the provider knows that keeps it."""
HINTS = (
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "safety_identifier",
    "service_tier",
)
"""Fields that do not change what is answered."""
LOGPROBS = "message.output_text.logprobs"
INCLUDABLE = (LOGPROBS, "reasoning.encrypted_content", "message.input_image.image_url")

SPELLED = {
    "output_cap": "max_output_tokens",
    "format": "text.format",
    "format.schema": "text.format.schema",
    "verbosity": "text.verbosity",
    "parallel_tools": "parallel_tool_calls",
    "logprobs": "include",
    "image": "input: input_image",
    "image.url": "input: input_image",
    "audio": "input: input_audio",
    "file": "input: input_file",
    "file.url": "input: input_file.file_url",
    "thinking": "input: reasoning",
    "name": "input.name",
    "detail": "input: input_image.detail",
    "tool_result.image": "input: function_call_output",
    "tool_result.failed": "input: function_call_output",
    "turns": "input",
    "strict": "tools.strict",
}
"""The Responses API's name for a field of the neutral form, where it is another one."""

_KNOWN = frozenset(field.encode_name for field in msgspec.structs.fields(_Request))
_request = msgspec.json.Decoder(_Request)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ROLES = {
    "user": Role.USER,
    "system": Role.SYSTEM,
    "developer": Role.DEVELOPER,
    "assistant": Role.ASSISTANT,
}


def neutral(body: bytes, call: Call) -> Chat:
    """A request in the neutral form. Order: `decode_response` found it fit to be read.

    Errors: InvalidRequest, naming what was wrong and where.
    """
    try:
        asked = _request.decode(body)
        members = _members.decode(body)
    except msgspec.ValidationError as error:
        raise invalid(str(error)) from None
    for name in STATE:
        if getattr(asked, name) is not None:
            _keep(name, name)
    unknown = [name for name, raw in members.items() if name not in _KNOWN and bytes(raw) != b"null"]
    if asked.truncation not in (None, "disabled"):
        unknown.append("truncation")
    include = asked.include or []
    unknown += [f"include: {name}" for name in include if name not in INCLUDABLE]
    hints = {name: value for name in HINTS if (value := getattr(asked, name)) is not None}
    if asked.store:
        hints["store"] = True
    hints |= _unasked(asked)
    tools, choice = _tools(asked.tools or [], unknown), _choice(asked.tool_choice, unknown)
    if isinstance(asked.tool_choice, dict) and asked.tool_choice.get("type") == "allowed_tools":
        tools = _allowed(tools, asked.tool_choice)
    if asked.tools and not tools:
        # All of them were of kinds that are left out: there is nothing to choose from.
        choice = None
    logprobs = LOGPROBS in include
    text = asked.text or _TextOptions()
    return Chat(
        turns=_turns(asked, unknown),
        tools=tools,
        tool_choice=choice,
        parallel_tools=asked.parallel_tool_calls,
        format=_format(text.format),
        output_cap=asked.max_output_tokens,
        temperature=asked.temperature,
        top_p=asked.top_p,
        logprobs=True if logprobs else None,
        # Without them there are none for alternatives to stand beside.
        top_logprobs=asked.top_logprobs if logprobs else None,
        reasoning=_reasoning(asked.reasoning),
        verbosity=text.verbosity or "",
        stream=asked.stream is True,
        user=asked.user or "",
        metadata=asked.metadata,
        hints=hints,
        unknown=unknown,
    )


def _keep(what: str, param: str) -> NoReturn:
    raise InvalidRequest(f"{what}: {KEPT}", param=param)


def _unasked(asked: _Request) -> dict[str, Any]:
    """What stands within other fields and changes no answer."""
    items = asked.input if isinstance(asked.input, list) else []
    said = {
        "input.annotations": any(map(_cites, items)),
        "input.phase": any(item.phase is not None for item in items),
        "tools.defer_loading": any(tool.defer_loading for tool in asked.tools or ()),
        "reasoning.context": asked.reasoning is not None and asked.reasoning.context is not None,
        "top_logprobs": bool(asked.top_logprobs) and LOGPROBS not in (asked.include or ()),
    }
    return {name: None for name, there in said.items() if there}


def _turns(asked: _Request, unknown: list[str]) -> list[Turn]:
    turns = [Turn(Role.SYSTEM, [Text(asked.instructions)])] if asked.instructions else []
    if asked.input is None:
        raise InvalidRequest("input: this field is required", param="input")
    if isinstance(asked.input, str):
        return [*turns, Turn(Role.USER, [Text(asked.input)])]
    for at, item in enumerate(asked.input):
        where = f"input[{at}]"
        if item.type not in KNOWN and item.type != "item_reference":
            # What the provider's own machinery did, and what came of it.
            _note(unknown, f"input.{item.type[:100]}")
            continue
        role, parts = _item(item, where)
        # What an assistant thought, said and called are items of their own here.
        if role is Role.ASSISTANT and turns and turns[-1].role is role:
            turns[-1].parts += parts
        else:
            turns.append(Turn(role, parts))
    return turns


def _cites(item: _Item) -> bool:
    """Whether an earlier answer says what it is from."""
    return isinstance(item.content, list) and any(part.annotations for part in item.content)


def _item(item: _Item, where: str) -> tuple[Role, list[Part]]:
    kind = item.type
    if kind == "message":
        role = _ROLES.get(item.role or "")
        if role is None:
            raise InvalidRequest(f"{where}.role: expected one of {', '.join(_ROLES)}", param=f"{where}.role")
        return role, _parts(item.content, f"{where}.content")
    if kind == "function_call":
        if not item.call_id or not item.name or not isinstance(item.arguments or "", str):
            raise InvalidRequest(f"{where}: expected call_id, name and arguments as text", param=where)
        return Role.ASSISTANT, [ToolCall(item.call_id, item.name, item.arguments or "{}")]
    if kind == "custom_tool_call":
        if not item.call_id or not item.name:
            raise InvalidRequest(f"{where}: expected call_id, name and input", param=where)
        return Role.ASSISTANT, [ToolCall(item.call_id, item.name, custom_arguments(item.input or ""))]
    if kind in ("function_call_output", "custom_tool_call_output"):
        if not item.call_id:
            raise InvalidRequest(f"{where}.call_id: this field is required", param=f"{where}.call_id")
        return Role.TOOL, [ToolResult(item.call_id, _output(item.output, f"{where}.output"))]
    if kind == "reasoning":
        return Role.ASSISTANT, _thinking(item)
    # Clients that leave everything to be kept speak of items by their ids.
    _keep(f"{where}: {kind[:100]} (with `store: false` a client gives the item itself)", where)


def _thinking(item: _Item) -> list[Part]:
    """What was reasoned: its summary, else what open models tell, and the seal on it. Nothing else is worth a part."""
    told = item.summary or (item.content if isinstance(item.content, list) else None) or []
    seal = unwrap(item.encrypted_content or "", OPENAI)
    if seal.redacted:
        return [Thinking("", "", seal.text, seal.vendor)]
    text = "\n\n".join(part.text or "" for part in told)
    return [Thinking(text, seal.text, "", seal.vendor)] if text or seal.text else []


def _output(output: Any, where: str) -> list[Part]:
    if isinstance(output, str):
        return [Text(output)] if output else []
    try:
        return _parts(msgspec.convert(output, list[_Part]), where)
    except msgspec.ValidationError:
        raise InvalidRequest(f"{where}: expected a string or a list of parts", param=where) from None


def _parts(content: str | list[_Part] | None, where: str) -> list[Part]:
    if content is None:
        raise InvalidRequest(f"{where}: this field is required", param=where)
    if isinstance(content, str):
        return [Text(content)]
    return [_part(part, f"{where}[{at}]") for at, part in enumerate(content)]


def _part(part: _Part, where: str) -> Part:
    kind = part.type
    if kind in ("input_text", "output_text", "text") and part.text is not None:
        return Text(part.text)
    if kind == "refusal" and part.refusal is not None:
        return Refusal(part.refusal)
    if kind == "input_image":
        if part.image_url is None:
            _keep(f"{where}: an image by its file_id", where)
        media_type, data = _data_url(part.image_url)
        detail = part.detail if part.detail not in (None, "auto") else ""
        return Image(media_type, data, "" if data else part.image_url, detail or "")
    if kind == "input_file":
        if part.file_id is not None:
            _keep(f"{where}: a file by its file_id", where)
        media_type, data = _data_url(part.file_data or "")
        if part.file_data and not data:
            data = part.file_data
        return File(media_type, data, part.file_url or "", "", part.filename or "")
    if kind == "input_audio" and part.input_audio is not None:
        return Audio(part.input_audio.format, part.input_audio.data)
    raise InvalidRequest(
        f"{where}: expected an input_text, input_image, input_file, output_text or refusal part with what it"
        " names",
        param=where,
    )


def _data_url(url: str) -> tuple[str, str]:
    """Media type and base64 of a data URL; two empty strings for any other."""
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        return "", ""
    return head[5:-7].partition(";")[0], data


def _note(unknown: list[str], name: str) -> None:
    if name not in unknown:
        unknown.append(name)


def _tools(tools: list[_Function], unknown: list[str]) -> list[Tool]:
    """The functions that may be called. Shape: of other kinds of tools what the chat cannot carry."""
    made = []
    for at, tool in enumerate(tools):
        where = f"tools[{at}]"
        if tool.type != "function":
            _note(unknown, f"tools.{tool.type[:100]}")
            continue
        if not tool.name:
            raise InvalidRequest(f"{where}.name: this field is required", param=f"{where}.name")
        made.append(Tool(tool.name, tool.description or "", tool.parameters, tool.strict or None))
    return made


def _choice(choice: str | dict[str, Any] | None, unknown: list[str]) -> ToolChoice | None:
    if choice is None:
        return None
    if isinstance(choice, dict):
        kind, name = choice.get("type"), choice.get("name")
        if kind == "function" and isinstance(name, str):
            return ToolChoice(Choosing.NAMED, name)
        if kind != "allowed_tools":
            _note(unknown, f"tool_choice.{str(kind)[:100]}")
            return None
        choice = choice.get("mode")
    if choice in ("auto", "none", "required"):
        return ToolChoice(Choosing(choice))
    raise InvalidRequest("tool_choice: expected auto, none, required or a function", param="tool_choice")


def _allowed(tools: list[Tool], choice: dict[str, Any]) -> list[Tool]:
    """The tools that a choice of `allowed_tools` leaves."""
    listed = choice.get("tools")
    names = (
        {tool.get("name") for tool in listed if isinstance(tool, dict)} if isinstance(listed, list) else ()
    )
    return [tool for tool in tools if tool.name in names]


def _format(wanted: _Format | None) -> Format | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return Format()
    if wanted.type == "json_schema" and wanted.schema is not None:
        return Format(wanted.schema, wanted.name, wanted.description or "", wanted.strict)
    raise InvalidRequest(
        "text.format: expected text, json_object or json_schema with a schema", param="text.format"
    )


def _reasoning(wanted: _Reasoning | None) -> Reasoning | None:
    if wanted is None:
        return None
    summary = wanted.summary or wanted.generate_summary
    if not wanted.effort and not summary:
        return None
    effort = effort_of(wanted.effort, "reasoning.effort") if wanted.effort else ""
    return Reasoning(effort, None, True if summary else None)
