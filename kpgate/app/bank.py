"""The ledger of one data directory, put together: journal, accounts, store, log and what is asked of them.

The clerk has one while a gateway runs; a command that finds nobody serving opens one by itself.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial

from kpgate._fast.account import Accounts
from kpgate._fast.commit import Life, Region, Seat
from kpgate._fast.credit import Credit
from kpgate._fast.journal import Journal
from kpgate._fast.wait import clock
from kpgate.app.areas import areas
from kpgate.app.directory import Directory
from kpgate.app.log_check import follow_shortened
from kpgate.app.poster import Poster, Refused, Say, Start
from kpgate.app.signing import Keyring, Signer, endorsement
from kpgate.app.token_keys import TokenSigner
from kpgate.domain.code import CodeOperation
from kpgate.domain.errors import Conflict, InvalidRequest, NotFound, StoreUnavailable
from kpgate.domain.ledger import CODE, GRANT, LINE, TOP_UP
from kpgate.domain.management import Answer
from kpgate.domain.money import MoneyOperation, Movement, RotateSigner, TopUp, Transfer
from kpgate.domain.receipt import log_secret
from kpgate.domain.settings import Ledger
from kpgate.services.codes import Codes
from kpgate.services.codes import Tools as CodeTools
from kpgate.services.plans import Plans
from kpgate.services.plans import Tools as PlanTools
from kpgate.services.receipts import Receipts
from kpgate.services.tokens import Tokens
from kpgate.services.tokens import Tools as TokenTools
from kpgate.services.treasury import Tools, Treasury
from kpgate.stores.audit import SqliteAudit
from kpgate.stores.codes import SqliteCodes
from kpgate.stores.ledger import SqliteLedger
from kpgate.stores.log import Damaged, SqliteLog
from kpgate.stores.lots import SqliteLots
from kpgate.stores.plans import SqlitePlans
from kpgate.stores.sqlite import SqliteStore
from kpgate.stores.tokens import SqliteTokens

_OWN = (CODE, GRANT, LINE, TOP_UP)
_ROTATED = b"log.rotate_key"
HOLD_LIFE_US = 4 * 3_600_000_000
ALONE_SEATS = 1
LOGS_REMEMBERED = 16


class Bank:
    """A ledger at work. Order: `stand` before anything else."""

    def __init__(
        self,
        directory: Directory,
        seat: Seat,
        settings: Ledger,
        store: SqliteStore,
        publish: Callable[[], bool],
        wall_us: Callable[[], int],
    ) -> None:
        region = seat.region
        self._directory = directory
        self._settings = settings
        self._wall_us = wall_us
        self._publish = publish
        self._say: Say = lambda event, **fields: None
        self.journal = Journal(region, seat, directory.root / "journal")
        self.credit = Credit(region, seat, self.journal, HOLD_LIFE_US)
        self.accounts = Accounts(region, seat, self.journal)
        self._log = log = SqliteLog(store.connection)
        signer = self._signer(log)
        self._followed = self._open_log(log, store)
        # Asked for with every charge that is posted.
        secret = lru_cache(LOGS_REMEMBERED)(partial(log_secret, directory.pepper()))
        self.receipts = Receipts(log, secret, signer, wall_us)
        self.ledger = SqliteLedger(store.connection, self.receipts)
        self.poster = Poster(self.journal, self.ledger, self.receipts, clock, wall_us)
        self.treasury = Treasury(
            Tools(
                vault=self.accounts,
                ledger=self.ledger,
                lots=SqliteLots(store.connection),
                receipts=self.receipts,
                books=self.poster,
                keys=store,
                clock=clock,
                publish=publish,
                time_us=self._time_us,
                accounts_max=settings.accounts_max,
                holds=self.credit.holds_open,
            )
        )
        self.codes = self._codes_at(store)
        self.tokens = self._tokens_at(store)
        self.plans = Plans(
            PlanTools(
                SqlitePlans(store.connection), self.treasury.answer, self.poster.post_all, self._time_us
            ),
            lambda event, **fields: self._say(event, **fields),
        )

    def _open_log(self, log: SqliteLog, store: SqliteStore) -> dict[str, str]:
        """Have a log that fits its newest head, if need be another one: what is said of that is returned.

        Errors: Refused.
        """
        if not log.origin:
            log.open(secrets.token_hex(16))
        try:
            return follow_shortened(log, store.connection, self._wall_us)
        except Damaged as error:
            raise Refused(
                f"the log of receipts in {self._directory.store} is damaged: {error}. Restore it from a backup"
            ) from error

    def _codes_at(self, store: SqliteStore) -> Codes:
        return Codes(
            CodeTools(
                store=SqliteCodes(store.connection),
                transfer=self.treasury.answer,
                settle=self.poster.post_all,
                transaction=store.transaction,
                time_us=self._time_us,
                clock=clock,
                pepper=self._directory.pepper(),
            )
        )

    def _tokens_at(self, store: SqliteStore) -> Tokens:
        return Tokens(
            TokenTools(
                store=SqliteTokens(store.connection),
                cells=self.accounts,
                keys=store,
                signs=TokenSigner(self._directory.pepper()),
                publish=self._publish,
                note=SqliteAudit(store.connection).append,
                caps=self.ledger.caps,
                settle=self.poster.post_all,
                time_us=self._time_us,
                wall_us=self._wall_us,
                pepper=self._directory.pepper(),
                cells_max=self._settings.accounts_max,
            )
        )

    def _time_us(self) -> int:
        """The time as decisions see it: where the clock was set back, no earlier than the newest of them."""
        return max(self.journal.time_us, self.journal.anchor_us + clock())

    def answer(self, operation: MoneyOperation | CodeOperation) -> Answer:
        """Carry an operation on money or on codes out, that somebody asks for.

        Errors: as theirs; InvalidRequest for an id that is the gateway's own.
        """
        if isinstance(operation, TopUp):
            return self._top_up(operation)
        if isinstance(operation, RotateSigner):
            return self._rotate_signer(operation)
        if operation.id.startswith(_OWN):
            raise InvalidRequest(f"id: {', '.join(_OWN)} are kept for the gateway's own", param="id")
        if isinstance(operation, CodeOperation):
            return self.codes.answer(operation)
        return self.treasury.answer(operation)

    def _top_up(self, operation: TopUp) -> Answer:
        if not operation.id.startswith(TOP_UP):
            raise InvalidRequest(f"id: expected {TOP_UP} before it", param="id")
        if self.ledger.party(operation.party) is None:
            # Not a refusal that is kept: once the party is there, the payment counts.
            raise NotFound(f"no party is named {operation.party[:100]!r}")
        fields = {name: getattr(operation, name) for name in ("kind", "party", "amount", "memo")}
        return self.treasury.answer(Transfer(id=operation.id, movements=(Movement(**fields),)))

    def _rotate_signer(self, operation: RotateSigner) -> Answer:
        """A new key on disk, known and endorsed, before it signs anything. Asked twice, it is done once."""
        keyring = Keyring(self._directory.root / "signing")
        if self.ledger.operation(operation.id) is None:
            self.poster.post_all()
            if self._log.signers()[-1]["id"] not in {one.id for one in keyring.kept()}:
                # Nobody could vouch for the new one, and it would go unnoticed until somebody verifies.
                raise Conflict("DATA/signing lacks the key that signs now: restore it from a backup first")
            try:
                keyring.make()
            except OSError as error:
                raise StoreUnavailable(f"a signing key cannot be made: {error.strerror}") from error
            self.receipts.sign_with(self._signer(self._log))
            self.ledger.keep_done(operation.id, _ROTATED)
        signers = self._log.signers()
        return {"id": operation.id, "done": True, "signer": signers[-1]}

    def _signer(self, log: SqliteLog) -> Signer:
        """The key that signs, its public half made known, each endorsed by the one before."""
        keyring = Keyring(self._directory.root / "signing")
        known = log.signers()
        self._signers_lost = bool(known) and known[-1]["id"] not in {one.id for one in keyring.signers()}
        signers = keyring.signers()
        before: Signer | None = None
        for signer in signers:
            said = b"" if before is None else before.sign(endorsement(signer.public))
            by = "" if before is None else before.id
            log.keep_signer(signer.id, signer.public, self._wall_us(), by, said)
            before = signer
        return signers[-1]

    @property
    def void_sent(self) -> bool:
        """Whether calls of a worker that died are charged nothing."""
        return self._settings.on_worker_death == "void"

    def stand(self, say: Say = lambda event, **fields: None) -> None:
        """Be ready to serve: after a start all of the past is posted. `say` is told what that met, and later
        what is refused.

        Errors: Refused, StoreUnavailable, OSError.
        """
        self._say = say
        if self._followed:
            say("log_followed", **self._followed)
        if self._signers_lost:
            # Nothing that was signed is lost; but nobody vouches for who signs now.
            say("signing_keys_lost", known=self._log.signers()[-1]["id"])
        if self.journal.standing:
            self._mend()
            return
        start = Start(self.journal, self.ledger, self._directory.root / "journal", say, void=self.void_sent)
        start.stand(clock, self._wall_us, self._settings.accept_clock)
        self.poster.post_all()
        start.fill(self.accounts)
        self.poster.prepare()
        self.journal.open()

    def _mend(self) -> None:
        """What a clerk that died had stored and not yet put into the region."""
        for row in self.ledger.accounts():
            if row.floor:
                self.accounts.set_floor(row.number, row.floor)
        for budget in self.ledger.budgets():
            if budget.tag:
                self.tokens.mend(budget)
            else:
                self.accounts.set_caps(budget.number, budget.caps)

    def end_dead(self, life: Life) -> int:
        """End the holds that the last owner of a seat left. Order: holding its life lock."""
        return self.credit.end_dead(clock(), life, self.void_sent)

    def end_expired(self) -> int:
        """End the holds that nobody ended in time."""
        return self.credit.end_expired(clock(), self.void_sent)

    def close(self) -> None:
        """Come to an end: everything posted, and signed."""
        self.poster.post_all()
        self.poster.sign()
        self.poster.sync()
        self.trim()

    def trim(self) -> None:
        """Delete what nobody needs of the journal any more; nothing while a backup reads it.

        Errors: OSError.
        """
        with self._directory.trimming() as free:
            if free:
                self.poster.trim()


@contextmanager
def opened(
    directory: Directory, settings: Ledger, store: SqliteStore, wall_us: Callable[[], int]
) -> Iterator[Bank]:
    """The ledger of a directory that nobody serves from. Order: held alone, by `Directory.join`.

    Errors: StoreUnavailable, also for what a start refuses; OSError.
    """
    region = Region.create(areas(settings), ALONE_SEATS)
    life = Life.claim(directory.run, 0, ALONE_SEATS)
    try:
        bank = Bank(directory, Seat(region, life), settings, store, lambda: True, wall_us)
        bank.stand()
        yield bank
        bank.close()
    except Refused as error:
        raise StoreUnavailable(str(error)) from error
    finally:
        life.close()
