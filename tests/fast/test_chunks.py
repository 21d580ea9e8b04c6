"""Chunked bodies: decoded as the oracle and llhttp decode them, and where they end is known to the byte."""

import pytest
from httptools import HttpParserError, HttpRequestParser
from hypothesis import example, given
from hypothesis import strategies as st

from kpgate._fast.chunks import Chunks
from tests.kit.oracle import chunks as oracle

BODY = b"5;ext=1\r\nhello\r\n3\r\n\r\n.\r\n0\r\nX-Trailer: t\r\n\r\n"
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
        assert chunks.feed(BODY[:cut]) == cut and not chunks.complete
        assert chunks.feed(BODY[cut:] + BEHIND) == len(BODY) - cut
        assert chunks.complete and chunks.take() == b"hello\r\n."


REFUSED = {
    "no size": b"\r\nhello",
    "a size that is none": b"zz\r\n",
    "a hexadecimal prefix": b"0x5\r\nhello\r\n",
    "a blank behind the size": b"5 \r\nhello\r\n",
    "a sign": b"+5\r\nhello\r\n",
    "a bare line feed": b"5\nhello\r\n",
    "a bare line feed in an extension": b"5;a\nhello\r\n",
    "a NUL in an extension": b"5;\0\r\nhello\r\n",
    "more than the size says": b"5\r\nhello!\r\n",
    "less than the size says": b"5\r\nhell\r\n0\r\n",
    "a size that overflows": b"fffffffffffff\r\n",
    "a long extension": b"5;" + b"a" * 5000,
    "a long trailer": b"0\r\na: " + b"b" * 5000,
    "trailers without end": b"0\r\n" + b"a: b\r\n" * 5000,
    "a bare carriage return in a trailer": b"0\r\na\rb\r\n",
}


@pytest.mark.parametrize("step", [1, 100_000])
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_chunk_is_refused(case: str, step: int) -> None:
    chunks, _ = feed(REFUSED[case], step)
    assert chunks.fault and not chunks.complete


def test_extensions_grow_with_the_body_only() -> None:
    """Sixteen bytes of framing for each byte of body may be; more may not, whatever the lines' length."""
    assert feed(b"1;aaaa\r\nx\r\n" * 20_000 + b"0\r\n\r\n", 65_536)[0].size == 20_000
    assert feed(b"1;%b\r\nx\r\n" % (b"a" * 100) * 20_000, 65_536)[0].fault


PIECES = st.lists(
    st.sampled_from(
        [
            b"5\r\nhello\r\n",
            b"1;x=y\r\n.\r\n",
            b"0\r\n",
            b"\r\n",
            b"a: b\r\n",
            b"A\r\n0123456789\r\n",
            b"0",
            b"\n",
        ]
    )
    | st.binary(min_size=1, max_size=3),
    max_size=12,
)


@example([b"5\r\nhello\r\n", b"0\r\n", b"\r\n"], 1)
@given(PIECES, st.sampled_from([1, 2, 5, 1000]))
def test_a_body_is_decoded_as_the_oracle_and_llhttp_decode_it(pieces: list[bytes], step: int) -> None:
    data = b"".join(pieces)
    chunks, used = feed(data, step)
    expected = oracle.read(data)
    assert (chunks.take(), used) == expected if chunks.complete else expected is None
    if chunks.complete:
        heard: list[bytes] = []
        ends: list[bool] = []
        target = type("Heard", (), {"on_body": lambda _, part: heard.append(part)})()
        target.on_message_complete = lambda: ends.append(True)
        try:
            HttpRequestParser(target).feed_data(HEAD + data[:used])
        except HttpParserError:
            # It reads the names of trailers, which nobody here looks at.
            refused = True
        else:
            refused = False
        if refused:
            assert used > data.index(b"0\r\n") + 5
            return
        assert expected is not None and b"".join(heard) == expected[0] and ends
