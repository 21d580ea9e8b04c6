"""How long from the command to the first answered chat call: with an empty data directory, and again.

Owns the clock and the folder; the provider is up before.
"""

import contextlib
import socket
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter, sleep

from bench.client import request
from bench.load import Failed, chat
from bench.processes import PATIENCE_S, free_port, running, target_core
from bench.results import Cell, Goal, Result, Table
from bench.target import Lab, Shape, Target, make_key, serve_command, settings

METHOD = (
    "From starting the process to the last byte of the first chat call answered 200, asked for every 2 ms; governed, "
    "one worker on one core. `first` has a data directory that no gateway has run in (a key was made), `after` is the "
    "same directory again. The interpreter's own caches are warm in both.",
)


def until_answered(folder: Path, key: str) -> float:
    """Start, ask until it answers, stop. Units: seconds."""
    port = free_port()
    message = request(Target("kpgate", port, key), chat())
    began = perf_counter()
    with running(serve_command(folder, port), target_core(), folder / "log") as child:
        while True:
            if child.poll() is not None or perf_counter() - began > PATIENCE_S:
                raise Failed(f"no answer: {(folder / 'log').read_text()[-1000:]}")
            if _answered(port, message):
                return perf_counter() - began
            sleep(0.002)


def _answered(port: int, message: bytes) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as one:
        one.sendall(message)
        return one.recv(4096).startswith(b"HTTP/1.1 200")
    return False


def measure(rounds: int) -> Result:
    """Every figure of this module."""
    first, after = [], []
    with Lab() as lab:
        provider = lab.provider()
        for _ in range(rounds):
            folder = Path(tempfile.mkdtemp(dir=lab.folder))
            (folder / "kpgate.toml").write_text(settings(provider, Shape()))
            key = make_key(folder)
            first.append(until_answered(folder, key))
            after.append(until_answered(folder, key))
    rows: list[list[Cell]] = [
        [name, min(times), median(times), max(times)] for name, times in (("first", first), ("after", after))
    ]
    return Result(
        "start",
        "Start to first answer",
        METHOD,
        goals=(
            Goal("start to first answer, first time", median(first), "at most", 1.5, "s"),
            Goal("start to first answer, after", median(after), "at most", 0.8, "s"),
        ),
        tables=(Table(f"Seconds, {rounds} rounds", ["start", "least", "median", "most"], rows),),
    )
