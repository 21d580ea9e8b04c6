"""Bytes that no well-behaved client sends, against the real server: a clear refusal, one record, the worker alive.

Where the transports' verdicts differ, and why, stands in the table `VERDICTS`.
"""

import hashlib
import json
import re
from collections.abc import Iterator

import pytest

from tests.kit.gateway_process import TRANSPORTS, read_all, until
from tests.kit.provider import events, stream
from tests.kit.whole import SECRET, Whole

PROMPT = "prompt-canary-7f3a"
GOOD = json.dumps({"model": "m", "messages": [{"role": "user", "content": PROMPT}]}).encode()


@pytest.fixture(scope="module", params=TRANSPORTS)
def gate(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    server = "workers = 1\nbody_idle_s = 0.5"
    with Whole(tmp_path_factory.mktemp("bad"), server=server, transport=request.param) as gate:
        yield gate


@pytest.fixture(scope="module")
def key(gate: Whole) -> str:
    return gate.key()


@pytest.fixture(autouse=True)
def unharmed(gate: Whole, key: str) -> Iterator[None]:
    """After each: nothing is under way, the same worker answers, and no secret or prompt was written down."""
    yield
    gate.settled()
    assert gate.chat(key)[0] == 200
    assert not [said for said in gate.said if said.get("event") in ("lost", "failure")]
    written = json.dumps(gate.said)
    assert key not in written and SECRET not in written and PROMPT not in written


def head(key: str, *more: str, length: int | None = None, path: str = "/v1/chat/completions") -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "host: here",
        f"authorization: Bearer {key}",
        "connection: close",
        *more,
    ]
    if length is not None:
        lines.append(f"content-length: {length}")
    return "\r\n".join([*lines, "", ""]).encode()


def talk(gate: Whole, sent: bytes) -> tuple[int, bytes]:
    """Send bytes, read to the end: status and body; 0 for a connection closed without a reply."""
    reply = read_all(gate.open(sent))
    match = re.match(rb"HTTP/1\.1 (\d{3})", reply)
    return (int(match[1]), reply.partition(b"\r\n\r\n")[2]) if match else (0, b"")


def code(body: bytes) -> str:
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return str(error["code"])


MALFORMED = [
    b"",
    b" ",
    b"null",
    b"[]",
    b"{",
    b'{"model"',
    b'{"model":',
    b'{"model":"m",}',
    b"{'model':'m'}",
    b'{"model":"m"} x',
    b'\xef\xbb\xbf{"model":"m"}',
    b'{"model":"m\x00"}',
    b'{"model":"\xff"}',
    b'{"model":"m","messages":[{"role":"user","content":"\\ud800"}]}',
    b'{"model":"m","messages":[{"role":"user","content":"\\u12"}]}',
    b'{"model":"m","n":01,"messages":[]}',
    b'{"model":"m","n":1e999,"messages":[]}',
    b'{"model":"m","n":-,"messages":[]}',
    b'{"model":"m","messages":NaN}',
    b'{"model":"m","model":"n","messages":[]}',
    b'{"model":"m","\\u006dodel":"n","messages":[]}',
    b'{"model":"m","messages":"text"}',
    b'{"model":"m","messages":[7]}',
    b'{"model":["m"],"messages":[]}',
    b'{"model":"m","stream":"yes","messages":[{"role":"user"}]}',
    b'{"model":"m","x":' + b"[" * 10_000 + b"]" * 10_000 + b',"messages":[]}',
    b'{"a":' * 10_000,
    b"\x00" * 64,
]


@pytest.mark.parametrize("body", MALFORMED, ids=lambda body: repr(body[:32]))
def test_malformed_bodies_are_400(gate: Whole, key: str, body: bytes) -> None:
    name = f"bad-{hashlib.sha256(body).hexdigest()[:16]}"
    status, said = talk(gate, head(key, f"x-request-id: {name}", length=len(body)) + body)
    assert (status, code(said)) == (400, "invalid_request")
    until(lambda: any(record["id"] == name for record in gate.records()))
    (record,) = [record for record in gate.records() if record["id"] == name]
    assert (record["end"], record.get("request_bytes", 0)) == ("caller@decode", len(body))


@pytest.mark.parametrize(
    ("sent", "status", "expected"),
    [
        (
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
            401,
            "invalid_api_key",
        ),
        (
            b"GET /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
            405,
            "method_not_allowed",
        ),
        (b"GET /v1/../v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", 404, "not_found"),
        (b"GET /v1/%2e%2e/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", 404, "not_found"),
        (b"GET /v1//models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", 404, "not_found"),
        (b"GET /v1/models HTTP/1.1\r\nconnection: close\r\n\r\n", 400, "invalid_request"),
        (
            b"GET /v1/models HTTP/1.1\r\nhost: x\r\nhost: y\r\nconnection: close\r\n\r\n",
            400,
            "invalid_request",
        ),
        (b"GET /admin/v1/keys HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", 401, "invalid_api_key"),
    ],
)
def test_heads_that_kpgate_refuses(gate: Whole, sent: bytes, status: int, expected: str) -> None:
    got, said = talk(gate, sent)
    assert (got, code(said)) == (status, expected)


