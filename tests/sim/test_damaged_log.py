"""A log of receipts that is not what it was, as a start finds it: refused in words, or followed by another one."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from kpgate.app.backup import Failed, back_up, restore
from kpgate.app.directory import Directory
from kpgate.app.ledger_cli import prove
from kpgate.app.node import Node
from kpgate.app.reach import reach
from kpgate.app.verify import Shown, problems, read
from kpgate.domain.audit import ListAudit
from kpgate.domain.errors import StoreUnavailable
from kpgate.domain.money import ShowBalance, ShowLog, ShowReceipt
from kpgate.domain.receipt import follower
from tests.kit.gateway_process import until
from tests.kit.whole import Whole

SETTINGS = "[ledger]\nenabled = true\n[retries]\nmax = 0"
FUNDS = 10**9
DAMAGES = (
    ("UPDATE tiles SET hashes = zeroblob(length(hashes)) WHERE level = 0", r"head 3 of log .* the tree"),
    ("UPDATE logs SET size = size + 1", r"tile 0/0 of log .* too short"),
    ("UPDATE tiles SET hashes = x'' WHERE level = 0", r"tile 0/0 of log .* too short"),
    ("UPDATE heads SET signature = zeroblob(64)", r"head 3 of log .* is not as .* signed it"),
    ("UPDATE heads SET root = zeroblob(32)", r"head 3 of log .* is not as .* signed it"),
    ("UPDATE signers SET public = zeroblob(32)", r"signer .* not its public key's id"),
    ("UPDATE heads SET key = 'other'", r"head 3 of log .* not among the signers"),
)


class Damaged(Whole):
    """A gateway whose store can be taken away and put back while it does not run."""

    def charge_three(self) -> tuple[str, str, dict[str, Any]]:
        """Charge three calls, have all of it signed, and end it; the key's secret, a call, the head."""
        key = self.key("party")
        self.fund("party", FUNDS)
        receipts = [self.chat(key)[1]["x-kpgate-receipt"] for _ in range(3)]
        until(lambda: self.balance("party")["held_microkpt"] == 0)
        with self.desk() as ask:
            head = ask(ShowLog(id="request-log"))["head"]
        assert head["size"] == 3
        self.stop()
        assert prove(self.directory)[1] == []
        return key, receipts[0], head

    def stop(self) -> None:
        """Kill all of it, and have its store be one file."""
        self.kill_all()
        until(lambda: not Node(self.directory.root).living())
        self.alter("PRAGMA wal_checkpoint(TRUNCATE)")

    def alter(self, statement: str) -> None:
        with closing(apsw.Connection(str(self.directory.store))) as connection:
            connection.execute("DROP TRIGGER IF EXISTS heads_stay")
            connection.execute(statement).fetchall()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Damaged]:
    with Damaged(tmp_path, SETTINGS, model="output_tokens_max = 50") as gate:
        yield gate


def test_a_damaged_log_is_refused_in_words(gate: Damaged, tmp_path: Path) -> None:
    key, *_ = gate.charge_three()
    whole = tmp_path / "whole.db"
    shutil.copy(gate.directory.store, whole)
    gate.wait = False
    for damage, named in DAMAGES:
        shutil.copy(whole, gate.directory.store)
        gate.alter(damage)
        gate.said.clear()
        gate.again()
        assert gate.ended() == 1, damage
        until(lambda: any("problems" in said for said in gate.said))
        (problem,) = {text for said in gate.said for text in said.get("problems", ())}
        assert re.search(named, problem), problem
        assert str(gate.directory.store) in problem and "Restore it from a backup" in problem
        assert not [said for said in gate.said if said.get("event") in ("listening", "text")], gate.said
        until(lambda: not Node(gate.directory.root).living())
    copy = Directory(tmp_path / "copy")
    shutil.copytree(gate.directory.root, copy.root, ignore=shutil.ignore_patterns("run", "*.sock"))
    copy.prepare()
    with pytest.raises(StoreUnavailable, match=r"the log of receipts .* is damaged"), reach(copy) as ask:
        ask(ShowBalance(id="request-1", party="party"))
    shutil.copy(whole, gate.directory.store)
    gate.wait = True
    gate.again()
    assert gate.chat(key)[0] == 200


def test_where_the_newest_head_covers_leaves_that_are_gone_another_log_begins(
    gate: Damaged, tmp_path: Path
) -> None:
    key, call, old = gate.charge_three()
    gate.alter("UPDATE logs SET size = size - 1")
    gate.said.clear()
    gate.again()
    (said,) = [one for one in gate.said if one.get("clerk") == "log_followed"]
    assert (said["follows"], f"head 3 of log {old['log']} covers more" in said["problem"]) == (
        old["log"],
        True,
    )
    status, headers, _ = gate.chat(key)
    assert status == 200
    with gate.desk() as ask:
        now = ask(ShowLog(id="request-log-2"))
        rows = ask(ListAudit(id="request-audit"))["rows"]
        for one in (call, headers["x-kpgate-receipt"]):
            shown = ask(ShowReceipt(id="request-receipt", call=one))
            receipt = read(json.dumps(shown).encode())
            assert isinstance(receipt, Shown) and list(problems(receipt)) == []
    assert now["head"]["log"] == said["log"] == follower(now["continues"]) != old["log"]
    assert now["continues"].startswith(f"{old['log']}:3:{old['root']}:")
    assert now["head"]["size"] == 1
    assert [row["act"] for row in rows].count("log.follow") == 1
    assert f"head 3 of log {old['log']} covers more than its 2 leaves" in str(prove(gate.directory)[1])
    # What is new is whole: it is backed up, and the next start finds nothing to do.
    gate.stop()
    manifest = back_up(gate.directory, tmp_path / "backup", str)
    assert manifest["lost"] == prove(gate.directory)[1] and old["log"] in manifest["lost"][-1]
    restore(tmp_path / "backup", tmp_path / "restored", str)
    assert prove(Directory(tmp_path / "restored"))[1] == manifest["lost"]
    gate.alter("UPDATE accounts SET balance = balance + 1")
    with pytest.raises(Failed, match="what was copied does not hold"):
        back_up(gate.directory, tmp_path / "more", str)
    gate.alter("UPDATE accounts SET balance = balance - 1")
    gate.said.clear()
    gate.again()
    assert not [one for one in gate.said if one.get("clerk") == "log_followed"]
