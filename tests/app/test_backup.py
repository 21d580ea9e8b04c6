"""What goes on while a backup is made: the journal moves on, keys are rotated, and nothing that it needs is gone."""

from pathlib import Path
from typing import Any

import apsw
import pytest

from kpgate._fast.journal import SYNC, segments
from kpgate.app import backup, poster
from kpgate.app.backup import back_up, restore
from kpgate.app.directory import Directory
from kpgate.app.ledger_cli import prove
from kpgate.app.signing import Keyring
from kpgate.domain.errors import Conflict
from kpgate.domain.money import Movement, RotateSigner, Transfer
from kpgate.stores.log import SqliteLog
from tests.kit.small_node import SEGMENT_BYTES, SmallNode


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallNode:
    made = SmallNode(tmp_path / "data", monkeypatch)
    monkeypatch.setattr(backup, "SEGMENT_BYTES", SEGMENT_BYTES)
    monkeypatch.setattr(poster, "KEPT_BYTES", 0)
    made.begin()
    give(made, 1)
    return made


def quietly(what: str) -> None:
    assert what


def give(node: SmallNode, number: int) -> None:
    movement = Movement(kind="issue", party="acme", amount=1_000)
    node.bank.treasury.answer(Transfer(id=f"operation-{number:06}", movements=(movement,)))


def move_on(node: SmallNode) -> None:
    """Three segments more, all of them posted."""
    until = node.bank.journal.tail + 3 * SEGMENT_BYTES
    while node.bank.journal.tail < until:
        said = node.bank.journal.durable.to_bytes(8, "little")
        if node.bank.journal.append(SYNC, said, node.now_us) <= 0:
            node.bank.poster.post_all()
            node.bank.poster.prepare()
    node.bank.poster.post_all()
    node.bank.trim()


def slowly(node: SmallNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the copy of the store take so long that the journal goes on by segments, and a key is rotated."""
    copied = backup._copy_store

    def copy(*said: Any) -> tuple[int, int]:
        found = copied(*said)
        give(node, 2)
        move_on(node)
        return found

    monkeypatch.setattr(backup, "_copy_store", copy)


def test_the_journal_that_a_backup_needs_stays_until_it_is_copied(
    node: SmallNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slowly(node, monkeypatch)
    before = segments(node.files)
    manifest = back_up(node.directory, tmp_path / "backup", quietly)
    assert manifest["journal_until"] - manifest["posted_until"] > 2 * SEGMENT_BYTES
    assert prove(Directory(tmp_path / "backup"))[1] == []
    assert set(before) <= set(segments(node.files)), "nothing was deleted meanwhile"
    node.bank.trim()
    assert not set(before) & set(segments(node.files)), "and is as soon as the backup is done"


def test_a_key_that_is_rotated_meanwhile_is_in_the_backup_and_vouched_for_after_the_restore(
    node: SmallNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = backup._copy_store

    def copy(*said: Any) -> tuple[int, int]:
        found = copied(*said)
        node.bank.answer(RotateSigner(id="operation-rotate"))
        return found

    monkeypatch.setattr(backup, "_copy_store", copy)
    back_up(node.directory, tmp_path / "backup", quietly)
    restore(tmp_path / "backup", tmp_path / "second", quietly)
    assert len(Keyring(tmp_path / "second" / "signing").kept()) == 2
    again = SmallNode(tmp_path / "second", monkeypatch)
    again.begin()
    signers = SqliteLog(again.store.connection).signers()
    assert signers[1]["endorsed_by"] == signers[0]["id"] and "signing_keys_lost" not in again.said
    again.leave()


def test_backups_may_overlap_and_one_that_died_holds_nothing_up(node: SmallNode) -> None:
    with node.directory.untrimmed(), node.directory.untrimmed(), node.directory.trimming() as free:
        assert not free
    with node.directory.trimming() as free:
        assert free


def test_no_key_is_rotated_in_where_the_one_that_signs_is_gone(node: SmallNode) -> None:
    folder = node.directory.root / "signing"
    (key,) = folder.glob("*.key")
    kept = key.read_text()
    key.unlink()
    with pytest.raises(Conflict, match="lacks the key"):
        node.bank.answer(RotateSigner(id="operation-rotate"))
    assert not list(folder.glob("*.key")), "and none is made in its place"
    key.write_text(kept)
    assert node.bank.answer(RotateSigner(id="operation-rotate"))["done"]


def test_a_new_key_is_written_over_none_that_is_left(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "signing")
    keyring.signers()
    newest = keyring.make()
    (tmp_path / "signing" / "000000.key").unlink()
    made = keyring.make()
    assert [one.id for one in keyring.kept()] == [newest.id, made.id]


def test_the_store_is_copied_while_others_write(node: SmallNode, tmp_path: Path) -> None:
    writer = apsw.Connection(str(node.directory.store))
    try:
        writer.execute("BEGIN IMMEDIATE")
        back_up(node.directory, tmp_path / "backup", quietly)
        writer.execute("ROLLBACK")
    finally:
        writer.close()
    assert prove(Directory(tmp_path / "backup"))[1] == []
