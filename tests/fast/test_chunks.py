"""Chunked bodies: decoded as the oracle and llhttp decode them, and where they end is known to the byte."""

import pytest
from httptools import HttpParserError, HttpRequestParser
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kpgate._fast.chunks import Chunks
from tests.kit.oracle import chunks as oracle

BODY = b'5;ext=1;a;b="c; \\"d"\r\nhello\r\n3\r\n\r\n.\r\n0\r\nX-Trailer: t\r\n\r\n'
BEHIND = b"GET / HTTP/1.1\r\n"
HEAD = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"


def feed(data: bytes, step: int) -> tuple[Chunks, int]:
    """A decoder that was fed so many bytes at a time, and how many it took."""
    chunks, used = Chunks(), 0
    for start in range(0, len(data), step):
        if chunks.complete or chunks.fault:
            break
        used += chunks.feed(data[start : start + step])
    return chunks, used


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_a_body_ends_where_it_ends(step: int) -> None:
    chunks, used = feed(BODY + BEHIND, step)
    assert (chunks.complete, used, chunks.size, chunks.take()) == (True, len(BODY), 8, b"hello\r\n.")


def test_a_body_may_be_split_anywhere() -> None:
    for cut in range(1, len(BODY)):
        chunks = Chunks()
        used = [(chunks.feed(part), chunks.complete) for part in (BODY[:cut], BODY[cut:] + BEHIND)]
        assert used == [(cut, False), (len(BODY) - cut, True)]
        assert chunks.take() == b"hello\r\n."


REFUSED = {
    "no size": b"\r\nhello",
    "a size that is none": b"zz\r\n",
    "a hexadecimal prefix": b"0x5\r\nhello\r\n",
    "a blank behind the size": b"5 \r\nhello\r\n",
    "a blank before the size": b" 5\r\nhello\r\n",
    "a blank before an extension": b"5 ;a\r\nhello\r\n",
    "a sign": b"+5\r\nhello\r\n",
    "a negative size": b"-5\r\nhello\r\n",
    "an underscore": b"1_0\r\n0123456789abcdef\r\n",
    "a bare line feed": b"5\nhello\r\n",
    "a bare carriage return": b"5\rhello\r\n",
    "an extension without a name": b"5;\r\nhello\r\n",
    "two semicolons": b"5;;a\r\nhello\r\n",
    "a blank in an extension": b"5; a\r\nhello\r\n",
    "an extension without a value": b"5;a=\r\nhello\r\n",
    "a value without a name": b"5;=a\r\nhello\r\n",
    "two values": b"5;a=b=c\r\nhello\r\n",
    "an open quotation": b'5;a="b\r\nhello\r\n',
    "an escaped end of line": b'5;a="b\\\r\nhello\r\n',
    "an escaped line feed": b'5;a="\\\n"\r\nhello\r\n',
    "an escaped NUL": b'5;a="\\\0"\r\nhello\r\n',
    "text behind a quotation": b'5;a="b"c\r\nhello\r\n',
    "a quotation behind text": b'5;a=b"c"\r\nhello\r\n',
    "a bare line feed in an extension": b"5;a\nhello\r\n",
    "a bare line feed in a quotation": b'5;a="\n"\r\nhello\r\n',
    "a bare carriage return in an extension": b"5;a\rhello\r\n",
    "a NUL in an extension": b"5;\0\r\nhello\r\n",
    "more than the size says": b"5\r\nhello!\r\n",
    "less than the size says": b"5\r\nhell\r\n0\r\n",
    "a blank for a carriage return": b"5\r\nhello \n0\r\n\r\n",
    "a bare line feed behind data": b"5\r\nhello\n0\r\n\r\n",
    "a size of 13 digits": b"0000000000005\r\nhello\r\n",
    "a size that overflows": b"fffffffffffff\r\n",
    "a size that overflows 64 bits": b"10000000000000005\r\nhello\r\n",
    "a long extension": b"5;" + b"a" * 5000,
    "a long quotation": b'5;a="' + b"a" * 5000,
    "a long trailer": b"0\r\na: " + b"b" * 5000,
    "a long trailer's name": b"0\r\n" + b"b" * 50_000,
    "trailers without end": b"0\r\n" + b"a: b\r\n" * 5000,
    "a bare carriage return in a trailer": b"0\r\na\rb\r\n",
    "a bare line feed in a trailer": b"0\r\na: b\nc: d\r\n\r\n",
    "a NUL in a trailer": b"0\r\na: \0\r\n\r\n",
    "a folded trailer": b"0\r\na: b\r\n c\r\n\r\n",
    "a blank before a trailer's colon": b"0\r\na : b\r\n\r\n",
    "the next request for a trailer": b"0\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
    "a bare line feed at the end": b"0\r\n\n",
    "a bare carriage return at the end": b"0\r\n\rG",
}
# What llhttp reads all the same, and why it may not be.
LENIENT = {
    # RFC 9112, 7.1.1: behind a `;` stands a name, and behind a `=` a value.
    *("two semicolons", "an extension without a value", "a value without a name", "a quotation behind text"),
    # It counts until 64 bits overflow. A body is never that long; one reader's zeros are another's end.
    *("a size of 13 digits", "a size that overflows"),
    # It has no bounds.
    *("a long extension", "a long quotation", "a long trailer", "a long trailer's name"),
    *("trailers without end",),
}


