"""Where operations are carried out, whoever asks: management's, the ledger's, the codes', and the audit log's own.

No act that counts is without its row: a change of the store is kept together with it, and what moves money is
written down before it is begun and again when it is done.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import msgspec

from kpgate.app.bank import Bank
from kpgate.app.sparing import Sparing
from kpgate.domain.audit import ASKED, OK, Entry, ListAudit, NoteAct
from kpgate.domain.code import CodeOperation
from kpgate.domain.durations import instant
from kpgate.domain.errors import GatewayError, NotFound
from kpgate.domain.management import Answer, AnyOperation, Asked, SetParty, SetPlan, entry, is_act
from kpgate.domain.money import MoneyOperation
from kpgate.domain.token import TokenOperation
from kpgate.services.management import Management
from kpgate.stores.protocol import AuditLog

REFUSALS_A_MINUTE = 120


class Office:
    """Carries operations out. `bank` is the ledger at work; where there is none, `opens` opens one for a while."""

    def __init__(
        self,
        audit: AuditLog,
        management: Management,
        wall_us: Callable[[], int],
        bank: Bank | None = None,
        opens: Callable[[], AbstractContextManager[Bank]] | None = None,
    ) -> None:
        self._audit = audit
        self._management = management
        self._wall_us = wall_us
        self._bank = bank
        self._opens = opens
        self._refusals = Sparing(REFUSALS_A_MINUTE)

    def answer(self, asked: Asked) -> Answer:
        """Carry an operation out.

        Errors: those of the operation; InvalidApiKey where the key that asks has ended; StoreUnavailable where what
        has to be written down cannot be.
        """
        if not is_act(asked):
            return self._carry_out(asked)
        if asked.by.via == "http":
            self._management.check_actor(asked.by)
        beyond = isinstance(asked.what, MoneyOperation | CodeOperation)
        if beyond:
            self._audit.append(entry(asked, self._wall_us(), ASKED))
        try:
            answer = self._carry_out(asked)
        except GatewayError as error:
            if beyond or self._refusals.let(self._wall_us()):
                missed = self._refusals.take_missed()
                with suppress(GatewayError):
                    more = {"missed": missed} if missed else {}
                    self._audit.append(entry(asked, self._wall_us(), error.code, **more))
            raise
        if beyond:
            with suppress(GatewayError):
                # What was asked is written already; the ledger knows that it was done.
                self._audit.append(entry(asked, self._wall_us(), OK))
        return answer

    def _carry_out(self, asked: Asked) -> Answer:
        operation = asked.what
        if isinstance(operation, ListAudit):
            return self._list(operation)
        if isinstance(operation, NoteAct):
            return self._note(asked, operation)
        if isinstance(operation, MoneyOperation | CodeOperation):
            with self._ledger() as bank:
                return bank.answer(operation)
        if isinstance(operation, TokenOperation):
            with self._ledger() as bank:
                return bank.tokens.answer(asked)
        answer = self._management.answer(operation, asked.by)
        self._join(operation)
        return answer

    def _join(self, operation: AnyOperation) -> None:
        """What a plan brings about is in force before it is answered. Where nobody serves, the next start does it."""
        if self._bank is not None and isinstance(operation, SetParty):
            self._bank.plans.join(operation.party)
        elif self._bank is not None and isinstance(operation, SetPlan):
            self._bank.plans.changed()

    @contextmanager
    def _ledger(self) -> Iterator[Bank]:
        if self._bank is not None:
            yield self._bank
        elif self._opens is not None:
            with self._opens() as bank:
                yield bank
        else:
            raise NotFound("credits are off here: set [ledger] enabled")

    def _note(self, asked: Asked, note: NoteAct) -> Answer:
        about = {name: value for name in ("path", "missed") if (value := getattr(note, name))}
        said = msgspec.json.encode(about).decode()
        self._audit.append(Entry(self._wall_us(), asked.by, note.act, said, note.outcome))
        return {"noted": True}

    def _list(self, operation: ListAudit) -> Answer:
        rows = self._audit.select(operation)
        number, head = self._audit.head()
        more = rows[-1].number if len(rows) == operation.count else None
        return {"rows": [show_entry(row) for row in rows], "before": more, "head": f"{number}:{head.hex()}"}


def show_entry(row: Entry) -> dict[str, Any]:
    """A row as it is answered. Units: `at` is RFC 3339 in UTC."""
    return {
        "number": row.number,
        "at": instant(row.time_us),
        **{name: getattr(row.actor, name) for name in row.actor.__struct_fields__},
        "act": row.act,
        "about": msgspec.json.decode(row.about),
        "outcome": row.outcome,
        "hash": row.hash.hex(),
    }
