"""A chat from the neutral form as a request to Anthropic: what has no place there is refused by name, or left out.

Turns alternate between user and assistant; results of tools come first in the user's turn after the calls.
Source: platform.claude.com, API reference, "Create a Message"; "Handle tool calls", "Structured outputs", "Thinking",
"Effort", "Mid-conversation system messages" (checked November 2026).
"""

import re
from base64 import b64decode
from binascii import Error as NotBase64
from typing import Any

import msgspec

from kpgate._fast.pen import Pen
from kpgate.domain.chat import (
    Chat,
    Choosing,
    File,
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
)
from kpgate.domain.claude import Takes, takes
from kpgate.domain.dialect import Aim, Unspeakable
from kpgate.domain.seals import ANTHROPIC

Json = dict[str, Any]

PICTURES = frozenset(("image/jpeg", "image/png", "image/gif", "image/webp"))
BUDGET_LEAST = 1024
BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16_384, "xhigh": 32_768, "max": 32_768}
"""Units: tokens to think with, for models that think by a budget."""
EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
KNOWN = ("", "none", *EFFORTS)
NOTHING_FOR = (
    *("choices", "frequency_penalty", "presence_penalty", "seed", "logit_bias", "logprobs"),
    *("top_logprobs", "modalities", "voice", "verbosity"),
)
CHOICES = {
    Choosing.AUTO: "auto",
    Choosing.REQUIRED: "any",
    Choosing.NONE: "none",
    Choosing.NAMED: "tool",
}
_encode = msgspec.json.Encoder().encode
_ODD = re.compile(r"[^a-zA-Z0-9_-]")
_ASSISTANT, _TOOL = Role.ASSISTANT, Role.TOOL
_INSTRUCTING = (Role.SYSTEM, Role.DEVELOPER)
_USER_SAYS = (Role.USER, Role.TOOL)

Block = Text | Json
"""A content block: a text is one by itself, until it is written."""
Message = tuple[str, list[Block]]
"""Whose turn it is, and what is said."""


def encode_chat(chat: Chat, aim: Aim) -> bytes:
    """The request's body. Errors: Unspeakable for what Anthropic's API has nothing for."""
    able = takes(aim.model)
    cap = chat.output_cap or aim.cap or aim.output_default
    if aim.cap and aim.cap < cap:
        cap = aim.cap
    system, messages = _messages(chat, able, aim)
    if not messages:
        raise Unspeakable("turns", "expected at least one message that is no system message")
    pen = Pen()
    pen.raw(b'{"model":')
    pen.text(aim.model)
    pen.raw(b',"max_tokens":')
    pen.number(cap)
    if system:
        pen.raw(b',"system":')
        _write(pen, system)
    pen.raw(b',"messages":')
    before = b'[{"role":"'
    for role, blocks in messages:
        pen.raw(before)
        pen.raw(role.encode())
        pen.raw(b'","content":')
        _write(pen, blocks)
        before = b'},{"role":"'
    pen.raw(b"}]")
    if chat.asks_more():
        for name, value in _beyond(chat, messages, able, cap, aim).items():
            pen.raw(b',"%b":%b' % (name.encode(), _encode(value)))
    if aim.stream:
        pen.raw(b',"stream":true')
    if chat.user:
        pen.raw(b',"metadata":{"user_id":')
        pen.text(chat.user)
        pen.raw(b"}")
    pen.raw(b"}")
    return pen.done()


def _write(pen: Pen, blocks: list[Block]) -> None:
    """Put down the blocks of a message."""
    before = b"["
    for block in blocks:
        pen.raw(before)
        if type(block) is Text:
            pen.raw(b'{"type":"text","text":')
            pen.text(block.text)
            pen.raw(b"}")
        else:
            pen.raw(_encode(block))
        before = b","
    pen.raw(b"]")


def _beyond(chat: Chat, messages: list[Message], able: Takes, cap: int, aim: Aim) -> Json:
    """What else a chat asks for beside an answer to its turns."""
    asked: Json = {}
    if chat.tools:
        asked["tools"] = [_tool(tool) for tool in chat.tools]
        if (choice := _tool_choice(chat)) is not None:
            asked["tool_choice"] = choice
    if chat.reasoning is not None:
        _think(chat.reasoning, messages, able, cap, asked, aim)
    _shape(chat, asked, aim)
    _sample(chat, able, asked, aim)
    _refuse(chat, aim)
    return asked


