"""An upstream connection reads a reply in any pieces, refuses what is none, and knows when it is spent."""

import gc
import pickle
import sys
import weakref

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kpgate._fast.http1 import Connection, UpstreamLost
from tests.kit.wire import StillLoop, Wire

REQUEST = b"POST /v1/x HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n"
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-ID: r-1\r\nOpenAI-Processing-MS: 12\r\n"
    b"X-RateLimit-Remaining-Tokens: 9\r\nSet-Cookie: a=b\r\nRetry-After: 7\r\nContent-Encoding: identity\r\n"
)
FIXED = HEAD + b"Content-Length: 11\r\n\r\nhello world"
CHUNKED = (
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nX-Trailer: t\r\n\r\n"
)
INTERIM = b"HTTP/1.1 100 Continue\r\nRetry-After: 99\r\n\r\nHTTP/1.1 103 Early\r\nOpenAI-x: no\r\n\r\n"
PASSED = [(b"openai-processing-ms", b"12"), (b"x-ratelimit-remaining-tokens", b"9")]


def asked(prefixes: tuple[bytes, ...] = (b"openai-", b"x-ratelimit-")) -> Wire:
    """A connection that has sent a request."""
    wire = Wire(prefixes)
    wire.connection.send(REQUEST, b"{}")
    return wire


def reason(awaited: object) -> str:
    """Why a wait failed."""
    with pytest.raises(UpstreamLost) as caught:
        awaited.result()  # type: ignore[attr-defined]
    return f"{caught.value.phase}: {caught.value.reason}"


def read_all(wire: Wire, reply: bytes, step: int) -> bytes:
    head = wire.connection.head()
    wire.feed(reply, step)
    head.result()
    body = wire.connection.whole(1 << 20)
    return body.result()


