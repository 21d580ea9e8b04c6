"""What is told about routing: how each deployment does and why, for management; and why a call would go where, for its
caller. Nobody is called for either.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from kpgate._fast.pulse import BACK as JUST_BACK
from kpgate._fast.pulse import EJECTED, HALF_OPEN, ILL, LIMITED, SPENT
from kpgate.app.money_api import read_query
from kpgate.dialects.gemini.endpoints import UNKNOWN
from kpgate.domain.caller import Caller
from kpgate.domain.dialect import Endpoint
from kpgate.domain.errors import MethodNotAllowed, NotFound
from kpgate.domain.management import Answer
from kpgate.life import Equipment
from kpgate.services.choose import Asked
from kpgate.services.exchange import Exchange
from kpgate.services.explain import STATES, explain
from kpgate.services.health import REASONS
from kpgate.services.route import Plan, Target

DEFAULT_PATH = "/v1/chat/completions"
RANDOM = 0x9E3779B97F4A7C15
"""What chance says for whoever asks: the same each time, so that two answers can be compared."""


def show_health(kit: Equipment, now_us: int) -> Answer:
    """Every deployment of every model, by each of its credentials: how it does, why, and until when."""
    rows = [
        _row(kit, plan, target, place, now_us)
        for plan in kit.routes.plans
        for place, target in enumerate(plan.targets)
        if target.home == plan.name
    ]
    return {"deployments": rows}


def _row(kit: Equipment, plan: Plan, target: Target, place: int, now_us: int) -> dict[str, Any]:
    rules, pulse, key = kit.health.rules, target.pulse, target.key
    own = pulse.state(now_us, rules)
    of_key = 0 if key is None else key.state(now_us, rules)
    state, look = max(own, of_key), pulse.look(now_us)
    until_us = 0
    if state in (LIMITED, SPENT):
        until_us = max(pulse.cool_until_us, 0 if key is None else key.cool_until_us)
    elif state == EJECTED:
        until_us = pulse.ejected_until_us
    elif state == JUST_BACK:
        until_us = look["back_us"] + rules.slow_us
    siblings = [one for one in plan.targets if one.number == target.number]
    return {
        "model": plan.name,
        "provider": target.provider,
        "deployment": target.model,
        "credential": siblings.index(target) if len(siblings) > 1 else None,
        "state": STATES[state],
        "why": _why(state, REASONS[look["failed_why"]], look["ejections"]),
        "for_s": max(0, until_us - now_us) / 1e6,
        "failures_in_a_row": look["failures"],
        "failures": look["lost"],
        "ejections": look["ejections"],
        "failed_s_ago": (now_us - look["failed_us"]) / 1e6 if look["failed_us"] else None,
        "open_calls": look["open"],
        "first_token_s": look["first_token_us"] / 1e6,
        "whole_reply_s": look["latency_us"] / 1e6,
        "checked": ("no", "well", "ill")[look["check"]],
    }


def _why(state: int, reason: str, ejections: int) -> str:
    """A state in a sentence."""
    if state == ILL:
        return "its active checks fail"
    if state == EJECTED:
        return f"too many failures in a row, for the {_ordinal(ejections)} time: {reason}"
    if state == SPENT:
        return "its credential's quota is used up, or its provider refuses the credential"
    if state == LIMITED:
        return "its provider told of a limit"
    if state == HALF_OPEN:
        return f"it was out and waits for a call that succeeds: {reason}"
    if state == JUST_BACK:
        return "it is back, and its share grows"
    return "nothing is known against it"


def _ordinal(number: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if number // 10 % 10 == 1 else endings.get(number % 10, 'th')}"


class RoutingApi:
    """Answers `POST /kp/v1/route`. `endpoints` are what callers may ask, `find` gives those whose path
    says more, `kit` gives the equipment of the moment."""

    def __init__(
        self,
        endpoints: dict[bytes, Endpoint],
        find: Callable[[bytes, bytes], Endpoint | None],
        kit: Callable[[], Equipment],
        clock: Callable[[], int],
    ) -> None:
        self._endpoints = endpoints
        self._find = find
        self._kit = kit
        self._clock = clock

    def health(self) -> Answer:
        """How each deployment does."""
        return show_health(self._kit(), self._clock())

    async def explain(self, exchange: Exchange, caller: Caller, body: bytes) -> bytes:
        """Why a call with this body, these headers and this key would go where.

        Shape: the query's `path` is the call's, chat completions where it is absent. JSON.
        Errors: as the call's own up to ROUTE; NotFound for a path that is none.
        """
        if exchange.method != "POST":
            raise MethodNotAllowed(exchange.method, "POST")
        path = read_query(exchange.query.decode("latin-1"), "path").get("path", DEFAULT_PATH)
        raw = path.encode("latin-1", "replace")
        endpoint = self._endpoints.get(raw) or self._find(raw, b"")
        if endpoint is None or endpoint.path == UNKNOWN.path:
            raise NotFound(f"no calls are made to {path[:200]!r}", param="path")
        kit = self._kit()
        return await kit.offload.run(self._explain, kit, exchange, (caller, endpoint), body)

    def _explain(
        self, kit: Equipment, exchange: Exchange, who: tuple[Caller, Endpoint], body: bytes
    ) -> bytes:
        caller, endpoint = who
        call = endpoint.decode(body, kit.json_depth_max)
        plan = kit.plan(call, caller)
        tokens = endpoint.count(call, plan.vocabulary, plan.name) if plan.vocabulary is not None else 0
        asked = Asked(caller, call, endpoint, body, exchange.headers, tokens, RANDOM, exchange.head.cost_max)
        return msgspec.json.encode(explain(plan.chooser, asked, self._clock()))
