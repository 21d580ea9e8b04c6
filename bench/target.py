"""What is measured: nginx `proxy_pass`, and kpgate governed or with governance off, each before the same provider.

Owns their configurations and the folder they live in; whatever is started ends with the lab. Knows no figures.
"""

import contextlib
import http.client
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.books import keys_among
from bench.processes import (
    FailedToStart,
    answers,
    every_core,
    family,
    free_port,
    load_core,
    running,
    target_core,
    until,
    yielding,
)
from bench.provider import make_certificates

MODEL = "gpt-4o-mini"
HUGE_MODEL = "huge"
"""Asked of a provider of its own."""
KEYS = 250
"""Parties that call a gateway whose ledger has many accounts."""
PATH = "/v1/chat/completions"
HUGE_PATH = "/huge" + PATH
NGINX = """
daemon off;
worker_processes {workers};
pid {folder}/nginx.pid;
error_log {folder}/error.log error;
{user}
events {{ worker_connections 8192; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 64m;
    client_body_buffer_size 64k;
    keepalive_requests 100000000;
    upstream provider {{
        server 127.0.0.1:{upstream};
        keepalive 256;
        keepalive_requests 100000000;
    }}
    upstream huge {{ server 127.0.0.1:{huge}; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass {scheme}://provider;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering {buffering};
            proxy_request_buffering {request_buffering};
            {tls}
        }}
        location /huge/ {{
            proxy_pass {scheme}://huge;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""
NGINX_TLS = """proxy_ssl_verify on; proxy_ssl_trusted_certificate {ca}; proxy_ssl_name localhost;
            proxy_ssl_session_reuse on; proxy_ssl_protocols TLSv1.2 TLSv1.3;"""
LIMITS = """
requests = "1000000000/s"
tokens = "1000000000000/s"
concurrency = 100000
"""
OFF = "[auth]\nenabled = false\n\n[tokens]\ncount = false\n\n[log]\nrequests = false\n"


@dataclass
class Target:
    """A process that answers chat calls. Shape: `pid` is its first process; `key` may be empty; `keys` are those of
    as many parties, the first one is `key`."""

    name: str
    port: int
    key: str = field(default="", repr=False)
    pid: int = 0
    tls: bool = False
    host: str = "127.0.0.1"
    path: str = PATH
    folder: Path = field(default_factory=Path)
    keys: Sequence[str] = field(default=(), repr=False)

    @property
    def url(self) -> str:
        """Where chat calls go."""
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}{self.path}"

    def context(self) -> ssl.SSLContext | None:
        """What a client of it verifies it by; None without TLS."""
        authority = self.folder / "ca.pem"
        return ssl.create_default_context(cafile=authority) if self.tls and authority.exists() else None

    def pids(self) -> list[int]:
        """It and its children."""
        return family(self.pid)


@dataclass(frozen=True)
class Shape:
    """How a gateway is configured. Shape: `models` are further ones, `across` such that the provider is asked for in
    Anthropic's words; `lane` is the direct transport; `credits` are spent, budgets and receipts included, from a
    ledger with so many `accounts` if not 0; `huge` is the port of the provider of huge prompts, 0 for none."""

    governed: bool = True
    lane: bool = False
    workers: int = 1
    http2: bool = False
    models: tuple[str, ...] = ()
    pinned: bool = True
    credits: bool = False
    across: tuple[str, ...] = ()
    accounts: int = 0
    huge: int = 0

    @property
    def name(self) -> str:
        """What tables call it."""
        words = ["lane"] * self.lane + ["governed" if self.governed else "off"]
        words += ["with credits"] * self.credits
        return " ".join(words + [f"of {self.accounts:,} accounts"] * bool(self.accounts))


class Lab:
    """A folder and the processes in it, all gone at the end of a `with`."""

    def __enter__(self) -> Self:
        self._stack = contextlib.ExitStack()
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="kpgate-bench-")))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def provider(self, tls: bool = False, port: int = 0, yields: bool = False) -> Target:
        """The provider, on the load's core. Shape: port 0 takes a free one; one that `yields` is in nobody's way."""
        folder = self._subfolder("provider")
        command = [sys.executable, "-m", "bench.provider", "--port", str(port)]
        if tls:
            make_certificates(str(folder))
            command += ["--tls", str(folder)]
        if yields:
            command = yielding(command)
        child = self._stack.enter_context(running(command, load_core(), folder / "said"))
        assert child.stdout is not None
        line = child.stdout.readline()
        if not line:
            raise FailedToStart(f"the provider did not come up: {(folder / 'said').read_text()[-2000:]}")
        return Target("direct", int(line), pid=child.pid, tls=tls, folder=folder)

    def nginx(
        self, provider: Target, buffering: bool = True, request_buffering: bool = True, huge: int = 0
    ) -> Target:
        """Nginx with an access log and kept-alive connections to the provider. Shape: `huge` is the port of that of
        huge prompts."""
        if shutil.which("nginx") is None:
            raise FailedToStart("nginx is not installed (apt-get install nginx)")
        folder, port = self._subfolder("nginx"), free_port()
        conf = folder / "nginx.conf"
        tls = NGINX_TLS.format(ca=provider.folder / "ca.pem") if provider.tls else ""
        conf.write_text(
            NGINX.format(
                workers=1,
                folder=folder,
                user="user root;" if os.geteuid() == 0 else "",
                upstream=provider.port,
                huge=huge or provider.port,
                port=port,
                scheme="https" if provider.tls else "http",
                buffering=_switch(buffering),
                request_buffering=_switch(request_buffering),
                tls=tls,
            )
        )
        command = ["nginx", "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(conf)]
        child = self._stack.enter_context(running(command, target_core(), folder / "said"))
        until(lambda: answers(port), child, "nginx")
        name = "nginx" if buffering and request_buffering else "nginx unbuffered"
        return Target(name, port, pid=child.pid, folder=folder)

    def gateway(self, provider: Target, shape: Shape | None = None) -> Target:
        """Kpgate before that provider."""
        shape = shape or Shape()
        folder = self._subfolder("kpgate")
        (folder / "kpgate.toml").write_text(settings(provider, shape))
        if shape.accounts:
            keys = keys_among(folder, shape.accounts, KEYS)
        else:
            keys = [make_key(folder)] if shape.governed else [""]
            if shape.credits:
                fund(folder, keys[0])
        port = free_port()
        core = target_core() if shape.pinned else every_core()
        command = serve_command(folder, port, shape.workers)
        child = self._stack.enter_context(running(command, core, folder / "log"))
        try:
            until(lambda: ready(port), child, "kpgate")
        except FailedToStart as error:
            raise FailedToStart(f"{error}: {(folder / 'log').read_text()[-2000:]}") from None
        return Target(shape.name, port, keys[0], child.pid, folder=folder, keys=keys)

    def _subfolder(self, name: str) -> Path:
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))


def _switch(on: bool) -> str:
    return "on" if on else "off"


def serve_command(folder: Path, port: int, workers: int = 1) -> list[str]:
    """The gateway's command, for a folder with a `kpgate.toml` in it."""
    given = ["--config", str(folder / "kpgate.toml"), "--data", str(folder / "data")]
    place = ["--host", "127.0.0.1", "--port", str(port), "--workers", str(workers)]
    return [sys.executable, "-m", "kpgate", "serve", *given, *place]


