"""Alerts: budgets and balances that pass a threshold, each told of once, until it is taken in.

What is charged decides, after it is posted; no call waits for any of this. An alert's id comes from the budget, its
cap, the window and the threshold; or from the account, its credit line, what credited it last and the threshold: found
again after a crash it is the same one. Order: the clerk's alone.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

import msgspec

from kpgate.domain.durations import instant
from kpgate.stores.alerts import Kept, Low, Spent, SqliteAlerts, Waiting

BACKOFF_US = 1_000_000
BACKOFF_MAX_US = 3_600_000_000
DAY_US = 86_400_000_000
GIVEN_UP_US = DAY_US
PIECE = 20
PERIODS = ("day", "month", "total")
OF_BALANCE = 3
"""What stands for a period where there is none."""
KEPT_MAX = 100_000


class Tools(msgspec.Struct, frozen=True):
    """What alerts are made with. `spent` gives and forgets what was charged to, or capped, since it was last asked,
    `moved` the accounts that changed.

    Units: `thresholds` percent of a cap, `balances` microKPT; `wall_us` microseconds since 1970; `chance` from 0 to 1.
    """

    store: SqliteAlerts
    spent: Callable[[], set[tuple[int, int, int]]]
    moved: Callable[[], set[int]]
    thresholds: tuple[int, ...]
    balances: tuple[int, ...]
    is_sent: bool
    wall_us: Callable[[], int]
    chance: Callable[[], float]


class Alerts:
    """Finds what is to be told, and keeps it until it is. `say` is told of each once."""

    def __init__(self, tools: Tools, say: Callable[..., None]) -> None:
        self._tools = tools
        self._say = say
        # Not yet looked at; None at the start, for whatever an earlier clerk may have left.
        self._unseen: set[tuple[int, int, int]] | None = None
        self._unread: set[int] | None = None
        # A low balance is found again with every call.
        self._kept: set[str] = set()

    def look(self) -> None:
        """Find what passed a threshold. Errors: StoreUnavailable; the next look then finds it."""
        self._look_at_budgets()
        self._look_at_balances()

    def _look_at_budgets(self) -> None:
        tools, fresh = self._tools, self._tools.spent()
        if self._unseen is None:
            found = tools.store.spent_since(*_last_windows(tools.wall_us()))
        else:
            self._unseen |= fresh
            found = tools.store.spent(self._unseen)
        for one in found:
            for threshold in tools.thresholds:
                if one.used * 100 >= one.cap * threshold:
                    named = f"{one.budget}:{one.period}:{one.window}:{one.cap}:{threshold}"
                    self._make("budget", named, one.period, _told(one, threshold))
        # Only now: what could not be kept is looked at again.
        self._unseen = set()

    def _look_at_balances(self) -> None:
        tools, fresh = self._tools, self._tools.moved()
        if not tools.balances:
            return
        below = max(tools.balances)
        if self._unread is None:
            found = tools.store.all_low(below)
        else:
            self._unread |= fresh
            found = tools.store.low(below, self._unread)
        for one in found:
            for threshold in tools.balances:
                if one.balance - one.floor < threshold:
                    named = f"balance:{one.account}:{one.floor}:{one.credited}:{threshold}"
                    self._make("balance", named, OF_BALANCE, _left(one, threshold))
        self._unread = set()

    def _make(self, what: str, named: str, period: int, told: dict[str, Any]) -> None:
        alert, now_us = f"alert_{sha256(named.encode()).hexdigest()[:32]}", self._tools.wall_us()
        if alert in self._kept:
            return
        body = {"type": f"{what}.threshold", "id": alert, "at": instant(now_us), **told}
        ended = "" if self._tools.is_sent else "logged"
        kept = Kept(alert, period, msgspec.json.encode(body).decode(), ended)
        if self._tools.store.keep(kept, now_us):
            self._say(f"{what}_threshold", id=alert, **told)
        if len(self._kept) >= KEPT_MAX:
            self._kept.clear()
        self._kept.add(alert)

    def due(self) -> list[Waiting]:
        """What is to be sent now. Errors: StoreUnavailable."""
        return list(self._tools.store.due(self._tools.wall_us(), PIECE)) if self._tools.is_sent else []

    def taken_in(self, alert: Waiting) -> None:
        """It was answered well. Errors: StoreUnavailable."""
        self._tools.store.end(alert.id, "sent", self._tools.wall_us())

    def failed(self, alert: Waiting, why: str) -> None:
        """It was not: later again, longer each time, for a day. Errors: StoreUnavailable."""
        now_us = self._tools.wall_us()
        if now_us - alert.made_us > GIVEN_UP_US:
            self._tools.store.end(alert.id, "given_up", now_us)
            self._say("alert_given_up", id=alert.id, problem=why)
            return
        wait_us = min(BACKOFF_MAX_US, BACKOFF_US << min(alert.tries, 20))
        # Between a half and the whole of it, so that many do not come at once.
        self._tools.store.again(alert.id, now_us + int(wait_us * (1 + self._tools.chance()) / 2))
        if alert.tries == 0:
            self._say("alert_failed", id=alert.id, problem=why)


def _told(one: Spent, threshold: int) -> dict[str, Any]:
    return {
        "party": one.party,
        "key": one.key,
        "period": PERIODS[one.period],
        "window": _window(one.period, one.window),
        "threshold_percent": threshold,
        "used_microkpt": one.used,
        "cap_microkpt": one.cap,
    }


def _left(one: Low, threshold: int) -> dict[str, Any]:
    return {
        "party": one.party,
        "threshold_microkpt": threshold,
        "left_microkpt": one.balance - one.floor,
        "balance_microkpt": one.balance,
        "credit_line_microkpt": -one.floor,
    }


def _last_windows(now_us: int) -> tuple[int, int]:
    """The day and the month before this one: what may have ended just before a clerk did."""
    now = datetime.fromtimestamp(now_us // 1_000_000, UTC)
    return now_us // DAY_US - 1, now.year * 12 + now.month - 2


def _window(period: int, window: int) -> str:
    """A window as people name it: a day, a month (of the year 0 on), or nothing for all time."""
    if period == 0:
        return (date(1970, 1, 1) + timedelta(days=window)).isoformat()
    if period == 1:
        return f"{window // 12:04}-{window % 12 + 1:02}"
    return ""
