"""The same bytes, good, split and damaged, to both transports: what each makes of them, and why it may differ.

A verdict is what was answered, in order, and how the connection ended. Behind every case stands a request whose
answer is known: the connection is open if that is answered. Each difference has to be one of `DIFFERENCES`.
"""

import asyncio
import random
import re
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest
import uvloop

from tests.kit.gateway_process import TRANSPORTS, GatewayProcess

SEED = 20261123
CASES = 900
AT_ONCE = 48
SENTINEL = b"GET /sentinel HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
SETTINGS = """
[server]
port = 0
workers = 1
head_s = 1
idle_s = 1
head_or_idle_s = 1
body_idle_s = 1
"""


class Verdict(NamedTuple):
    """Shape: `answers` are status and body, of those that end no connection.

    `end` is "open" if the request behind was answered, "refused" if the last answer was a refusal or there was none,
    "ended" if the connection was closed, as asked for or for lack of bytes.
    """

    answers: tuple[tuple[int, bytes], ...]
    end: str
    is_reset: bool = False


class Case(NamedTuple):
    """What is sent, and what was done to it."""

    damage: str
    pieces: tuple[bytes, ...]

    @property
    def data(self) -> bytes:
        return b"".join(self.pieces)


# What is sent


def requests(dice: random.Random) -> Iterator[bytes]:
    """One to three good requests."""
    for number in range(dice.randint(1, 3)):
        body = b"body %d of %d" % (number, dice.randint(0, 99))
        more = dice.choice((b"", b"", b"Accept: */*\r\n", b"X-Long: " + b"v" * 300 + b"\r\n"))
        match dice.randint(0, 5):
            case 0:
                yield b"GET / HTTP/1.1\r\nHost: x\r\n" + more + b"\r\n"
            case 1:
                yield b"GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n" + more + b"\r\n"
            case 2 | 3:
                length = b"Content-Length: %d\r\n" % len(body)
                yield b"POST / HTTP/1.1\r\nHost: x\r\n" + more + length + b"\r\n" + body
            case _:
                extension = dice.choice((b"", b"", b";a=b"))
                trailer = dice.choice((b"", b"", b"Trailer: x\r\n"))
                chunks = b"%x%b\r\n%b\r\n" % (len(body), extension, body)
                framing = b"Transfer-Encoding: chunked\r\n"
                yield b"POST / HTTP/1.1\r\nHost: x\r\n" + more + framing + b"\r\n" + chunks
                yield b"0\r\n" + trailer + b"\r\n"


LINES = (
    b"Host: y", b"Content-Length: 3", b"Content-Length: 0", b"Content-Length: +3", b"Content-Length: 3, 3",
    b"Content-Length:", b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: identity", b"Transfer-Encoding: xchunked", b"Transfer-Encoding : chunked",
    b"Transfer-Encoding:\tchunked", b"transfer-encoding: CHUNKED", b" folded", b"Connection: close", b"Connection: x",
    b"Connection: upgrade", b"Upgrade: websocket", b"Expect: 100-continue", b"Expect: nothing", b"no colon", b": x",
    b"X: \x80", b"X: \x7f", b"X: \x00", b"X\x00: y", b"X: a\rb", b"X: a\nY: b",
)  # fmt: skip
WORDS = (
    b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b":", b";", b",", b"0", b"f", b"-", b"/", b"\x7f", b"\x80", b"\xff",
    b'"', b"<", b"#", b"GET ",
)  # fmt: skip


def add_line(dice: random.Random, data: bytes) -> bytes:
    """Put a line in after the first."""
    first, end, rest = data.partition(b"\r\n")
    return first + end + dice.choice(LINES) + b"\r\n" + rest


def put_in(dice: random.Random, data: bytes) -> bytes:
    at = dice.randrange(len(data) + 1)
    return data[:at] + dice.choice(WORDS) + data[at:]


def put_over(dice: random.Random, data: bytes) -> bytes:
    at = dice.randrange(len(data))
    return data[:at] + dice.choice(WORDS) + data[at + 1 :]


def take_out(dice: random.Random, data: bytes) -> bytes:
    at = dice.randrange(len(data))
    return data[:at] + data[at + dice.randint(1, 4) :]


def cut_off(dice: random.Random, data: bytes) -> bytes:
    return data[: dice.randrange(len(data))]


