"""What Converse's replies say, whole: messages, usage, errors.

Source: docs.aws.amazon.com, Bedrock API reference, "Converse", "TokenUsage", "CacheDetail", by botocore 1.44's model of
it; user guide, "Prompt caching" (checked November 2026).
"""

from typing import Any

import msgspec

from kpgate.domain import citing
from kpgate.domain.chat import Part, Text, Thinking, ToolCall
from kpgate.domain.reply import Choice, Citation, Failure, Finish, Reply
from kpgate.domain.seals import ANTHROPIC
from kpgate.domain.usage import NOTHING, Usage

FINISHES = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP_SEQUENCE,
    "max_tokens": Finish.LENGTH,
    "tool_use": Finish.TOOL_CALLS,
    "guardrail_intervened": Finish.FILTERED,
    "content_filtered": Finish.FILTERED,
    "model_context_window_exceeded": Finish.CONTEXT,
}
MALFORMED = "malformed"
"""How a reason begins that says the model wrote what Bedrock could not read."""
TOKENS_MAX = 1 << 40
"""More than any call has: a provider that says more says nonsense."""
MESSAGE_MAX = 2000


class Written(msgspec.Struct, gc=False, rename="camel"):
    """What was put into the cache to be kept for so long."""

    ttl: str = ""
    input_tokens: int = 0


class Tokens(msgspec.Struct, gc=False, rename="camel"):
    """What was used. Shape: what a cache was read or written for stands beside `input_tokens`; `cache_details` are what
    was written, by how long it is kept: `5m` or `1h`."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    cache_details: list[Written] | None = None


class ToolUse(msgspec.Struct, gc=False, rename="camel"):
    """A call of a tool, or of one that Bedrock runs itself: those have a `type`."""

    tool_use_id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw()
    type: str = ""


class _Thought(msgspec.Struct, gc=False):
    text: str = ""
    signature: str = ""


class _Reasoning(msgspec.Struct, gc=False, rename="camel"):
    reasoning_text: _Thought | None = None
    redacted_content: str = ""


class _Cited(msgspec.Struct, gc=False):
    text: str = ""


class _Web(msgspec.Struct, gc=False):
    url: str = ""


class _Location(msgspec.Struct, gc=False):
    web: _Web | None = None


class _Citation(msgspec.Struct, gc=False, rename="camel"):
    title: str = ""
    source: str = ""
    source_content: list[_Cited] = []
    location: _Location | None = None


class _Citations(msgspec.Struct, gc=False):
    content: list[_Cited] | None = None
    citations: Any = None


class _Block(msgspec.Struct, gc=False, rename="camel"):
    """One content block: which of the fields it has says its kind."""

    text: str | None = None
    tool_use: ToolUse | None = None
    reasoning_content: _Reasoning | None = None
    citations_content: _Citations | None = None


class _Message(msgspec.Struct, gc=False):
    content: list[_Block]


class _Output(msgspec.Struct, gc=False):
    message: _Message


class _Answer(msgspec.Struct, gc=False, rename="camel"):
    output: _Output
    stop_reason: str
    usage: Tokens | None = None


class Fault(msgspec.Struct, gc=False):
    """What went wrong. Shape: `Message` is how some of Amazon's services spell it."""

    message: str = ""
    Message: str = ""

    @property
    def said(self) -> str:
        """The message, however it is spelled; no more of it than anybody wants to read."""
        return (self.message or self.Message)[:MESSAGE_MAX]


_answer = msgspec.json.Decoder(_Answer)
_fault = msgspec.json.Decoder(Fault)


def decode_reply(body: bytes) -> Reply:
    """A whole reply. It names neither itself nor its model. Errors: ValueError or msgspec's for what is none."""
    said = _answer.decode(body)
    finish = finish_of(said.stop_reason)
    parts: list[Part] = []
    cited: list[Citation] = []
    length = 0
    for block in said.output.message.content:
        before, count = length, len(parts)
        _add(block, parts)
        length += sum([len(part.text) for part in parts[count:] if isinstance(part, Text)])
        if block.citations_content is not None:
            cited += read_citations(block.citations_content.citations, before, length)
    choice = Choice(parts, finish, "", None, cited)
    return Reply("", "", [choice], decode_usage(said.usage) or NOTHING)


def read_citations(raw: Any, start: int, end: int) -> list[Citation]:
    """What a block is from. Shape: the block is the text from `start` to before `end`."""
    found = []
    for one in citing.convert(raw, _Citation):
        page = one.location.web if one.location is not None else None
        quoted = "".join([piece.text for piece in one.source_content])
        said = citing.source(page.url if page is not None else one.source, one.title, quoted)
        found += citing.place(said, start, end, end)
    return found


def _add(block: _Block, parts: list[Part]) -> None:
    """What a block says. Errors: ValueError where it lacks what its kind promises."""
    if block.text:
        parts.append(Text(block.text))
    elif block.tool_use is not None and not block.tool_use.type:
        call = block.tool_use
        arguments = bytes(call.input).decode() or "{}"
        if not (call.tool_use_id and call.name) or arguments[:1] != "{":
            raise ValueError("a toolUse block has no id, no name or no input")
        parts.append(ToolCall(call.tool_use_id, call.name, arguments))
    elif block.reasoning_content is not None:
        thought = block.reasoning_content.reasoning_text
        if thought is not None:
            parts.append(
                Thinking(thought.text, thought.signature, "", ANTHROPIC if thought.signature else "")
            )
        elif block.reasoning_content.redacted_content:
            parts.append(Thinking("", "", block.reasoning_content.redacted_content, ANTHROPIC))
    elif block.citations_content is not None:
        # What is cited is a part of the answer.
        text = "".join([one.text for one in block.citations_content.content or ()])
        if text:
            parts.append(Text(text))


def finish_of(reason: str) -> Finish:
    """Why a message ended. Errors: ValueError where the model's output made no sense."""
    if reason.startswith(MALFORMED):
        raise ValueError(f"the model's output was not as it should be: {reason[:40]}")
    return FINISHES.get(reason, Finish.STOP)


def decode_usage(said: Tokens | None) -> Usage | None:
    """A usage. None where it is not said, or makes no sense."""
    if said is None:
        return None
    fresh, output = said.input_tokens or 0, said.output_tokens or 0
    cached, written = said.cache_read_input_tokens or 0, said.cache_write_input_tokens or 0
    prompt = fresh + cached + written
    # Only where the total says so is the cache a part of the input.
    if said.total_tokens == fresh + output and cached + written <= fresh:
        prompt = fresh
    if min(fresh, output, cached, written) < 0 or max(prompt, output) > TOKENS_MAX:
        return None
    if not written:
        return Usage(prompt, output, cached, source="provider") if prompt + output else None
    kept = sum([one.input_tokens for one in said.cache_details or () if one.ttl == "1h"])
    # Whatever the parts come to, no more was written than that.
    kept = max(0, min(kept, written))
    return Usage(prompt, output, cached, source="provider", cache_write=written - kept, cache_write_long=kept)


def decode_fault(body: bytes) -> str:
    """The message of an error's body; empty where there is none."""
    try:
        return _fault.decode(body).said
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""


def decode_failure(status: int, body: bytes) -> Failure:
    """What an error's body says, whatever it is."""
    return Failure(decode_fault(body) or f"the provider answered {status}")
