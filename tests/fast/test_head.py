"""A request's head: read as the oracle reads it, and never otherwise than llhttp would."""

import re

import pytest
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kpgate._fast.head import Head, gather, parse
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
    "a method of 21 letters": (with_lines(start=f"{'A' * 21} / HTTP/1.1"), 400),
    "a length of 16 digits": (with_lines("content-length: 0000000000000003"), 400),
    "chunked and an empty coding": (with_lines("transfer-encoding: chunked", "transfer-encoding:"), 400),
    "chunked, with a comma": (with_lines("transfer-encoding: chunked,"), 400),
    "a vertical tab before chunked": (with_lines("transfer-encoding: \x0bchunked"), 400),
    "a folded first line": (with_lines(" a: b", host=False), 400),
    "a NUL in a name": (with_lines("a\0: b"), 400),
    "an empty line in front": (b"\r\n" + with_lines(), 400),
    "a byte above ASCII in the target": (with_lines(start="GET /\xe9 HTTP/1.1"), 400),
    "two hosts, one in the target": (with_lines("host: there", start="GET http://here/ HTTP/1.1"), 400),
    "no host beside the target's": (with_lines(start="GET http://here/ HTTP/1.1", host=False), 400),
    "no host in the target": (with_lines(start="GET http:///x HTTP/1.1"), 400),
    "another port in the target": (with_lines(start="GET http://here:81/ HTTP/1.1"), 400),
    "another scheme": (with_lines(start="GET ftp://here/ HTTP/1.1"), 400),
    "small letters in the version": (with_lines(start="GET / http/1.1"), 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
}
# What llhttp reads all the same, and why it may not be.
LENIENT = {
    # It takes any coding in front of a last `chunked`; nobody here would undo it.
    "two codings",
    # A proxy of HTTP/1.0 passes the chunks on as they are: RFC 9112, 6.1.
    "chunked in HTTP/1.0",
    # It counts until 64 bits overflow; no body is that long.
    "a length of 16 digits",
    # It does not look at `host` at all, so two readers may see two hosts: RFC 9112, 3.2.
    *("no host", "an empty host", "two hosts", "a host that is none", "no host beside the target's"),
    *("another host in the target", "somebody in the target", "another port in the target"),
    *("two hosts, one in the target", "no host in the target"),
    # It is a parser for other protocols and for proxies too.
    *("HTTP/2.0", "HTTP/0.9", "RTSP", "an authority", "another scheme"),
    # RFC 9112, 3: one space. RFC 9112, 2.2 lets a reader skip an empty line; a strict one need not.
    *("two spaces", "an empty line in front"),
    # RFC 3986: none of these stands in a path or a query.
    *("a fragment", "quotes", "brackets"),
    # It leaves these to whoever asked.
    *("another expectation", "two keys", "a packed body"),
    # It has no bounds.
    *("101 headers", "a long target", "a long head"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_could_be_read_in_two_ways_is_refused(case: str) -> None:
    data, status = REFUSED[case]
    head = parse(data)
    assert head.fault_status == status and head.fault
    assert not head.keep_alive, "nobody knows where the next one begins"


@pytest.mark.parametrize(
    "data",
    [
        with_lines(*["a: b"] * 99),
        with_lines(start=f"GET /{'a' * 8191} HTTP/1.1"),
        with_lines("a: " + "b" * (65_536 - len(with_lines("a: ")))),
        with_lines(start=f"{'A' * 20} / HTTP/1.1"),
        with_lines("content-length: 000000000000003"),
    ],
    ids=["100 headers", "target", "head", "method", "length"],
)
def test_what_is_as_long_as_may_be_is_read(data: bytes) -> None:
    assert not parse(data).fault_status


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
        *("x-forwarded-for: 1.2.3.4", "a:b", "a:\tb\t", "a: b\xe9", "a : b", "a", "", " a: b", "a: \x01"),
        *("a: b\rc", "Content-Encoding: identity", "x-api-key: k", "Upgrade: h2c", "connection: upgrade"),
        *("a: b\nc: d", "a\0: b", "authorization: Bearer k", "tracestate: a=b", "traceparent: 00"),
    ]
)
STARTS = st.sampled_from(
    [
        *("GET / HTTP/1.1", "POST /a?b=c HTTP/1.1", "HEAD /%20 HTTP/1.0", "GET http://here/a HTTP/1.1"),
        *("GET * HTTP/1.1", "GET  / HTTP/1.1", "GET / HTTP/1.1 ", "get / HTTP/1.1", "PUT a HTTP/1.1"),
        *("OPTIONS * HTTP/1.1", "GET /\x80 HTTP/1.1", "GET /a HTTP/1.10", " GET / HTTP/1.1"),
        *("GET / http/1.1", "DELETE /a#b HTTP/1.1", "PATCH HTTPS://HERE?q HTTP/1.1"),
    ]
)
WRITTEN = st.builds(
    lambda start, lines: with_lines(*lines, start=start, host=False), STARTS, st.lists(LINES, max_size=6)
)
# Heads that are right, so that one wrong byte is all there is to see.
RIGHT = st.builds(
    lambda start, framing, lines: with_lines(*framing, *lines, start=start),
    st.sampled_from(["POST /v1/x?y=1 HTTP/1.1", "GET http://here/a HTTP/1.1", "PUT /%20 HTTP/1.0"]),
    st.sampled_from([[], ["Content-Length: 3"], ["Transfer-Encoding: chunked"], ["content-length: 0"]]),
    st.lists(
        st.sampled_from(["Connection: close", "connection: Keep-Alive, x", "a: b\tc", "x-api-key:k"]),
        max_size=3,
        unique=True,
    ),
)
ODD = st.sampled_from([bytes([one]) for one in b'\0\t\n\v\r "#+,-/0:;<@AZ[az\x7f\x80\xff']) | st.sampled_from(
    [b"\r\n", b"\r\n ", b", ", b"\r\nhost: here", b"\r\ncontent-length: 3", b"chunked"]
)


