"""Granian, embedded in a worker: its settings from ours, on a listener that was handed down.

It knows sockets, TLS and what Granian can bound; it knows neither gateway nor supervisor.
Source: granian.server.embed 2.8 (November 2026); docs/decisions/0003-own-supervisor.md.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from granian._granian import ASGIWorker, CallbackScheduler
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings, HTTP2Settings
from granian.log import LogLevels
from granian.net import SocketHolder  # type: ignore[attr-defined]
from granian.server import embed

from kpgate.app.asgi import Transport
from kpgate.app.bounds import Bounds
from kpgate.app.descriptors import connections_max
from kpgate.app.listeners import BACKLOG
from kpgate.app.logs import LogWriter
from kpgate.domain.settings import Server

HEAD_BYTES_MAX = 65_536
STREAMS_MAX = 200
EXPERIMENTAL = "Embedded server is experimental!"


class Embedded(embed.Server):
    """One listener's server. `listener` is a descriptor that becomes the server's own, to close when it stops."""

    def __init__(self, transport: Transport, listener: int, server: Server, *, tls: bool) -> None:
        certificates = server.tls if tls else None
        super().__init__(
            target=transport,
            interface=Interfaces.ASGINL,
            # HTTP/1.1 alone bounds silent connections; `auto` never closes one that sends nothing.
            http=HTTPModes.auto if server.http2 else HTTPModes.http1,
            websockets=False,
            backlog=BACKLOG,
            backpressure=connections_max(),
            http1_settings=HTTP1Settings(
                header_read_timeout=int(server.head_or_idle_s * 1000), max_buffer_size=HEAD_BYTES_MAX
            ),
            http2_settings=HTTP2Settings(max_concurrent_streams=STREAMS_MAX, max_headers_size=HEAD_BYTES_MAX),
            log_level=LogLevels.warning,
            log_dictconfig=_LOGGING,
            ssl_cert=Path(certificates.cert) if certificates else None,
            ssl_key=Path(certificates.key) if certificates else None,
            ssl_protocol_min=SSLProtocols.tls12,
            ssl_ca=Path(certificates.client_ca) if certificates and certificates.client_ca else None,
            ssl_client_verify=bool(certificates and certificates.client_ca),
        )
        self._listener = listener

    def _init_shared_socket(self) -> None:
        # Granian's stub of the holder is older than the holder.
        self._shd: Any = SocketHolder(self._listener, False, self.backlog)  # type: ignore[call-arg]

    async def run(self, serving: Callable[[], None]) -> None:
        """Serve until `stop`; `serving` is called once connections are accepted. Open ones end first."""

        async def spawn(number: int, ended: Any, transport: Transport, *options: Any) -> None:
            crossing = transport.crossing
            stopped = crossing.loop.create_future()
            ended.add_cb(lambda: crossing.loop.call_soon_threadsafe(stopped.set_result, None))
            scheduler = _scheduler(transport)
            _worker(number, *options).serve_async(scheduler, crossing, ended)
            serving()
            await stopped

        await self.serve(spawn_target=cast(Callable[..., None], spawn))

    def bound(self, bounds: Bounds) -> None:
        """Its transport has the worker's own, which a reload changes."""

    def leave(self) -> None:
        """Accept no more connections and end once the open ones have."""
        self.stop()  # type: ignore[no-untyped-call]


def _scheduler(transport: Transport) -> Any:
    """What Granian calls for each request: the transport itself, where Granian's own would make a task first."""
    scheduler: Any = CallbackScheduler(transport.crossing, None, None, None, None)  # type: ignore[call-arg]
    scheduler._schedule_fn = transport.take
    return scheduler


def _worker(number: int, sockets: Any, *options: Any) -> Any:
    """Granian's threads and their listener, from what its own way of starting them is told, in that order."""
    counts, (_, *http, _, tls, _) = options[:5], options[5:]
    make: Any = ASGIWorker
    return make(number, sockets, None, *counts, *http, *tls, (None, None))


class GranianLines(logging.Handler):
    """Granian's warnings and errors, as lines of the worker's log."""

    def __init__(self, log: LogWriter) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        said = record.getMessage()
        if said != EXPERIMENTAL:
            self._log.event("server", level=record.levelname.lower(), message=said[:2000])


def log_to(log: LogWriter) -> None:
    """Send what Granian has to say to the worker's log. Order: after the servers were made."""
    logger = logging.getLogger("_granian")
    logger.handlers = [GranianLines(log)]


_LOGGING: dict[str, Any] = {"version": 1, "disable_existing_loggers": False, "loggers": {}}
