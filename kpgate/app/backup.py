"""Backup and restore of a data directory, live or not: whole, checked, or not there at all.

A backup is the store at one instant and the journal from there to where it was valid then; its manifest, written
last, has every file's hash. What is restored opens a new log: the old one may have gone on elsewhere.
"""

import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import apsw

import kpgate
from kpgate._fast.journal import recover, segment_name, segments
from kpgate.app.control import Control, new_id, wall_us
from kpgate.app.directory import Directory
from kpgate.app.ledger_cli import prove
from kpgate.app.poster import SEGMENT_BYTES
from kpgate.app.reach import operator
from kpgate.app.signing import Keyring, Signer
from kpgate.domain.audit import OK, Entry
from kpgate.domain.durations import instant
from kpgate.domain.errors import GatewayError
from kpgate.domain.money import ShowLog
from kpgate.domain.receipt import head_bytes
from kpgate.stores.audit import SqliteAudit
from kpgate.stores.log import Head, SqliteLog
from kpgate.stores.sqlite import SqliteStore

MANIFEST = "manifest.json"
FORMAT = 1
PIECE_BYTES = 1 << 20
STEPS_A_WORD = 100_000
TRIES = 5
SETTLE_S = 5.0

Tell = Callable[[str], None]


class Failed(Exception):
    """A backup or restore that was not done: in words for whoever asked."""


def back_up(directory: Directory, target: Path, tell: Tell) -> dict[str, Any]:
    """Back a data directory up into one that does not exist yet. Returns the manifest.

    Errors: Failed, apsw.Error, OSError; there is then no target.
    """
    if not directory.store.exists():
        raise Failed(f"{directory.root} holds no store")
    _settle(directory)
    with _drafted(target) as draft:
        _copy_file(directory.root / "pepper", draft / "pepper")
        # A large store takes long: what follows it in the journal stays until it is copied, too.
        with directory.untrimmed():
            tell("copying the store")
            version, cursor = _copy_store(directory.store, draft / "kpgate.db", tell)
            end = _copy_journal(directory.root / "journal", draft / "journal", cursor, tell)
        # After the store, which knows no key then that is not here.
        for key in sorted((directory.root / "signing").glob("*.key")):
            _copy_file(key, draft / "signing" / key.name)
        tell("proving what was copied")
        lost = _prove(Directory(draft), "copied")
        files = {name: _fingerprint(draft / name) for name in _files(draft)}
        manifest = {
            "format": FORMAT,
            "kpgate": kpgate.__version__,
            "made_at": instant(wall_us()),
            "store_version": version,
            "posted_until": cursor,
            "journal_until": end,
            "lost": lost,
            "files": files,
        }
        _write(draft / MANIFEST, json.dumps(manifest, indent=1).encode())
    return manifest


def restore(source: Path, root: Path, tell: Tell) -> dict[str, Any]:
    """Make a data directory of a backup, where there is none or an empty one. Returns what it is now.

    Errors: Failed, apsw.Error, OSError; there is then no data directory.
    """
    manifest = verify(source, tell)
    with _drafted(root) as draft:
        for name in manifest["files"]:
            _copy_file(source / name, draft / name)
        before, origin = _begin_log(Directory(draft), str(manifest["made_at"]))
        tell("proving what was restored")
        _prove(Directory(draft), "restored")
    return {"data": str(root), "made_at": manifest["made_at"], "log": origin, "follows": before}


def verify(source: Path, tell: Tell) -> dict[str, Any]:
    """The manifest of a backup, every file of which is as it was written.

    Errors: Failed, which names the file.
    """
    try:
        manifest: dict[str, Any] = json.loads((source / MANIFEST).read_bytes())
        files = dict(manifest["files"])
        version = int(manifest["store_version"])
        if manifest["format"] != FORMAT:
            raise Failed(
                f"{source} is of the format {str(manifest['format'])[:20]}, which this version does not read"
            )
    except FileNotFoundError:
        raise Failed(f"{source} is no whole backup: it has no {MANIFEST}") from None
    except (ValueError, KeyError, TypeError):
        raise Failed(f"{source / MANIFEST} is damaged") from None
    if version > SqliteStore.steps():
        raise Failed(f"{source} was made by a later version of kpgate ({str(manifest.get('kpgate'))[:20]})")
    tell("checking the backup")
    there = {name for name in _files(source) if name != MANIFEST}
    for name in sorted(set(files) | there):
        if name not in files:
            raise Failed(f"{source / name} is not in the manifest")
        if name not in there:
            raise Failed(f"{source / name} is missing")
        if _fingerprint(source / name) != files[name]:
            raise Failed(f"{source / name} is not as it was written")
    return manifest


def _prove(directory: Directory, how: str) -> list[str]:
    """What is known to be gone for good of a log of receipts: another one follows it.

    Errors: Failed, where anything else does not hold.
    """
    _, problems = prove(directory)
    if problems:
        _, unknown = prove(directory, followed=False)
        if unknown:
            raise Failed(f"what was {how} does not hold: {unknown[0]}")
    return problems


