"""Plans: how a party pays. One of three kinds, with the tier that goes with it."""

import msgspec

KINDS = ("pay_per_token", "subscription", "credit_line")


class Plan(msgspec.Struct, frozen=True, gc=False):
    """The terms of a plan. `number` is never reused.

    Shape: `grant` is given by a subscription each month, `line` is how far a credit line goes; 0 for other kinds.
    `tier` is what a party of the plan becomes of, empty for no change. Units: microKPT.
    """

    number: int
    name: str
    kind: str = KINDS[0]
    grant: int = 0
    line: int = 0
    tier: str = ""


NO_PLAN = Plan(0, "")
"""What a party of no plan has. Number 0 is given to none."""
