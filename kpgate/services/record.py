"""The one record of a request: a log line and a set of metrics, written exactly once.

Knows no secret, and no prompt or reply unless `[log] bodies` asks for them.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from time import time_ns
from typing import Any

import orjson

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


def line(record: Record, now_us: int) -> dict[str, Any]:
    """The log line's fields. Units: as their names say; `ts` is RFC 3339 UTC."""
    usage = record.usage
    caller = record.caller
    fields: dict[str, Any] = {
        "ts": time_ns() // 1000,
        "id": record.request_id,
        "end": ending(record),
        "status": record.status,
        "method": record.method,
        "path": record.path,
        "key": caller.key_id if caller is not None else "",
        "party": caller.party.name if caller is not None else "",
        "peer": record.peer,
        "model": record.model,
        "provider": record.provider,
        "deployment": record.deployment,
        "attempts": record.attempts,
        "stream": record.stream,
        "total_us": now_us - record.received_us,
        "upstream_us": record.upstream_us,
        "first_token_us": record.first_token_us,
        "prompt_tokens": record.prompt_tokens,
        "input_tokens": usage.input,
        "output_tokens": usage.output,
        "cached_tokens": usage.cached,
        "reasoning_tokens": usage.reasoning,
        "usage": usage.source,
        "request_bytes": record.request_bytes,
        "reply_bytes": record.reply_bytes,
    }
    if record.error is not None:
        fields["code"] = record.error.code
        fields["error"] = record.error.message
    if record.asked or record.said:
        fields["asked"], fields["said"] = record.asked, record.said
    return fields


def encode_json(fields: dict[str, Any]) -> bytes:
    """A line for programs."""
    return orjson.dumps(fields)


def encode_text(fields: dict[str, Any]) -> bytes:
    """A line for people: when, what came of it, who and what, how long."""
    shown = datetime.fromtimestamp(fields["ts"] / 1e6, UTC).strftime("%H:%M:%S.%f")[:-3]
    tokens = f"{fields['input_tokens']}+{fields['output_tokens']} tokens"
    words = [shown, str(fields["status"]), fields["end"], fields["method"], fields["path"], fields["model"]]
    words += [fields["provider"], fields["key"], f"{fields['total_us'] / 1000:.1f} ms", tokens, fields["id"]]
    words += [fields.get("error", ""), fields.get("asked", ""), fields.get("said", "")]
    return " ".join(word for word in words if word).replace("\n", " ").encode("utf-8", "replace")


class Recorder:
    """Writes records."""

    def __init__(
        self, meters: Meters, write: Write | None, encode: Callable[[dict[str, Any]], bytes] = encode_json
    ) -> None:
        self._meters = meters
        self._write = write
        self._encode = encode

    def close(self, record: Record, now_us: int) -> None:
        """Write the record. Order: last of all, once."""
        self._meters.count(record, now_us - record.received_us)
        if self._write is not None:
            self._write(self._encode(line(record, now_us)))
