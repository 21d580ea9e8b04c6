"""Who is killed where, row by row of what is promised of kills, and what shows it; two rows of the clerk's here.

Each row has a named point that is driven on purpose. Kills at random (`test_kills`, `test_histories`) are besides.
"""

import ast
import os
from pathlib import Path

import msgspec
import pytest

from kpgate._fast.credit import DONE, Decision, Purse
from kpgate._fast.journal import SYNC, segment_name, segments
from kpgate.app.ledger_cli import entries_of, prove
from kpgate.app.verify import Shown, problems, read
from kpgate.domain.ledger import note_end, note_hold, show_call
from kpgate.domain.money import Movement, ShowReceipt, Transfer
from kpgate.domain.usage import Usage
from tests.kit.small_node import SmallNode

ROOT = Path(__file__).parents[2]
ROWS = {
    "before COMMIT": ("tests/fast/test_credit_kills.py", "test_a_death_at_any_store_leaves_all_or_nothing"),
    "after COMMIT, any point of applying": (
        "tests/fast/test_credit_kills.py",
        "test_a_repair_that_dies_at_any_store_is_repaired",
    ),
    "after HOLD, before written": (
        "tests/fast/test_credit_kills.py",
        "test_a_reaper_that_dies_leaves_the_rest_to_the_next",
    ),
    "in pwrite": (
        "tests/fast/test_journal.py",
        "test_the_pen_is_the_living_s_and_whoever_comes_writes_for_the_dead",
    ),
    "HOLD written, SENT, mid-stream": (
        "tests/app/test_clerk.py",
        "test_the_calls_of_a_dead_worker_are_ended_and_those_of_the_living_are_not",
    ),
    "END committed, last byte not sent": (
        "tests/app/test_bank.py",
        "test_what_was_decided_and_not_posted_is_found_at_the_next_start",
    ),
    "reaper half-way": (
        "tests/fast/test_credit_kills.py",
        "test_a_reaper_that_dies_leaves_the_rest_to_the_next",
    ),
    "clerk between fdatasync and durable": (
        "tests/sim/test_crash_table.py",
        "test_a_clerk_killed_between_its_sync_and_saying_so_syncs_again",
    ),
    "clerk in a posting transaction": (
        "tests/sim/test_crash_table.py",
        "test_a_clerk_killed_in_a_posting_posts_all_of_it_once",
    ),
    "clerk after commit, before head": (
        "tests/sim/test_crash_table.py",
        "test_a_clerk_killed_before_it_signs_leaves_that_to_the_next",
    ),
    "clerk after commit, before answer": (
        "tests/app/test_bank.py",
        "test_an_operation_that_was_journalled_and_not_posted_is_done_once",
    ),
    "clerk after a key change's commit": (
        "tests/app/test_clerk.py",
        "test_a_change_that_a_crash_left_unpublished_is_published_by_the_next_clerk",
    ),
    "supervisor": ("tests/app/test_supervisor.py", "test_orphans_end_soon_and_a_new_start_waits_for_them"),
    "all at once": ("tests/app/test_bank.py", "test_calls_that_were_open_end_at_the_next_start"),
    "power": (
        "tests/sim/test_power_pages.py",
        "test_whatever_pages_the_disk_has_a_ledger_stands_and_has_all_that_was_durable",
    ),
    "stopped, not dead": (
        "tests/app/test_clerk.py",
        "test_a_stopped_owner_of_the_lock_is_killed_and_others_go_on",
    ),
}
"""Where it is killed, and the test that drives it there."""


@pytest.mark.parametrize("row", ROWS)
def test_every_row_has_a_test_that_is_there(row: str) -> None:
    path, name = ROWS[row]
    found = ast.parse((ROOT / path).read_text()).body
    assert name in {one.name for one in found if isinstance(one, ast.FunctionDef)}, (path, name)


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallNode:
    made = SmallNode(tmp_path, monkeypatch)
    made.begin()
    give = Movement(kind="issue", party="acme", amount=1_000)
    made.bank.treasury.answer(Transfer(id="operation-1", movements=(give,)))
    return made


