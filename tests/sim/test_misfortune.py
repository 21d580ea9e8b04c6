"""Bad luck, each by itself: a full disk, a folder that nobody may write to, a journal torn or damaged, clocks.

What is promised: nothing is lost, nothing is charged twice, and what cannot go on says why.
"""

import asyncio
import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import apsw
import pytest

from kpgate._fast.credit import DONE, Decision, Purse
from kpgate._fast.journal import HOLD, SYNC, recover, segment_name
from kpgate.app import ledger_cli, poster
from kpgate.app.ledger_cli import prove
from kpgate.app.node import Node
from kpgate.app.poster import Refused
from kpgate.domain.batch import Entry
from kpgate.domain.errors import InvalidRequest, StoreUnavailable
from kpgate.domain.ledger import note_end, note_hold
from kpgate.domain.money import Movement, ShowBalance, Transfer
from kpgate.domain.usage import Usage
from tests.kit import small_clerk
from tests.kit.gateway_process import ROOT, TRANSPORTS, until
from tests.kit.provider import Talk, answer, completion
from tests.kit.small_node import SEGMENT_BYTES, SmallNode
from tests.kit.vault import HOUR_US
from tests.kit.whole import Whole

SETTINGS = "[ledger]\nenabled = true\n[retries]\nmax = 0"
MODEL = "output_tokens_max = 50"
PAID = 9 * 250 + 3 * 1_000
FUNDS = 10**12
BACKUP_S = 6.0
BYTES_A_CALL = 200
"""Of the journal, at least."""
UNPOSTED = 'kpgate_journal_bytes{state="unposted"}'
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, PR_CAPBSET_DROP = 1, 2, 24


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallNode:
    made = SmallNode(tmp_path, monkeypatch)
    made.begin()
    give(made, "first", 1_000)
    return made


def give(node: SmallNode, name: str, amount: int, expires_us: int = 0) -> None:
    kind = "grant" if expires_us else "issue"
    movement = Movement(kind=kind, party="acme", amount=amount, expires_us=expires_us)  # type: ignore[arg-type]
    node.bank.treasury.answer(Transfer(id=f"operation-{name}", movements=(movement,)))


def charge(node: SmallNode, amount: int) -> int:
    """One call: held, charged and written. Its id."""
    worker, decision = node.workers[0], Decision()
    account, party = node.bank.ledger.number_of("spend:acme"), node.bank.ledger.party("acme")
    assert account is not None and party is not None
    held = note_hold("request", "model", node.version, 1, 1, 10_000)
    purse = Purse(account, party=party)
    assert worker.credit.hold(node.now_us, 0, purse, amount, held, decision) == DONE
    said = note_end("provider", "deployment", 1, 200, node.version, Usage(amount, 0))
    assert worker.credit.post(node.now_us, decision.handle, amount, 0, said) == DONE
    assert worker.journal.flush(worker.journal.tail)
    return decision.call


def balance(node: SmallNode) -> dict[str, object]:
    found: dict[str, object] = node.bank.treasury.answer(ShowBalance(id="show-balance", party="acme"))
    return found


def flip(node: SmallNode, position: int) -> None:
    flip_in(node.files, position, SEGMENT_BYTES)


def flip_in(files: Path, position: int, segment_bytes: int) -> None:
    with (files / segment_name(position - position % segment_bytes)).open("r+b") as file:
        file.seek(position % segment_bytes)
        (byte,) = file.read(1)
        file.seek(position % segment_bytes)
        file.write(bytes([byte ^ 1]))


