"""A chat from the neutral form as a request to Bedrock's Converse: what has no place there is refused by name, or left
out.

Turns alternate between user and assistant; results of tools come first in the user's turn after the calls.
Source: docs.aws.amazon.com, Bedrock API reference, "Converse", by botocore 1.44's model of it; user guide, "Prompt
caching", "Structured outputs", "Inference parameters" (checked November 2026).
"""

from typing import Any

import msgspec

from kpgate.dialects.bedrock.blocks import Blocks, point
from kpgate.dialects.bedrock.models import Family, family_of, reason, top_k
from kpgate.domain.chat import Chat, Choosing, Format, Role, Tool, ToolCall, ToolResult, Turn
from kpgate.domain.claude import takes
from kpgate.domain.dialect import Aim, Unspeakable

Json = dict[str, Any]


def encode_chat(chat: Chat, aim: Aim) -> bytes:
    """The request's body. The model and whether it streams go into the path.

    Errors: Unspeakable for what Converse has nothing for.
    """
    asked: Json = {}
    system, messages = _messages(chat, aim)
    if not messages:
        raise Unspeakable("turns", "expected at least one message that is no system message")
    asked["messages"] = messages
    if system:
        asked["system"] = system
    config = _infer(chat, aim)
    if config:
        asked["inferenceConfig"] = config
    _arm(chat, asked, aim)
    more: Json = {}
    if chat.reasoning is not None:
        reason(chat.reasoning, config.get("maxTokens", 0), asked, more, aim)
    if chat.top_k is not None:
        top_k(chat.top_k, more, aim)
    if more:
        asked["additionalModelRequestFields"] = more
    if chat.format is not None:
        _shape(chat.format, asked, aim)
    _refuse(chat, aim)
    return msgspec.json.encode(asked)


def _messages(chat: Chat, aim: Aim) -> tuple[list[Json], list[Json]]:
    """The system prompt and the messages, which alternate."""
    system: list[Json] = []
    messages: list[Json] = []
    blocks = Blocks(aim)
    for turn in chat.turns:
        if turn.name:
            aim.leave_out("name")
        made = blocks.of(turn)
        if not made:
            continue
        if turn.role in (Role.SYSTEM, Role.DEVELOPER):
            system += made
            continue
        role = "assistant" if turn.role is Role.ASSISTANT else "user"
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += made
        else:
            messages.append({"role": role, "content": made})
    for message in messages:
        _results_first(message)
    return system, messages


def _results_first(message: Json) -> None:
    """Whatever else was said meanwhile: the results come first, each with the cache point behind it."""
    results: list[Json] = []
    rest: list[Json] = []
    side = rest
    for block in message["content"]:
        if "cachePoint" not in block:
            side = results if "toolResult" in block else rest
        side.append(block)
    message["content"] = results + rest


def _infer(chat: Chat, aim: Aim) -> Json:
    """The parameters that all models have."""
    config: Json = {}
    cap = min([one for one in (aim.cap, chat.output_cap) if one], default=None)
    if cap is not None:
        config["maxTokens"] = cap
    fixed = family_of(aim.model) is Family.CLAUDE and not takes(aim.model).sampling
    for name, spelled in (("temperature", "temperature"), ("top_p", "topP")):
        value = getattr(chat, name)
        if value is None or (fixed and value == 1):
            continue
        if fixed:
            aim.lack(name, f"{aim.model} takes none")
        elif value > 1:
            aim.lack(name, "expected at most 1 for this model")
        else:
            config[spelled] = value
    stops = [stop for stop in chat.stop if stop.strip()]
    if len(stops) < len(chat.stop):
        aim.lack("stop", "expected more than white space")
    if stops:
        config["stopSequences"] = stops
    return config


def _arm(chat: Chat, asked: Json, aim: Aim) -> None:
    """The tools, and whether one is to be called. None is to be called where none is given."""
    choice = chat.tool_choice
    if not chat.tools:
        return
    if choice is not None and choice.how is Choosing.NONE:
        if not any(_is_call(turn) for turn in chat.turns):
            return
        aim.lack("tool_choice", "the bedrock API cannot forbid calls after there were some")
    tools: list[Json] = []
    for tool in chat.tools:
        tools.append({"toolSpec": _tool(tool)})
        if tool.cached:
            tools.append(point(tool))
    config: Json = {"tools": tools}
    if choice is not None and choice.how is Choosing.NAMED:
        config["toolChoice"] = {"tool": {"name": choice.name}}
    elif choice is not None and choice.how is not Choosing.NONE:
        config["toolChoice"] = {"any" if choice.how is Choosing.REQUIRED else "auto": {}}
    asked["toolConfig"] = config
    aim.lack_one_call(chat)


def _is_call(turn: Turn) -> bool:
    return any(isinstance(part, ToolCall | ToolResult) for part in turn.parts)


def _tool(tool: Tool) -> Json:
    schema = tool.parameters or {"properties": {}}
    asked: Json = {
        "name": tool.name,
        "inputSchema": {"json": schema if "type" in schema else {"type": "object", **schema}},
    }
    if tool.description:
        asked["description"] = tool.description
    if tool.strict is not None:
        asked["strict"] = tool.strict
    return asked


def _shape(wanted: Format, asked: Json, aim: Aim) -> None:
    """What the answer is to look like. The schema goes as text."""
    if wanted.schema is None:
        aim.lack("format", "JSON is answered by a schema only")
        return
    schema: Json = {"schema": msgspec.json.encode(wanted.schema).decode()}
    if wanted.name:
        schema["name"] = wanted.name
    if wanted.description:
        schema["description"] = wanted.description
    shape = {"type": "json_schema", "structure": {"jsonSchema": schema}}
    asked.setdefault("outputConfig", {})["textFormat"] = shape


def _refuse(chat: Chat, aim: Aim) -> None:
    """What Converse has nothing for."""
    aim.lack_all(chat, "choices", "frequency_penalty", "presence_penalty", "seed", "logit_bias", "logprobs")
    aim.lack_all(chat, "top_logprobs", "modalities", "voice", "verbosity")
    for name in ("user", "metadata"):
        if getattr(chat, name):
            aim.leave_out(name)
