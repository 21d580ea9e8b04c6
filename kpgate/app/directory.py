"""The data directory: where its files are, its pepper, and the lock that says who is there.

Order: whoever opens the store for writing holds the members' lock: alone, or as the clerk of a running gateway.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kpgate.domain.errors import StoreUnavailable
from kpgate.domain.keys import PEPPER_BYTES


class Directory:
    """A node's data directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.run = root / "run"
        self.store = root / "kpgate.db"
        self.socket = root / "ctl.sock"
        self.heartbeat = root / "run" / "clerk.beat"

    def prepare(self) -> None:
        """Make what is missing. Errors: StoreUnavailable when that is not possible."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.run.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StoreUnavailable(f"the data directory cannot be used: {error.strerror}") from error

    def pepper(self) -> bytes:
        """What key hashes are made with, made at first use.

        Errors: StoreUnavailable when it is unreadable, or missing where keys exist already.
        """
        path = self.root / "pepper"
        try:
            if not path.exists():
                if self.store.exists():
                    raise StoreUnavailable(
                        "the file pepper is missing from the data directory: without it no key can be recognised. "
                        "Restore it, or move kpgate.db away to begin anew"
                    )
                self._make_pepper(path)
            pepper = path.read_bytes()
        except OSError as error:
            raise StoreUnavailable(f"the pepper cannot be read: {error.strerror}") from error
        if len(pepper) != PEPPER_BYTES:
            raise StoreUnavailable(f"the pepper is damaged: it has {len(pepper)} bytes, not {PEPPER_BYTES}")
        return pepper

    def join(self, *, alone: bool) -> int | None:
        """Take the members' lock, shared or alone: its descriptor, or None when others forbid it.

        Order: held until the descriptor is closed.
        """
        self.prepare()
        descriptor = os.open(self.run / "members.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    @contextmanager
    def untrimmed(self) -> Iterator[None]:
        """Have the journal's files stay, whatever is posted meanwhile: a backup reads them.

        Order: ends with the process at the latest. Errors: StoreUnavailable, OSError.
        """
        self.prepare()
        descriptor = os.open(self.run / "backup.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def trimming(self) -> Iterator[bool]:
        """Whether the journal's files may be deleted just now. Errors: OSError."""
        descriptor = os.open(self.run / "backup.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            free = True
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                free = False
            yield free
        finally:
            os.close(descriptor)

    @contextmanager
    def socket_path(self) -> Iterator[str]:
        """The control socket's path in a form that is short enough for the system (107 bytes)."""
        plain = str(self.socket.absolute())
        if len(os.fsencode(plain)) <= 107:
            yield plain
            return
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield f"/proc/self/fd/{descriptor}/{self.socket.name}"
        finally:
            os.close(descriptor)

    def _make_pepper(self, path: Path) -> None:
        """Whole or not at all, and only once, however many try."""
        draft = self.root / f"pepper.{secrets.token_hex(8)}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, secrets.token_bytes(PEPPER_BYTES))
            os.fsync(descriptor)
            try:
                os.link(draft, path)
            except FileExistsError:
                pass
        finally:
            os.close(descriptor)
            draft.unlink()
        folder = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(folder)
        os.close(folder)
