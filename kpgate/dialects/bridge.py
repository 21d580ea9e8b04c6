"""The way between a caller of one vendor's dialect and a provider of another's: over the neutral forms, both ways.

Knows no vendor. What the provider's dialect cannot say is refused by the caller's own name for it, or left out and
named where the operator allows that.
"""

import re
from collections.abc import Iterable
from random import getrandbits
from time import time
from typing import Any

import msgspec

from kpgate.domain.call import Call
from kpgate.domain.dialect import (
    Aim,
    Endpoint,
    Heads,
    Reader,
    Tongue,
    Turned,
    Unspeakable,
    Way,
    Writer,
)
from kpgate.domain.errors import InvalidRequest, UpstreamFailed
from kpgate.domain.events import EVENT_BYTES_MAX, Events
from kpgate.domain.reply import (
    MALFORMED,
    Argued,
    Begun,
    Broke,
    Called,
    Piece,
    Refused,
    Reply,
    Said,
    Thought,
    Used,
)
from kpgate.domain.spoken import Spoken
from kpgate.domain.usage import Usage

DROPPED_MAX = 1024
"""Characters of what is said of dropped fields."""
_UNFIT = re.compile("[^ -~]")
STREAM_BYTES_MAX = 256 * 1024 * 1024
"""As long as a whole reply may be: readers and writers keep text, to say at the end what it is from, or all of it."""


class Allowance(msgspec.Struct, frozen=True):
    """What an operator lets a bridge do. Units: `output_default` tokens, where neither caller nor hold caps."""

    drops: bool = False
    output_default: int = 4096


def bridge(endpoint: Endpoint, tongue: Tongue, heads: Heads, allowance: Allowance) -> Way | None:
    """The way from an endpoint to a tongue. None: there is no neutral form for what the endpoint asks."""
    if endpoint.neutral is None:
        return None
    across = _Bridge(endpoint, tongue, allowance)
    return Way(
        head=heads.whole,
        stream_head=heads.stream,
        forward=across.forward,
        framer=across.framer,
        cut=_cut,
        turn=across.turn,
        stream_type=tongue.stream_type,
    )


class _Bridge:
    """One endpoint and one tongue."""

    def __init__(self, endpoint: Endpoint, tongue: Tongue, allowance: Allowance) -> None:
        assert endpoint.neutral is not None, "a bridge begins at a neutral form"
        assert endpoint.encode_reply is not None and endpoint.encode_failure is not None, (
            "a bridge leads back"
        )
        self._endpoint = endpoint
        self._tongue = tongue
        self._drops = allowance.drops
        self._output_default = allowance.output_default
        # What every call goes through: from here to there, and back.
        self._neutral = endpoint.neutral
        self._encode_chat = tongue.encode_chat
        self._decode_reply = tongue.decode_reply
        self._encode_reply = endpoint.encode_reply
        self._encode_failure = endpoint.encode_failure

    def forward(self, body: bytes, call: Call, model: str, cap: int) -> bytes:
        """The request in the provider's dialect. Errors: InvalidRequest for what it cannot express."""
        chat = self._neutral(body, call)
        aim = Aim(model, cap, self._output_default, call.stream, self._drops)
        try:
            if chat.unknown or chat.hints:
                for name in chat.unknown:
                    aim.lack(name)
                for name in chat.hints:
                    aim.leave_out(name)
            sent = self._encode_chat(chat, aim)
        except Unspeakable as error:
            name = self._endpoint.spelled.get(error.name, error.name)
            why = (
                error.why
                or f"the {self._tongue.name} API, which this model is asked through, has nothing for it"
            )
            raise InvalidRequest(f"{name}: {why}", param=name) from None
        call.dropped = _shown(aim.dropped, self._endpoint.spelled) if aim.dropped else ""
        return sent

    def framer(self, call: Call) -> "Translator":
        """What puts a stream into the caller's dialect."""
        endpoint, tongue = self._endpoint, self._tongue
        assert endpoint.writer is not None, "a bridge leads back"
        events, writer = tongue.split(EVENT_BYTES_MAX), endpoint.writer(call)
        return Translator(tongue.name, events, tongue.reader(), writer, call.model)

    def turn(self, status: int, body: bytes, call: Call) -> Turned:
        """A whole reply in the caller's dialect. Errors: UpstreamFailed for one that cannot be understood."""
        if status >= 300:
            failure = self._tongue.decode_failure(status, body)
            return Turned(self._encode_failure(status, failure), None, "")
        try:
            reply = self._decode_reply(body)
        except MALFORMED as error:
            raise UpstreamFailed(
                f"the provider's reply is not as the {self._tongue.name} API has it: {_where(error)}"
            ) from None
        _name(reply, call.model)
        made = self._encode_reply(reply, call)
        if reply.usage.source != "none":
            return Turned(made, reply.usage, "")
        # What was said is counted only where nobody did.
        return Turned(made, None, _words(reply))


