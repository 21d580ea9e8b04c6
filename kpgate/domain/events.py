"""An event stream cut into its events, however it arrives.

Owns the incomplete tail of one stream, and bounds it. Knows nothing of what events say.
Source: WHATWG HTML, server-sent events, "event stream interpretation" (checked November 2026).
"""

import re

EVENT_BYTES_MAX = 1 << 20

Event = tuple[bytes, bytes]
"""Name, empty for none, and data, whose lines are joined by LF."""

_STOP = re.compile(rb"[\r\n]")
_BOM = b"\xef\xbb\xbf"


class Events:
    """One stream's events.

    Shape: `raw` is the bytes of the events that the last `feed` or `finish` gave, blank lines included.
    Units: an event of more than `bytes_max` is a ValueError.
    """

    __slots__ = ("_buffer", "_bytes_max", "_fresh", "_line", "_name", "_seen", "_values", "raw")

    def __init__(self, bytes_max: int = EVENT_BYTES_MAX) -> None:
        self.raw = b""
        self._bytes_max = bytes_max
        self._buffer = bytearray()
        self._fresh = True
        # Where the line under way begins, and how far it has been looked at.
        self._line = self._seen = 0
        self._name = b""
        self._values: list[bytes] = []

    def feed(self, chunk: bytes) -> list[Event]:
        """Take what arrived; the events that are whole now.

        Errors: ValueError for an event that is too long.
        """
        buffer = self._buffer
        if not buffer and len(chunk) <= self._bytes_max:
            if chunk[-2:] == b"\n\n" and b"\r" not in chunk:
                self.raw = chunk
                return self._whole(chunk)
            if chunk[-4:] == b"\r\n\r\n":
                end = len(chunk) - 4
                self.raw = chunk
                if chunk[:6] == b"data: " and chunk.find(b"\r") == end and chunk.find(b"\n") == end + 1:
                    self._fresh = False
                    return [(b"", chunk[6:end])]
                if chunk.count(b"\r") == chunk.count(b"\n") == chunk.count(b"\r\n"):
                    return self._whole(chunk.replace(b"\r\n", b"\n"))
        buffer += chunk
        size, done, line, seen = len(buffer), 0, self._line, self._seen
        found: list[Event] = []
        while (match := _STOP.search(buffer, seen)) is not None:
            stop = match.start()
            after = stop + 1
            if buffer[stop] == 13:
                if after == size:
                    # An LF that belongs to it may still come.
                    size = stop
                    break
                after += buffer[after] == 10
            if stop > line:
                self._take(bytes(buffer[line:stop]))
            else:
                self._dispatch(found)
                done = after
            line = seen = after
        # A match keeps its buffer from shrinking.
        match = None
        self.raw = bytes(buffer[:done])
        del buffer[:done]
        self._line, self._seen = line - done, size - done
        if len(buffer) > self._bytes_max:
            raise ValueError(f"an event is longer than {self._bytes_max} bytes")
        return found

    def _whole(self, chunk: bytes) -> list[Event]:
        """The events of a chunk that begins and ends with one, as most do. Shape: every line ends with LF."""
        found: list[Event] = []
        for block in chunk[:-2].split(b"\n\n"):
            name, data = b"", block
            if block[:7] == b"event: ":
                name, _, data = block[7:].partition(b"\n")
            if data[:6] == b"data: " and b"\n" not in data:
                found.append((name, data[6:]))
                self._fresh = False
                continue
            for line in block.split(b"\n"):
                if line:
                    self._take(line)
            self._dispatch(found)
        return found

    def finish(self) -> list[Event]:
        """The stream has ended: an event that no blank line closed."""
        found: list[Event] = []
        rest = bytes(self._buffer[self._line :]).removesuffix(b"\r")
        if rest:
            self._take(rest)
        self._dispatch(found)
        self.raw = bytes(self._buffer)
        self._buffer.clear()
        self._line = self._seen = 0
        return found

    @property
    def pending(self) -> bool:
        """Whether an event has begun that is not whole."""
        return bool(self._buffer)

    def _take(self, line: bytes) -> None:
        """One line that is not blank."""
        if self._fresh:
            self._fresh = False
            line = line.removeprefix(_BOM)
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._values.append(value)
        elif field == b"event":
            self._name = value

    def _dispatch(self, found: list[Event]) -> None:
        """A blank line: the event is whole, if it has data."""
        values = self._values
        if values:
            found.append((self._name, values[0] if len(values) == 1 else b"\n".join(values)))
            self._values = []
        self._name = b""
