"""A request's head: read as the oracle reads it, and never otherwise than llhttp would."""

import pytest
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from hypothesis import example, given
from hypothesis import strategies as st

from kpgate._fast.head import gather, parse
from tests.kit.oracle import head as oracle

PLAIN = b"POST /v1/x?y=1 HTTP/1.1\r\nHost: here\r\nContent-Length: 3\r\n\r\n"


def with_lines(*lines: str, start: str = "POST /v1/x HTTP/1.1", host: bool = True) -> bytes:
    """A head with these header lines behind a `host`."""
    return "\r\n".join([start, *(["host: here"] if host else []), *lines, "", ""]).encode("latin-1")


REFUSED = {
    "length and chunks": (with_lines("content-length: 3", "transfer-encoding: chunked"), 400),
    "two equal lengths": (with_lines("content-length: 3", "content-length: 3"), 400),
    "two lengths": (with_lines("content-length: 3", "content-length: 4"), 400),
    "a list of lengths": (with_lines("content-length: 3, 3"), 400),
    "a signed length": (with_lines("content-length: +3"), 400),
    "a hexadecimal length": (with_lines("content-length: 0x3"), 400),
    "an empty length": (with_lines("content-length:"), 400),
    "a length that overflows": (with_lines("content-length: 99999999999999999999"), 400),
    "an unknown coding": (with_lines("transfer-encoding: gzip"), 400),
    "two codings": (with_lines("transfer-encoding: gzip, chunked"), 400),
    "chunked twice": (with_lines("transfer-encoding: chunked", "transfer-encoding: chunked"), 400),
    "chunked with a tail": (with_lines("transfer-encoding: chunked;x"), 400),
    "chunked in HTTP/1.0": (with_lines("transfer-encoding: chunked", start="POST / HTTP/1.0"), 400),
    "a folded line": (with_lines("a: b", " c"), 400),
    "a space before the colon": (with_lines("a : b"), 400),
    "a name with a space": (with_lines("a b: c"), 400),
    "no name": (with_lines(": b"), 400),
    "no colon": (with_lines("abc"), 400),
    "a bare line feed": (with_lines("a: b\nc: d"), 400),
    "a bare carriage return": (with_lines("a: b\rc"), 400),
    "a NUL": (with_lines("a: b\0"), 400),
    "a DEL": (with_lines("a: b\x7f"), 400),
    "no host": (with_lines(host=False), 400),
    "an empty host": (with_lines("host:", host=False), 400),
    "two hosts": (with_lines("host: here"), 400),
    "a host that is none": (with_lines("host: a/b", host=False), 400),
    "another host in the target": (with_lines(start="GET http://there/x HTTP/1.1"), 400),
    "somebody in the target": (with_lines(start="GET http://a@here/x HTTP/1.1"), 400),
    "HTTP/2.0": (with_lines(start="GET / HTTP/2.0"), 400),
    "HTTP/1.2": (with_lines(start="GET / HTTP/1.2"), 400),
    "RTSP": (with_lines(start="GET / RTSP/1.0"), 400),
    "two spaces": (with_lines(start="GET  / HTTP/1.1"), 400),
    "no target": (with_lines(start="GET HTTP/1.1"), 400),
    "a tab": (with_lines(start="GET\t/ HTTP/1.1"), 400),
    "a fragment": (with_lines(start="GET /#a HTTP/1.1"), 400),
    "quotes": (with_lines(start='GET /"a" HTTP/1.1'), 400),
    "brackets": (with_lines(start="GET /<a> HTTP/1.1"), 400),
    "an authority": (with_lines(start="CONNECT here:80 HTTP/1.1"), 400),
    "text behind the version": (with_lines(start="GET / HTTP/1.1 x"), 400),
    "another expectation": (with_lines("expect: miracles"), 400),
    "two keys": (with_lines("authorization: a", "authorization: b"), 400),
    "a packed body": (with_lines("content-encoding: gzip"), 415),
    "101 headers": (with_lines(*["a: b"] * 100), 431),
    "a long target": (with_lines(start=f"GET /{'a' * 8192} HTTP/1.1"), 431),
    "a long head": (with_lines("a: " + "b" * 65_536), 431),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_could_be_read_in_two_ways_is_refused(case: str) -> None:
    data, status = REFUSED[case]
    head = parse(data)
    assert head.fault_status == status and head.fault
    assert not head.keep_alive, "nobody knows where the next one begins"


def test_a_head_says_what_stands_in_it() -> None:
    head = parse(
        with_lines("Content-Length:  12 ", "X-Forwarded-For: a", "x-forwarded-for: b", "Expect: 100-Continue")
    )
    assert not head.fault_status
    assert (head.method, head.path, head.query) == ("POST", b"/v1/x", b"")
    assert (head.content_length, head.forwarded_for, head.expects) == (12, b"a, b", True)
    assert head.pairs()[:2] == [(b"host", b"here"), (b"content-length", b"12")]
    whole = parse(with_lines(start="GET HTTP://HERE?a HTTP/1.0"))
    assert (whole.path, whole.query, whole.modern, whole.keep_alive) == (b"/", b"a", False, False)


def test_part_of_a_head_is_no_head() -> None:
    for end in range(len(PLAIN)):
        with pytest.raises(ValueError, match="empty line"):
            parse(PLAIN[:end])


LINES = st.sampled_from(
    [
        *("Host: here", "host: x y", "Content-Length: 3", "content-length: 03", "content-length: 3 3"),
        *("Transfer-Encoding: chunked", "transfer-encoding: Chunked", "transfer-encoding: identity"),
        *("Connection: close", "connection: Keep-Alive, x", "connection: closed", "Expect: 100-continue"),
        *(
            "x-forwarded-for: 1.2.3.4",
            "a:b",
            "a:\tb\t",
            "a: b\xe9",
            "a : b",
            "a",
            "",
            " a: b",
            "a: \x01",
            "a: b\rc",
        ),
        *("Content-Encoding: identity", "x-api-key: k", "Upgrade: h2c", "a: b\nc: d", "a\0: b"),
    ]
)
STARTS = st.sampled_from(
    [
        *("GET / HTTP/1.1", "POST /a?b=c HTTP/1.1", "HEAD /%20 HTTP/1.0", "GET http://here/a HTTP/1.1"),
        *(
            "GET * HTTP/1.1",
            "GET  / HTTP/1.1",
            "GET / HTTP/1.1 ",
            "get / HTTP/1.1",
            "PUT a HTTP/1.1",
            "OPTIONS * HTTP/1.1",
        ),
        *(
            "GET /\x80 HTTP/1.1",
            "GET /a HTTP/1.10",
            " GET / HTTP/1.1",
            "GET / http/1.1",
            "DELETE /a#b HTTP/1.1",
        ),
    ]
)
HEADS = st.builds(
    lambda start, lines: with_lines(*lines, start=start, host=False), STARTS, st.lists(LINES, max_size=6)
)


@example(PLAIN)
@given(HEADS | st.builds(lambda noise: noise + b"\r\n\r\n", st.binary(max_size=80)))
def test_a_head_is_read_as_the_oracle_reads_it(data: bytes) -> None:
    end = data.index(b"\r\n\r\n") + 4
    if end == 4:
        return
    head = parse(data[:end])
    try:
        expected = oracle.read(data[:end])
    except oracle.Refused:
        assert head.fault_status
        return
    assert not head.fault_status, head.fault
    assert {name: getattr(head, name) for name in expected} == expected


class Heard:
    """What llhttp makes of a head."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.url = b""
        self.whole = False
        self.keep_alive = False

    def on_url(self, part: bytes) -> None:
        self.url += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self.whole = True
        self.keep_alive = self.parser.should_keep_alive()


@given(HEADS)
def test_what_is_accepted_is_what_llhttp_would_have_read(data: bytes) -> None:
    """The other way round it accepts more: no host or several, fragments, `HTTP/2.0`, chunks in HTTP/1.0."""
    end = data.index(b"\r\n\r\n") + 4
    head = parse(data[:end])
    # llhttp knows methods by a list, and never more than the ones it knows.
    if head.fault_status or head.method not in ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS"):
        return
    heard = Heard()
    heard.parser = HttpRequestParser(heard)  # type: ignore[attr-defined]
    try:
        heard.parser.feed_data(data[:end])  # type: ignore[attr-defined]
    except HttpParserUpgrade:
        pass
    except HttpParserError:
        raise AssertionError("llhttp refuses it") from None
    assert heard.whole and heard.headers == head.pairs()
    assert heard.url.endswith(head.path + (b"?" + head.query if head.query else b"")) or head.path == b"/"
    assert heard.keep_alive == head.keep_alive or any(name == b"upgrade" for name, _ in heard.headers)


def test_gathered_headers_say_the_same() -> None:
    lines = [
        "Authorization: Bearer k",
        "X-Request-Id: 1",
        "x-forwarded-for: a",
        "X-Forwarded-For: b",
        "OpenAI-Beta: x",
    ]
    parsed = parse(with_lines(*lines))
    gathered = gather(parsed.pairs())
    for name in ("host", "credential", "request_id", "forwarded_for", "beta", "plain", "fault_status"):
        assert getattr(parsed, name) == getattr(gathered, name)
