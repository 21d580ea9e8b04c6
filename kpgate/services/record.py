"""The one record of a request: a log line and a set of metrics, written exactly once.

Knows no secret, and no prompt or reply unless `[log] bodies` asks for them.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from time import time_ns

import msgspec

from kpgate.domain.call import Record
from kpgate.services.meters import Meters

Write = Callable[[bytes], None]

EXCERPT_MAX = 65_536


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


def line(record: Record, now_us: int) -> Line:
    """The line that a record amounts to."""
    usage, caller, error = record.usage, record.caller, record.error
    return Line(
        time_ns() // 1000,
        record.request_id,
        "ok@respond" if error is None else ending(record),
        record.status,
        record.method,
        record.path,
        "" if caller is None else caller.key_id,
        "" if caller is None else caller.token,
        "" if caller is None else caller.party.name,
        record.peer,
        record.model,
        record.provider,
        record.deployment,
        record.attempts,
        record.stream,
        now_us - record.received_us,
        record.upstream_us,
        record.first_token_us,
        record.prompt_tokens,
        usage.input,
        usage.output,
        usage.cached,
        usage.written,
        usage.reasoning,
        usage.units,
        usage.source,
        record.held_as,
        record.cost,
        max(record.expected, 0),
        record.route,
        record.checked,
        record.request_bytes,
        record.reply_bytes,
        "" if error is None else error.code,
        "" if error is None else error.message,
        record.asked,
        record.said,
    )


encode_json = msgspec.json.Encoder().encode
"""A line for programs."""


def encode_text(shown: Line) -> bytes:
    """A line for people: when, what came of it, who and what, how long."""
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
    """Writes records."""

    def __init__(
        self, meters: Meters, write: Write | None, encode: Callable[[Line], bytes] = encode_json
    ) -> None:
        self._meters = meters
        self._write = write
        self._encode = encode

    def close(self, record: Record, now_us: int) -> None:
        """Write the record. Order: last of all, once."""
        self._meters.count(record, now_us - record.received_us)
        if self._write is not None:
            self._write(self._encode(line(record, now_us)))

    def note(self, record: Record, now_us: int, shadow: str) -> None:
        """Write the line of a copy of a call to the model `shadow`. What it moves of the metrics is its own."""
        if self._write is not None:
            self._write(self._encode(msgspec.structs.replace(line(record, now_us), shadow=shadow)))
