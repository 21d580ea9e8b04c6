"""The built-in `echo` provider at work: what the upstream service sees of it is a pool and a connection."""

from typing import Any

from kpgate._fast.http1 import Connection
from kpgate._fast.wait import Wait
from kpgate.dialects.openai.echo import Vocabulary, answer
from kpgate.dialects.openai.reply import CONTENT_TYPE, encode_error
from kpgate.domain.errors import InvalidRequest
from kpgate.services.pool import Pool


class EchoConnection(Connection):
    """One call to the echo model, without a socket."""

    def __init__(self, vocabulary: Vocabulary, loop: object) -> None:
        super().__init__(loop)
        self.status = 200
        self._vocabulary = vocabulary
        self._said: list[bytes] = []

    def send(self, head: bytes, body: Any = None) -> None:
        """Ask it; a mistake of the caller's is its answer. Shape: the head's first line names the path."""
        path = head.split(b" ", 2)[1].decode()
        try:
            self.content_type, pieces = answer(path, body, self._vocabulary)
        except InvalidRequest as error:
            self.status, self.content_type, pieces = error.status, CONTENT_TYPE, [encode_error(error, "")]
        self._said = pieces[::-1]

    def head(self) -> Wait:
        """Its head is there at once."""
        return self._ready(None)

    def take_whole(self) -> bytes | None:
        """The whole reply."""
        return b"".join(reversed(self._said))

    def whole(self, bytes_max: int) -> Wait:
        """The whole reply."""
        return self._ready(self.take_whole())

    def chunk(self) -> Wait:
        """The next event, empty at the end."""
        return self._ready(self._said.pop() if self._said else b"")

    def hold(self) -> None:
        """It speaks only when asked."""

    def fail(self, error: BaseException) -> None:
        """Stop talking."""
        self._said.clear()

    def _ready(self, value: object) -> Wait:
        """A wait that is over."""
        wait = Wait(self.loop)
        wait.resolve(value)
        return wait


class EchoPool(Pool):
    """A pool that never runs out, and has no socket: nothing else of a pool's is used."""

    def __init__(self, vocabulary: Vocabulary, loop: Any) -> None:
        # A pool's own __init__ is not needed: nothing is kept.
        self._vocabulary = vocabulary
        self._loop = loop

    def take(self) -> EchoConnection:
        """A connection."""
        return EchoConnection(self._vocabulary, self._loop)

    def give(self, connection: Connection) -> None:
        """Nothing to keep."""

    def close(self) -> None:
        """Nothing to close."""
