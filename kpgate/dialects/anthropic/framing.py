"""An Anthropic provider's stream on its way to an Anthropic caller: byte for byte, with notes of what it said."""

import msgspec

from kpgate.dialects.anthropic.stream import Event, end_early, read_event
from kpgate.dialects.anthropic.usage import Tokens, decode_usage, merge
from kpgate.domain.errors import UpstreamFailed
from kpgate.domain.events import EVENT_BYTES_MAX, Events
from kpgate.domain.reply import MALFORMED
from kpgate.domain.spoken import Spoken
from kpgate.domain.usage import Usage


class Frames(Spoken):
    """One stream: `domain.dialect.Framing`. Only whole events are given out.

    Shape: `usage` is there once the message's end said it: its beginning knows the prompt alone.
    """

    __slots__ = ("_events", "_late", "_open", "_over", "_sent", "_tokens", "events", "usage")

    at_boundary = True

    def __init__(self) -> None:
        super().__init__()
        self._events = Events(EVENT_BYTES_MAX)
        self._tokens: Tokens | None = None
        self._open = -1
        self._over = False
        # The block that was open, and the events there had been, when the last piece came.
        self._sent = (-1, 0)
        self._late: UpstreamFailed | None = None
        self.events = 0
        self.usage: Usage | None = None

    def feed(self, chunk: bytes) -> bytes:
        """Take what arrived; the events that are whole now, as they came.

        Errors: UpstreamFailed where the provider reports a failure or cannot be understood: at once where nothing has
        been said yet, for then another may answer, else after what came before it has been sent.
        """
        if self._late is not None:
            raise self._late
        heard, data = self.heard, b""
        self._sent = (self._open, self.events)
        try:
            for _, data in self._events.feed(chunk):
                self._note(read_event(data))
        except UpstreamFailed as error:
            self._late = error
        except MALFORMED as error:
            self._late = _failed(error)
        if self._late is None:
            return self._events.raw
        before = _before(self._events.raw, data)
        if not (before and self.events):
            self.forget(heard)
            raise self._late
        return before

    def finish(self) -> bytes:
        """The provider's stream ended. Errors: UpstreamFailed where it ended too early."""
        if self._late is not None:
            raise self._late
        try:
            for _, data in self._events.finish():
                self._note(read_event(data))
        except MALFORMED as error:
            raise _failed(error) from None
        if not self._over:
            raise UpstreamFailed("the provider ended its stream before message_stop")
        return self._events.raw

    def cut(self) -> bytes:
        """The end of a stream that the gateway cuts. Order: what the last `feed` gave was not sent."""
        return end_early(*self._sent)

    def _note(self, event: Event) -> None:
        kind = event.type
        if kind == "content_block_delta":
            self.events += 1
            delta = event.delta
            if delta is not None:
                text = delta.text or delta.partial_json or delta.thinking
                if text:
                    self.hear(text)
        elif kind == "content_block_start":
            self._open = event.index
            block = event.content_block
            if block is not None and (text := block.name or block.text):
                self.hear(text)
        elif kind == "content_block_stop":
            self._open = -1
        elif kind == "message_start":
            self._tokens = event.message.usage if event.message is not None else None
        elif kind == "message_delta":
            if event.usage is not None:
                self._tokens = merge(self._tokens, event.usage)
                self.usage = decode_usage(self._tokens)
        elif kind == "message_stop":
            self._over = True
        elif kind == "error":
            why = event.error.message or event.error.type if event.error is not None else ""
            raise UpstreamFailed(f"the provider ended its stream with an error: {why[:500]}")


def _before(raw: bytes, data: bytes) -> bytes:
    """The events before the one that has the data; empty where that is not found, as where its lines were joined."""
    place = raw.rfind(data) if data else -1
    if place < 0:
        return b""
    ends = [raw.rfind(end, 0, place) + len(end) for end in (b"\n\n", b"\r\n\r\n") if end in raw[:place]]
    return raw[: max(ends)] if ends else b""


def _failed(error: Exception) -> UpstreamFailed:
    shown = str(error)[:200] if isinstance(error, msgspec.ValidationError) else "an event is not valid"
    return UpstreamFailed(f"the provider's stream is not as the anthropic API has it: {shown}")
