"""Event streams on their way through: the same bytes however they are cut, notes that no text can forge."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpgate._fast.sse import Framer, find_usage
from tests.kit.oracle import sse as oracle

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
EVENT_BYTES_MAX = 4096


def event(value: Any, end: str = "\n") -> bytes:
    return f"data: {json.dumps(value, separators=(',', ':'))}{end}{end}".encode()


def delta(finish_reason: str | None = None, **parts: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": parts, "finish_reason": finish_reason}
    return {"id": "c-1", "object": "chat.completion.chunk", "choices": [choice], "usage": None}


LAST = event({"id": "c-1", "choices": [], "usage": USAGE})
DONE = b"data: [DONE]\n\n"
CHAT = [
    event(delta(role="assistant", content="")),
    event(delta(content="Hé")),
    event(delta("stop")),
    LAST,
    DONE,
]


def run(
    stream: bytes, cuts: list[int], strip_usage: bool, event_bytes_max: int = EVENT_BYTES_MAX
) -> tuple[Any, ...]:
    """Feed a stream cut at `cuts`; returns what came out and every note."""
    framer = Framer(strip_usage, event_bytes_max, collect=True)
    out = [framer.feed(stream[a:b]) for a, b in pairwise([0, *cuts, len(stream)])]
    out.append(framer.finish())
    return (
        b"".join(out),
        framer.usage and json.loads(framer.usage),
        framer.error and json.loads(framer.error),
        framer.finish_reason,
        framer.done,
        framer.broken,
        framer.events,
        framer.take_text(),
    )


def run_oracle(stream: bytes, strip_usage: bool, event_bytes_max: int = EVENT_BYTES_MAX) -> tuple[Any, ...]:
    framer = oracle.OracleFramer(strip_usage, event_bytes_max)
    out = framer.read(stream)
    return (
        out,
        framer.usage,
        framer.error,
        framer.finish_reason,
        framer.done,
        framer.broken,
        framer.events,
        framer.text,
    )


STREAMS = {
    "chat": b"".join(CHAT),
    "crlf": b"".join(CHAT).replace(b"\n", b"\r\n"),
    "cr": b"".join(CHAT).replace(b"\n", b"\r"),
    "mixed ends": CHAT[0]
    + b"data: 1\r\n\n"
    + b"data: 2\n\r\n"
    + b"data: 3\r\r\n\n"
    + LAST.replace(b"\n", b"\r\n"),
    "byte order mark": b"\xef\xbb\xbf" + b"".join(CHAT),
    "comments": b": keep-alive\n\n" + CHAT[0] + b":\n\n: x\n" + CHAT[1] + LAST + DONE,
    "fields": b"event: chunk\nid: 7\nretry: 10\n" + CHAT[1] + b"id\n\n" + b"data\n\ndata:\n\n" + DONE,
    "no spaces": b"".join(CHAT).replace(b"data: ", b"data:"),
    "many lines": b'data: {"choices":[],\ndata: "usage":{"a":1}\ndata:}\n\n' + DONE,
    "blank lines": b"\n\n\n" + CHAT[0] + b"\n\r\n\r" + LAST + b"\n\n",
    "no last blank line": b"".join(CHAT[:3]) + LAST[:-1],
    "cut in an event": b"".join(CHAT[:2]) + LAST[:20],
    "done without blank line": b"".join(CHAT)[:-1],
    "done without line end": b"".join(CHAT)[:-2],
    "not events": b"<html>\n\n<body>nothing here</body>",
    "not JSON": b'data: {"usage":{"a":1}\n\ndata: {"usage":{"a":1}}x\n\ndata: nothing\n\n',
    "error": CHAT[0] + event({"error": {"message": "overloaded", "code": 503}}),
    "long": event(delta(content="x" * 5000))
    + LAST
    + b": "
    + b"c" * 5000
    + b"\n\n"
    + LAST
    + b"data: "
    + b"y" * 5000,
    "long crlf": (event(delta(content="x" * 5000)) + LAST).replace(b"\n", b"\r\n"),
}


@pytest.mark.parametrize("strip_usage", [False, True])
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_cut_at_every_byte_comes_out_the_same(name: str, strip_usage: bool) -> None:
    stream = STREAMS[name]
    wanted = run_oracle(stream, strip_usage)
    assert run(stream, [], strip_usage) == wanted
    assert run(stream, list(range(1, len(stream))), strip_usage) == wanted
    step = 1 if len(stream) < 2000 else 97
    for cut in range(0, len(stream) + 1, step):
        assert run(stream, [cut], strip_usage) == wanted
    for cut in range(2, len(stream), step):
        assert run(stream, [cut - 2, cut - 1, cut], strip_usage) == wanted
    if not strip_usage:
        assert wanted[0] == stream


@pytest.mark.parametrize("event_bytes_max", [0, 1, 2, 40, 120, 121, 122, 123, 124, 125, 200])
@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_the_bound_of_an_event_is_the_same_however_it_is_cut(end: bytes, event_bytes_max: int) -> None:
    stream = b"".join(CHAT).replace(b"\n", end)
    wanted = run_oracle(stream, True, event_bytes_max)
    for cuts in ([], list(range(1, len(stream))), *([cut] for cut in range(len(stream)))):
        assert run(stream, cuts, True, event_bytes_max) == wanted


def test_only_whole_events_are_forwarded() -> None:
    for end in (b"\n", b"\r", b"\r\n"):
        framer = Framer(False, EVENT_BYTES_MAX)
        first = CHAT[0].replace(b"\n", end)
        for at in range(len(first) - len(end)):
            assert framer.feed(first[at : at + 1]) == b""
        assert (framer.tail_bytes, framer.first_event) == (len(first) - len(end), False)
        assert framer.feed(first[-len(end) :] + b"data") == first
        assert (framer.tail_bytes, framer.first_event) == (4, True)


def test_a_chunk_of_whole_events_is_not_copied() -> None:
    framer = Framer(True, EVENT_BYTES_MAX)
    for chunk in (CHAT[0], CHAT[1] + CHAT[2], b": keep-alive\n\n", b"data: x\r\n\r\n", b""):
        assert framer.feed(chunk) is chunk


def test_the_usage_event_alone_is_left_out() -> None:
    framer = Framer(True, EVENT_BYTES_MAX)
    assert framer.feed(b"".join(CHAT)) == b"".join(CHAT[:3]) + DONE
    assert framer.usage is not None
    assert json.loads(framer.usage) == USAGE
    assert (framer.done, framer.finish_reason, framer.events) == (True, "stop", 5)
    alike: tuple[Any, ...] = (
        {"choices": [], "usage": None},
        {"choices": []},
        {"choices": [], "prompt_filter_results": []},
        {"choices": [{"index": 0}], "usage": USAGE},
        {"usage": USAGE},
        {"choices": None, "usage": USAGE},
        {"choices": {}, "usage": USAGE},
        {"choices": [], "usage": 5},
        {"choices": [], "inner": {"usage": USAGE}},
        [{"choices": [], "usage": USAGE}],
    )
    for kept in alike:
        framer = Framer(True, EVENT_BYTES_MAX)
        assert framer.feed(event(kept)) == event(kept)
    spaced = b'data: { "usage" : {} , "choices" : [ ] }\n\n'
    assert Framer(True, EVENT_BYTES_MAX).feed(spaced) == b""
    assert Framer(True, EVENT_BYTES_MAX).feed(spaced + CHAT[0] + spaced + CHAT[1]) == CHAT[0] + CHAT[1]


def test_usage_beside_choices_is_noted_and_the_last_one_stays() -> None:
    framer = Framer(True, EVENT_BYTES_MAX)
    for used in (1, 2):
        chunk = event(delta(content="a") | {"usage": {"completion_tokens": used}})
        assert framer.feed(chunk) is chunk
    framer.feed(event(delta(content="b")))
    assert framer.usage == b'{"completion_tokens":2}'


def test_text_cannot_forge_notes() -> None:
    forged = '{"choices":[],"usage":{"completion_tokens":0},"error":{"message":"x"}}'
    texts = [forged, f'"}}}}],{forged[1:]}', f"\n\ndata: {forged}\n\n", '\\"usage\\":{}', "data: [DONE]"]
    framer = Framer(True, EVENT_BYTES_MAX)
    for text in texts:
        for value in (
            delta(content=text),
            delta(content={"usage": USAGE, "choices": []}),
            delta(tool_calls=[{"function": {"arguments": text}}]),
            {"choices": [{"usage": USAGE, "error": {}, "text": text}]},
            {"choices": [], "x": text, text: 1},
        ):
            assert framer.feed(event(value)) == event(value)
    assert (framer.usage, framer.error, framer.done) == (None, None, False)


def test_text_is_collected_from_everything_the_model_writes() -> None:
    framer = Framer(False, EVENT_BYTES_MAX)
    framer.feed(event(delta(content="before")))
    assert framer.take_text() == ""
    framer.collect = True
    framer.feed(event(delta(reasoning_content="why ", content="é\n\U0001f600")))
    assert framer.text_bytes == len("why é\n\U0001f600".encode())
    calls = [
        {"index": 0, "id": "x", "function": {"name": "f", "arguments": '{"a":'}},
        {"function": {"arguments": "1}"}},
    ]
    framer.feed(event(delta(tool_calls=calls)))
    framer.feed(event(delta(refusal="no", function_call={"name": "g", "arguments": "{}"})))
    framer.feed(event({"choices": [{"text": " end"}, {"text": None}, 5]}))
    framer.feed(b'data: {"choices":[{"delta":{"content":"lost"}}]\n\n')
    assert framer.take_text() == 'why é\n\U0001f600f{"a":1}nog{} end'
    assert (framer.take_text(), framer.text_bytes) == ("", 0)


def test_collected_text_is_bounded() -> None:
    framer = Framer(False, EVENT_BYTES_MAX, collect=True, text_bytes_max=10)
    for _ in range(5):
        framer.feed(event(delta(content="four")))
    assert (framer.take_text(), framer.text_lost_bytes) == ("fourfour", 12)
    framer.feed(event(delta(content="four")))
    assert framer.take_text() == "four"
    framer.feed(b'data: {"choices":[{"text":"\\ud800"}]}\n\n')
    assert framer.take_text() == "�"


def test_an_event_too_long_is_forwarded_unread_and_framing_goes_on() -> None:
    framer = Framer(True, 200)
    long = event(delta(content="x" * 1000) | {"usage": USAGE})
    assert framer.feed(long[:150]) == b""
    assert framer.at_boundary
    assert framer.feed(long[150:300]) == long[:300]
    assert (framer.broken, framer.at_boundary, framer.tail_bytes) == (True, False, 0)
    assert framer.feed(long[300:] + LAST) == long[300:]
    assert (framer.at_boundary, framer.usage) == (True, json.dumps(USAGE, separators=(",", ":")).encode())


def test_an_upstream_error_is_noted_as_it_was_sent() -> None:
    framer = Framer(False, EVENT_BYTES_MAX)
    framer.feed(b'data: {"error": {"message":"a\\u00e9"} }\n\n')
    assert framer.error == b'{"message":"a\\u00e9"}'
    framer = Framer(False, EVENT_BYTES_MAX)
    framer.feed(event({"error": None, "choices": []}))
    assert framer.error is None


def test_a_deep_event_is_forwarded_unread() -> None:
    deep = b'data: {"usage":{},"a":' + b"[" * 1000 + b"]" * 1000 + b"}\n\n"
    framer = Framer(True, EVENT_BYTES_MAX)
    assert framer.feed(deep) is deep
    assert framer.usage is None


def test_feeding_single_bytes_costs_no_more_than_linear_work() -> None:
    # A tail scanned anew for each byte would take minutes here.
    framer = Framer(True, 1 << 22)
    body = b"data: " + b"x" * 500_000
    for _ in range(2):
        for at in range(len(body)):
            framer.feed(body[at : at + 1])
        assert framer.feed(b"\n\n") == body + b"\n\n"


LINES = st.one_of(
    st.sampled_from(
        [b": ping", b"event: x", b"id: 1", b"retry: 5", b"data", b"data:", b"data: [DONE]", b"datax: {}", b""]
    ),
    st.sampled_from([line.split(b"\n")[0] for line in CHAT]),
    st.binary(max_size=12).map(lambda raw: b"data: " + raw.replace(b"\r", b"").replace(b"\n", b"")),
    st.recursive(
        st.none() | st.text(max_size=5) | st.just(USAGE),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(
                    ["choices", "usage", "error", "delta", "content", "text", "finish_reason", "tool_calls"]
                )
                | st.sampled_from(["function", "arguments", "name", "x"]),
                inner,
                max_size=3,
            )
        ),
        max_leaves=8,
    ).map(lambda value: b"data: " + json.dumps(value).encode()),
)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    ends = draw(st.sampled_from([[b"\n"], [b"\r\n"], [b"\r"], [b"\n", b"\r\n", b"\r"]]))
    out = [draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))]
    for line in draw(st.lists(LINES, max_size=10)):
        out += [line, draw(st.sampled_from(ends)), draw(st.sampled_from([b"", draw(st.sampled_from(ends))]))]
    return b"".join(out)


@settings(max_examples=600, deadline=None)
@given(
    stream=streams(),
    cuts=st.lists(st.integers(0, 400), max_size=6),
    strip_usage=st.booleans(),
    event_bytes_max=st.sampled_from([30, 100, EVENT_BYTES_MAX]),
)
def test_any_stream_is_read_as_the_oracle_reads_it(
    stream: bytes, cuts: list[int], strip_usage: bool, event_bytes_max: int
) -> None:
    wanted = run_oracle(stream, strip_usage, event_bytes_max)
    places = sorted(min(cut, len(stream)) for cut in cuts)
    assert run(stream, places, strip_usage, event_bytes_max) == wanted
    assert run(stream, list(range(1, len(stream))), strip_usage, event_bytes_max) == wanted


@settings(max_examples=300, deadline=None)
@given(
    body=st.one_of(
        LINES.map(lambda line: line[6:]),
        st.binary(max_size=10),
        st.text(max_size=20).map(
            lambda text: json.dumps({"x": text, "usage": USAGE}, ensure_ascii=False).encode()
        ),
    )
)
def test_the_usage_of_a_whole_reply_is_the_oracles(body: bytes) -> None:
    found = find_usage(body)
    assert (found and json.loads(found)) == oracle.find_usage(body)


def test_the_usage_of_a_whole_reply_cannot_be_forged() -> None:
    content = '","usage":{"completion_tokens":0},"x":"'
    reply = {
        "choices": [{"message": {"content": content, "usage": {}}}],
        "usage": USAGE,
        "z": [{"usage": {}}],
    }
    found = find_usage(json.dumps(reply).encode())
    assert found is not None
    assert json.loads(found) == USAGE
    del reply["usage"]
    assert find_usage(json.dumps(reply).encode()) is None
    large = {"data": [[0.1] * 5000], "usage": USAGE}
    assert find_usage(json.dumps(large).encode()) == json.dumps(USAGE).encode()
    assert find_usage(json.dumps(large).encode()[:-1]) is None
    for none in (b"", b"[]", b"null", b'{"usage":null}', b'{"usage":[]}', b"<html>", b'{"usage":{}} x'):
        assert find_usage(none) is None
