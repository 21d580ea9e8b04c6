"""The built-in `echo` provider at work: what the upstream service sees of it is a pool and a connection."""

from kpgate.dialects.openai.echo import Vocabulary, answer
from kpgate.dialects.openai.reply import CONTENT_TYPE, encode_error
from kpgate.domain.errors import InvalidRequest


class EchoConnection:
    """One call to the echo model. Order: as `_fast.http1.Connection`."""

    retry_after: bytes | None = None
    passed: tuple[tuple[bytes, bytes], ...] = ()

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.status = 200
        self.content_type: bytes | None = None
        self._vocabulary = vocabulary
        self._pieces: list[bytes] = []

    def send(self, head: bytes, body: bytes) -> None:
        """Ask it; a mistake of the caller's is its answer. Shape: the head's first line names the path."""
        path = head.split(b" ", 2)[1].decode()
        try:
            self.content_type, pieces = answer(path, body, self._vocabulary)
        except InvalidRequest as error:
            self.status, self.content_type, pieces = error.status, CONTENT_TYPE, [encode_error(error, "")]
        self._pieces = pieces[::-1]

    async def head(self) -> None:
        """Its head is there at once."""

    def take_whole(self) -> bytes | None:
        """The whole reply."""
        return b"".join(reversed(self._pieces))

    async def whole(self, bytes_max: int) -> bytes:
        """The whole reply."""
        return b"".join(reversed(self._pieces))

    async def chunk(self) -> bytes:
        """The next event, empty at the end."""
        return self._pieces.pop() if self._pieces else b""

    def hold(self) -> None:
        """It speaks only when asked."""

    def fail(self, error: BaseException) -> None:
        """Stop talking."""
        self._pieces.clear()


class EchoPool:
    """A pool that never runs out."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def take(self) -> EchoConnection:
        """A connection."""
        return EchoConnection(self._vocabulary)

    def give(self, connection: EchoConnection) -> None:
        """Nothing to keep."""

    def close(self) -> None:
        """Nothing to close."""
