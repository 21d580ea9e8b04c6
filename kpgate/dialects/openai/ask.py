"""How a provider that speaks OpenAI is asked for a chat in the neutral form. Pure; only calls that cross dialects come
here.

Source: OpenAI API reference, chat completions: create (checked November 2026).
"""

from collections.abc import Sequence
from typing import Any

import msgspec

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
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from kpgate.domain.dialect import Aim
from kpgate.domain.gpt import unthinking
from kpgate.domain.quirks import NONE, Quirks


def encode_chat(chat: Chat, aim: Aim, quirks: Quirks = NONE) -> bytes:
    """The request that asks a provider for a chat. Shape: of its quirks those that say what it takes beside OpenAI's.

    Errors: Unspeakable for what chat completions have no field for.
    """
    sent: dict[str, Any] = {"model": aim.model, "messages": _messages(chat.turns, aim, quirks.thinks_back)}
    cap = _least(chat.output_cap, aim.cap)
    if cap is not None:
        sent["max_completion_tokens"] = cap
    if chat.tools:
        sent["tools"] = [_encode_tool(tool, aim) for tool in chat.tools]
    if chat.tool_choice is not None:
        sent["tool_choice"] = _encode_choice(chat.tool_choice)
    if chat.format is not None:
        sent["response_format"] = _encode_format(chat.format)
    if chat.reasoning is not None:
        effort = effort_to(chat.reasoning, aim, quirks.none)
        if effort:
            sent["reasoning_effort"] = effort
    if chat.stop:
        sent["stop"] = chat.stop
    if chat.choices != 1:
        sent["n"] = chat.choices
    if chat.top_k is not None and not quirks.top_k:
        aim.lack("top_k")
    for name, value in (
        ("parallel_tool_calls", chat.parallel_tools),
        ("temperature", chat.temperature),
        ("top_p", chat.top_p),
        ("top_k", chat.top_k if quirks.top_k else None),
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
    ):
        if value is not None:
            sent[name] = value
    if chat.metadata:
        # It is kept with completions that are stored there, which nobody's are over a bridge.
        aim.leave_out("metadata")
    if aim.stream:
        sent |= {"stream": True, "stream_options": {"include_usage": True}}
    return msgspec.json.encode(sent)


def effort_to(wanted: Reasoning, aim: Aim, none: bool = False) -> str:
    """The effort that is asked for, empty where none is said. Shape: `none` is known to mean no reasoning."""
    effort = wanted.effort or effort_of(wanted.budget)
    if effort != "none" or none:
        return effort
    told = unthinking(aim.model)
    if told is None:
        # It would be refused by many, and others reason all the same.
        aim.leave_out("reasoning")
    return told or ""


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


def _messages(turns: list[Turn], aim: Aim, thinks_back: bool) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    for turn in turns:
        parts = turn.parts
        if len(parts) == 1 and type(parts[0]) is Text and not turn.name:
            if parts[0].cached:
                aim.leave_out("cached")
            messages.append({"role": turn.role, "content": parts[0].text})
            continue
        results = [part for part in parts if isinstance(part, ToolResult)]
        for result in results:
            content = _tool_content(result, aim)
            messages.append({"role": "tool", "tool_call_id": result.id, "content": content})
        rest = [part for part in parts if not isinstance(part, ToolResult)]
        if rest or not results:
            messages.append(_message(turn, rest, aim, thinks_back))
    return messages


def _message(turn: Turn, parts: Sequence[Part], aim: Aim, thinks_back: bool) -> dict[str, Any]:
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
            thought.append(part.text)
        elif isinstance(part, Audio) and part.id:
            message["audio"] = {"id": part.id}
        else:
            content.append(_encode_part(part, aim))
    if thinks_back and calls and any(thought):
        message["reasoning_content"] = "\n\n".join(filter(None, thought))
    elif thought:
        # Chat completions have no field for it.
        aim.leave_out("thinking")
    if all(part["type"] == "text" for part in content) and len(content) <= 1:
        message["content"] = content[0]["text"] if content else None if calls else ""
    else:
        message["content"] = content
    if calls:
        message["tool_calls"] = calls
    return message


def _tool_content(result: ToolResult, aim: Aim) -> str | list[dict[str, Any]]:
    if result.failed:
        aim.leave_out("tool_result.failed")
    if result.cached or any(isinstance(part, Text) and part.cached for part in result.parts):
        aim.leave_out("cached")
    texts = [part.text for part in result.parts if isinstance(part, Text)]
    if len(texts) != len(result.parts):
        aim.lack("tool_result.image", "a tool's result may only be text there")
    if len(texts) <= 1:
        return texts[0] if texts else ""
    return [{"type": "text", "text": text} for text in texts]


def _encode_part(part: Part, aim: Aim) -> dict[str, Any]:
    if isinstance(part, Text | Image | File) and part.cached:
        aim.leave_out("cached")
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


def _encode_tool(tool: Tool, aim: Aim) -> dict[str, Any]:
    if tool.cached:
        aim.leave_out("cached")
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