def end_with_lf(dice: random.Random, data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n", dice.randint(1, 3))


def change_line(dice: random.Random, data: bytes) -> bytes:
    """Another request line in place of the first."""
    line = dice.choice(
        (
            b"GET / HTTP/2.0", b"GET / HTTP/1.2", b"GET / HTTP/1.1 ", b"GET  / HTTP/1.1", b"GET / http/1.1", b"GET /",
            b"get / HTTP/1.1", b"G@T / HTTP/1.1", b"GET x HTTP/1.1", b"GET http://x/ HTTP/1.1",
            b"GET http://y/ HTTP/1.1", b"GET /?a=b HTTP/1.1", b"GET /# HTTP/1.1", b"GET * HTTP/1.1",
            b"CONNECT x:1 HTTP/1.1", b"\r\nGET / HTTP/1.1", b"\nGET / HTTP/1.1", b"GET /\x80 HTTP/1.1",
        )
    )  # fmt: skip
    return line + data[data.index(b"\r\n") :]


DAMAGES = (add_line, put_in, put_over, take_out, cut_off, end_with_lf, change_line)


SELDOM = tuple(
    Case("seldom", (b"POST / HTTP/1.%b\r\nHost: x\r\n%b\r\n\r\n%b%b" % (version, lines, body, SENTINEL),))
    for version, lines, body in (
        (b"1", b"Content-Length: 3\r\nTransfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n"),
        (b"1", b"Transfer-Encoding: chunked\r\nContent-Length: 13", b"3\r\nabc\r\n0\r\n\r\n"),
        (b"1", b"Content-Length: 3\r\nContent-Length: 3", b"abc"),
        (b"1", b"Content-Length: 3\r\nContent-Length: 4", b"abc"),
        (b"1", b"Content-Length: 3, 3", b"abc"),
        (b"0", b"Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n"),
        (b"1", b"Transfer-Encoding: chunked, gzip", b"3\r\nabc\r\n0\r\n\r\n"),
        (b"1", b"Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n"),
        (b"1", b"Transfer-Encoding: chunked", b"03\r\nabc\r\n00\r\n\r\n"),
        (b"1", b"Transfer-Encoding: chunked", b"3 \r\nabc\r\n0\r\n\r\n"),
        (b"1", b"Transfer-Encoding: chunked", b"0x3\r\nabc\r\n0\r\n\r\n"),
        (b"1", b"Transfer-Encoding: chunked", b"3\r\nabcd\r\n0\r\n\r\n"),
        (b"1", b"Transfer-Encoding: chunked", b"3\nabc\r\n0\r\n\r\n"),
        (b"1", b"Transfer-Encoding: chunked", b"ffffffffffffffff3\r\nabc\r\n0\r\n\r\n"),
        (b"1", b"Transfer-Encoding: chunked", b"3;\nabc\r\n0\r\n\r\n"),
        (b"1", b"Transfer-Encoding: chunked", b"3;a=\0\r\nabc\r\n0\r\n\r\n"),
        (b"1", b"Transfer-Encoding: chunked", b"3;a=\x7f\r\nabc\r\n0\r\n\r\n"),
        (b"1", b"Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\na: \x7f\r\n\r\n"),
        (b"1", b"Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\na: b\r\n\r\n"),
        (b"1", b"Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\na: b\r\n c\r\n\r\n"),
    )
)
"""What smuggles elsewhere, and the dice seldom make."""


def case(dice: random.Random) -> Case:
    data, damage = b"".join(requests(dice)), "none"
    if dice.random() < 0.85:
        chosen = dice.choice(DAMAGES)
        data, damage = chosen(dice, data), chosen.__name__
    data += SENTINEL
    cuts = sorted(dice.sample(range(1, len(data)), dice.choice((0, 0, 1, 2, 4))))
    pieces = tuple(data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True))
    return Case(damage, pieces)


# What becomes of it


