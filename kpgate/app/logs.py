"""Where log lines go: a bounded buffer and a thread of its own, so that a full pipe never stops the loop."""

import os
import select
import stat
import threading
from collections.abc import Iterator
from typing import Any

import orjson

BUFFER_BYTES_MAX = 8 * 1024 * 1024
KICK_BYTES = 256 * 1024


class LogWriter:
    """Writes lines to a descriptor, in order. Lines beyond the buffer are dropped and counted.

    Lines are handed to the thread by `kick`, ten times a second, and at once when many have gathered: waking a
    thread for each line would cost more than the line. Into a pipe, which all workers share, only so much goes at
    once as the system keeps together: no line is torn by another worker's, unless it is longer than that.
    Units: `buffer_bytes_max` bytes.
    """

    def __init__(self, descriptor: int = 2, buffer_bytes_max: int = BUFFER_BYTES_MAX) -> None:
        self.dropped = 0
        self._descriptor = descriptor
        self._together = select.PIPE_BUF if stat.S_ISFIFO(os.fstat(descriptor).st_mode) else 0
        self._max = buffer_bytes_max
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._queued_bytes = 0
        self._queue: list[list[bytes]] = []
        self._more = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Take a line, without its newline. Never waits."""
        if self._gathered_bytes + self._queued_bytes + len(line) > self._max:
            self.dropped += 1
            return
        self._gathered.append(line)
        self._gathered_bytes += len(line) + 1
        if self._gathered_bytes > KICK_BYTES:
            self.kick()

    def event(self, name: str, **fields: Any) -> None:
        """Take a line that is not a request's."""
        self.write(orjson.dumps({"event": name, **fields}, default=str))

    def kick(self) -> None:
        """Hand what has gathered to the thread."""
        if self._gathered:
            self._queued_bytes += self._gathered_bytes
            self._queue.append(self._gathered)
            self._gathered, self._gathered_bytes = [], 0
            self._more.set()

    def close(self) -> None:
        """Write what is left, for two seconds at most, and stop."""
        self.kick()
        self._closing = True
        self._more.set()
        self._thread.join(timeout=2)

    def _run(self) -> None:
        while not self._closing or self._queue:
            self._more.wait()
            self._more.clear()
            while self._queue:
                lines = self._queue.pop(0)
                self._queued_bytes -= sum(map(len, lines)) + len(lines)
                try:
                    for data in self._pieces(lines):
                        while data:
                            data = data[os.write(self._descriptor, data) :]
                except OSError:
                    self.dropped += len(lines)

    def _pieces(self, lines: list[bytes]) -> Iterator[memoryview]:
        """What is written at once: everything, or as many whole lines as a pipe keeps together."""
        begin = size = 0
        for number, line in enumerate(lines):
            if self._together and size and size + len(line) + 1 > self._together:
                yield memoryview(b"\n".join([*lines[begin:number], b""]))
                begin, size = number, 0
            size += len(line) + 1
        yield memoryview(b"\n".join([*lines[begin:], b""]))
