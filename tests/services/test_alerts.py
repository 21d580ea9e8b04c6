"""Alerts without a network: what is told when, of which windows, and what becomes of one that nobody takes in."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest
import trustme

from kpgate.app.messenger import Messenger
from kpgate.domain.errors import StoreUnavailable
from kpgate.services.alerts import Alerts, Tools
from kpgate.stores.alerts import SqliteAlerts
from kpgate.stores.sqlite import SqliteStore

DAY_US = 86_400_000_000
NOON_US = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()) * 1_000_000
TODAY, MONTH = NOON_US // DAY_US, 2026 * 12 + 2
THRESHOLDS = (50, 80, 95, 100)


class Desk:
    """Budgets in a store, and a clerk's alerts over them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = SqliteStore(path)
        self.store.wait_at_most(10)
        self.now_us = NOON_US
        self.spent: set[tuple[int, int, int]] = set()
        self.moved: set[int] = set()
        self.lsn = 0
        self.said: list[tuple[str, dict[str, object]]] = []
        self.store.connection.execute(
            "INSERT INTO parties (number, name) VALUES (1, 'acme');"
            "INSERT INTO budgets (number, kind, owner, day, month, total) VALUES (1, 1, 1, 100, 1000, 10000)"
        )
        self.begin()

    def begin(self, *, is_sent: bool = True, balances: tuple[int, ...] = ()) -> None:
        """As a clerk does that starts."""
        tools = Tools(
            store=SqliteAlerts(self.store.connection),
            spent=self.take,
            moved=self.take_moved,
            thresholds=THRESHOLDS,
            balances=balances,
            is_sent=is_sent,
            wall_us=lambda: self.now_us,
            chance=lambda: 1.0,
        )
        self.alerts = Alerts(tools, lambda event, **fields: self.said.append((event, fields)))

    def take(self) -> set[tuple[int, int, int]]:
        spent, self.spent = self.spent, set()
        return spent

    def take_moved(self) -> set[int]:
        moved, self.moved = self.moved, set()
        return moved

    def move(self, amount: int, kind: str = "top_up", floor: int = 0) -> None:
        """A party's account, opened at first use, is credited, or charged where `amount` is less than 0."""
        self.lsn += 1
        run = self.store.connection.execute
        run("INSERT OR IGNORE INTO accounts (number, name, kind, party) VALUES (9, 'spend:acme', 'spend', 1)")
        run("UPDATE accounts SET balance = balance + ?, floor = ? WHERE number = 9", (amount, floor))
        sides = (1, 9) if amount > 0 else (9, 2)
        row = (self.lsn, 0, kind, *sides, abs(amount) or 1, self.now_us)
        if amount:
            run(
                "INSERT INTO transfers (lsn, part, kind, debit, credit, amount, time_us) VALUES (?,?,?,?,?,?,?)",
                row,
            )
        self.moved.add(9)

    def low(self) -> list[tuple[object, object]]:
        """What was told of balances since this was last asked: threshold, left."""
        self.alerts.look()
        found = [
            (fields["threshold_microkpt"], fields["left_microkpt"])
            for event, fields in self.said
            if event == "balance_threshold"
        ]
        self.said.clear()
        return found

    def use(self, period: int, window: int, used: int) -> None:
        self.store.connection.execute(
            "INSERT OR REPLACE INTO budget_uses VALUES (1, ?, ?, ?)", (period, window, used)
        )
        self.spent.add((1, period, window))

    def told(self) -> list[tuple[object, object]]:
        found = [
            (fields["window"], fields["threshold_percent"])
            for event, fields in self.said
            if event == "budget_threshold"
        ]
        self.said.clear()
        return found


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "kpgate.db")
    yield made
    made.store.close()


