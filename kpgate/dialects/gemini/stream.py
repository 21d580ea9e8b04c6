"""Gemini streams: each event is a reply with what is new. Between callers and providers who both speak it they pass
byte for byte; `StreamReader` and `StreamWriter` are for those who do not.

Source: ai.google.dev, API reference, "models.streamGenerateContent" (checked November 2026).
"""

from collections import defaultdict
from collections.abc import Sequence
from io import StringIO
from typing import Any

import msgspec
import orjson

from kpgate.dialects.gemini import grounding, parts
from kpgate.dialects.gemini.forms import Answer, Candidate, Part, UsageMetadata, parts_of
from kpgate.dialects.gemini.reply import REASONS, blocked, encode_parts, finish_of, said_in
from kpgate.dialects.gemini.usage import decode_usage, encode_usage, is_last
from kpgate.domain.call import Call
from kpgate.domain.chat import Refusal, Text, Thinking, ToolCall
from kpgate.domain.errors import UpstreamFailed
from kpgate.domain.events import EVENT_BYTES_MAX, Event, Events
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
    Refused,
    Said,
    Thought,
    Used,
)
from kpgate.domain.reply import Piece as Neutral
from kpgate.domain.spoken import Spoken
from kpgate.domain.usage import Usage

_answer = msgspec.json.Decoder(Answer)
MALFORMED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Frames(Spoken):
    """A stream on its way from Gemini to a caller of Gemini's: `domain.dialect.Framing`.

    Shape: the provider's bytes in whole events, or each event's data as an item of a JSON list.
    """

    __slots__ = ("_events", "_last", "_listed", "_provisional", "_used", "events")

    at_boundary = True

    def __init__(self, listed: bool) -> None:
        super().__init__()
        self._events = Events(EVENT_BYTES_MAX)
        self._listed = listed
        self._used: UsageMetadata | None = None
        self._provisional: UsageMetadata | None = None
        self._last = False
        self.events = 0

    @property
    def usage(self) -> Usage | None:
        """What was used, once a choice has ended: before that Google says what it is so far, output not always."""
        return decode_usage(self._used)

    def feed(self, chunk: bytes) -> bytes:
        """Take what arrived; what to send on now.

        Errors: UpstreamFailed where the provider reports a failure or cannot be understood.
        """
        try:
            found = self._events.feed(chunk)
        except ValueError as error:
            raise UpstreamFailed(f"the provider's stream cannot be read: {error}") from None
        return self._take(found)

    def finish(self) -> bytes:
        """The provider's stream ended: what is left to send."""
        left = self._take(self._events.finish())
        if self._used is None:
            self._used = self._provisional
        if not self._listed:
            return left
        return left + (b"\n]" if self.events else b"[]")

    def cut(self, choices: int) -> bytes:
        """The end of a stream that the gateway cuts."""
        ends = [{"finishReason": "MAX_TOKENS", "index": index} for index in range(choices)]
        data = orjson.dumps({"candidates": ends})
        if not self._listed:
            return b"data: " + data + b"\r\n\r\n"
        return (b",\n" if self.events else b"[") + data + b"\n]"

    def _take(self, found: list[Event]) -> bytes:
        items: list[bytes] = []
        for _, data in found:
            self._read(data)
            items.append((b",\n" if self.events else b"[") + data)
            self.events += 1
        return b"".join(items) if self._listed else self._events.raw

    def _read(self, data: bytes) -> None:
        """Note what an event says."""
        try:
            answer = _answer.decode(data)
        except MALFORMED:
            raise UpstreamFailed(
                "an event of the provider's stream is not as the gemini API has it"
            ) from None
        if answer.error is not None:
            raise UpstreamFailed(
                f"the provider ended its stream with an error: {(answer.error.message or '')[:500]}"
            )
        text = said_in(answer)
        if text:
            self.hear(text)
        self._last = self._last or is_last(answer.candidates) or answer.prompt_feedback is not None
        if answer.usage_metadata is not None:
            self._provisional = answer.usage_metadata
            if self._last:
                self._used = answer.usage_metadata


