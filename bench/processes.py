"""Processes under test: started on cores of their own, always ended, and read from /proc.

Knows nothing of what they do. A figure of a target is that of all its processes together.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep

TICKS = os.sysconf("SC_CLK_TCK")
CORES = tuple(sorted(os.sched_getaffinity(0)))
PATIENCE_S = 30.0
STOP_S = 10.0


class FailedToStart(Exception):
    """A process under test did not come up."""


def settle() -> None:
    """Hold this process to the load's core: for benchmarks whose client is this process."""
    core = load_core()
    if core is not None:
        os.sched_setaffinity(0, {core})


def load_core() -> int | None:
    """Where load and provider run; None where there is one core only, and nothing is pinned."""
    return CORES[0] if len(CORES) > 1 else None


def target_core() -> int | None:
    """Where what is measured runs; None where there is one core only."""
    return CORES[1] if len(CORES) > 1 else None


def every_core() -> str:
    """All cores, also for children of a process that is held to one."""
    return ",".join(map(str, CORES))


def pinned(command: list[str], core: int | str | None) -> list[str]:
    """That command, held to a core where there is a choice."""
    if core is None or shutil.which("taskset") is None:
        return command
    return ["taskset", "-c", str(core), *command]


def yielding(command: list[str]) -> list[str]:
    """That command, run where nobody else on its core wants to."""
    return command if shutil.which("nice") is None else ["nice", "-n", "19", *command]


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(
    command: list[str], core: int | str | None = None, said: Path | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process for the time of a `with`, in a group of its own that is gone afterwards.

    Shape: `said` takes standard error, and is None to drop it; standard output is a pipe.
    """
    with contextlib.ExitStack() as stack:
        errors = stack.enter_context(said.open("wb")) if said else subprocess.DEVNULL
        child = subprocess.Popen(
            pinned(command, core),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        try:
            yield child
        finally:
            _end(child)


def _end(child: "subprocess.Popen[bytes]") -> None:
    group = family(child.pid)
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    if child.stdout:
        child.stdout.close()
    for pid in group:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def until(ready: Callable[[], bool], child: "subprocess.Popen[bytes]", what: str) -> None:
    """Wait until it is ready. Errors: FailedToStart if it ends or takes too long."""
    end = monotonic() + PATIENCE_S
    while not ready():
        if child.poll() is not None or monotonic() > end:
            raise FailedToStart(f"{what} did not come up (exit code {child.poll()})")
        sleep(0.005)


def answers(port: int) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for one in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                found.extend(int(child) for child in (task / "children").read_text().split())
    return found


def cpu_s(pids: list[int]) -> float:
    """CPU that those processes have used, user and system. Units: seconds."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / TICKS


def rss_bytes(pids: list[int]) -> int:
    """Resident memory, shared pages counted in each."""
    return 1024 * sum(_status_kb(pid, "status", "VmRSS:") for pid in pids)


def pss_bytes(pids: list[int]) -> int:
    """Resident memory, shared pages divided among their sharers."""
    return 1024 * sum(_status_kb(pid, "smaps_rollup", "Pss:") for pid in pids)


def _status_kb(pid: int, file: str, name: str) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1])
    return 0
