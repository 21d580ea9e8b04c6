"""One process that must always run: how it is started, heard, and started again when it dies.

It knows nothing of what the process does. Times are passed in. Units: `_s` seconds, monotonic.
"""

import os
import signal
import site
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import kpgate
from kpgate.app.channel import Channel, Message, Order

PAUSE_MIN_S = 0.1
PAUSE_MAX_S = 5.0
WELL_AFTER_S = 10.0
TERMINAL_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Slot:
    """One worker's or the clerk's place, whoever fills it.

    `listeners` stay open here for as long as the service lasts: connections wait for the next process.
    """

    def __init__(self, name: str, module: str, seat: int, listeners: Sequence[socket.socket] = ()) -> None:
        self.name = name
        self.module = module
        self.seat = seat
        self.listeners = tuple(listeners)
        self.process: subprocess.Popen[bytes] | None = None
        self.channel: Channel | None = None
        self.ready = False
        self.turn = 0
        self.heard_s = 0.0
        self.start_at_s: float | None = 0.0
        self._started_s = 0.0
        self._pause_s = 0.0

    def start(self, order: Order, turn: int, now_s: float) -> Channel:
        """Start the process and give it its order; `turn` numbers the settings in it.

        Errors: OSError when the system has no room for a process.
        """
        ours, theirs = socket.socketpair()
        kept = [theirs.fileno(), *order.listeners]
        # What the terminal sends is the supervisor's business, from the first instruction on.
        signal.pthread_sigmask(signal.SIG_BLOCK, TERMINAL_SIGNALS)
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", self.module, str(theirs.fileno()), self.name],
                stdin=subprocess.DEVNULL,
                env=_environ(),
                pass_fds=kept,
            )
        except OSError:
            ours.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, TERMINAL_SIGNALS)
            theirs.close()
        self.channel = Channel(ours)
        self.channel.send(Message(do="serve", order=order))
        self.ready = False
        self.turn = turn
        self.start_at_s = None
        self._started_s = self.heard_s = now_s
        return self.channel

    def say(self, message: Message) -> None:
        """Tell the process something, if there is one."""
        if self.channel is not None:
            self.channel.send(message)

    def lost(self, now_s: float) -> float:
        """The process is dead. Returns how long to pause before the next: at once, then 0.1 s doubling to 5 s."""
        assert self.channel is not None, "only what was started is lost"
        self.channel.close()
        self.channel = self.process = None
        self.ready = False
        if now_s - self._started_s >= WELL_AFTER_S:
            self._pause_s = 0.0
        pause_s = self._pause_s
        self._pause_s = min(PAUSE_MAX_S, max(PAUSE_MIN_S, pause_s * 2))
        self.start_at_s = now_s + pause_s
        return pause_s

    def kill(self) -> None:
        """End the process at once."""
        if self.process is not None:
            self.process.kill()

    def close(self) -> None:
        """Close the listeners: nobody will serve them any more."""
        for listener in self.listeners:
            listener.close()


def _environ() -> dict[str, str]:
    """This environment, by which the child finds the same kpgate without looking into the working directory."""
    environ = dict(os.environ)
    root = str(Path(kpgate.__file__).parents[1])
    if root not in (*site.getsitepackages(), site.getusersitepackages()):
        environ["PYTHONPATH"] = os.pathsep.join(filter(None, (root, environ.get("PYTHONPATH"))))
    return environ
