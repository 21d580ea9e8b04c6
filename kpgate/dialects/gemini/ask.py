"""A chat in the neutral form as a Gemini request, for any caller.

Source: ai.google.dev, API reference, "Generating content"; guides "Function calling", "Structured output",
"Thinking", "Thought signatures" (checked November 2026).
"""

import re
from typing import Any

import msgspec

from kpgate.dialects.gemini import parts
from kpgate.dialects.gemini.forms import Content, Part
from kpgate.domain.chat import (
    Chat,
    Choosing,
    Format,
    Image,
    Reasoning,
    Role,
    Tool,
    ToolCall,
    ToolChoice,
    Turn,
)
from kpgate.domain.dialect import Aim, Unspeakable

BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576}
"""Efforts as tokens, for models that take these alone. Source: ai.google.dev, "OpenAI compatibility"."""
UNSEALED = "skip_thought_signature_validator"
"""What Google says to send for a call that another vendor's model made. Source: ai.google.dev, "Thought signatures"."""

_BY_BUDGET = re.compile(r"gemini-(?:1|2)[.\d-]")
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
    sealed = not _BY_BUDGET.search(aim.model)
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
            _excuse(pieces)
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
    for part in turn.parts:
        if getattr(part, "cached", False):
            aim.leave_out("cached")
        if isinstance(part, Image) and part.detail not in ("", "auto"):
            aim.leave_out("detail")
    try:
        return parts.encode_parts(turn.parts, names, aim.lack)
    except ValueError as error:
        raise Unspeakable("turns", f"of a call of a tool, {error}") from None


def _excuse(pieces: list[Part]) -> None:
    """Say of the first call of a step that it bears no seal because no Gemini model made it."""
    for piece in pieces:
        if piece.function_call is not None:
            if not piece.thought_signature:
                piece.thought_signature = UNSEALED
            return


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
        "thinkingConfig": _think(chat.reasoning, aim) if chat.reasoning is not None else None,
        **_format(chat.format),
    }
    return {name: value for name, value in config.items() if value is not None}


def _format(form: Format | None) -> dict[str, Any]:
    if form is None:
        return {}
    return {"responseMimeType": "application/json", "responseJsonSchema": form.schema}


def _think(reasoning: Reasoning, aim: Aim) -> dict[str, Any] | None:
    """A budget, or a level where the model takes one: no model takes both."""
    config: dict[str, Any] = {}
    if reasoning.budget is not None:
        config["thinkingBudget"] = reasoning.budget
    elif reasoning.effort and _BY_BUDGET.search(aim.model):
        config["thinkingBudget"] = BUDGETS.get(reasoning.effort, BUDGETS["medium"])
    elif reasoning.effort:
        # There is no level at which such a model does not think.
        config["thinkingLevel"] = "MINIMAL" if reasoning.effort == "none" else reasoning.effort.upper()
    if reasoning.shown is not None:
        config["includeThoughts"] = reasoning.shown
    return config or None
