"""A sound ledger is found sound, from wherever its journal begins; whatever is wrong with one is found and named."""

import struct
from collections.abc import Iterator
from importlib.resources import files

import apsw
import pytest

from kpgate.domain.batch import Entry
from kpgate.domain.invariants import Report, check
from kpgate.domain.ledger import Leg, Posting, note_transfer, read_transfer, show_call, write_transfer
from kpgate.domain.money import Movement, Refund, SetBudget, Transfer
from kpgate.stores.standing import SqliteStanding
from tests.kit.oracle import credit as plain
from tests.kit.vault import HOUR_US, Office


class Case:
    """A ledger with a little of everything: an open hold is the last call, one that was charged the first."""

    def __init__(self) -> None:
        self.office = office = Office()
        give = Movement(kind="grant", party="acme", amount=500, expires_us=office.time_us() + HOUR_US)
        office.do(Transfer, movements=(give, Movement(kind="issue", party="acme", amount=1000)))
        office.do(SetBudget, party="acme", day=900)
        (budget,) = office.ledger.budgets()
        self.account = office.account_of("acme")
        self.charged = self.hold(600, budget.number)
        office.vault.end(self.charged, 620, version=office.version)
        self.void = self.hold(10, budget.number)
        office.vault.end(self.void, -1)
        office.post_all()
        office.do(Refund, call=show_call(self.charged), amount=50)
        self.open = self.hold(100, budget.number)
        office.post_all()
        assert office.vault.extend(self.open, 30)
        office.vault.record_meter(self.open, 40)
        office.post_all()
        self.entries = list(office.vault.entries)

    def hold(self, amount: int, budget: int) -> int:
        return self.office.vault.hold(self.account, amount, (budget,), version=self.office.version)

    def check(self, entries: list[Entry] | None = None) -> Report:
        connection = self.office.store.connection
        with SqliteStanding(connection).at_one_instant() as standing:
            return check(standing, self.entries if entries is None else entries)

    def tamper(self, statement: str) -> Report:
        connection = self.office.store.connection
        # Some of what is changed is now nobody's.
        connection.execute("PRAGMA foreign_keys = OFF")
        for trigger in ("transfers_stay", "transfers_last", "lot_moves_stay", "lot_moves_last"):
            connection.execute(f"DROP TRIGGER IF EXISTS {trigger}")
        connection.execute(statement)
        assert connection.changes(), "nothing was changed"
        return self.check()


@pytest.fixture
def case() -> Iterator[Case]:
    case = Case()
    yield case
    case.office.close()


def test_a_sound_ledger_is_found_sound(case: Case) -> None:
    report = case.check()
    assert report.sound, report.problems
    assert (report.charges, report.entries) == (1, len(case.entries))
    assert report.transfers == 2 + 3 + 1
    assert case.check([]).sound


def test_it_is_sound_from_wherever_its_journal_begins(case: Case) -> None:
    for i in range(len(case.entries)):
        report = case.check(case.entries[i:])
        assert report.sound, (i, report.problems)


