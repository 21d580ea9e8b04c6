"""What Cohere's replies say, whole: messages, usage, errors.

Source: docs.cohere.com, API reference, "Chat" (v2), "Errors"; guides "How does Cohere's pricing work?", "Retrieval
augmented generation", citations (checked November 2026).
"""

from typing import Any

import msgspec

from kpgate.domain import citing
from kpgate.domain.chat import Part, Text, Thinking, ToolCall
from kpgate.domain.reply import Choice, Citation, Failure, Finish, Reply
from kpgate.domain.usage import NOTHING, Usage

FINISHES = {
    "COMPLETE": Finish.STOP,
    "STOP_SEQUENCE": Finish.STOP_SEQUENCE,
    "MAX_TOKENS": Finish.LENGTH,
    "TOOL_CALL": Finish.TOOL_CALLS,
}
FAILED = ("ERROR", "TIMEOUT")
"""How a reason begins that says the model did not come to its end."""
TOKENS_MAX = 1 << 40
"""More than any call has: a provider that says more says nonsense."""
MESSAGE_MAX = 2000


class Units(msgspec.Struct, gc=False):
    """Counts, as numbers of any kind."""

    input_tokens: float | None = None
    output_tokens: float | None = None


class Metered(msgspec.Struct, gc=False):
    """What was used. Shape: what is billed leaves out what Cohere itself put into the prompt."""

    billed_units: Units | None = None
    tokens: Units | None = None
    cached_tokens: float | None = None


class Function(msgspec.Struct, gc=False):
    """A call's function. Shape: `arguments` is JSON as text."""

    name: str = ""
    arguments: str | None = None


class Call(msgspec.Struct, gc=False):
    """A call of a tool."""

    id: str | None = None
    function: Function | None = None


class Block(msgspec.Struct, gc=False):
    """A piece of content of either kind."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None


class Logprob(msgspec.Struct, gc=False):
    """A piece of text, and how likely each of its tokens was."""

    text: str | None = None
    logprobs: list[float] | None = None


class _Source(msgspec.Struct, gc=False):
    """Shape: a document that the request brought, or what a tool came to: whatever the caller put there."""

    type: str = ""
    id: str = ""
    document: dict[str, Any] | None = None
    tool_output: dict[str, Any] | None = None


class _Citation(msgspec.Struct, gc=False):
    """Shape: characters of one of the message's contents, a text unless `type` says another."""

    start: int
    end: int
    sources: list[_Source] = []
    content_index: int = 0
    type: str | None = None


class _Message(msgspec.Struct, gc=False):
    content: list[Block] | None = None
    citations: Any = None
    tool_plan: str | None = None
    tool_calls: list[Call] | None = None


class _Answer(msgspec.Struct, gc=False):
    message: _Message
    finish_reason: str
    id: str = ""
    usage: Metered | None = None
    logprobs: list[Logprob] | None = None


class _Error(msgspec.Struct, gc=False):
    message: str = ""


_answer = msgspec.json.Decoder(_Answer)
_error = msgspec.json.Decoder(_Error)


def decode_reply(body: bytes) -> Reply:
    """A whole reply. Errors: ValueError or msgspec's for what is none, or is no answer."""
    said = _answer.decode(body)
    finish = finish_of(said.finish_reason)
    message = said.message
    parts: list[Part] = []
    if message.tool_plan:
        parts.append(Thinking(message.tool_plan))
    begins: list[int] = []
    length = 0
    for block in message.content or ():
        begins.append(length)
        if block.thinking:
            parts.append(Thinking(block.thinking))
        elif block.text:
            parts.append(Text(block.text))
            length += len(block.text)
    for call in message.tool_calls or ():
        function = call.function
        if not call.id or function is None or not function.name:
            raise ValueError("tool_calls: one has no id or no name")
        parts.append(ToolCall(call.id, function.name, arguments_of(function.arguments)))
    logprobs = spell_logprobs(said.logprobs) if said.logprobs else None
    cited = read_citations(message.citations, begins, length) if message.citations else []
    choice = Choice(parts, finish, "", logprobs, cited)
    return Reply(said.id, "", [choice], decode_usage(said.usage) or NOTHING)


def read_citations(raw: Any, begins: list[int], length: int) -> list[Citation]:
    """What an answer's text is from, each source for itself.

    Shape: `begins` is where each content's text begins in all of it, which is of such a length.
    """
    found = []
    for one in citing.convert(raw, _Citation):
        if one.type not in (None, "TEXT_CONTENT") or not 0 <= one.content_index < len(begins):
            continue
        at = begins[one.content_index]
        for source in one.sources:
            found += citing.place(_source(source), one.start + at, one.end + at, length)
    return found


def _source(source: _Source) -> Citation:
    said = source.document or source.tool_output or {}
    names = {name: text for name, text in said.items() if isinstance(text, str)}
    quoted = names.get("snippet") or names.get("text") or ""
    return citing.source(names.get("url", ""), names.get("title") or source.id, quoted)


def finish_of(reason: str) -> Finish:
    """Why a message ended. Errors: ValueError where the model failed."""
    if reason.startswith(FAILED):
        raise ValueError(f"the model did not finish: {reason[:40]}")
    return FINISHES.get(reason, Finish.STOP)


def arguments_of(text: str | None) -> str:
    """A call's arguments. Errors: ValueError or msgspec's where they are no object."""
    if not text or text.isspace():
        return "{}"
    msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    return text


def spell_logprobs(items: list[Logprob]) -> dict[str, Any]:
    """Log probabilities as OpenAI spells them. Cohere gives a piece of text at a time, mostly one token."""
    content = [
        {
            "token": item.text or "",
            "logprob": sum(item.logprobs or ()),
            "bytes": list((item.text or "").encode()),
            "top_logprobs": [],
        }
        for item in items
    ]
    return {"content": content, "refusal": None}


def decode_usage(said: Metered | None) -> Usage | None:
    """What is billed, else what was counted. None where neither is said, or it makes no sense."""
    if said is None:
        return None
    billed, counted = said.billed_units or Units(), said.tokens or Units()
    sent = billed.input_tokens if billed.input_tokens is not None else counted.input_tokens
    spoken = billed.output_tokens if billed.output_tokens is not None else counted.output_tokens
    if sent is None and spoken is None:
        return None
    figures = (sent or 0, spoken or 0, said.cached_tokens or 0)
    if min(figures) < 0 or max(figures) > TOKENS_MAX:
        return None
    prompt, output, cached = (int(figure) for figure in figures)
    return Usage(prompt, output, min(cached, prompt), source="provider")


def decode_failure(status: int, body: bytes) -> Failure:
    """What an error's body says, whatever it is."""
    try:
        message = _error.decode(body).message
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        message = ""
    return Failure(message[:MESSAGE_MAX] or f"the provider answered {status}")
