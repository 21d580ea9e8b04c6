"""Cohere's event streams, read into the neutral pieces, event by event.

Source: docs.cohere.com, API reference, "Chat with Streaming" (v2); guides "Streaming", "Streaming for tool use"
(checked November 2026).
"""

from typing import Any

import msgspec

from kpgate.dialects.cohere.reply import (
    Block,
    Call,
    Logprob,
    Metered,
    decode_usage,
    finish_of,
    read_citations,
    spell_logprobs,
)
from kpgate.domain.reply import (
    Argued,
    Begun,
    Broke,
    Called,
    Cited,
    Finished,
    Over,
    Piece,
    Said,
    Thought,
    Used,
)


class _Message(msgspec.Struct, gc=False):
    """Shape: the event that begins has lists, empty, where others have one thing."""

    content: Block | list[Any] | None = None
    tool_calls: Call | list[Any] | None = None
    tool_plan: str | None = None
    citations: Any = None


class _Delta(msgspec.Struct, gc=False):
    message: _Message | None = None
    finish_reason: str | None = None
    usage: Metered | None = None
    error: str | None = None


class _Event(msgspec.Struct, gc=False):
    """One event of any kind: `type` says which of the fields it has; one without is an error."""

    type: str = ""
    id: str | None = None
    index: int | None = None
    delta: _Delta | None = None
    logprobs: Logprob | None = None
    message: str | None = None


_event = msgspec.json.Decoder(_Event)
_NOTHING = _Message()


class StreamReader:
    """Reads a provider's stream.

    Shape: `_calls` numbers the calls by their index; `_argued` have had arguments; `_begins` is how much of the
    `_length` characters of text there were before each content.
    """

    def __init__(self) -> None:
        self._length = 0
        self._begins: list[int] = []
        self._calls: dict[int, int] = {}
        self._argued: set[int] = set()
        self._over = False

    def read(self, name: bytes, data: bytes) -> list[Piece]:
        """What an event says. Errors: ValueError or msgspec's for what makes no sense."""
        if data == b"[DONE]":
            return []
        event = _event.decode(data)
        kind, delta = event.type, event.delta
        message = delta.message if delta is not None and delta.message is not None else _NOTHING
        if kind == "content-delta":
            return self._said(message, event.logprobs)
        if kind == "tool-call-delta":
            return self._more(event.index or 0, message)
        if kind == "tool-plan-delta":
            return [Thought(message.tool_plan)] if message.tool_plan else []
        if kind == "content-start":
            self._begins.append(self._length)
            return self._said(message, None)
        if kind == "tool-call-start":
            return self._call(event.index or 0, message)
        if kind == "tool-call-end":
            return self._close(event.index or 0)
        if kind == "message-start":
            return [Begun(event.id or "", "")]
        if kind == "message-end":
            return self._end(delta or _Delta())
        if not kind:
            return [Broke(event.message or "it says no more")]
        if kind == "citation-start":
            raw = message.citations if isinstance(message.citations, list) else [message.citations]
            return [Cited(one) for one in read_citations(raw, self._begins or [0], self._length)]
        # Kinds that are still to come.
        return []

    def end(self) -> list[Piece]:
        """The stream ended. Errors: ValueError where it must not end here."""
        if not self._over:
            raise ValueError("it ended before message-end")
        return []

    def _said(self, message: _Message, logprobs: Logprob | None) -> list[Piece]:
        block = message.content
        if not isinstance(block, Block):
            return []
        if block.thinking:
            return [Thought(block.thinking)]
        if not block.text:
            return []
        self._length += len(block.text)
        return [Said(block.text, 0, spell_logprobs([logprobs]) if logprobs is not None else None)]

    def _call(self, index: int, message: _Message) -> list[Piece]:
        call = message.tool_calls
        if not isinstance(call, Call) or not call.id or call.function is None or not call.function.name:
            raise ValueError("tool-call-start: a call has no id or no name")
        number = self._calls[index] = len(self._calls)
        pieces: list[Piece] = [Called(call.id, call.function.name, number)]
        if call.function.arguments:
            pieces += self._more(index, message)
        return pieces

    def _more(self, index: int, message: _Message) -> list[Piece]:
        call = message.tool_calls
        number = self._calls.get(index)
        if number is None:
            raise ValueError("tool-call-delta: a call goes on that never began")
        if not isinstance(call, Call) or call.function is None or not call.function.arguments:
            return []
        self._argued.add(number)
        return [Argued(call.function.arguments, number)]

    def _close(self, index: int) -> list[Piece]:
        number = self._calls.get(index)
        if number is None or number in self._argued:
            return []
        self._argued.add(number)
        return [Argued("{}", number)]

    def _end(self, delta: _Delta) -> list[Piece]:
        if delta.error:
            return [Broke(delta.error)]
        self._over = True
        pieces: list[Piece] = [Finished(finish_of(delta.finish_reason or "COMPLETE"))]
        usage = decode_usage(delta.usage)
        if usage is not None:
            pieces.append(Used(usage))
        pieces.append(Over())
        return pieces
