"""A node's data directory: where things lie in it, and who may use it.

`gateway.lock` is the supervisor's for life: one gateway a directory. Every process of the node holds
`members.lock` shared; a start holds it alone until the shared region stands, so it never begins beside orphans.
It knows no server and no store. Source: flock(2), Linux manual (checked November 2026).
"""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

ORPHAN_WAIT_S = 15.0
ORPHAN_POLL_S = 0.05
# Locks and shared memory maps do not hold between machines.
REMOTE = ("nfs", "cifs", "smb", "9p", "ceph", "afs", "lustre", "gpfs", "fuse.")
LOCAL_FUSE = ("fuse.fuse-overlayfs",)


class NodeRefused(Exception):
    """The data directory cannot be used, and why, in words for whoever started the gateway."""


class Lock:
    """A lock file that is held until `close`, or until the process dies."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take(self, operation: int) -> bool:
        """Take it, or change how it is held. False: somebody else holds it."""
        try:
            fcntl.flock(self.descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def sign(self) -> None:
        """Write this process's id into the file, for people."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, b"%d\n" % os.getpid(), 0)

    def close(self) -> None:
        """Give it back."""
        os.close(self.descriptor)


class Node:
    """The paths of a data directory, and its locks."""

    def __init__(self, data: Path) -> None:
        self.data = data.absolute()
        self.run = self.data / "run"
        self.cache = self.data / "cache"
        self.database = self.data / "kpgate.db"
        self.pepper = self.data / "pepper"
        self.control = self.data / "ctl.sock"
        self.demo_key = self.data / "demo.key"

    def life(self, seat: int) -> Path:
        """The life lock of a seat."""
        return self.run / f"{seat}.life"

    def create(self) -> None:
        """Make the directories that are missing, for this user alone.

        Errors: NodeRefused where that is impossible, or the file system is not a local one.
        """
        try:
            for folder in (self.data, self.run, self.cache):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = Lock(self.run / "gateway.lock")
        except OSError as error:
            raise NodeRefused(f"data directory {self.data}: {error.strerror}") from error
        lock.close()
        kind = file_system(self.data)
        if kind.startswith(REMOTE) and kind not in LOCAL_FUSE:
            raise NodeRefused(f"data directory {self.data} lies on {kind}; it must be on a local disk")

    def take_gateway(self) -> Lock:
        """Become this directory's one gateway. Order: `create` first, `take_members` next.

        Errors: NodeRefused, with who has it.
        """
        lock = Lock(self.run / "gateway.lock")
        if not lock.take(fcntl.LOCK_EX):
            owner = _pid(lock.path)
            lock.close()
            raise NodeRefused(f"data directory {self.data} is in use by another kpgate (pid {owner})")
        lock.sign()
        return lock

    def take_members(self, wait_s: float = ORPHAN_WAIT_S) -> Lock:
        """Hold the node alone, waiting for the orphans of a killed gateway to end. `share` it once it stands.

        Errors: NodeRefused, with the processes that would not end.
        """
        lock = Lock(self.run / "members.lock")
        deadline = monotonic() + wait_s
        while not lock.take(fcntl.LOCK_EX):
            if monotonic() >= deadline:
                lock.close()
                living = ", ".join(str(pid) for pid in self.living()) or "unknown"
                raise NodeRefused(
                    f"processes of an earlier gateway still use {self.data} (pids {living}): "
                    f"they had {wait_s:g} s to end; end them, then start again"
                )
            sleep(ORPHAN_POLL_S)
        return lock

    def share(self, members: Lock) -> None:
        """Let the node's other processes in."""
        # The kernel changes a lock in two steps; only a start asks for it alone, and gateway.lock admits one.
        shared = members.take(fcntl.LOCK_SH)
        assert shared, "only a start holds it alone"

    def join(self) -> Lock:
        """Be a process of this node, for life.

        Errors: NodeRefused while a start holds it alone.
        """
        lock = Lock(self.run / "members.lock")
        if not lock.take(fcntl.LOCK_SH):
            lock.close()
            raise NodeRefused(f"another kpgate is starting in {self.data}")
        return lock

    def living(self) -> list[int]:
        """The ids of the processes that hold a life lock."""
        return [pid for path in sorted(self.run.glob("*.life")) for pid in _owner(path)]


def file_system(folder: Path) -> str:
    """The kind of file system a folder lies on, as the mount table names it; empty where there is none."""
    try:
        table = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    found, kind = "", ""
    for line in table.splitlines():
        before, _, after = line.partition(" - ")
        point = before.split(" ")[4].replace("\\040", " ")
        inside = point == "/" or folder == Path(point) or Path(point) in folder.parents
        # The last of equals is the one mounted over the others.
        if inside and len(point) >= len(found):
            found, kind = point, after.split(" ")[0]
    return kind


def _owner(path: Path) -> Iterator[int]:
    lock = Lock(path)
    try:
        if not lock.take(fcntl.LOCK_SH):
            yield _pid(path)
    finally:
        lock.close()


def _pid(path: Path) -> int:
    text = path.read_text(encoding="ascii", errors="replace").strip()
    return int(text) if text.isdigit() else 0
