"""The audit log: rows are added in order, chained, found again, and what is changed behind its back is named."""

from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate.app.audit_cli import examine
from kpgate.app.directory import Directory
from kpgate.domain.audit import Actor, Entry, Page, link
from kpgate.domain.errors import StoreUnavailable
from kpgate.stores.audit import SqliteAudit
from kpgate.stores.sqlite import SqliteStore

WHO = Actor("http", "admin", "key1", "acme", "127.0.0.1", "request-1")


def entry(act: str = "keys.create", actor: Actor = WHO, time_us: int = 5) -> Entry:
    return Entry(time_us, actor, act, '{"party":"acme"}', "ok")


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    found = Directory(tmp_path)
    found.prepare()
    SqliteStore(found.store).close()
    return found


def filled(directory: Directory, rows: int = 5) -> None:
    store = SqliteStore(directory.store)
    log = SqliteAudit(store.connection)
    for at in range(rows):
        log.append(entry(f"act{at}", time_us=at))
    store.close()


def test_rows_are_numbered_chained_and_found(directory: Directory):
    store = SqliteStore(directory.store)
    log = SqliteAudit(store.connection)
    assert log.head() == (0, b"") and log.select(Page()) == []
    first, second = log.append(entry()), log.append(entry("x", Actor("cli", peer="uid 0"), 9))
    assert (first.number, second.number) == (1, 2)
    assert first.hash == link(b"", first) and second.hash == link(first.hash, second)
    assert log.select(Page()) == [second, first]
    assert log.select(Page(party="acme")) == log.select(Page(key="key1")) == [first]
    assert log.select(Page(before=2)) == log.select(Page(count=1, before=2)) == [first]
    assert log.select(Page(since_us=6)) == [second] and list(log.problems()) == []
    store.close()


def test_a_row_of_a_transaction_that_failed_is_none(directory: Directory):
    store = SqliteStore(directory.store)
    log = SqliteAudit(store.connection)

    def fail() -> None:
        with store.transaction():
            log.append(entry())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert log.head() == (0, b"") and log.append(entry()).number == 1
    store.close()


def test_no_row_is_changed_or_taken_away(directory: Directory):
    filled(directory)
    store = SqliteStore(directory.store)
    for statement in ("DELETE FROM audit", "UPDATE audit SET outcome = 'ok'"):
        with pytest.raises(apsw.ConstraintError, match="only added to"):
            store.connection.execute(statement)
    store.close()


def tampered(directory: Directory, *statements: str) -> list[str]:
    connection = apsw.Connection(str(directory.store))
    connection.execute("DROP TRIGGER audit_keeps_rows; DROP TRIGGER audit_keeps_words")
    for statement in statements:
        connection.execute(statement)
    connection.close()
    return examine(directory)[0]


@pytest.mark.parametrize(
    "column", ["time_us", "via", "role", "key", "party", "peer", "request", "act", "about", "outcome", "hash"]
)
def test_any_word_that_was_changed_is_named_by_its_row(directory: Directory, column: str):
    filled(directory)
    value = "7" if column == "time_us" else "x'00'" if column == "hash" else "'other'"
    found = tampered(directory, f"UPDATE audit SET {column} = {value} WHERE number = 3")
    assert found == ["row 3 of the audit log is not as it was written, or the one before it is not"]


def test_a_row_that_is_missing_or_put_in_is_named(directory: Directory):
    filled(directory)
    assert tampered(directory, "DELETE FROM audit WHERE number = 2") == ["the audit log has no row 2"]


def test_a_tail_that_was_cut_is_found_by_a_head_noted_elsewhere(directory: Directory):
    filled(directory)
    found, head = examine(directory)
    assert found == [] and examine(directory, head)[0] == []
    assert tampered(directory, "DELETE FROM audit WHERE number = 5") == []
    assert examine(directory, head)[0] == [f"the audit log does not have the head {head}"]
    for nonsense in ("x", "5", ":", "99:00", "4:" + "0" * 64):
        assert len(examine(directory, nonsense)[0]) == 1


words = st.text(max_size=20)


@given(words, words, words, words)
def test_no_two_rows_have_the_same_words(one: str, two: str, three: str, four: str):
    first, second = (
        link(b"", Entry(0, Actor("http", key=key), act, "{}", "ok"))
        for key, act in ((one, two), (three, four))
    )
    assert (first == second) == ((one, two) == (three, four))


def test_a_store_that_does_not_answer_is_unavailable(directory: Directory):
    connection = apsw.Connection(str(directory.store), flags=apsw.SQLITE_OPEN_READONLY)
    with pytest.raises(StoreUnavailable):
        SqliteAudit(connection).append(entry())
    connection.close()