def test_a_store_that_is_locked_meanwhile_loses_no_alert(desk: Desk):
    desk.alerts.look()
    desk.use(0, TODAY, 100)
    other = apsw.Connection(str(desk.path))
    other.execute("BEGIN IMMEDIATE")
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            desk.alerts.look()
    other.execute("ROLLBACK")
    other.close()
    desk.alerts.look()
    assert desk.told() == [("2026-03-01", threshold) for threshold in THRESHOLDS]
    assert len(desk.alerts.due()) == 4


def test_a_start_in_a_locked_store_loses_no_alert(desk: Desk):
    desk.use(0, TODAY, 50)
    other = apsw.Connection(str(desk.path))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable):
        desk.alerts.look()
    other.execute("ROLLBACK")
    other.close()
    desk.alerts.look()
    assert desk.told() == [("2026-03-01", 50)]


def test_a_start_tells_of_this_window_and_the_one_before_and_of_none_that_is_long_over(desk: Desk):
    for window in (TODAY - 2, TODAY - 1, TODAY):
        desk.use(0, window, 50)
    for window in (MONTH - 2, MONTH - 1, MONTH):
        desk.use(1, window, 500)
    desk.use(2, 0, 5_000)
    desk.begin()
    desk.alerts.look()
    assert sorted(desk.told()) == [
        ("", 50),
        ("2026-02", 50),
        ("2026-02-28", 50),
        ("2026-03", 50),
        ("2026-03-01", 50),
    ]
    desk.begin()
    desk.alerts.look()
    assert desk.told() == [], "a clerk that comes after tells none again"


def test_what_was_taken_in_is_not_told_again_however_late_a_clerk_starts(desk: Desk):
    desk.alerts.look()
    desk.use(1, MONTH, 1_000)
    desk.alerts.look()
    while due := desk.alerts.due():
        for alert in due:
            desk.alerts.taken_in(alert)
    assert len(desk.told()) == 4
    for days in range(1, 400):
        desk.now_us = NOON_US + days * DAY_US
        desk.begin()
        desk.alerts.look()
        # Others end, and what is long past is forgotten with them.
        desk.use(0, TODAY + days, 50)
        desk.alerts.look()
        for alert in desk.alerts.due():
            desk.alerts.taken_in(alert)
        assert [window for window, _ in desk.told() if window == "2026-03"] == []


def test_an_alert_that_nobody_takes_in_is_tried_for_a_day_and_given_up(desk: Desk):
    desk.alerts.look()
    desk.use(0, TODAY, 50)
    desk.alerts.look()
    desk.told()
    waits, before_us = [], desk.now_us
    while due := desk.alerts.due():
        desk.alerts.failed(due[0], "status 500")
        (next_us, ended), *_ = desk.store.connection.execute("SELECT next_us, ended FROM alerts").fetchall()
        if ended:
            break
        waits.append((int(str(next_us)) - desk.now_us) // 1_000_000)
        desk.now_us = int(str(next_us))
    assert waits[:13] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600] and set(waits[12:]) == {
        3600
    }
    assert DAY_US < desk.now_us - before_us < DAY_US + 3_600_000_000
    assert [event for event, _ in desk.said] == ["alert_failed", "alert_given_up"]
    assert desk.alerts.due() == []


def test_where_nobody_is_to_be_sent_to_it_is_logged_once_and_never_sent_later(desk: Desk):
    desk.begin(is_sent=False)
    desk.use(0, TODAY, 50)
    desk.alerts.look()
    assert desk.told() == [("2026-03-01", 50)] and desk.alerts.due() == []
    desk.begin()
    desk.alerts.look()
    assert desk.told() == [] and desk.alerts.due() == []


def test_a_balance_is_told_of_once_each_time_it_was_credited(desk: Desk):
    desk.begin(balances=(100, 10))
    assert desk.low() == []
    desk.move(500)
    assert desk.low() == []
    desk.move(-401, "charge")
    assert desk.low() == [(100, 99)]
    for _ in range(3):
        desk.move(-25, "charge")
    desk.move(50, "refund")
    assert desk.low() == [], "it was told, and a refund is no credit"
    desk.move(-65, "charge")
    assert desk.low() == [(10, 9)]
    desk.move(20)
    assert desk.low() == [(100, 29)], "credited, and still below the one"
    desk.move(300)
    assert desk.low() == []
    desk.move(-329, "charge")
    assert desk.low() == [(100, 0), (10, 0)]


