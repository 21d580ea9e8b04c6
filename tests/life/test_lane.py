"""The direct transport over real sockets: framing, order, patience and leaving, as clients see them."""

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from tests.kit.gateway_process import GatewayProcess, request, until
from tests.kit.provider import events, silence, stream
from tests.kit.served import BIG_BYTES
from tests.kit.talk import Closed, Talk
from tests.kit.whole import Whole

BODY_BYTES_MAX = 100_000
SETTINGS = f"""
[server]
port = 0
workers = 1
body_bytes_max = {BODY_BYTES_MAX}
"""
HASTE = """
[server]
port = 0
workers = 1
head_s = 0.4
idle_s = 3600
body_idle_s = 0.4
write_stall_s = 0.4
bytes_a_second_min = 100000
"""


@dataclass
class Lane:
    """A gateway, and how to connect to it."""

    gateway: GatewayProcess
    open: Callable[[], Talk]
    tls: bool

    def seen(self) -> str:
        """What the worker has seen."""
        with self.open() as talk:
            return talk.ask(kept("/seen")).body.decode()


@pytest.fixture(scope="module", params=["plain", "tls"])
def lane(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    folder = tmp_path_factory.mktemp("lane")
    settings, context = SETTINGS, None
    if request.param == "tls":
        authority = trustme.CA()
        certificate = authority.issue_cert("localhost")
        certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "all.pem"))
        settings += f"[server.tls]\ncert = '{folder}/all.pem'\nkey = '{folder}/all.pem'\n[admin]\nport = 0\n"
        context = ssl.create_default_context()
        authority.configure_trust(context)
    with GatewayProcess(folder, settings, transport="direct") as gateway:
        yield Lane(gateway, lambda: Talk(gateway.open(tls=context)), context is not None)
    assert_silent(gateway)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path_factory.mktemp("gateway"), SETTINGS, transport="direct") as gateway:
        yield gateway
    assert_silent(gateway)


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path_factory.mktemp("hasty"), HASTE, transport="direct") as gateway:
        yield gateway
    assert_silent(gateway)


def assert_silent(gateway: GatewayProcess) -> None:
    """Whatever clients did, nothing broke, and nobody wrote past the log."""
    assert not [said for said in gateway.said if said.get("event") in ("text", "failure", "lost")]


def kept(path: str, *headers: str, body: bytes = b"", method: str = "POST") -> bytes:
    """A request that leaves its connection open."""
    return request(path, *headers, body=body, method=method).replace(b"Connection: close\r\n", b"")


def chunked(*chunks: bytes, trailers: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in chunks) + b"0\r\n" + trailers + b"\r\n"


def is_served(gateway: GatewayProcess, talk: Talk) -> bool:
    """Whether the worker still has the other end of a connection, whatever the kernel does with what it left."""
    ports = (f":{gateway.port:04X}", f":{talk.connection.getsockname()[1]:04X}")
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[1].endswith(ports[0]) and words[2].endswith(ports[1]):
            return words[9] != "0"
    return False


