"""A chat from the neutral form as a request to Cohere: what has no place there is refused by name, or left out.

Instructions come first, in one system message. A thought before calls is the `tool_plan`, any other a thinking block.
Source: docs.cohere.com, API reference, "Chat" (v2); "Errors"; guides "Tool use", "Structured outputs", "Reasoning"
(checked November 2026).
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from kpgate.domain.chat import (
    Chat,
    Choosing,
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
    ToolResult,
    Turn,
    marks,
)
from kpgate.domain.dialect import Aim

Json = dict[str, Any]

BUDGETS = {"minimal": 512, "low": 1024, "medium": 8192}
"""Units: tokens to think with. Efforts above these think without a bound."""
EFFORTS = ("", "none", "minimal", "low", "medium", "high", "xhigh", "max")
P_LEAST, P_MOST = 0.01, 0.99
K_MOST = 500
STOPS_MOST = 5
ALONE = "the cohere API calls one tool by being given no other"


def encode_chat(chat: Chat, aim: Aim) -> bytes:
    """The request's body. Errors: Unspeakable for what Cohere's API has nothing for."""
    asked: Json = {"model": aim.model, "messages": _messages(chat.turns, aim)}
    cap = min([one for one in (aim.cap, chat.output_cap) if one], default=None)
    if cap is not None:
        asked["max_tokens"] = cap
    _arm(chat, asked, aim)
    if chat.format is not None:
        asked["response_format"] = _format(chat.format)
    if chat.reasoning is not None and (thinking := _think(chat.reasoning, cap, aim)) is not None:
        asked["thinking"] = thinking
    _sample(chat, asked, aim)
    _refuse(chat, aim)
    if aim.stream:
        asked["stream"] = True
    return msgspec.json.encode(asked)


def _messages(turns: list[Turn], aim: Aim) -> list[Json]:
    instructions: list[str] = []
    messages: list[Json] = []
    for turn in turns:
        if turn.name:
            aim.leave_out("name")
        if marks(turn.parts):
            aim.leave_out("cached")
        if turn.role in (Role.SYSTEM, Role.DEVELOPER):
            instructions += [part.text for part in turn.parts if isinstance(part, Text) and part.text]
            continue
        messages += [_result(part, aim) for part in turn.parts if isinstance(part, ToolResult)]
        rest = [part for part in turn.parts if not isinstance(part, ToolResult)]
        if turn.role is Role.ASSISTANT:
            messages.append(_answer(rest, aim))
        elif rest:
            messages.append({"role": "user", "content": _content(rest, aim)})
    if instructions:
        messages.insert(0, {"role": "system", "content": "\n\n".join(instructions)})
    return messages


def _content(parts: Sequence[Part], aim: Aim) -> str | list[Json]:
    """What a user says: a text where it is only that."""
    if len(parts) == 1 and isinstance(parts[0], Text):
        return parts[0].text
    content: list[Json] = []
    for part in parts:
        if isinstance(part, Text | Refusal):
            content.append({"type": "text", "text": part.text})
        elif isinstance(part, Image):
            url: Json = {"url": part.url or f"data:{part.media_type};base64,{part.data}"}
            if part.detail in ("auto", "low", "high"):
                url["detail"] = part.detail
            content.append({"type": "image_url", "image_url": url})
        else:
            aim.lack(type(part).__name__.lower())
    return content


def _answer(parts: Sequence[Part], aim: Aim) -> Json:
    """What the assistant said before."""
    said: Json = {"role": "assistant"}
    calls, thoughts, content = [], [], []
    for part in parts:
        if isinstance(part, ToolCall):
            function = {"name": part.name, "arguments": part.arguments}
            calls.append({"id": part.id, "type": "function", "function": function})
        elif isinstance(part, Thinking):
            if part.text:
                # Cohere seals nothing: a seal is another vendor's, for that vendor only; what was thought is not.
                thoughts.append(part.text)
            elif part.signature or part.redacted:
                aim.leave_out("thinking")
        elif isinstance(part, Text | Refusal):
            content.append({"type": "text", "text": part.text})
        else:
            aim.lack(type(part).__name__.lower())
    if calls:
        said["tool_calls"] = calls
        if thoughts:
            said["tool_plan"] = "".join(thoughts)
    else:
        content = [{"type": "thinking", "thinking": thought} for thought in thoughts] + content
    if len(content) == 1 and content[0]["type"] == "text":
        said["content"] = content[0]["text"]
    elif content or not calls:
        said["content"] = content or ""
    return said


def _result(result: ToolResult, aim: Aim) -> Json:
    content = [{"type": "text", "text": part.text} for part in result.parts if isinstance(part, Text)]
    if len(content) != len(result.parts):
        aim.lack("tool_result.image", "a tool's result may only be text there")
    if result.failed:
        aim.leave_out("tool_result.failed")
    return {"role": "tool", "tool_call_id": result.id, "content": content}


def _arm(chat: Chat, asked: Json, aim: Aim) -> None:
    """The tools, and whether one is to be called: one that is named is the only one given."""
    tools, choice = chat.tools, chat.tool_choice
    if choice is not None and choice.how is Choosing.NAMED:
        tools = [tool for tool in tools if tool.name == choice.name]
        if not tools:
            aim.lack("tool_choice", f"{ALONE}, and none has this name")
            tools = chat.tools
    if not tools:
        return
    asked["tools"] = [_tool(tool, aim) for tool in tools]
    if all(tool.strict for tool in tools):
        asked["strict_tools"] = True
    elif any(tool.strict for tool in tools):
        aim.leave_out("strict")
    if choice is not None and choice.how is not Choosing.AUTO:
        asked["tool_choice"] = "NONE" if choice.how is Choosing.NONE else "REQUIRED"
    aim.lack_one_call(chat)


def _tool(tool: Tool, aim: Aim) -> Json:
    if tool.cached:
        aim.leave_out("cached")
    parameters = tool.parameters if tool.parameters is not None else {"type": "object", "properties": {}}
    function: Json = {"name": tool.name, "parameters": parameters}
    if tool.description:
        function["description"] = tool.description
    return {"type": "function", "function": function}


def _format(wanted: Format) -> Json:
    asked: Json = {"type": "json_object"}
    if wanted.schema is not None:
        asked["json_schema"] = wanted.schema
    return asked


def _think(reasoning: Reasoning, cap: int | None, aim: Aim) -> Json | None:
    """Thinking, with a budget that leaves half of the cap for the answer."""
    effort, budget = reasoning.effort, reasoning.budget
    if effort not in EFFORTS:
        aim.lack("reasoning", f"expected one of {', '.join(EFFORTS[1:])}")
    if effort == "none" or budget == 0:
        return {"type": "disabled"}
    if not effort and budget is None:
        return None
    tokens = budget if budget is not None and budget > 0 else BUDGETS.get(effort)
    asked: Json = {"type": "enabled"}
    if tokens is not None:
        asked["token_budget"] = max(1, min(tokens, cap // 2) if cap else tokens)
    return asked


def _sample(chat: Chat, asked: Json, aim: Aim) -> None:
    """How tokens are drawn, within Cohere's ranges."""
    if chat.temperature is not None:
        asked["temperature"] = chat.temperature
    if chat.top_p is not None:
        # All and nothing are beyond its range, and mean what its ends mean.
        asked["p"] = min(max(chat.top_p, P_LEAST), P_MOST)
    if chat.top_k is not None:
        if 0 <= chat.top_k <= K_MOST:
            asked["k"] = chat.top_k
        else:
            aim.lack("top_k", f"expected an integer from 0 to {K_MOST} for this model")
    for name in ("frequency_penalty", "presence_penalty"):
        value = getattr(chat, name)
        if value and not 0 <= value <= 1:
            aim.lack(name, "expected a number from 0 to 1 for this model")
        elif value:
            asked[name] = value
    if chat.seed is not None:
        if chat.seed >= 0:
            asked["seed"] = chat.seed
        else:
            aim.lack("seed", "expected an integer from 0 for this model")
    if len(chat.stop) > STOPS_MOST:
        aim.lack("stop", f"expected at most {STOPS_MOST} for this model")
    elif chat.stop:
        asked["stop_sequences"] = chat.stop
    if chat.logprobs:
        asked["logprobs"] = True


def _refuse(chat: Chat, aim: Aim) -> None:
    """What Cohere's API has nothing for."""
    aim.lack_all(chat, "choices", "logit_bias", "top_logprobs", "modalities", "voice", "verbosity")
    for name in ("user", "metadata"):
        if getattr(chat, name):
            aim.leave_out(name)
