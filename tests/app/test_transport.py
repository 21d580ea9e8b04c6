"""The exchange over both transports: what a client sees when it, or the application, misbehaves."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest
import trustme

from tests.kit.gateway_process import TRANSPORTS, GatewayProcess, read_all, request
from tests.kit.http2 import ask

SETTINGS = """
[server]
port = 0
workers = 1
body_idle_s = 0.4
write_stall_s = 0.5
body_bytes_max = 100000
[admin]
port = 0
"""


@pytest.fixture(scope="module", params=TRANSPORTS)
def gateway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("gateway")
    with GatewayProcess(folder, SETTINGS, transport=request.param) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test did, the worker is the same one, and answers."""
    if "gateway" not in request.fixturenames:
        yield
        return
    gateway: GatewayProcess = request.getfixturevalue("gateway")
    before = gateway.get("/pid")[1]
    yield
    assert gateway.get("/pid")[1] == before


def test_bodies_of_every_framing_arrive_whole(gateway: GatewayProcess) -> None:
    assert gateway.get("/", b"x" * 99_000) == (200, b"x" * 99_000)
    chunked = request("/", "Transfer-Encoding: chunked", body=b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")
    assert read_all(gateway.open(chunked)).endswith(b"\r\n\r\nhello")
    assert gateway.get("/") == (200, b"hello")


def test_connections_are_kept_for_further_requests(gateway: GatewayProcess) -> None:
    one = request("/", body=b"one").replace(b"Connection: close\r\n", b"")
    replies = read_all(gateway.open(one + one + request("/", body=b"three")))
    assert replies.count(b"200 OK") == 3 and replies.endswith(b"three")


def test_a_body_that_stalls_is_told_so(gateway: GatewayProcess) -> None:
    reply = read_all(gateway.open(request("/", "Content-Length: 50", body=b"part")))
    assert reply.startswith(b"HTTP/1.1 408") and reply.endswith(b"request_timeout")


def test_a_body_too_large_is_refused_before_it_is_sent(gateway: GatewayProcess) -> None:
    reply = read_all(gateway.open(request("/", "Content-Length: 100001")))
    assert reply.startswith(b"HTTP/1.1 413") and reply.endswith(b"body_too_large")


def test_chunks_too_many_are_refused_while_they_come(gateway: GatewayProcess) -> None:
    sent = request("/", "Transfer-Encoding: chunked", body=b"ffff\r\n" + b"x" * 65_535 + b"\r\n")
    connection = gateway.open(sent)
    connection.sendall(b"ffff\r\n" + b"x" * 65_535)
    assert connection.recv(4096).startswith(b"HTTP/1.1 413")
    connection.close()


def test_bad_chunks_are_an_invalid_request(gateway: GatewayProcess) -> None:
    reply = read_all(gateway.open(request("/", "Transfer-Encoding: chunked", body=b"zz\r\nhello")))
    assert reply.startswith(b"HTTP/1.1 400") and reply.endswith(b"invalid_request")


def test_a_client_that_leaves_before_its_body_is_noticed(gateway: GatewayProcess) -> None:
    gateway.open(request("/static", "Content-Length: 50", body=b"part")).close()
    gateway.seen("gone static")


def test_a_client_that_leaves_a_whole_call_is_noticed(gateway: GatewayProcess) -> None:
    connection = gateway.open(request("/long", body=b"hello"))
    gateway.seen("began long")
    left = monotonic()
    connection.close()
    gateway.seen("gone long")
    assert monotonic() - left < 10


def test_a_client_that_leaves_a_stream_is_noticed(gateway: GatewayProcess) -> None:
    connection = gateway.open(request("/stream"))
    assert b"200 OK" in connection.recv(4096)
    connection.close()
    gateway.seen("gone stream")


def test_a_reader_that_stands_still_bounds_memory_and_is_cut(gateway: GatewayProcess) -> None:
    connection = gateway.open(request("/flood"), buffer_bytes=4096)
    gateway.seen("gone flood")
    seen = gateway.get("/seen")[1].decode()
    written = int(seen.partition("flooded ")[2].partition(",")[0])
    assert written * 65_536 < 16 * 1024 * 1024, "what the kernel takes, and little more"
    assert not read_all(connection).endswith(b"0\r\n\r\n"), "the client can tell that it was cut"


HOSTS = {
    # Granian's parser lets them through as they came: the application has to look.
    "granian": {"one": b"here", "two": b"here|there", "none": b""},
    # The lane has looked, and its head says so; of one that is unfit there are no headers.
    "direct": {"one": b"here", "two": b"unfit", "none": b"unfit"},
}


def test_hosts_reach_the_application_or_the_head_is_unfit(gateway: GatewayProcess) -> None:
    sent = {
        "one": request("/hosts"),
        "two": request("/hosts", "Host: there"),
        "none": request("/hosts").replace(b"Host: here\r\n", b""),
    }
    said = {name: read_all(gateway.open(one)).partition(b"\r\n\r\n")[2] for name, one in sent.items()}
    assert said == HOSTS[gateway.transport]


def test_a_status_that_would_kill_the_worker_is_a_500(gateway: GatewayProcess) -> None:
    assert gateway.get("/status-99")[0] == 500
    assert gateway.event("failure")["error"] == "ValueError"


def test_an_application_that_breaks_is_a_500_and_says_no_secret(gateway: GatewayProcess) -> None:
    status, body = gateway.get("/break")
    assert status == 500 and b'"code":"internal"' in body
    assert gateway.event("failure")["error"] == "RuntimeError"
    assert "sk-secret" not in str(gateway.said)


def test_an_application_that_breaks_midway_cuts_the_stream(gateway: GatewayProcess) -> None:
    reply = read_all(gateway.open(request("/break-midway")))
    assert b"data: 1\n\n" in reply and not reply.endswith(b"0\r\n\r\n")
    assert gateway.event("failure")["error"] == "RuntimeError"
    assert not [said for said in gateway.said if said["event"] in ("text", "server")]


def test_the_admin_listener_serves_beside_the_other(gateway: GatewayProcess) -> None:
    assert gateway.get("/pid", admin=True) == gateway.get("/pid")


def test_http2_is_spoken_when_asked_for(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, "[server]\nport = 0\nworkers = 1\nhttp2 = true\n") as gateway:
        assert ask(gateway.open(), "/", b"hello") == (200, b"hello")
        assert ask(gateway.open(), "/hosts") == (200, b"here"), "the authority is its host"
        assert gateway.get("/", b"old") == (200, b"old")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_tls_admits_those_whose_certificate_is_signed(tmp_path: Path, transport: str) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server = authority.issue_cert("localhost")
    server.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    for pem in server.cert_chain_pems:
        pem.write_to_path(str(tmp_path / "cert.pem"), append=True)
    settings = (
        "[server]\nport = 0\nworkers = 1\n[server.tls]\n"
        f"cert = '{tmp_path}/cert.pem'\nkey = '{tmp_path}/key.pem'\nclient_ca = '{tmp_path}/ca.pem'\n"
    )
    stranger = ssl.create_default_context()
    authority.configure_trust(stranger)
    stranger.maximum_version = ssl.TLSVersion.TLSv1_2
    known = ssl.create_default_context()
    authority.configure_trust(known)
    authority.issue_cert("client@example.org").configure_cert(known)
    with GatewayProcess(tmp_path, settings, transport=transport) as gateway:
        assert read_all(gateway.open(request("/", body=b"hello"), tls=known)).endswith(b"hello")
        with pytest.raises(ssl.SSLError):
            gateway.open(request("/"), tls=stranger)
