"""What a refused hold is called: from `_fast.credit`'s codes to errors that say how much is missing."""

from kpgate._fast.credit import BUDGET_TIED, FULL, GONE, NO_CREDIT, OVER_BUDGET, TIED, Decision
from kpgate.domain.errors import (
    BudgetExhausted,
    CreditHeld,
    GatewayError,
    InsufficientCredit,
    InvalidApiKey,
    Overloaded,
    StoreUnavailable,
)

TIED_WAIT_US = 250_000
STORE_WAIT_US = 500_000
PERIODS = ("day's", "month's", "whole")


def refusal(code: int, decision: Decision, amount: int, cell: int = 0) -> GatewayError:
    """What a refused hold is called. Shape: `cell` is the budget of a party token's cap, 0 where none asks."""
    needed = f"the call may cost {amount} microKPT"
    if code == NO_CREDIT:
        return InsufficientCredit(f"{needed}, the account has {max(0, decision.free)} free")
    if code == OVER_BUDGET and cell and decision.budget == cell:
        return BudgetExhausted(f"{needed}, the party token's cap has {max(0, decision.free)} left")
    if code == GONE:
        return InvalidApiKey("the party token has ended")
    if code == OVER_BUDGET:
        return BudgetExhausted(
            f"{needed}, the {PERIODS[decision.period]} budget has {max(0, decision.free)} left"
        )
    if code in (TIED, BUDGET_TIED):
        return CreditHeld(
            f"{needed}; {max(0, decision.free)} is free, and {decision.held} held by calls under way",
            retry_after_us=TIED_WAIT_US,
        )
    if code == FULL:
        return Overloaded(
            "this node keeps track of as many open calls as it can", retry_after_us=STORE_WAIT_US
        )
    return StoreUnavailable("no credit can be held: the journal does not go on", retry_after_us=STORE_WAIT_US)
