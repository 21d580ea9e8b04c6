"""An Anthropic request in the neutral form. What that form cannot carry is named in it, and refused when it is sent."""

from base64 import b64encode
from collections.abc import Iterable
from typing import Any

import msgspec

from kpgate.dialects.anthropic.forms import Block, CacheControl, Message, Source, Tool, blocks_of
from kpgate.dialects.anthropic.request import READ, MessagesRequest, ThinkingConfig
from kpgate.domain.body import invalid
from kpgate.domain.call import Call
from kpgate.domain.chat import (
    Chat,
    Choosing,
    File,
    Format,
    Image,
    Part,
    Reasoning,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from kpgate.domain.chat import Tool as Function
from kpgate.domain.errors import InvalidRequest
from kpgate.domain.seals import ANTHROPIC, unwrap

SPELLED = {
    "turns": "messages",
    "output_cap": "max_tokens",
    "stop": "stop_sequences",
    "format": "output_config.format",
    "reasoning": "thinking",
    "parallel_tools": "tool_choice.disable_parallel_tool_use",
    "user": "metadata.user_id",
    "cached": "cache_control",
    "strict": "tools.strict",
    "thinking": "messages: thinking",
    "image": "messages: image",
    "image.url": "messages: image.source.url",
    "file": "messages: document",
    "toolresult": "messages: tool_result",
    "tool_result.image": "messages: tool_result.content",
    "tool_result.failed": "messages: tool_result.is_error",
}
"""Fields of the neutral form by Anthropic's names."""

ROLES = {"user": Role.USER, "assistant": Role.ASSISTANT, "system": Role.SYSTEM}
CHOOSINGS = {
    "auto": Choosing.AUTO,
    "any": Choosing.REQUIRED,
    "tool": Choosing.NAMED,
    "none": Choosing.NONE,
}
_READ = frozenset(
    (
        *READ.names,
        "stop_sequences",
        "temperature",
        "top_p",
        "top_k",
        "metadata",
        "output_config",
        "output_format",
    )
)
_HINTS = frozenset(
    (
        "cache_control",
        "context_management",
        "diagnostics",
        "inference_geo",
        "service_tier",
        "speed",
        "user_profile_id",
    )
)
"""Fields that do not change what is asked: where, how fast, how cached, what to forget of a long conversation."""
_SHAPING = frozenset(("effort", "format", "task_budget"))
_TOOL_HINTS = ("input_examples", "defer_loading", "eager_input_streaming", "allowed_callers")


class Choose(msgspec.Struct, gc=False):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class OutputFormat(msgspec.Struct, gc=False):
    type: str
    schema: dict[str, Any] | None = None


class OutputConfig(msgspec.Struct, gc=False):
    effort: str | None = None
    format: OutputFormat | None = None
    task_budget: Any = None


class Metadata(msgspec.Struct, gc=False):
    user_id: str | None = None


class Options(msgspec.Struct, gc=False):
    """The rest of a request, which only a bridge needs."""

    tool_choice: Choose | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    metadata: Metadata | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = None


_options = msgspec.json.Decoder(Options)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def neutral(body: bytes, call: Call) -> Chat:
    """A request in the neutral form.

    Errors: InvalidRequest, naming what was wrong and where.
    """
    request: MessagesRequest = call.content
    try:
        options = _options.decode(body)
        members = _members.decode(body)
    except msgspec.ValidationError as error:
        raise invalid(str(error)) from None
    chat = Chat(
        turns=[],
        output_cap=request.max_tokens,
        temperature=options.temperature,
        top_p=options.top_p,
        top_k=options.top_k,
        stop=options.stop_sequences or [],
        stream=call.stream,
        hints={},
        unknown=[],
    )
    _fill(chat, options, request.thinking)
    for name, raw in members.items():
        if name not in _READ and bytes(raw) != b"null":
            if name in _HINTS:
                chat.hints[name] = None
            else:
                chat.unknown.append(name)
    if options.metadata is not None:
        told = _members.decode(members["metadata"])
        chat.hints |= dict.fromkeys(f"metadata.{name}" for name in told if name != "user_id")
    if options.output_config is not None:
        told = _members.decode(members["output_config"])
        chat.unknown += [f"output_config.{name}" for name in told if name not in _SHAPING]
        if options.output_config.task_budget is not None:
            chat.hints["output_config.task_budget"] = None
    if request.system is not None:
        chat.turns.append(Turn(Role.SYSTEM, _said(request.system, "system", chat)))
    for number, message in enumerate(request.messages):
        _turns(message, f"messages[{number}]", chat)
    chat.tools = [_tool(tool, chat) for tool in request.tools or () if _is_own(tool, chat)]
    return chat


def _fill(chat: Chat, options: Options, thinking: ThinkingConfig | None) -> None:
    """What the fields beside the turns ask for."""
    choose = options.tool_choice
    if choose is not None:
        how = CHOOSINGS.get(choose.type)
        if how is None or (how is Choosing.NAMED and not choose.name):
            raise InvalidRequest(
                "tool_choice: expected auto, any, none, or tool with its name", param="tool_choice"
            )
        chat.tool_choice = ToolChoice(how, choose.name or "")
        if choose.disable_parallel_tool_use is not None:
            chat.parallel_tools = not choose.disable_parallel_tool_use
    config = options.output_config or OutputConfig()
    wanted = config.format or options.output_format
    if wanted is not None:
        if wanted.type != "json_schema" or wanted.schema is None:
            raise InvalidRequest(
                "output_config.format: expected json_schema with its schema", param="output_config.format"
            )
        chat.format = Format(wanted.schema, "output")
    if options.metadata is not None:
        chat.user = options.metadata.user_id or ""
    chat.reasoning = _reasoning(thinking, config.effort or "")


def _reasoning(thinking: ThinkingConfig | None, effort: str) -> Reasoning | None:
    """How much to think. Shape: `max` is the most of `xhigh`; notes between tools alone are `minimal`."""
    most = effort == "max"
    effort = "xhigh" if most else effort
    if thinking is None:
        return Reasoning(effort, most=most) if effort else None
    shown = None if thinking.display is None else thinking.display != "omitted"
    if thinking.type == "disabled":
        return Reasoning("none", 0)
    if thinking.type == "between_tools":
        return Reasoning("minimal", None, shown)
    if thinking.type == "enabled":
        if thinking.budget_tokens is None or thinking.budget_tokens < 1:
            raise InvalidRequest(
                "thinking.budget_tokens: this field is required", param="thinking.budget_tokens"
            )
        return Reasoning(effort, thinking.budget_tokens, shown is not False, most)
    if thinking.type != "adaptive":
        name = "thinking.type"
        raise InvalidRequest(f"{name}: expected adaptive, enabled, between_tools or disabled", param=name)
    return Reasoning(effort, -1, shown, most)


def _turns(message: Message, where: str, chat: Chat) -> None:
    """One message, in as many turns as it takes: results of tools are a turn of their own."""
    role = ROLES.get(message.role)
    if role is None:
        raise InvalidRequest(f"{where}.role: expected user, assistant or system", param=f"{where}.role")
    turns = chat.turns
    begun = len(turns)
    for part in _said(message.content, f"{where}.content", chat):
        owner = Role.TOOL if type(part) is ToolResult else role
        if len(turns) == begun or turns[-1].role is not owner:
            turns.append(Turn(owner, []))
        turns[-1].parts.append(part)


def _said(content: str | list[Block], where: str, chat: Chat) -> list[Part]:
    if isinstance(content, str):
        return [Text(content)]
    found: list[Part] = []
    for number, block in enumerate(content):
        place = f"{where}[{number}]"
        try:
            part = _part(block, place, chat)
        except msgspec.ValidationError as error:
            said = invalid(str(error))
            raise InvalidRequest(f"{place}.content: {said.message}", param=f"{place}.content") from None
        if part is not None:
            found.append(part)
    return found


def _part(block: Block, where: str, chat: Chat) -> Part | None:
    """What a block says. None: nothing that the neutral form can carry, and then it is named."""
    kind = block.type
    cached, ttl = block.cache_control is not None, _ttl(block.cache_control)
    if kind == "text":
        if block.citations:
            chat.hints["messages.citations"] = None
        return Text(_needed(block.text, f"{where}.text"), cached, ttl)
    if kind == "image":
        return _image(_source(block, where), block.cache_control, where, chat)
    if kind == "document":
        return _document(block, where, chat)
    if kind == "tool_use":
        name = _needed(block.name, f"{where}.name")
        arguments = bytes(block.input).decode()
        if arguments[:1] != "{":
            raise InvalidRequest(f"{where}.input: expected an object", param=f"{where}.input")
        return ToolCall(_needed(block.id, f"{where}.id"), name, arguments, "", cached, ttl)
    if kind == "tool_result":
        said: Iterable[Block] = blocks_of(block.content)
        parts = [part for one in said if (part := _part(one, f"{where}.content", chat)) is not None]
        id = _needed(block.tool_use_id, f"{where}.tool_use_id")
        return ToolResult(id, parts, "", block.is_error is True, cached, ttl)
    if kind == "thinking":
        text, seal = _needed(block.thinking, f"{where}.thinking"), unwrap(block.signature or "", ANTHROPIC)
        return Thinking(text, seal.text, "", seal.vendor)
    if kind == "redacted_thinking":
        seal = unwrap(_needed(block.data, f"{where}.data"), ANTHROPIC)
        return Thinking("", "", seal.text, seal.vendor)
    _name(chat, kind)
    return None


def _source(block: Block, where: str) -> Source:
    if not isinstance(block.source, Source):
        raise InvalidRequest(f"{where}.source: expected an object", param=f"{where}.source")
    return block.source


def _image(source: Source, control: CacheControl | None, where: str, chat: Chat) -> Image | None:
    cached, ttl = control is not None, _ttl(control)
    if source.type == "url":
        return Image(url=_needed(source.url, f"{where}.source.url"), cached=cached, ttl=ttl)
    if source.type == "base64":
        media_type = _needed(source.media_type, f"{where}.source.media_type")
        return Image(media_type, _needed(source.data, f"{where}.source.data"), cached=cached, ttl=ttl)
    # An upload is known to Anthropic alone.
    _name(chat, f"image.source.{source.type}")
    return None


def _document(block: Block, where: str, chat: Chat) -> Part | None:
    """A document, in whichever way its source gives it."""
    source = _source(block, where)
    made = File(name=block.title or "", cached=block.cache_control is not None, ttl=_ttl(block.cache_control))
    if block.context:
        _name(chat, "document.context")
    if isinstance(block.citations, dict) and block.citations.get("enabled"):
        _name(chat, "document.citations")
    if source.type == "url":
        made.url = _needed(source.url, f"{where}.source.url")
    elif source.type == "base64":
        made.media_type = source.media_type or "application/pdf"
        made.data = _needed(source.data, f"{where}.source.data")
    elif source.type == "text":
        data = _needed(source.data, f"{where}.source.data").encode("utf-8", "replace")
        made.media_type, made.data = "text/plain", b64encode(data).decode()
    else:
        _name(chat, f"document.source.{source.type}")
        return None
    return made


def _is_own(tool: Tool, chat: Chat) -> bool:
    """Whether a tool is the caller's. One of Anthropic's is named."""
    if not tool.own:
        _name(chat, f"tools.{tool.type}")
    return tool.own


def _tool(tool: Tool, chat: Chat) -> Function:
    for name in _TOOL_HINTS:
        if getattr(tool, name) is not None:
            chat.hints[f"tools.{name}"] = None
    raw = bytes(tool.input_schema)
    parameters = None
    if raw and raw != b"null":
        try:
            parameters = msgspec.json.decode(raw, type=dict[str, Any])
        except msgspec.MsgspecError:
            raise InvalidRequest(
                "tools.input_schema: expected an object", param="tools.input_schema"
            ) from None
    cached, ttl = tool.cache_control is not None, _ttl(tool.cache_control)
    return Function(tool.name, tool.description or "", parameters, tool.strict, cached, ttl)


def _ttl(control: CacheControl | None) -> str:
    return "" if control is None else control.ttl or ""


def _name(chat: Chat, what: str) -> None:
    if what not in chat.unknown:
        chat.unknown.append(what)


def _needed(value: Any, where: str) -> Any:
    if value is None:
        raise InvalidRequest(f"{where}: this field is required", param=where)
    return value
