"""Sends alerts: one POST each, signed, within a total time. It follows no redirect and believes nothing but a status.

The work that blocks is a thread's, one at a time; whoever waits for it can cut it off.
"""

import asyncio
import http.client
import socket
import ssl
import time
from contextlib import suppress
from urllib.parse import urlsplit

from kpgate.domain.webhook import sign

TIMEOUT_S = 10.0


class Messenger:
    """A receiver of alerts, and the key that they are signed with."""

    def __init__(self, url: str, key: bytes) -> None:
        self._url = urlsplit(url)
        self._key = key
        self._connection: http.client.HTTPConnection | None = None

    async def send(self, alert: str, body: bytes) -> str:
        """Send a message; why it was not taken in, or nothing. It takes TIMEOUT_S at most."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await asyncio.to_thread(self._send, alert, body)
        except TimeoutError:
            return f"no answer within {TIMEOUT_S:g} s"
        finally:
            self.cut()

    def cut(self) -> None:
        """Have what is under way end now."""
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
        made = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        if url.scheme == "https":
            made = http.client.HTTPSConnection(
                host, port, timeout=TIMEOUT_S, context=ssl.create_default_context()
            )
        self._connection = made
        try:
            made.request("POST", url.path or "/", body, headers)
            status = made.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        finally:
            made.close()
        return "" if 200 <= status < 300 else f"status {status}"
