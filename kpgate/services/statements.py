"""What accounts have, what was moved, and what calls hold, for whoever may see it. It changes nothing.

Order: the clerk's, with all posted that was decided before.
"""

from collections.abc import Callable, Sequence

from kpgate._fast.account import AccountState
from kpgate._fast.credit import HoldState
from kpgate.domain.errors import NotFound
from kpgate.domain.ledger import EARN, SPEND, earn_of, show_call
from kpgate.domain.management import Answer
from kpgate.domain.money import ShowHolds, ShowStatement
from kpgate.stores.ledger import SqliteLedger


class Statements:
    """Says what the store and the region have. `read` reads an account in the region, `holds` what is held there."""

    def __init__(
        self,
        ledger: SqliteLedger,
        read: Callable[[int], AccountState],
        holds: Callable[[], Sequence[HoldState]],
    ) -> None:
        self._ledger = ledger
        self._read = read
        self._holds = holds

    def party(self, name: str) -> int:
        """A party's number. Errors: NotFound."""
        number = self._ledger.party(name)
        if number is None:
            raise NotFound(f"no party is named {name[:100]!r}")
        return number

    def balance(self, party: str) -> Answer:
        """What a party has. Errors: NotFound, StoreUnavailable."""
        self.party(party)
        account = self._ledger.number_of(f"{SPEND}:{party}")
        answer: Answer = {"party": party, "earned_microkpt": self._ledger.balance(earn_of(party))}
        if account is None:
            return {**answer, "balance_microkpt": 0, "held_microkpt": 0, "free_microkpt": 0}
        return {**answer, **show_account(self._read(account))}

    def totals(self, party: str) -> Answer:
        """What all of a party's transfers come to, by kind. Errors: NotFound."""
        self.party(party)
        answer: Answer = {"party": party}
        for kind in (SPEND, EARN):
            number = self._ledger.number_of(f"{kind}:{party}")
            answer[kind] = {} if number is None else self._ledger.totals(number)
        return answer

    def open_holds(self, operation: ShowHolds) -> Answer:
        """What calls under way hold."""
        found = sorted(one for one in self._holds() if one.call > operation.after)[: operation.count]
        rows = [
            {
                "call": show_call(one.call),
                "party": self._ledger.owner(one.account),
                "amount_microkpt": one.amount,
                "metered_microkpt": one.metered,
                "is_sent": one.is_sent,
            }
            for one in found
        ]
        return {"holds": rows, "after": found[-1].call if len(found) == operation.count else None}

    def statement(self, operation: ShowStatement) -> Answer:
        """A party's transfers, newest first. Errors: NotFound."""
        self.party(operation.party)
        account = self._ledger.number_of(f"{operation.account}:{operation.party}")
        rows = [] if account is None else self._ledger.statement(account, operation.before, operation.count)
        before = rows[-1]["lsn"] if len(rows) >= operation.count else None
        return {"party": operation.party, "account": operation.account, "rows": rows, "before": before}


def show_account(state: AccountState) -> Answer:
    """An account as its party sees it. Units: microKPT."""
    return {
        "balance_microkpt": state.balance,
        "held_microkpt": state.held,
        "free_microkpt": state.free,
        "credit_line_microkpt": -state.floor,
        "expiring": [
            {"amount_microkpt": lot.amount, "expires_us": lot.expiry_us} for lot in state.lots if lot.amount
        ],
    }