def memory_bytes(gateway: GatewayProcess) -> int:
    """What the worker has resident."""
    status = Path(f"/proc/{int(gateway.get('/pid')[1])}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


# Framing, in the clear and over TLS


def test_a_connection_is_kept(lane: Lane) -> None:
    with lane.open() as talk:
        for number in range(20):
            reply = talk.ask(kept("/", body=b"%d" % number))
            assert (reply.status, reply.body) == (200, b"%d" % number)
            assert "connection" not in reply.headers
        reply = talk.ask(request("/", body=b"last"))
        assert (reply.body, reply.headers["connection"]) == (b"last", "close")
        assert talk.rest() == b""


def test_a_hundred_requests_in_one_packet_are_answered_in_order(lane: Lane) -> None:
    with lane.open() as talk:
        talk.send(b"".join(kept("/", body=b"body %d" % number) for number in range(100)))
        assert [talk.reply().body for _ in range(100)] == [b"body %d" % number for number in range(100)]


def test_requests_sent_ahead_may_come_in_any_packets(lane: Lane) -> None:
    asked = [kept("/", body=b"%d" % number) + kept("/", method="GET") for number in range(300)]
    sent = b"".join(asked)
    for size in (61, 997, 4099):
        with lane.open() as talk:
            talk.send(*(sent[at : at + size] for at in range(0, len(sent), size)))
            said = [talk.reply().body for _ in range(600)]
            assert said[::2] == [b"%d" % number for number in range(300)]
            assert set(said[1::2]) == {b"hello"}


def test_bodies_may_stand_behind_requests_that_were_sent_ahead(lane: Lane) -> None:
    large = b"y" * 90_000
    with lane.open() as talk:
        talk.send(kept("/stream") + kept("/", body=large) + kept("/", body=b"small") + kept("/pid")[:-9])
        assert talk.reply().body.count(b"data: ") == 10
        assert talk.reply().body == large
        assert talk.reply().body == b"small"
        talk.send(kept("/pid")[-9:])
        assert talk.reply().body.isdigit()


def test_bytes_may_come_one_by_one(lane: Lane) -> None:
    sent = (
        b"\r\n\r\n"
        + kept("/", body=b"first")
        + kept("/", "Transfer-Encoding: chunked", body=chunked(b"sec", b"ond", trailers=b"a: b\r\n"))
        + b"\r\n"
        + kept("/", method="GET")
    )
    with lane.open() as talk:
        talk.send(*(bytes([byte]) for byte in sent))
        assert [talk.reply().body for _ in range(3)] == [b"first", b"second", b"hello"]


def test_a_chunked_body_with_trailers_ends_where_it_ends(lane: Lane) -> None:
    body = chunked(b"x" * 60_000, b"y" * 30_000, trailers=b"host: evil\r\ncontent-length: 7\r\n")
    with lane.open() as talk:
        talk.send(kept("/", "Transfer-Encoding: chunked", body=body) + kept("/", body=b"next"))
        assert talk.reply().body == b"x" * 60_000 + b"y" * 30_000
        assert talk.reply().body == b"next"


def test_a_head_says_what_a_get_would_and_no_body_follows(lane: Lane) -> None:
    with lane.open() as talk:
        talk.send(kept("/", method="HEAD") + kept("/", method="GET"))
        reply = talk.reply(bodiless=True)
        assert (reply.status, reply.headers["content-length"]) == (200, "5")
        assert talk.reply().body == b"hello"


def test_a_client_that_waits_for_100_is_told_to_continue(lane: Lane) -> None:
    with lane.open() as talk:
        interim = talk.ask(kept("/", "Expect: 100-continue", "Content-Length: 5"))
        assert (interim.status, interim.headers) == (100, {})
        assert talk.ask(b"12345").body == b"12345"
        talk.send(kept("/", "Expect: 100-continue", body=b"at once"))
        assert talk.reply().body == b"at once", "nobody waits who has sent it"


def test_a_client_that_waits_for_100_is_refused_without_one(lane: Lane) -> None:
    with lane.open() as talk:
        reply = talk.ask(kept("/", "Expect: 100-continue", f"Content-Length: {BODY_BYTES_MAX + 1}"))
        assert (reply.status, reply.headers["connection"]) == (413, "close")
        if not lane.tls:
            assert talk.rest() == b""


def test_an_early_refusal_is_readable_though_the_body_still_comes(lane: Lane) -> None:
    size = 20 * 1024 * 1024
    with lane.open() as talk:
        talk.send(kept("/", f"Content-Length: {size}"), b"x" * size)
        reply = talk.reply()
        assert (reply.status, reply.headers["connection"]) == (413, "close")
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    with lane.open() as talk:
        talk.send(kept("/", "Transfer-Encoding: chunked", body=b""), *([chunk] * 20))
        assert talk.reply().status == 413


@pytest.mark.parametrize("fault", ["content-encoding: gzip", "transfer-encoding: chunked", "host: other"])
def test_what_stands_behind_a_refused_head_is_no_request(lane: Lane, fault: str) -> None:
    hidden = kept("/", method="GET")
    with lane.open() as talk:
        talk.send(kept("/", fault, f"Content-Length: {len(hidden)}"), hidden)
        reply = talk.reply()
        assert reply.status in (400, 415) and reply.headers["connection"] == "close"
        if not lane.tls:
            assert talk.rest() == b""


def test_heads_too_large_are_431(lane: Lane) -> None:
    many = [f"x-{number}: y" for number in range(98)]
    with lane.open() as talk:
        assert talk.ask(kept("/", *many)).status == 200, "a hundred headers are read"
        assert talk.ask(kept("/", *many, "one: more")).status == 431
    with lane.open() as talk:
        wide = kept("/", "x: " + "y" * 65_200)
        assert len(wide) < 65_536
        assert talk.ask(wide).status == 200
        assert talk.ask(kept("/", "x: " + "y" * 65_536)).status == 431
    with lane.open() as talk:
        talk.send(b"GET / HTTP/1.1\r\nhost: x\r\nx: ", b"y" * 200_000)
        assert talk.reply().status == 431, "one that does not end"


def test_closing_takes_no_reply_away_from_a_client_that_sent_more(lane: Lane) -> None:
    with lane.open() as talk:
        talk.send(request("/", "Content-Length: 50000"), b"x" * 50_000 + kept("/") * 100)
        assert (talk.reply().body, talk.rest()) == (b"x" * 50_000, b"")


def test_http_1_0_closes_unless_asked_to_keep(lane: Lane) -> None:
    old = b"GET / HTTP/1.0\r\nhost: x\r\n"
    with lane.open() as talk:
        reply = talk.ask(old + b"\r\n")
        assert (reply.body, reply.headers["connection"], talk.rest()) == (b"hello", "close", b"")
    with lane.open() as talk:
        for _ in range(3):
            reply = talk.ask(old + b"connection: keep-alive\r\n\r\n")
            assert (reply.body, reply.headers["connection"]) == (b"hello", "keep-alive")


def test_a_stream_to_http_1_0_ends_with_its_connection(lane: Lane) -> None:
    with lane.open() as talk:
        reply = talk.ask(b"POST /stream HTTP/1.0\r\nhost: x\r\nconnection: keep-alive\r\n\r\n")
        assert "transfer-encoding" not in reply.headers and reply.headers["connection"] == "close"
        assert reply.body == b"".join(b"data: %d\n\n" % number for number in range(10))


def test_a_stream_that_breaks_is_seen_to_be_cut(lane: Lane) -> None:
    with lane.open() as talk, pytest.raises(Closed):
        talk.ask(kept("/break-midway"))
    until(lambda: any(said.get("event") == "failure" for said in lane.gateway.said))
    lane.gateway.said[:] = [said for said in lane.gateway.said if said.get("event") != "failure"]


# Half-closing and leaving


@pytest.mark.parametrize("lane", ["tls"], indirect=True)
@pytest.mark.parametrize("path", ["/held", "/stream"])
def test_a_client_that_ends_tls_has_left(lane: Lane, path: str) -> None:
    name = path.strip("/")
    with lane.open() as talk:
        talk.send(kept(path))
        if path == "/stream":
            assert talk.connection.recv(65_536)
        else:
            until(lambda: "began held" in lane.seen())
        assert isinstance(talk.connection, ssl.SSLSocket)
        talk.connection.settimeout(0)
        # It says so, and does not wait for the other's word.
        with suppress(OSError):
            talk.connection.unwrap()
        until(lambda: f"gone {name}" in lane.seen())


def test_a_client_that_half_closes_is_answered(gateway: GatewayProcess) -> None:
    with Talk(gateway.open()) as talk:
        talk.send(kept("/", body=b"whole")).half_close()
        assert (talk.reply().body, talk.rest()) == (b"whole", b"")
    with Talk(gateway.open()) as talk:
        talk.send(kept("/stream")).half_close()
        pieces = talk.reply().body
        assert pieces.count(b"data: ") == 10 and pieces.replace(b":\n\n", b"").count(b"\n\n") == 10
        assert talk.rest() == b""


def test_a_client_that_half_closes_waits_as_long_as_it_takes(gateway: GatewayProcess) -> None:
    with Talk(gateway.open()) as talk:
        talk.send(kept("/held")).half_close()
        assert talk.reply().status == 100, "asking it whether it still reads"
        assert talk.reply().status == 100
        gateway.get("/release")
        while (reply := talk.reply()).status == 100:
            pass
        assert (reply.body, talk.rest()) == (b"released", b"")


def test_all_that_was_sent_before_half_closing_is_answered(gateway: GatewayProcess) -> None:
    with Talk(gateway.open()) as talk:
        sent = b"".join(kept("/", body=b"%d" % number) for number in range(50))
        talk.send(sent + kept("/", body=b"cut")[:-1]).half_close()
        assert [talk.reply().body for _ in range(50)] == [b"%d" % number for number in range(50)]
        assert talk.rest() == b"", "one that is not whole is not served"
    with Talk(gateway.open()) as talk:
        talk.send(kept("/stream") + kept("/", body=b"then") + b"GET /").half_close()
        assert talk.reply().body.count(b"data: ") == 10
        assert (talk.reply().body, talk.rest()) == (b"then", b"")


@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
@pytest.mark.parametrize("path", ["/held", "/stream"])
def test_a_client_that_leaves_is_noticed(gateway: GatewayProcess, path: str, reset: bool) -> None:
    name = path.strip("/")
    before = gateway.get("/seen")[1].decode().count(f"gone {name}")
    talk = Talk(gateway.open()).send(kept(path))
    if path == "/stream":
        # Closing on unread bytes would be a reset.
        assert talk.connection.recv(65_536)
    else:
        begun = gateway.get("/seen")[1].decode().count("began held")
        until(lambda: gateway.get("/seen")[1].decode().count("began held") >= max(begun, before + 1))
    talk.leave(reset=reset)
    until(lambda: gateway.get("/seen")[1].decode().count(f"gone {name}") == before + 1)


def test_what_is_sent_ahead_of_a_slow_call_is_not_read(gateway: GatewayProcess) -> None:
    gateway.get("/", b"x" * BODY_BYTES_MAX)
    with Talk(gateway.open()) as talk:
        talk.send(kept("/held"))
        before = memory_bytes(gateway)
        ahead = kept("/", f"Content-Length: {64 << 20}") + b"x" * (64 << 20)
        sent = talk.push(ahead, 0.5)
        assert 1 << 20 <= sent < 32 << 20, "the sockets' buffers take it, and then nobody"
        assert memory_bytes(gateway) - before < 1 << 20
        gateway.get("/release")
        assert talk.reply().body == b"released"
        assert talk.reply().status == 413


# Patience


def test_a_head_has_its_time(hasty: GatewayProcess) -> None:
    with Talk(hasty.open()) as idle, Talk(hasty.open()) as talk, Talk(hasty.open()) as silent:
        assert idle.ask(kept("/")).status == 200
        reply = talk.send(b"GET / HTTP/1.1\r\nhost:").reply()
        assert (reply.status, reply.headers["connection"], talk.rest()) == (408, "close", b"")
        assert silent.rest() == b"", "who says nothing is told nothing"
        assert idle.ask(kept("/")).status == 200, "between requests it is another time that counts"


def test_a_head_that_drips_has_no_more_of_it(hasty: GatewayProcess) -> None:
    with Talk(hasty.open()) as talk:
        talk.drip(b"GET / HTTP/1.1\r\nhost: " + b"x" * 1000, 0.1)
        assert talk.reply().status == 408
    with Talk(hasty.open()) as talk:
        talk.drip(b"\r\n" * 500, 0.1)
        assert talk.rest()[:12] in (b"", b"HTTP/1.1 408"), "nor have empty lines"


def test_an_idle_connection_has_its_time_which_a_reload_changes(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, HASTE, transport="direct") as gateway, Talk(gateway.open()) as talk:
        assert talk.ask(kept("/")).status == 200
        gateway.configure(HASTE.replace("3600", "0.3"))
        assert gateway.get("/reload", b"")[0] == 200
        assert talk.ask(kept("/")).status == 200
        assert talk.rest() == b""


def test_a_body_may_not_pause(hasty: GatewayProcess) -> None:
    for sent in (
        kept("/", "Content-Length: 100") + b"part",
        kept("/", "Transfer-Encoding: chunked", body=b"5\r\nhello\r\n"),
        kept("/", "Transfer-Encoding: chunked", body=b"50000\r\nhello"),
    ):
        with Talk(hasty.open()) as talk:
            reply = talk.ask(sent)
            assert (reply.status, reply.headers["connection"], talk.rest()) == (408, "close", b"")


def test_a_body_may_not_drip(hasty: GatewayProcess) -> None:
    for head in ("Content-Length: 1000", "Transfer-Encoding: chunked"):
        with Talk(hasty.open()) as talk:
            talk.send(kept("/", head, body=b"3e8\r\n" if "chunked" in head else b""))
            talk.drip(b"x" * 900, 0.05)
            assert talk.reply().status == 408


def test_a_reader_that_stands_still_is_cut(hasty: GatewayProcess) -> None:
    for sent in (kept("/big"), request("/big"), kept("/flood")):
        with Talk(hasty.open(sent, buffer_bytes=4096)) as talk:
            assert talk.readable(10)
            until(lambda: not is_served(hasty, talk))
            with pytest.raises((Closed, ConnectionResetError)):
                talk.reply()


@pytest.mark.parametrize("make", [kept, request], ids=["kept", "closed"])
def test_a_slow_reader_gets_all_of_a_big_reply(hasty: GatewayProcess, make: Callable[[str], bytes]) -> None:
    with Talk(hasty.open(make("/big"), buffer_bytes=65_536)) as talk:
        assert len(talk.reply().body) == BIG_BYTES


# Ending


def test_a_drain_closes_what_rests_and_the_rest_with_its_reply(tmp_path: Path) -> None:
    settings = "[server]\nport = 0\nworkers = 1\ndrain_ready_s = 0\ndrain_s = 1\n"
    with GatewayProcess(tmp_path, settings, transport="direct") as gateway:
        with Talk(gateway.open()) as fresh, Talk(gateway.open()) as idle, Talk(gateway.open()) as busy:
            assert idle.ask(kept("/")).status == 200
            busy.send(kept("/held"))
            gateway.seen("began held")
            gateway.process.terminate()
            assert (idle.rest(), fresh.rest()) == (b"", b"")
            reply = busy.reply()
            assert (reply.status, reply.headers["connection"], busy.rest()) == (503, "close", b"")
        assert gateway.ended() == 0
    assert_silent(gateway)


# With the whole gateway behind it


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    with Whole(tmp_path_factory.mktemp("whole"), transport="direct") as whole:
        yield whole
        whole.settled()
    assert_silent(whole)


def call(key: str, name: str, **more: object) -> bytes:
    """A chat call whose record is found by its name."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]} | more).encode()
    return kept("/v1/chat/completions", f"Authorization: Bearer {key}", f"X-Request-Id: {name}", body=body)


def records_of(whole: Whole, name: str) -> list[tuple[int, str]]:
    """The records of a request, once nothing is under way."""
    whole.settled()
    until(lambda: any(record["id"] == name for record in whole.records()))
    return [(record["status"], record["end"]) for record in whole.records() if record["id"] == name]


@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_leaving_closes_the_upstream_and_is_one_record(whole: Whole, streamed: bool, reset: bool) -> None:
    name = f"left-{streamed}-{reset}"
    whole.script(stream(events("a b")[:1], stall=True) if streamed else silence())
    asked = len(whole.provider.requests)
    talk = Talk(whole.open(call(whole.key(), name, stream=streamed)))
    until(lambda: len(whole.provider.requests) > asked)
    assert not streamed or talk.connection.recv(65_536)
    talk.leave(reset=reset)
    until(whole.provider.requests[-1].gone.is_set)
    assert records_of(whole, name) == [(499, "caller@upstream")]


def test_leaving_a_stream_whose_lines_end_as_google_s_is_seen(whole: Whole) -> None:
    whole.script(stream(events("a b")[:1], stall=True))
    path = "/v1beta/models/m:streamGenerateContent?alt=sse"
    asked = json.dumps({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}).encode()
    headers = (f"x-goog-api-key: {whole.key()}", "X-Request-Id: left-google")
    talk = Talk(whole.open(kept(path, *headers, body=asked)))
    assert talk.connection.recv(65_536).endswith(b"\r\n\r\n\r\n")
    talk.leave()
    assert records_of(whole, "left-google") == [(499, "caller@upstream")]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_half_closing_is_not_leaving(whole: Whole, streamed: bool) -> None:
    name = f"half-{streamed}"
    with Talk(whole.open(call(whole.key(), name, stream=streamed))) as talk:
        talk.half_close()
        reply = talk.reply()
        assert reply.status == 200
        assert not streamed or reply.body.endswith(b"data: [DONE]\n\n")
    assert records_of(whole, name) == [(200, "ok@respond")]


def test_leaving_within_a_body_is_one_record(whole: Whole) -> None:
    Talk(whole.open(call(whole.key(), "within")[:-5])).leave()
    assert records_of(whole, "within") == [(499, "caller@decode")]


def test_a_stranger_who_waits_for_100_is_401_at_once(whole: Whole) -> None:
    with Talk(whole.open()) as talk:
        reply = talk.ask(kept("/v1/chat/completions", "Expect: 100-continue", "Content-Length: 50"))
        assert (reply.status, reply.headers["connection"], talk.rest()) == (401, "close", b"")


def test_calls_sent_ahead_are_answered_in_order(whole: Whole) -> None:
    key = whole.key()
    with Talk(whole.open()) as talk:
        talk.send(b"".join(call(key, f"ahead-{number}", stream=number % 2 == 1) for number in range(10)))
        for number in range(10):
            reply = talk.reply()
            assert reply.headers["x-request-id"] == f"ahead-{number}"
            assert reply.headers["content-type"].startswith(
                "text/event-stream" if number % 2 else "application/json"
            )


V2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes([10, 1, 2, 4, 127, 0, 0, 1, 0, 80, 0, 80])
PROXIED = {
    "v1": (b"PROXY TCP4 10.1.2.3 127.0.0.1 5555 80\r\n", "10.1.2.3"),
    "v1-tcp6": (b"PROXY TCP6 2001:db8::7 ::1 5555 80\r\n", "2001:db8::7"),
    "v1-unknown": (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    "v2": (V2, "10.1.2.4"),
    "v2-local": (V2[:12] + b"\x20\x00\x00\x00", "127.0.0.1"),
}
DAMAGED = [
    b"PROXY TCP4 10.1.2.3\r\n",
    b"PROXY TCP4 10.1.2.3 ::1 5555 80\r\n",
    b"PROXY " + b"x" * 200,
    V2[:12] + b"\x31" + V2[13:],
    V2[:14] + b"\xff\xff" + V2[16:],
    V2[:15] + b"\x02" + V2[16:],
    b"",
]


def test_a_load_balancer_says_who_the_client_is(tmp_path: Path) -> None:
    with Whole(tmp_path, server="workers = 1\nproxy_protocol = true", transport="direct") as whole:
        key = whole.key()
        for name, (header, _) in PROXIED.items():
            for split in (False, True):
                sent = call(key, f"{name}-{split}", model="echo")
                with Talk(whole.open()) as talk:
                    talk.send(
                        *(bytes([byte]) for byte in header) if split else (), sent if split else header + sent
                    )
                    assert talk.reply().status == 200
                    assert talk.ask(call(key, "again", model="echo")).status == 200
        for header in DAMAGED:
            with Talk(whole.open(header + call(key, "damaged", model="echo"))) as talk:
                assert talk.rest() == b"", header
        until(lambda: len([record for record in whole.records() if "peer" in record]) == 4 * len(PROXIED))
        peers = {record["id"]: record["peer"] for record in whole.records()}
        for name, (_, peer) in PROXIED.items():
            assert peers[f"{name}-False"] == peers[f"{name}-True"] == peer
        assert "damaged" not in peers
    assert_silent(whole)
