"""The log of receipts in SQLite: a Merkle tree in tiles of 256 hashes, and signed heads.

Order: one writer, within the posting's transaction; heads are written for sizes that are committed.
"""

import secrets
from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any, NamedTuple

import apsw

from kpgate.domain.merkle import Node, consistency, fold, inclusion, leaf_hash, node_hash, root
from kpgate.domain.receipt import follower

TILE = 256
TILE_LEVELS = 8
HASH_BYTES = 32

_LOGS = "SELECT number, origin, before, since FROM logs"
_HEADS = "SELECT size, root, time_us, key, signature FROM heads WHERE log = ?"


def _hashes_of(tile: bytes) -> list[bytes]:
    return [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]


class Head(NamedTuple):
    """A signed tree head."""

    size: int
    root: bytes
    time_us: int
    key: str
    signature: bytes


class Damaged(Exception):
    """The log is not what it was; the message names the tile, leaf or head."""


class Shortened(Damaged):
    """A head covers leaves that the tree does not have: they were signed, and are forgotten."""


class SqliteLog:
    """A log of a data directory: the newest, or one by its number. `connection` may be one that cannot write."""

    def __init__(self, connection: apsw.Connection, number: int = 0) -> None:
        self._connection = connection
        rows = self._rows(f"{_LOGS} WHERE ?1 IN (0, number) ORDER BY number DESC LIMIT 1", (number,))
        self.number: int
        self.origin: str
        self.before: str
        self.since: int
        self.number, self.origin, self.before, self.since = rows[0] if rows else (0, "", "", 0)
        self._edges: list[bytearray] | None = None

    def open(self, origin: str, before: str = "", since: int = 0) -> None:
        """Begin a log. Shape: `before` names the last head of the one it takes over from, from the LSN `since` on."""
        statement = "INSERT INTO logs (origin, before, since) VALUES (?, ?, ?) RETURNING number"
        self.number = self._rows(statement, (origin, before, since))[0][0]
        self.origin, self.before, self.since = origin, before, since
        self._edges = None

    def follow(self, size: int, root: bytes) -> None:
        """Begin the log that takes over from this one, after a head of so many leaves, with what is posted next."""
        before = f"{self.origin}:{size}:{root.hex()}:{secrets.token_hex(16)}"
        self.open(follower(before), before, self._rows("SELECT cursor FROM ledger")[0][0])

    def follower(self) -> str:
        """What the next log says that it follows; empty where there is none."""
        rows = self._rows("SELECT before FROM logs WHERE number > ? ORDER BY number LIMIT 1", (self.number,))
        return rows[0][0] if rows else ""

    def covering(self, lsn: int) -> "SqliteLog":
        """The log that the charge of an LSN is a leaf of."""
        if lsn >= self.since:
            return self
        rows = self._rows("SELECT max(number) FROM logs WHERE since <= ?", (lsn,))
        return SqliteLog(self._connection, rows[0][0])

    def all(self) -> list["SqliteLog"]:
        """Every log of the directory, oldest first."""
        return [
            SqliteLog(self._connection, number) for (number, *_) in self._rows(f"{_LOGS} ORDER BY number")
        ]

    @property
    def size(self) -> int:
        """How many leaves are committed."""
        rows = self._rows("SELECT size FROM logs WHERE number = ?", (self.number,))
        return int(rows[0][0]) if rows else 0

    def append(self, leaves: Iterable[bytes]) -> int:
        """Add leaves; the index of the first. Order: within a transaction; `forget` if that fails."""
        return self.append_hashes(b"".join(map(leaf_hash, leaves)))

    def append_hashes(self, hashes: bytes) -> int:
        """Add leaves by their hashes, which stand one after the other. Order: as `append`."""
        first = size = self.size
        edges = self._load(size)
        tiles: dict[tuple[int, int], bytes] = {}
        at = 0
        while at < len(hashes):
            more = hashes[at : at + TILE * HASH_BYTES - len(edges[0])]
            at += len(more)
            size += len(more) // HASH_BYTES
            edges[0] += more
            if len(edges[0]) == TILE * HASH_BYTES:
                self._carry(edges, size - 1, tiles)
        self._keep(edges, size, tiles)
        self._rows("UPDATE logs SET size = ? WHERE number = ?", (size, self.number))
        return first

    def forget(self) -> None:
        """What is remembered of the tree's edge may not have been committed."""
        self._edges = None

    def _load(self, size: int) -> list[bytearray]:
        """The tiles that are not yet full, lowest level first."""
        if self._edges is None:
            self._edges = []
            count = size
            while count or not self._edges:
                short = count % TILE
                tile = self._tile(len(self._edges), count // TILE)[: short * HASH_BYTES] if short else b""
                if len(tile) != short * HASH_BYTES:
                    raise Damaged(
                        f"tile {len(self._edges)}/{count // TILE} of log {self.origin} is too short"
                    )
                self._edges.append(bytearray(tile))
                count //= TILE
        return self._edges

    def _carry(self, edges: list[bytearray], size: int, tiles: dict[tuple[int, int], bytes]) -> None:
        """A tile of the lowest level is full: so its root goes up."""
        level, number = 0, size // TILE
        while len(edges[level]) == TILE * HASH_BYTES:
            full = bytes(edges[level])
            tiles[level, number] = full
            edges[level] = bytearray()
            level, number = level + 1, number // TILE
            if level == len(edges):
                edges.append(bytearray())
            edges[level] += fold(_hashes_of(full))

    def _keep(self, edges: list[bytearray], size: int, tiles: dict[tuple[int, int], bytes]) -> None:
        for level, edge in enumerate(edges):
            if edge:
                tiles[level, size // TILE ** (level + 1)] = bytes(edge)
        self._connection.executemany(
            "INSERT OR REPLACE INTO tiles VALUES (?, ?, ?, ?)",
            [(self.number, level, number, hashes) for (level, number), hashes in tiles.items()],
        )

    def _tile(self, level: int, number: int) -> bytes:
        rows = self._rows(
            "SELECT hashes FROM tiles WHERE log = ? AND level = ? AND number = ?",
            (self.number, level, number),
        )
        return rows[0][0] if rows else b""

    def node(self) -> Node:
        """The hashes of perfect subtrees. What it reads it keeps, so one serves one question.

        Errors: Damaged.
        """
        kept: dict[tuple[int, int], list[list[bytes]]] = {}

        def read(level: int, index: int) -> bytes:
            tile_level, within = divmod(level, TILE_LEVELS)
            per = TILE >> within
            key = (tile_level, index // per)
            rows = kept.get(key)
            if rows is None:
                rows = kept[key] = [_hashes_of(self._tile(*key))]
            while len(rows) <= within:
                row = rows[-1]
                rows.append([node_hash(row[at], row[at + 1]) for at in range(0, len(row) - 1, 2)])
            try:
                return rows[within][index % per]
            except IndexError:
                raise Damaged(f"tile {key[0]}/{key[1]} of log {self.origin} is too short") from None

        return read

    def leaf(self, index: int) -> bytes:
        """The hash of a leaf."""
        return self.node()(0, index)

    def root(self, size: int) -> bytes:
        """The root over the first leaves."""
        return root(self.node(), size)

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The proof that a leaf is among the first ones.

        Errors: ValueError, Damaged.
        """
        return inclusion(self.node(), index, size)

    def consistency(self, before: int, size: int) -> list[bytes]:
        """The proof that the log of one size is the beginning of that of another.

        Errors: ValueError, Damaged.
        """
        return consistency(self.node(), before, size)

    # Heads and signers

    def keep_head(self, head: Head) -> None:
        """Store a signed head. Order: before it is shown."""
        self._rows("INSERT INTO heads VALUES (?, ?, ?, ?, ?, ?)", (self.number, *head))

    def head(self, size: int = 0) -> Head | None:
        """The newest head, or the first one that covers so many leaves."""
        if size:
            rows = self._rows(f"{_HEADS} AND size >= ? ORDER BY size LIMIT 1", (self.number, size))
        else:
            rows = self._rows(f"{_HEADS} ORDER BY size DESC, time_us DESC LIMIT 1", (self.number,))
        return Head(*rows[0]) if rows else None

    def signers(self) -> list[dict[str, Any]]:
        """The public keys, oldest first, each with its endorsement."""
        rows = self._rows(
            "SELECT id, public, endorsed_by, endorsement FROM signers ORDER BY created_us, rowid"
        )
        return [
            {"id": one, "public": public.hex(), "endorsed_by": by, "endorsement": said.hex()}
            for one, public, by, said in rows
        ]

    def keep_signer(self, key: str, public: bytes, now_us: int, endorsed_by: str, endorsement: bytes) -> None:
        """Make a public key known, once."""
        self._rows(
            "INSERT OR IGNORE INTO signers VALUES (?, ?, ?, ?, ?)",
            (key, public, now_us, endorsed_by, endorsement),
        )

    def check(self) -> None:
        """Compare the newest head with the tree's top, and find the edge where leaves are added: what a start does.

        Errors: Damaged, naming what does not fit; Shortened.
        """
        head, size = self.head(), self.size
        if head is not None:
            if head.size > size:
                raise Shortened(f"head {head.size} of log {self.origin} covers more than its {size} leaves")
            if self.root(head.size) != head.root:
                raise Damaged(f"head {head.size} of log {self.origin} does not fit the tree")
        self._load(size)

    def check_all(self, leaves: Iterable[bytes], signed: Callable[[Head], str]) -> None:
        """Compare every leaf with the one that is rebuilt, every tile with the one above, every head with the leaves
        that it covers and, by `signed`, with who signed it, and what `check` does.

        Shape: `signed` says what is wrong. Errors: Damaged, naming what does not fit.
        """
        self.check()
        heads = self._heads(signed)
        size = self.size
        full, level = size // TILE, 0
        while full:
            for number in range(full):
                tile = self._tile(level, number)
                above = self._tile(level + 1, number // TILE)[number % TILE * HASH_BYTES :][:HASH_BYTES]
                if len(tile) != TILE * HASH_BYTES or above != fold(_hashes_of(tile)):
                    raise Damaged(f"tile {level}/{number} of log {self.origin} does not fit the one above")
            full, level = full // TILE, level + 1
        peaks, rebuilt = _Peaks(), iter(leaves)
        for number in range(-(-size // TILE)):
            tile = self._tile(0, number)
            for index in range(number * TILE, min(size, (number + 1) * TILE)):
                hashed = leaf_hash(next(rebuilt, b""))
                if hashed != tile[index % TILE * HASH_BYTES :][:HASH_BYTES]:
                    raise Damaged(f"leaf {index} of log {self.origin} is not its receipt's")
                peaks.add(hashed)
                if any(one != peaks.root() for one in heads.get(index + 1, ())):
                    raise Damaged(f"head {index + 1} of log {self.origin} does not fit the tree")

    def _heads(self, signed: Callable[[Head], str]) -> dict[int, list[bytes]]:
        """What heads of each size say is the root, all of them signed and none missing.

        Errors: Damaged.
        """
        rows = self._rows(f"{_HEADS} ORDER BY size, time_us", (self.number,))
        ((count,),) = self._rows("SELECT heads FROM logs WHERE number = ?", (self.number,))
        if count != len(rows):
            raise Damaged(f"of log {self.origin} {count} heads were signed, and {len(rows)} are kept")
        found: dict[int, list[bytes]] = {}
        for head in map(Head._make, rows):
            if problem := signed(head):
                raise Damaged(problem)
            found.setdefault(head.size, []).append(head.root)
        return found

    def _rows(self, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
        return self._connection.execute(statement, values).fetchall()


class _Peaks:
    """A tree that grows by a leaf at a time: the roots of its perfect subtrees, the largest first."""

    def __init__(self) -> None:
        self._size = 0
        self._hashes: list[bytes] = []

    def add(self, hashed: bytes) -> None:
        size = self._size
        while size & 1:
            hashed = node_hash(self._hashes.pop(), hashed)
            size >>= 1
        self._hashes.append(hashed)
        self._size += 1

    def root(self) -> bytes:
        return reduce(lambda right, left: node_hash(left, right), reversed(self._hashes))
