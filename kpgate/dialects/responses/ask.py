"""How a provider that speaks the Responses API is asked for a chat in the neutral form. Pure; only calls that cross
dialects come here.

Nothing is left with the provider: a caller who speaks otherwise could not name it later.
Source: OpenAI API reference, responses: create (checked November 2026).
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from kpgate.dialects.openai.ask import effort_to
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
from kpgate.domain.seals import OPENAI

ENCRYPTED = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"
CARRIED = ("prompt_cache_key", "prompt_cache_retention", "safety_identifier")
"""Hints that have a place here by the same name."""
SEAL = "."
"""Between a reasoning item's id and its encrypted content: both go back together."""

Json = dict[str, Any]


def encode_chat(chat: Chat, aim: Aim) -> bytes:
    """The request that asks a provider for a chat.

    Errors: Unspeakable for what the Responses API has no field for.
    """
    _lacks(chat, aim)
    sent: Json = {"model": aim.model}
    turns = chat.turns
    first = turns[0] if len(turns) > 1 else None
    if first is not None and first.role is Role.SYSTEM and all(type(part) is Text for part in first.parts):
        if any(part.cached for part in first.parts if isinstance(part, Text)):
            aim.leave_out("cached")
        sent["instructions"] = "\n\n".join(part.text for part in first.parts if isinstance(part, Text))
        turns = turns[1:]
    sent["input"] = [item for turn in turns for item in _items(turn, aim)]
    sent["store"] = False
    cap = [size for size in (chat.output_cap, aim.cap) if size]
    if cap:
        sent["max_output_tokens"] = min(cap)
    if chat.tools:
        sent["tools"] = [_tool(tool, aim) for tool in chat.tools]
    if chat.tool_choice is not None:
        sent["tool_choice"] = _choice(chat.tool_choice)
    text: Json = {}
    if chat.format is not None:
        text["format"] = _format(chat.format)
    if chat.verbosity:
        text["verbosity"] = chat.verbosity
    include = [LOGPROBS] if chat.logprobs else []
    if chat.reasoning is not None:
        wanted = _reasoning(chat.reasoning, aim)
        if wanted:
            sent["reasoning"] = wanted
        if chat.reasoning.effort != "none" and chat.reasoning.budget != 0:
            include.append(ENCRYPTED)
    for name, value in (
        ("text", text or None),
        ("include", include or None),
        ("parallel_tool_calls", chat.parallel_tools),
        ("temperature", chat.temperature),
        ("top_p", chat.top_p),
        ("top_logprobs", chat.top_logprobs),
        ("user", chat.user or None),
        ("metadata", chat.metadata),
    ):
        if value is not None:
            sent[name] = value
    for name in CARRIED:
        if name in chat.hints:
            sent[name] = chat.hints[name]
            aim.keep(name)
    if aim.stream:
        sent["stream"] = True
    return msgspec.json.encode(sent)


def _lacks(chat: Chat, aim: Aim) -> None:
    """Everything that has no field there."""
    for name, value in (
        ("stop", chat.stop),
        ("top_k", chat.top_k),
        ("frequency_penalty", chat.frequency_penalty),
        ("presence_penalty", chat.presence_penalty),
        ("seed", chat.seed),
        ("logit_bias", chat.logit_bias),
        ("voice", chat.voice),
    ):
        # A penalty of nothing is none.
        if value is not None and value != [] and not (isinstance(value, float) and value == 0):
            aim.lack(name)
    if chat.choices != 1:
        aim.lack("choices")
    if set(chat.modalities) - {"text"}:
        aim.lack("modalities")


def _items(turn: Turn, aim: Aim) -> Iterable[Json]:
    """A turn as items, in the order of its parts: what belongs to one message stands together."""
    if turn.name:
        aim.leave_out("name")
    content: list[Json] = []
    for part in turn.parts:
        if isinstance(part, ToolCall | ToolResult | Thinking):
            if content:
                yield _message(turn.role, content)
                content = []
            yield from _item(part, aim)
        else:
            content.append(_part(part, turn.role, aim))
    if content:
        yield _message(turn.role, content)


