"""A ledger for a gateway in memory: a bank in the same process, a funded party, budgets that count every call.

Owns the data directory and the bank's seat. Knows no transport and no provider.
"""

from pathlib import Path
from typing import Any

from kpgate._fast.commit import Life, Region, Seat
from kpgate._fast.credit import Credit
from kpgate._fast.journal import Journal
from kpgate.app.areas import areas
from kpgate.app.bank import HOLD_LIFE_US, Bank
from kpgate.app.control import new_id, new_random, wall_us
from kpgate.app.directory import Directory
from kpgate.domain.management import CreateKey, build
from kpgate.domain.money import Movement, SetBudget, Transfer
from kpgate.domain.settings import Ledger
from kpgate.services.auth import Keyring
from kpgate.services.hold import Holds
from kpgate.services.management import Management
from kpgate.services.offload import Offload
from kpgate.stores.sqlite import SqliteReader, SqliteStore

MUCH = 10**15
LITTLE = 1_000_000
MANY = "many-"
ROOM = 8
"""Accounts of the house and others that are nobody's here."""
PARTY = "bench"


class Books:
    """What a call is charged to. Order: the region has room for it, by `areas`."""

    areas = staticmethod(areas)

    def __init__(self, folder: Path, region: Region, settings: Ledger) -> None:
        self.directory = Directory(folder / "data")
        self.directory.prepare()
        self._pepper = self.directory.pepper()
        self.store = SqliteStore(self.directory.store)
        self._life = Life.claim(self.directory.run, 0, 1)
        self._seat = Seat(region, self._life)
        self._region = region
        self._management = Management(
            self.store, self._pepper, self._seat.publish, wall_us, lambda entry: None
        )
        publish = self._management.catch_up
        self.bank = Bank(self.directory, self._seat, settings, self.store, publish, wall_us)
        self.bank.stand()

    def key(self, party: str = PARTY) -> str:
        """A key of a party, which has more than it can spend, and budgets."""
        made = self._management.answer(
            build(CreateKey, {"id": new_id(), "party": party, "random": new_random()})
        )
        movement = Movement(kind="top_up", party=party, amount=MUCH)
        caps: dict[str, Any] = {"day": MUCH, "month": MUCH, "total": MUCH}
        for operation in (
            Transfer(id=new_id(), movements=(movement,)),
            SetBudget(id=new_id(), party=party, **caps),
            SetBudget(id=new_id(), key=str(made["key"]).split("-")[2], **caps),
        ):
            self.bank.treasury.answer(operation)
        self._management.catch_up()
        return str(made["key"])

    def fill(self, accounts: int) -> None:
        """So many accounts in all, each new one of a party of its own that was issued a credit. Order: a bank that
        stands does not know of them, the next one does."""
        with self.store.connection:
            execute = self.store.connection.execute
            more = accounts - int(next(execute("SELECT count(*) FROM accounts"))[0])
            execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
                " INSERT INTO parties (name) SELECT ? || i FROM n",
                (more, MANY),
            )
            execute(
                "INSERT INTO accounts (name, kind, party, balance)"
                " SELECT 'spend:' || name, 'spend', number, ? FROM parties WHERE substr(name, 1, ?) = ?",
                (LITTLE, len(MANY), MANY),
            )
            execute("UPDATE accounts SET balance = balance - ? WHERE name = 'house:issued'", (more * LITTLE,))

    def keyring(self) -> Keyring:
        """Keys as a worker finds them."""
        return Keyring(SqliteReader(self.directory.store), self._region, self._pepper, wall_us)

    def holds(self, seat: Seat, offload: Offload) -> Holds:
        """What a worker holds by."""
        journal = Journal(self._region, seat, self.directory.root / "journal")
        return Holds(Credit(self._region, seat, journal, HOLD_LIFE_US), journal, offload)

    def close(self) -> None:
        """Everything must have ended."""
        assert not self.bank.credit.open_holds(), "every hold has ended"
        self._life.close()
        self.store.close()


def keys_among(folder: Path, accounts: int, count: int) -> list[str]:
    """Make a ledger of so many accounts in a folder, and keys of so many of their parties, evenly spread."""
    on = Ledger(enabled=True)
    first = Books(folder, Region.create(areas(on), 1), on)
    first.fill(accounts)
    first.close()
    books = Books(folder, Region.create(areas(on), 1), on)
    step = (accounts - ROOM) // count
    keys = [books.key(f"{MANY}{1 + number * step}") for number in range(count)]
    books.bank.close()
    books.close()
    return keys