def test_what_is_not_yet_posted_is_checked_by_itself(case: Case) -> None:
    office = case.office
    office.vault.end(case.open, 130, version=office.version)
    later = case.hold(50, 1)
    office.vault.end(later, 50)
    report = case.check(office.vault.entries)
    assert report.sound, report.problems
    twice = office.vault.entries[-1]
    report = case.check([*office.vault.entries, (twice[0] + 1, *twice[1:])])
    assert report.problems == (f"{show_call(later)}: ended twice, or never held",)
    office.post_all()
    assert case.check(office.vault.entries).sound


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE accounts SET balance = balance + 1 WHERE name = 'spend:acme'", "sum to 1"),
        ("UPDATE accounts SET balance = balance + 1 WHERE name = 'spend:acme'", "its transfers come to"),
        ("UPDATE transfers SET amount = amount + 1 WHERE kind = 'share'", "shares do not sum"),
        ("UPDATE transfers SET amount = amount + 1 WHERE kind = 'overrun'", "what its price says"),
        ("UPDATE transfers SET credit = debit WHERE kind = 'refund'", "moves nothing"),
        ("UPDATE transfers SET amount = 0 WHERE kind = 'refund'", "moves nothing"),
        ("UPDATE transfers SET amount = 49 WHERE kind = 'refund'", "by other transfers"),
        ("UPDATE transfers SET kind = 'top_up' WHERE kind = 'grant'", "does not have the transfers"),
        ("DELETE FROM transfers WHERE kind = 'issue'", "does not have the transfers"),
        ("INSERT INTO transfers VALUES (1, 9, 'charge', 5, 2, 1, 0, 0, '')", "that no call was charged"),
        ("INSERT INTO transfers VALUES (99, 0, 'issue', 1, 77, 1, 0, 0, '')", "no account"),
        ("INSERT INTO transfers VALUES (99, 0, 'refund', 2, 5, 1, 0, 12345, '')", "never charged"),
        ("UPDATE charges SET amount = amount - 1", "not what its entries say"),
        ("UPDATE charges SET account = account + 1", "not what its entries say"),
        ("UPDATE charges SET refunded = 60", "by other transfers"),
        ("UPDATE charges SET party = party + 1", "the charge is not what its entries say"),
        ("UPDATE transfers SET part = part + 9 WHERE kind = 'share'", "not what its price says"),
        ("UPDATE transfers SET time_us = time_us + 1 WHERE kind = 'share'", "its price says: their time"),
        ("UPDATE transfers SET call = call + 1 WHERE kind = 'charge'", "its price says: their time, call"),
        (
            "UPDATE transfers SET memo = 'x' WHERE kind = 'overrun'",
            "its price says: their time, call or memo",
        ),
        ("UPDATE transfers SET time_us = 1 WHERE kind = 'grant'", "the journal has: their time"),
        ("UPDATE transfers SET memo = 'x' WHERE kind = 'issue'", "the journal has: their time, call or memo"),
        ("UPDATE transfers SET call = 0 WHERE kind = 'refund'", "the journal has: their time, call"),
        ("UPDATE transfers SET lsn = 4 WHERE kind = 'refund'", "not the operation that asked for them"),
        ("UPDATE transfers SET credit = 1 WHERE kind = 'refund'", "refunds another account than was charged"),
        ("DELETE FROM operations WHERE lsn > 0", "not the operation that asked for them"),
        ("UPDATE operations SET lsn = 99 WHERE lsn > 0", "no transfer of its entry"),
        ("UPDATE operations SET id = id || 'x' WHERE lsn > 0", "operation request-1 as the journal has it"),
        ("UPDATE operations SET content = x'00' WHERE lsn > 0", "operation request-1 as the journal has it"),
        (
            "UPDATE operations SET code = 'conflict' WHERE lsn > 0",
            "operation request-1 as the journal has it",
        ),
        ("UPDATE operations SET message = 'x' WHERE lsn > 0", "operation request-1 as the journal has it"),
        ("UPDATE ledger SET cursor = 3", "but is posted to"),
        ("UPDATE ledger SET last_us = last_us + 1", "of another time"),
        ("UPDATE accounts SET party = 2 WHERE name = 'spend:acme'", "is not that of its party 1"),
        ("UPDATE accounts SET kind = 'house' WHERE name = 'spend:acme'", "is not that of its party 1"),
        ("UPDATE accounts SET name = 'spend:rival' WHERE name = 'spend:acme'", "it is not its owner's"),
        ("UPDATE budgets SET owner = 2", "budget 1 is not one of its party 1"),
        ("UPDATE budgets SET kind = 0", "budget 1 is not one of its party 1"),
        ("UPDATE lot_moves SET part = part + 1", "does not have what the journal puts into lots"),
        ("UPDATE charges SET hold = x'00'", "cannot be read"),
        ("UPDATE open_holds SET body = x'00'", "its open hold cannot be read"),
        ("UPDATE charges SET lsn = lsn + 1", "does not have the charge"),
        ("DELETE FROM charges", "does not have the charge"),
        ("UPDATE budget_uses SET used = used - 1 WHERE period = 1", "not what its calls were charged"),
        ("DELETE FROM budget_uses WHERE period = 0", "not what its calls were charged"),
        ("UPDATE lots SET amount = -1", "lot 0 is -1"),
        ("UPDATE lots SET amount = amount + 1", "what was put in and taken comes to"),
        ("UPDATE lots SET expires_us = expires_us + 1", "does not end when it was said to"),
        ("DELETE FROM lots", "does not end when it was said to"),
        ("UPDATE lot_moves SET delta = delta + 1", "does not have what the journal puts into lots"),
        ("INSERT INTO lot_moves VALUES (1, 9, 5, 0, 1, 0)", "what was put in and taken comes to"),
        ("DELETE FROM lot_moves", "does not have what the journal puts into lots"),
        ("DELETE FROM open_holds", "do not agree"),
        ("UPDATE open_holds SET metered = 41", "do not agree"),
        ("UPDATE open_holds SET call = call - 1", "do not agree"),
        ("INSERT INTO open_holds SELECT call, hold, 0 FROM charges", "still open"),
        (
            "UPDATE numbers SET name = replace(name, '3333', '3334') WHERE kind = 'price'",
            "what its price says",
        ),
    ],
)
def test_what_is_wrong_with_a_store_is_found(case: Case, statement: str, why: str) -> None:
    report = case.tamper(statement)
    assert not report.sound
    assert any(why in problem for problem in report.problems), report.problems


