"""What `_fast/sse` does to a stream that lies there whole, in plain Python: slow, and easy to believe."""

import json
import re
from typing import Any

LINE_END = re.compile(rb"\r\n|\r|\n")


def split_events(stream: bytes) -> tuple[list[bytes], bytes]:
    """The whole events of a stream, each with its blank line, and what is left."""
    events = []
    begin = at = 0
    while found := LINE_END.search(stream, at):
        if found.start() == at:
            events.append(stream[begin : found.end()])
            begin = found.end()
        at = found.end()
    return events, stream[begin:]


def payload_of(event: bytes) -> bytes:
    """The data lines of an event, joined."""
    values = []
    for line in LINE_END.split(event):
        name, _, value = line.partition(b":")
        if name == b"data":
            values.append(value[1:] if value.startswith(b" ") else value)
    return b"\n".join(values)


class OracleFramer:
    """A stream read at once: `forwarded` is what the client gets, the rest are the notes."""

    def __init__(self, strip_usage: bool, event_bytes_max: int) -> None:
        self.strip_usage = strip_usage
        self.event_bytes_max = event_bytes_max
        self.forwarded = b""
        self.usage: Any = None
        self.error: Any = None
        self.finish_reason: str | None = None
        self.done = False
        self.broken = False
        self.events = 0
        self.text = ""

    def read(self, stream: bytes) -> bytes:
        """Take a whole stream; returns what goes to the client."""
        events, rest = split_events(stream)
        out = []
        for i, event in enumerate([*events, rest] if rest else events):
            size = len(event) - event.endswith(b"\r\n")
            if i == len(events):
                size = len(event)
            if size > self.event_bytes_max:
                self.broken = True
                out.append(event)
            elif not self.take(event.removeprefix(b"\xef\xbb\xbf") if i == 0 else event):
                out.append(event)
        return b"".join(out)

    def take(self, event: bytes) -> bool:
        payload = payload_of(event)
        if not payload:
            return False
        self.events += 1
        if payload.strip(b" \t\r\n") == b"[DONE]":
            self.done = True
            return False
        try:
            value = json.loads(payload.decode("utf-8"), parse_constant=refuse)
        except ValueError:
            return False
        if not isinstance(value, dict):
            return False
        if value.get("error") is not None:
            self.error = value["error"]
        self.read_choices(value.get("choices"))
        if not isinstance(value.get("usage"), dict):
            return False
        self.usage = value["usage"]
        return self.strip_usage and value.get("choices") == []

    def read_choices(self, choices: Any) -> None:
        for choice in items(choices):
            for key, value in choice.items():
                if key == "finish_reason" and isinstance(value, str):
                    self.finish_reason = value
                elif key == "text" and isinstance(value, str):
                    self.text += value
                elif key == "delta" and isinstance(value, dict):
                    self.read_delta(value)

    def read_delta(self, delta: dict[str, Any]) -> None:
        for key, value in delta.items():
            if key in ("content", "refusal", "reasoning", "reasoning_content") and isinstance(value, str):
                self.text += value
            elif key == "function_call":
                self.read_function(value)
            elif key == "tool_calls":
                for call in items(value):
                    self.read_function(call.get("function"))

    def read_function(self, function: Any) -> None:
        if isinstance(function, dict):
            for key, value in function.items():
                if key in ("name", "arguments") and isinstance(value, str):
                    self.text += value


def refuse(text: str) -> Any:
    raise ValueError(text)


def items(value: Any) -> list[dict[str, Any]]:
    """The objects of an array."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def find_usage(body: bytes) -> Any:
    """The top-level usage object of a whole reply."""
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=refuse)
    except ValueError:
        return None
    usage = value.get("usage") if isinstance(value, dict) else None
    return usage if isinstance(usage, dict) else None
