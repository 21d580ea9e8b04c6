"""The ledger of a small node behind the face of `vault.Office`: the compiled rules, the real journal and its files.

What `Office` says plainly is decided here by `_fast.credit` and `_fast.account`; a start is a start.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from kpgate._fast.account import AccountState
from kpgate._fast.credit import DONE, Decision, Purse
from kpgate.domain.batch import Entry
from kpgate.domain.ledger import note_end, note_hold
from kpgate.domain.management import Answer
from kpgate.domain.money import MoneyOperation
from kpgate.domain.usage import Usage
from kpgate.services.treasury import Treasury
from kpgate.stores.ledger import SqliteLedger
from kpgate.stores.sqlite import SqliteStore
from tests.kit.small_node import SmallNode

HOLDS = 1 << 12
MEMORY = Path("/dev/shm")
"""Every answer waits for a sync: where that is of a disk, histories are short."""


class NodeOffice:
    """An office whose vault is itself."""

    def __init__(self) -> None:
        self._root = tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None)
        self._patch = pytest.MonkeyPatch()
        self.node = SmallNode(Path(self._root), self._patch)
        self.node.holds = HOLDS
        self.node.begin()
        self._handles: dict[int, int] = {}
        self._asked = 0

    @property
    def vault(self) -> "NodeOffice":
        return self

    @property
    def treasury(self) -> Treasury:
        return self.node.bank.treasury

    @property
    def ledger(self) -> SqliteLedger:
        return self.node.bank.ledger

    @property
    def store(self) -> SqliteStore:
        return self.node.store

    @property
    def version(self) -> int:
        return self.node.version

    @property
    def now_us(self) -> int:
        return self.node.now_us

    @now_us.setter
    def now_us(self, now_us: int) -> None:
        self.node.now_us = now_us

    @property
    def entries(self) -> list[Entry]:
        self.post_all()
        return self.node.entries()

    def time_us(self) -> int:
        return self.node.bank._time_us()

    def post_all(self) -> None:
        while self.node.bank.poster.prepare():
            pass
        self.node.bank.poster.post_all()

    def restart(self) -> None:
        self.post_all()
        self.node.leave()
        self.node.begin()
        self._handles.clear()

    def answer(self, operation: MoneyOperation) -> Answer:
        self.post_all()
        return self.treasury.answer(operation)

    def do(self, kind: type[Any], **fields: Any) -> Answer:
        self._asked += 1
        return self.answer(kind(id=f"request-{self._asked}", **fields))

    def account_of(self, party: str) -> int:
        number = self.ledger.number_of(f"spend:{party}")
        assert number is not None
        return number

    def account(self, now_us: int, number: int) -> AccountState | None:
        return self.node.bank.accounts.account(now_us, number)

    def hold(self, account: int, amount: int, budgets: tuple[int, ...] = (), version: int = 1) -> int:
        """A call's id; 0 where it is refused."""
        worker, decision = self.node.workers[0], Decision()
        purse = Purse(account, budgets, party=self.ledger.party(self.ledger.owner(account) or "") or 0)
        note = note_hold("request", "model", version, 1, 1, 10_000)
        generation = self.node.region.generation
        if worker.credit.hold(self.now_us, generation, purse, amount, note, decision) != DONE:
            return 0
        self._handles[decision.call] = decision.handle
        return decision.call

    def extend(self, call: int, amount: int) -> bool:
        credit = self.node.workers[1].credit
        return credit.extend(self.now_us, self.node.region.generation, self._handles[call], amount) == DONE

    def record_meter(self, call: int, amount: int) -> None:
        credit, handle = self.node.workers[0].credit, self._handles[call]
        assert credit.sent(handle) and credit.meter(handle, amount)
        assert credit.record_meter(self.now_us, handle) == DONE

    def end(self, call: int, actual: int, version: int = 1) -> None:
        """Charge, or with -1 charge nothing."""
        credit, handle = self.node.workers[2].credit, self._handles.pop(call)
        note = note_end("provider", "deployment", 1, 200, version, Usage(actual, 0))
        if actual < 0:
            assert credit.void(self.now_us, handle, 0, note) == DONE
        else:
            assert credit.post(self.now_us, handle, actual, 0, note) == DONE

    def close(self) -> None:
        self.node.leave()
        self._patch.undo()
        shutil.rmtree(self._root)
