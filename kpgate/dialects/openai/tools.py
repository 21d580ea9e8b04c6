"""What a chat completion request says of tools, put into the neutral form. Pure; only calls that cross dialects come
here.

Source: OpenAI API reference, chat completions: create (checked November 2026).
"""

from typing import Any

import msgspec
from msgspec import Struct

from kpgate.domain.chat import Chat, Choosing, Tool, ToolChoice
from kpgate.domain.errors import InvalidRequest


class Mark(Struct, gc=False):
    """Where a cache is to be kept, as clients of several vendors say it in OpenAI's words."""

    ttl: str = ""


class Definition(Struct, gc=False):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Offered(Struct, gc=False):
    type: str = "function"
    function: Definition | None = None
    cache_control: Mark | None = None


def custom_arguments(said: str) -> str:
    """The arguments of a function that stand for the text that a custom tool takes."""
    return msgspec.json.encode({"input": said}).decode()


def take_tools(chat: Chat, asked: Any) -> None:
    """The functions that may be called, and which. Shape: of other kinds of tools what the chat cannot carry."""
    for at, tool in enumerate(asked.tools or ()):
        if tool.type != "function":
            chat.unknown.append(f"tools.{tool.type[:100]}")
            continue
        if tool.function is None:
            where = f"tools[{at}].function"
            raise InvalidRequest(f"{where}: this field is required", param=where)
        made = _defined(tool.function)
        made.cached = tool.cache_control is not None
        chat.tools.append(made)
    chat.tools += [_defined(function) for function in asked.functions or ()]
    choice = asked.tool_choice if asked.tool_choice is not None else asked.function_call
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        choice = _allow(chat, choice.get("allowed_tools"))
    if isinstance(choice, dict) and choice.get("type") not in (None, "function"):
        chat.unknown.append(f"tool_choice.{str(choice['type'])[:100]}")
    elif choice is not None:
        chosen = _choice(choice)
        # Where all tools were of kinds that are left out there is nothing to choose from.
        chat.tool_choice = chosen if chat.tools or not asked.tools else None


def _allow(chat: Chat, allowed: Any) -> Any:
    """Keep those tools that may be called. Shape: how they may be."""
    allowed = allowed if isinstance(allowed, dict) else {}
    listed = allowed.get("tools")
    functions = (
        [one.get("function") for one in listed if isinstance(one, dict)] if isinstance(listed, list) else ()
    )
    names = {function.get("name") for function in functions if isinstance(function, dict)}
    chat.tools = [tool for tool in chat.tools if tool.name in names]
    return allowed.get("mode", "auto")


def _defined(function: Definition) -> Tool:
    return Tool(function.name, function.description or "", function.parameters, function.strict)


def _choice(choice: str | dict[str, Any]) -> ToolChoice:
    if isinstance(choice, str):
        if choice in ("auto", "none", "required"):
            return ToolChoice(Choosing(choice))
    else:
        function = choice.get("function", choice)
        name = function.get("name") if isinstance(function, dict) else None
        if isinstance(name, str):
            return ToolChoice(Choosing.NAMED, name)
    raise InvalidRequest("tool_choice: expected auto, none, required or a function", param="tool_choice")
