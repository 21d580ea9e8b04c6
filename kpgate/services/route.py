"""ROUTE: from a model's name to the deployments that may answer, in the order they are tried."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import randrange
from typing import Any, TypeAlias

from kpgate._fast.bill import Bill, Tariff
from kpgate._fast.choice import Choice
from kpgate._fast.limit import Gate
from kpgate._fast.pulse import Pulse
from kpgate._fast.routes import Router
from kpgate._fast.wait import Timer, Wait, Wheel
from kpgate.domain.call import Call
from kpgate.domain.catalog import ModelFacts
from kpgate.domain.dialect import Counter, Way
from kpgate.domain.errors import Fault, GatewayError, InvalidRequest, ModelNotFound, Retry
from kpgate.domain.price import Price
from kpgate.domain.price_step import LongPrice
from kpgate.domain.settings import Retries
from kpgate.domain.usage import Usage
from kpgate.domain.whole import Whole

SAVED_MAX = 100
HEDGES_SAVED_MAX = 10
NO_STEP = (1 << 63) - 1
BIT = 1
"""Not written as itself: compiled, a shift of a literal is one of a machine's words."""


@dataclass(eq=False)
class Target:
    """A deployment at work, by one credential: where to send, what to send first, how it has been doing.

    Shape: `home` is the model it is a deployment of; `ways` has how calls of an endpoint go to it, by the endpoint's
    path; `key` is how its credential does, where its provider has several;
    `match` is header names and values, lower case, all of which a request must have; `price_source` is where its
    price is from, in words; `facts` is what the catalogue knows of its model. `bill` is its price to be reckoned with,
    `long_bill` that of a prompt of more tokens than `long_above`.
    Units: `*_us` microseconds. `price` is what calls are charged, `rates` what they are chosen by.
    """

    number: int
    home: str
    provider: str
    model: str
    gate: Gate
    pool: Any
    ways: dict[str, Way]
    pulse: Pulse
    first_byte_us: int
    idle_us: int
    total_us: int
    connect_us: int
    match: tuple[tuple[bytes, bytes], ...] = ()
    price: Price | None = None
    price_version: int = 0
    key: Pulse | None = None
    rates: Price | None = None
    price_source: str = ""
    facts: ModelFacts | None = None
    bill: Bill | None = field(init=False, default=None)
    long_bill: Bill | None = field(init=False, default=None)
    long_above: int = field(init=False, default=NO_STEP)

    def __post_init__(self) -> None:
        if self.price is not None:
            self.bill = Bill(self.price)
        if isinstance(self.price, LongPrice):
            self.long_above, self.long_bill = self.price.long_above, Bill(self.price.beyond)

    def way(self, path: str) -> Way:
        """How calls of an endpoint go to it. Errors: InvalidRequest where it has none for them."""
        way = self.ways.get(path)
        if way is None:
            raise unserved(self.home, path)
        return way

    def charge(self, usage: Usage, factor: Whole) -> Whole:
        """What a call costs that it answered. Order: only what has a price is charged. Units: `factor` basis points."""
        bill = self.bill if usage.input <= self.long_above else self.long_bill
        assert bill is not None, "only what has a price is charged"
        return bill.charge(
            usage.input,
            usage.output,
            usage.cached,
            usage.reasoning,
            usage.audio_input,
            usage.audio_output,
            usage.image,
            usage.cache_write,
            usage.cache_write_long,
            usage.units,
            factor,
        )


Order: TypeAlias = tuple[Target, ...]
"""Deployments in the order in which they are asked."""


@dataclass(eq=False)
class Plan:
    """A model as configured: who may answer, how its tokens are counted, its limits.

    Shape: `everyone` is the mask of all its targets; `sole` says that it has one, which is for every request; `choice`
    puts them in order; `chooser` decides more than that, and `chooses` says that every call is to be decided by it.
    `wild` says that its name is a pattern. `hedging` is there where an attempt that takes long gets another beside it,
    `mirror` where another model answers copies, `proof` where answers have to stand one.
    Units: `output_cap` is what a call that says none is given, `output_max` the most that one may ask for, 0 where
    that is not known.
    """

    number: int
    name: str
    gate: Gate
    targets: tuple[Target, ...]
    choice: Choice
    peers: tuple[Pulse, ...]
    vocabulary: Counter | None
    grade: str
    output_cap: int
    owner: str
    everyone: int
    matched: bool = False
    gates: tuple[Gate, ...] = ()
    tariff: Tariff | None = None
    holding_min: int = 0
    chooser: Any = None
    chooses: bool = False
    output_max: int = 0
    wild: bool = False
    hedging: "Hedging | None" = None
    mirror: Any = None
    proof: Any = None
    sole: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.sole = len(self.targets) == 1 and not self.matched


