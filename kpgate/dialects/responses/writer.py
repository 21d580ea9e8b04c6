"""A Responses stream written for a caller: every item begins, grows and ends by events of its own.

Owns what was said so far, for the events that end an item say it again whole, and so does the last of all.
Source: OpenAI API reference, responses: streaming events (checked November 2026).
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from kpgate.dialects.openai.reply import error_kind
from kpgate.dialects.responses import annotations, answer
from kpgate.dialects.responses.answer import Echo, Made
from kpgate.dialects.responses.usage import encode_usage
from kpgate.domain.call import Call
from kpgate.domain.chat import Thinking, ToolCall
from kpgate.domain.citing import within
from kpgate.domain.errors import GatewayError
from kpgate.domain.reply import (
    Argued,
    Begun,
    Called,
    Cited,
    Finish,
    Finished,
    Over,
    Piece,
    Refused,
    Said,
    Thought,
    Used,
)
from kpgate.domain.usage import Usage

_encode = msgspec.json.encode
Json = dict[str, Any]


class _Open(Struct, gc=False):
    """An item, or a part of a message, that still grows. Shape: `head` and `tail` stand around a delta's JSON."""

    kind: str
    id: str
    output: int
    place: int
    head: bytes
    tail: bytes
    texts: list[str]
    name: str = ""
    call: str = ""
    logprobs: list[Any] = []
    notes: list[Json] = []


