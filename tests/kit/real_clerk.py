"""A real clerk for tests: a process on a small node of its own."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kpgate._fast.commit import Life, Region, Seat
from kpgate._fast.limit import Limits, areas
from kpgate.app.clerk import Clerk
from kpgate.app.control import Control, new_id
from kpgate.app.directory import Directory
from kpgate.domain.management import Answer, Ping, build

ROOT = Path(__file__).parents[2]
CLERK_SEAT = 15


class Gateway:
    """A data directory with a region, as a supervisor keeps it, and a clerk that can be killed."""

    def __init__(self, root: Path) -> None:
        self.directory = Directory(root / "data")
        self.lock = self.directory.join(alone=False)
        self.region = Region.create(areas(keys=4096, parties=64, models=8, deployments=8, calls=64), 16)
        self.control = Control(self.directory)
        self.clerk: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the clerk and wait until it answers."""
        command = [sys.executable, "-W", "error", "-m", "tests.kit.real_clerk"]
        command += [str(self.directory.root), self.region.path]
        self.clerk = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
        self.ask(Ping)

    def kill(self) -> None:
        """Kill it as the system would."""
        assert self.clerk is not None
        self.clerk.kill()
        self.clerk.communicate()

    def stop(self) -> str:
        """Ask it to leave; what it wrote on standard error."""
        assert self.clerk is not None
        self.clerk.terminate()
        return self.clerk.communicate(timeout=10)[1].decode()

    def sit(self, index: int) -> Limits:
        """A worker's limits, from a seat of this process."""
        life = Life.obtain(self.directory.run, index)
        assert life is not None, f"seat {index} is taken"
        seat = Seat(self.region, life)
        # A test that waits for its turn is no test of patience.
        seat.patience_us = 1_000_000
        return Limits(self.region, seat, 60_000_000)

    def ask(self, kind: type[object], /, **fields: object) -> Answer:
        """Ask the clerk."""
        return self.control.ask(build(kind, {"id": new_id(), **fields}))


@contextmanager
def gateway(root: Path) -> Iterator[Gateway]:
    """A node whose clerk runs, and is gone at the end."""
    made = Gateway(root)
    try:
        made.start()
        yield made
    finally:
        if made.clerk is not None and made.clerk.poll() is None:
            made.kill()


async def _live(directory: Directory, region: Region, life: Life) -> None:
    clerk = Clerk(directory, region, life)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, clerk.stop)
    await clerk.run()


def main() -> None:
    """The clerk's process, without a supervisor."""
    directory = Directory(Path(sys.argv[1]))
    assert directory.join(alone=False) is not None, "somebody holds the directory alone"
    life = Life.obtain(directory.run, CLERK_SEAT)
    assert life is not None, "another clerk works here"
    asyncio.run(_live(directory, Region.open(sys.argv[2]), life))


if __name__ == "__main__":
    main()
