"""What carries the journal onwards: written, synced, posted, its heads signed; and how a start finds it again.

Order of the watermarks: what is posted is durable, what is signed is posted. The clerk's alone.
Source: docs/decisions/0007-one-journal.md.
"""

import os
from collections.abc import Callable
from pathlib import Path

from kpgate._fast.account import Accounts
from kpgate._fast.journal import POST, SYNC, VOID, Journal, recover, segment_name, segments, torn_bytes
from kpgate.domain.errors import StoreUnavailable
from kpgate.domain.ledger import LOTS, write_end
from kpgate.services.receipts import Receipts
from kpgate.stores.ledger import SqliteLedger

SEGMENT_BYTES = 16 << 20
AHEAD_BYTES = 64 << 20
AHEAD_MAX_BYTES = 1 << 30
AHEAD_S = 60
"""Calls go on for so long without the clerk, at the pace of the last seconds, if that is within what is made ahead
at most."""
PACE_US = 1_000_000
EXTRA_US = 500_000
"""Between two segments beyond `AHEAD_BYTES`: the disk is there for syncs first."""
KEPT_BYTES = 64 << 20
BATCH = 5_000
"""Entries of a transaction at most. What it wrote is completed by the disk's driver, on a core of the system's choice:
with 20,000 the calls there waited an eighth longer (p99), with these a twentieth."""
SYNC_ENTRY_BYTES = 32
DRIFT_SHARE = 1000
"""The ledger's clock follows the wall clock by a thousandth of the time that passes."""
CLOCK_BACK_MAX_US = 86_400_000_000
FLUSH_TRIES = 10_000
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

Say = Callable[..., None]
"""Where events go: `say(event, **fields)`."""


class Refused(Exception):
    """The ledger cannot be served from: in words for whoever starts the gateway."""