class StreamReader:
    """Reads a Gemini stream: `domain.dialect.Reader`.

    It keeps each choice's text: what comes at the end says by bytes of it where it is from.
    """

    def __init__(self) -> None:
        self._begun = False
        self._id = ""
        self._calls: dict[int, int] = {}
        self._ended: set[int] = set()
        self._spoke: set[int] = set()
        self._texts: defaultdict[int, StringIO] = defaultdict(StringIO)
        self._provisional: UsageMetadata | None = None

    def read(self, name: bytes, data: bytes) -> Sequence[Neutral]:
        """What an event says. Errors: ValueError or msgspec's for what makes no sense."""
        answer = _answer.decode(data)
        if answer.error is not None:
            return [Broke(answer.error.message or "no more is said", answer.error.code or 0)]
        said: list[Neutral] = []
        if not self._begun:
            self._begun = True
            self._id = answer.response_id or ""
            said.append(Begun(self._id, answer.model_version or ""))
        for candidate in answer.candidates or ():
            self._candidate(candidate, said)
        feedback = answer.prompt_feedback
        if feedback is not None and feedback.block_reason and not answer.candidates:
            choice = blocked(answer)
            said += [Refused(part.text) for part in choice.parts if isinstance(part, Refusal)]
            said.append(Finished(choice.finish))
            self._ended.add(0)
        if answer.usage_metadata is not None:
            self._provisional = answer.usage_metadata
            if self._ended:
                self._use(said)
        return said

    def _use(self, said: list[Neutral]) -> None:
        """What was used, by the last that was said of it."""
        used, self._provisional = decode_usage(self._provisional), None
        if used is not None:
            said.append(Used(used))

    def end(self) -> Sequence[Neutral]:
        """The stream ended. Errors: ValueError where no choice has."""
        if not self._ended:
            raise ValueError("the stream ended before any choice did")
        said: list[Neutral] = []
        self._use(said)
        return [*said, Over()]

    def _candidate(self, candidate: Candidate, said: list[Neutral]) -> None:
        choice, before = candidate.index or 0, len(said)
        logprobs = parts.logprobs_in(candidate.logprobs_result) if candidate.logprobs_result else None
        for piece in parts_of(candidate.content) if candidate.content is not None else ():
            if piece.text and not piece.thought and not piece.thought_signature:
                self._texts[choice].write(piece.text)
                said.append(Said(piece.text, choice, logprobs))
                logprobs = None
                continue
            if piece.function_call is not None:
                place = self._calls.get(choice, 0)
                self._calls[choice] = place + 1
                made = piece.function_call.id or parts.make_id(f"{self._id}\0{choice}", place)
                call = parts.called(piece, made)
                said.append(Called(call.id, call.name, place, choice, call.signature))
                said.append(Argued(call.arguments, place, choice))
                continue
            if piece.inline_data is not None or piece.file_data is not None:
                raise ValueError("it has pictures or sound, which are not carried in streams")
            for one in parts.spoken(piece):
                if isinstance(one, Text):
                    self._texts[choice].write(one.text)
                    said.append(Said(one.text, choice, logprobs))
                    logprobs = None
                elif isinstance(one, Thinking):
                    said.append(Thought(one.text, choice, one.signature, one.redacted, one.vendor))
        if len(said) > before:
            self._spoke.add(choice)
        if candidate.grounding_metadata is not None:
            places = [(0, self._texts[choice].getvalue())]
            said += [Cited(one, choice) for one in grounding.read(candidate.grounding_metadata, places)]
        if candidate.finish_reason:
            called = choice in self._calls
            said.append(Finished(finish_of(candidate, called, choice in self._spoke), choice))
            self._ended.add(choice)


