"""A Responses stream read: into the neutral pieces, and on its way through, byte for byte.

Source: OpenAI API reference, responses: streaming events (checked November 2026). An `error` event is documented flat
and sent with an `error` object in it (openai-dotnet issue 881, December 2025): both are read.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from kpgate.dialects.responses import annotations
from kpgate.dialects.responses.answer import Item, Response, Why, decode_thinking, finish_of, shift, told
from kpgate.dialects.responses.usage import decode_usage
from kpgate.domain.errors import UpstreamFailed
from kpgate.domain.events import Event, Events
from kpgate.domain.reply import (
    Argued,
    Begun,
    Broke,
    Called,
    Cited,
    Finished,
    Over,
    Piece,
    Refused,
    Said,
    Thought,
    Used,
)
from kpgate.domain.seals import OPENAI
from kpgate.domain.spoken import Spoken
from kpgate.domain.usage import NOTHING, Usage

EVENT_BYTES_MAX = 16 << 20
"""An event may have the whole response in it, with its instructions and tools."""


def split(bytes_max: int) -> Events:
    """What cuts a stream into its events."""
    return Events(max(bytes_max, EVENT_BYTES_MAX))


class _Event(Struct, gc=False):
    type: str = ""
    delta: Any = None
    response: Response | None = None
    item: Item | None = None
    output_index: int = 0
    summary_index: int = 0
    sequence_number: int | None = None
    arguments: str | None = None
    logprobs: list[Any] | None = None
    message: str | None = None
    code: str | None = None
    error: Why | None = None
    annotation: Any = None


_event = msgspec.json.Decoder(_Event)


class StreamReader:
    """Reads a provider's events: `domain.dialect.Reader`."""

    def __init__(self) -> None:
        self._begun = self._ended = False
        # By the output's index: the number of its call, and whether its arguments or its text have been told.
        self._calls: dict[int, int] = {}
        self._told: set[int] = set()
        # How much text there is, and how much there was before the part that grows.
        self._length = self._before = 0

    def read(self, name: bytes, data: bytes) -> Sequence[Piece]:
        """What an event says.

        Errors: msgspec.MsgspecError, ValueError for what is no event.
        """
        if data.strip() == b"[DONE]":
            return ()
        event = _event.decode(data)
        kind = event.type
        if kind == "response.output_text.delta":
            logprobs = {"content": event.logprobs, "refusal": None} if event.logprobs else None
            text = _text(event)
            self._length += len(text)
            return (Said(text, 0, logprobs),)
        if kind == "response.function_call_arguments.delta":
            return self._argued(event, _text(event))
        read = _READ.get(kind)
        return read(self, event) if read is not None else ()

    def end(self) -> Sequence[Piece]:
        """The stream ended. Errors: ValueError where no event says that the response did."""
        if not self._ended:
            raise ValueError("the stream ended before its end")
        return (Over(),)

    def _begin(self, event: _Event) -> Sequence[Piece]:
        response = event.response
        if self._begun or response is None:
            return ()
        self._begun = True
        return (Begun(response.id or "", response.model or "", NOTHING, int(response.created_at or 0)),)

    def _part(self, event: _Event) -> Sequence[Piece]:
        """Another part of a message begins."""
        self._before = self._length
        return ()

    def _cited(self, event: _Event) -> Sequence[Piece]:
        found = annotations.read([event.annotation], self._length - self._before)
        return [Cited(shift(one, self._before)) for one in found]

    def _refused(self, event: _Event) -> Sequence[Piece]:
        return (Refused(_text(event)),)

    def _thought(self, event: _Event) -> Sequence[Piece]:
        self._told.add(event.output_index)
        return (Thought(_text(event)),)

    def _further(self, event: _Event) -> Sequence[Piece]:
        """Another part of a summary begins."""
        return (Thought("\n\n"),) if event.summary_index else ()

    def _argued(self, event: _Event, text: str) -> Sequence[Piece]:
        number = self._calls.get(event.output_index)
        if number is None:
            raise ValueError("function_call_arguments: a call goes on that never began")
        self._told.add(event.output_index)
        return (Argued(text, number),) if text else ()

    def _argued_whole(self, event: _Event) -> Sequence[Piece]:
        if event.output_index in self._told:
            return ()
        return self._argued(event, event.arguments or "")

    def _added(self, event: _Event) -> Sequence[Piece]:
        item = event.item
        if item is None or item.type != "function_call":
            return ()
        number = self._calls[event.output_index] = len(self._calls)
        return (Called(item.call_id or item.id or f"call_{number}", item.name or "", number),)

    def _done(self, event: _Event) -> Sequence[Piece]:
        """An item is whole: what no delta told of it."""
        item, index = event.item, event.output_index
        if item is None:
            return ()
        if item.type == "reasoning":
            thinking = decode_thinking(item)
            if index in self._told:
                return (Thought(signature=thinking.signature, vendor=OPENAI),) if thinking.signature else ()
            said = Thought(thinking.text, 0, thinking.signature, thinking.redacted, thinking.vendor)
            return (said,) if thinking.text or thinking.redacted else ()
        if item.type == "function_call" and index not in self._told and isinstance(item.arguments, str):
            begun = () if index in self._calls else self._added(event)
            return (*begun, *self._argued(event, item.arguments))
        return ()

    def _end(self, event: _Event) -> Sequence[Piece]:
        response = event.response
        if response is None:
            raise ValueError(f"{event.type}: there is no response in it")
        self._ended = True
        pieces: list[Piece] = [] if self._begun else [*self._begin(event)]
        pieces.append(Finished(finish_of(response, bool(self._calls))))
        raw = bytes(response.usage)
        usage = decode_usage(raw) if raw[:1] == b"{" else None
        if usage is not None:
            pieces.append(Used(usage))
        return pieces

    def _broke(self, event: _Event) -> Sequence[Piece]:
        if event.response is not None:
            return (Broke(told(event.response)),)
        error = event.error or Why(message=event.message, code=event.code)
        return (Broke((error.message or error.code or "it says no more")[:500]),)


