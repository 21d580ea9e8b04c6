"""A chat in the neutral form as a Gemini request, for any caller.

Source: ai.google.dev, API reference, "Generating content"; guides "Function calling", "Structured output",
"Thinking", "Thought signatures" (checked November 2026).
"""

from typing import Any

import msgspec

from kpgate.dialects.gemini import parts
from kpgate.dialects.gemini.forms import Content, Part
from kpgate.dialects.gemini.models import think, wants_seals
from kpgate.domain.chat import (
    Chat,
    Choosing,
    Format,
    Image,
    Role,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    Turn,
    marks,
)
from kpgate.domain.dialect import Aim, Unspeakable
from kpgate.domain.seals import GOOGLE

_MODES = {Choosing.AUTO: "AUTO", Choosing.NONE: "NONE", Choosing.REQUIRED: "ANY", Choosing.NAMED: "ANY"}


def encode_chat(chat: Chat, aim: Aim) -> bytes:
    """The request's body. The model and whether it streams go into the path.

    Errors: Unspeakable for what Gemini has nothing for.
    """
    instructions, contents = _contents(chat, aim)
    asked: dict[str, Any] = {}
    if instructions:
        asked["systemInstruction"] = Content(instructions)
    asked["contents"] = contents
    if chat.tools:
        asked["tools"] = [{"functionDeclarations": [_declare(tool, aim) for tool in chat.tools]}]
    if chat.tool_choice is not None:
        asked["toolConfig"] = {"functionCallingConfig": _calling(chat.tool_choice)}
    config = _configure(chat, aim)
    if config:
        asked["generationConfig"] = config
    _refuse(chat, aim)
    return msgspec.json.encode(asked)


def _refuse(chat: Chat, aim: Aim) -> None:
    """What Gemini has nothing for."""
    aim.lack_one_call(chat)
    if chat.logit_bias:
        aim.lack("logit_bias")
    if chat.verbosity:
        aim.lack("verbosity")
    if chat.modalities not in ([], ["text"]):
        aim.lack("modalities")
    if chat.voice:
        aim.lack("voice")
    for name in ("user", "metadata"):
        if getattr(chat, name):
            aim.leave_out(name)


def _contents(chat: Chat, aim: Aim) -> tuple[list[Part], list[Content]]:
    """The instructions, from wherever they stand, and the turns."""
    names = {part.id: part.name for turn in chat.turns for part in turn.parts if isinstance(part, ToolCall)}
    sealed = wants_seals(aim.model)
    instructions: list[Part] = []
    contents: list[Content] = []
    last: Role | None = None
    for turn in chat.turns:
        pieces = _pieces(turn, names, aim)
        if turn.role in (Role.SYSTEM, Role.DEVELOPER):
            instructions += pieces
            continue
        if not pieces:
            continue
        if turn.role is Role.ASSISTANT and sealed:
            parts.excuse(pieces)
        if turn.role is Role.TOOL and last is Role.TOOL:
            # Google wants as many results in one turn as there were calls in the one before.
            assert isinstance(contents[-1].parts, list), "as it was made"
            contents[-1].parts += pieces
        else:
            contents.append(Content(pieces, "model" if turn.role is Role.ASSISTANT else "user"))
        last = turn.role
    if not contents:
        raise Unspeakable("turns", "the gemini API wants a turn of the user's")
    return instructions, contents


def _pieces(turn: Turn, names: dict[str, str], aim: Aim) -> list[Part]:
    if turn.name:
        aim.leave_out("name")
    if marks(turn.parts):
        aim.leave_out("cached")
    said = []
    for part in turn.parts:
        if isinstance(part, Image) and part.detail not in ("", "auto"):
            aim.leave_out("detail")
        own = _own(part, aim) if isinstance(part, Thinking) else part
        if own is not None:
            said.append(own)
    try:
        return parts.encode_parts(said, names, aim.lack)
    except ValueError as error:
        raise Unspeakable("turns", f"of a call of a tool, {error}") from None


def _own(part: Thinking, aim: Aim) -> Thinking | None:
    """A thought as Google takes it: under Google's own seal, or the text of it alone. None: nothing of it."""
    if part.vendor == GOOGLE or not (part.signature or part.redacted):
        return part
    if part.text:
        return Thinking(part.text)
    aim.leave_out("thinking")
    return None


def _declare(tool: Tool, aim: Aim) -> dict[str, Any]:
    declared: dict[str, Any] = {"name": tool.name}
    if tool.description:
        declared["description"] = tool.description
    if tool.parameters is not None:
        declared["parametersJsonSchema"] = tool.parameters
    if tool.strict:
        aim.leave_out("strict")
    if tool.cached:
        aim.leave_out("cached")
    return declared


def _calling(choice: ToolChoice) -> dict[str, Any]:
    calling: dict[str, Any] = {"mode": _MODES[choice.how]}
    if choice.how is Choosing.NAMED:
        calling["allowedFunctionNames"] = [choice.name]
    return calling


def _configure(chat: Chat, aim: Aim) -> dict[str, Any]:
    cap = chat.output_cap
    if aim.cap and (not cap or cap > aim.cap):
        cap = aim.cap
    config: dict[str, Any] = {
        "maxOutputTokens": cap,
        "temperature": chat.temperature,
        "topP": chat.top_p,
        "topK": chat.top_k,
        "frequencyPenalty": chat.frequency_penalty,
        "presencePenalty": chat.presence_penalty,
        "seed": chat.seed,
        "stopSequences": chat.stop or None,
        "candidateCount": chat.choices if chat.choices != 1 else None,
        "responseLogprobs": chat.logprobs,
        "logprobs": chat.top_logprobs or None,
        "thinkingConfig": think(chat.reasoning, aim) if chat.reasoning is not None else None,
        **_format(chat.format),
    }
    return {name: value for name, value in config.items() if value is not None}


def _format(form: Format | None) -> dict[str, Any]:
    if form is None:
        return {}
    return {"responseMimeType": "application/json", "responseJsonSchema": form.schema}