def _messages(chat: Chat, able: Takes, aim: Aim) -> tuple[list[Block], list[Message]]:
    """The system prompt and the messages, which alternate."""
    system: list[Block] = []
    messages: list[Message] = []
    turns = chat.turns
    answered = False
    for number, turn in enumerate(turns):
        if turn.name:
            aim.leave_out("name")
        blocks = _blocks(turn.parts, turn.role, aim)
        if not blocks:
            continue
        if turn.role in _INSTRUCTING:
            if able.system_turns and messages and _may_stand(messages[-1], turns, number):
                messages.append(("system", blocks))
            else:
                system += blocks
            continue
        answered = answered or turn.role is _TOOL
        role = "assistant" if turn.role is _ASSISTANT else "user"
        if messages and messages[-1][0] == role:
            messages[-1][1].extend(blocks)
        else:
            messages.append((role, blocks))
    if answered:
        for _, blocks in messages:
            # Whatever else was said meanwhile: the results come first. The sort is stable.
            blocks.sort(key=_is_no_result)
    return system, messages


def _is_no_result(block: Block) -> bool:
    return _kind(block) != "tool_result"


def _kind(block: Block) -> str:
    """A block's type."""
    return "text" if type(block) is Text else block["type"]  # type: ignore[index]


def _may_stand(before: Message, turns: list[Turn], number: int) -> bool:
    """Whether an instruction may stay where it is: after what the user said, before the assistant or at the end."""
    after = number + 1
    return before[0] == "user" and (after == len(turns) or turns[after].role is _ASSISTANT)


def _blocks(parts: list[Part], role: Role, aim: Aim) -> list[Block]:
    """What a turn says, or a tool's result."""
    blocks = []
    for part in parts:
        block = _block(part, role, aim)
        if block is not None:
            blocks.append(block)
    return blocks


def _block(part: Part, role: Role, aim: Aim) -> Block | None:
    """A content block. None: the part is left out, for it is empty or has no place there."""
    if type(part) is Text:
        if not part.text:
            return None
        return _keep({"type": "text", "text": part.text}, part) if part.cached else part
    kind = type(part)
    if kind is Refusal:
        return Text(part.text) if part.text else None  # type: ignore[union-attr]
    if kind is ToolCall and role is _ASSISTANT:
        return _keep(_call(part), part)  # type: ignore[arg-type]
    if kind is Thinking and role is _ASSISTANT:
        return _thought(part, aim)  # type: ignore[arg-type]
    if kind is ToolResult:
        return _result(part, aim)  # type: ignore[arg-type]
    if kind is Image and role in _USER_SAYS:
        return _image(part, aim)  # type: ignore[arg-type]
    if kind is File and role in _USER_SAYS:
        return _document(part, aim)  # type: ignore[arg-type]
    aim.lack(kind.__name__.lower())
    return None


def _keep(block: Json, part: Any) -> Json:
    """The block, with a mark that the prompt's cache is kept up to here where that is asked."""
    if part.cached:
        control = {"type": "ephemeral"}
        if ttl := getattr(part, "ttl", ""):
            control["ttl"] = ttl
        block["cache_control"] = control
    return block


def _id(id: str) -> str:
    """A call's id as Anthropic takes it: letters, digits, underscore and hyphen."""
    return _ODD.sub("_", id)


def _call(part: ToolCall) -> Json:
    try:
        arguments = msgspec.json.decode(part.arguments.strip() or "{}", type=dict[str, Any])
    except msgspec.MsgspecError:
        raise Unspeakable("turns", f"the arguments of the call of {part.name!r} are no JSON object") from None
    return {"type": "tool_use", "id": _id(part.id), "name": part.name, "input": arguments}


def _thought(part: Thinking, aim: Aim) -> Json | None:
    if part.vendor == ANTHROPIC:
        if part.redacted:
            return {"type": "redacted_thinking", "data": part.redacted}
        if part.signature:
            return {"type": "thinking", "thinking": part.text, "signature": part.signature}
    # Anything else is refused there: what is not sealed is another vendor's as well.
    aim.leave_out("thinking")
    return None


def _result(part: ToolResult, aim: Aim) -> Json:
    content = _blocks(part.parts, _TOOL, aim)
    block: Json = {"type": "tool_result", "tool_use_id": _id(part.id)}
    if content:
        pen = Pen()
        _write(pen, content)
        block["content"] = msgspec.Raw(pen.done())
    if part.failed:
        block["is_error"] = True
    return _keep(block, part)


def _image(part: Image, aim: Aim) -> Json | None:
    if part.detail not in ("", "auto"):
        aim.leave_out("detail")
    if part.url:
        return _keep({"type": "image", "source": {"type": "url", "url": part.url}}, part)
    if part.media_type not in PICTURES:
        aim.lack("image", f"expected one of {', '.join(sorted(PICTURES))}")
        return None
    source = {"type": "base64", "media_type": part.media_type, "data": part.data}
    return _keep({"type": "image", "source": source}, part)


def _document(part: File, aim: Aim) -> Json | None:
    source: Json
    if part.url:
        source = {"type": "url", "url": part.url}
    elif part.media_type.startswith("text/"):
        try:
            text = b64decode(part.data, validate=True).decode()
        except (NotBase64, UnicodeDecodeError):
            raise Unspeakable("file", "expected text as base64 of UTF-8") from None
        source = {"type": "text", "media_type": "text/plain", "data": text}
    elif part.data and part.media_type == "application/pdf":
        source = {"type": "base64", "media_type": part.media_type, "data": part.data}
    else:
        why = "an upload is known to its own vendor only" if part.id else "expected a PDF or a text"
        aim.lack("file", why)
        return None
    block: Json = {"type": "document", "source": source}
    if part.name:
        block["title"] = part.name
    return _keep(block, part)