async def ask(port: int, sent: Case) -> Verdict:
    """Send a case and read to the end."""
    loop = asyncio.get_running_loop()
    received, is_reset = b"", False
    with socket.socket() as connection:
        connection.setblocking(False)
        await loop.sock_connect(connection, ("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for piece in sent.pieces:
                await loop.sock_sendall(connection, piece)
                # Another packet, and with luck another read.
                await asyncio.sleep(0.002 if len(sent.pieces) < 8 else 0)
        except OSError:
            pass
        try:
            while piece := await loop.sock_recv(connection, 65_536):
                received += piece
        except ConnectionResetError:
            is_reset = True
    return judge(received, is_reset)


def judge(received: bytes, is_reset: bool) -> Verdict:
    """What a connection's bytes say."""
    answers: list[tuple[int, bytes]] = []
    end = "ended"
    while received:
        head, _, received = received.partition(b"\r\n\r\n")
        line, *lines = head.lower().split(b"\r\n")
        headers = dict(one.split(b": ", 1) for one in lines)
        status = int(line.split(b" ")[1])
        length = int(headers.get(b"content-length", b"0"))
        body, received = received[:length], received[length:]
        if status == 299:
            end = "open"
        elif status in (400, 431) and not received:
            end = "refused"
        elif status != 100:
            answers.append((status, body if status == 200 else b""))
    return Verdict(tuple(answers), end if answers or end == "open" else "refused", is_reset)


async def ask_all(port: int, cases: list[Case]) -> list[Verdict]:
    """All of them, some at a time."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(sent: Case) -> Verdict:
        async with places:
            return await ask(port, sent)

    return await asyncio.gather(*map(one, cases))


# Why it may differ

WITHIN_A_HEAD = rb"(?:(?!\r\n\r\n).)*"
BARE_LF = "an LF alone: hyper takes it for an end of line, also in front of a request"
DIFFERENCES = {
    BARE_LF: rb"(?<!\r)\n",
    "a transfer coding that is not chunked alone, once: hyper takes any list that ends with chunked": (
        rb"transfer-encoding:(?![ \t]*chunked[ \t]*\r\n)|transfer-encoding:"
        + WITHIN_A_HEAD
        + rb"transfer-encoding:"
    ),
    "a length beside chunks: hyper drops the length": (
        rb"(transfer-encoding:%b\ncontent-length:)|(content-length:%b\ntransfer-encoding:)"
        % (WITHIN_A_HEAD, WITHIN_A_HEAD)
    ),
    "two lengths that agree: hyper merges them": rb"content-length:%bcontent-length:" % WITHIN_A_HEAD,
    "white space behind a chunk's size: hyper passes over it": rb"\r\n[0-9a-f]+[ \t]+[;\r]",
    "a control character in a chunk's extension: hyper passes over it": (
        rb"\r\n[0-9a-f]+;[^\r\n]*[\x00-\x08\x0a-\x1f\x7f]"
    ),
    "an expectation nobody knows: hyper passes over it": rb"\nexpect:(?! *100-continue\r)",
    "a target that is no path, nor a URL with the same host: hyper takes what its URI type takes": (
        rb"[a-z]+ (?!/|http://x/)\S* http/1"
    ),
    "characters that no target may have: hyper takes them": rb'[a-z]+ [^\r\n]*["<#\x80-\xff][^\r\n]* http/1',
}
"""By their reason, what the bytes look like of which the lane refuses more than Granian. It never refuses less."""
REFUSAL_LOST = "hyper refuses by closing: on bytes that it has not read, a reset that takes answers away"
HEAD_REFUSED = "a head that kpgate refuses ends its connection on the lane: where its body ends is in doubt"


def explain(sent: Case, granian: Verdict, direct: Verdict) -> str | None:
    """Why the verdicts may differ; None if they may not."""
    alike = len(direct.answers)
    if direct.is_reset or direct.end != "refused":
        return None
    if granian.end != "open" and granian.answers == direct.answers[: len(granian.answers)]:
        return REFUSAL_LOST
    if direct.answers != granian.answers[:alike]:
        return None
    if granian.answers[alike:] and granian.answers[alike][0] in (400, 431):
        return HEAD_REFUSED
    if any(body.endswith(b"\r") for _, body in direct.answers):
        return BARE_LF
    for why, pattern in DIFFERENCES.items():
        if re.search(pattern, sent.data, re.IGNORECASE | re.DOTALL):
            return why
    return None


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[int]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                GatewayProcess(tmp_path_factory.mktemp(transport), SETTINGS, transport=transport)
            ).port
            for transport in TRANSPORTS
        ]


def test_both_transports_make_the_same_of_the_same_bytes(ports: list[int]) -> None:
    dice = random.Random(SEED)
    cases = [*SELDOM, *(case(dice) for _ in range(CASES))]
    granian, direct = (uvloop.run(ask_all(port, cases)) for port in ports)
    reasons: Counter[str] = Counter()
    for sent, one, other in zip(cases, granian, direct, strict=True):
        if one[:2] != other[:2] and explain(sent, one, other) is None:
            # A machine that stood still runs into time-outs: what is no accident happens again.
            one, other = (uvloop.run(ask(port, sent)) for port in ports)
        assert not other.is_reset, f"a reset may take the reply away: {sent}"
        if one[:2] != other[:2]:
            why = explain(sent, one, other)
            assert why is not None, f"{sent}\ngranian: {one}\ndirect: {other}"
            reasons[why] += 1
    # Whether a refusal is lost is the sockets' luck.
    assert set(reasons) | {REFUSAL_LOST} == {*DIFFERENCES, HEAD_REFUSED, REFUSAL_LOST}, (
        "a difference that no longer is has to go"
    )
    assert {verdict.end for verdict in direct} == {"open", "refused", "ended"}
    assert sum(verdict.end == "open" for verdict in direct) > CASES / 4


def test_a_case_has_one_verdict_however_it_is_split(ports: list[int]) -> None:
    """The lane alone: whole, in halves, byte by byte."""
    dice = random.Random(SEED + 1)
    cases = [case(dice) for _ in range(CASES // 10)]
    splits = [
        [Case("whole", (sent.data,)) for sent in cases],
        [
            Case("halves", (sent.data[: len(sent.data) // 2], sent.data[len(sent.data) // 2 :]))
            for sent in cases
        ],
        [Case("bytes", tuple(bytes([byte]) for byte in sent.data)) for sent in cases],
    ]
    verdicts = [uvloop.run(ask_all(ports[1], split)) for split in splits]
    for sent, whole, halves, single in zip(cases, *verdicts, strict=True):
        if not whole == halves == single:
            whole, halves, single = (
                uvloop.run(ask(ports[1], Case("again", pieces)))
                for pieces in (
                    (sent.data,),
                    splits[1][cases.index(sent)].pieces,
                    splits[2][cases.index(sent)].pieces,
                )
            )
        assert whole == halves == single, sent