def settings(provider: Target, shape: Shape) -> str:
    """A `kpgate.toml` with all of governance on, or all of it off."""
    base = f"{'https' if provider.tls else 'http'}://127.0.0.1:{provider.port}/v1"
    ca = f'ca = "{provider.folder / "ca.pem"}"\n' if provider.tls else ""
    transport = "direct" if shape.lane else "granian"
    parts = [f"[server]\ntransport = '{transport}'\nhttp2 = {str(shape.http2).lower()}"]
    parts.append("inflight_max = 20000\ndrain_ready_s = 0\n")
    parts.append(
        f"[limits.key]{LIMITS}\n[limits.party]{LIMITS}\n[log]\nformat = 'json'\n" if shape.governed else OFF
    )
    connections = "connections_max = 20000\n"
    parts.append(f'[[providers]]\nname = "bench"\nbase_url = "{base}"\n{connections}{ca}')
    if shape.across:
        parts.append(
            f'[[providers]]\nname = "across"\ndialect = "anthropic"\nbase_url = "{base}"\n{connections}{ca}'
        )
    if shape.credits:
        parts.append("[ledger]\nenabled = true\n")
    price = "price = { input = 0.15, cached = 0.075, output = 0.6 }\n" if shape.credits else ""
    if shape.huge:
        base = f"http://127.0.0.1:{shape.huge}/v1"
        parts.append(f'[[providers]]\nname = "{HUGE_MODEL}"\nbase_url = "{base}"\n')
    for model in (MODEL, *shape.models, *shape.across, *[HUGE_MODEL] * bool(shape.huge)):
        provider_name = "across" if model in shape.across else HUGE_MODEL if model == HUGE_MODEL else "bench"
        deployment = f'{{ provider = "{provider_name}", model = "{model}" }}'
        parts.append(
            f'[[models]]\nname = "{model}"\nencoding = "o200k_base"\ndeployments = [{deployment}]\n{price}'
            + (f"[models.limits]{LIMITS}" if shape.governed else "")
        )
    return "\n".join(parts)


def make_key(folder: Path) -> str:
    """A key of the bench's own party."""
    command = [
        sys.executable,
        "-m",
        "kpgate",
        "keys",
        "create",
        "--data",
        str(folder / "data"),
        "--party",
        "bench",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise FailedToStart(f"no key could be made: {done.stderr[-2000:]}")
    return str(json.loads(done.stdout)["key"])


def fund(folder: Path, key: str) -> None:
    """Give the bench's party more than it can spend, and budgets that count every call."""
    account = [sys.executable, "-m", "kpgate", "account"]
    budget = [*account, "budget", "--day", "1000000000", "--month", "1000000000", "--total", "1000000000"]
    for command in (
        [*account, "credit", "bench", "1000000000"],
        [*budget, "--party", "bench"],
        [*budget, "--key", key.split("-")[2]],
    ):
        done = subprocess.run(
            [*command, "--data", str(folder / "data")],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise FailedToStart(f"no credit could be given: {done.stderr[-2000:]}")


def ready(port: int) -> bool:
    """Whether a gateway says that it is ready."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