HEAD = b"GET / HTTP/1.1\r\nhost: x\r\n"
UNFIT = {
    "101 headers": (HEAD + b"a: b\r\n" * 101 + b"\r\n", 431),
    "a header without end": (HEAD + b"a: " + b"b" * 500_000 + b"\r\n\r\n", 431),
    "two lengths": (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", 400),
    "a length that is none": (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: +1\r\n\r\na", 400),
    "a folded header": (HEAD + b"a: b\r\n c\r\n\r\n", 400),
    "a space before a colon": (HEAD + b"a : b\r\n\r\n", 400),
    "a NUL in a header": (HEAD + b"a: \x00\r\n\r\n", 400),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00", 400),
    "a bare LF": (b"GET /none HTTP/1.1\nhost: x\nconnection: close\n\n", 400),
    "a length beside chunks": (
        b"POST /none HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "two equal lengths": (
        b"POST /none HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
        b"content-length: 1\r\ncontent-length: 1\r\n\r\na",
        400,
    ),
    "a coding before chunked": (
        b"POST /none HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
        b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "a later protocol": (b"GET /none HTTP/2.0\r\nhost: x\r\n\r\n", 400),
    "a host that is not the target's": (
        b"GET http://y/none HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        400,
    ),
}
"""Heads that no server should serve, and the status that says so."""

VERDICTS = {
    "direct": {},
    "granian": {
        # hyper's parser takes a line that ends with LF alone; nobody stands behind kpgate who reads it otherwise.
        "a bare LF": 404,
        # It takes the chunks, drops the length and closes: safe, and not refused.
        "a length beside chunks": 404,
        # It merges lengths that agree.
        "two equal lengths": 404,
        # It reads the chunks and leaves the coding to the application.
        "a coding before chunked": 404,
        # It hands on the target and the header; kpgate sees the path alone.
        "a host that is not the target's": 404,
    },
}
"""By transport, what is not refused as `UNFIT` says: the status with which kpgate serves it. Everything else in
`UNFIT` Granian refuses by itself, with a bare status or a mere close, and the lane in the shape of kpgate's errors."""


@pytest.mark.parametrize("name", UNFIT)
def test_unfit_heads_are_refused(gate: Whole, name: str) -> None:
    sent, status = UNFIT[name]
    served = VERDICTS[gate.transport].get(name)
    got, said = talk(gate, sent)
    if served is not None:
        assert (got, code(said)) == (served, "not_found")
    elif gate.transport == "granian":
        assert (got, said) in ((status, b""), (0, b""))
    else:
        expected = {400: "invalid_request", 431: "headers_too_large"}[status]
        assert (got, code(said)) == (status, expected)


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(gate: Whole, key: str) -> None:
    status, said = talk(gate, head(key, length=33 * 1024 * 1024))
    assert (status, code(said)) == (413, "body_too_large")


def test_a_chunked_body_is_counted_as_it_comes(gate: Whole, key: str) -> None:
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    connection = gate.open(head(key, "transfer-encoding: chunked"))
    try:
        for _ in range(40):
            connection.sendall(chunk)
    except OSError:
        pass
    reply = read_all(connection)
    # Granian closes on what it has not read, and a reset may take the reply away; the lane reads on.
    assert b" 413 " in reply.split(b"\r\n")[0] or (gate.transport == "granian" and not reply)


def test_bad_chunks_and_gzip_are_refused(gate: Whole, key: str) -> None:
    status, said = talk(gate, head(key, "transfer-encoding: chunked") + b"zz\r\nabc\r\n0\r\n\r\n")
    assert status == 400
    status, said = talk(gate, head(key, "content-encoding: gzip", length=2) + b"{}")
    assert (status, code(said)) == (415, "unsupported_encoding")


def test_a_body_that_stops_is_408(gate: Whole, key: str) -> None:
    status, said = talk(gate, head(key, length=100) + b'{"model"')
    assert (status, code(said)) == (408, "request_timeout")


def test_length_and_chunks_together_cannot_smuggle(gate: Whole, key: str) -> None:
    """Granian takes the chunks, drops the length and closes, the lane refuses: what follows is never a request."""
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(GOOD), GOOD)
    hidden = b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n"
    sent = (
        head(key, "transfer-encoding: chunked", length=4).replace(b"connection: close\r\n", b"")
        + body
        + hidden
    )
    reply = read_all(gate.open(sent))
    assert reply.count(b"HTTP/1.1 ") == 1
    assert reply.startswith(b"HTTP/1.1 200" if gate.transport == "granian" else b"HTTP/1.1 400")


def test_pipelined_requests_are_answered_in_order(gate: Whole, key: str) -> None:
    one = head(key, length=len(GOOD)).replace(b"connection: close\r\n", b"") + GOOD
    last = b"GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    reply = read_all(gate.open(one + one + last))
    assert reply.count(b"HTTP/1.1 200") == 3
    assert reply.rstrip().endswith(b'{"status":"live"}')


def test_leaving_before_the_head_and_within_a_stream(gate: Whole, key: str) -> None:
    gate.open(head(key, length=len(GOOD)) + GOOD[:10]).close()
    gate.script(stream(events("a b")[:1], stall=True))
    body = GOOD[:-1] + b',"stream":true}'
    connection = gate.open(head(key, length=len(body)) + body)
    assert b"200" in connection.recv(4096)
    connection.close()
    until(lambda: any(record["end"] == "caller@upstream" and record["stream"] for record in gate.records()))
