"""A ledger of which one column is changed behind its back: `kpgate ledger check` finds it, or it is said why not."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import time_ns

import apsw
import pytest

from kpgate.app.control import new_id
from kpgate.app.directory import Directory
from kpgate.app.ledger_cli import prove
from kpgate.domain.money import Movement, Refund, RotateSigner, SetBudget, SetCreditLine, ShowLog, Transfer
from tests.kit.gateway_process import until
from tests.kit.whole import Whole

HOUR_US = 3_600_000_000
TABLES = (
    *("accounts", "transfers", "charges", "lots", "lot_moves", "budget_uses", "operations", "ledger"),
    *("logs", "tiles", "heads", "signers", "budgets", "tokens"),
)
ROWS = {
    "accounts": "name = 'spend:party'",
    "lots": "slot = 0",
    "budget_uses": "window > 0",
    **{name: f"lsn = (SELECT max(lsn) FROM {name})" for name in ("operations", "transfers", "lot_moves")},
}
"""Which row is changed, where it is not the newest: of operations one that moved money."""
OTHERWISE = {
    "INTEGER": "ifnull({0}, 0) + 1000",
    "TEXT": "ifnull({0}, '') || 'x'",
    "BLOB": "zeroblob(max(1, length({0})))",
}
UNKNOWN = {
    "accounts.floor": "a credit line is not in the journal: the audit log says who drew it",
    "budgets.day": "nor are caps",
    "budgets.month": "nor are caps",
    "budgets.free_us": "when that is",
    "ledger.cursor": "further on than the journal's end it skips nothing; elsewhere it is found",
    "ledger.start": "how often the node was started",
    "signers.created_us": "of one alone the order",
    "tokens.id": "a token is signed, and what is kept of it for people",
    "tokens.models": "as above",
    "tokens.label": "as above",
    "tokens.signer": "as above",
    "tokens.made_us": "as above",
    "tokens.expires_us": "as above",
    "tokens.revoked_us": "as above",
    "tokens.content": "as above",
}
"""What no entry, leaf or signature tells of."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a little of everything, at rest; nothing is held, refused or lost in it."""
    folder = tmp_path_factory.mktemp("whole")
    with Whole(folder, "[ledger]\nenabled = true") as gate:
        key, other = gate.key("party"), gate.key("rival")
        gate.fund("rival", 10**9)
        with gate.desk() as ask:
            ends_us = time_ns() // 1000 + HOUR_US
            grant = Movement(kind="grant", party="party", amount=10**4, expires_us=ends_us)
            issue = Movement(kind="issue", party="party", amount=10**9, memo="first")
            ask(Transfer(id=new_id(), movements=(grant, issue)))
            ask(SetBudget(id=new_id(), party="party", day=10**12))
            ask(SetBudget(id=new_id(), key=key.split("-")[2], month=10**12))
            ask(SetCreditLine(id=new_id(), party="party", line=5))
        token = gate.token(key, 10**8)
        calls = []
        for secret in (key, other, token, key):
            status, headers, _ = gate.chat(secret, "echo", max_tokens=50)
            assert status == 200
            calls.append(headers["x-kpgate-receipt"])
        until(lambda: gate.balance("party")["held_microkpt"] == 0)
        with gate.desk() as ask:
            ask(Refund(id=new_id(), call=calls[0], amount=5))
            ask(RotateSigner(id=new_id()))
        assert gate.chat(key, "echo", max_tokens=50)[0] == 200
        until(lambda: gate.balance("party")["held_microkpt"] == 0)
        with gate.desk() as ask:
            assert ask(ShowLog(id=new_id()))["head"]["size"] == 5
    return gate.directory.root


@pytest.fixture
def store(data: Path, tmp_path: Path) -> Iterator[Path]:
    """The directory's store, which is put back as it was afterwards."""
    path = Directory(data).store
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    shutil.copy(path, tmp_path / "kept.db")
    yield path
    shutil.copy(tmp_path / "kept.db", path)


def found(data: Path) -> list[str]:
    return prove(Directory(data))[1]


def alter(path: Path, *statements: str) -> None:
    """Change a store as nobody may: what is never changed in it, and what names what is not there."""
    with closing(apsw.Connection(str(path))) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
            assert connection.changes(), statement


def test_any_column_of_a_row_that_is_changed_is_found(data: Path, store: Path, tmp_path: Path) -> None:
    assert found(data) == []
    missed = set()
    for table in TABLES:
        with closing(apsw.Connection(str(store))) as connection:
            columns = connection.execute(f"SELECT name, type FROM pragma_table_info('{table}')").fetchall()
        row = ROWS.get(table) or f"rowid = (SELECT max(rowid) FROM {table})"
        for name, kind in columns:
            if (table, name) == ("ledger", "one"):
                continue
            shutil.copy(tmp_path / "kept.db", store)
            changed = OTHERWISE[str(kind)].format(name)
            alter(store, f"UPDATE {table} SET {name} = {changed} WHERE {row}")
            if not found(data):
                missed.add(f"{table}.{name}")
    assert missed == set(UNKNOWN)


@pytest.mark.parametrize("table", [table for table in TABLES if table != "ledger"])
def test_any_row_that_is_taken_away_is_found(data: Path, store: Path, table: str) -> None:
    alter(store, f"DELETE FROM {table}")
    assert found(data)