# A full disk


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_on_a_full_disk_calls_are_refused_open_ones_settle_and_all_resumes(
    tmp_path: Path, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (poster, ledger_cli):
        monkeypatch.setattr(module, "SEGMENT_BYTES", small_clerk.SEGMENT_BYTES)
    gate = Whole(tmp_path, SETTINGS, server="workers = 2", transport=transport, model=MODEL)
    gate.clerk = "tests.kit.small_clerk"
    with gate:
        key, full, paid = gate.key("party"), gate.directory.root / "full", 0
        gate.fund("party", FUNDS)
        release: list[Callable[[], None]] = []

        async def wait(talk: Talk) -> None:
            await talk.rest_of_body()
            await waiting.wait()
            await answer(completion())(talk)

        waiting = gate.background.run(_event())
        release.append(waiting.set)
        gate.script(*[wait] * 4)
        with ThreadPoolExecutor(4) as pool:
            open_calls = [pool.submit(gate.chat, key) for _ in range(4)]
            until(lambda: len(gate.provider.requests) == 4)
            full.touch()
            while (said := gate.chat(key))[0] == 200:
                paid += 1
            status, headers, body = said
            assert (status, body["error"]["code"]) == (503, "store_unavailable")
            assert int(headers["retry-after-ms"]) > 0
            asked = len(gate.provider.requests)
            assert gate.chat(key)[0] == 503
            assert len(gate.provider.requests) == asked, "nobody is asked without a hold"
            gate.background.call(release[0])
            for one in open_calls:
                assert one.result()[0] == 200
                paid += 1
        full.unlink()
        until(lambda: gate.chat(key)[0] == 200)
        paid += 1
        until(lambda: gate.balance("party")["held_microkpt"] == 0)
        assert gate.balance("party")["balance_microkpt"] == FUNDS - paid * PAID
        gate.signal(15)
        gate.ended()
        assert paid > 100
        assert prove(gate.directory)[1] == []


async def _event() -> asyncio.Event:
    return asyncio.Event()


# A data directory that cannot be written


def test_a_read_only_data_directory_is_refused_in_words(tmp_path: Path) -> None:
    with Whole(tmp_path, SETTINGS, model=MODEL):
        pass
    data = tmp_path / "data"
    frozen = [data, *(path for path in data.rglob("*") if path.name != "ctl.sock")]
    modes = {path: path.stat().st_mode for path in frozen}
    for path in reversed(frozen):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        command = [sys.executable, "-m", "kpgate", "serve", "--config", "kpgate.toml", "--data", str(data)]
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            command, cwd=tmp_path, env=environ, capture_output=True, timeout=30, preexec_fn=_ordinary
        )
    finally:
        for path in frozen:
            path.chmod(modes[path] & 0o7777)
    said = [json.loads(line) for line in done.stderr.splitlines() if line.startswith(b"{")]
    assert done.returncode == 1
    assert str(data) in said[-1]["problem"] and "denied" in said[-1]["problem"].lower()
    assert b"Traceback" not in done.stderr


def _ordinary() -> None:
    """Even root is now asked what a file's mode says."""
    libc = ctypes.CDLL(None)
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


# A journal that is not what it was


def test_a_torn_entry_is_cut_off_and_said(node: SmallNode) -> None:
    whole = charge(node, 100)
    end = node.bank.journal.tail
    torn = charge(node, 200)
    node.leave()
    node.cut(end + 40)
    node.begin()
    assert "journal_tail_cut" in node.said
    assert node.bank.ledger.charge(whole) is not None and node.bank.ledger.charge(torn) is None
    assert balance(node)["balance_microkpt"] == 900
    assert prove(node.directory)[1] == []
    node.leave()


def test_a_damaged_durable_journal_is_refused_with_its_position_and_left_as_it_is(node: SmallNode) -> None:
    node.bank.poster.post_all()
    before = node.bank.ledger.balances()
    call = charge(node, 100)
    for _ in range(3):
        node.bank.poster.sync()
        charge(node, 10)
    node.leave()
    flip(node, call + 40)
    for _ in range(2):
        with pytest.raises(Refused, match=f"damaged.*{call:#x}.*had reached the disk.*backup"):
            node.begin()
        assert node.bank.ledger.balances() == before, (
            "nothing is posted beyond the damage, nothing taken back"
        )
        node.leave_clerk()
    flip(node, call + 40)
    node.begin()
    assert balance(node)["balance_microkpt"] == 870
    assert prove(node.directory)[1] == []
    node.leave()


def test_a_gateway_does_not_serve_from_a_damaged_journal(tmp_path: Path) -> None:
    with Whole(tmp_path, SETTINGS, server="workers = 1", model=MODEL) as gate:
        key, files = gate.key("party"), gate.directory.root / "journal"
        gate.fund("party", FUNDS)
        store = apsw.Connection(str(gate.directory.store))
        # So that what is synced is not posted.
        until(lambda: begun(store))
        cursor = number_in(store, "SELECT cursor FROM ledger")
        for _ in range(10):
            assert gate.chat(key)[0] == 200
        found: list[Entry] = []

        def synced() -> bool:
            found.clear()
            recover(files, 0, poster.SEGMENT_BYTES, lambda more, end: found.extend(more))
            after = [lsn for lsn, kind, _ in found if kind == HOLD and lsn >= cursor]
            said = [int.from_bytes(body, "little") for _, kind, body in found if kind == SYNC]
            return bool(after) and max(said, default=0) > after[0] + 100

        until(synced)
        gate.kill_all()
        store.execute("ROLLBACK")
        store.close()
        until(lambda: not Node(gate.directory.root).living())
        position = next(lsn for lsn, kind, _ in found if kind == HOLD and lsn >= cursor)
        flip_in(files, position + 40, poster.SEGMENT_BYTES)
        gate.said.clear()
        gate.wait = False
        gate.again()
        assert gate.ended() == 1
        problems = [text for said in gate.said for text in said.get("problems", ())]
        assert any("damaged" in text and f"{position:#x}" in text for text in problems), gate.said
        assert not [said for said in gate.said if said.get("event") == "listening"]


def number_in(store: apsw.Connection, statement: str) -> int:
    return int(str(store.execute(statement).fetchall()[0][0]))


def begun(store: apsw.Connection) -> bool:
    """Whether the store is now locked by this connection, as by a backup."""
    try:
        store.execute("BEGIN IMMEDIATE")
    except apsw.BusyError:
        return False
    return True