def test_a_charge_of_other_bytes_than_the_journals_is_found(case: Case) -> None:
    for column, why in (
        ("hold", "the hold that the journal has"),
        ("post", "the charge that the journal has"),
    ):
        ((kept,),) = case.office.store.connection.execute(f"SELECT {column} FROM charges").fetchall()
        case.office.store.connection.execute(f"UPDATE charges SET {column} = ?", (kept[:-1] + b"\x07",))
        assert any(why in problem for problem in case.check().problems)
        case.office.store.connection.execute(f"UPDATE charges SET {column} = ?", (kept,))
    assert case.check().sound


def changed(entries: list[Entry], kind: int, at: int, form: str, value: int) -> list[Entry]:
    """The entries, a field of the newest of a kind exchanged."""
    found = list(entries)
    i = max(i for i, entry in enumerate(entries) if entry[1] == kind)
    body = bytearray(found[i][2])
    struct.pack_into(form, body, at, value)
    found[i] = (found[i][0], kind, bytes(body))
    return found


@pytest.mark.parametrize(
    ("kind", "at", "form", "value", "why"),
    [
        (plain.POST, 16, "<q", 601, "held 600"),
        (plain.POST, 16, "<q", -1, "held 600"),
        (plain.POST, 24, "<q", -1, "overrun -1"),
        (plain.POST, 32, "<q", 501, "lots"),
        (plain.POST, 0, "<Q", 1 << 40, "never held"),
        (plain.POST, 8, "<Q", 1, "time goes back"),
        (plain.VOID, 0, "<Q", 1 << 40, "never held"),
        (plain.HOLD, 8, "<q", 0, "it holds 0"),
        (plain.HOLD, 32, "<q", 101, "of lots"),
        (plain.EXTEND, 0, "<Q", 1 << 40, "not open"),
        (plain.EXTEND, 16, "<q", 31, "do not agree"),
        (plain.METER, 0, "<Q", 1 << 40, "not open"),
        (plain.METER, 16, "<q", 41, "do not agree"),
        (plain.TRANSFER, 24, "<q", 51, "not what it does to accounts"),
    ],
)
def test_what_is_wrong_with_a_journal_is_found(
    case: Case, kind: int, at: int, form: str, value: int, why: str
) -> None:
    report = case.check(changed(case.entries, kind, at, form, value))
    assert any(why in problem for problem in report.problems), report.problems


