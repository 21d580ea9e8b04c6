"""Sends alerts: one POST each, signed, within a total time. It follows no redirect and believes nothing but a status.

The work that blocks is a thread's, one at a time. Nobody waits for one that hangs: not the next message, not the end.
"""

import asyncio
import http.client
import socket
import ssl
import threading
import time
from contextlib import suppress
from urllib.parse import urlsplit

from kpgate.domain.webhook import sign

TIMEOUT_S = 10.0


class Messenger:
    """A receiver of alerts, and the key that they are signed with. Units: `timeout_s` seconds for one message."""

    def __init__(self, url: str, key: bytes, timeout_s: float = TIMEOUT_S) -> None:
        self._url = urlsplit(url)
        self._key = key
        self._timeout_s = timeout_s
        self._connection: http.client.HTTPConnection | None = None
        self._thread: threading.Thread | None = None

    async def send(self, alert: str, body: bytes) -> str:
        """Send a message; why it was not taken in, or nothing."""
        if self._thread is not None and self._thread.is_alive():
            return "the message before has not ended"
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[str] = loop.create_future()

        def tell(said: str) -> None:
            # Whoever asked may have left.
            if not answered.done():
                answered.set_result(said)

        def work() -> None:
            said = self._send(alert, body)
            # The loop may have ended meanwhile.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(tell, said)

        self._thread = threading.Thread(target=work, name="messenger", daemon=True)
        self._thread.start()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await answered
        except TimeoutError:
            return f"no answer within {self._timeout_s:g} s"
        finally:
            self._cut()

    def _cut(self) -> None:
        """Have what is under way end now, so far as there is a connection."""
        if self._connection is not None and self._connection.sock is not None:
            with suppress(OSError):
                self._connection.sock.shutdown(socket.SHUT_RDWR)

    def _send(self, alert: str, body: bytes) -> str:
        url, sent_s = self._url, int(time.time())
        headers = {
            "content-type": "application/json",
            "user-agent": "kpgate",
            "webhook-id": alert,
            "webhook-timestamp": str(sent_s),
            "webhook-signature": sign(self._key, alert.encode(), sent_s, body),
        }
        host, port = url.hostname or "", url.port
        made = http.client.HTTPConnection(host, port, timeout=self._timeout_s)
        if url.scheme == "https":
            made = http.client.HTTPSConnection(
                host, port, timeout=self._timeout_s, context=ssl.create_default_context()
            )
        self._connection = made
        try:
            made.request("POST", url.path or "/", body, headers)
            status = made.getresponse().status
        except (OSError, http.client.HTTPException, ValueError) as error:
            return type(error).__name__
        finally:
            made.close()
        return "" if 200 <= status < 300 else f"status {status}"
