"""An Anthropic provider's stream on its way to an Anthropic caller: byte for byte, with notes of what it said."""

import msgspec

from kpgate.dialects.anthropic.stream import Event, end_early, read_event
from kpgate.dialects.anthropic.usage import Tokens, decode_usage, merge
from kpgate.domain.errors import UpstreamFailed
from kpgate.domain.events import EVENT_BYTES_MAX, Events
from kpgate.domain.usage import Usage

_MALFORMED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError)


class Frames:
    """One stream: `domain.dialect.Framing`. Only whole events are given out.

    Shape: `usage` is there once the message's end said it: its beginning knows the prompt alone.
    """

    __slots__ = ("_events", "_open", "_over", "_texts", "_tokens", "events", "text_bytes", "usage")

    at_boundary = True

    def __init__(self) -> None:
        self._events = Events(EVENT_BYTES_MAX)
        self._tokens: Tokens | None = None
        self._texts: list[str] = []
        self._open = -1
        self._over = False
        self.events = 0
        self.text_bytes = 0
        self.usage: Usage | None = None

    def feed(self, chunk: bytes) -> bytes:
        """Take what arrived; the events that are whole now, as they came.

        Errors: UpstreamFailed where the provider reports a failure or cannot be understood.
        """
        known = len(self._texts)
        try:
            for _, data in self._events.feed(chunk):
                self._note(read_event(data))
        except UpstreamFailed:
            # What came in the same piece is not sent on.
            del self._texts[known:]
            raise
        except _MALFORMED as error:
            del self._texts[known:]
            raise _failed(error) from None
        return self._events.raw

    def finish(self) -> bytes:
        """The provider's stream ended. Errors: UpstreamFailed where it ended too early."""
        try:
            for _, data in self._events.finish():
                self._note(read_event(data))
        except _MALFORMED as error:
            raise _failed(error) from None
        if not self._over:
            raise UpstreamFailed("the provider ended its stream before message_stop")
        return self._events.raw

    def take_text(self) -> str:
        """What the model wrote since the last time."""
        text = "".join(self._texts)
        self._texts.clear()
        self.text_bytes = 0
        return text

    def cut(self) -> bytes:
        """The end of a stream that the gateway cuts."""
        return b"" if self._over else end_early(self._open, self.events)

    def _note(self, event: Event) -> None:
        kind = event.type
        if kind == "content_block_delta":
            self.events += 1
            delta = event.delta
            if delta is not None:
                text = delta.text or delta.partial_json or delta.thinking
                if text:
                    self._texts.append(text)
                    self.text_bytes += len(text)
        elif kind == "content_block_start":
            self._open = event.index
            block = event.content_block
            if block is not None and (text := block.name or block.text):
                self._texts.append(text)
                self.text_bytes += len(text)
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


def _failed(error: Exception) -> UpstreamFailed:
    shown = str(error)[:200] if isinstance(error, msgspec.ValidationError) else "an event is not valid"
    return UpstreamFailed(f"the provider's stream is not as the anthropic API has it: {shown}")
