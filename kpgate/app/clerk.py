"""The clerk: the one writer of the store while a gateway runs, who ends the calls of the dead and stuck owners.

It serves `DATA/ctl.sock`, one operation at a time: a change is in the store, then in the region's ring, then
answered. It serves no HTTP and no call; a worker goes on without it, but nothing can be changed. Killed at any
moment it leaves nothing undone that the next one does not do.
"""

import asyncio
import os
import sys
import time
from random import random
from typing import Protocol

import msgspec

from kpgate._fast.commit import Life, Region, Seat
from kpgate._fast.limit import Limits
from kpgate._fast.wait import clock
from kpgate.app.bank import Bank
from kpgate.app.control import LINE_BYTES_MAX, Said, refusal, wall_us
from kpgate.app.directory import Directory
from kpgate.app.failures import Failures
from kpgate.app.office import Office
from kpgate.app.warden import Warden
from kpgate.domain.errors import GatewayError, Internal, InvalidRequest
from kpgate.domain.management import decode
from kpgate.domain.settings import Ledger
from kpgate.services.alerts import Alerts
from kpgate.services.alerts import Tools as AlertTools
from kpgate.services.management import Management
from kpgate.stores.alerts import SqliteAlerts
from kpgate.stores.audit import SqliteAudit
from kpgate.stores.sqlite import SqliteStore

TICK_S = 0.1
GATHER_S = 0.05
"""What is posted has gathered for so long: a transaction costs as much as a hundred charges. Whoever asks for something
that must be posted has all of it posted first: so it is never long."""
TIDY_US = 1_000_000
TICKS_A_BEAT = 10
NO_LEDGER = Ledger()
CONNECTIONS_MAX = 64
IDLE_S = 30.0
PUBLISH_PATIENCE_S = 2.0
LEAVING_S = 15.0
STORE_WAIT_MS = 500
"""How long an operation waits for another writer, as a backup: all of the clerk's work waits with it."""
POST_WAIT_MS = 10
TELLING_S = 0.5
WORKER_LIFE_US = 60_000_000


class Tells(Protocol):
    """What tells of an alert."""

    async def send(self, alert: str, body: bytes) -> str:
        """Send a message; why it was not taken in, or nothing."""


class Alerting(msgspec.Struct, frozen=True):
    """When budgets and balances are told of, and by whom besides the log."""

    thresholds: tuple[int, ...]
    balances: tuple[int, ...] = ()
    messenger: Tells | None = None