def damaged(data: bytes, damage: list[tuple[int, int, bytes]]) -> bytes:
    """A head with some of its bytes lost, and others in their place."""
    for at, lost, put in damage:
        where = at % (len(data) - 3)
        data = data[:where] + put + data[where + lost :]
    return data + b"\r\n\r\n"


DAMAGE = st.tuples(st.integers(0, 400), st.integers(0, 2), ODD | st.just(b""))
MUTATED = st.builds(damaged, RIGHT, st.lists(DAMAGE, min_size=1, max_size=2))
HEADS = RIGHT | WRITTEN | MUTATED


def first(data: bytes) -> bytes:
    """As far as a head reaches."""
    return data[: data.index(b"\r\n\r\n") + 4]


def compare_with_oracle(data: bytes) -> Head:
    """Read a head, and see that the oracle reads it alike."""
    head = parse(data)
    try:
        expected = oracle.read(data)
    except oracle.Refused:
        assert head.fault_status
        return head
    assert not head.fault_status, head.fault
    assert {name: getattr(head, name) for name in expected} == expected
    return head


@settings(max_examples=1000, deadline=None)
@example(PLAIN)
@given(HEADS | st.builds(lambda noise: noise + b"\r\n\r\n", st.binary(min_size=1, max_size=80)))
def test_a_head_is_read_as_the_oracle_reads_it(data: bytes) -> None:
    compare_with_oracle(first(data))


