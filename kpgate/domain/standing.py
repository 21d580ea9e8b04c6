"""What a ledger's store says of itself when it is looked at: rows, and what its tables come to. Shapes alone.

`invariants` says what must hold of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from kpgate.domain.ledger import Hold
from kpgate.domain.price import Price
from kpgate.domain.tenancy import Tenants

Entry = tuple[int, int, bytes]
Part = tuple[int, str, int, int, int, int, int, str]
"""One transfer's part, kind, debit, credit, amount, time, call and memo."""
LotMove = tuple[int, int, int, int, int]
"""What was put into a lot, or taken out: part, account, slot, change, when it ends (0: as before)."""


class ChargeRow(NamedTuple):
    """A charge as the store has it."""

    call: int
    lsn: int
    party: int
    account: int
    amount: int
    refunded: int
    hold: bytes
    post: bytes


class Sums(msgspec.Struct, frozen=True):
    """What a store's tables come to.

    Shape: `accounts` name and balance by number; `moved` what all transfers of an account come to; `counts` of
    transfers by kind; `wrong` the LSNs of transfers that move nothing, or to where it was; `refunded` by call; `lots`
    by (account, slot): amount and end; `put` what was put into each but for charges, and since when charges count;
    `ends` when each was said to end last; `lots_since` from where on every move of a lot is written down; `uses` by
    (budget, period, window); `open` hold and what was last metered, by call; `caps` of party tokens by (budget, tag).
    `last_us` is the time of the newest entry below the cursor, `newest` the last LSN that a table names; `undone` are
    LSNs of transfers that belong to no operation, `unmoved` operations without their transfer, `astray` LSNs of refunds
    to other accounts than were charged, `unread` calls whose open hold is none, `misnamed` accounts that are not their
    owner's, `mistaken` budgets that are not as the token has them whose they are.
    """

    cursor: int
    last_us: int
    newest: int
    tenants: Tenants
    accounts: Mapping[int, tuple[str, int]]
    moved: Mapping[int, int]
    counts: Mapping[str, int]
    wrong: Sequence[int]
    undone: Sequence[int]
    unmoved: Sequence[str]
    astray: Sequence[int]
    misnamed: Sequence[str]
    mistaken: Sequence[int]
    refunded: Mapping[int, int]
    lots: Mapping[tuple[int, int], tuple[int, int]]
    uses: Mapping[tuple[int, int, int], int]
    open: Mapping[int, tuple[Hold, int]]
    unread: Sequence[int]
    caps: Mapping[tuple[int, int], int] = {}
    put: Mapping[tuple[int, int], tuple[int, int]] = {}
    ends: Mapping[tuple[int, int], int] = {}
    lots_since: int = 0


class Standing(Protocol):
    """A store that is looked at. Order: all of it at one instant."""

    def sums(self) -> Sums:
        """What its tables come to."""

    def charges(self) -> Iterator[tuple[ChargeRow, list[Part]]]:
        """Every charge with its transfers."""

    def charge(self, call: int) -> ChargeRow | None:
        """One call's charge."""

    def parts(self, lsn: int) -> Sequence[Part]:
        """The transfers of one entry, in order."""

    def operation(self, request_id: str) -> tuple[bytes, int, str, str, str] | None:
        """What was asked under an id, by its hash, with which entry, and why it was refused: a code and words."""

    def lot_moves(self, lsn: int) -> Sequence[LotMove]:
        """What one entry put into lots and took out, in order, but for a charge."""

    def price(self, version: int) -> Price | None:
        """The terms of a price version."""