class StreamWriter:
    """Writes one caller's events: `domain.dialect.Writer`."""

    def __init__(self, call: Call) -> None:
        self._echo = Echo(call)
        self._made: Made = answer.make("", "", 0)
        self._number = 0
        # Items that are whole, by their place in the output; those under way.
        self._items: dict[int, bytes] = {}
        self._outputs = 0
        self._part: _Open | None = None
        self._message: list[Json] = []
        # How much text there was before the part that grows. Units: characters.
        self._before = 0
        self._calls: dict[int, _Open] = {}
        self._refused = False
        self._finish = Finish.STOP
        self._usage: Usage | None = None
        self._sent: tuple[Any, ...] = ()
        self.mark()

    def write(self, piece: Piece) -> bytes:
        """A piece as events. Shape: one choice: the API has no more."""
        kind = type(piece)
        if kind is Said:
            return self._said(piece)  # type: ignore[arg-type]
        written = _WRITTEN.get(kind)
        return written(self, piece) if written is not None else b""

    def mark(self) -> None:
        """What was written so far is on its way."""
        part = self._part
        self._sent = (
            self._number,
            self._outputs,
            len(self._items),
            part,
            0 if part is None else len(part.texts),
            ([], []) if part is None else (part.logprobs, part.notes),
            self._message,
            len(self._message),
            [(number, call, len(call.texts)) for number, call in self._calls.items()] if self._calls else (),
            self._refused,
        )

    def cut(self) -> bytes:
        """The end of a stream that is cut, without what is not on its way: it is as long as it may be."""
        self._number, self._outputs, whole, part, spoken, logprobs, message, parts, calls, refused = (
            self._sent
        )
        self._items = dict(list(self._items.items())[:whole])
        if part is not None:
            del part.texts[spoken:]
            part.logprobs, part.notes = logprobs
        del message[parts:]
        for _, call, argued in calls:
            del call.texts[argued:]
        self._part, self._message, self._refused = part, message, refused
        self._calls = {number: call for number, call, _ in calls}
        self._finish, self._usage = Finish.LENGTH, None
        return self._close_all() + self._last()

    def fail(self, error: GatewayError) -> bytes:
        """The end of a stream that failed."""
        told = broken(error, self._number)
        output = b"[" + b",".join(self._items[place] for place in sorted(self._items)) + b"]"
        response = self._echo.response(self._made, "failed", output, error=failure(error))
        self._number += 1
        return told + self._event("response.failed", b'"response":' + response)

    def _event(self, kind: str, rest: bytes) -> bytes:
        number, self._number = self._number, self._number + 1
        name = kind.encode()
        return b'event: %b\ndata: {"type":"%b","sequence_number":%d,%b}\n\n' % (name, name, number, rest)

    def _begin(self, piece: Begun) -> bytes:
        self._take(piece.usage)
        self._made = answer.make(piece.id, piece.model, piece.created_s)
        response = b'"response":' + self._echo.response(self._made, "in_progress")
        return self._event("response.created", response) + self._event("response.in_progress", response)

    def _said(self, piece: Said) -> bytes:
        part = self._part
        opened = b""
        if part is None or part.kind != "output_text":
            if not piece.text:
                return b""
            opened = self._open_part("output_text", answer.output_text("", [], []))
            part = self._part
            assert part is not None, "it was opened"
        part.texts.append(piece.text)
        number, self._number = self._number, self._number + 1
        logprobs = b"[]"
        if piece.logprobs is not None:
            found = piece.logprobs.get("content") or []
            part.logprobs = [*part.logprobs, *found]
            logprobs = _encode(found)
        return b'%b%b%d,"delta":%b,"logprobs":%b%b' % (
            opened,
            part.head,
            number,
            _encode(piece.text),
            logprobs,
            part.tail,
        )

    def _cite(self, piece: Cited) -> bytes:
        """Where a piece of the text that grows is from."""
        part = self._part
        if piece.choice or part is None or part.kind != "output_text":
            return b""
        length = sum(map(len, part.texts))
        found = annotations.spell_all(within([piece.citation], self._before, length))
        told = b""
        for note in found:
            part.notes = [*part.notes, note]
            told += self._event(
                "response.output_text.annotation.added",
                b'"item_id":"%b","output_index":%d,"content_index":%d,"annotation_index":%d,"annotation":%b'
                % (part.id.encode(), part.output, part.place, len(part.notes) - 1, _encode(note)),
            )
        return told

    def _refuse(self, piece: Refused) -> bytes:
        self._refused = True
        opened = b""
        if self._part is None or self._part.kind != "refusal":
            opened = self._open_part("refusal", answer.refusal(""))
        return opened + self._grow(self._part, piece.text)

    def _grow(self, open_: _Open | None, text: str) -> bytes:
        """A delta of whatever is open."""
        assert open_ is not None, "it was opened"
        open_.texts.append(text)
        number, self._number = self._number, self._number + 1
        return b'%b%d,"delta":%b%b' % (open_.head, number, _encode(text), open_.tail)

    def _open(self, kind: str, id: str, output: int, within: dict[str, int]) -> _Open:
        """What grows by events of a kind."""
        name = f"response.{kind}.delta".encode()
        where = {"item_id": id, "output_index": output, **within}
        head = b'event: %b\ndata: {"type":"%b","sequence_number":' % (name, name)
        return _Open(kind, id, output, 0, head, b"," + _encode(where)[1:] + b"\n\n", [])

    def _open_part(self, kind: str, empty: Json) -> bytes:
        """A part of a message begins, and the message where none is under way."""
        done = b""
        part = self._part
        if part is not None and part.kind in ("output_text", "refusal"):
            done = self._close_part(part)
            output, id = part.output, part.id
        else:
            done = self._close()
            output, self._outputs = self._outputs, self._outputs + 1
            id = f"msg_{output}_{self._made.key}"
            self._message = []
            item = answer.message(id, "in_progress", [])
            done += self._event("response.output_item.added", _item(output, _encode(item)))
        self._part = part = self._open(kind, id, output, {"content_index": len(self._message)})
        part.place = len(self._message)
        return done + self._event("response.content_part.added", _content(part, empty))

    def _close_part(self, part: _Open) -> bytes:
        """A part of a message is whole."""
        text = "".join(part.texts)
        where = b'"item_id":"%b","output_index":%d,"content_index":%d' % (
            part.id.encode(),
            part.output,
            part.place,
        )
        if part.kind == "refusal":
            said = answer.refusal(text)
            told = b'%b,"refusal":%b' % (where, _encode(text))
        else:
            said = answer.output_text(text, part.logprobs, part.notes)
            self._before += len(text)
            told = b'%b,"text":%b,"logprobs":%b' % (where, _encode(text), _encode(part.logprobs))
        self._message.append(said)
        done = self._event(f"response.{part.kind}.done", told)
        return done + self._event("response.content_part.done", _content(part, said))

    def _thought(self, piece: Thought) -> bytes:
        done = b""
        part = self._part
        if piece.redacted:
            done = self._close()
            output, self._outputs = self._outputs, self._outputs + 1
            thought = Thinking("", "", piece.redacted, piece.vendor)
            item = answer.reasoning(f"rs_{output}_{self._made.key}", thought)
            return done + self._whole(output, item, item)
        if part is None or part.kind != "reasoning_summary_text":
            done = self._close()
            output, self._outputs = self._outputs, self._outputs + 1
            id = f"rs_{output}_{self._made.key}"
            item = answer.reasoning(id, Thinking())
            done += self._event("response.output_item.added", _item(output, _encode(item)))
            self._part = part = self._open("reasoning_summary_text", id, output, {"summary_index": 0})
            done += self._event("response.reasoning_summary_part.added", _summary(part, ""))
        if piece.text:
            done += self._grow(part, piece.text)
        # A seal is on what was thought so far: what follows is another thought.
        return done + self._close_thought(part, piece.signature, piece.vendor) if piece.signature else done

    def _close_thought(self, part: _Open, signature: str = "", vendor: str = "") -> bytes:
        """A thought is whole."""
        text = "".join(part.texts)
        where = b'"item_id":"%b","output_index":%d,"summary_index":0' % (part.id.encode(), part.output)
        done = self._event(
            "response.reasoning_summary_text.done", where + b',"text":' + _encode(text)
        ) + self._event("response.reasoning_summary_part.done", _summary(part, text))
        self._part = None
        return done + self._done(
            part.output, answer.reasoning(part.id, Thinking(text, signature, "", vendor))
        )

    def _call(self, piece: Called) -> bytes:
        done = self._close()
        output, self._outputs = self._outputs, self._outputs + 1
        id = f"fc_{output}_{self._made.key}"
        call = self._open("function_call_arguments", id, output, {})
        call.name, call.call = piece.name, piece.id
        self._calls[piece.call] = call
        item = answer.function_call(id, "in_progress", ToolCall(piece.id, piece.name, ""))
        return done + self._event("response.output_item.added", _item(output, _encode(item)))

    def _argue(self, piece: Argued) -> bytes:
        call = self._calls.get(piece.call)
        if call is None:
            raise ValueError("arguments come before their call")
        return self._grow(call, piece.text)

    def _close_call(self, call: _Open, status: str) -> bytes:
        """A call's arguments are whole."""
        text = "".join(call.texts) or "{}"
        done = self._event(
            "response.function_call_arguments.done",
            b'"item_id":"%b","output_index":%d,"arguments":%b'
            % (call.id.encode(), call.output, _encode(text)),
        )
        return done + self._done(
            call.output, answer.function_call(call.id, status, ToolCall(call.call, call.name, text))
        )

    def _close(self) -> bytes:
        """The message or the thought under way is whole; calls may go on beside others."""
        part = self._part
        if part is None:
            return b""
        if part.kind == "reasoning_summary_text":
            return self._close_thought(part)
        done = self._close_part(part)
        self._part = None
        status = "incomplete" if answer.reason_of(self._finish, True) else "completed"
        return done + self._done(part.output, answer.message(part.id, status, self._message))

    def _close_all(self) -> bytes:
        done = self._close()
        status = "incomplete" if answer.reason_of(self._finish, True) else "completed"
        calls, self._calls = self._calls, {}
        return done + b"".join([self._close_call(call, status) for call in calls.values()])

    def _whole(self, output: int, begun: Json, item: Json) -> bytes:
        """An item that comes whole."""
        return self._event("response.output_item.added", _item(output, _encode(begun))) + self._done(
            output, item
        )

    def _done(self, output: int, item: Json) -> bytes:
        raw = self._items[output] = _encode(item)
        return self._event("response.output_item.done", _item(output, raw))

    def _finished(self, piece: Finished) -> bytes:
        if piece.choice:
            return b""
        self._finish = piece.finish
        return self._close_all()

    def _used(self, piece: Used) -> bytes:
        self._take(piece.usage)
        return b""

    def _over(self, piece: Over) -> bytes:
        return self._close_all() + self._last()

    def _last(self) -> bytes:
        """The response whole."""
        made = self._made
        made.reason = answer.reason_of(self._finish, self._refused)
        status = "incomplete" if made.reason else "completed"
        output = b"[" + b",".join(self._items[place] for place in sorted(self._items)) + b"]"
        usage = encode_usage(self._usage) if self._usage is not None else None
        response = self._echo.response(made, status, output, usage)
        return self._event(f"response.{status}", b'"response":' + response)

    def _take(self, usage: Usage) -> None:
        if usage.source != "none":
            self._usage = usage


