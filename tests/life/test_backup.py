"""Backup and restore: under load, killed in between, damaged, and what a restored gateway is."""

import http.client
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from threading import Event, Thread
from typing import Any

import apsw
import pytest

from kpgate.app.backup import MANIFEST, Failed, back_up, restore, verify
from kpgate.app.directory import Directory
from kpgate.app.ledger_cli import prove
from kpgate.app.verify import growth_problems, problems, read, read_older
from kpgate.stores.log import SqliteLog
from tests.kit.command import said
from tests.kit.gateway_process import TRANSPORTS, request, until
from tests.kit.provider import Talk
from tests.kit.receipt_verifier import verify_receipt
from tests.kit.whole import Whole

SETTINGS = "[ledger]\nenabled = true"
ROOT = Path(__file__).parents[2]


def quietly(what: str) -> None:
    assert what


def fetch(gate: Whole, key: str, path: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=20)
    try:
        connection.request("GET", path, None, {"authorization": f"Bearer {key}"})
        reply = connection.getresponse()
        assert reply.status == 200, reply.read()
        return json.loads(reply.read())
    finally:
        connection.close()


class Load:
    """Callers that go on until they are told to stop; how many calls each of them was charged for."""

    def __init__(self, gate: Whole, key: str, callers: int = 3) -> None:
        self.receipts: list[str] = []
        self._gate, self._key, self._stop = gate, key, Event()
        self._threads = [Thread(target=self._call) for _ in range(callers)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def _call(self) -> None:
        while not self._stop.is_set():
            status, headers, _ = self._gate.chat(self._key, "echo")
            if status == 200:
                self.receipts.append(headers["x-kpgate-receipt"])

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def moved(source: Path, target: Path) -> Path:
    """A folder for a gateway whose data directory is a restored one."""
    target.mkdir()
    restore(source, target / "data", quietly)
    return target


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_was_there_at_the_backup_is_there_after_the_restore(tmp_path: Path, transport: str):
    first, backup = tmp_path / "first", tmp_path / "backup"
    first.mkdir()
    with Whole(first, SETTINGS, server="workers = 2", transport=transport) as gate:
        key, admin = gate.key("acme"), gate.key("house", role="owner")
        gate.fund("acme", 10**9)
        with Load(gate, key) as load:
            until(lambda: len(load.receipts) > 20)
            back_up(gate.directory, backup, quietly)
            done = len(load.receipts)
            until(lambda: len(load.receipts) > done + 20)
        early, late = load.receipts[0], load.receipts[-1]
        before = fetch(gate, key, f"/kp/v1/receipts/{early}")
        went_on = gate.balance("acme")["balance_microkpt"]
        origin = before["leaf"]["log"]
    copied = Directory(backup)
    report, wrong = prove(copied)
    assert wrong == [] and report.charges > 0
    with Whole(moved(backup, tmp_path / "second"), SETTINGS, transport=transport) as gate:
        balance = gate.balance("acme")["balance_microkpt"]
        rows = fetch(gate, key, "/kp/v1/statement?count=1000")["rows"]
        assert balance == sum(row["amount_microkpt"] for row in rows) > went_on, "what came after is gone"
        # A receipt of before is what it was, in the log that it was in.
        again = fetch(gate, key, f"/kp/v1/receipts/{early}")
        assert again["leaf"] == before["leaf"] and again["signers"] == before["signers"]
        text = json.dumps(again).encode()
        assert list(problems(read(text))) == []
        verify_receipt(text)
        assert late not in {row["call"] for row in rows}
        # A new one is a leaf of a new log, which says whose place it took.
        made = gate.chat(key, "echo")[1]["x-kpgate-receipt"]
        fresh = fetch(gate, key, f"/kp/v1/receipts/{made}")
        assert (
            fresh["leaf"]["log"] not in ("", origin)
            and list(problems(read(json.dumps(fresh).encode()))) == []
        )
        log = fetch(gate, key, "/kp/v1/log")
        assert log["continues"].startswith(f"{origin}:") and log["head"]["log"] == fresh["leaf"]["log"]
        older, trusted = read_older(json.dumps(before).encode())
        found = list(growth_problems(read(json.dumps(log).encode()), older, trusted))
        assert any("are of different logs" in one for one in found)
        assert not any("continues" in one for one in found)
        forged = json.dumps(log | {"continues": log["continues"].replace(":", ":9", 1)}).encode()
        assert any("continues" in one for one in growth_problems(read(forged), older, trusted))
        newest = fetch(gate, admin, "/admin/v1/audit?count=1000")["rows"]
        assert "restore" in {row["act"] for row in newest}
        directory = gate.directory
    assert prove(directory)[1] == []


def test_calls_open_at_the_backup_end_by_the_policy_of_a_death(tmp_path: Path):
    first, backup = tmp_path / "first", tmp_path / "backup"
    first.mkdir()
    with Whole(first, SETTINGS) as gate:
        key = gate.key("acme")
        gate.fund("acme", 10**9)
        chat = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
        gate.script(Talk.stall)
        sent = request("/v1/chat/completions", f"Authorization: Bearer {key}", body=json.dumps(chat).encode())
        with gate.open(sent):
            until(lambda: gate.balance("acme")["held_microkpt"] > 0)
            back_up(gate.directory, backup, quietly)
    with Whole(moved(backup, tmp_path / "second"), SETTINGS) as gate:
        found = gate.balance("acme")
        assert (found["held_microkpt"], found["free_microkpt"]) == (0, found["balance_microkpt"])
        directory = gate.directory
    assert prove(directory)[1] == []


@pytest.fixture(scope="module")
def backup(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backed")
    with Whole(folder, SETTINGS) as gate:
        key = gate.key("acme")
        gate.fund("acme", 10**9)
        for _ in range(5):
            assert gate.chat(key, "echo")[0] == 200
        back_up(gate.directory, folder / "backup", quietly)
    return folder / "backup"


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def change(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize(
    ("harm", "said_of_it"),
    [
        (lambda at: flip(at / "kpgate.db"), "kpgate.db is not as it was written"),
        (lambda at: flip(at / "pepper"), "pepper is not as it was written"),
        (lambda at: flip(next((at / "journal").iterdir())), "is not as it was written"),
        (lambda at: (at / "pepper").unlink(), "pepper is missing"),
        (lambda at: (at / "signing" / "000000.key").unlink(), "000000.key is missing"),
        (lambda at: (at / "more").write_text(""), "more is not in the manifest"),
        (lambda at: (at / MANIFEST).unlink(), "no whole backup"),
        (lambda at: (at / MANIFEST).write_text("{"), "is damaged"),
        (lambda at: (at / MANIFEST).write_text("[]"), "is damaged"),
        (lambda at: change(at / MANIFEST, format=2), "is of the format 2"),
        (lambda at: change(at / MANIFEST, store_version=999), "made by a later version"),
        (lambda at: change(at / MANIFEST, files=None), "is damaged"),
    ],
)
def test_what_is_no_whole_backup_is_refused_by_name_and_nothing_is_made(
    tmp_path: Path, backup: Path, harm: Callable[[Path], object], said_of_it: str
):
    copy = tmp_path / "copy"
    shutil.copytree(backup, copy)
    harm(copy)
    with pytest.raises(Failed, match=said_of_it):
        restore(copy, tmp_path / "data", quietly)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy"]


def test_only_an_empty_place_is_written_to(tmp_path: Path, backup: Path):
    full = tmp_path / "full"
    full.mkdir()
    (full / "something").write_text("of somebody's")
    for act in (
        lambda: restore(backup, full, quietly),
        lambda: back_up(Directory(backup), full, quietly),
        lambda: back_up(Directory(tmp_path / "none"), tmp_path / "target", quietly),
    ):
        with pytest.raises(Failed, match=r"is not empty|holds no store"):
            act()
    assert [path.name for path in full.iterdir()] == ["something"]
    empty = tmp_path / "empty"
    empty.mkdir()
    restore(backup, empty, quietly)
    assert prove(Directory(empty))[1] == []


def test_what_is_secret_is_its_owner_s_alone(backup: Path, tmp_path: Path):
    restore(backup, tmp_path / "data", quietly)
    for root in (backup, tmp_path / "data"):
        found = [path for path in root.rglob("*") if "run" not in path.relative_to(root).parts]
        assert {path.stat().st_mode & 0o077 for path in (root, *found)} == {0}


def test_a_restored_log_is_closed_by_a_head_over_all_its_leaves(backup: Path, tmp_path: Path):
    restore(backup, tmp_path / "data", quietly)
    connection = apsw.Connection(str(tmp_path / "data" / "kpgate.db"), flags=apsw.SQLITE_OPEN_READONLY)
    old, new = SqliteLog(connection).all()
    head = old.head()
    assert head is not None and head.size == old.size > 0 and new.size == 0
    assert new.before.startswith(f"{old.origin}:{old.size}:{head.root.hex()}:")
    assert new.origin == sha256(f"kpgate-origin-v1\n{new.before}\n".encode()).hexdigest()[:32]
    connection.close()
    again = tmp_path / "again"
    back_up(Directory(tmp_path / "data"), again, quietly)
    restore(again, tmp_path / "more", quietly)
    connection = apsw.Connection(str(tmp_path / "more" / "kpgate.db"), flags=apsw.SQLITE_OPEN_READONLY)
    assert len(SqliteLog(connection).all()) == 3
    connection.close()
    assert prove(Directory(tmp_path / "more"))[1] == []


def begun(target: Path) -> subprocess.Popen[bytes]:
    """A backup that has begun, and may be done."""
    command = [sys.executable, "-m", "kpgate", "backup", str(target), "--data", str(target.parent / "data")]
    work = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: bool(list(target.parent.glob(".backup*.partial"))) or work.poll() is not None)
    return work


def test_a_backup_that_is_killed_leaves_no_target(tmp_path: Path):
    with Whole(tmp_path, SETTINGS) as gate:
        key = gate.key("acme")
        gate.fund("acme", 10**9)
        with Load(gate, key) as load:
            for wait in range(6):
                target = tmp_path / f"backup{wait}"
                work = begun(target)
                done = len(load.receipts)
                until(lambda done=done, wait=wait: len(load.receipts) > done + 3 * wait)
                work.kill()
                work.wait()
                if target.exists():
                    verify(target, quietly)
                    assert prove(Directory(target))[1] == []
                for draft in tmp_path.glob(".backup*.partial"):
                    shutil.rmtree(draft)
        assert prove(gate.directory)[1] == []


def test_the_commands_say_what_they_did(tmp_path: Path, backup: Path):
    data = tmp_path / "data"
    found = said(data, "restore", str(backup))
    assert found["data"] == str(data) and len(found["log"]) == 32 and found["follows"]
    again = said(data, "backup", str(tmp_path / "again"))
    assert again["target"] == str(tmp_path / "again") and "kpgate.db" in again["files"]
    assert said(data, "keys", "list")[0]["party"] == "acme"


def test_a_directory_without_a_ledger_is_backed_up_as_well(tmp_path: Path):
    data = tmp_path / "data"
    made = said(data, "keys", "create", "--party", "acme")
    assert said(data, "ledger", "check")["sound"]
    said(data, "backup", str(tmp_path / "backup"))
    found = said(tmp_path / "more", "restore", str(tmp_path / "backup"))
    assert (found["log"], found["follows"]) == ("", "")
    assert said(tmp_path / "more", "keys", "list")[0]["id"] == made["id"]
    rows = said(tmp_path / "more", "audit", "list")["rows"]
    assert [row["act"] for row in rows] == ["restore", "keys.create"]
    assert said(tmp_path / "more", "audit", "check")["sound"]
