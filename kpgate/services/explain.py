"""A decision of ROUTE in words, for whoever asks: nothing is taken, nobody is called.

Knows what `choose` knows, and what a call finds only as it goes: who can be asked what it asks.
"""

from typing import Any

from kpgate.domain.errors import InvalidRequest
from kpgate.services.choose import Asked, Chooser, View
from kpgate.services.route import BIT, unaskable

STATES = ("well", "back", "half_open", "limited", "spent", "ejected", "ill")
"""As `_fast.pulse` numbers them."""


def explain(chooser: Chooser, asked: Asked, now_us: int) -> dict[str, Any]:
    """Where a call would go, whom it would not be asked of and why, and in what order the others stand."""
    view, plan = View(chooser, asked), chooser.plan
    able = view.narrow()
    mask = _askable(view, able)
    choice, targets = view.choice, plan.targets
    order = choice.order(asked.random, mask, now_us, view.size, view.session(), asked.caller.number + 1)
    states, scores = choice.states(now_us), choice.scores(now_us, view.size)
    rows = []
    for place, target in enumerate(targets):
        dropped = next((why for lost, why in view.trace if lost >> place & 1), None)
        row: dict[str, Any] = {
            "model": target.home,
            "provider": target.provider,
            "deployment": target.model,
            "state": STATES[states[place]],
            "dropped": dropped,
            "place": order.index(place) + 1 if place in order else None,
            "score": None if view.route == "weighted" else round(scores[place], 1),
            "expected_cost_microkpt": view.expected(place) if chooser.terms.priced else None,
        }
        rows.append(row)
    return {
        "model": plan.name,
        "route": view.route,
        "rule": view.rule or None,
        "prompt_tokens": asked.prompt_tokens,
        "max_cost_microkpt": view.cost_max if view.cost_max >= 0 else None,
        "sticky": view.session() != 0,
        "complexity": view.facts.count("complexity"),
        "complexity_of": view.facts.made_of().partition(":")[2],
        "language": view.facts.word("language"),
        "why": view.why(),
        "error": None if mask else InvalidRequest.code if able else view.refusal().code,
        "candidates": sorted(rows, key=lambda row: row["place"] or 1_000),
    }


def _askable(view: View, mask: int) -> int:
    """Those of some candidates that can be asked what the call asks."""
    asked, left = view.asked, mask
    for place, target in enumerate(view.chooser.plan.targets):
        why = unaskable(target, asked.endpoint.path, asked.call, asked.body) if mask >> place & 1 else ""
        if why:
            view.trace.append((BIT << place, why))
            left &= ~(BIT << place)
    return left