def _item(output: int, item: bytes) -> bytes:
    return b'"output_index":%d,"item":%b' % (output, item)


def _content(part: _Open, said: Json) -> bytes:
    return b'"item_id":"%b","output_index":%d,"content_index":%d,"part":%b' % (
        part.id.encode(),
        part.output,
        part.place,
        _encode(said),
    )


def _summary(part: _Open, text: str) -> bytes:
    return b'"item_id":"%b","output_index":%d,"summary_index":0,"part":%b' % (
        part.id.encode(),
        part.output,
        _encode({"type": "summary_text", "text": text}),
    )


def failure(error: GatewayError) -> Json:
    """What a response object says of its failure. Shape: the code is of the few that the API has."""
    code = "rate_limit_exceeded" if error.status == 429 else "server_error"
    return {"code": code, "message": error.message}


def broken(error: GatewayError, number: int) -> bytes:
    """A stream's error event. Shape: as it is documented, and as OpenAI sends it, in one."""
    flat = {"code": error.code, "message": error.message, "param": error.param}
    nested = {"error": {"type": error_kind(error.status), **flat}}
    event = {"type": "error", "sequence_number": number, **flat, **nested}
    return b"event: error\ndata: " + _encode(event) + b"\n\n"


def cut_short(number: int, id: str, model: str) -> bytes:
    """The last event of a stream of the provider's that is cut: what was said stands in the events before it."""
    response = {
        "id": id,
        "object": "response",
        "created_at": 0,
        "status": "incomplete",
        "model": model,
        "incomplete_details": {"reason": "max_output_tokens"},
        "error": None,
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": None,
    }
    event = {"type": "response.incomplete", "sequence_number": number, "response": response}
    return b"event: response.incomplete\ndata: " + _encode(event) + b"\n\n"


_WRITTEN: dict[type, Callable[[StreamWriter, Any], bytes]] = {
    Begun: StreamWriter._begin,
    Thought: StreamWriter._thought,
    Refused: StreamWriter._refuse,
    Called: StreamWriter._call,
    Argued: StreamWriter._argue,
    Cited: StreamWriter._cite,
    Finished: StreamWriter._finished,
    Used: StreamWriter._used,
    Over: StreamWriter._over,
}
