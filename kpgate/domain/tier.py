"""Tiers: what the parties of one kind may do, how soon they are served, and at which part of the price."""

import msgspec

from kpgate.domain.limits import UNLIMITED, Limits

PRIORITY_MAX = 9
PRIORITY_DEFAULT = 5
WHOLE_PRICE = 10_000
PRICE_FACTOR_MAX = 100_000


class Tier(msgspec.Struct, frozen=True, gc=False):
    """The terms of a tier. `number` is never reused.

    Shape: `limits` are each party's that has none of its own; `models` are names or wildcards, empty for all;
    `priority` 0 to PRIORITY_MAX, the highest served first where there are more calls than places.
    Units: `price_factor` basis points of the price, from 1; `holding_min` microKPT, 0 for none.
    """

    number: int
    name: str
    limits: Limits = UNLIMITED
    models: tuple[str, ...] = ()
    priority: int = PRIORITY_DEFAULT
    price_factor: int = WHOLE_PRICE
    holding_min: int = 0


NO_TIER = Tier(0, "")
"""What a party of no tier has. Number 0 is given to none."""