def test_a_credit_line_counts_as_what_is_left_and_another_one_arms_anew(desk: Desk):
    desk.begin(balances=(100,))
    desk.move(0)
    assert desk.low() == [], "a party that never had anything"
    desk.move(0, floor=-200)
    assert desk.low() == []
    desk.move(-150, "charge", floor=-200)
    assert desk.low() == [(100, 50)]
    desk.move(0, floor=-240)
    assert desk.low() == [(100, 90)]
    (body,) = [one.body for one in desk.alerts.due() if '"left_microkpt":90' in one.body]
    assert '"type":"balance.threshold"' in body
    assert '"party":"acme","threshold_microkpt":100' in body
    assert '"balance_microkpt":-150,"credit_line_microkpt":240' in body


def test_a_clerk_that_starts_finds_the_low_balances_that_another_left_and_tells_none_again(desk: Desk):
    desk.begin(balances=(100,))
    desk.move(50)
    desk.move(-1, "charge")
    desk.moved.clear()
    assert desk.low() == [(100, 49)]
    desk.begin(balances=(100,))
    assert desk.low() == [] and len(desk.alerts.due()) == 1
    other = apsw.Connection(str(desk.path))
    other.execute("BEGIN IMMEDIATE")
    desk.moved.add(9)
    desk.begin(balances=(100, 60))
    with pytest.raises(StoreUnavailable):
        desk.alerts.look()
    other.execute("ROLLBACK")
    other.close()
    assert desk.low() == [(60, 49)], "what could not be kept is looked at again"


def sent(url: str, timeout_s: float = 10) -> str:
    return asyncio.run(Messenger(url, b"k" * 24, timeout_s).send("alert_1", b"{}"))


def test_a_receiver_whose_certificate_nobody_vouches_for_is_told_nothing():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    heard: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        raw, _ = listener.accept()
        try:
            with context.wrap_socket(raw, server_side=True) as connection:
                heard.append(connection.recv(100))
        except OSError:
            raw.close()

    thread = threading.Thread(target=serve)
    thread.start()
    assert sent(f"https://127.0.0.1:{listener.getsockname()[1]}/") == "SSLCertVerificationError"
    thread.join()
    listener.close()
    assert heard in ([], [b""])


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "http://" + "a" * 70 + ".invalid/", "http://[::1]:1/x"]
)
def test_a_receiver_that_is_not_there_is_a_failure_with_a_name(url: str):
    assert sent(url)


def test_one_that_never_answers_the_handshake_is_left_and_nobody_waits_for_it():
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"https://127.0.0.1:{listener.getsockname()[1]}/"

    async def main() -> tuple[str, str]:
        messenger = Messenger(url, b"k" * 24, 0.2)
        return await messenger.send("alert_1", b"{}"), await messenger.send("alert_2", b"{}")

    first, second = asyncio.run(main())
    assert first in ("no answer within 0.2 s", "TimeoutError") and second
    listener.close()


def test_a_message_that_is_left_holds_up_no_end():
    listener = socket.create_server(("127.0.0.1", 0))
    messenger = Messenger(f"https://127.0.0.1:{listener.getsockname()[1]}/", b"k" * 24, 30)

    async def main() -> socket.socket:
        task = asyncio.create_task(messenger.send("alert_1", b"{}"))
        connection, _ = await asyncio.to_thread(listener.accept)
        task.cancel()
        await asyncio.wait([task])
        return connection

    connection = asyncio.run(main())
    thread = messenger._thread
    # The loop has ended, and the message has not.
    assert thread is not None and thread.is_alive() and thread.daemon
    connection.close()
    listener.close()
    thread.join(20)
    assert not thread.is_alive()