def charge(node: SmallNode, amount: int) -> int:
    """Charge a call; its id."""
    account, party = node.bank.ledger.number_of("spend:acme"), node.bank.ledger.party("acme")
    assert account is not None and party is not None
    worker, decision = node.workers[0], Decision()
    note, purse = note_hold("request", "model", node.version, 1, 1, 10_000), Purse(account, (), party=party)
    held = worker.credit.hold(node.now_us, node.region.generation, purse, amount, note, decision)
    said = note_end("provider", "deployment", 1, 200, node.version, Usage(amount * 1_000_000, 0))
    assert held == worker.credit.post(node.now_us, decision.handle, amount, 0, said) == DONE
    return decision.call


def another_clerk(node: SmallNode) -> None:
    """The clerk is killed, and the next one takes its seat beside the workers."""
    node.leave_clerk()
    node.seat_clerk()


def is_charged_once(node: SmallNode, call: int, amount: int) -> None:
    node.bank.poster.post_all()
    found = node.bank.ledger.charge(call)
    assert found is not None and found[3].amount == amount
    assert node.bank.ledger.balance("spend:acme") == 1_000 - amount
    node.bank.poster.sign()
    assert prove(node.directory)[1] == []


def test_a_clerk_killed_between_its_sync_and_saying_so_syncs_again(node: SmallNode) -> None:
    call = charge(node, 70)
    node.bank.poster.write()
    journal = node.bank.journal
    before = journal.durable
    for first in segments(node.files):
        # All that its sync does to the disk; what it says of it in the region is not said any more.
        descriptor = os.open(node.files / segment_name(first), os.O_RDWR)
        os.fdatasync(descriptor)
        os.close(descriptor)
    assert journal.durable == before <= call < journal.written
    another_clerk(node)
    assert node.bank.journal.durable == before, "lower than it is: nobody acts on what is beyond"
    assert node.bank.ledger.charge(call) is None
    node.bank.poster.sync()
    assert node.bank.journal.durable > call
    is_charged_once(node, call, 70)
    node.bank.poster.sync()
    said = [int.from_bytes(body, "little") for _, kind, body in entries_of(node.files) if kind == SYNC]
    assert said == sorted(said) and said[-1] > call
    node.leave()


class Killed(BaseException):
    """The process ends here."""


def test_a_clerk_killed_in_a_posting_posts_all_of_it_once(
    node: SmallNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = charge(node, 70)
    cursor, ledger = node.bank.ledger.cursor, node.bank.ledger

    def die(*_: object) -> None:
        raise Killed

    for place in ("_move_on", "_write"):
        with monkeypatch.context() as patched:
            patched.setattr(ledger, place, die)
            with pytest.raises(Killed):
                node.bank.poster.post_all()
        another_clerk(node)
        ledger = node.bank.ledger
        assert (ledger.cursor, ledger.charge(call)) == (cursor, None)
    is_charged_once(node, call, 70)
    node.leave()


def test_a_clerk_killed_before_it_signs_leaves_that_to_the_next(node: SmallNode) -> None:
    calls = [charge(node, 30)]
    is_charged_once(node, calls[0], 30)
    calls.append(charge(node, 40))
    node.bank.poster.post_all()
    signed = "SELECT max(size), count(*) FROM heads"
    assert node.store.connection.execute(signed).fetchall() == [(1, 1)]
    another_clerk(node)
    assert node.store.connection.execute("SELECT size FROM logs").fetchall() == [(2,)]
    assert prove(node.directory)[1] == [], "leaves that nobody signed yet are no damage"
    for index, call in enumerate(calls):
        shown = node.bank.treasury.answer(ShowReceipt(id="question", call=show_call(call)))
        receipt = read(msgspec.json.encode(shown))
        assert isinstance(receipt, Shown) and list(problems(receipt)) == []
        assert (receipt.index, receipt.head.size) == (index, 1 if index == 0 else 2)
    assert node.store.connection.execute(signed).fetchall() == [(2, 2)]
    node.bank.poster.sign()
    assert node.store.connection.execute(signed).fetchall() == [(2, 2)], "once"
    assert prove(node.directory)[1] == []
    node.leave()
