"""The doctor finds what is wrong, says what to do, and shows no secret."""

import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from kpgate.app import doctor
from kpgate.app.doctor import Finding, Status, data_directory, examine, locks_held, ports, upstream, upstreams
from kpgate.domain.settings import Admin, Provider, Server, Settings, Timeouts

CANARY = "canary-e82d4"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def provider(url: str, **more: object) -> Provider:
    timeouts = Timeouts(connect_s=2.0)
    return Provider(name="p", base_url=url, timeouts=timeouts, **more)  # type: ignore[arg-type]


def test_every_finding_that_is_not_well_says_what_to_do(tmp_path: Path) -> None:
    findings = examine(None, tmp_path / "data", {})
    assert {"extensions", "versions", "interpreter", "descriptors", "shared memory", "disk"} <= set(
        by_name(findings)
    )
    for finding in findings:
        if finding.status is Status.PROBLEM:
            assert finding.remedy, finding


def test_no_secret_is_shown(tmp_path: Path) -> None:
    config = tmp_path / "kpgate.toml"
    text = '[[providers]]\nname = "a"\napi_key = "env:KEY"\nbase_url = "http://127.0.0.1:1"\n'
    text += f'headers = {{ X = "{CANARY}" }}\n'
    config.write_text(text)
    assert CANARY not in str(examine(config, tmp_path, {"KEY": CANARY}))
    config.write_text(text.replace("env:KEY", CANARY).replace("127", f"{CANARY}@127"))
    findings = examine(config, tmp_path, {"KPGATE_SERVER__PORT": CANARY})
    assert CANARY not in str(findings)
    assert by_name(findings)["configuration"].status is Status.PROBLEM


def test_a_good_data_directory_is_well(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    findings = by_name(list(data_directory(data)))
    assert {finding.status for finding in findings.values()} == {Status.WELL}
    assert list(data.iterdir()) == []


def test_a_data_directory_that_is_missing_open_or_a_file_is_said(tmp_path: Path) -> None:
    assert "serve makes it" in by_name(list(data_directory(tmp_path / "a" / "b")))["data"].found
    tmp_path.chmod(0o755)
    assert by_name(list(data_directory(tmp_path)))["data mode"].remedy.startswith("chmod 700")
    file = tmp_path / "file"
    file.write_text("")
    assert by_name(list(data_directory(file)))["data"].status is Status.PROBLEM


def test_a_remote_file_system_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "statfs_magic", lambda path: 0x6969)
    finding = by_name(list(data_directory(tmp_path)))["file system"]
    assert finding.status is Status.PROBLEM
    assert "NFS" in finding.found


@pytest.mark.parametrize("lock", ["flock", "lockf"])
def test_a_lock_that_a_gateway_holds_is_seen_and_left_alone(tmp_path: Path, lock: str) -> None:
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "0.life"
    path.write_text("")
    assert locks_held(tmp_path) == 0
    script = (
        "import fcntl, sys\n"
        "held = open(sys.argv[1], 'r+')\n"
        f"fcntl.{lock}(held, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert locks_held(tmp_path) == 1
        assert locks_held(tmp_path) == 1
        holder.kill()
    assert locks_held(tmp_path) == 0


def test_ports_are_free_or_not(listener: socket.socket) -> None:
    taken = listener.getsockname()[1]
    settings = Settings(server=Server(port=taken), admin=Admin(port=0))
    findings = by_name(list(ports(settings, False)))
    assert findings["server port"].status is Status.PROBLEM
    assert findings["admin port"].status is Status.WELL
    assert by_name(list(ports(settings, True)))["server port"].status is Status.WELL


def test_a_provider_that_answers_is_well(listener: socket.socket) -> None:
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    assert upstream(provider(url), {}).status is Status.WELL


def test_providers_are_reported_in_order_and_echo_is_left_out(listener: socket.socket) -> None:
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    names = [Provider(name=name, base_url=url) for name in ("a", "b")]
    settings = Settings(providers=(names[0], Provider(name="e", dialect="echo"), names[1]))
    assert [finding.name for finding in upstreams(settings, {})] == ["provider a", "provider b"]


def test_a_provider_that_refuses_is_a_problem() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    assert upstream(provider(f"http://127.0.0.1:{port}"), {}).status is Status.PROBLEM


def test_tls_is_verified_and_a_silent_peer_times_out(listener: socket.socket, tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    url = f"https://127.0.0.1:{listener.getsockname()[1]}/v1"

    def answer() -> None:
        connection, _ = listener.accept()
        try:
            context.wrap_socket(connection, server_side=True).close()
        except OSError:
            connection.close()

    for ca, status in ((str(tmp_path / "ca.pem"), Status.WELL), (None, Status.PROBLEM)):
        thread = threading.Thread(target=answer)
        thread.start()
        assert upstream(provider(url, ca=ca), {}).status is status
        thread.join()
    quick = Provider(name="p", base_url=url, timeouts=Timeouts(connect_s=0.05))
    assert "no connection in 0.05 s" in upstream(quick, {}).found


@pytest.mark.parametrize(
    ("reply", "status", "said"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", Status.WELL, "TCP"),
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", Status.PROBLEM, "the proxy answered 407"),
        (b"", Status.PROBLEM, "the proxy broke off"),
    ],
)
def test_a_provider_is_reached_through_its_proxy(
    listener: socket.socket, reply: bytes, status: Status, said: str
) -> None:
    asked: list[bytes] = []

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            asked.append(connection.recv(4096))
            connection.sendall(reply)

    thread = threading.Thread(target=answer)
    thread.start()
    proxy = f"http://u:{CANARY}@127.0.0.1:{listener.getsockname()[1]}"
    finding = upstream(provider("http://provider.test:81/v1", proxy="env:PROXY"), {"PROXY": proxy})
    thread.join()
    assert asked[0].startswith(b"CONNECT provider.test:81 HTTP/1.1\r\n")
    assert b"\r\nProxy-Authorization: Basic " in asked[0]
    assert CANARY not in str(finding)
    assert finding.status is status
    assert said in finding.found