def _message(role: Role, content: list[Json]) -> Json:
    """A message. Shape: a single text stands for itself."""
    only = content[0] if len(content) == 1 else {}
    plain = only.get("text") if only.get("type") in ("input_text", "output_text") else None
    said = content if plain is None else plain
    return {"type": "message", "role": "user" if role is Role.TOOL else role.value, "content": said}


def _item(part: ToolCall | ToolResult | Thinking, aim: Aim) -> Iterable[Json]:
    if isinstance(part, ToolCall):
        yield {
            "type": "function_call",
            "call_id": part.id,
            "name": part.name,
            "arguments": part.arguments,
        }
    elif isinstance(part, ToolResult):
        yield {"type": "function_call_output", "call_id": part.id, "output": _output(part, aim)}
    else:
        sealed = part.signature or part.redacted
        name, dot, seal = sealed.partition(SEAL)
        if part.vendor != OPENAI or not dot or not name.startswith("rs_"):
            # Without this vendor's own seal it would not be taken for the model's.
            aim.leave_out("thinking")
            return
        summary = [{"type": "summary_text", "text": part.text}] if part.text else []
        yield {"type": "reasoning", "id": name, "summary": summary, "encrypted_content": seal}


def _output(result: ToolResult, aim: Aim) -> str | list[Json]:
    if result.failed:
        aim.leave_out("tool_result.failed")
    if result.cached:
        aim.leave_out("cached")
    parts = result.parts
    if len(parts) <= 1 and all(isinstance(part, Text) and not part.cached for part in parts):
        return parts[0].text if parts else ""  # type: ignore[union-attr]
    return [_part(part, Role.USER, aim) for part in parts]


def _part(part: Part, role: Role, aim: Aim) -> Json:
    if isinstance(part, Text | Image | File) and part.cached:
        aim.leave_out("cached")
    if isinstance(part, Text):
        return {"type": "output_text" if role is Role.ASSISTANT else "input_text", "text": part.text}
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text}
    if isinstance(part, Image):
        url = part.url or f"data:{part.media_type};base64,{part.data}"
        return {"type": "input_image", "image_url": url, "detail": part.detail or "auto"}
    if isinstance(part, Audio):
        aim.lack("audio")
        return {"type": "input_text", "text": part.transcript}
    assert isinstance(part, File), "tool calls, results and thinking have places of their own"
    said: Json = {"type": "input_file"}
    if part.name:
        said["filename"] = part.name
    if part.id:
        return said | {"file_id": part.id}
    if part.url and not part.data:
        return said | {"file_url": part.url}
    return said | {"file_data": f"data:{part.media_type};base64,{part.data}"}


def _tool(tool: Tool, aim: Aim) -> Json:
    """A tool. Shape: strict is the default here, and what was not asked to be is not."""
    if tool.cached:
        aim.leave_out("cached")
    said: Json = {"type": "function", "name": tool.name}
    if tool.description:
        said["description"] = tool.description
    return said | {"parameters": tool.parameters, "strict": tool.strict is True}


def _choice(choice: ToolChoice) -> str | Json:
    if choice.how is Choosing.NAMED:
        return {"type": "function", "name": choice.name}
    return choice.how.value


def _format(wanted: Format) -> Json:
    if wanted.schema is None:
        return {"type": "json_object"}
    said: Json = {"type": "json_schema", "name": wanted.name or "answer", "schema": wanted.schema}
    if wanted.description:
        said["description"] = wanted.description
    if wanted.strict is not None:
        said["strict"] = wanted.strict
    return said


def _reasoning(wanted: Reasoning, aim: Aim) -> Json:
    effort = effort_to(wanted, aim)
    said: Json = {"effort": effort} if effort else {}
    return said | ({"summary": "auto"} if wanted.shown else {})
