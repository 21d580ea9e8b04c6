"""A gateway as a process of its own, on free ports in a directory of its own, and a client that sees every byte."""

import http.client
import json
import os
import queue
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[2]
PATIENCE_S = 20.0
TRANSPORTS = ("granian", "direct")
SCRIPT = """
import sys
from pathlib import Path
from kpgate.app.options import ServeOptions
from kpgate.app.serve import run
data, config, builder, clerk = sys.argv[1:]
sys.exit(run(ServeOptions(data=Path(data), config=Path(config)), builder=builder, clerk=clerk))
"""


class GatewayProcess:
    """Starts with `with`.

    Shape: `settings` is TOML, `transport` is added to it; the port is free and known once it listens.
    """

    def __init__(
        self,
        folder: Path,
        settings: str = "",
        *,
        builder: str = "tests.kit.served:build",
        clerk: str = "",
        wait: bool = True,
        transport: str = "granian",
    ) -> None:
        self.folder = folder
        self.transport = transport
        self.config = folder / "kpgate.toml"
        self.configure(settings)
        self.builder = builder
        self.clerk = clerk
        self.wait = wait
        self.python_path = str(ROOT)
        self.port = 0
        self.admin_port = 0
        self.said: list[dict[str, Any]] = []
        self._passed: list[dict[str, Any]] = []
        self._lines: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()

    def configure(self, settings: str) -> None:
        if "[server]" not in settings:
            settings = f"[server]\nport = 0\nworkers = 1\n{settings}"
        self.config.write_text(settings.replace("[server]", f'[server]\ntransport = "{self.transport}"', 1))

    def __enter__(self) -> Self:
        environ = {**os.environ, "PYTHONPATH": self.python_path}
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                SCRIPT,
                str(self.folder / "data"),
                str(self.config),
                self.builder,
                self.clerk,
            ],
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env=environ,
            cwd=self.folder,
        )
        threading.Thread(target=self._read, daemon=True).start()
        if self.wait:
            try:
                self._listening()
            except BaseException:
                # Nobody would end it: a supervisor goes on for ever, with the test run's standard output.
                self.kill_all()
                raise
        return self

    def _listening(self) -> None:
        """Wait until it says where it listens."""
        listening = self.event("listening")
        self.port = int(listening["url"].rpartition(":")[2])
        self.admin_port = int(listening.get("admin_url", ":0").rpartition(":")[2])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
            self.signal(signal.SIGINT)
        try:
            self.process.wait(PATIENCE_S)
        finally:
            self.process.kill()

    def _read(self) -> None:
        assert self.process.stderr is not None
        queued = self._lines
        with self.process.stderr as lines:
            for line in lines:
                said = json.loads(line) if line.startswith(b"{") else {"event": "text", "text": line.decode()}
                self.said.append(said)
                queued.put(said)
        queued.put(None)

    def event(self, name: str) -> dict[str, Any]:
        """The next event of that name, waited for; others stay for those who ask for them."""
        for passed in self._passed:
            if passed.get("event") == name:
                self._passed.remove(passed)
                return passed
        deadline = monotonic() + PATIENCE_S
        try:
            while (said := self._lines.get(timeout=max(0.01, deadline - monotonic()))) is not None:
                if said.get("event") == name:
                    return said
                self._passed.append(said)
        except queue.Empty:
            raise AssertionError(f"no {name!r} in {PATIENCE_S:g} s: {self.said}") from None
        raise AssertionError(f"it ended without {name!r}: {self.said}")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        """Its exit status, waited for."""
        return self.process.wait(PATIENCE_S)

    def kill_all(self) -> None:
        """Kill every process of it at once, as when a container ends."""
        run = self.folder / "data" / "run"
        pids = [int(text) for path in run.glob("*.life") if (text := path.read_text().strip())]
        self.process.kill()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(PATIENCE_S)

    def again(self) -> None:
        """Start it again on the same data."""
        self._lines = queue.SimpleQueue()
        self._passed = []
        self.__enter__()

    def get(self, path: str, body: bytes | None = None, *, admin: bool = False) -> tuple[int, bytes]:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.admin_port if admin else self.port, timeout=PATIENCE_S
        )
        try:
            connection.request("GET" if body is None else "POST", path, body)
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    def open(
        self,
        sent: bytes = b"",
        *,
        tls: ssl.SSLContext | None = None,
        buffer_bytes: int = 0,
        segment_bytes: int = 0,
    ) -> socket.socket:
        """A connection on which something was sent.

        Shape: with segments as on a real network the system buffers as little there, not as much as on loopback.
        """
        raw = socket.socket()
        if segment_bytes:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment_bytes)
        if buffer_bytes:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        raw.settimeout(PATIENCE_S)
        raw.connect(("127.0.0.1", self.port))
        connection = tls.wrap_socket(raw, server_hostname="localhost") if tls else raw
        connection.sendall(sent)
        return connection

    def seen(self, what: str) -> None:
        """Wait until the worker has seen something happen."""
        until(lambda: what in self.get("/seen")[1].decode())


def until(holds: Callable[[], bool]) -> None:
    """Wait for a state."""
    deadline = monotonic() + PATIENCE_S
    while not holds():
        assert monotonic() < deadline, "it never came about"
        sleep(0.02)


def read_all(connection: socket.socket) -> bytes:
    """Everything until the other side closes; then this side does."""
    pieces = []
    with connection:
        try:
            while piece := connection.recv(65_536):
                pieces.append(piece)
        except ConnectionResetError:
            pass
    return b"".join(pieces)


def request(path: str, *headers: str, body: bytes = b"", method: str = "POST") -> bytes:
    """A request's bytes; `Connection: close` and a length unless headers say otherwise."""
    lines = [f"{method} {path} HTTP/1.1", "Host: here", "Connection: close", *headers]
    if not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode() + body
