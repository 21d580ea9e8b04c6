"""A Gemini request in the neutral form. What that form cannot carry is named in it, and refused where it is sent."""

from math import isfinite
from typing import Any

import msgspec

from kpgate.dialects.gemini import parts
from kpgate.dialects.gemini.forms import Content, FunctionResponse, Part, declarations_of, parts_of
from kpgate.dialects.gemini.request import Asked
from kpgate.dialects.gemini.schema import json_schema
from kpgate.domain.body import invalid
from kpgate.domain.call import Call
from kpgate.domain.chat import (
    Chat,
    Choosing,
    Format,
    Reasoning,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from kpgate.domain.chat import Part as Neutral
from kpgate.domain.errors import InvalidRequest

SPELLED = {
    "tool_choice": "toolConfig",
    "format": "generationConfig.responseJsonSchema",
    "output_cap": "generationConfig.maxOutputTokens",
    "temperature": "generationConfig.temperature",
    "top_p": "generationConfig.topP",
    "top_k": "generationConfig.topK",
    "frequency_penalty": "generationConfig.frequencyPenalty",
    "presence_penalty": "generationConfig.presencePenalty",
    "seed": "generationConfig.seed",
    "stop": "generationConfig.stopSequences",
    "logprobs": "generationConfig.responseLogprobs",
    "top_logprobs": "generationConfig.logprobs",
    "choices": "generationConfig.candidateCount",
    "reasoning": "generationConfig.thinkingConfig",
    "modalities": "generationConfig.responseModalities",
    "turns": "contents",
}
"""Fields of the neutral form by Google's names."""

_READ = frozenset(
    ("contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "model", "safetySettings")
)
_HINTS = frozenset(("labels", "serviceTier", "store"))
_NO_FILTER = frozenset(("BLOCK_NONE", "OFF", "HARM_BLOCK_THRESHOLD_UNSPECIFIED"))


class ThinkingConfig(msgspec.Struct, gc=False, rename="camel"):
    include_thoughts: bool | None = None
    thinking_budget: int | None = None
    thinking_level: str | None = None


class GenerationConfig(msgspec.Struct, gc=False, rename="camel"):
    """How to generate. `raw_schema` is the JSON schema by an older name."""

    stop_sequences: list[str] | None = None
    response_mime_type: str | None = None
    response_schema: dict[str, Any] | None = None
    response_json_schema: dict[str, Any] | None = None
    raw_schema: dict[str, Any] | None = msgspec.field(default=None, name="_responseJsonSchema")
    response_modalities: list[str] | None = None
    candidate_count: int | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: float | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_logprobs: bool | None = None
    logprobs: int | None = None
    thinking_config: ThinkingConfig | None = None


class FunctionCallingConfig(msgspec.Struct, gc=False, rename="camel"):
    mode: str | None = None
    allowed_function_names: list[str] | None = None


class ToolConfig(msgspec.Struct, gc=False, rename="camel"):
    function_calling_config: FunctionCallingConfig | None = None


# Google takes numbers in quotes, and so do we where it is read to be said otherwise.
_config = msgspec.json.Decoder(GenerationConfig, strict=False)
_tool_config = msgspec.json.Decoder(ToolConfig)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def neutral(body: bytes, call: Call) -> Chat:
    """A decoded call in the neutral form.

    Errors: InvalidRequest for what makes no sense, by its place.
    """
    asked: Asked = call.content
    members = _members.decode(asked.plain or body)
    chat = Chat(_turns(asked), stream=call.stream)
    chat.unknown += _unread(asked)
    chat.tools = _tools(members.get("tools"), asked, chat.unknown)
    for name, raw in members.items():
        if name in _HINTS:
            chat.hints[name] = True
        elif name == "safetySettings":
            _safety(raw, chat)
        elif name not in _READ and bytes(raw) != b"null":
            chat.unknown.append(name)
    if "generationConfig" in members:
        _configure(chat, _read(_config, members["generationConfig"], "generationConfig"))
        _name_unknown(chat, members["generationConfig"], "generationConfig", GenerationConfig)
        asked.shows = chat.reasoning is not None and chat.reasoning.shown is True
    if "toolConfig" in members:
        _choose(chat, _read(_tool_config, members["toolConfig"], "toolConfig"))
        _name_unknown(chat, members["toolConfig"], "toolConfig", ToolConfig)
    return chat


def _read(decoder: msgspec.json.Decoder[Any], raw: msgspec.Raw, name: str) -> Any:
    if bytes(raw) == b"null":
        return decoder.decode(b"{}")
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        sentence, _, where = str(error).partition(" - at ")
        raise invalid(f"{sentence} - at `$.{name}{where.strip('`').removeprefix('$')}`") from None


def _name_unknown(chat: Chat, raw: msgspec.Raw, name: str, kind: type[msgspec.Struct]) -> None:
    """Note the fields that are not read."""
    if bytes(raw) != b"null":
        known = kind.__struct_encode_fields__
        chat.unknown += [f"{name}.{field}" for field in _members.decode(raw) if field not in known]


class _Ids:
    """Ids for calls that have none, found again by the name and the order of their results."""

    def __init__(self) -> None:
        self.open: list[ToolCall] = []

    def give(self, call: ToolCall) -> None:
        """A call whose result may come."""
        self.open.append(call)

    def take(self, response: FunctionResponse, where: str) -> str:
        """The id of the call that a result is of. Errors: InvalidRequest where there is none."""
        for place, call in enumerate(self.open):
            if call.id == response.id or (not response.id and call.name == response.name):
                del self.open[place]
                return call.id
        if response.id:
            return response.id
        raise InvalidRequest(
            f"{where}: no call of {response.name[:100]!r} is without its result", param=where
        )


def _turns(asked: Asked) -> list[Turn]:
    turns: list[Turn] = []
    request, ids = asked.request, _Ids()
    if request.system_instruction is not None:
        pieces = parts_of(request.system_instruction)
        said: list[Neutral] = [Text(piece.text) for piece in pieces if piece.text is not None]
        if len(said) != len(pieces):
            raise InvalidRequest("systemInstruction.parts: expected texts", param="systemInstruction")
        turns.append(Turn(Role.SYSTEM, said))
    for place, content in enumerate(request.turns()):
        where = f"contents[{place}]"
        role = content.role or "user"
        if role not in ("user", "model", "function"):
            raise InvalidRequest(f"{where}.role: expected user or model", param=f"{where}.role")
        _turn(turns, content, Role.ASSISTANT if role == "model" else Role.USER, ids, where)
    return turns


def _turn(turns: list[Turn], content: Content, role: Role, ids: _Ids, where: str) -> None:
    """One content, in as many turns as it takes: results of tools are a turn of their own."""
    for number, piece in enumerate(parts_of(content)):
        place = f"{where}.parts[{number}]"
        owner = Role.TOOL if piece.function_response is not None else role
        try:
            said = _part(piece, ids, place)
        except (ValueError, msgspec.MsgspecError) as error:
            raise InvalidRequest(f"{place}: {error}", param=place) from None
        if number == 0 or turns[-1].role is not owner:
            turns.append(Turn(owner, []))
        for part in said:
            _add(turns[-1].parts, part)


def _add(said: list[Neutral], part: Neutral) -> None:
    """One more part; pieces of a thought are one up to their seal, as a stream gave them."""
    last = said[-1] if said else None
    if (
        isinstance(part, Thinking)
        and isinstance(last, Thinking)
        and not (last.signature or last.redacted or part.redacted)
    ):
        said[-1] = Thinking(last.text + part.text, part.signature, "", part.vendor)
    else:
        said.append(part)


def _part(piece: Part, ids: _Ids, where: str) -> list[Neutral]:
    if piece.function_call is not None:
        call = parts.called(piece, f"call_{where[9:].replace('].parts[', '_').rstrip(']')}")
        ids.give(call)
        return [call]
    if piece.function_response is not None:
        response = piece.function_response
        found: ToolResult = parts.answered(response, ids.take(response, where))
        return [found]
    if piece.inline_data is not None:
        return [parts.media(piece.inline_data)]
    if piece.file_data is not None:
        return [parts.linked(piece.file_data)]
    return parts.spoken(piece)


def _unread(asked: Asked) -> list[str]:
    """Pieces that only Google understands, by their place."""
    found = []
    for place, content in enumerate(asked.request.turns()):
        for number, piece in enumerate(parts_of(content)):
            where = f"contents[{place}].parts[{number}]"
            for name in parts.UNREAD:
                if getattr(piece, name) is not None:
                    found.append(
                        f"{where}.{Part.__struct_encode_fields__[Part.__struct_fields__.index(name)]}"
                    )
            link, response = piece.file_data, piece.function_response
            if link is not None and link.file_uri.startswith(parts.GOOGLES_OWN):
                found.append(f"{where}.fileData")
            if response is not None and (response.will_continue or response.scheduling is not None):
                found.append(f"{where}.functionResponse")
    return found


def _tools(raw: msgspec.Raw | None, asked: Asked, unknown: list[str]) -> list[Tool]:
    """The functions. Tools of Google's own are not carried."""
    found: list[Tool] = []
    if raw is None or bytes(raw) == b"null":
        return found
    named = msgspec.json.decode(raw)
    for place, one in enumerate(named if isinstance(named, list) else [named]):
        unknown += [f"tools[{place}].{name}" for name in one if name != "functionDeclarations"]
    for tool in asked.request.all_tools():
        for declared in declarations_of(tool):
            shape = declared.parameters_json_schema
            if shape is None and declared.parameters is not None:
                shape = json_schema(declared.parameters)
            if shape is not None and not isinstance(shape, dict):
                raise InvalidRequest("tools: expected a schema that is an object", param="tools")
            found.append(Tool(declared.name, declared.description, shape))
    return found


def _safety(raw: msgspec.Raw, chat: Chat) -> None:
    """Filters that are asked to be off are off where there are none."""
    settings = msgspec.json.decode(raw) or []
    off = isinstance(settings, list) and all(
        isinstance(one, dict) and one.get("threshold") in _NO_FILTER for one in settings
    )
    if settings and off:
        chat.hints["safetySettings"] = settings
    elif settings:
        chat.unknown.append("safetySettings")


def _configure(chat: Chat, config: GenerationConfig) -> None:
    for name in ("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty"):
        value = getattr(config, name)
        if value is not None and not isfinite(value):
            raise InvalidRequest(f"{SPELLED[name]}: expected a number", param=SPELLED[name])
    chat.output_cap = config.max_output_tokens
    chat.choices = config.candidate_count or 1
    chat.temperature, chat.top_p = config.temperature, config.top_p
    if config.top_k is not None:
        chat.top_k = int(config.top_k)
    chat.frequency_penalty, chat.presence_penalty = config.frequency_penalty, config.presence_penalty
    chat.seed = config.seed
    chat.stop = config.stop_sequences or []
    chat.logprobs, chat.top_logprobs = config.response_logprobs, config.logprobs
    chat.format = _format(config, chat)
    thinking = config.thinking_config
    if thinking is not None:
        effort = (thinking.thinking_level or "").removeprefix("THINKING_LEVEL_").lower()
        effort = "" if effort == "unspecified" else effort
        chat.reasoning = Reasoning(effort, thinking.thinking_budget, thinking.include_thoughts)
    wanted = [one.removeprefix("MODALITY_").lower() for one in config.response_modalities or ()]
    if wanted != ["text"]:
        chat.modalities = wanted


def _format(config: GenerationConfig, chat: Chat) -> Format | None:
    """That the answer is JSON, by a schema in any of its three places."""
    kind = config.response_mime_type or ""
    shape = config.response_json_schema or config.raw_schema
    if shape is None and config.response_schema is not None:
        shape = json_schema(config.response_schema)
    if kind == "application/json":
        return Format(shape)
    if kind not in ("", "text/plain"):
        chat.unknown.append("generationConfig.responseMimeType")
    elif shape is not None:
        raise InvalidRequest(
            "generationConfig.responseMimeType: a schema asks for application/json",
            param="generationConfig.responseMimeType",
        )
    return None


_MODES = {"AUTO": Choosing.AUTO, "VALIDATED": Choosing.AUTO, "ANY": Choosing.REQUIRED, "NONE": Choosing.NONE}


def _choose(chat: Chat, config: ToolConfig) -> None:
    calling = config.function_calling_config
    mode = "MODE_UNSPECIFIED" if calling is None else calling.mode or "MODE_UNSPECIFIED"
    if calling is None or (mode == "MODE_UNSPECIFIED" and not calling.allowed_function_names):
        return
    how = _MODES.get(mode)
    if how is None:
        where = "toolConfig.functionCallingConfig.mode"
        raise InvalidRequest(f"{where}: expected AUTO, ANY, NONE or VALIDATED", param=where)
    names = calling.allowed_function_names or []
    if how is Choosing.REQUIRED and len(names) == 1:
        chat.tool_choice = ToolChoice(Choosing.NAMED, names[0])
        return
    chat.tool_choice = ToolChoice(how)
    if names:
        chat.unknown.append("toolConfig.functionCallingConfig.allowedFunctionNames")