class Source:
    """Where a body comes from. Notes how often more of it was asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def follow(self) -> None:
        self.asked += 1


def test_a_body_follows_its_request_as_it_comes():
    wire, source = Wire(), Source()
    connection = wire.connection
    connection.begin(REQUEST + b"ab", source)
    assert connection.takes and connection.push(b"cd")
    connection.pause_writing()
    assert not connection.push(b"ef")
    connection.resume_writing()
    assert source.asked == 1
    assert connection.push(b"gh")
    connection.end()
    assert b"".join(wire.writes) == REQUEST + b"abcdefgh" and not connection.takes
    connection.pause_writing()
    connection.resume_writing()
    assert source.asked == 1, "once it is all sent nobody asks for more"
    assert read_all(wire, FIXED, 65_536) == b"hello world" and connection.rest()


def test_a_reply_before_the_body_is_whole_is_read_and_the_connection_is_not_used_again():
    wire = Wire()
    connection = wire.connection
    connection.begin(REQUEST, Source())
    assert read_all(wire, FIXED, 65_536) == b"hello world"
    assert not connection.clean and not connection.rest() and not connection.takes


@pytest.mark.parametrize("reply", [FIXED, CHUNKED, INTERIM + FIXED, INTERIM + CHUNKED])
@pytest.mark.parametrize("step", [1, 2, 3, 7, 64, 65_536])
def test_a_reply_reads_the_same_in_any_pieces(reply: bytes, step: int):
    wire = asked()
    assert read_all(wire, reply, step) == b"hello world"
    connection = wire.connection
    assert connection.status == 200
    assert connection.content_type == b"application/json"
    assert connection.content_encoding == b"identity"
    assert connection.request_id == b"r-1"
    assert connection.retry_after == b"7"
    assert connection.passed == PASSED
    assert connection.chunked == (b"chunked" in reply)
    assert connection.content_length == (-1 if connection.chunked else 11)
    assert connection.complete
    assert connection.clean


@pytest.mark.parametrize("reply", [FIXED, CHUNKED, INTERIM + CHUNKED])
def test_a_reply_reads_the_same_split_anywhere(reply: bytes):
    for cut in range(1, len(reply)):
        wire = asked()
        connection = wire.connection
        head = connection.head()
        wire.feed(reply[:cut])
        wire.feed(reply[cut:])
        head.result()
        assert connection.whole(100).result() == b"hello world"
        assert connection.clean


NAMES = [
    "content-type",
    "X-Request-Id",
    "Retry-After",
    "openai-version",
    "Connection",
    "content-encoding",
    "x",
    "x y",
    "",
]
VALUES = ["application/json", "1", "keep-alive", "close", " a\tb ", "", "\x01", "\u00e9", "a\rb", "gzip"]
STARTS = [
    "HTTP/1.1 200 OK",
    "HTTP/1.1 429 ",
    "HTTP/1.1 200",
    "HTTP/1.1 099 X",
    "HTTP/1.0 200 OK",
    "HTTP/1.1 200 O\nK",
    "HTTP/1.1 204 No",
    "HTTP/1.1 2x0 OK",
]


@given(
    st.sampled_from(STARTS),
    st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=5),
    st.sampled_from([["5"], ["5", "5"], ["4"], ["6"], [], ["+5"], ["05"], ["5 "]]),
    st.sampled_from([b"hello", b"hello!", b""]),
)
def test_a_reply_in_one_read_is_what_the_parser_makes_of_it(
    start: str, headers: list[tuple[str, str]], lengths: list[str], body: bytes
):
    """Whole replies are read without the parser: never otherwise than by it."""
    lines = [
        start,
        *(f"{name}: {value}" for name, value in headers),
        *(f"Content-Length:{n}" for n in lengths),
    ]
    reply = "\r\n".join([*lines, "", ""]).encode("latin-1") + body

    def outcome(step: int) -> tuple[object, ...]:
        wire = asked()
        wire.connection.head()
        wire.feed(reply, step)
        wire.eof()
        one = wire.connection
        known = (one.status, one.content_type, one.content_encoding, one.retry_after, one.request_id)
        whole = one.take_whole() if one.complete else None
        return (*known, one.passed, one.complete, whole, one.clean, wire.closed)

    assert outcome(65_536) == outcome(len(reply) - len(body) - 1)


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=20), st.lists(st.integers(1, 400), max_size=30))
@example([b"x"] * 5, [1])
def test_chunks_come_out_as_they_went_in(chunks: list[bytes], cuts: list[int]):
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    reply = HEAD + b"transfer-encoding: chunked\r\n\r\n" + body
    wire = asked()
    connection = wire.connection
    taken: list[bytes] = []
    head = connection.head()
    sizes = iter(cuts)
    start = 0
    while start < len(reply):
        size = next(sizes, len(reply))
        wire.feed(reply[start : start + size])
        start += size
        if head.done:
            while data := connection.take():
                taken.append(data)
    assert connection.take() == b""
    assert b"".join(taken) == b"".join(chunks)
    assert connection.rest()


@given(st.binary(max_size=400), st.integers(1, 50))
@example(b"HTTP/1.1 200 OK\r\n\r\n", 1)
def test_no_bytes_break_the_connection(noise: bytes, step: int):
    wire = asked()
    head = wire.connection.head()
    wire.feed(noise, step)
    wire.eof()
    assert head.done
    assert not wire.connection.rest()


@given(st.integers(0, len(CHUNKED) - 1), st.integers(0, 255))
def test_a_garbled_reply_ends_one_way_or_another(at: int, byte: int):
    wire = asked()
    head = wire.connection.head()
    wire.feed(CHUNKED[:at] + bytes([byte]) + CHUNKED[at + 1 :])
    wire.eof()
    assert head.done
    body = wire.connection.whole(1000)
    assert body.done


MALFORMED = {
    "not http": (b"SSH-2.0-OpenSSH\r\n", "not HTTP"),
    "status 099": (b"HTTP/1.1 099 X\r\ncontent-length: 0\r\n\r\n", "status is 99"),
    "status 000": (b"HTTP/1.1 000 X\r\ncontent-length: 0\r\n\r\n", "status is 0"),
    "status 600": (b"HTTP/1.1 600 X\r\ncontent-length: 0\r\n\r\n", "status is 600"),
    "status 999": (b"HTTP/1.1 999 X\r\ncontent-length: 0\r\n\r\n", "status is 999"),
    "status 2000": (b"HTTP/1.1 2000 X\r\ncontent-length: 0\r\n\r\n", "not HTTP"),
    "switching": (b"HTTP/1.1 101 S\r\nconnection: upgrade\r\nupgrade: ws\r\n\r\n", "status is 101"),
    "101 bare": (b"HTTP/1.1 101 S\r\n\r\n", "status is 101"),
    "both lengths": (b"HTTP/1.1 200\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n", "not HTTP"),
    "two lengths": (b"HTTP/1.1 200 X\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n", "not HTTP"),
    "signed length": (b"HTTP/1.1 200 X\r\ncontent-length: -2\r\n\r\n", "not HTTP"),
    "huge length": (b"HTTP/1.1 200 X\r\ncontent-length: 99999999999999999999999\r\n\r\n", "not HTTP"),
    "gzip coding": (b"HTTP/1.1 200 X\r\ntransfer-encoding: gzip, chunked\r\n\r\n", "transfer-encoding"),
    "other coding": (b"HTTP/1.1 200 X\r\ntransfer-encoding: identity\r\n\r\n", "transfer-encoding"),
    "chunk size": (b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "not HTTP"),
    "chunk overflow": (
        b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n", "not HTTP"
    ),
    "folded": (b"HTTP/1.1 200 X\r\na: b\r\n c\r\n\r\n", "not HTTP"),
    "nul": (b"HTTP/1.1 200 X\r\na: b\0c\r\n\r\n", "not HTTP"),
    "giant header": (b"HTTP/1.1 200 X\r\na: " + b"g" * 70_000, "head is too large"),
    "giant head": (b"HTTP/1.1 200 X\r\n" + b"a: 01234567890123456789012345678901\r\n" * 2_000, "too large"),
    "many headers": (b"HTTP/1.1 200 X\r\n" + b"a: b\r\n" * 250 + b"\r\n", "head is too large"),
    "endless 1xx": (b"HTTP/1.1 102 X\r\n\r\n" * 5_000, "head is too large"),
    "extension": (
        b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n1;" + b"e" * 140_000, "extensions or trailers"
    ),
    "many extensions": (
        b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n" + (b"1;" + b"e" * 900 + b"\r\nx\r\n") * 200,
        "extensions or trailers",
    ),
    "trailers": (
        b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n" + b"t: v\r\n" * 30_000,
        "extensions or trailers",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MALFORMED)
@pytest.mark.parametrize("step", [997, 65_536])
def test_a_malformed_reply_is_refused(case: str, step: int):
    reply, why = MALFORMED[case]
    wire = asked()
    head = wire.connection.head()
    wire.feed(reply, step)
    assert wire.closed
    failed = head if head.done and head.exception() is not None else wire.connection.whole(1 << 20)  # type: ignore[attr-defined]
    assert why in reason(failed)
    assert not wire.connection.rest()


def test_a_large_reply_of_tiny_chunks_is_a_reply():
    reply = b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 50_000 + b"0\r\n\r\n"
    wire = asked()
    body = wire.connection.whole(1 << 20)
    wire.feed(reply)
    assert body.result() == b"x" * 50_000


SWITCH = b"HTTP/1.1 101 S\r\nconnection: upgrade\r\nupgrade: ws\r\n\r\n"
SURPLUS = [b"H", b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx", b"\0", b"x" * 70_000, SWITCH]


def test_a_request_is_one_write():
    wire = Wire()
    wire.connection.send(REQUEST, b"{}")
    assert wire.writes == [REQUEST + b"{}"]


def test_a_request_may_be_pieces_or_have_no_body():
    wire = Wire()
    wire.connection.send(REQUEST, [b"{", b"", b"}"])
    assert wire.writes == [REQUEST + b"{}"]
    wire = Wire()
    wire.connection.send(REQUEST)
    assert wire.writes == [REQUEST]


def test_a_large_body_goes_out_in_slices_as_it_is_taken():
    body = bytes(range(256)) * 4_000
    for pieces in (body, [body[:10], body[10:300_000], body[300_000:]]):
        wire = Wire()
        wire.connection.send(REQUEST, pieces)
        assert len(wire.writes) == 1
        wire.loop.turn()
        assert len(wire.writes) == 2
        wire.connection.pause_writing()
        wire.loop.turn()
        assert len(wire.writes) == 2
        wire.connection.resume_writing()
        while wire.loop.ready:
            wire.loop.turn()
        assert b"".join(wire.writes) == REQUEST + body
        assert max(map(len, wire.writes)) <= 262_144


def test_an_early_reply_stands_and_spends_the_connection():
    wire = Wire()
    wire.connection.send(REQUEST, b"x" * 1_000_000)
    wire.connection.pause_writing()
    body = wire.connection.whole(100)
    wire.feed(FIXED)
    assert body.result() == b"hello world"
    assert not wire.connection.rest()
    assert wire.closed


def test_bytes_the_transport_holds_back_spend_the_connection():
    wire = asked()
    wire.unsent_bytes = 1
    wire.feed(FIXED)
    assert not wire.connection.clean


def test_one_connection_carries_many_calls():
    wire = asked()
    for number in range(4):
        assert read_all(wire, FIXED if number % 2 else CHUNKED, 65_536) == b"hello world"
        assert wire.connection.rest()
        assert wire.connection.served == number + 1
        wire.connection.send(REQUEST, b"{}")
        assert wire.connection.passed == []
        assert not wire.connection.reply_started


def test_white_space_behind_a_value_is_not_part_of_it():
    wire = asked()
    wire.feed(b"HTTP/1.1 200 X\r\ncontent-type: a b \t \r\nretry-after: \r\nopenai-x:y\t\r\n\r\n")
    connection = wire.connection
    assert (connection.content_type, connection.retry_after) == (b"a b", b"")
    assert connection.passed == [(b"openai-x", b"y")]


def test_headers_do_not_outlive_their_reply():
    wire = asked()
    read_all(wire, FIXED, 65_536)
    wire.connection.rest()
    wire.connection.send(REQUEST)
    assert read_all(wire, b"HTTP/1.1 204 N\r\n\r\n", 65_536) == b""
    connection = wire.connection
    assert (connection.status, connection.content_type, connection.request_id) == (204, None, None)
    assert (connection.content_length, connection.retry_after, connection.passed) == (-1, None, [])
    assert connection.clean


@pytest.mark.parametrize("step", [1, 65_536])
@pytest.mark.parametrize("surplus", SURPLUS)
@pytest.mark.parametrize("reply", [FIXED, CHUNKED])
def test_surplus_bytes_leave_the_reply_and_spend_the_connection(reply: bytes, surplus: bytes, step: int):
    wire = asked()
    body = wire.connection.whole(100)
    wire.feed(reply + surplus, step)
    assert body.result() == b"hello world"
    assert wire.connection.passed == PASSED
    assert not wire.connection.rest()


def test_bytes_on_a_resting_connection_close_it():
    wire = asked()
    read_all(wire, FIXED, 65_536)
    assert wire.connection.rest()
    wire.feed(FIXED)
    assert wire.closed
    with pytest.raises(UpstreamLost, match="closed"):
        wire.connection.send(REQUEST)


def test_close_and_old_http_spend_the_connection():
    closing = FIXED.replace(b"Set-Cookie: a=b", b"Connection: close")
    for reply in (closing, FIXED.replace(b"HTTP/1.1", b"HTTP/1.0"), closing + b"surplus"):
        wire = asked()
        assert read_all(wire, reply, 65_536) == b"hello world"
        assert not wire.connection.rest()


def test_a_reply_without_length_ends_with_the_connection():
    wire = asked()
    body = wire.connection.whole(100)
    wire.feed(HEAD + b"\r\nhello world")
    assert not body.done
    wire.eof()
    assert body.result() == b"hello world"
    assert not wire.connection.rest()


@pytest.mark.parametrize("error", [None, ConnectionResetError(104, "x")])
def test_a_reply_without_length_that_was_cut_is_not_whole(error: Exception | None):
    wire = asked()
    body = wire.connection.whole(100)
    wire.feed(HEAD + b"\r\nhello")
    wire.lose(error)
    assert reason(body).startswith("body: ")


@pytest.mark.parametrize("reply", [FIXED, CHUNKED])
def test_a_reply_cut_anywhere_is_lost(reply: bytes):
    for cut in range(len(reply)):
        wire = asked()
        body = wire.connection.whole(100)
        wire.feed(reply[:cut])
        wire.eof()
        error = body.exception()  # type: ignore[attr-defined]
        assert isinstance(error, UpstreamLost)
        assert error.reply_started == (cut > 0)
        assert error.phase == ("body" if b"\r\n\r\n" in reply[:cut] else "head")


def test_a_stream_gives_what_came_before_it_was_cut():
    wire = asked()
    wire.feed(HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
    wire.lose(ConnectionResetError(104, "x"))
    assert wire.connection.chunk().result() == b"hello"  # type: ignore[attr-defined]
    assert reason(wire.connection.chunk()) == "body: the connection was reset"
    with pytest.raises(UpstreamLost):
        wire.connection.take()


def test_chunks_are_given_as_they_come():
    wire = asked()
    connection = wire.connection
    wire.feed(HEAD + b"transfer-encoding: chunked\r\n\r\n")
    assert connection.take() is None
    chunk = connection.chunk()
    assert not chunk.done
    wire.feed(b"5\r\nhel")
    assert chunk.result() == b"hel"  # type: ignore[attr-defined]
    chunk = connection.chunk()
    wire.feed(b"lo\r\n1\r\n!\r\n")
    assert chunk.result() == b"lo!"  # type: ignore[attr-defined]
    chunk = connection.chunk()
    wire.feed(b"0\r\n\r\n")
    assert chunk.result() == b""  # type: ignore[attr-defined]
    assert connection.take() == b""
    assert connection.take_whole() == b""
    assert connection.rest()


def test_take_whole_gives_a_whole_body_or_none():
    wire = asked()
    wire.feed(FIXED[:-1])
    assert wire.connection.take_whole() is None
    wire.feed(FIXED[-1:])
    assert wire.connection.take_whole() == b"hello world"


def test_an_unread_stream_stops_the_socket_until_it_is_taken():
    wire = asked()
    wire.feed(HEAD + b"content-length: 300000\r\n\r\n")
    while wire.reading:
        wire.feed(b"x" * 10_000)
    first = wire.connection.take()
    assert first is not None
    assert 16_384 < len(first) <= 26_384
    assert wire.reading


def test_a_stream_on_hold_keeps_nothing_of_what_was_taken():
    wire = asked()
    wire.feed(HEAD + b"content-length: 300000\r\n\r\n" + b"x" * 10_000)
    taken = wire.connection.chunk().result()  # type: ignore[attr-defined]
    held = sys.getrefcount(taken)
    wire.connection.hold()
    assert not wire.reading
    assert sys.getrefcount(taken) == held - 1
    further = wire.connection.chunk()
    assert wire.reading
    wire.feed(b"y" * 5_000)
    assert further.result() == b"y" * 5_000  # type: ignore[attr-defined]
    wire.connection.hold()
    wire.connection.fail(KeyError("gone"))
    with pytest.raises(KeyError):
        wire.connection.chunk().result()  # type: ignore[attr-defined]


def test_a_stream_is_read_in_small_pieces_and_a_whole_body_in_large_ones():
    wire = asked()
    room = len(wire.connection.get_buffer(-1))
    wire.feed(HEAD + b"content-length: 300000\r\n\r\n")
    pieces = []
    for _ in range(2):
        chunk = wire.connection.chunk()
        wire.feed(b"x" * len(wire.connection.get_buffer(-1)))
        pieces.append(chunk.result())  # type: ignore[attr-defined]
    assert [len(piece) for piece in pieces] == [8192, 8192]
    wire.connection.whole(300_000)
    assert len(wire.connection.get_buffer(-1)) == room == 32_768


def test_a_body_that_is_wanted_whole_does_not_stop_the_socket():
    wire = asked()
    wire.feed(HEAD + b"content-length: 300000\r\n\r\n" + b"x" * 200_000)
    assert not wire.reading
    body = wire.connection.whole(300_000)
    assert wire.reading
    wire.feed(b"x" * 200_000)
    assert len(body.result()) == 300_000  # type: ignore[attr-defined]


def test_a_body_larger_than_wanted_is_refused():
    wire = asked()
    wire.feed(HEAD + b"content-length: 300000\r\n\r\n")
    assert "too large" in reason(wire.connection.whole(1000))
    assert wire.closed
    wire = asked()
    body = wire.connection.whole(1000)
    wire.feed(HEAD + b"transfer-encoding: chunked\r\n\r\nfff\r\n" + b"x" * 1001)
    assert "too large" in reason(body)
    assert wire.closed


def test_failing_a_connection_fails_who_waits_and_aborts():
    class Deadline(Exception):
        pass

    for begin in (b"", HEAD + b"content-length: 5\r\n\r\n"):
        wire = asked()
        wire.feed(begin)
        wait = wire.connection.whole(100)
        wire.connection.fail(Deadline())
        with pytest.raises(Deadline):
            wait.result()  # type: ignore[attr-defined]
        assert wire.closed
        wire.loop.turn()
        for again in (wire.connection.head, wire.connection.chunk):
            with pytest.raises(Deadline):
                again().result()  # type: ignore[attr-defined]
        assert not wire.connection.rest()


def test_failing_drops_what_was_not_taken():
    wire = asked()
    wire.feed(FIXED)
    wire.connection.fail(KeyError("gone"))
    with pytest.raises(KeyError):
        wire.connection.take()
    assert wire.connection.take_whole() is None


def test_a_connection_lost_before_any_reply_says_so():
    for error, why in (
        (None, "closed"),
        (ConnectionResetError(104, "x"), "reset"),
        (OSError(5, "x"), "broke"),
    ):
        wire = asked()
        head = wire.connection.head()
        wire.lose(error)
        lost = head.exception()  # type: ignore[attr-defined]
        assert why in lost.reason
        assert not lost.reply_started
        assert not lost.timeout


def test_a_lost_connection_tells_its_owner_once():
    class Owner:
        told: list[Connection] = []  # noqa: RUF012

        def lost(self, connection: Connection) -> None:
            self.told.append(connection)

    wire = asked()
    wire.connection.owner = owner = Owner()
    wire.connection.abort()
    wire.loop.turn()
    assert owner.told == [wire.connection]
    assert wire.connection.owner is None


def test_a_connection_carries_one_call_at_a_time():
    wire = asked()
    with pytest.raises(AssertionError, match="one call at a time"):
        wire.connection.send(REQUEST)
    with pytest.raises(AssertionError, match="nothing was sent"):
        Wire().connection.head()


def test_a_closed_connection_is_let_go_without_the_collector():
    gc.disable()
    try:
        loop = StillLoop()
        gone = weakref.ref(loop)
        connection = Connection(loop)
        connection.connection_made(Wire())
        connection.send(REQUEST)
        connection.connection_lost(None)
        # The connection holds its loop: it is gone when the loop is.
        del loop, connection
        assert gone() is None
    finally:
        gc.enable()


def test_the_end_of_what_is_read_closes_at_once():
    for sent in (b"", HEAD, FIXED):
        wire = asked()
        wire.feed(sent)
        wire.connection.eof_received()
        assert wire.closed


def test_its_repr_shows_state_and_no_bytes():
    wire = Wire()
    wire.connection.send(b"POST / HTTP/1.1\r\nauthorization: Bearer sk-secret\r\n\r\n", b"prompt")
    wire.feed(HEAD + b"content-length: 9\r\n\r\nreply")
    assert repr(wire.connection) == "<Connection body status=200 unread=5 served=0>"


def test_the_error_travels():
    error = UpstreamLost("head", "closed", reply_started=True)
    again = pickle.loads(pickle.dumps(error))
    assert (again.phase, again.reason, again.reply_started, again.timeout) == ("head", "closed", True, False)
    assert str(error) == "head: closed"
