"""Amazon's binary event stream cut into its messages, however it arrives.

Owns the incomplete tail of one stream, and bounds it. Every message is held to both of its check sums. Knows nothing of
what messages say, but for which are exceptions.
Source: docs.aws.amazon.com, Lex V2 developer guide, "Event stream encoding"; smithy.io, "Amazon Event Stream
Specification" (checked November 2026).
"""

from functools import lru_cache
from struct import Struct
from zlib import crc32

from kpgate.domain.events import EVENT_BYTES_MAX, Event

PRELUDE = Struct(">III")
WORD = Struct(">I")
LEAST = PRELUDE.size + WORD.size
FAULT = b"!"
"""How the name of a message begins that is an exception or an error instead of an event."""

FIXED = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""The bytes of a header's value by its type; binary (6) and text (7) say theirs."""
TEXT = 7
KEPT_BYTES_MAX = 512
"""How long headers may be that are remembered."""


class Messages:
    """One stream's messages.

    Shape: `raw` is the bytes of the messages that the last `feed` gave.
    Units: a message of more than `bytes_max` is a ValueError.
    """

    __slots__ = ("_buffer", "_bytes_max", "_size", "raw")

    def __init__(self, bytes_max: int = EVENT_BYTES_MAX) -> None:
        self.raw = b""
        self._bytes_max = bytes_max
        self._buffer = bytearray()
        # The length of the message under way, 0 until its prelude is here.
        self._size = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """Take what arrived; the messages that are whole now, by their names.

        Errors: ValueError for one that is damaged or too long.
        """
        buffer = self._buffer
        buffer += chunk
        found: list[Event] = []
        done = 0
        while True:
            if not self._size:
                if len(buffer) - done < PRELUDE.size:
                    break
                self._size = self._measure(buffer, done)
            if len(buffer) - done < self._size:
                break
            found.append(_open(bytes(buffer[done : done + self._size])))
            done += self._size
            self._size = 0
        self.raw = bytes(buffer[:done])
        del buffer[:done]
        return found

    def finish(self) -> list[Event]:
        """The stream has ended. Errors: ValueError where it did within a message."""
        self.raw = b""
        if self._buffer:
            raise ValueError("it ended within a message")
        return []

    @property
    def pending(self) -> bool:
        """Whether a message has begun that is not whole."""
        return bool(self._buffer)

    def _measure(self, buffer: bytearray, at: int) -> int:
        """A message's length, by its prelude."""
        size, headers, check = PRELUDE.unpack_from(buffer, at)
        if crc32(buffer[at : at + 8]) != check:
            raise ValueError("a message's prelude is damaged")
        if size > self._bytes_max:
            raise ValueError(f"a message is longer than {self._bytes_max} bytes")
        if size < LEAST + headers:
            raise ValueError("a message is shorter than its headers")
        return int(size)


def _open(message: bytes) -> Event:
    """The name and payload of a whole message. Errors: ValueError for one that is damaged."""
    end = len(message) - WORD.size
    if crc32(message[:end]) != WORD.unpack_from(message, end)[0]:
        raise ValueError("a message is damaged")
    start = PRELUDE.size + PRELUDE.unpack_from(message)[1]
    block = message[PRELUDE.size : start]
    name, error = _kept(block) if len(block) <= KEPT_BYTES_MAX else _entitle(block)
    return name, message[start:end] if error is None else error


def _entitle(block: bytes) -> tuple[bytes, bytes | None]:
    """A message's name by its headers, and the text of an error, which stands there too. Errors: ValueError."""
    headers = _read_headers(block)
    kind = headers.get(b":message-type", b"event")
    if kind == b"event":
        return headers.get(b":event-type", b""), None
    if kind == b"exception":
        return FAULT + headers.get(b":exception-type", b""), None
    return FAULT + headers.get(b":error-code", b""), headers.get(b":error-message", b"")


# Those of all events of a kind are the same.
_kept = lru_cache(maxsize=64)(_entitle)


def _read_headers(block: bytes) -> dict[bytes, bytes]:
    """The headers that are texts. Errors: ValueError for a block that is cut short or of an unknown type."""
    found = {}
    at, size = 0, len(block)
    while at < size:
        name_end = at + 1 + block[at]
        if name_end >= size:
            raise ValueError("a message's headers are cut short")
        kind, value = block[name_end], name_end + 1
        length = FIXED.get(kind)
        if length is None:
            if kind not in (6, TEXT) or value + 2 > size:
                raise ValueError("a message's header has no such type")
            length = int.from_bytes(block[value : value + 2], "big")
            value += 2
        end = value + length
        if end > size:
            raise ValueError("a message's headers are cut short")
        if kind == TEXT:
            found[block[at + 1 : name_end]] = block[value:end]
        at = end
    return found
