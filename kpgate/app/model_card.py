"""What a model can do and what it costs a caller, as `GET /v1/models` shows it beside OpenAI's own fields.

A model with several deployments can what all of them can: whichever answers.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from kpgate.domain import usage
from kpgate.domain.catalog import ModelFacts
from kpgate.domain.price import MICROKPT, PER, WHOLE, Price
from kpgate.domain.price_step import LongPrice
from kpgate.services.route import Plan

KINDS = (*usage.KINDS, "request", "unit")


def card(plan: Plan, factor: int = WHOLE) -> dict[str, Any]:
    """The fields that kpgate adds. Null is not known, or for a price that calls cost nothing.

    Units: windows in tokens, prices in KPT for a million tokens; `factor` is the caller's part of the price, in basis
    points.
    """
    known = [target.facts for target in plan.targets]
    facts = [one for one in known if one is not None]
    if len(facts) < len(known):
        facts = []
    return {
        "context_window": _least(one.context_window for one in facts),
        "output_tokens_max": plan.output_max or None,
        "modalities": {
            "input": _common([one.inputs for one in facts]),
            "output": _common([one.outputs for one in facts]),
        },
        "capabilities": {name: _all(facts, name) for name in ("vision", "tools", "json_schema", "reasoning")},
        "pricing": _pricing([target.price for target in plan.targets if target.price is not None], factor),
    }


def _least(figures: Iterable[int | None]) -> int | None:
    read = list(figures)
    return min((figure for figure in read if figure is not None), default=None) if all(read) else None


def _common(lists: Sequence[Sequence[str]]) -> list[str] | None:
    """What is in all of some lists. None where one of them is not known."""
    if not lists or not all(lists):
        return None
    return [name for name in lists[0] if all(name in one for one in lists)]


def _all(facts: Sequence[ModelFacts], name: str) -> bool | None:
    answers = [getattr(one, name) for one in facts]
    if False in answers:
        return False
    return True if answers and None not in answers else None


def _pricing(prices: Sequence[Price], factor: int) -> dict[str, Any] | None:
    """The dearest of each kind: no deployment asks more, for a short prompt and for one above the first step."""
    if not prices:
        return None
    dearest = {name: max(getattr(price, name) for price in prices) for name in KINDS}
    shown: dict[str, Any] = {"currency": "KPT", "per_tokens": PER}
    shown |= {name: amount * factor / (WHOLE * MICROKPT) for name, amount in dearest.items()}
    steps = [one for one in prices if isinstance(one, LongPrice)]
    if steps:
        above = min(one.long_above for one in steps)
        most = {kind: max(getattr(one.at(1 << 62), kind) for one in prices) for kind in usage.KINDS}
        shown["long_above"] = above
        shown |= {f"long_{kind}": amount * factor / (WHOLE * MICROKPT) for kind, amount in most.items()}
    return shown