def _settle(directory: Directory) -> None:
    """Where a gateway runs, what it has decided by now is posted and signed first; without its clerk it goes too."""
    if directory.socket.exists():
        with suppress(GatewayError):
            Control(directory, SETTLE_S).ask(ShowLog(id=new_id()))


def _copy_store(source: Path, target: Path, tell: Tell) -> tuple[int, int]:
    """The store at one instant, while others go on writing. Shape: (its version, how far it is posted)."""

    def step() -> bool:
        if target.exists():
            tell(f"copying the store: {target.stat().st_size >> 20} MiB")
        return False

    with closing(apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        connection.set_busy_timeout(10_000)
        connection.set_progress_handler(step, STEPS_A_WORD)
        connection.execute("VACUUM INTO ?", (str(target),))
    target.chmod(0o600)
    with closing(apsw.Connection(str(target), flags=apsw.SQLITE_OPEN_READONLY)) as copy:
        version = _number(copy, "PRAGMA user_version")
        return version, _cursor(copy)


def _cursor(connection: apsw.Connection) -> int:
    """How far a store is posted: an LSN."""
    return _number(connection, "SELECT cursor FROM ledger")


def _number(connection: apsw.Connection, statement: str) -> int:
    return int(str(connection.execute(statement).fetchall()[0][0]))


def _copy_journal(source: Path, target: Path, cursor: int, tell: Tell) -> int:
    """The journal from a position on, as far as it is valid now; where that ends. What comes after is left out."""
    if not source.exists() or not segments(source):
        return 0
    for _ in range(TRIES):
        # Another try where it was being written just while it was read.
        end, problem = recover(source, cursor, SEGMENT_BYTES, lambda found, end: None)
        if not problem:
            break
    else:
        raise Failed(f"the journal is damaged: {problem}")
    target.mkdir(mode=0o700)
    for first in segments(source):
        if first + SEGMENT_BYTES <= cursor or first >= max(end, cursor):
            continue
        name = segment_name(first)
        tell(f"copying the journal: {name}")
        _copy_file(source / name, target / name, bytes_max=max(end, cursor) - first)
        os.truncate(target / name, SEGMENT_BYTES)
    return end


def _begin_log(directory: Directory, made_at: str) -> tuple[str, str]:
    """Close the log of a restored directory by a head, and open its follower. Shape: (that head, its origin)."""
    with closing(SqliteStore(directory.store)) as store:
        log = SqliteLog(store.connection)
        before, origin = "", ""
        with store.transaction():
            if log.origin:
                size = log.size
                head = log.head()
                if size and (head is None or head.size < size):
                    # The same leaves as the original's log has: nothing is said twice of one size.
                    signer, now_us = _signer(directory, log), wall_us()
                    said = head_bytes(log.origin, size, log.root(size), now_us, signer.id)
                    log.keep_head(Head(size, log.root(size), now_us, signer.id, signer.sign(said)))
                log.follow(size, log.root(size) if size else b"")
                before, origin = log.before, log.origin
            about = json.dumps({"made_at": made_at, "follows": before})
            SqliteAudit(store.connection).append(Entry(wall_us(), operator(), "restore", about, OK))
        return before, origin


def _signer(directory: Directory, log: SqliteLog) -> Signer:
    """The newest key that the log knows: one that was made just when the backup was is endorsed by the next start."""
    signers, known = Keyring(directory.root / "signing").signers(), {one["id"] for one in log.signers()}
    return next((one for one in reversed(signers) if one.id in known), signers[-1])


@contextmanager
def _drafted(target: Path) -> Iterator[Path]:
    """A new directory that becomes the target once all is on disk, or is gone.

    Errors: Failed where the target holds something already.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Failed(f"{target} is not empty: name a directory that does not exist")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.parent / f".{target.name}.{secrets.token_hex(6)}.partial"
    draft.mkdir(mode=0o700)
    try:
        yield draft
        for folder, _, names in os.walk(draft):
            for name in names:
                _sync(Path(folder) / name)
            _sync(Path(folder))
        try:
            draft.rename(target)
        except OSError as error:
            raise Failed(
                f"{target} cannot be made: {error.strerror}. Name a directory that does not exist"
            ) from None
        _sync(target.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _files(folder: Path) -> list[str]:
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] != "run"
    )


def _fingerprint(path: Path) -> dict[str, Any]:
    digest, size = sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
            size += len(piece)
    return {"bytes": size, "sha256": digest.hexdigest()}


def _copy_file(source: Path, target: Path, bytes_max: int = 1 << 62) -> None:
    target.parent.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with source.open("rb") as file, os.fdopen(descriptor, "wb") as copy:
        while bytes_max > 0 and (piece := file.read(min(PIECE_BYTES, bytes_max))):
            copy.write(piece)
            bytes_max -= len(piece)


def _write(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    path.chmod(0o600)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
