"""A chat completion's stream between OpenAI's spelling and the neutral pieces, both ways. Pure; only calls that
cross dialects come here.

Source: OpenAI API reference, chat completions: streaming (checked November 2026).
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from kpgate.dialects.openai import annotations
from kpgate.dialects.openai.answer import FAILURES, REASONS, encode_usage, finish_of, told
from kpgate.dialects.openai.answer import Piece as Part
from kpgate.dialects.openai.reply import decode_usage
from kpgate.domain.call import Call
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
from kpgate.domain.usage import NOTHING, Usage

_encode = msgspec.json.encode


class _Function(Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class _Call(Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(Struct, gc=False):
    content: str | list[Part] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_Call] | None = None
    annotations: Any = None


class _Choice(Struct, gc=False):
    index: int = 0
    delta: _Delta | None = None
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None


class _Chunk(Struct, gc=False):
    id: str | None = None
    model: str | None = None
    created: int | float | None = None
    choices: list[_Choice] | None = None
    usage: msgspec.Raw = msgspec.Raw()
    error: Any = None


_chunk = msgspec.json.Decoder(_Chunk)


class StreamReader:
    """Reads a provider's chunks."""

    def __init__(self) -> None:
        self._begun = self._done = False
        # Of each choice: how many calls it has begun, and which of the provider's indexes is which.
        self._calls: dict[int, dict[int, int]] = {}
        self._finished: set[int] = set()

    def read(self, name: bytes, data: bytes) -> Sequence[Piece]:
        """What a chunk says.

        Errors: msgspec.MsgspecError, ValueError for what is no chunk.
        """
        if data.strip() == b"[DONE]":
            self._done = True
            return ()
        chunk = _chunk.decode(data)
        if chunk.error is not None:
            return (_broke(chunk.error),)
        pieces: list[Piece] = []
        if not self._begun and (chunk.id or chunk.choices):
            # Azure's first chunk, of what its filters found, has neither.
            self._begun = True
            pieces.append(Begun(chunk.id or "", chunk.model or "", NOTHING, int(chunk.created or 0)))
        for choice in chunk.choices or ():
            self._read(choice, pieces)
        raw = bytes(chunk.usage)
        usage = decode_usage(raw) if raw[:1] == b"{" else None
        if usage is not None:
            pieces.append(Used(usage))
        return pieces

    def _read(self, choice: _Choice, pieces: list[Piece]) -> None:
        delta, index = choice.delta, choice.index
        if delta is not None:
            thought = delta.reasoning_content or delta.reasoning
            if thought:
                pieces.append(Thought(thought, index))
            content = delta.content
            if isinstance(content, list):
                pieces += [
                    Thought(text, index) if thinks else Said(text, index) for text, thinks in told(content)
                ]
            elif content or (choice.logprobs and content is not None):
                pieces.append(Said(content, index, choice.logprobs))
            if delta.refusal:
                pieces.append(Refused(delta.refusal, index))
            for call in delta.tool_calls or ():
                self._read_call(index, call, pieces)
            if delta.annotations:
                pieces += [Cited(said, index) for said in annotations.read(delta.annotations)]
        if choice.finish_reason and index not in self._finished:
            self._finished.add(index)
            reason = choice.finish_reason
            if reason in FAILURES:
                pieces.append(Broke(f"finish_reason: {reason}"))
            else:
                pieces.append(Finished(finish_of(reason), index))

    def _read_call(self, choice: int, call: _Call, pieces: list[Piece]) -> None:
        known = self._calls.setdefault(choice, {})
        function = call.function or _Function()
        # Some providers leave out the index; one that comes with a name begins a call.
        given = call.index if call.index is not None else len(known) - (not function.name and bool(known))
        number = known.get(given)
        if number is None:
            if not function.name:
                raise ValueError("tool_calls: a call goes on that never began")
            number = known[given] = len(known)
            pieces.append(Called(call.id or f"call_{choice}_{number}", function.name, number, choice))
        if function.arguments:
            pieces.append(Argued(function.arguments, number, choice))

    def end(self) -> Sequence[Piece]:
        """The stream ended. Errors: ValueError where nothing says that a choice did."""
        if not (self._done or self._finished):
            raise ValueError("the stream ended before its end")
        return (Over(),)


def _broke(error: Any) -> Broke:
    message = error.get("message") if isinstance(error, dict) else error
    status = error.get("code") if isinstance(error, dict) else 0
    said = message if isinstance(message, str) else "it says no more"
    return Broke(said[:500], status if isinstance(status, int) else 0)


