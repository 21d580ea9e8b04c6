"""The log in tiles is the tree of its leaves, however they were appended, and damage is named."""

import random

import apsw
import pytest

from kpgate.domain.merkle import leaf_hash, proves_consistency, proves_inclusion
from kpgate.stores.log import Damaged, Head, SqliteLog
from kpgate.stores.sqlite import SqliteStore
from tests.domain.test_merkle import defined


@pytest.fixture
def connection(tmp_path: object) -> apsw.Connection:
    store = SqliteStore(f"{tmp_path}/kpgate.db")
    return store.connection


def filled(connection: apsw.Connection, batches: list[int]) -> tuple[SqliteLog, list[bytes]]:
    log = SqliteLog(connection)
    log.open("test")
    leaves: list[bytes] = []
    for count in batches:
        more = [b"%d" % (len(leaves) + n) for n in range(count)]
        with connection:
            assert log.append(more) == len(leaves)
        leaves += more
    return log, leaves


@pytest.mark.parametrize("batches", [[1], [255], [256], [257], [1, 254, 1, 1], [300, 300], [70_000, 1]])
def test_however_leaves_are_appended_the_root_is_theirs(
    connection: apsw.Connection, batches: list[int]
) -> None:
    log, leaves = filled(connection, batches)
    assert log.size == len(leaves)
    assert log.root(len(leaves)) == defined(leaves)
    assert SqliteLog(connection).root(len(leaves)) == defined(leaves)


def test_a_log_is_gone_on_with_after_a_start(connection: apsw.Connection) -> None:
    _, leaves = filled(connection, [700])
    again = SqliteLog(connection)
    with connection:
        again.append([b"one more"])
    assert again.root(701) == defined([*leaves, b"one more"])


def test_what_was_not_committed_was_not_appended(connection: apsw.Connection) -> None:
    log, leaves = filled(connection, [255])
    connection.execute("BEGIN")
    log.append([b"lost"] * 3)
    connection.execute("ROLLBACK")
    log.forget()
    with connection:
        log.append([b"kept"])
    assert log.root(256) == defined([*leaves, b"kept"])


def test_leaves_and_beginnings_are_proved(connection: apsw.Connection) -> None:
    log, leaves = filled(connection, [66_000])
    size, whole = log.size, log.root(66_000)
    rng = random.Random(1)
    for index in [0, 255, 256, 65_535, 65_536, 65_999, *(rng.randrange(size) for _ in range(20))]:
        assert proves_inclusion(leaf_hash(leaves[index]), index, size, log.inclusion(index, size), whole)
        before = index + 1
        assert proves_consistency(before, size, log.consistency(before, size), log.root(before), whole)


def test_damage_is_named(connection: apsw.Connection) -> None:
    log, leaves = filled(connection, [600])
    log.keep_head(Head(600, log.root(600), 1, "k", b"s"))
    log.check_all(leaves, lambda head: "")
    with pytest.raises(Damaged, match="leaf 77 "):
        log.check_all([*leaves[:77], b"other", *leaves[78:]], lambda head: "")
    with pytest.raises(Damaged, match="leaf 599 "):
        log.check_all(leaves[:-1], lambda head: "")
    with pytest.raises(Damaged, match="nobody signed 600"):
        log.check_all(leaves, lambda head: f"nobody signed {head.size}")
    connection.execute("UPDATE tiles SET hashes = zeroblob(8192) WHERE level = 0 AND number = 1")
    with pytest.raises(Damaged, match="tile 0/1 "):
        log.check_all(leaves, lambda head: "")
    connection.execute("UPDATE tiles SET hashes = zeroblob(64) WHERE level = 1")
    with pytest.raises(Damaged, match="head 600 "):
        log.check()
    connection.execute("UPDATE logs SET size = 5")
    with pytest.raises(Damaged, match="covers more than its 5 leaves"):
        log.check()


def test_a_charge_is_a_leaf_of_the_log_that_its_lsn_lies_in(connection: apsw.Connection):
    first = SqliteLog(connection)
    first.open("a" * 32)
    assert [first.covering(lsn).number for lsn in (1, 99, 100, 1 << 60)] == [1, 1, 1, 1]
    newest = SqliteLog(connection)
    newest.open("b" * 32, "before", 100)
    # The LSN that a store is posted until is that of the next entry.
    assert [newest.covering(lsn).number for lsn in (1, 99, 100, 101)] == [1, 1, 2, 2]
    third = SqliteLog(connection)
    third.open("c" * 32, "before", 100)
    assert [third.covering(lsn).number for lsn in (99, 100)] == [1, 3], "one without charges between"
    assert [one.origin[0] for one in third.all()] == ["a", "b", "c"]