def test_a_call_that_the_journal_ends_twice_is_found(case: Case) -> None:
    post = next(entry for entry in case.entries if entry[1] == plain.POST)
    twice = [*case.entries, (case.entries[-1][0] + 1, post[1], post[2])]
    (problem, *_) = case.check(twice).problems
    assert "time goes back" in problem or "ended twice" in problem
    assert any("ended twice" in problem for problem in case.check(twice).problems)


def test_a_charge_that_the_journal_voids_is_found(case: Case) -> None:
    lsn, _, body = next(entry for entry in case.entries if entry[1] == plain.POST)
    void = [(one if one[0] != lsn else (lsn, plain.VOID, body[:16] + bytes(8))) for one in case.entries]
    assert any("the journal charges nothing" in problem for problem in case.check(void).problems)


def test_entries_out_of_order_and_operations_done_twice_are_found(case: Case) -> None:
    lsn, kind, body = next(entry for entry in case.entries if entry[1] == plain.TRANSFER)
    assert any(
        "does not follow" in problem for problem in case.check([*case.entries, (lsn, kind, body)]).problems
    )
    _, legs, note = read_transfer(body)
    again = (case.entries[-1][0] + 1, kind, write_transfer(1 << 60, legs, note))
    problems = case.check([*case.entries, again]).problems
    assert len(problems) == 1 and "request-1 is done a second time" in problems[0]


def test_a_transfer_whose_legs_are_not_its_postings_is_found(case: Case) -> None:
    note = note_transfer("", b"", (Posting("issue", "house:issued", case.account, 5),))
    body = write_transfer(1 << 60, [Leg(case.account, 0xFFFFFFFF, 6)], note)
    (problem,) = case.check([*case.entries, (case.entries[-1][0] + 1, plain.TRANSFER, body)]).problems
    assert "not what it does to accounts" in problem


def test_a_store_is_checked_without_being_written(case: Case, tmp_path: object) -> None:
    path = f"{tmp_path}/copy.db"
    case.office.store.connection.execute("VACUUM INTO ?", (path,))
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
    with SqliteStanding(connection).at_one_instant() as standing:
        assert check(standing, case.entries).sound
    connection.close()


def test_beyond_what_is_posted_no_lot_gives_more_than_it_has(case: Case) -> None:
    lot = next(key for key in lots_of(case) if key[0] == case.account)
    left, (_, slot) = lots_of(case)[lot], lot
    for taken, sound in ((left, True), (left + 1, False)):
        note = note_transfer("", b"", (Posting("expire", case.account, "house:expired", taken),))
        body = write_transfer(1 << 60, [Leg(case.account, slot, -taken)], note)
        report = case.check([*case.entries, (case.entries[-1][0] + 1, plain.TRANSFER, body)])
        assert report.sound is sound, report.problems
        assert sound or "more of account" in report.problems[0]


def test_a_ledger_from_before_lots_were_written_down_is_sound_and_every_later_move_counts(case: Case) -> None:
    office = case.office
    execute = office.store.connection.execute
    for trigger in ("lot_moves_stay", "lot_moves_last"):
        execute(f"DROP TRIGGER {trigger}")
    execute("DROP TABLE lot_moves")
    step = files("kpgate.stores.migrations").joinpath("0012_lots.sql").read_text()
    execute(step)
    assert case.check().sound
    give = Movement(kind="grant", party="acme", amount=70, expires_us=office.time_us() + HOUR_US)
    office.do(Transfer, movements=(give,))
    office.vault.end(case.open, 130, version=office.version)
    later = case.hold(40, 1)
    office.vault.end(later, 40, version=office.version)
    office.post_all()
    report = case.check(office.vault.entries)
    assert report.sound, report.problems
    assert not case.tamper("UPDATE lots SET amount = amount + 1").sound


def lots_of(case: Case) -> dict[tuple[int, int], int]:
    rows = case.office.store.connection.execute("SELECT account, slot, amount FROM lots").fetchall()
    return {(int(str(account)), int(str(slot))): int(str(amount)) for account, slot, amount in rows}