class Retrying:
    """Whether a failed attempt may be followed by another: so many a call, and a budget over all calls.

    Every call saves a part of a retry, up to `SAVED_MAX` of them, and so many are there from the start; a few may be
    under way whatever is saved.
    Source: Finagle's retry budget (checked November 2026).
    """

    def __init__(self, rules: Retries, wheel: Wheel, loop: object) -> None:
        self.rules = rules
        self.under_way = 0
        self._saved = SAVED_MAX * 100
        self._calls = 0
        self._wheel = wheel
        self._loop = loop

    def allows(self, error: GatewayError, tries: int, targets: int, calls: int) -> bool:
        """Whether one more try may be made after `error`. A provider's own limit or filter is retried elsewhere only.

        Shape: `calls` is how many calls there have been.
        """
        if tries > self.rules.max or error.retry is Retry.NEVER or error.fault is Fault.GATEWAY:
            return False
        if error.fault is Fault.CALLER and tries >= targets:
            return False
        affords = self.affords(calls)
        if affords:
            self.spend()
        return affords

    def affords(self, calls: int) -> bool:
        """Whether the budget has one more try, after so many calls."""
        saved = self._saved + (calls - self._calls) * self.rules.budget_percent
        self._saved, self._calls = min(saved, SAVED_MAX * 100), calls
        return self._saved >= 100 or self.under_way < self.rules.budget_min

    def spend(self) -> None:
        """Take what is saved for one. Order: after `affords`; one that nothing was saved for is only under way."""
        if self._saved >= 100:
            self._saved -= 100

    async def pause(self, tries: int, now_us: int) -> None:
        """Wait before the next try: exponential, full jitter."""
        ceiling_ms = min(self.rules.backoff_min_ms << tries, self.rules.backoff_max_ms)
        wait = Wait(self._loop)
        self._wheel.add(Timer(lambda: wait.resolve(None)), now_us + randrange(ceiling_ms * 1000 + 1))
        await wait

    def begin(self) -> None:
        """A call has begun to retry. Order: `end` follows once."""
        self.under_way += 1

    def end(self) -> None:
        """A call that retried has ended."""
        self.under_way -= 1


class Hedging:
    """Whether an attempt that takes long may get another beside it: of so many calls of a model one, never more.

    What is saved is kept for a burst of up to `HEDGES_SAVED_MAX`; nothing is there at the start.
    Units: `delay_us` microseconds without a first byte.
    Source: gRFC A6, hedging; Envoy's retry budgets (checked November 2026).
    """

    def __init__(self, delay_us: int, budget_percent: int) -> None:
        self.delay_us = delay_us
        self._percent = budget_percent
        self._saved = 0

    def save(self) -> None:
        """A call of the model begins."""
        self._saved = min(self._saved + self._percent, HEDGES_SAVED_MAX * 100)

    @property
    def affords(self) -> bool:
        """Whether one more may begin."""
        return self._saved >= 100

    def spend(self) -> None:
        """One begins. Order: after `affords`."""
        self._saved -= 100


class Routes:
    """The frozen table of one configuration. Swapped whole on reload."""

    def __init__(self, router: Router, plans: Sequence[Plan], created_s: int) -> None:
        self._router = router
        self.plans = tuple(plans)
        self.created_s = created_s

    def find(self, model: str) -> Plan | None:
        """The plan for a model's name, alias, wildcard or the default."""
        index = self._router.match(model)
        return None if index < 0 else self.plans[index]

    def plan(self, model: str) -> Plan:
        """The same. Errors: ModelNotFound."""
        plan = self.find(model)
        if plan is None:
            raise ModelNotFound(f"model: no model is named {model[:200]!r} here", param="model")
        return plan


def candidates(
    plan: Plan, headers: Sequence[tuple[bytes, bytes]], random: int, now_us: int
) -> tuple[Target, ...]:
    """The plan's deployments in the order they are to be tried; those that are out come last.

    Shape: `random` is 64 random bits, which decide among equals by weight.
    Errors: ModelNotFound where none is for requests with these headers.
    """
    targets = plan.targets
    if plan.sole:
        return targets
    eligible = matching(plan, headers)
    if not eligible:
        raise ModelNotFound(
            "model: none of its deployments is for requests with these headers", param="model"
        )
    order = plan.choice.order(random, eligible, now_us, None, 0, 0, False)
    return tuple([targets[index] for index in order])


def serving(order: tuple[Target, ...], path: str, *, counts: bool) -> tuple[Target, ...]:
    """Those of an order who have an endpoint, by its path. `counts` says that where nobody does, kpgate answers.

    Errors: InvalidRequest where nobody does.
    """
    found = tuple([one for one in order if path in one.ways])
    if not (found or counts):
        raise unserved(order[0].home, path)
    return found or order


def without(
    order: tuple[Target, ...], target: Target, tries: int, failed: GatewayError
) -> tuple[Target, ...]:
    """What is left of an order where one cannot be asked what the call asks.

    Errors: `failed`, which is what the call goes on from, where nobody else is left to be asked.
    """
    rest = tuple([one for one in order if one is not target])
    if not rest or (failed.fault is Fault.CALLER and tries >= len(rest)):
        raise failed
    return rest


def unaskable(target: Target, path: str, call: Call, body: bytes) -> str:
    """What a call of an endpoint asks that a target's API has nothing for, empty where it can be asked all of it."""
    dropped = call.dropped
    try:
        target.way(path).forward(body, call, target.model, 0)
    except GatewayError as error:
        return error.message
    finally:
        call.dropped = dropped
    return ""


def unserved(model: str, path: str) -> InvalidRequest:
    """What it is called that a model is not asked for by such an endpoint."""
    return InvalidRequest(f"model: {model} is not served on {path}", param="model")


def matching(plan: Plan, headers: Sequence[tuple[bytes, bytes]]) -> int:
    """The mask of the targets that are for requests with these headers."""
    if not plan.matched:
        return plan.everyone
    eligible = 0
    sent: set[tuple[bytes, bytes]] = set(headers)
    for index, target in enumerate(plan.targets):
        if not target.match or sent.issuperset(target.match):
            eligible |= BIT << index
    return eligible