class Clerk:
    """A node's clerk at work."""

    def __init__(
        self,
        directory: Directory,
        region: Region,
        life: Life,
        ledger: Ledger = NO_LEDGER,
        alerting: Alerting | None = None,
    ) -> None:
        self._directory = directory
        self._folder = directory.run
        self._seat = Seat(region, life)
        self._limits = Limits(region, self._seat, WORKER_LIFE_US)
        # The pepper first: where keys exist without one, it must not be made.
        pepper = directory.pepper()
        self._store = SqliteStore(directory.store)
        audit = SqliteAudit(self._store.connection)
        self._management = Management(self._store, pepper, self._publish, wall_us, audit.append)
        self._warden = Warden(region, self._seat, self._folder, _report_stuck)
        self._bank: Bank | None = None
        if ledger.enabled:
            self._bank = Bank(directory, self._seat, ledger, self._store, self._management.catch_up, wall_us)
        self._messenger = alerting.messenger if alerting is not None else None
        self._alerts: Alerts | None = None
        if self._bank is not None and alerting is not None:
            tools = AlertTools(
                store=SqliteAlerts(self._store.connection),
                spent=self._bank.ledger.take_spent,
                moved=self._bank.ledger.take_moved,
                thresholds=alerting.thresholds,
                balances=alerting.balances,
                is_sent=alerting.messenger is not None,
                wall_us=wall_us,
                chance=random,
            )
            self._alerts = Alerts(tools, _say)
        self._office = Office(audit, self._management, wall_us, self._bank)
        self._sync_s = ledger.sync_ms / 1000
        self._tidy_us = 0
        self._connections = 0
        self._failures = Failures(_say, clock)
        self._parent = os.getppid()
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Work until told to stop, or until the gateway that it belongs to is gone."""
        self._limits.end_dead(clock(), self._seat.life)
        self._management.catch_up()
        if self._bank is not None:
            await asyncio.to_thread(self._bank.stand, _say)
        self._store.wait_at_most(STORE_WAIT_MS)
        telling = asyncio.create_task(self._keep_telling())
        self._directory.socket.unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            with self._directory.socket_path() as path:
                server = await asyncio.start_unix_server(self._serve, path, limit=LINE_BYTES_MAX)
        finally:
            os.umask(mask)
        keeping: list[asyncio.Task[None]] = []
        if self._bank is not None:
            keep_synced = asyncio.to_thread(self._keep_synced, self._bank)
            keeping = [asyncio.create_task(one) for one in (keep_synced, self._keep_books(self._bank))]
        try:
            await self._tick()
        finally:
            server.close()
            self._directory.socket.unlink(missing_ok=True)
            self._stop.set()
            # What is under way is told again by the next clerk, whoever has it by then.
            telling.cancel()
            await asyncio.wait([telling])
            if self._bank is not None:
                await asyncio.wait(keeping)
                self._bank.close()
            self._store.close()

    def stop(self) -> None:
        """Have it end after what it is doing."""
        self._stop.set()

    async def _tick(self) -> None:
        ticks = 0
        while not self._stop.is_set():
            try:
                self._warden.look(clock())
                self._reap()
                if ticks % TICKS_A_BEAT == 0:
                    self._beat()
            except Exception as error:  # noqa: BLE001 - the edge around one tick
                self._failures.note(error)
            if os.getppid() != self._parent:
                await self._leave()
                return
            ticks += 1
            try:
                async with asyncio.timeout(TICK_S):
                    await self._stop.wait()
            except TimeoutError:
                pass

    def _reap(self) -> None:
        """End the calls of seats whose life lock can be had, and those that nobody ended in time."""
        now_us = clock()
        bank = self._bank
        seats = set(self._limits.seats_with_calls())
        if bank is not None:
            seats |= bank.credit.seats_with_holds()
        for index in seats - {self._seat.index}:
            life = Life.obtain(self._folder, index)
            if life is not None:
                try:
                    self._limits.end_dead(now_us, life)
                    if bank is not None:
                        bank.end_dead(life)
                finally:
                    life.close()
        self._limits.end_expired(now_us)
        if bank is not None:
            bank.end_expired()

    def _keep_synced(self, bank: Bank) -> None:
        """Sync the journal as often as is asked for, in a thread of its own: whatever else is done meanwhile."""
        while not self._stop.is_set():
            try:
                if bank.poster.behind:
                    bank.poster.keep_synced()
                time.sleep(self._sync_s)
            except Exception as error:  # noqa: BLE001 - the edge around one step
                self._failures.note(error)
                time.sleep(TICK_S)

    async def _keep_books(self, bank: Bank) -> None:
        """Make room in the journal, and post it.

        What fails is tried again after a tick, and keeps nothing else from being done: while others hold the store, the
        journal goes on.
        """
        while not self._stop.is_set():
            more, failed = False, False
            for step in (self._make_room, self._post):
                try:
                    more = await step(bank)
                except Exception as error:  # noqa: BLE001 - the edge around one step
                    self._failures.note(error)
                    failed = True
            await asyncio.sleep(0 if more and not failed else GATHER_S)

    async def _make_room(self, bank: Bank) -> bool:
        if bank.poster.short:
            await asyncio.to_thread(bank.poster.prepare)
        return False

    async def _post(self, bank: Bank) -> bool:
        """Post a batch, once a second sign, expire and trim; whether more is left. Where another writes it is posted
        later."""
        self._store.wait_at_most(POST_WAIT_MS)
        try:
            more = bank.poster.post()
        finally:
            self._store.wait_at_most(STORE_WAIT_MS)
        bank.poster.keep_time()
        bank.plans.keep()
        if clock() >= self._tidy_us:
            bank.poster.sign()
            bank.treasury.expire()
            if self._alerts is not None:
                self._alerts.look()
            bank.trim()
            self._tidy_us = clock() + TIDY_US
        return more

    async def _keep_telling(self) -> None:
        """Send alerts, one after the other, until told to stop."""
        if self._alerts is None or self._messenger is None:
            return
        while not self._stop.is_set():
            try:
                for alert in self._alerts.due():
                    why = await self._messenger.send(alert.id, alert.body.encode())
                    if why:
                        self._alerts.failed(alert, why)
                    else:
                        self._alerts.taken_in(alert)
            except Exception as error:  # noqa: BLE001 - the edge around one turn
                self._failures.note(error)
            try:
                async with asyncio.timeout(TELLING_S):
                    await self._stop.wait()
            except TimeoutError:
                pass

    def _beat(self) -> None:
        """Say that the clerk works, and publish what was written by others or could not be published before."""
        self._directory.heartbeat.touch()
        self._management.catch_up()

    async def _leave(self) -> None:
        """The supervisor is gone: stay for as long as workers still settle calls, then go."""
        deadline = time.monotonic() + LEAVING_S
        while self._limits.open_calls() and time.monotonic() < deadline:
            self._reap()
            await asyncio.sleep(TICK_S)

    def _publish(self, kind: int, number: int) -> bool:
        """Tell every worker. The lock is held for microseconds; its dead owner is found out in a millisecond, a
        stuck one is ended in a second."""
        deadline = time.monotonic() + PUBLISH_PATIENCE_S
        while not self._seat.publish(kind, number):
            self._warden.look(clock())
            if time.monotonic() >= deadline:
                return False
        return True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: lines in, lines out, until it ends, idles or makes no sense."""
        self._connections += 1
        try:
            while self._connections <= CONNECTIONS_MAX:
                async with asyncio.timeout(IDLE_S):
                    line = await reader.readline()
                if not line.endswith(b"\n"):
                    break
                async with asyncio.timeout(IDLE_S):
                    writer.write(self._answer(line))
                    await writer.drain()
        except ValueError:
            writer.write(refusal(InvalidRequest(f"a request is a line of at most {LINE_BYTES_MAX} bytes")))
        except (OSError, TimeoutError):
            pass
        finally:
            self._connections -= 1
            writer.close()

    def _answer(self, line: bytes) -> bytes:
        try:
            answer = self._office.answer(decode(line))
            return msgspec.json.encode(Said(ok=answer)) + b"\n"
        except GatewayError as error:
            return refusal(error)
        except Exception as error:  # noqa: BLE001 - the edge around one request
            self._failures.note(error)
            return refusal(Internal("the clerk failed; its log says where"))


def _report_stuck(seat: int, pid: int) -> None:
    _say("stuck_owner_killed", seat=seat, pid=pid)


def _say(event: str, **fields: int | str) -> None:
    sys.stderr.write(msgspec.json.encode({"clerk": event, **fields}).decode() + "\n")
