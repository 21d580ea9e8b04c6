"""What supervisor and children say to each other: JSON lines over a socket pair, one message a line.

It knows neither side. The closing of the pair is a message too: the other process is gone.
"""

import os
import select
import socket
from typing import Any

import msgspec

LINE_BYTES_MAX = 64 * 1024 * 1024
READ_BYTES = 256 * 1024


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a child is started for. It holds references to secrets, never secrets.

    Shape: `settings` is the encoded configuration in force; `listeners` are inherited descriptors, of which
    the second, if any, is the admin listener's; `overrides` are the command line's settings by dotted path.
    """

    seat: int
    seats: int
    data: str
    region: str
    settings: msgspec.Raw
    config: str | None = None
    overrides: dict[str, Any] = msgspec.field(default_factory=dict)
    demo: bool = False
    listeners: tuple[int, ...] = ()
    builder: str = ""


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line: something to `do`, or something somebody `did`.

    To a child: serve (order), prepare (turn, settings), swap (turn), forget (turn), drain, stop (within_us),
    reloaded (turn, problems). From a child: ready, failed (problems), beat, prepare and swap done (turn,
    problems), and `do` reload (turn), which is the child's own number for its question. What failed is `final` where
    trying again is of no use.
    """

    do: str = ""
    did: str = ""
    turn: int = 0
    within_us: int = 0
    problems: tuple[str, ...] = ()
    final: bool = False
    settings: msgspec.Raw = msgspec.Raw(b"null")
    order: Order | None = None


class Channel:
    """One end of the pair. Nothing here blocks: what does not fit now is sent by `flush` when there is room."""

    def __init__(self, pair_end: socket.socket) -> None:
        pair_end.setblocking(False)
        self.socket = pair_end
        self._out = bytearray()
        self._in = bytearray()
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(Message)

    def fileno(self) -> int:
        """For selectors."""
        return self.socket.fileno()

    @property
    def full(self) -> bool:
        """Whether something is left for `flush`."""
        return bool(self._out)

    def send(self, message: Message) -> None:
        """Send a message, or as much of it as fits; what is said to the dead is lost."""
        self._out += self._encoder.encode(message)
        self._out += b"\n"
        self.flush()

    def flush(self) -> None:
        """Send on."""
        try:
            while self._out:
                del self._out[: self.socket.send(self._out)]
        except BlockingIOError:
            return
        except OSError:
            self._out.clear()

    def receive(self) -> list[Message] | None:
        """The messages that have come in whole; None when the other side is gone.

        Errors: msgspec.DecodeError for what is no message.
        """
        try:
            while piece := self.socket.recv(READ_BYTES):
                self._in += piece
        except BlockingIOError:
            pass
        except OSError:
            return None
        else:
            return None
        *lines, rest = self._in.split(b"\n")
        if len(rest) > LINE_BYTES_MAX:
            return None
        self._in = bytearray(rest)
        return [self._decoder.decode(line) for line in lines]

    def close(self) -> None:
        """Be gone."""
        self.socket.close()


def first_order(channel: Channel) -> tuple[Order, list[Message]]:
    """The order, and what was said right after it. A supervisor that dies before it has said one ends this."""
    while True:
        select.select([channel], [], [])
        messages = channel.receive()
        if messages is None:
            os._exit(0)
        if messages and messages[0].order is not None:
            return messages[0].order, messages[1:]