def unposted(gate: Whole) -> float:
    """What the metrics say of the journal. Units: bytes."""
    lines = gate.get("/metrics")[1].decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(UNPOSTED))


# A backup that holds the store


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_calls_go_on_while_a_backup_locks_the_store_and_are_posted_after(
    tmp_path: Path, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For longer than what was ready of the journal lasts."""
    for module in (poster, ledger_cli):
        monkeypatch.setattr(module, "SEGMENT_BYTES", small_clerk.SEGMENT_BYTES)
    gate = Whole(tmp_path, SETTINGS, server="workers = 2", transport=transport, model=MODEL)
    gate.clerk = "tests.kit.small_clerk"
    with gate:
        key = gate.key("party")
        gate.fund("party", FUNDS)
        clerk = (gate.directory.run / "0.life").read_text()
        store = apsw.Connection(str(gate.directory.store))
        until(lambda: begun(store))
        paid, over = 0, monotonic() + BACKUP_S
        while monotonic() < over:
            status, headers, _ = gate.chat(key)
            assert (status, headers["x-kpgate-cost-microkpt"]) == (200, str(PAID))
            paid += 1
        before = number_in(store, "SELECT count(*) FROM charges")
        written = paid * BYTES_A_CALL
        assert written > small_clerk.AHEAD_BYTES, "more than was ready when the store was locked"
        until(lambda: unposted(gate) > written)
        assert unposted(gate) < 2 * written, "one worker tells of it"
        store.execute("ROLLBACK")
        store.close()
        until(lambda: gate.balance("party")["held_microkpt"] == 0)
        assert gate.balance("party")["balance_microkpt"] == FUNDS - paid * PAID
        assert before < paid
        assert (gate.directory.run / "0.life").read_text() == clerk
        assert not [said for said in gate.said if said.get("event") in ("clerk_silent", "lost")]
        gate.signal(15)
        gate.ended()
        assert prove(gate.directory)[1] == []


def test_an_operation_while_the_store_is_locked_may_be_asked_again_and_is_done_once(node: SmallNode) -> None:
    store = apsw.Connection(str(node.directory.store))
    node.store.connection.set_busy_timeout(1)
    store.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable):
        give(node, "second", 500)
    call = charge(node, 100)
    store.execute("ROLLBACK")
    store.close()
    for _ in range(2):
        give(node, "second", 500)
    assert balance(node)["balance_microkpt"] == 1_400
    assert node.bank.ledger.charge(call) is not None
    assert prove(node.directory)[1] == []
    node.leave()


def test_the_faster_the_journal_grows_the_more_of_it_is_made_ahead(node: SmallNode) -> None:
    made, journal = node.bank.poster, node.bank.journal

    def made_ahead() -> int:
        for _ in range(1_000):
            node.now_us += poster.EXTRA_US // 100
            if made.short:
                made.prepare()
        return journal.prepared - journal.tail

    assert 2 * SEGMENT_BYTES <= made_ahead() <= 3 * SEGMENT_BYTES
    node.now_us += poster.PACE_US
    assert not made.short, "nothing is decided, and enough is there"
    before = journal.tail
    for _ in range(50):
        charge(node, 1)
    node.now_us += poster.PACE_US
    assert made.short
    for _ in range(3):
        made.prepare()
        assert not made.short, "the disk is somebody else's meanwhile"
        node.now_us += poster.EXTRA_US - 1
        assert not made.short
        node.now_us += 1
    grown = journal.tail - before
    assert made_ahead() > grown * poster.AHEAD_S // 4, "as that pace lasts no longer than the calls did"


# Clocks


def test_a_clock_set_back_an_hour_changes_nothing(node: SmallNode) -> None:
    ends_us = node.wall_us() + 2 * HOUR_US
    give(node, "grant", 300, ends_us)
    before_us = node.bank.journal.time_us
    charge(node, 100)
    node.ahead_us -= HOUR_US
    node.bank.poster.keep_time()
    charge(node, 100)
    assert balance(node)["free_microkpt"] == 1_100
    node.leave()
    node.begin()
    assert node.bank.journal.time_us >= before_us, "the ledger's time does not go back"
    charge(node, 100)
    assert balance(node)["balance_microkpt"] == 1_000
    with pytest.raises(InvalidRequest, match="past"):
        give(node, "late", 5, before_us - 1)
    node.bank.treasury.expire()
    assert balance(node)["balance_microkpt"] == 1_000, "no grant ends before its time"
    assert prove(node.directory)[1] == [], "of entries, too, none is before another"
    node.leave()


def test_a_clock_that_is_a_day_behind_is_refused(node: SmallNode) -> None:
    charge(node, 100)
    node.leave()
    node.ahead_us -= 25 * HOUR_US
    with pytest.raises(Refused, match="accept_clock"):
        node.begin()
    node.leave_clerk()
    node.ahead_us += 25 * HOUR_US
    node.begin()
    assert balance(node)["balance_microkpt"] == 900
    node.leave()