class Heard:
    """What llhttp makes of a body."""

    def __init__(self, data: bytes) -> None:
        self.body = b""
        self.over = self.refused = False
        try:
            HttpRequestParser(self).feed_data(HEAD + data)
        except HttpParserError:
            self.refused = True

    def on_body(self, part: bytes) -> None:
        self.body += part

    def on_message_complete(self) -> None:
        self.over = True


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_refused_by_llhttp_too_or_is_known_to_be_read(case: str) -> None:
    assert (not Heard(REFUSED[case]).refused) == (case in LENIENT)


@pytest.mark.parametrize("trailer", [b"content-length: 7", b"Transfer-Encoding: chunked"])
def test_what_a_trailer_says_of_framing_is_ignored(trailer: bytes) -> None:
    """The one thing that is read here and refused by llhttp: RFC 9110, 6.5.1; it is never passed on."""
    data = b"5\r\nhello\r\n0\r\n" + trailer + b"\r\n\r\n"
    chunks, used = feed(data + BEHIND, 1000)
    assert (chunks.complete, used, chunks.take()) == (True, len(data), b"hello")
    assert Heard(data).refused


@pytest.mark.parametrize("step", [1, 100_000])
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_chunk_is_refused(case: str, step: int) -> None:
    chunks, _ = feed(REFUSED[case], step)
    assert chunks.fault and not chunks.complete


def test_extensions_grow_with_the_body_only() -> None:
    """Sixteen bytes of framing for each byte of body may be; more may not, whatever the lines' length."""
    assert feed(b"1;aaaa\r\nx\r\n" * 20_000 + b"0\r\n\r\n", 65_536)[0].size == 20_000
    assert feed(b"1;%b\r\nx\r\n" % (b"a" * 100) * 20_000, 65_536)[0].fault


def sized(data: bytes) -> bytes:
    """A chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


GOOD = st.sampled_from(
    [b"5\r\nhello\r\n", b"1;x=y\r\n.\r\n", b'00a;q="\\\\;\t"\r\n0123456789\r\n', sized(b"\r\n0\r\n")]
)
ENDS = st.sampled_from([b"0\r\n\r\n", b"000;a\r\n\r\n", b"0\r\na: b\r\nc:\r\n\r\n"])
WHOLE = st.builds(lambda some, end: b"".join(some) + end, st.lists(GOOD, max_size=4), ENDS)
PIECES = st.lists(
    GOOD | st.sampled_from([b"0\r\n", b"\r\n", b"a: b\r\n", b"0", b"\n"]) | st.binary(min_size=1, max_size=3),
    max_size=12,
).map(b"".join)
ODD = st.sampled_from([bytes([one]) for one in b'\0\t\n\r "+,-/0:;=@FGfgx\\\x7f\x80\xff'] + [b"\r\n", b""])
DAMAGE = st.tuples(st.integers(0, 100), st.integers(0, 2), ODD)


def damaged(data: bytes, damage: list[tuple[int, int, bytes]]) -> bytes:
    """A body with some of its bytes lost, and others in their place."""
    for at, lost, put in damage:
        where = at % (len(data) + 1)
        data = data[:where] + put + data[where + lost :]
    return data


MUTATED = st.builds(damaged, WHOLE, st.lists(DAMAGE, min_size=1, max_size=2))


def compare(data: bytes, step: int) -> None:
    """Decode it, and see that the oracle and llhttp decode it alike."""
    chunks, used = feed(data, step)
    expected = oracle.read(data)
    assert (chunks.take(), used) == expected if chunks.complete else expected is None
    if chunks.complete:
        heard = Heard(data[:used])
        assert expected is not None and heard.over and not heard.refused and heard.body == expected[0]
        assert not Heard(data[: used - 1]).over


@settings(max_examples=1500, deadline=None)
@example(b"5\r\nhello\r\n0\r\n\r\n", 1)
@given(
    st.builds(bytes.__add__, WHOLE | PIECES | MUTATED, st.sampled_from([b"", BEHIND])),
    st.sampled_from([1, 2, 5, 1000]),
)
def test_a_body_is_decoded_as_the_oracle_and_llhttp_decode_it(data: bytes, step: int) -> None:
    compare(data, step)


@pytest.mark.parametrize("lost", [0, 1], ids=["between", "instead"])
def test_any_byte_anywhere_is_read_alike(lost: int) -> None:
    for at in range(len(BODY)):
        for byte in range(256):
            compare(BODY[:at] + bytes([byte]) + BODY[at + lost :], 1000)


@settings(max_examples=200, deadline=None)
@given(WHOLE | MUTATED, st.data())
def test_where_a_body_is_split_makes_no_difference(data: bytes, draw: st.DataObject) -> None:
    compare_split(data, draw.draw(st.integers(0, len(data))))


def test_what_is_wrong_is_wrong_at_the_same_byte_wherever_it_is_split() -> None:
    for data in (b"0\r\na: b\r\nc:\t\n\r\n", b'5;a="b\0"\r\nhello\r\n', b"0\r\na: bcd\0\r\n\r\n"):
        for at in range(len(data) + 1):
            compare_split(data, at)


def compare_split(data: bytes, at: int) -> None:
    """See that a body in two pieces is read as in one."""
    split, whole = Chunks(), Chunks()
    used = split.feed(data[:at])
    if not split.complete and split.fault is None:
        used += split.feed(data[at:])
    assert (whole.feed(data), whole.take(), whole.complete, whole.fault) == (
        used,
        split.take(),
        split.complete,
        split.fault,
    )
