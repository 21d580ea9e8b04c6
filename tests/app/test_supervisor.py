"""Supervisor and workers as real processes: they die, drain, reload and are refused as promised."""

import os
import signal
import socket
import threading
from pathlib import Path

import msgspec
import pytest

from kpgate.app.channel import Order
from kpgate.app.listeners import PortRefused, open_listeners
from kpgate.app.slot import Slot
from kpgate.app.supervisor import Supervisor
from kpgate.domain.settings import Settings
from tests.kit.gateway_process import GatewayProcess, read_all, request, until


def pid(gateway: GatewayProcess) -> int:
    return int(gateway.get("/pid")[1])


def lives(process: int) -> bool:
    """Whether a process runs; one that only waits to be buried does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_killed_worker_costs_its_open_calls_alone(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, "[server]\nport = 0\nworkers = 2\n") as gateway:
        failed: list[int] = []
        answered: list[int] = []
        over = threading.Event()

        def load() -> None:
            while not over.is_set():
                try:
                    answered.append(gateway.get("/", b"x" * 100)[0])
                except OSError:
                    failed.append(len(answered))

        clients = [threading.Thread(target=load) for _ in range(4)]
        for client in clients:
            client.start()
        until(lambda: len(answered) > 20)
        victim = pid(gateway)
        os.kill(victim, signal.SIGKILL)
        assert gateway.event("lost")["again_s"] == 0
        so_far = len(answered)
        until(lambda: len(answered) > so_far + 40)
        over.set()
        for client in clients:
            client.join()
        assert set(answered) == {200}
        assert len(failed) <= len(clients), "one call in flight a client at most"
        until(lambda: victim != pid(gateway))


def test_connections_wait_while_no_worker_lives(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path) as gateway:
        first = pid(gateway)
        os.kill(first, signal.SIGKILL)
        assert pid(gateway) != first


def test_the_same_worker_killed_again_and_again_comes_back(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path) as gateway:
        pauses = []
        for _ in range(3):
            os.kill(pid(gateway), signal.SIGKILL)
            pauses.append(gateway.event("lost")["again_s"])
        assert gateway.get("/")[0] == 200
        assert pauses == [0, 0.1, 0.2]


def test_a_second_gateway_on_the_port_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with GatewayProcess(tmp_path) as gateway:
        settings = f"[server]\nport = {gateway.port}\n"
        with GatewayProcess(tmp_path / "other", settings, wait=False) as second:
            assert f"127.0.0.1:{gateway.port} is in use" in second.event("refused")["problem"]
            assert second.ended() == 1
        assert gateway.get("/")[0] == 200


def test_a_second_gateway_on_the_data_directory_is_refused(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path) as gateway, GatewayProcess(tmp_path, wait=False) as second:
        assert f"(pid {gateway.process.pid})" in second.event("refused")["problem"]
        assert second.ended() == 1


def test_an_application_that_cannot_be_built_ends_the_start(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, builder="tests.kit.served:refuse_to_build", wait=False) as gateway:
        assert "NOT_THERE is not set" in gateway.event("failed")["problems"][0]
        assert gateway.ended() == 1


def test_sigterm_is_shown_by_readiness_first_and_streams_end_well(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, "drain_ready_s = 0.6\ndrain_s = 20\n") as gateway:
        assert gateway.get("/ready")[0] == 200
        stream = gateway.open(request("/stream"))
        assert b"200 OK" in stream.recv(4096)
        gateway.signal(signal.SIGTERM)
        gateway.event("draining")
        until(lambda: gateway.get("/ready")[0] == 503)
        assert gateway.get("/")[0] == 200, "it serves on while readiness says no"
        until(lambda: not accepts(gateway.port))
        body = read_all(stream)
        assert b"data: 9\n\n" in body and body.endswith(b"0\r\n\r\n")
        assert gateway.ended() == 0


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    except ConnectionResetError:
        return True
    return True


def test_calls_open_at_the_drain_s_end_are_ended_with_an_error(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, "drain_ready_s = 0\ndrain_s = 0.3\n") as gateway:
        call = gateway.open(request("/long"))
        gateway.seen("began long")
        gateway.signal(signal.SIGTERM)
        reply = read_all(call)
        assert b"503 Service Unavailable" in reply and reply.endswith(b"draining")
        assert gateway.ended() == 0


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path) as gateway:
        call = gateway.open(request("/long"))
        gateway.seen("began long")
        gateway.signal(signal.SIGTERM)
        gateway.event("draining")
        gateway.signal(signal.SIGTERM)
        assert read_all(call).endswith(b"draining")
        assert gateway.ended() == 0


def test_a_signal_after_the_stop_began_overtakes_the_drain(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, "drain_ready_s = 0\n") as gateway:
        call = gateway.open(request("/long"))
        gateway.seen("began long")
        gateway.signal(signal.SIGTERM)
        until(lambda: not accepts(gateway.port))
        gateway.signal(signal.SIGINT)
        assert read_all(call).endswith(b"draining")
        assert gateway.ended() == 0


def test_workers_leave_the_terminal_s_signals_to_the_supervisor(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path) as gateway:
        worker = pid(gateway)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(worker, number)
        assert pid(gateway) == worker


def test_orphans_end_soon_and_a_new_start_waits_for_them(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path) as gateway:
        worker = pid(gateway)
        gateway.process.kill()
        with GatewayProcess(tmp_path) as second:
            assert pid(second) != worker
            assert not lives(worker)


def test_reload_reaches_every_worker_or_none(tmp_path: Path) -> None:
    base = "[server]\nport = 0\nworkers = 2\nbody_bytes_max = "
    with GatewayProcess(tmp_path, f"{base}4444\n") as gateway:
        assert sizes(gateway) == {b"4444"}
        gateway.configure(f"{base}5555\n")
        gateway.signal(signal.SIGHUP)
        gateway.event("reloaded")
        assert sizes(gateway) == {b"5555"}
        for refused, why in (
            ("6666\n", "6666 is refused by the application"),
            ("'many'\n", "body_bytes_max"),
            ("7777\nhttp2 = true\n", "server.http2 cannot change"),
        ):
            gateway.configure(base + refused)
            gateway.signal(signal.SIGHUP)
            assert why in gateway.event("reload_refused")["problems"][0]
            assert sizes(gateway) == {b"5555"}
        os.kill(pid(gateway), signal.SIGKILL)
        gateway.event("lost")
        assert sizes(gateway) == {b"5555"}, "who comes back serves what is in force, not what the file says"


def sizes(gateway: GatewayProcess) -> set[bytes]:
    return {gateway.get("/size")[1] for _ in range(24)}


def test_reload_can_be_asked_for_through_a_worker(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, "body_bytes_max = 4444\n") as gateway:
        gateway.configure("body_bytes_max = 5555\n")
        assert gateway.get("/reload") == (200, b"")
        assert gateway.get("/size")[1] == b"5555"
        gateway.configure("body_bytes_max = 6666\n")
        status, why = gateway.get("/reload")
        assert status == 409 and b"6666 is refused" in why


def test_a_clerk_that_dies_is_started_again_and_outlives_the_workers(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, clerk="tests.kit.clerk", wait=False) as gateway:
        clerk = gateway.event("clerk")["pid"]
        gateway.port = int(gateway.event("listening")["url"].rpartition(":")[2])
        os.kill(clerk, signal.SIGKILL)
        assert gateway.event("lost")["process"] == "clerk"
        assert gateway.event("clerk")["pid"] != clerk
        worker = pid(gateway)
        gateway.signal(signal.SIGTERM)
        gateway.event("draining")
        gateway.signal(signal.SIGTERM)
        gateway.event("clerk_stopped")
        assert not lives(worker)
        assert gateway.ended() == 0


def test_pauses_between_starts_double_up_to_five_seconds_and_begin_anew_after_ten_alive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slot = Slot("worker-1", "no.module", 1)
    order = Order(seat=1, seats=2, data="", region="", settings=msgspec.Raw(b"{}"))
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: None)
    now_s, pauses = 100.0, []
    for alive_s in (0, 0, 0, 0, 0, 0, 0, 0, 3, 11, 0):
        slot.start(order, 1, now_s)
        now_s += alive_s
        pauses.append(slot.lost(now_s))
    assert pauses == [0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 0, 0.1]


class StuckProcess:
    """A process that hears nothing and only dies when it is killed."""

    killed = False

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def poll(self) -> int | None:
        return -9 if self.killed else None

    def kill(self) -> None:
        self.killed = True


def supervised(clerk: Slot | None, *workers: Slot) -> tuple[Supervisor, list[str]]:
    """A supervisor that does not run, and what it says."""
    said: list[str] = []
    order = Order(seat=1, seats=2, data="", region="", settings=msgspec.Raw(b"{}"))
    return Supervisor(
        workers, clerk, order, Settings(), lambda: (None, ()), lambda event, **_: said.append(event)
    ), said


def test_a_clerk_that_stops_beating_is_killed_and_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.Popen", StuckProcess)
    clerk = Slot("clerk", "no.module", 0)
    supervisor, said = supervised(clerk)
    supervisor._due(100.0)
    stuck = clerk.process
    supervisor._due(110.0)
    assert isinstance(stuck, StuckProcess) and not stuck.killed, "its start takes as long as it takes"
    clerk.ready, clerk.heard_s = True, 100.0
    supervisor._due(104.9)
    assert isinstance(stuck, StuckProcess) and not stuck.killed
    supervisor._due(105.1)
    assert stuck.killed
    supervisor._reap(105.2)
    supervisor._due(105.3)
    assert clerk.process is not stuck and clerk.process is not None
    assert said == ["clerk_silent", "lost"]
    assert clerk.channel is not None
    clerk.channel.close()
    supervisor._selector.close()


def test_a_worker_that_does_not_stop_is_killed_after_the_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.Popen", StuckProcess)
    worker = Slot("worker-1", "no.module", 1)
    supervisor, _ = supervised(None, worker)
    supervisor._due(100.0)
    supervisor._stop(101.0, 30.0)
    supervisor._due(140.9)
    stuck = worker.process
    assert isinstance(stuck, StuckProcess) and not stuck.killed
    supervisor._due(141.1)
    assert stuck.killed
    supervisor._reap(141.2)
    assert supervisor._over()
    supervisor._selector.close()


def test_a_failure_in_the_supervisor_is_said_and_survived() -> None:
    supervisor, said = supervised(None)
    broken = iter([ValueError("once")])

    def over() -> bool:
        for error in broken:
            raise error
        return True

    supervisor._over = over  # type: ignore[method-assign]
    assert supervisor.run(terminal=False) == 0
    assert said == ["failure"]


def test_listeners_share_one_free_port_and_a_foreign_one_is_refused() -> None:
    listeners = open_listeners("127.0.0.1", 0, 3)
    ports = {listener.getsockname()[1] for listener in listeners}
    assert len(ports) == 1
    with pytest.raises(PortRefused, match="is in use"):
        open_listeners("127.0.0.1", ports.pop(), 1)
    for listener in listeners:
        listener.close()


def test_listening_on_ipv6() -> None:
    try:
        listeners = open_listeners("::1", 0, 2)
    except PortRefused:
        pytest.skip("no IPv6 on this machine")
    assert listeners[0].family == socket.AF_INET6
    for listener in listeners:
        listener.close()
