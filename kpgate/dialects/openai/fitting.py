"""What is sent to a provider that would refuse it as it is: requests made to fit, and what of a chat cannot. Pure.

It knows no provider by name: what differs is said by `domain/quirks`. Only what a provider would refuse comes here: a
request in which none of that stands is sent as it came.
"""

import dataclasses
import string
from hashlib import blake2b
from typing import Any

import msgspec

from kpgate.domain.chat import Chat, Choosing, Format, Part, Refusal, Text, Turn
from kpgate.domain.dialect import Aim
from kpgate.domain.quirks import HINTS, Quirks

EMPTY = (b"null", b"[]", b'""')
NOTHING = (*EMPTY, b"false", b"0", b"{}")
"""What asks for nothing, by whichever field."""
DEVELOPER, SYSTEM = b'"developer"', b'"system"'
SPACES_MAX = 64
"""Between a name and its colon. More of them are taken for any number."""
LETTERS = string.ascii_letters + string.digits
NOT_TAKEN = "the provider of this model does not take it"
ASKED = ("logit_bias", "logprobs", "top_logprobs", "modalities", "verbosity")
"""What asks for something, by a name that is the neutral form's as well."""

UNSAID: tuple[Any, ...] = (None, "", [])

Message = dict[str, msgspec.Raw]

_members = msgspec.json.Decoder(Message)
_objects = msgspec.json.Decoder(list[Message])
_text = msgspec.json.Decoder(str)
_encode = msgspec.json.Encoder().encode


class Fitting:
    """What requests to one provider must be like."""

    def __init__(self, quirks: Quirks) -> None:
        self._quirks = quirks
        names = [*quirks.refused, *quirks.unsaid]
        names += ["tool_calls"] * bool(quirks.ids or quirks.thinks_back) + ["seed"] * (quirks.seed != "seed")
        values = ["developer"] * (not quirks.developer) + ["text"] * quirks.flat
        self._names, self._values = (tuple(f'"{one}"'.encode() for one in some) for some in (names, values))

    def fit(self, body: bytes) -> tuple[bytes, list[str]]:
        """A request's body as the provider takes it, and what was left out of it.

        Shape: what asks for something that the provider has not stays: it is the provider's to refuse.
        """
        for value in self._values:
            if value in body:
                return self._fit(body)
        for name in self._names:
            if _names(body, name):
                return self._fit(body)
        return body, []

    def _fit(self, body: bytes) -> tuple[bytes, list[str]]:
        quirks, left = self._quirks, []
        members = _members.decode(body)
        changed = False
        for name in quirks.refused:
            raw = members.get(name)
            if raw is None:
                continue
            asks = bytes(raw) not in (EMPTY if name in HINTS else NOTHING)
            if name in HINTS or not asks:
                del members[name]
                left += [name] * asks
                changed = True
        if quirks.seed != "seed" and "seed" in members:
            members[quirks.seed] = members.pop("seed")
            changed = True
        if "messages" in members:
            messages = _objects.decode(members["messages"])
            fitted = [self._fit_message(message, left) for message in messages]
            led = messages if quirks.developer else _led(messages)
            if any(fitted) or led is not messages:
                members["messages"] = msgspec.Raw(_encode(led))
                changed = True
        return (_encode(members), left) if changed else (body, left)

    def _fit_message(self, message: Message, left: list[str]) -> bool:
        """Whether a message was changed."""
        quirks, changed = self._quirks, False
        for name in quirks.unsaid:
            raw = message.pop(name, None)
            changed = changed or raw is not None
            if raw is not None and bytes(raw) not in EMPTY and f"messages.{name}" not in left:
                left.append(f"messages.{name}")
        content = message.get("content")
        if quirks.flat and content is not None and bytes(content)[:1] == b"[":
            joined = _joined(content, bytes(message.get("role", b"")) == b'"assistant"')
            if joined is not None:
                message["content"] = msgspec.Raw(_encode(joined))
                changed = True
        if quirks.ids:
            changed = self._rename(message) or changed
        calls = bytes(message.get("tool_calls", b"null")) if quirks.thinks_back else b""
        if calls[:1] == b"[" and calls not in EMPTY:
            thought = message.get("reasoning_content")
            if thought is None or bytes(thought) in EMPTY:
                # Where there is none to give back the least that is taken stands for it.
                message["reasoning_content"] = msgspec.Raw(b'" "')
                changed = True
        return changed

    def _rename(self, message: Message) -> bool:
        """Have the calls of a message, or the one that it answers, named as the provider wants them. Whether one was
        named otherwise."""
        size = self._quirks.ids
        renamed = self._name(message, "tool_call_id", size)
        raw = message.get("tool_calls")
        if raw is not None and bytes(raw)[:1] == b"[":
            calls = _objects.decode(raw)
            named = [self._name(call, "id", size) for call in calls]
            if any(named):
                message["tool_calls"] = msgspec.Raw(_encode(calls))
                renamed = True
        return renamed

    @staticmethod
    def _name(members: Message, name: str, size: int) -> bool:
        raw = members.get(name)
        if raw is None:
            return False
        members[name] = _named(raw, size)
        return members[name] is not raw


