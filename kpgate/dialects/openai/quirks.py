"""Providers that speak OpenAI with a difference: what is sent to them and read from them instead. Pure; only ways to
providers with quirks come here.

It knows no provider by name: what differs is said by `domain/presets`.
"""

import dataclasses
from collections.abc import Sequence
from functools import partial

import msgspec
from msgspec.structs import replace

from kpgate._fast.body import Scan, scan, splice
from kpgate._fast.sse import Framer, find_usage
from kpgate.dialects.openai import answer, ask, endpoints, request
from kpgate.dialects.openai.fitting import Fitting, speakable
from kpgate.dialects.openai.reply import decode_usage
from kpgate.dialects.openai.request import (
    MAX_COMPLETION_TOKENS,
    MAX_TOKENS,
    MODEL,
    READ,
    STREAM_OPTIONS,
    ChatRequest,
)
from kpgate.dialects.openai.stream import StreamReader
from kpgate.domain.call import Call
from kpgate.domain.chat import Chat
from kpgate.domain.dialect import Aim, Endpoint, Framing, Heads, Vendor, Way
from kpgate.domain.errors import InvalidRequest
from kpgate.domain.events import EVENT_BYTES_MAX
from kpgate.domain.quirks import NONE, Quirks
from kpgate.domain.reply import Piece, Reply, Used
from kpgate.domain.usage import NOTHING, Usage

ONE_CHOICE = "the provider of this model answers one choice a call"
DEPTH_MAX = 1024
"""Deeper than any body that was let in: what is scanned here was encoded here."""


def bend(vendor: Vendor, quirks: Quirks) -> Vendor:
    """The same vendor's API, as a provider with quirks speaks it."""
    if quirks == NONE:
        return vendor
    assert vendor.tongue is not None, "OpenAI has one"
    assert vendor.tongue.encode_chat is ask.encode_chat, "quirks are those of providers that speak OpenAI"
    bent = Bent(quirks)
    tongue = replace(
        vendor.tongue,
        encode_chat=bent.encode_chat,
        decode_reply=bent.decode_reply,
        reader=partial(BentReader, bent),
    )

    def native(endpoint: Endpoint, heads: Heads) -> Way:
        return (bent if endpoint in endpoints.ENDPOINTS else vendor).native(endpoint, heads)

    return replace(vendor, native=native, tongue=tongue)


class _Usage(msgspec.Struct, gc=False):
    prompt_cache_hit_tokens: int | None = None
    cached_tokens: int | None = None
    total_tokens: int | None = None


class _Where(msgspec.Struct, gc=False):
    usage: msgspec.Raw = msgspec.Raw()


class _Chunk(msgspec.Struct, gc=False):
    usage: msgspec.Raw = msgspec.Raw()
    x_groq: _Where | None = None
    choices: list[_Where] | None = None


_usage = msgspec.json.Decoder(_Usage)
_chunk = msgspec.json.Decoder(_Chunk)