def _shown(names: list[str], spelled: dict[str, str]) -> str:
    """What was dropped, as a header can say it: callers give fields names of their own, and as many as they like."""
    said = ",".join([spelled.get(name, name) for name in names])
    if len(said) > DROPPED_MAX:
        said = said[: DROPPED_MAX - 3] + "..."
    return said if said.isascii() and said.isprintable() else _UNFIT.sub("?", said)


def _words(reply: Reply) -> str:
    """What a reply says, for counting."""
    parts: list[Any] = [part for choice in reply.choices for part in choice.parts]
    return "".join([getattr(part, "text", "") or getattr(part, "arguments", "") for part in parts])


def _name(said: Reply | Begun, model: str) -> None:
    """What names neither itself nor its model is named here, and what says no time was made now: clients tell replies
    apart by their ids, and sort them by when they were made.
    """
    if not said.created_s:
        said.created_s = int(time())
    if not said.id:
        said.id = f"{getrandbits(96):024x}"
    if not said.model:
        said.model = model


def _where(error: Exception) -> str:
    """What was wrong, without what was said: a validation error names a place and kinds."""
    if isinstance(error, msgspec.ValidationError):
        return str(error)[:200]
    return "it is not valid JSON" if isinstance(error, msgspec.DecodeError) else str(error)[:200]


def _cut(framer: Any, request_id: str, model: str, choices: int) -> bytes:
    end: bytes = framer.cut()
    return end


class Translator(Spoken):
    """A provider's stream in the caller's dialect, event by event: `domain.dialect.Framing`."""

    __slots__ = (
        "_bytes",
        "_events",
        "_late",
        "_mark",
        "_model",
        "_name",
        "_reader",
        "_spoke",
        "events",
        "usage",
        "writer",
    )

    at_boundary = True

    def __init__(self, name: str, events: Events, reader: Reader, writer: Writer, model: str = "") -> None:
        super().__init__()
        self._name = name
        self._model = model
        self._events = events
        self._reader = reader
        self.writer = writer
        # What came last is held back by a cut.
        self._mark = getattr(writer, "mark", None)
        # Whether anything was said, and what went wrong after what is still to be sent.
        self._spoke = False
        self._late: UpstreamFailed | None = None
        self._bytes = 0
        self.events = 0
        self.usage: Usage | None = None

    def feed(self, chunk: bytes) -> bytes:
        """Take what arrived; what to send on now.

        Errors: UpstreamFailed where the provider reports a failure or cannot be understood: at once where nothing has
        been said yet, for then another may answer, else after what came before it has been sent.
        """
        if self._late is not None:
            raise self._late
        if self._mark is not None:
            self._mark()
        heard = self.heard
        out: list[bytes] = []
        self._bytes += len(chunk)
        try:
            if self._bytes > STREAM_BYTES_MAX:
                raise ValueError(f"it has more than {STREAM_BYTES_MAX} bytes")
            for name, data in self._events.feed(chunk):
                self._take(self._reader.read(name, data), out)
        except UpstreamFailed as error:
            self._late = error
        except MALFORMED as error:
            self._late = self._failed(error)
        if self._late is not None and not (out and self._spoke):
            self.forget(heard)
            raise self._late
        return b"".join(out)

    def finish(self) -> bytes:
        """The provider's stream ended: what is left to send. Errors: UpstreamFailed where it ended too early."""
        if self._late is not None:
            raise self._late
        try:
            out: list[bytes] = []
            for name, data in self._events.finish():
                self._take(self._reader.read(name, data), out)
            self._take(self._reader.end(), out)
            return b"".join(out)
        except MALFORMED as error:
            raise self._failed(error) from None

    def cut(self) -> bytes:
        """The end of a stream that the gateway cuts."""
        return self.writer.cut()

    def _take(self, pieces: Iterable[Piece], out: list[bytes]) -> None:
        for piece in pieces:
            kind = type(piece)
            if kind in _SPOKEN:
                self.events += 1
                self._spoke = True
                text: str = piece.text  # type: ignore[union-attr]
                self.hear(text)
            elif kind is Begun or kind is Used:
                if kind is Begun:
                    _name(piece, self._model)  # type: ignore[arg-type]
                if piece.usage.source != "none":  # type: ignore[union-attr]
                    self.usage = piece.usage  # type: ignore[union-attr]
            elif kind is Called:
                self._spoke = True
                self.hear(piece.name)  # type: ignore[union-attr]
            elif kind is Broke:
                raise UpstreamFailed(f"the provider ended its stream with an error: {piece.message[:500]}")  # type: ignore[union-attr]
            written = self.writer.write(piece)
            if written:
                out.append(written)

    def _failed(self, error: Exception) -> UpstreamFailed:
        return UpstreamFailed(f"the provider's stream is not as the {self._name} API has it: {_where(error)}")


_SPOKEN = frozenset((Said, Thought, Refused, Argued))