class Poster:
    """The journal's way into the store. Units: `clock` microseconds, monotonic; `wall_us` since 1970."""

    def __init__(
        self,
        journal: Journal,
        ledger: SqliteLedger,
        receipts: Receipts,
        clock: Callable[[], int],
        wall_us: Callable[[], int],
    ) -> None:
        self._journal = journal
        self._ledger = ledger
        self._receipts = receipts
        self._clock = clock
        self._wall_us = wall_us
        self._synced = journal.durable
        self._seen = journal.written
        self._looked_us = clock()
        self._paced = self._looked_us, 0
        self._wanted_bytes = 0
        self._made_us = 0

    @property
    def behind(self) -> bool:
        """Whether something was decided that would not survive a power loss."""
        return self._journal.tail > self._journal.durable

    def sync(self) -> None:
        """Have all that is decided by now survive a power loss, and the journal tell of it.

        Errors: StoreUnavailable: the disk fails, and nothing may be held until the next start.
        """
        self.write()
        self._sync_written()

    def keep_synced(self) -> None:
        """Have all that anybody was told of survive a power loss: what is written is synced. What nobody has written
        since the last time is written first: who decided it may be dead.

        Rule: who writes is waited for, and this process may be kept from its core just then; so it writes for nobody
        who does that himself.
        Errors: as `sync`.
        """
        journal = self._journal
        if journal.written == self._seen:
            self.write()
        self._seen = journal.written
        self._sync_written()

    def _sync_written(self) -> None:
        journal = self._journal
        try:
            reached = journal.sync()
        except OSError as error:
            raise StoreUnavailable("the journal cannot be synced: see the disk, then start again") from error
        if reached - self._synced > SYNC_ENTRY_BYTES:
            journal.append(SYNC, reached.to_bytes(8, "little"), self._clock())
        self._synced = reached

    def write(self) -> None:
        """Have the files hold all that is decided by now.

        Errors: StoreUnavailable.
        """
        position = self._journal.tail
        for _ in range(FLUSH_TRIES):
            if self._journal.flush(position):
                return
            if self._journal.failed:
                break
            os.sched_yield()
        raise StoreUnavailable("the journal cannot be written: see the disk, then start again")

    def post(self) -> bool:
        """Post what is durable, one batch; whether more is left.

        Errors: StoreUnavailable.
        """
        journal = self._journal
        until = journal.durable
        since = max(journal.posted, self._ledger.cursor)
        if since >= until:
            return False
        entries, reached = journal.entries(since, until, BATCH)
        self._ledger.post(entries, reached)
        journal.note_posted(reached)
        return reached < until

    def post_all(self) -> None:
        """Post all that is decided by now.

        Errors: StoreUnavailable.
        """
        tail = self._journal.tail
        self.sync()
        while self._journal.posted < tail:
            if not self.post() and self._journal.posted < tail:
                self.sync()

    @property
    def short(self) -> bool:
        """Whether there is less made ahead than the journal's pace asks for."""
        journal, now_us = self._journal, self._clock()
        since_us, since = self._paced
        passed_us = now_us - since_us
        if passed_us >= PACE_US:
            # The first look comes before the journal stands.
            gone = journal.tail - since if since else 0
            self._wanted_bytes = min(AHEAD_MAX_BYTES, gone * AHEAD_S * 1_000_000 // passed_us)
            self._paced = now_us, journal.tail
        ready = journal.prepared - journal.tail
        return ready < AHEAD_BYTES or (ready < self._wanted_bytes and now_us - self._made_us >= EXTRA_US)

    def prepare(self) -> bool:
        """Make one segment more if there are too few; whether one was made. A full disk is tried again.

        Errors: OSError.
        """
        self._made_us = self._clock()
        return self._journal.prepare(max(AHEAD_BYTES, self._wanted_bytes))

    def sign(self) -> None:
        """Sign a head over what was posted since."""
        self._receipts.sign()

    def keep_time(self) -> None:
        """Let the ledger's clock follow the wall clock, slowly: a jump of that one changes nothing."""
        now_us = self._clock()
        step_us = (now_us - self._looked_us) // DRIFT_SHARE
        if step_us:
            off_us = self._wall_us() - now_us - self._journal.anchor_us
            self._journal.set_anchor(self._journal.anchor_us + max(-step_us, min(step_us, off_us)))
            self._looked_us = now_us

    def trim(self) -> None:
        """Delete what is posted and older than every open hold, but for the newest part: it can still be checked.

        Errors: OSError.
        """
        oldest = self._ledger.oldest_open(self._journal.posted)
        self._journal.trim(max(0, min(oldest, self._journal.posted) - KEPT_BYTES))


class Start:
    """Finds the ledger again: posts the journal's past, ends what was open, fills the region.

    `say` is told what it met.
    """

    def __init__(self, journal: Journal, ledger: SqliteLedger, folder: Path, say: Say, *, void: bool) -> None:
        self._say = say
        self._journal = journal
        self._ledger = ledger
        self._folder = folder
        self._void = void

    def stand(self, clock: Callable[[], int], wall_us: Callable[[], int], accept_clock: bool) -> int:
        """Make the journal ready to be written, all of its past posted. Returns how many holds were lost, and ended.

        Errors: Refused for a damaged journal, or a clock that cannot be; StoreUnavailable; OSError.
        """
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for draft in self._folder.glob("*.new"):
            draft.unlink()
        boot_id = BOOT_ID.read_text() if BOOT_ID.exists() else ""
        end, problem = recover(
            self._folder, self._ledger.cursor, SEGMENT_BYTES, self._ledger.post, self._booted() != boot_id
        )
        if problem:
            raise Refused(f"the journal in {self._folder} is damaged: {problem}. Restore it from a backup")
        torn = torn_bytes(self._folder, end, SEGMENT_BYTES)
        last_us, now_us = self._ledger.last_us, wall_us()
        if now_us < last_us - CLOCK_BACK_MAX_US and not accept_clock:
            raise Refused(
                "the clock is more than a day behind the newest entry of the journal: set it, or say"
                " [ledger] accept_clock = true for one start"
            )
        firsts = segments(self._folder)
        first = firsts[-1] + SEGMENT_BYTES if firsts else SEGMENT_BYTES
        start = self._ledger.begin_start()
        self._journal.stand(first, end, start, SEGMENT_BYTES, last_us, now_us - clock())
        if not torn:
            # Made ahead and never used: the new segment says where the valid past ended.
            for unused in (one for one in firsts if one >= end):
                (self._folder / segment_name(unused)).unlink()
        # Only now: what a power loss tore is cut by this start, and no later one takes it for damage.
        (self._folder / "boot_id").write_text(boot_id)
        if torn:
            self._say("journal_tail_cut", bytes=torn, at=end)
        lost = self._end_lost(clock)
        if lost:
            self._say("holds_lost", count=lost)
        return lost

    def _booted(self) -> str | None:
        """When the machine was started that stood here last, as its system names it."""
        noted = self._folder / "boot_id"
        return noted.read_text() or None if noted.exists() else None

    def _end_lost(self, clock: Callable[[], int]) -> int:
        lost = self._ledger.lost(void=self._void)
        for end in lost:
            kind = POST if end.posted else VOID
            while (lsn := self._journal.append(kind, write_end(end), clock())) <= 0:
                if lsn == 0:
                    self._journal.flush(self._journal.tail)
                    self._journal.prepare(AHEAD_BYTES)
        return len(lost)

    def fill(self, accounts: Accounts) -> None:
        """Load the region with every account and budget. Order: all is posted."""
        for row in self._ledger.accounts():
            lots = [(0, 0)] * LOTS
            for slot, amount, expires_us in row.lots:
                lots[slot] = (amount, expires_us)
            accounts.load_account(row.number, row.balance, row.floor, tuple(lots))
        for budget in self._ledger.budgets():
            uses = [
                [(window, used) for period, window, used in budget.uses if period == wanted]
                for wanted in (0, 1)
            ]
            accounts.load_budget(
                budget.number,
                budget.caps,
                tuple(uses[0][-2:]),
                tuple(uses[1][-2:]),
                budget.total_used,
                budget.tag,
            )