class Bent:
    """What one provider does otherwise."""

    def __init__(self, quirks: Quirks) -> None:
        self.quirks = quirks
        self.marker = {"": b"", "x_groq": b'"x_groq"', "choice": b'"usage"'}[quirks.usage_in]
        self.fitting = Fitting(quirks)

    def native(self, endpoint: Endpoint, heads: Heads) -> Way:
        """As `endpoints.native`."""
        return dataclasses.replace(
            endpoints.native(endpoint, heads),
            forward=self.forward,
            decode_usage=self.decode_usage,
            find_usage=self.find_usage,
            framer=self.framer,
        )

    def forward(self, body: bytes, call: Call, upstream_model: str, cap: int = 0) -> bytes:
        """As `request.forward`. Errors: InvalidRequest for more choices than the provider gives."""
        quirks = self.quirks
        if call.choices > 1 and not quirks.choices:
            raise InvalidRequest(f"n: {ONE_CHOICE}", param="n")
        edits: dict[int, bytes | None] = {}
        if upstream_model != call.model:
            edits[MODEL] = msgspec.json.encode(upstream_model)
        if not quirks.stream_options:
            if call.scan.has(STREAM_OPTIONS):
                edits[STREAM_OPTIONS] = None
        elif call.stream and not call.usage_wanted:
            edits[STREAM_OPTIONS] = request.with_usage(call.scan)
        if quirks.cap and isinstance(call.content, ChatRequest):
            _rename(edits, call, cap)
        elif cap:
            request.bound(edits, call, cap)
        sent, left = self.fitting.fit(splice(body, call.scan, edits) if edits else body)
        call.dropped = ",".join(left)
        return sent

    def decode_usage(self, raw: bytes) -> Usage | None:
        """As `reply.decode_usage`, where it is said under another name or counted otherwise."""
        usage = decode_usage(raw)
        if usage is None:
            return None
        quirks = self.quirks
        try:
            said = _usage.decode(raw)
        except msgspec.MsgspecError:
            return usage
        cached: int = (getattr(said, quirks.cached) or 0) if quirks.cached else 0
        if cached > 0 and not usage.cached:
            usage = dataclasses.replace(usage, cached=min(cached, usage.input))
        # Only where the total says so: should the provider count as OpenAI does one day, nothing is charged twice.
        if quirks.reasoning_apart and said.total_tokens == usage.total + usage.reasoning:
            usage = dataclasses.replace(usage, output=usage.output + usage.reasoning)
        return usage

    def find_usage(self, body: bytes) -> Usage | None:
        """What a whole reply says was used."""
        raw = find_usage(body)
        return None if raw is None else self.decode_usage(raw)

    def framer(self, call: Call) -> Framing:
        """What forwards a stream."""
        framer = Framer(not call.usage_wanted, EVENT_BYTES_MAX, collect=True)
        return Seeker(framer, self) if self.marker else framer

    def locate(self, data: bytes) -> bytes | None:
        """The usage in an event's data, wherever this provider puts it. Errors: msgspec.MsgspecError."""
        chunk = _chunk.decode(data)
        places = [chunk.usage]
        if self.quirks.usage_in == "x_groq" and chunk.x_groq is not None:
            places.append(chunk.x_groq.usage)
        if self.quirks.usage_in == "choice":
            places += [choice.usage for choice in chunk.choices or ()]
        return next((bytes(raw) for raw in places if bytes(raw)[:1] == b"{"), None)

    def encode_chat(self, chat: Chat, aim: Aim) -> bytes:
        """As `ask.encode_chat`. Errors: Unspeakable."""
        if chat.choices > 1 and not self.quirks.choices:
            aim.lack("choices", ONE_CHOICE)
        sent = ask.encode_chat(speakable(chat, aim, self.quirks), aim, self.quirks)
        offsets = scan(sent, READ, DEPTH_MAX)
        edits: dict[int, bytes | None] = {}
        if not self.quirks.stream_options and offsets.has(STREAM_OPTIONS):
            edits[STREAM_OPTIONS] = None
        if self.quirks.cap and offsets.has(MAX_COMPLETION_TOKENS):
            edits[MAX_TOKENS] = offsets.raw(MAX_COMPLETION_TOKENS)
            edits[MAX_COMPLETION_TOKENS] = None
        fit, left = self.fitting.fit(splice(sent, offsets, edits) if edits else sent)
        for name in left:
            aim.leave_out(name)
        return fit

    def decode_reply(self, body: bytes) -> Reply:
        """As `answer.decode_reply`."""
        return dataclasses.replace(answer.decode_reply(body), usage=self.find_usage(body) or NOTHING)


def _rename(edits: dict[int, bytes | None], call: Call, cap: int) -> None:
    """Have a chat's output cap said as `max_tokens`, whichever it was, and no more than `cap` where that is set."""
    offsets: Scan = call.scan
    given = [one for one in (call.content.max_completion_tokens, call.content.max_tokens) if one is not None]
    wanted = min([*given, cap] if cap else given, default=None)
    if offsets.has(MAX_COMPLETION_TOKENS):
        edits[MAX_COMPLETION_TOKENS] = None
    if wanted is not None and wanted != call.content.max_tokens:
        edits[MAX_TOKENS] = b"%d" % wanted


class BentReader(StreamReader):
    """Reads the chunks of such a provider."""

    def __init__(self, bent: Bent) -> None:
        super().__init__()
        self._bent = bent

    def read(self, name: bytes, data: bytes) -> Sequence[Piece]:
        """What a chunk says. Errors: msgspec.MsgspecError, ValueError for what is no chunk."""
        pieces = [piece for piece in super().read(name, data) if type(piece) is not Used]
        raw = self._bent.locate(data) if b'"usage"' in data else None
        usage = None if raw is None else self._bent.decode_usage(raw)
        return [*pieces, Used(usage)] if usage is not None else pieces


class Seeker:
    """A stream whose usage is not where OpenAI has it: forwarded by the framer as it is, and looked through."""

    __slots__ = ("_bent", "_found", "_framer")

    def __init__(self, framer: Framer, bent: Bent) -> None:
        self._framer = framer
        self._bent = bent
        self._found: bytes | None = None

    @property
    def events(self) -> int:
        """Events with data so far."""
        return self._framer.events

    @property
    def at_boundary(self) -> bool:
        """What was given out so far ends with a whole event."""
        return self._framer.at_boundary

    @property
    def text_bytes(self) -> int:
        """How much text waits for `take_text`."""
        return self._framer.text_bytes

    @property
    def usage(self) -> bytes | None:
        """What the provider said was used: where OpenAI has it, else where this one does."""
        return self._framer.usage or self._found

    def feed(self, chunk: bytes) -> bytes:
        """Take what arrived; the whole events to forward now."""
        return self._look(self._framer.feed(chunk))

    def finish(self) -> bytes:
        """The stream has ended well: what is left of it."""
        return self._look(self._framer.finish())

    def take_text(self) -> str:
        """What the model wrote since the last time."""
        return self._framer.take_text()

    def _look(self, out: bytes) -> bytes:
        if self._bent.marker in out:
            for line in out.splitlines():
                if line.startswith(b"data:") and self._bent.marker in line:
                    try:
                        self._found = self._bent.locate(line[5:]) or self._found
                    except msgspec.MsgspecError:
                        continue
        return out
