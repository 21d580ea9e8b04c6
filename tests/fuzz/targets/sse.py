"""An event stream: cut anywhere it comes out the same, as the oracle says, and little of it is held back.

Shape: a byte of settings, a byte that says where it is cut, the stream.
"""

import json
from typing import Any

from kpgate._fast.sse import Framer, find_usage
from tests.fuzz.target import pieces
from tests.kit.oracle import sse as oracle

WORDS = (
    b"data: ",
    b"data",
    b"\r\n\r\n",
    b"\n\n",
    b"\r\r",
    b"\xef\xbb\xbf",
    b"[DONE]",
    b": ping",
    b'{"choices":[',
    b'"usage":{',
    b'"error":',
    b'"finish_reason":"stop"',
    b'"delta":{"content":"',
    b'"reasoning":"',
    b'"tool_calls":[{"function":{"arguments":"',
    b"]}",
    b"}}",
    b"\\u00e9",
    b"\\ud83d\\ude00",
)
EVENT_BYTES_MAX = (0, 16, 80, 4096)
TEXT_BYTES_MAX = (0, 8, 4096, 4096)
DEPTH_SURE = 200


class Unsure(Exception):
    """The oracle, over a parser for everybody, may read this otherwise."""


def check(data: bytes) -> None:
    if len(data) < 2:
        return
    strip_usage = bool(data[0] & 1)
    event_bytes_max = EVENT_BYTES_MAX[data[0] >> 1 & 3]
    text_bytes_max = TEXT_BYTES_MAX[data[0] >> 3 & 3]
    stream = data[2:]
    whole = read(stream, 0, strip_usage, event_bytes_max, text_bytes_max)
    for cut in (1, data[1]):
        assert read(stream, cut, strip_usage, event_bytes_max, text_bytes_max) == whole, "the cuts show"
    if not strip_usage:
        assert whole["forwarded"] == stream
    compare(whole, stream, strip_usage, event_bytes_max)
    usage = find_usage(stream)
    if is_sure(stream):
        assert (usage and json.loads(usage)) == oracle.find_usage(stream)


def read(
    stream: bytes, cut: int, strip_usage: bool, event_bytes_max: int, text_bytes_max: int
) -> dict[str, Any]:
    """Feed it in pieces; returns what came out and every note."""
    framer = Framer(strip_usage, event_bytes_max, collect=True, text_bytes_max=text_bytes_max)
    forwarded = b""
    for piece in pieces(stream, cut):
        forwarded += framer.feed(piece)
        assert framer.tail_bytes <= event_bytes_max
        assert framer.text_bytes <= text_bytes_max
        assert framer.broken or framer.at_boundary
        if not strip_usage:
            assert stream.startswith(forwarded)
    forwarded += framer.finish()
    assert framer.tail_bytes == 0
    return {
        "forwarded": forwarded,
        "usage": framer.usage,
        "error": framer.error,
        "finish_reason": framer.finish_reason,
        "done": framer.done,
        "broken": framer.broken,
        "events": framer.events,
        "lost": framer.text_lost_bytes,
        "text": framer.take_text(),
    }


def compare(found: dict[str, Any], stream: bytes, strip_usage: bool, event_bytes_max: int) -> None:
    """With the oracle, where that is sure."""
    if not all(is_sure(oracle.payload_of(event)) for event in events_of(stream)):
        return
    wanted = oracle.OracleFramer(strip_usage, event_bytes_max)
    assert found["forwarded"] == wanted.read(stream)
    for name in ("finish_reason", "done", "broken", "events"):
        assert found[name] == getattr(wanted, name), name
    for name in ("usage", "error"):
        assert (found[name] and json.loads(found[name])) == getattr(wanted, name), name
    if not found["lost"]:
        assert found["text"] == wanted.text


def events_of(stream: bytes) -> list[bytes]:
    events, rest = oracle.split_events(stream)
    return [*events, rest]


def is_sure(payload: bytes) -> bool:
    """Whether it is read in one way only: no member twice, no half of a pair, not too deep."""
    if payload.count(b"[") + payload.count(b"{") > DEPTH_SURE or b"\\u" in payload.lower().replace(
        b"\\u00e9", b""
    ).replace(b"\\ud83d\\ude00", b""):
        return False
    try:
        json.loads(payload, object_pairs_hook=once)
    except Unsure:
        return False
    except ValueError:
        pass
    return True


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise Unsure
    return dict(pairs)
