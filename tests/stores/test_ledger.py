"""The ledger in SQLite: what the journal amounts to, posted once, whole or not at all."""

from pathlib import Path

import apsw
import pytest

from kpgate.domain.errors import Internal, NotFound, StoreUnavailable
from kpgate.domain.ledger import Reason, lost_end, note_end, price_version_of, read_end_note
from kpgate.domain.money import Movement, Refund, ShowBalance, Transfer
from kpgate.domain.usage import Usage
from kpgate.stores.ledger import ROWS, SqliteLedger, insert
from kpgate.stores.lots import SqliteLots
from kpgate.stores.sqlite import SqliteStore
from tests.kit.oracle import credit as plain
from tests.kit.vault import DAY_US, HOUR_US, PRICE, NoLeaves, Office

MANY = ROWS[0]


def give(office: Office, party: str, amount: int, expires_us: int = 0) -> int:
    movement = Movement(kind="grant", party=party, amount=amount, expires_us=expires_us)
    office.do(Transfer, movements=(movement,))
    return office.account_of(party)


def again(office: Office) -> SqliteLedger:
    """The same store, as a process that starts finds it."""
    return SqliteLedger(office.store.connection, NoLeaves())


@pytest.fixture
def office() -> Office:
    return Office()


def test_a_hold_that_ends_in_its_batch_leaves_no_row(office: Office) -> None:
    acme = give(office, "acme", 100)
    call = office.vault.hold(acme, 60)
    office.vault.end(call, 50)
    office.post_all()
    assert office.ledger.open_holds() == again(office).open_holds() == {}
    assert office.ledger.balance("spend:acme") == 50
    found = office.ledger.charge(call)
    assert found is not None and (found[2], found[3].held, found[3].amount) == (0, 60, 50)


def test_a_hold_open_at_the_cursor_is_found_again_with_what_it_came_to(office: Office) -> None:
    acme = give(office, "acme", 100)
    call = office.vault.hold(acme, 60)
    office.post_all()
    assert office.vault.extend(call, 10)
    office.vault.record_meter(call, 65)
    office.post_all()
    for ledger in (office.ledger, again(office)):
        ((found, (hold, metered)),) = ledger.open_holds().items()
        assert (found, hold.amount, metered) == (call, 70, 65)
    office.vault.end(call, 70)
    office.post_all()
    assert office.ledger.balance("spend:acme") == 30 and again(office).open_holds() == {}


def test_a_void_charges_nothing_and_is_no_leaf(office: Office) -> None:
    call = office.vault.hold(give(office, "acme", 100), 60)
    office.vault.end(call, -1)
    office.post_all()
    assert office.ledger.balance("spend:acme") == 100
    assert office.ledger.charge(call) is None and office.leaves.count == 0


def test_an_overrun_is_the_houses(office: Office) -> None:
    call = office.vault.hold(give(office, "acme", 100), 60)
    office.vault.end(call, 75, version=0)
    office.post_all()
    balances = office.ledger.balances()
    assert balances["spend:acme"] == 40 and balances["house:overrun"] == -15
    assert sum(balances.values()) == 0
    assert balances["house:revenue"] + balances["earn:writer"] == 75


def test_a_charge_is_shared_by_the_terms_of_its_price(office: Office) -> None:
    call = office.vault.hold(give(office, "acme", 100_000), 60_000)
    office.vault.end(call, 50_000, version=office.version)
    office.post_all()
    balances = office.ledger.balances()
    assert (balances["earn:writer"], balances["earn:reader"], balances["house:revenue"]) == (
        16_665,
        5,
        33_330,
    )
    assert office.ledger.terms(office.version) == PRICE.terms


