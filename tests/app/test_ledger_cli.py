"""`kpgate ledger check`: a ledger that holds, live and copied, and each kind of damage named."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from click.testing import CliRunner

from kpgate._fast.journal import HOLD, find_sync, recover, segment_name
from kpgate.app.cli import cli
from kpgate.app.poster import SEGMENT_BYTES
from kpgate.domain.money import ShowLog
from tests.kit.gateway_process import until
from tests.kit.whole import Whole


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data directory that was copied while calls went on."""
    folder = tmp_path_factory.mktemp("whole")
    with Whole(folder, "[ledger]\nenabled = true") as gate:
        key = gate.key("party")
        gate.fund("party", 10**9)
        for _ in range(20):
            assert gate.chat(key, "echo", max_tokens=50)[0] == 200
        until(lambda: gate.balance("party")["held_microkpt"] == 0)
        with gate.desk() as ask:
            assert ask(ShowLog(id="request-log"))["head"]["size"] == 20
        live = looked(gate.directory.root)
        assert (live["problems"], live["sound"], live["charges"]) == ([], True, 20)
        # What says that an entry reached the disk is written after it, by the clerk's next turn.
        journal = gate.directory.root / "journal"
        until(lambda: find_sync(journal, first_hold(journal), SEGMENT_BYTES))
        copy = tmp_path_factory.mktemp("copy") / "data"
        # A segment that is just being prepared is new for a moment, and then has another name.
        shutil.copytree(gate.directory.root, copy, ignore=shutil.ignore_patterns("*.sock", "run", "*.new"))
        yield copy


def first_hold(journal: Path) -> int:
    """Where the first hold stands."""
    found: list[tuple[int, int, bytes]] = []
    recover(journal, 0, SEGMENT_BYTES, lambda more, end: found.extend(more))
    return next(lsn for lsn, kind, _ in found if kind == HOLD)


def looked(data: Path) -> dict[str, object]:
    result = CliRunner().invoke(cli, ["ledger", "check", "--data", str(data)])
    answer: dict[str, object] = json.loads(result.output)
    assert result.exit_code == (0 if answer["sound"] else 1)
    return answer


def test_a_copy_is_proved_like_the_original(copied: Path) -> None:
    assert looked(copied)["problems"] == []


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE accounts SET balance = balance + 1 WHERE name = 'spend:party'", "spend:party"),
        ("UPDATE charges SET amount = amount + 1 WHERE call = (SELECT max(call) FROM charges)", "kp1-"),
        ("DELETE FROM charges WHERE call = (SELECT min(call) FROM charges)", "kp1-"),
        ("UPDATE tiles SET hashes = zeroblob(length(hashes)) WHERE level = 0", "log"),
        ("UPDATE logs SET size = size - 1", "log"),
        ("UPDATE charges SET leaf = leaf + 1", "it is leaf 0, the store says 1"),
        ("UPDATE charges SET party = 99", "not what its entries say"),
        ("DELETE FROM operations", "not the operation that asked for them"),
        ("DELETE FROM heads", "heads were signed, and 0 are kept"),
        ("UPDATE heads SET signature = zeroblob(64)", "signed it"),
        ("UPDATE heads SET root = zeroblob(32) WHERE size = (SELECT min(size) FROM heads)", "head "),
        ("UPDATE heads SET time_us = time_us + 1", "signed it"),
        ("UPDATE heads SET key = 'x'", "not among the signers"),
        ("UPDATE signers SET public = zeroblob(32)", "not its public key's"),
        ("UPDATE signers SET endorsed_by = id", "no signer before it is called so"),
        ("UPDATE signers SET endorsement = zeroblob(64)", "no signer before it is called so"),
        ("UPDATE logs SET origin = 'x'", "log x"),
        ("UPDATE logs SET since = 1", "does not begin with the first charge"),
        ("DELETE FROM logs", "there is no log of them"),
    ],
)
def test_damage_is_named(copied: Path, tmp_path: Path, statement: str, named: str) -> None:
    data = tmp_path / "data"
    shutil.copytree(copied, data)
    connection = apsw.Connection(str(data / "kpgate.db"))
    for trigger in ("heads_stay", "heads_last"):
        connection.execute(f"DROP TRIGGER {trigger}")
    connection.execute(statement)
    connection.close()
    found = looked(data)
    assert not found["sound"]
    assert named in str(found["problems"])


def test_a_journal_that_is_damaged_where_it_had_reached_the_disk_is_named(
    copied: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(copied, data)
    position = first_hold(data / "journal")
    with (data / "journal" / segment_name(position - position % SEGMENT_BYTES)).open("r+b") as file:
        file.seek(position % SEGMENT_BYTES + 40)
        (byte,) = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))
    problems = looked(data)["problems"]
    assert f"at {position:#x}" in str(problems) and "the journal is damaged" in str(problems)


def test_prices_whose_terms_are_spelled_as_they_once_were_are_proved_by_that_spelling(tmp_path: Path) -> None:
    """As in a directory from before a kind of token had a price of its own."""
    with Whole(tmp_path, "[ledger]\nenabled = true") as gate:
        store = apsw.Connection(str(gate.directory.store))
        store.set_busy_timeout(10_000)
        statement = "SELECT number, name FROM numbers WHERE kind = 'price'"
        for number, terms in store.execute(statement).fetchall():
            old = {name: value for name, value in json.loads(str(terms)).items() if "write" not in name}
            spelled = json.dumps(old, separators=(",", ":"))
            store.execute(
                "UPDATE numbers SET name = ? WHERE number = ? AND kind = 'price'", (spelled, number)
            )
        store.close()
        key = gate.key("party")
        gate.fund("party", 10**9)
        assert gate.chat(key, "echo", max_tokens=50)[0] == 200
        until(lambda: looked(gate.directory.root)["charges"] == 1)
        assert looked(gate.directory.root)["problems"] == []


def test_where_there_is_no_ledger_it_says_so(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["ledger", "check", "--data", str(tmp_path)])
    assert result.exit_code == 1
    assert "holds no ledger" in result.output
