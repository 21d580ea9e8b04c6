"""Anthropic event streams, read into the neutral pieces and written from them, event by event.

Source: platform.claude.com, "Streaming messages" (checked November 2026).
"""

from typing import Any

import msgspec

from kpgate.dialects.anthropic import citations
from kpgate.dialects.anthropic.forms import Block
from kpgate.dialects.anthropic.reply import FINISHES, REASONS, STATUSES, Fault, StopDetails, refused
from kpgate.dialects.anthropic.usage import Tokens, decode_usage, encode_usage, merge
from kpgate.domain.call import Call
from kpgate.domain.reply import (
    Argued,
    Begun,
    Broke,
    Called,
    Citation,
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
from kpgate.domain.seals import ANTHROPIC, wrap
from kpgate.domain.usage import Usage


class Delta(msgspec.Struct, gc=False):
    """What an event adds to a block, or to the message."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None
    citation: Any = None


class Head(msgspec.Struct, gc=False):
    """The message that begins."""

    id: str = ""
    model: str = ""
    usage: Tokens | None = None


class Event(msgspec.Struct, gc=False):
    """One event of any kind: `type` says which of the fields it has."""

    type: str
    index: int = 0
    delta: Delta | None = None
    content_block: Block | None = None
    message: Head | None = None
    usage: Tokens | None = None
    error: Fault | None = None


read_event = msgspec.json.Decoder(Event).decode
EMPTY = b"{}"


class StreamReader:
    """Reads a provider's stream.

    Shape: `_calls` numbers the blocks that are calls; `_argued` have had arguments; `_cites` are what the text block
    under way is from, which began after `_before` of `_length` characters.
    """

    def __init__(self) -> None:
        self._length = self._before = 0
        self._cites: list[Any] = []
        self._calls: dict[int, int] = {}
        self._argued: set[int] = set()
        self._tokens: Tokens | None = None
        self._finished = False
        self._over = False

    def read(self, name: bytes, data: bytes) -> list[Piece]:
        """What an event says. Errors: ValueError or msgspec's for what makes no sense."""
        event = read_event(data)
        kind = event.type
        if kind == "content_block_delta":
            return self._more(event.index, _needed(event.delta))
        if kind == "content_block_start":
            return self._begin(event.index, _needed(event.content_block))
        if kind == "content_block_stop":
            if self._cites:
                cites, self._cites = self._cites, []
                return [Cited(one) for one in citations.read(cites, self._before, self._length)]
            call = self._calls.get(event.index, -1)
            if call >= 0 and call not in self._argued:
                self._argued.add(call)
                return [Argued("{}", call)]
            return []
        if kind == "message_start":
            head: Head = _needed(event.message)
            self._tokens = head.usage
            return [Begun(head.id, head.model)]
        if kind == "message_delta":
            return self._end(event)
        if kind == "message_stop":
            self._over = True
            return [Over()]
        if kind == "error":
            fault = event.error or Fault()
            return [Broke(fault.message or fault.type, STATUSES.get(fault.type, 0))]
        # Pings, and kinds that are still to come.
        return []

    def end(self) -> list[Piece]:
        """The stream ended. Errors: ValueError where it must not end here."""
        if not self._over:
            raise ValueError("it ended before message_stop")
        return []

    def _more(self, index: int, delta: Delta) -> list[Piece]:
        kind = delta.type
        if kind == "text_delta":
            if not delta.text:
                return []
            self._length += len(delta.text)
            return [Said(delta.text)]
        if kind == "input_json_delta":
            call = self._calls.get(index, -1)
            # Those of Anthropic's own tools have no place in the neutral form.
            if call < 0 or not delta.partial_json:
                return []
            self._argued.add(call)
            return [Argued(delta.partial_json, call)]
        if kind == "thinking_delta":
            return [Thought(delta.thinking)] if delta.thinking else []
        if kind == "signature_delta":
            return [Thought(signature=delta.signature, vendor=ANTHROPIC)] if delta.signature else []
        if kind == "citations_delta":
            self._cites.append(delta.citation)
        return []

    def _begin(self, index: int, block: Block) -> list[Piece]:
        kind = block.type
        if kind == "tool_use":
            if not (block.id and block.name):
                raise ValueError("a tool_use block has no id or no name")
            call = self._calls[index] = len(self._calls)
            found: list[Piece] = [Called(block.id, block.name, call)]
            given = bytes(block.input)
            if given not in (b"", EMPTY):
                self._argued.add(call)
                found.append(Argued(given.decode(), call))
            return found
        if kind == "text":
            self._before = self._length
            self._cites = list(block.citations) if isinstance(block.citations, list) else []
            self._length += len(block.text or "")
            return [Said(block.text)] if block.text else []
        if kind == "thinking":
            return [Thought(block.thinking)] if block.thinking else []
        if kind == "redacted_thinking":
            return [Thought(redacted=block.data or "", vendor=ANTHROPIC)]
        return []

    def _end(self, event: Event) -> list[Piece]:
        found: list[Piece] = []
        delta: Delta = _needed(event.delta)
        if delta.stop_reason and not self._finished:
            self._finished = True
            if delta.stop_details is not None and delta.stop_details.explanation:
                found.append(Refused(delta.stop_details.explanation))
            finish = FINISHES.get(delta.stop_reason, Finish.STOP)
            found.append(Finished(finish, stopped_by=delta.stop_sequence or ""))
        if event.usage is not None:
            self._tokens = merge(self._tokens, event.usage)
            used = decode_usage(self._tokens)
            if used is not None:
                found.append(Used(used))
        return found


def _needed(value: Any) -> Any:
    if value is None:
        raise ValueError("an event lacks what its type promises")
    return value


TEXT, THINKING, CITED = "text", "thinking", "cited"
_quote = msgspec.json.Encoder().encode


class StreamWriter:
    """Writes a caller's stream: one block after the other, each with its index, of the first choice.

    A call's block is closed once its arguments are whole; of calls that a provider streams at the same time, several
    are open at once.
    """

    def __init__(self, call: Call) -> None:
        self._shows = call.content.shows_thinking
        self._model = call.model
        self._begun = False
        self._over = False
        self._blocks = 0
        self._deltas = 0
        # The kind of the block that text goes to, empty for none; and by a call's number, its block and what was said.
        self._open = ""
        self._prefix = b""
        self._calls: dict[int, tuple[int, list[str]]] = {}
        self._sent: tuple[bool, int, str, tuple[int, ...]] = (False, 0, "", ())
        self._closed: dict[int, int] = {}
        self._finish = Finish.STOP
        self._stopped_by = ""
        self._refused = ""
        self._usage: Usage | None = None

    def write(self, piece: Piece) -> bytes:
        """A piece in Anthropic's spelling, empty where it has no place there."""
        kind = type(piece)
        if kind is Said:
            return self._said(piece) if not piece.choice else b""  # type: ignore[union-attr,arg-type]
        if kind is Begun:
            return self._begin(piece)  # type: ignore[arg-type]
        if kind is Used:
            self._usage = piece.usage  # type: ignore[union-attr]
            return b""
        if kind is Over:
            return self._end()
        if getattr(piece, "choice", 0):
            return b""
        if kind is Argued:
            return self._argued(piece)  # type: ignore[arg-type]
        if kind is Called:
            return self._called(piece)  # type: ignore[arg-type]
        if kind is Thought:
            return self._thought(piece)  # type: ignore[arg-type]
        if kind is Cited:
            return self._cite(piece.citation)  # type: ignore[union-attr]
        if kind is Refused:
            self._refused += piece.text  # type: ignore[union-attr]
        elif kind is Finished:
            self._finish, self._stopped_by = piece.finish, piece.stopped_by  # type: ignore[union-attr]
            return self._close(everything=True)
        return b""

    def mark(self) -> None:
        """What was written so far is on its way."""
        calls = tuple([index for index, _ in self._calls.values()]) if self._calls else ()
        self._sent = (self._begun, self._blocks, self._open, calls)

    def cut(self) -> bytes:
        """The end of a stream that the gateway cuts."""
        self._begun, self._blocks, self._open, calls = self._sent
        self._calls = {index: (index, []) for index in calls}
        self._over = False
        self._finish, self._stopped_by, self._refused = Finish.LENGTH, "", ""
        return self._end()

    def _begin(self, piece: Begun) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        message: dict[str, Any] = {
            "id": piece.id,
            "type": "message",
            "role": "assistant",
            "model": piece.model or self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": encode_usage(piece.usage),
        }
        return _event(b"message_start", {"type": "message_start", "message": message})

    def _said(self, piece: Said) -> bytes:
        begin = b"" if self._open == TEXT else self._switch(TEXT, {"type": "text", "text": ""})
        self._deltas += 1
        return b"%b%b%b}}\n\n" % (begin, self._prefix, _quote(piece.text))

    def _cite(self, citation: Citation) -> bytes:
        """What the text block under way is from: what is said after that is a block of its own."""
        said = citations.spell(citation) if self._open in (TEXT, CITED) else None
        if said is None:
            return b""
        self._open = CITED
        delta = {"type": "citations_delta", "citation": said}
        told = {"type": "content_block_delta", "index": self._blocks - 1, "delta": delta}
        return _event(b"content_block_delta", told)

    def _thought(self, piece: Thought) -> bytes:
        if piece.redacted:
            data = wrap(piece.redacted, piece.vendor, ANTHROPIC)
            block = {"type": "redacted_thinking", "data": data}
            return self._switch("redacted", block) + self._close()
        text = piece.text if self._shows else ""
        if not (text or piece.signature):
            return b""
        begin = b""
        if self._open != THINKING:
            begin = self._switch(THINKING, {"type": "thinking", "thinking": "", "signature": ""})
        self._deltas += 1
        out = b"%b%b%b}}\n\n" % (begin, self._prefix, _quote(text)) if text else begin
        if piece.signature:
            seal = wrap(piece.signature, piece.vendor, ANTHROPIC)
            delta = {"type": "signature_delta", "signature": seal}
            out += _event(
                b"content_block_delta",
                {"type": "content_block_delta", "index": self._blocks - 1, "delta": delta},
            )
            # The seal is on all of it: what follows is another thought.
            out += self._close()
        return out

    def _called(self, piece: Called) -> bytes:
        out = self._start() + self._close()
        block = {"type": "tool_use", "id": piece.id, "name": piece.name, "input": {}}
        self._calls[piece.call] = (self._blocks, [])
        return out + self._open_block(block)

    def _argued(self, piece: Argued) -> bytes:
        if not piece.text:
            return b""
        found = self._calls.get(piece.call)
        if found is not None:
            index = found[0]
            found[1].append(piece.text)
        elif piece.call in self._closed:
            index = self._closed[piece.call]
        else:
            raise ValueError("arguments came before their call")
        self._deltas += 1
        return b"%b%d%b%b}}\n\n" % (_DELTA, index, _JSON, _quote(piece.text))

    def _switch(self, kind: str, block: dict[str, Any]) -> bytes:
        """Begin a block of another kind."""
        out = self._start() + self._close()
        delta = _TEXT if kind == TEXT else _THINKING
        self._prefix = b"%b%d%b" % (_DELTA, self._blocks, delta)
        self._open = kind
        return out + self._open_block(block)

    def _start(self) -> bytes:
        return b"" if self._begun else self._begin(Begun("", self._model))

    def _open_block(self, block: dict[str, Any]) -> bytes:
        index = self._blocks
        self._blocks += 1
        told = {"type": "content_block_start", "index": index, "content_block": block}
        return _event(b"content_block_start", told)

    def _close(self, *, everything: bool = False) -> bytes:
        """Close what is open and whole; all of it at the end."""
        out = b""
        if self._open:
            self._open = ""
            out = _STOP % (self._blocks - 1)
        for call, (index, said) in list(self._calls.items()):
            if everything or _is_whole(said):
                del self._calls[call]
                self._closed[call] = index
                out += _STOP % index
        return out

    def _end(self) -> bytes:
        if self._over:
            return b""
        self._over = True
        out = self._start() + self._close(everything=True)
        refusal = self._finish in (Finish.REFUSED, Finish.FILTERED) or self._refused
        delta = {
            "stop_reason": REASONS[Finish.REFUSED if self._refused else self._finish],
            "stop_sequence": self._stopped_by or None,
            "stop_details": refused(self._refused) if refusal and self._refused else None,
        }
        usage = self._usage if self._usage is not None else Usage(0, self._deltas)
        told = {"type": "message_delta", "delta": delta, "usage": encode_usage(usage)}
        return out + _event(b"message_delta", told) + MESSAGE_STOP


def _is_whole(said: list[str]) -> bool:
    """Whether a call's arguments are whole: JSON that nothing can follow."""
    try:
        msgspec.json.decode("".join(said), type=msgspec.Raw)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True


def _event(name: bytes, told: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name, _quote(told))


_DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":'
_TEXT = b',"delta":{"type":"text_delta","text":'
_THINKING = b',"delta":{"type":"thinking_delta","thinking":'
_JSON = b',"delta":{"type":"input_json_delta","partial_json":'
_STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
MESSAGE_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


def end_early(open_block: int, spoken: int) -> bytes:
    """The end of a message that is as long as it may be. Shape: `open_block` is the block to close, -1 for none."""
    usage = {"output_tokens": spoken}
    delta = {"stop_reason": REASONS[Finish.LENGTH], "stop_sequence": None}
    closed = _STOP % open_block if open_block >= 0 else b""
    told = {"type": "message_delta", "delta": delta, "usage": usage}
    return closed + _event(b"message_delta", told) + MESSAGE_STOP
