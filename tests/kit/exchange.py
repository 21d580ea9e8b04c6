"""An exchange without a socket: what a client would have seen, and knobs for how it behaves."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from time import monotonic_ns

from kpgate._fast.head import gather
from kpgate._fast.wait import Wait
from kpgate.domain.errors import ClientGone
from kpgate.services.exchange import Header, Sink

SDK_HEADERS: list[Header] = [
    (b"host", b"localhost:8080"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"connection", b"keep-alive"),
    (b"accept", b"application/json"),
    (b"content-type", b"application/json"),
    (b"user-agent", b"OpenAI/Python 3.54.0"),
]


class FakeExchange:
    """A client in memory. `slow` makes every write wait for `let_through`."""

    def __init__(
        self, path: bytes, body: bytes = b"", headers: Sequence[Header] = (), method: str = "POST"
    ) -> None:
        self.method = method
        self.path = path
        self.query = b""
        self.peer = "127.0.0.1"
        self.received_us = monotonic_ns() // 1000
        self.headers = [*SDK_HEADERS, *headers]
        self.head = gather(self.headers)
        self.gone = False
        self.slow: Wait | None = None
        self.status = 0
        self.reply_headers: dict[bytes, bytes] = {}
        self.sent: deque[bytes] = deque()
        self.finished = False
        self.aborted = False
        self.replies = 0
        self._body = body
        self._leave: Callable[[], None] | None = None

    @property
    def body(self) -> bytes:
        """Everything the client has received."""
        return b"".join(self.sent)

    def walk_away(self) -> None:
        """The client closes its connection."""
        self.gone = True
        if self.slow is not None:
            self.slow.fail(ClientGone("the client left"))
        if self._leave is not None:
            self._leave()

    def watch(self, leave: Callable[[], None]) -> None:
        self._leave = leave

    def take_body(self, bytes_max: int) -> bytes | None:
        return self._body

    async def read_body(self, bytes_max: int) -> bytes:
        return self._body

    async def peek(self, seen: int, bytes_max: int) -> bytes:
        return self._body

    def pour(self, sink: Sink | None, seen: int = 0) -> None:
        if sink is not None:
            sink.take(self._body[seen:], True)

    def follow(self) -> None:
        """It was all given at once."""

    def reply(self, status: int, headers: Iterable[Header], body: bytes) -> None:
        self.replies += 1
        self.status = status
        self.reply_headers = dict(headers)
        self.sent.append(body)
        self.finish()

    def open(self, status: int, headers: Iterable[Header]) -> None:
        self.replies += 1
        self.status = status
        self.reply_headers = dict(headers)

    def write(self, chunk: bytes) -> bool:
        self.sent.append(chunk)
        return self.slow is None

    async def room(self) -> None:
        if self.slow is not None:
            await self.slow

    def finish(self) -> None:
        self.finished = True
        self._leave = None

    def abort(self) -> None:
        self.aborted = True
        self._leave = None