def _tool(tool: Tool) -> Json:
    schema = tool.parameters or {"properties": {}}
    asked: Json = {
        "name": tool.name,
        "input_schema": schema if "type" in schema else {"type": "object", **schema},
    }
    if tool.description:
        asked["description"] = tool.description
    if tool.strict is not None:
        asked["strict"] = tool.strict
    return _keep(asked, tool)


def _tool_choice(chat: Chat) -> Json | None:
    choice, single = chat.tool_choice, chat.parallel_tools is False
    if choice is None:
        return {"type": "auto", "disable_parallel_tool_use": True} if single else None
    asked: Json = {"type": CHOICES[choice.how]}
    if choice.how is Choosing.NAMED:
        asked["name"] = choice.name
    if single and choice.how is not Choosing.NONE:
        asked["disable_parallel_tool_use"] = True
    return asked


def _think(
    reasoning: Reasoning, messages: list[Message], able: Takes, cap: int, asked: Json, aim: Aim
) -> None:
    """How much to think: by effort where the model takes one, else by a budget, which is less than the cap."""
    effort, budget = reasoning.effort, reasoning.budget
    if effort not in KNOWN:
        aim.lack("reasoning", f"expected one of {', '.join(KNOWN[1:])}")
    if effort == "none" or budget == 0:
        if able.unthinking:
            asked["thinking"] = {"type": able.unthinking}
        else:
            aim.lack("reasoning", f"{aim.model} always thinks")
        return
    display = {} if reasoning.shown is None else {"display": "summarized" if reasoning.shown else "omitted"}
    if not able.budget:
        asked["thinking"] = {"type": "adaptive", **display}
        effort = "max" if reasoning.most else EFFORTS.get(effort, "") or _effort(budget)
        if effort:
            effort = "high" if effort == "xhigh" and not able.xhigh else effort
            asked["output_config"] = {"effort": effort}
        return
    tokens = budget if budget is not None and budget > 0 else BUDGETS.get(effort, BUDGETS["medium"])
    tokens = max(BUDGET_LEAST, min(tokens, cap // 2))
    if tokens >= cap:
        aim.lack("reasoning", f"{aim.model} needs more than {BUDGET_LEAST} output tokens to think")
    elif _goes_on_unthinking(messages):
        # Calls that were made without a thought, as another vendor's were, are refused where thoughts are asked for.
        aim.leave_out("reasoning")
    else:
        hidden = {"display": "omitted"} if reasoning.shown is False else {}
        asked["thinking"] = {"type": "enabled", "budget_tokens": tokens, **hidden}


def _goes_on_unthinking(messages: list[Message]) -> bool:
    """Whether the last thing the assistant did was to call tools, and that without a sealed thought before."""
    kinds = next(
        ([_kind(one) for one in blocks] for role, blocks in reversed(messages) if role == "assistant"), []
    )
    return "tool_use" in kinds and kinds[0] not in ("thinking", "redacted_thinking")


def _effort(budget: int | None) -> str:
    """An effort for a budget: the least whose own budget has room for it."""
    if budget is None or budget < 0:
        return ""
    return next((EFFORTS[effort] for effort, tokens in BUDGETS.items() if budget <= tokens), "xhigh")


def _shape(chat: Chat, asked: Json, aim: Aim) -> None:
    """What the answer is to look like."""
    if chat.format is not None:
        if chat.format.schema is None:
            aim.lack("format", "JSON is answered by a schema only")
        else:
            wanted = {"type": "json_schema", "schema": chat.format.schema}
            asked.setdefault("output_config", {})["format"] = wanted
    stops = [stop for stop in chat.stop if stop.strip()]
    if len(stops) < len(chat.stop):
        aim.lack("stop", "expected more than white space")
    if stops:
        asked["stop_sequences"] = stops


def _sample(chat: Chat, able: Takes, asked: Json, aim: Aim) -> None:
    """How tokens are drawn. What is the default anyway needs not be said."""
    for name, default in (("temperature", 1), ("top_p", 1), ("top_k", None)):
        value = getattr(chat, name)
        if value is None or (value == default and not able.sampling):
            continue
        if not able.sampling:
            aim.lack(name, f"{aim.model} takes none")
        elif name == "temperature" and value > 1:
            aim.lack(name, "expected at most 1 for this model")
        else:
            asked[name] = value


def _refuse(chat: Chat, aim: Aim) -> None:
    """What Anthropic's API has nothing for."""
    aim.lack_all(chat, *NOTHING_FOR)
    if chat.metadata:
        aim.leave_out("metadata")
