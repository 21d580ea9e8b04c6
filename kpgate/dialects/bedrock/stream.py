"""ConverseStream's messages, read into the neutral pieces, one by one.

Source: docs.aws.amazon.com, Bedrock API reference, "ConverseStream", by botocore 1.44's model of it (checked November
2026).
"""

from typing import Any

import msgspec

from kpgate.dialects.bedrock.framing import FAULT
from kpgate.dialects.bedrock.reply import (
    Tokens,
    ToolUse,
    decode_fault,
    decode_usage,
    finish_of,
    read_citations,
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
from kpgate.domain.seals import ANTHROPIC

STATUSES = {
    "internalServerException": 500,
    "modelStreamErrorException": 424,
    "validationException": 400,
    "throttlingException": 429,
    "serviceUnavailableException": 503,
}


class _Start(msgspec.Struct, gc=False, rename="camel"):
    tool_use: ToolUse | None = None


class _Argument(msgspec.Struct, gc=False):
    input: str = ""


class _Reasoning(msgspec.Struct, gc=False, rename="camel"):
    text: str = ""
    signature: str = ""
    redacted_content: str = ""


class _Delta(msgspec.Struct, gc=False, rename="camel"):
    text: str | None = None
    tool_use: _Argument | None = None
    reasoning_content: _Reasoning | None = None
    citation: Any = None


class _Event(msgspec.Struct, gc=False, rename="camel"):
    """One event of any kind: its name says which of the fields it has."""

    content_block_index: int = 0
    start: _Start | None = None
    delta: _Delta | None = None
    stop_reason: str = ""
    usage: Tokens | None = None


_event = msgspec.json.Decoder(_Event)


class StreamReader:
    """Reads a provider's stream.

    Shape: `_calls` numbers the blocks that are calls; `_argued` have had arguments; `_cites` are what the block under
    way is from, which began after `_before` of `_length` characters of text.
    """

    def __init__(self) -> None:
        self._length = self._before = 0
        self._cites: list[Any] = []
        self._calls: dict[int, int] = {}
        self._argued: set[int] = set()
        self._stopped = False

    def read(self, name: bytes, data: bytes) -> list[Piece]:
        """What a message says. Errors: ValueError or msgspec's for what makes no sense."""
        if name == b"contentBlockDelta":
            event = _event.decode(data)
            return self._more(event.content_block_index, event.delta or _Delta())
        if name[:1] == FAULT:
            kind = name[1:].decode(errors="replace")
            # An error has its message in a header, an exception in its payload.
            message = decode_fault(data) or data.decode(errors="replace")
            return [Broke(f"{kind}: {message}"[:500], STATUSES.get(kind, 0))]
        if name == b"contentBlockStart":
            event = _event.decode(data)
            return self._begin(event.content_block_index, event.start or _Start())
        if name == b"contentBlockStop":
            return self._close(_event.decode(data).content_block_index)
        if name == b"messageStart":
            return [Begun("", "")]
        if name == b"messageStop":
            self._stopped = True
            return [Finished(finish_of(_event.decode(data).stop_reason))]
        if name == b"metadata":
            usage = decode_usage(_event.decode(data).usage)
            return [Used(usage)] if usage is not None else []
        # Kinds that are still to come.
        return []

    def end(self) -> list[Piece]:
        """The stream ended. Errors: ValueError where it must not end here."""
        if not self._stopped:
            raise ValueError("it ended before messageStop")
        return [Over()]

    def _begin(self, index: int, start: _Start) -> list[Piece]:
        call = start.tool_use
        if call is None or call.type:
            return []
        if not (call.tool_use_id and call.name):
            raise ValueError("contentBlockStart: a call has no id or no name")
        number = self._calls[index] = len(self._calls)
        return [Called(call.tool_use_id, call.name, number)]

    def _more(self, index: int, delta: _Delta) -> list[Piece]:
        if delta.text:
            self._length += len(delta.text)
            return [Said(delta.text)]
        if delta.citation is not None:
            self._cites.append(delta.citation)
            return []
        if delta.tool_use is not None:
            number = self._calls.get(index, -1)
            # Those of Bedrock's own tools have no place in the neutral form.
            if number < 0 or not delta.tool_use.input:
                return []
            self._argued.add(number)
            return [Argued(delta.tool_use.input, number)]
        thought = delta.reasoning_content
        if thought is None or not (thought.text or thought.signature or thought.redacted_content):
            return []
        vendor = ANTHROPIC if thought.signature or thought.redacted_content else ""
        return [Thought(thought.text, 0, thought.signature, thought.redacted_content, vendor)]

    def _close(self, index: int) -> list[Piece]:
        cites, before, self._before = self._cites, self._before, self._length
        if cites:
            self._cites = []
            return [Cited(one) for one in read_citations(cites, before, self._length)]
        number = self._calls.get(index, -1)
        if number < 0 or number in self._argued:
            return []
        self._argued.add(number)
        return [Argued("{}", number)]