def test_what_fails_to_post_is_posted_whole_later(office: Office) -> None:
    acme = give(office, "acme", 100)
    first = office.vault.hold(acme, 30)
    office.post_all()
    second = office.vault.hold(acme, 30)
    office.vault.end(first, 30)
    office.vault.end(second, 30)
    before = office.ledger.balances(), office.ledger.cursor, office.ledger.open_holds()
    office.leaves.failing = True
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            office.post_all()
        assert before == (office.ledger.balances(), office.ledger.cursor, office.ledger.open_holds())
    assert office.leaves.forgotten == 2
    office.leaves.failing = False
    office.post_all()
    # The earner's account was opened in the transaction that failed: its number is not one that was made up.
    balances = office.ledger.balances()
    assert balances["spend:acme"] == 40 and balances["earn:writer"] == 2 * (30 * 3_333 // 10_000)
    assert sum(balances.values()) == 0


def test_a_full_disk_or_a_busy_store_changes_nothing(office: Office) -> None:
    acme = give(office, "acme", 100)
    office.vault.end(office.vault.hold(acme, 30), 30)
    connection = office.store.connection
    before = office.ledger.balances()
    connection.execute(
        "CREATE TEMP TRIGGER full BEFORE INSERT ON charges BEGIN SELECT raise(ABORT, 'full'); END"
    )
    with pytest.raises(StoreUnavailable) as raised:
        office.post_all()
    assert isinstance(raised.value.__cause__, apsw.Error) and raised.value.retry_after_us
    assert office.ledger.balances() == before
    connection.execute("DROP TRIGGER full")
    office.post_all()
    assert office.ledger.balance("spend:acme") == 70


def test_a_store_that_does_not_answer_is_said_to_be_unavailable(tmp_path: Path) -> None:
    office = Office(f"{tmp_path}/kpgate.db")
    give(office, "acme", 100)
    office.store.connection.set_busy_timeout(0)
    other = apsw.Connection(f"{tmp_path}/kpgate.db")
    other.execute("BEGIN IMMEDIATE")
    movement = Movement(kind="issue", party="acme", amount=1)
    operation = Transfer(id="while-locked", movements=(movement,))
    with pytest.raises(StoreUnavailable):
        office.answer(operation)
    other.execute("COMMIT")
    other.close()
    first = office.answer(operation)
    assert office.answer(operation) == first and office.ledger.balance("spend:acme") == 101
    office.close()


def test_entries_are_posted_once_and_in_their_order(office: Office) -> None:
    acme = give(office, "acme", 100)
    office.vault.end(office.vault.hold(acme, 30), 30)
    office.post_all()
    cursor, entries = office.ledger.cursor, office.vault.entries
    for repeated in (entries, entries[-1:], entries[:1]):
        with pytest.raises(Internal, match="do not follow"):
            office.ledger.post(repeated, cursor)
    with pytest.raises(Internal, match="do not follow"):
        office.ledger.post([], cursor - 1)
    office.ledger.post([], cursor)
    assert office.ledger.balance("spend:acme") == 70 and office.ledger.cursor == cursor


def test_two_that_post_do_not_both_succeed(tmp_path: Path) -> None:
    office = Office(f"{tmp_path}/kpgate.db")
    acme = give(office, "acme", 100)
    store = SqliteStore(f"{tmp_path}/kpgate.db")
    late = SqliteLedger(store.connection, NoLeaves())
    office.vault.end(office.vault.hold(acme, 30), -1)
    fresh = office.vault.entries[-2:]
    office.post_all()
    with pytest.raises(Internal, match="by another"):
        late.post(fresh, fresh[-1][0] + 1)
    assert late.cursor == office.ledger.cursor
    store.close()
    office.close()


@pytest.mark.parametrize("kind", [plain.POST, plain.VOID, plain.EXTEND, plain.METER])
@pytest.mark.parametrize("batches", [1, 2])
def test_a_hold_ends_once(office: Office, kind: int, batches: int) -> None:
    """An entry for a call that has ended does not follow, in the same batch or a later one."""
    acme = give(office, "acme", 100)
    call = office.vault.hold(acme, 30)
    office.vault.end(call, 30)
    lsn, _, body = office.vault.entries[-1]
    bodies = {
        plain.POST: body,
        plain.VOID: call.to_bytes(8, "little") + bytes(16),
        plain.EXTEND: call.to_bytes(8, "little") + bytes(48),
        plain.METER: call.to_bytes(8, "little") + bytes(16),
    }
    wrong = (lsn + 1, kind, bodies[kind])
    if batches == 2:
        office.post_all()
        with pytest.raises(Internal, match="not open"):
            office.ledger.post([wrong], lsn + 2)
    else:
        with pytest.raises(Internal, match="not open"):
            office.ledger.post([*office.vault.entries[1:], wrong], lsn + 2)
        assert office.ledger.balance("spend:acme") == 100
    assert office.ledger.open_holds() == {}


def test_a_hold_from_before_the_batch_ends_once_in_it(office: Office) -> None:
    acme = give(office, "acme", 100)
    call = office.vault.hold(acme, 30)
    office.post_all()
    office.vault.end(call, 30)
    lsn, kind, body = office.vault.entries[-1]
    with pytest.raises(Internal, match="not open"):
        office.ledger.post([(lsn, kind, body), (lsn + 1, kind, body)], lsn + 2)
    assert list(office.ledger.open_holds()) == [call]


def test_a_charge_above_its_hold_is_not_posted(office: Office) -> None:
    acme = give(office, "acme", 100)
    call = office.vault.hold(acme, 30)
    office.vault.end(call, 30)
    lsn, kind, body = office.vault.entries.pop()
    more = body[:16] + (31).to_bytes(8, "little") + body[24:]
    with pytest.raises(Internal, match="more than it held"):
        office.ledger.post([*office.vault.entries[1:], (lsn, kind, more)], lsn + 1)


def test_budgets_are_used_in_the_window_of_the_hold(office: Office) -> None:
    acme = give(office, "acme", 1000)
    number = office.ledger.set_budget(1, 1, (500, 600, 700))
    call = office.vault.hold(acme, 30, (number,))
    day, month = plain.windows(office.time_us())
    office.vault.now_us += 13 * HOUR_US
    office.vault.end(call, 20)
    office.vault.end(office.vault.hold(acme, 30, (number,)), 7)
    office.post_all()
    (row,) = office.ledger.budgets()
    assert row.caps == (500, 600, 700)
    uses = {(0, day, 20), (0, day + 1, 7), (1, month, 20), (1, month + 1, 7), (2, 0, 27)}
    assert set(row.uses) == uses


def test_windows_long_past_are_not_loaded(office: Office) -> None:
    acme = give(office, "acme", 1000)
    number = office.ledger.set_budget(1, 1, (500, 0, 0))
    first, _ = plain.windows(office.time_us())
    for _ in range(4):
        office.vault.end(office.vault.hold(acme, 30, (number,)), 5)
        office.vault.now_us += DAY_US
    office.post_all()
    (row,) = office.ledger.budgets()
    assert [window for period, window, _ in row.uses if period == 0] == [first + 2, first + 3]
    assert [used for period, _, used in row.uses if period == 2] == [20]


def test_lots_are_spent_and_kept(office: Office) -> None:
    ends_us = office.time_us() + HOUR_US
    acme = give(office, "acme", 40, ends_us)
    give(office, "acme", 100)
    office.vault.end(office.vault.hold(acme, 60), 50)
    give(office, "acme", 5, ends_us + 1)
    (row,) = office.ledger.accounts()
    assert row == (acme, 95, 0, ((0, 5, ends_us + 1),))
    assert SqliteLots(office.store.connection).ended(ends_us) == []
    assert SqliteLots(office.store.connection).ended(ends_us + 1) == [(acme, 0)]


def test_an_account_of_lots_and_as_much_owed_is_loaded(office: Office) -> None:
    ends_us = office.time_us() + HOUR_US
    office.do(Transfer, movements=(Movement(kind="clawback", party="acme", amount=40),))
    acme = give(office, "acme", 40, ends_us)
    give(office, "nobody", 1)
    office.do(Transfer, movements=(Movement(kind="clawback", party="nobody", amount=1),))
    assert list(office.ledger.accounts()) == [(acme, 0, 0, ((0, 40, ends_us),))]


def test_a_statement_is_paged_without_loss_or_repetition(office: Office) -> None:
    acme = give(office, "acme", 10_000)
    for _ in range(9):
        # Each charge has two parts, and each linked transfer three.
        office.vault.end(office.vault.hold(acme, 100), 90)
        both = Movement(kind="reward", party="acme", amount=1)
        office.do(Transfer, movements=(both, both, Movement(kind="top_up", party="other", amount=1)))
    whole = office.ledger.statement(acme, 0, 1000)
    assert len(whole) == 1 + 9 * 4 and sum(row["amount"] for row in whole) == office.ledger.balance(
        "spend:acme"
    )
    assert [(-row["lsn"], row["part"]) for row in whole] == sorted((-r["lsn"], r["part"]) for r in whole)
    for count in range(1, 9):
        pages: list[dict[str, object]] = []
        before = 0
        while page := office.ledger.statement(acme, before, count):
            pages += page
            before = page[-1]["lsn"]
        assert pages == whole
    assert office.ledger.totals(acme) == {"grant": 10_000, "share": -9 * 29, "charge": -9 * 61, "reward": 18}


def test_a_statement_reads_no_more_than_its_page(office: Office) -> None:
    """No sorting of all that an account ever did: each side comes from its index, in order."""
    connection = office.store.connection
    statements: list[str] = []
    connection.trace_v2(apsw.SQLITE_TRACE_STMT, lambda event: statements.append(event["sql"]))
    office.ledger.statement(1, 0, 10)
    connection.trace_v2(0, None)
    assert len(statements) == 2
    newest, rows = [
        [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", (1, 1 << 62, 10))]
        for statement in statements
    ]
    assert newest[0] == "MERGE (UNION ALL)" and not any("B-TREE" in line for line in newest)
    assert sum("debit=? AND lsn>? AND lsn<?" in line for line in rows) == 1
    assert sum("credit=? AND lsn>? AND lsn<?" in line for line in rows) == 1


def test_transfers_are_never_changed_nor_taken_back(office: Office) -> None:
    give(office, "acme", 1)
    for statement in ("UPDATE transfers SET amount = 2", "DELETE FROM transfers"):
        with pytest.raises(apsw.ConstraintError, match="never"):
            office.store.connection.execute(statement)


def test_an_account_that_was_not_opened_leaves_no_trace(office: Office) -> None:
    give(office, "acme", 1)

    def give_up() -> None:
        with office.store.transaction():
            office.ledger.account("other")
            raise NotFound("what it is for")

    with pytest.raises(NotFound):
        give_up()
    assert office.ledger.number_of("spend:other") is None
    with office.store.transaction():
        assert office.ledger.account("third") == office.ledger.account("third")


def test_a_refund_is_kept_with_its_call(office: Office) -> None:
    acme = give(office, "acme", 100)
    call = office.vault.hold(acme, 60)
    office.vault.end(call, 50)
    office.post_all()
    office.do(Refund, call=f"kp1-{call:016x}", amount=20)
    found = office.ledger.charge(call)
    assert found is not None and found[2] == 20
    assert office.ledger.statement(acme, 0, 1)[0]["call"] == call


def test_a_lost_hold_is_charged_what_was_metered_by_its_lots_in_order(office: Office) -> None:
    later, sooner = office.time_us() + 2 * HOUR_US, office.time_us() + HOUR_US
    acme = give(office, "acme", 30, later)
    give(office, "acme", 30, sooner)
    give(office, "acme", 30)
    call = office.vault.hold(acme, 80)
    office.vault.record_meter(call, 40)
    void = office.vault.hold(acme, 10)
    office.vault.now_us += 5
    give(office, "other", 1)
    ledger = again(office)
    ends = {end.call: end for end in ledger.lost(void=False)}
    assert (ends[call].amount, ends[call].lots, ends[call].posted) == (40, (10, 30, 0, 0), True)
    assert (ends[void].amount, ends[void].posted, ends[void].reason) == (0, False, Reason.LOST)
    assert {end.time_us for end in ends.values()} == {ledger.last_us}
    assert all(not end.posted for end in ledger.lost(void=True))
    hold = ledger.open_holds()[call][0]
    assert lost_end(hold, 999, 0, {}).amount == 80
    assert price_version_of(hold, ends[call]) == 1 and read_end_note(ends[call].note).attempts == 0


def test_parties_are_made_at_first_use_of_a_share(office: Office) -> None:
    call = office.vault.hold(give(office, "acme", 100), 60)
    office.vault.end(call, 50)
    office.post_all()
    assert office.do(ShowBalance, party="writer")["earned_microkpt"] == 16
    assert office.ledger.party("reader") is None


def test_the_time_of_the_newest_entry_only_rises(office: Office) -> None:
    assert office.ledger.last_us == 0
    acme = give(office, "acme", 100)
    first = office.ledger.last_us
    office.vault.now_us += 7
    office.vault.end(office.vault.hold(acme, 1), 1)
    office.post_all()
    assert office.ledger.last_us == first + 7 == again(office).last_us


def test_the_note_of_an_end_without_words_is_read() -> None:
    assert read_end_note(note_end("p", "d", 1, 200, 1, Usage())).provider == "p"


@pytest.mark.parametrize("count", [0, 1, MANY - 1, MANY, MANY + 1, 3 * MANY + 7])
def test_every_row_is_inserted_once(count: int) -> None:
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT, c INTEGER)")
    rows = [(number, f"row {number}", 7) for number in range(count)]
    insert(connection, "INSERT INTO t VALUES ", "(?,?,7)", [value for row in rows for value in row[:2]])
    assert connection.execute("SELECT a, b, c FROM t ORDER BY a").fetchall() == rows


def test_one_that_cannot_be_inserted_is_an_error() -> None:
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY)")
    with pytest.raises(apsw.ConstraintError), connection:
        insert(
            connection,
            "INSERT OR FAIL INTO t VALUES ",
            "(?)",
            [number % (2 * MANY) for number in range(3 * MANY)],
        )
    assert connection.execute("SELECT count(*) FROM t").fetchall() == [(0,)]
