"""Streams come out the same, however they were cut on the way."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kpgate.domain.events import Events
from tests.kit.oracle.sse import LINE_END, payload_of, split_events

LINES = st.sampled_from(
    [
        b"data: a",
        b"data:b",
        b"data",
        b"data:  c",
        b"event: x",
        b"event:",
        b": said nothing",
        b"id: 7",
        b"",
        b"",
    ]
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
STREAMS = st.lists(st.tuples(LINES, ENDS), max_size=12).map(lambda pairs: b"".join(a + b for a, b in pairs))


def read(stream: bytes, cuts: list[int]) -> tuple[list[bytes], bytes]:
    """What events say, and their bytes."""
    events, found, raw = Events(), [], b""
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += events.feed(stream[begin:end])
        raw += events.raw
    found += events.finish()
    return [data for _, data in found], raw + events.raw


def has_data(event: bytes) -> bool:
    return any(line.partition(b":")[0] == b"data" for line in LINE_END.split(event))


@settings(max_examples=400, deadline=None)
@example(b"data: a\r\rdata: b\r\r", [3])
@example(b"data: a\r\n\r\ndata: b\r\n\r\n", [8, 9, 10])
@given(STREAMS, st.lists(st.integers(0, 200), max_size=6))
def test_events_are_the_same_however_they_were_cut(stream: bytes, cuts: list[int]) -> None:
    data, raw = read(stream, sorted(min(cut, len(stream)) for cut in cuts))
    whole, rest = split_events(stream)
    pieces = [*whole, rest] if rest else whole
    assert data == [payload_of(one) for one in pieces if has_data(one)]
    assert raw == stream


def test_names_go_with_their_event_and_no_further() -> None:
    events = Events()
    assert events.feed(b"\xef\xbb\xbfevent: ping\ndata: {}\n\ndata: 1\ndata: 2\n\n: hello\n\n") == [
        (b"ping", b"{}"),
        (b"", b"1\n2"),
    ]
    assert not events.pending


def test_an_event_too_long_is_refused_and_bytes_one_by_one_are_read() -> None:
    events = Events(100)
    with pytest.raises(ValueError, match="longer than 100"):
        events.feed(b"data: " + b"x" * 200)
    events = Events()
    found = [one for byte in b"event: a\r\ndata: b\r\n\r\n" for one in events.feed(bytes([byte]))]
    assert found + events.finish() == [(b"a", b"b")]