class Heard:
    """What llhttp makes of a head, and of a body behind it."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.target = self.body = b""
        self.read = self.over = self.keep_alive = self.refused = self.upgrades = False
        self.parser = HttpRequestParser(self)

    def feed(self, data: bytes) -> "Heard":
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade:
            self.upgrades = True
        except HttpParserError:
            self.refused = True
        return self

    def on_url(self, part: bytes) -> None:
        self.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self.read = True
        self.keep_alive = self.parser.should_keep_alive()

    def on_body(self, part: bytes) -> None:
        self.body += part

    def on_message_complete(self) -> None:
        self.over = True


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_refused_by_llhttp_too_or_is_known_to_be_read(case: str) -> None:
    heard = Heard().feed(REFUSED[case][0])
    assert (heard.read and not heard.refused) == (case in LENIENT)


# What llhttp knows as a method is a list. What is none for it is for the application to refuse.
KNOWN = ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH")


def compare_with_llhttp(data: bytes, head: Head) -> None:
    """See that llhttp reads what was accepted, and alike."""
    if head.fault_status or head.method not in KNOWN:
        return
    heard = Heard().feed(data)
    assert heard.read and not heard.refused
    assert heard.parser.get_method() == head.method.encode()
    assert heard.target == data.split(b" ", 2)[1]
    asked = re.sub(rb"^https?://[^/?]*", b"", heard.target, flags=re.IGNORECASE)
    path, _, query = asked.partition(b"?")
    assert (head.path, head.query) == (path or b"/", query)
    assert heard.headers == head.pairs()
    assert heard.parser.get_http_version() == ("1.1" if head.modern else "1.0")
    # Of `close` and `keep-alive` in HTTP/1.0 it obeys the latter; here whoever says `close` means it.
    said = oracle.tokens([value for name, value in heard.headers if name == b"connection"])
    both = not head.modern and {b"close", b"keep-alive"} <= said
    assert head.keep_alive == (heard.keep_alive and not both)
    if heard.upgrades:
        # What is behind it llhttp leaves to the protocol that was asked for. Nothing is upgraded here, as a server may
        # always do: the body is the request's own, as if nobody had asked.
        heard = Heard().feed(re.sub(rb"(?i)\r\nupgrade:", b"\r\nupgrada:", data))
        assert not heard.upgrades
    framed_alike(head, heard)


def framed_alike(head: Head, heard: Heard) -> None:
    """Feed a body, and see that it ends for llhttp where the head says."""
    if head.chunked:
        assert not heard.over
        heard.feed(b"1\r\nx\r\n0\r\n\r")
        assert not heard.over and heard.body == b"x"
        assert heard.feed(b"\n").over
    elif head.content_length > 1000:
        assert not heard.feed(b"x" * 1000).over and len(heard.body) == 1000
    elif head.content_length > 0:
        assert not heard.feed(b"x" * (head.content_length - 1)).over
        assert heard.feed(b"x").over and len(heard.body) == head.content_length
    else:
        assert heard.over and not heard.body
    assert not heard.refused


@settings(max_examples=1000, deadline=None)
@example(with_lines("connection: close", "connection: keep-alive", start="GET / HTTP/1.0"))
@example(with_lines("upgrade: h2c", "connection: upgrade"))
@example(with_lines("Upgrade: h2c", "connection: upgrade", "content-length: 3"))
@example(with_lines("Upgrade: h2c", "connection: upgrade", "transfer-encoding: chunked"))
@given(HEADS)
def test_what_is_accepted_is_what_llhttp_would_have_read(data: bytes) -> None:
    data = first(data)
    compare_with_llhttp(data, parse(data))


@pytest.mark.parametrize("lost", [0, 1], ids=["between", "instead"])
@pytest.mark.parametrize(
    "good",
    [
        with_lines("Content-Length:3", "Connection: x, close"),
        with_lines("Transfer-Encoding: chunked", start="GET http://here?a HTTP/1.1"),
    ],
    ids=["length", "chunked"],
)
def test_any_byte_anywhere_is_read_alike(good: bytes, lost: int) -> None:
    for at in range(len(good) - 4):
        for byte in range(256):
            data = first(good[:at] + bytes([byte]) + good[at + lost :])
            compare_with_llhttp(data, compare_with_oracle(data))


@pytest.mark.parametrize("method", ["PURGE-ALL", "get", "PRI"])
def test_a_method_that_llhttp_does_not_know_is_for_the_application_to_refuse(method: str) -> None:
    data = with_lines(start=f"{method} / HTTP/1.1")
    assert parse(data).method == method and Heard().feed(data).refused


@settings(max_examples=300, deadline=None)
@given(RIGHT | WRITTEN)
def test_headers_of_another_parser_are_read_alike(data: bytes) -> None:
    parsed = parse(first(data))
    if parsed.fault_status:
        return
    gathered = gather(parsed.pairs())
    names = ("host", "authorization", "x_api_key", "traceparent", "tracestate", "plain")
    for name in (*names, "content_encoding", "content_length", "forwarded_for", "fault_status"):
        assert getattr(parsed, name) == getattr(gathered, name)
    assert parsed.credential() == gathered.credential()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 400),
        ([(b"host", b"a"), (b"host", b"a")], 400),
        ([(b"host", b"a b")], 400),
        ([(b"host", b"a"), (b"x-api-key", b"a"), (b"x-api-key", b"b")], 400),
        ([(b"host", b"a"), (b"content-encoding", b"br")], 415),
        ([(b"host", b"a"), *[(b"b", b"c")] * 100], 431),
        ([(b"host", b"a"), (b"b", b"c" * 65_536)], 431),
        ([(b"host", b"a"), *[(b"b", b"c")] * 99], 0),
    ],
)
def test_gathered_headers_are_judged(headers: list[tuple[bytes, bytes]], status: int) -> None:
    assert gather(headers).fault_status == status


def test_gathered_headers_say_whether_the_client_waits_to_be_asked() -> None:
    assert gather([(b"host", b"x"), (b"expect", b"100-continue")]).expects
    assert not gather([(b"host", b"x"), (b"accept", b"*/*")]).expects


def test_gathered_headers_say_the_same() -> None:
    lines = [
        "Authorization: Bearer k",
        "X-Request-Id: 1",
        "x-forwarded-for: a",
        "X-Forwarded-For: b",
        "OpenAI-Beta: x",
        "X-Kpgate-Max-Cost-MicroKPT: 5",
    ]
    parsed = parse(with_lines(*lines))
    gathered = gather(parsed.pairs())
    for name in ("host", "request_id", "forwarded_for", "beta", "cost_max", "plain", "fault_status"):
        assert getattr(parsed, name) == getattr(gathered, name)
    assert parsed.credential() == gathered.credential()


@pytest.mark.parametrize("length", [1, 15, 16, 17, 31, 33])
def test_every_byte_is_judged_wherever_it_stands_in_a_name(length: int) -> None:
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~"
    for place in range(length):
        for byte in set(range(256)) - set(b"\n\r:"):
            name = bytearray(b"a" * length)
            name[place] = byte
            head = parse(with_lines(name.decode("latin-1") + ": v"))
            assert (head.fault_status == 0) == (byte in letters), (place, byte)