def _names(body: bytes, name: bytes) -> bool:
    """Whether a member is called so somewhere in a body: a text that is the same, as a role, is none."""
    at = body.find(name)
    while at >= 0:
        at += len(name)
        if body[at : at + SPACES_MAX].lstrip()[:1] in (b":", b""):
            return True
        at = body.find(name, at)
    return False


def _named(raw: msgspec.Raw, size: int) -> msgspec.Raw:
    """The same id, or one made of it: a call and its result are named alike, in this turn and all that follow."""
    if bytes(raw)[:1] != b'"':
        return raw
    id = _text.decode(raw)
    if len(id) == size and id.isascii() and id.isalnum():
        return raw
    number = int.from_bytes(
        blake2b(id.encode("utf-8", "surrogatepass"), digest_size=2 * size).digest(), "big"
    )
    made = ""
    for _ in range(size):
        number, at = divmod(number, len(LETTERS))
        made += LETTERS[at]
    return msgspec.Raw(_encode(made))


def _joined(content: msgspec.Raw, answered: bool) -> str | None:
    """The texts of a message as one. None: there is more than texts. Shape: pieces of an answer follow each other."""
    texts = []
    for part in _objects.decode(content):
        if bytes(part.get("type", b"")) != b'"text"' or bytes(part.get("text", b""))[:1] != b'"':
            return None
        texts.append(_text.decode(part["text"]))
    return ("" if answered else "\n\n").join(texts)


def _led(messages: list[Message]) -> list[Message]:
    """With `system` for `developer`; the same list where there is none. Those that lead are one: many models take one,
    and there alone."""
    found = False
    leading = 0
    for at, message in enumerate(messages):
        role = bytes(message.get("role", b""))
        if role == DEVELOPER:
            message["role"] = msgspec.Raw(SYSTEM)
            found = True
        if leading == at and role in (DEVELOPER, SYSTEM):
            leading += 1
    if not found:
        return messages
    texts = [_told(message) for message in messages[:leading]]
    if leading < 2 or None in texts:
        return list(messages)
    said = "\n\n".join(text for text in texts if text)
    first = messages[0] | {"content": msgspec.Raw(_encode(said))}
    return [first, *messages[leading:]]


def _told(message: Message) -> str | None:
    content = message.get("content")
    if content is None:
        return None
    begins = bytes(content)[:1]
    if begins == b'"':
        return _text.decode(content)
    return _joined(content, False) if begins == b"[" else None


def speakable(chat: Chat, aim: Aim, quirks: Quirks) -> Chat:
    """The chat without what the provider could not be asked for.

    Errors: Unspeakable, unless that may be dropped.
    """
    changes: dict[str, Any] = {}
    for name in ASKED:
        if name in quirks.refused and getattr(chat, name) not in UNSAID:
            if chat.asks(name):
                aim.lack(name, NOT_TAKEN)
            # What asks for nothing is an error there as well.
            changes[name] = "" if name == "verbosity" else [] if name == "modalities" else None
    if chat.voice is not None and "audio" in quirks.refused:
        aim.lack("voice", NOT_TAKEN)
        changes["voice"] = None
    if quirks.stops and len(chat.stop) > quirks.stops:
        aim.lack("stop", f"the provider of this model takes {quirks.stops} at the most")
        changes["stop"] = chat.stop[: quirks.stops]
    choice = chat.tool_choice
    if choice is not None and choice.how in _FORCED and choice.how.value not in quirks.forces:
        aim.lack("tool_choice", "the provider of this model cannot be made to call a tool in this way")
        changes["tool_choice"] = None
    if chat.format is not None and chat.format.schema is not None and not quirks.schema:
        aim.lack("format.schema", "the provider of this model has JSON as a format, and no schema for it")
        changes["format"] = Format()
    if "refusal" in quirks.unsaid:
        changes["turns"] = [_unrefused(turn) for turn in chat.turns]
    return dataclasses.replace(chat, **changes) if changes else chat


_FORCED = (Choosing.REQUIRED, Choosing.NAMED)


def _unrefused(turn: Turn) -> Turn:
    """A turn whose refusals are texts."""
    if not any(type(part) is Refusal for part in turn.parts):
        return turn
    parts: list[Part] = [Text(part.text) if isinstance(part, Refusal) else part for part in turn.parts]
    return Turn(turn.role, parts, turn.name)
