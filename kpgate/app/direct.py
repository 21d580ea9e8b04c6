"""The direct transport in a worker: HTTP/1.1 on a listener that was handed down, by the compiled lane.

It knows sockets and TLS; it knows neither gateway nor supervisor. What a request means is the application's.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast

from kpgate._fast.client import Client
from kpgate._fast.lane import Lane
from kpgate._fast.outbox import Outbox
from kpgate._fast.wait import Wheel
from kpgate.app.asgi import FAILED_BODY, JSON
from kpgate.app.bounds import Bounds
from kpgate.app.descriptors import connections_max
from kpgate.app.listeners import BACKLOG
from kpgate.domain.errors import REGISTRY
from kpgate.domain.proxy_protocol import read_proxy_header
from kpgate.domain.settings import Server, Tls

HANDSHAKE_S = 10.0
GOODBYE_S = 5.0


class Direct:
    """One listener's server. `listener` is a descriptor that becomes the server's own, to close when it stops.

    Shape: `before` is asked whether anything may be said yet.
    """

    def __init__(  # house: parameters - each is the worker's own, and there is one place that makes it
        self,
        serve: Callable[[Client], Awaitable[None]],
        listener: int,
        server: Server,
        *,
        wheel: Wheel,
        alarm: Callable[[BaseException], None],
        public: bool,
        before: Callable[[], bool] | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(fileno=listener)
        self._tls = tls_context(server.tls) if server.tls is not None and public else None
        self._stopping: asyncio.Future[None] = self._loop.create_future()
        self.lane = Lane(
            serve,
            wheel=wheel,
            loop=self._loop,
            outbox=Outbox(self._loop, before),
            error=lambda code, words: REGISTRY[code](words),
            alarm=alarm,
            failed=(500, [JSON], FAILED_BODY),
            clients_max=connections_max(),
            preamble=read_proxy_header if server.proxy_protocol and public else None,
        )

    def bound(self, bounds: Bounds) -> None:
        """Say how long clients may take."""
        self.lane.bound(
            head_us=bounds.head_us,
            idle_us=bounds.idle_us,
            body_idle_us=bounds.body_idle_us,
            write_stall_us=bounds.write_stall_us,
            bytes_a_second_min=bounds.bytes_a_second_min,
        )

    async def run(self, serving: Callable[[], None]) -> None:
        """Serve until `leave`; `serving` is called once connections are accepted. Open ones end first."""
        # uvloop wants `get_buffer` and no inheritance.
        factory = cast(Callable[[], asyncio.BaseProtocol], partial(Client, self.lane))
        # The loop's stub knows no socket together with an absent address.
        listen: Any = self._loop.create_server
        secure = self._tls is not None
        server = await listen(
            factory,
            sock=self._socket,
            ssl=self._tls,
            backlog=BACKLOG,
            ssl_handshake_timeout=HANDSHAKE_S if secure else None,
            ssl_shutdown_timeout=GOODBYE_S if secure else None,
        )
        serving()
        await self._stopping
        server.close()
        self.lane.drain()
        while self.lane.clients:
            await asyncio.sleep(0.02)

    def leave(self) -> None:
        """Accept no more connections and end once the open ones have."""
        if not self._stopping.done():
            self._stopping.set_result(None)


def tls_context(tls: Tls) -> ssl.SSLContext:
    """TLS 1.2 and later, with a client's certificate asked for where an authority is named.

    Errors: OSError, ssl.SSLError for files that cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(tls.cert, tls.key)
    context.set_alpn_protocols(["http/1.1"])
    if tls.client_ca:
        context.load_verify_locations(tls.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
