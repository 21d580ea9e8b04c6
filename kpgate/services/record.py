"""The one record of a request: a log line and a set of metrics, written exactly once.

Knows no secret, and no prompt or reply unless `[log] bodies` asks for them.
"""

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from kpgate._fast.members import Members
from kpgate._fast.wait import wall_us
from kpgate.domain.call import Record
from kpgate.domain.whole import Whole
from kpgate.services.meters import Meters

Write = Callable[[bytes], None]

EXCERPT_MAX = 65_536
KNOWN_MAX = 4096
"""How many keys, and how many deployments, have a part of their lines kept."""


def excerpt(body: bytes) -> str:
    """The beginning of a body, as text."""
    return body[:EXCERPT_MAX].decode("utf-8", "replace")


def ending(record: Record) -> str:
    """Who ended the request and where: `ok@respond`, `caller@upstream`, `upstream@upstream`."""
    error = record.error
    if error is None:
        return "ok@respond"
    return f"{error.fault}@{error.phase or record.phase}"


class Line(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A log line; what is empty, 0 or false is left out. Units: as the names say; `ts` since the epoch."""

    ts: int
    id: str
    end: str
    status: int
    method: str
    path: str
    key: str = ""
    token: str = ""
    party: str = ""
    peer: str = ""
    model: str = ""
    provider: str = ""
    deployment: str = ""
    attempts: int = 0
    stream: bool = False
    total_us: int = 0
    upstream_us: int = 0
    first_token_us: int = 0
    prompt_tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    units: int = 0
    usage: str = "none"
    receipt: str = ""
    cost_microkpt: int = 0
    expected_microkpt: int = 0
    route: str = ""
    output: str = ""
    request_bytes: int = 0
    reply_bytes: int = 0
    code: str = ""
    error: str = ""
    asked: str = ""
    said: str = ""
    shadow: str = ""


class _Asking:
    """The members of a line that a key's calls of one endpoint have in common, written once."""

    __slots__ = ("caller", "members", "method", "path")

    def __init__(self, record: Record, members: bytes) -> None:
        self.caller, self.method, self.path, self.members = record.caller, record.method, record.path, members

    def fit(self, record: Record) -> bool:
        """Whether a record says the same."""
        return self.caller is record.caller and self.path is record.path and self.method == record.method


class _Answering:
    """The same of calls that one deployment answers."""

    __slots__ = ("deployment", "members", "model", "provider")

    def __init__(self, record: Record, members: bytes) -> None:
        self.model, self.provider, self.deployment = record.model, record.provider, record.deployment
        self.members = members

    def fit(self, record: Record) -> bool:
        """Whether a record says the same."""
        return (
            self.model is record.model
            and self.provider is record.provider
            and self.deployment is record.deployment
        )


_asking: dict[str, _Asking] = {}
_answering: dict[str, _Answering] = {}


def _put_asking(wrote: Members, record: Record) -> None:
    caller = record.caller
    known = None if caller is None else _asking.get(caller.key_id)
    if known is not None and known.fit(record):
        wrote.paste(known.members)
        return
    mark = wrote.mark()
    wrote.put(b"method", record.method)
    wrote.put(b"path", record.path)
    if caller is None:
        return
    wrote.say(b"key", caller.key_id)
    wrote.say(b"token", caller.token)
    wrote.say(b"party", caller.party.name)
    if len(_asking) >= KNOWN_MAX:
        _asking.clear()
    _asking[caller.key_id] = _Asking(record, wrote.since(mark))


def _put_answering(wrote: Members, record: Record) -> None:
    known = _answering.get(record.deployment)
    if known is not None and known.fit(record):
        wrote.paste(known.members)
        return
    mark = wrote.mark()
    wrote.say(b"model", record.model)
    wrote.say(b"provider", record.provider)
    wrote.say(b"deployment", record.deployment)
    if len(_answering) >= KNOWN_MAX:
        _answering.clear()
    _answering[record.deployment] = _Answering(record, wrote.since(mark))


_line = Members()
_lines = msgspec.json.Decoder(Line)


def line(record: Record, shadow: str = "") -> bytes:
    """The line that a record amounts to, as JSON: a `Line`'s own encoding, written without making one."""
    usage, error, wrote = record.usage, record.error, _line
    wrote.begin()
    wrote.put_number(b"ts", wall_us())
    wrote.put(b"id", record.request_id)
    wrote.put(b"end", "ok@respond" if error is None else ending(record))
    wrote.put_number(b"status", record.status)
    _put_asking(wrote, record)
    wrote.say(b"peer", record.peer)
    _put_answering(wrote, record)
    wrote.count(b"attempts", record.attempts)
    wrote.affirm(b"stream", record.stream)
    wrote.count(b"total_us", record.total_us)
    wrote.count(b"upstream_us", record.upstream_us)
    wrote.count(b"first_token_us", record.first_token_us)
    wrote.count(b"prompt_tokens", record.prompt_tokens)
    wrote.count(b"input_tokens", usage.input)
    wrote.count(b"output_tokens", usage.output)
    wrote.count(b"cached_tokens", usage.cached)
    wrote.count(b"cache_write_tokens", usage.cache_write + usage.cache_write_long)
    wrote.count(b"reasoning_tokens", usage.reasoning)
    wrote.count(b"units", usage.units)
    if usage.source != "none":
        wrote.put(b"usage", usage.source)
    wrote.say(b"receipt", record.held_as)
    wrote.count(b"cost_microkpt", record.cost)
    if record.expected > 0:
        wrote.put_number(b"expected_microkpt", record.expected)
    wrote.say(b"route", record.route)
    wrote.say(b"output", record.checked)
    wrote.count(b"request_bytes", record.request_bytes)
    wrote.count(b"reply_bytes", record.reply_bytes)
    if error is not None:
        wrote.say(b"code", error.code)
        wrote.say(b"error", error.message)
    wrote.say(b"asked", record.asked)
    wrote.say(b"said", record.said)
    wrote.say(b"shadow", shadow)
    return wrote.take()


def encode_text(written: bytes) -> bytes:
    """A line for people: when, what came of it, who and what, how long."""
    shown = _lines.decode(written)
    when = datetime.fromtimestamp(shown.ts / 1e6, UTC).strftime("%H:%M:%S.%f")[:-3]
    words = [
        when,
        str(shown.status),
        shown.end,
        shown.method,
        shown.path,
        shown.model,
        shown.provider,
        shown.key,
    ]
    words += [
        f"{shown.total_us / 1000:.1f} ms",
        f"{shown.input_tokens}+{shown.output_tokens} tokens",
        shown.id,
    ]
    words += [shown.error, shown.asked, shown.said]
    return " ".join(word for word in words if word).replace("\n", " ").encode("utf-8", "replace")


class Recorder:
    """Writes records: for programs, or by `encode` for people."""

    def __init__(
        self, meters: Meters, write: Write | None, encode: Callable[[bytes], bytes] | None = None
    ) -> None:
        self._meters = meters
        self._write = write
        self._encode = encode

    def close(self, record: Record, now_us: Whole) -> None:
        """Write the record. Order: last of all, once."""
        record.total_us = now_us - record.received_us
        self._meters.count(record)
        if self._write is not None:
            self._put(line(record))

    def note(self, record: Record, now_us: int, shadow: str) -> None:
        """Write the line of a copy of a call to the model `shadow`. What it moves of the metrics is its own."""
        record.total_us = now_us - record.received_us
        if self._write is not None:
            self._put(line(record, shadow))

    def _put(self, written: bytes) -> None:
        assert self._write is not None, "there is a log"
        self._write(written if self._encode is None else self._encode(written))