class StreamWriter:
    """Writes chunks for a caller: one frame for all, whose fixed part is made once."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._head = b""
        self._spoke: set[int] = set()
        self._usage: Usage = NOTHING

    def write(self, piece: Piece) -> bytes:
        """A piece as chunks."""
        kind = type(piece)
        if kind is Said:
            return self._said(piece)  # type: ignore[arg-type]
        if kind is Begun:
            return self._begin(piece)  # type: ignore[arg-type]
        written = _WRITTEN.get(kind)
        return written(self, piece) if written is not None else b""

    def cut(self) -> bytes:
        """The end of a stream that is cut: every choice is as long as it may be."""
        ends = [self._chunk(index, b"{}", b'"length"') for index in range(self._call.choices)]
        return b"".join(ends) + b"data: [DONE]\n\n"

    def _begin(self, piece: Begun) -> bytes:
        frame = {
            "id": piece.id or "chatcmpl-kpgate",
            "object": "chat.completion.chunk",
            "created": piece.created_s,
            "model": piece.model or self._call.model,
        }
        self._head = b"data: " + _encode(frame)[:-1]
        self._take(piece.usage)
        return self._open(0)

    def _open(self, choice: int) -> bytes:
        """The first chunk of a choice says who speaks."""
        if choice in self._spoke:
            return b""
        self._spoke.add(choice)
        return self._chunk(choice, b'{"role":"assistant","content":"","refusal":null}')

    def _chunk(self, choice: int, delta: bytes, finish: bytes = b"null", logprobs: bytes = b"null") -> bytes:
        return b'%b,"choices":[{"index":%d,"delta":%b,"logprobs":%b,"finish_reason":%b}]}\n\n' % (
            self._head or b'data: {"object":"chat.completion.chunk"',
            choice,
            delta,
            logprobs,
            finish,
        )

    def _said(self, piece: Said) -> bytes:
        choice = piece.choice
        opened = b"" if choice in self._spoke else self._open(choice)
        logprobs = _encode(piece.logprobs) if piece.logprobs is not None else b"null"
        return opened + self._chunk(choice, b'{"content":%b}' % _encode(piece.text), b"null", logprobs)

    def _thought(self, piece: Thought) -> bytes:
        if not piece.text:
            return b""
        delta = b'{"reasoning_content":%b}' % _encode(piece.text)
        return self._open(piece.choice) + self._chunk(piece.choice, delta)

    def _refused(self, piece: Refused) -> bytes:
        return self._open(piece.choice) + self._chunk(piece.choice, b'{"refusal":%b}' % _encode(piece.text))

    def _called(self, piece: Called) -> bytes:
        function = {"name": piece.name, "arguments": ""}
        call = {"index": piece.call, "id": piece.id, "type": "function", "function": function}
        return self._open(piece.choice) + self._chunk(piece.choice, b'{"tool_calls":[%b]}' % _encode(call))

    def _argued(self, piece: Argued) -> bytes:
        call = b'{"index":%d,"function":{"arguments":%b}}' % (piece.call, _encode(piece.text))
        return self._chunk(piece.choice, b'{"tool_calls":[%b]}' % call)

    def _cited(self, piece: Cited) -> bytes:
        said = annotations.spell(piece.citation)
        if said is None:
            return b""
        return self._open(piece.choice) + self._chunk(piece.choice, b'{"annotations":[%b]}' % _encode(said))

    def _finished(self, piece: Finished) -> bytes:
        return self._open(piece.choice) + self._chunk(piece.choice, b"{}", _encode(REASONS[piece.finish]))

    def _used(self, piece: Used) -> bytes:
        self._take(piece.usage)
        return b""

    def _over(self, piece: Over) -> bytes:
        last = b""
        if self._call.usage_wanted:
            last = b'%b,"choices":[],"usage":%b}\n\n' % (self._head, encode_usage(self._usage))
        return last + b"data: [DONE]\n\n"

    def _take(self, usage: Usage) -> None:
        if usage.source != "none":
            self._usage = usage


_WRITTEN: dict[type, Any] = {
    Thought: StreamWriter._thought,
    Refused: StreamWriter._refused,
    Called: StreamWriter._called,
    Argued: StreamWriter._argued,
    Cited: StreamWriter._cited,
    Finished: StreamWriter._finished,
    Used: StreamWriter._used,
    Over: StreamWriter._over,
}