def _text(event: _Event) -> str:
    """An event's text. Errors: ValueError where it is none."""
    if not isinstance(event.delta, str):
        raise ValueError(f"{event.type[:80]}: delta is not a string")
    return event.delta


_READ: dict[str, Any] = {
    "response.created": StreamReader._begin,
    "response.in_progress": StreamReader._begin,
    "response.content_part.added": StreamReader._part,
    "response.output_text.annotation.added": StreamReader._cited,
    "response.refusal.delta": StreamReader._refused,
    "response.reasoning_summary_text.delta": StreamReader._thought,
    "response.reasoning_text.delta": StreamReader._thought,
    "response.reasoning_summary_part.added": StreamReader._further,
    "response.function_call_arguments.done": StreamReader._argued_whole,
    "response.output_item.added": StreamReader._added,
    "response.output_item.done": StreamReader._done,
    "response.completed": StreamReader._end,
    "response.incomplete": StreamReader._end,
    "response.failed": StreamReader._broke,
    "error": StreamReader._broke,
}


class _Note(Struct, gc=False):
    """What is noted of an event that goes through."""

    type: str = ""
    delta: Any = None
    sequence_number: int | None = None
    response: msgspec.Raw = msgspec.Raw()


class _Ended(Struct, gc=False):
    id: str = ""
    model: str = ""
    usage: msgspec.Raw = msgspec.Raw()


_note = msgspec.json.Decoder(_Note)
_ended = msgspec.json.Decoder(_Ended)
_SPOKEN = frozenset(
    f"response.{what}.delta"
    for what in (
        "output_text",
        "refusal",
        "reasoning_text",
        "reasoning_summary_text",
        "function_call_arguments",
        "custom_tool_call_input",
        "mcp_call_arguments",
        "code_interpreter_call_code",
    )
)
_LAST = frozenset(("response.completed", "response.incomplete", "response.failed"))


class Frames(Spoken):
    """A stream on its way from a provider to a caller who both speak it: `domain.dialect.Framing`.

    Shape: the provider's bytes in whole events, whatever they say; `number` is the next event's of our own.
    """

    __slots__ = ("_events", "events", "id", "model", "number", "usage")

    at_boundary = True

    def __init__(self) -> None:
        super().__init__()
        self._events = split(0)
        self.events = 0
        self.usage: Usage | None = None
        self.number = 0
        self.id = ""
        self.model = ""

    def feed(self, chunk: bytes) -> bytes:
        """Take what arrived; what to send on now. Errors: UpstreamFailed for an event too long to be one."""
        try:
            found = self._events.feed(chunk)
        except ValueError as error:
            raise UpstreamFailed(f"the provider's stream cannot be read: {error}") from None
        self._take(found)
        return self._events.raw

    def finish(self) -> bytes:
        """The provider's stream ended: what is left to send."""
        self._take(self._events.finish())
        return self._events.raw

    def _take(self, found: list[Event]) -> None:
        for _, data in found:
            self.events += 1
            try:
                note = _note.decode(data)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                # What cannot be read is forwarded all the same.
                continue
            if note.sequence_number is not None:
                self.number = note.sequence_number + 1
            kind, delta = note.type, note.delta
            if kind in _SPOKEN and isinstance(delta, str):
                self.hear(delta)
            elif kind in _LAST or kind == "response.created":
                self._note(bytes(note.response))

    def _note(self, raw: bytes) -> None:
        """A response object: who answers, and what was used."""
        try:
            said = _ended.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return
        self.id, self.model = said.id or self.id, said.model or self.model
        used = bytes(said.usage)
        if used[:1] == b"{":
            self.usage = decode_usage(used) or self.usage