class StreamWriter:
    """Writes a stream as Gemini's callers know it: `domain.dialect.Writer`.

    Shape: a call's arguments are held until they are whole, for Google has them as an object; ends, usage and what the
    text is from come in one last event, and that names pieces of the text, which is kept for it.
    """

    def __init__(self, call: Call) -> None:
        self._listed: bool = call.content.listed
        self._shows: bool = call.content.shows
        self._choices = call.choices
        self._model = call.model
        self._events = 0
        self._open: dict[int, ToolCall] = {}
        self._unseen: dict[int, str] = {}
        self._called: set[int] = set()
        self._ends: dict[int, Finish] = {}
        self._texts: defaultdict[int, StringIO] = defaultdict(StringIO)
        self._cited: dict[int, list[Citation]] = {}
        self._used: Usage | None = None
        self._tails: dict[int, bytes] = {}
        self._after = b"}"

    def write(self, piece: Neutral) -> bytes:
        """A piece in Google's spelling, empty where it has no place there. Order: nothing follows `Over`."""
        kind = type(piece)
        if self._unseen and self._shows and kind is not Thought:
            return self._tell() + self.write(piece)
        if kind is Said:
            return self._said(piece)  # type: ignore[arg-type]
        if isinstance(piece, Argued):
            call = self._open.get(piece.choice)
            if call is None:
                raise ValueError("arguments come before their call")
            call.arguments += piece.text
            return b""
        if isinstance(piece, Thought):
            return self._thought(piece)
        if isinstance(piece, Refused):
            return self._part(orjson.dumps({"text": piece.text}), piece.choice)
        if isinstance(piece, Called):
            done = self._whole(piece.choice)
            self._open[piece.choice] = ToolCall(piece.id, piece.name, "", piece.signature)
            return done
        if isinstance(piece, Finished):
            done = self._whole(piece.choice)
            self._ends[piece.choice] = piece.finish
            return done
        if isinstance(piece, Cited):
            self._cited.setdefault(piece.choice, []).append(piece.citation)
            return b""
        if isinstance(piece, Begun):
            names = {"modelVersion": piece.model or self._model, "responseId": piece.id}
            self._after = b"," + orjson.dumps(names)[1:]
        if isinstance(piece, Begun | Used) and piece.usage.source != "none":
            self._used = piece.usage
        return self._end() if kind is Over else b""

    def cut(self) -> bytes:
        """The end of a stream that the gateway cuts: every choice is as long as it may be."""
        self._ends = dict.fromkeys(range(self._choices), Finish.LENGTH)
        self._used = None
        return self._tell() + self._end() if self._shows else self._end()

    def _said(self, piece: Said) -> bytes:
        self._texts[piece.choice].write(piece.text)
        text = b'{"text":' + orjson.dumps(piece.text) + b"}"
        if piece.logprobs is None:
            return self._part(text, piece.choice)
        result = orjson.dumps(parts.logprobs_out(piece.logprobs))
        return self._part(text, piece.choice, b',"logprobsResult":' + result)

    def _thought(self, piece: Thought) -> bytes:
        """A thought, if it was asked for. A seal on it comes with what was said under it, to be given back whole.

        Of what is shown the last piece waits for that: clients take no seal from a part without text.
        """
        choice = piece.choice
        before, sealed = (
            self._unseen.pop(choice, ""),
            parts.seal(piece.signature, piece.redacted, piece.vendor),
        )
        if not self._shows and sealed is None:
            self._unseen[choice] = before + piece.text
            return b""
        if not self._shows or (piece.signature and not piece.text):
            return self._part(msgspec.json.encode(Part(before + piece.text, True, sealed)), choice)
        done = self._part(msgspec.json.encode(Part(before, True)), choice) if before else b""
        if sealed is None:
            self._unseen[choice] = piece.text
            return done
        return done + self._part(msgspec.json.encode(Part(piece.text, True, sealed)), choice)

    def _tell(self) -> bytes:
        """What was thought last, on which no seal came."""
        waits, self._unseen = self._unseen, {}
        return b"".join(
            self._part(msgspec.json.encode(Part(text, True)), choice)
            for choice, text in waits.items()
            if text
        )

    def _whole(self, choice: int) -> bytes:
        """The call under way, which is whole now."""
        call = self._open.pop(choice, None)
        if call is None:
            return b""
        if choice not in self._called:
            self._called.add(choice)
            call.signature = call.signature or parts.UNSEALED
        return self._piece([call], choice)

    def _piece(self, said: list[Any], choice: int) -> bytes:
        return b"".join(self._part(msgspec.json.encode(one), choice) for one in encode_parts(said))

    def _part(self, part: bytes, choice: int, more: bytes = b"") -> bytes:
        """An event with one part: the same bytes around it every time."""
        tail = self._tails.get(choice)
        if tail is None or more:
            tail = b'],"role":"model"}%b,"index":%d}]%b' % (more, choice, self._after)
            if not more:
                self._tails[choice] = tail
        return self._event(b'{"candidates":[{"content":{"parts":[' + part + tail)

    def _event(self, data: bytes) -> bytes:
        if not self._listed:
            return b"data: " + data + b"\r\n\r\n"
        self._events += 1
        return (b",\n" if self._events > 1 else b"[") + data

    def _ended(self, choice: int, finish: Finish) -> dict[str, Any]:
        """The last of a choice, with where its text is from."""
        content = {"parts": [{"text": ""}], "role": "model"}
        said: dict[str, Any] = {"content": content, "finishReason": REASONS[finish], "index": choice}
        if choice in self._cited:
            grounds = grounding.spell(self._cited[choice], [(0, self._texts[choice].getvalue())])
            return said | ({"groundingMetadata": grounds} if grounds is not None else {})
        return said

    def _end(self) -> bytes:
        """What is still open, then the ends of all choices, and what they used."""
        done = b"".join([self._whole(choice) for choice in list(self._open)])
        ends = [self._ended(choice, finish) for choice, finish in sorted(self._ends.items())]
        last: dict[str, Any] = {"candidates": ends}
        if self._used is not None:
            last["usageMetadata"] = encode_usage(self._used)
        done += self._event(orjson.dumps(last)[:-1] + self._after)
        return done + (b"\n]" if self._listed else b"")
