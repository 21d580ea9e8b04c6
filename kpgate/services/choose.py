"""ROUTE, where it is more than an order of deployments: rules, what a call asks for, what it may cost, whom a session
belongs to. One decision a call; `explain` tells whoever asks by the same code.

Calls nobody. A model that uses none of this has no decision, and pays for none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b

from kpgate._fast.choice import Choice, Size
from kpgate._fast.pulse import Pulse
from kpgate.domain.call import Call, Record
from kpgate.domain.caller import Caller
from kpgate.domain.conditions import Condition
from kpgate.domain.dialect import Endpoint, Way
from kpgate.domain.encodings import EXACT
from kpgate.domain.errors import (
    ContentFiltered,
    GatewayError,
    InvalidRequest,
    MaxCostExceeded,
    ModelNotFound,
    NoCapableModel,
    UpstreamFailed,
)
from kpgate.domain.filtering import Watch, is_filtered
from kpgate.domain.price import COST_HEADER, MARGIN_PERCENT, read_cost_max
from kpgate.domain.price_step import tariff
from kpgate.domain.refusals import FILTERED, TOO_LONG, refused_for
from kpgate.domain.traits import NO_TRAITS, Facts, Traits, read_chat
from kpgate.services.route import Plan, Target, matching

NARROWED_MAX = 256
NOT_FOR_HEADERS = "not for requests with these headers"

Headers = Sequence[tuple[bytes, bytes]]
Asks = Callable[[Target], bool]
"""What tells whether a target can be asked what a call asks."""


@dataclass(frozen=True)
class Ability:
    """What the candidates of one mask can do. None is not known, which counts as possible.

    Units: `context_tokens` prompt and output together; `output_cap` tokens a choice.
    """

    mask: int
    home: str
    context_tokens: int | None = None
    vision: bool | None = None
    tools: bool | None = None
    json_schema: bool | None = None
    reasoning: bool | None = None
    output_cap: int = 0


@dataclass(frozen=True)
class Ruling:
    """A rule at work. Shape: `choice` None is the model's own; `cost_max` -1 for none."""

    name: str
    test: Condition
    mask: int
    choice: Choice | None = None
    route: str = ""
    cost_max: int = -1


@dataclass
class Asked:
    """What a decision is about.

    Shape: `random` is 64 random bits; `cost_max` is the header's, None for none; `traits` are read of the body where
    they are asked for and not here yet.
    """

    caller: Caller
    call: Call
    endpoint: Endpoint
    body: bytes
    headers: Headers
    prompt_tokens: int
    random: int = 0
    cost_max: bytes | None = None
    traits: Traits | None = None

    def read(self) -> Traits:
        """What the call asks for, by its content."""
        if self.traits is not None:
            return self.traits
        if self.endpoint.neutral is None:
            return NO_TRAITS
        try:
            return read_chat(self.endpoint.neutral(self.body, self.call))
        except InvalidRequest:
            # What the neutral form cannot hold may well be understood by a provider of the same dialect.
            return NO_TRAITS


@dataclass(frozen=True)
class Terms:
    """How the calls of one model are decided.

    Shape: `own` is the mask of its own deployments, all others are fallbacks' where there are `fallbacks`; `by_cost`
    is its candidates in order of cost; `sticky` is a kind and a name; `filters` that candidates must be able to do what
    is asked.
    """

    route: str
    own: int
    by_cost: Choice
    abilities: tuple[Ability, ...]
    rulings: tuple[Ruling, ...] = ()
    sticky: tuple[str, str] = ("", "")
    filters: bool = False
    priced: bool = False
    tracked: bool = False
    cost_max: int = -1
    retries_max: int = 1


class Decision:
    """What was decided for one call: the targets in order, why, what it is expected to cost; and what is open there.

    Shape: `session` is a hash that is the same for one conversation, 0 for none.
    Units: `expected` microKPT, -1 where nothing has a price.
    """

    __slots__ = ("_open", "_skipped", "chooser", "expected", "kind", "order", "plan", "session", "why")

    def __init__(self, chooser: "Chooser", plan: Plan, order: tuple[Target, ...], kind: int) -> None:
        self.chooser = chooser
        self.plan = plan
        self.order = order
        self.kind = kind
        self.why = ""
        self.expected = -1
        self.session = 0
        self._open: Pulse | None = None
        self._skipped = ""

    def aside(self) -> "Decision":
        """The same for an attempt beside those of this one: what is open there is its own."""
        one = Decision(self.chooser, self.plan, self.order, self.kind)
        one.why, one.expected = self.why, self.expected
        return one

    def begin(self, target: Target) -> None:
        """An attempt begins. One that was before it is over."""
        if self.chooser.terms.tracked:
            self.leave()
            self._open = target.pulse
            target.pulse.opened()

    def pass_on(self, status: int, body: bytes, way: Way, target: Target, tries: int, asks: Asks) -> None:
        """Have another model asked where one refuses what that may well take: a long prompt, content it filters.

        Errors: UpstreamFailed, ContentFiltered, which are tried elsewhere.
        """
        if not self._others(target, tries):
            return
        if status < 300:
            found = FILTERED if way.tongue is not None and is_filtered(body, way.tongue) else ""
        else:
            found = refused_for(status, body)
        if found == FILTERED:
            error = self._filtered(target, tries, asks)
            if error is not None:
                raise error
        elif found == TOO_LONG and self._others(target, tries, asks):
            self._skipped = target.home
            raise UpstreamFailed(f"provider {target.provider} takes no such prompt for {target.model}")

    def watch(self, way: Way, target: Target, tries: int, call: Call, asks: Asks) -> Watch | None:
        """What watches a stream for its first word: before it another model may still be asked. None: it may not."""
        if way.tongue is None or not self._others(target, tries):
            return None
        return Watch(way.tongue, call.choices, partial(self._filtered, target, tries, asks))

    def _others(self, target: Target, tries: int, asks: Asks | None = None) -> bool:
        """Whether another model may be asked, and can be asked what the call asks."""
        if tries > self.chooser.terms.retries_max:
            return False
        return any(one.home != target.home and (asks is None or asks(one)) for one in self.order[tries:])

    def _filtered(self, target: Target, tries: int, asks: Asks) -> GatewayError | None:
        if not self._others(target, tries, asks):
            return None
        self._skipped = target.home
        return ContentFiltered(f"provider {target.provider} filters this content for {target.model}")

    def later(self, order: tuple[Target, ...], tries: int) -> tuple[Target, ...]:
        """The order from here on: after such a refusal without the deployments of the model that refused."""
        if not self._skipped:
            return order
        return order[:tries] + tuple([one for one in order[tries:] if one.home != self._skipped])

    def leave(self) -> None:
        """The attempt is over. A second time has no effect."""
        opened, self._open = self._open, None
        if opened is not None:
            opened.ended()

    def answered(self, now_us: int, began_us: int, target: Target, streamed: bool) -> None:
        """An attempt gave its first bytes."""
        if self.chooser.terms.tracked:
            target.pulse.observe(now_us, now_us - began_us, streamed)

    def close(self, record: Record, call: Call, target: Target | None) -> None:
        """The call is over: what its answer came to is remembered."""
        self.leave()
        learns = self.chooser.terms.priced and record.generates and record.error is None
        if learns and target is not None and record.usage.source == "provider":
            target.pulse.learn(self.kind, record.usage.output // call.choices)


class Chooser:
    """Decides for one model. `plan` is set once it is made."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.plan: Plan
        self._narrowed: dict[int, Plan] = {}

    def choose(self, asked: Asked, now_us: int) -> Decision:
        """Decide. Order: after the prompt was counted.

        Errors: NoCapableModel, MaxCostExceeded, ModelNotFound for headers that no deployment is for, InvalidRequest
        for a cost that is none.
        """
        view = View(self, asked)
        mask = view.narrow()
        if not mask:
            raise view.refusal()
        session = view.session()
        order = view.choice.order(
            asked.random, mask, now_us, view.size, session, asked.caller.number + 1, False
        )
        targets = self.plan.targets
        decision = Decision(
            self, self._plan_of(mask), tuple([targets[place] for place in order]), view.size.kind
        )
        if self.terms.priced:
            decision.expected = view.expected(order[0])
        if view.cost_max >= 0:
            asked.call.cost_max = view.cost_max
        decision.session, decision.why = session, view.why()
        return decision

    def _plan_of(self, mask: int) -> Plan:
        """The plan as far as these candidates go: what it may cost, how much they may say."""
        plan = self.plan
        if mask == plan.everyone:
            return plan
        kept = self._narrowed.get(mask)
        if kept is None:
            if len(self._narrowed) >= NARROWED_MAX:
                self._narrowed.clear()
            targets = [target for place, target in enumerate(plan.targets) if mask >> place & 1]
            prices = [target.price for target in targets if target.price is not None]
            caps = [one.output_cap for one in self.terms.abilities if one.mask & mask]
            kept = self._narrowed[mask] = replace(
                plan,
                tariff=tariff(prices, estimated=plan.grade != EXACT) if prices else None,
                output_cap=min(caps),
            )
        return kept


class View:
    """One look at one call."""

    def __init__(self, chooser: Chooser, asked: Asked) -> None:
        terms, call, caller = chooser.terms, asked.call, asked.caller
        self.chooser = chooser
        self.asked = asked
        self.route = terms.route
        self.choice = chooser.plan.choice
        self.rule = ""
        self.cost_max = terms.cost_max
        self.trace: list[tuple[int, str]] = []
        tier = caller.party.tier
        cap = chooser.plan.output_cap if asked.endpoint.generates else 0
        self.size = Size(
            asked.prompt_tokens,
            min(call.output_cap or cap, cap),
            call.choices,
            tier.priority,
            call.stream,
        )
        self.facts = facts = Facts(asked.headers, asked.read)
        facts.party, facts.tier, facts.key = caller.party.name, tier.name, caller.label
        facts.model, facts.prompt_tokens = call.model, asked.prompt_tokens
        facts.output_cap, facts.stream = call.output_cap, call.stream

    def narrow(self) -> int:
        """The mask of the candidates that may answer."""
        terms = self.chooser.terms
        mask = self.chooser.plan.everyone
        if self.chooser.plan.matched:
            mask &= self._drop(mask, matching(self.chooser.plan, self.asked.headers), NOT_FOR_HEADERS)
        for ruling in terms.rulings:
            if ruling.test.holds(self.facts):
                self._follow(ruling)
                mask &= self._drop(mask, ruling.mask, f"rule {ruling.name}")
                break
        if terms.filters:
            mask &= self._able(mask)
        cost_max = read_cost_max(self.asked.cost_max)
        if cost_max is not None:
            self.cost_max = cost_max if self.cost_max < 0 else min(cost_max, self.cost_max)
        if self.cost_max >= 0:
            # The cheapest that satisfies, whatever the model's own way is.
            self.choice, self.route = terms.by_cost, "cost"
            if not terms.priced:
                raise InvalidRequest(f"{COST_HEADER}: {self.asked.call.model} has no price", param="model")
            factor = self.asked.caller.party.tier.price_factor
            within = self.choice.within(mask, self.size, self.cost_max, factor)
            mask &= self._drop(mask, within, f"more than {self.cost_max} microKPT")
        return mask

    def session(self) -> int:
        """64 bits that are the call's session's, 0 where it has none or nothing is sticky."""
        kind, name = self.chooser.terms.sticky
        said = ""
        if not kind:
            return 0
        if kind == "key":
            said = self.asked.caller.key_id
        elif kind == "header":
            said = self.facts.header(name.encode())
        elif kind == "metadata":
            said = self.facts.metadata(name)
        elif kind == "user":
            said = self.facts.read().user
        elif kind == "first_turn":
            said = self.facts.read().opening
        if not said:
            return 0
        return int.from_bytes(blake2b(said.encode(), digest_size=8).digest(), "little") or 1

    def expected(self, place: int) -> int:
        """What the call is expected to cost at one of them. Units: microKPT."""
        factor = self.asked.caller.party.tier.price_factor
        return self.chooser.terms.by_cost.expected(place, self.size, factor)

    def why(self) -> str:
        """The decision in a few words, for a header."""
        said = self.route
        if self.rule:
            said = f"{said};rule={self.rule}"
        made_of = self.facts.made_of()
        if made_of:
            said = f"{said};complexity={made_of}"
        return f"{said};sticky" if self.chooser.terms.sticky[0] else said

    def refusal(self) -> GatewayError:
        """What it is called that nobody is left."""
        plan = self.chooser.plan
        reasons = []
        for place, target in enumerate(plan.targets):
            why = next((said for lost, said in self.trace if lost >> place & 1), "")
            reasons.append(f"{target.home}: {why}")
        said = "; ".join(dict.fromkeys(reasons))[:600]
        if self.cost_max >= 0 and self.trace[-1][1].endswith("microKPT"):
            return MaxCostExceeded(f"no candidate of {plan.name} is expected to cost so little: {said}")
        if self.trace[-1][1] == NOT_FOR_HEADERS:
            return ModelNotFound(
                "model: none of its deployments is for requests with these headers", param="model"
            )
        return NoCapableModel(f"no candidate of {plan.name} can answer this call: {said}", param="model")

    def _follow(self, ruling: Ruling) -> None:
        self.rule = ruling.name
        if ruling.choice is not None:
            self.choice, self.route = ruling.choice, ruling.route
        if ruling.cost_max >= 0:
            self.cost_max = ruling.cost_max if self.cost_max < 0 else min(self.cost_max, ruling.cost_max)

    def _able(self, mask: int) -> int:
        """Those that can do what the call asks for."""
        facts, plan = self.facts, self.chooser.plan
        need = self.asked.prompt_tokens
        if plan.grade != EXACT:
            need = -(-need * (100 + MARGIN_PERCENT) // 100)
        need += max(1, self.asked.call.output_cap)
        for one in self.chooser.terms.abilities:
            if not mask & one.mask:
                continue
            why = ""
            if one.context_tokens is not None and need > one.context_tokens:
                why = f"its context has {one.context_tokens} tokens, {need} are needed"
            elif one.vision is False and facts.has("images"):
                why = "it reads no images"
            elif one.tools is False and facts.has("tools"):
                why = "it has no tools"
            elif one.json_schema is False and facts.has("json_schema"):
                why = "it follows no JSON schema"
            elif one.reasoning is False and facts.has("reasoning"):
                why = "it does not reason"
            if why:
                mask = self._drop(mask, mask & ~one.mask, why)
        return mask

    def _drop(self, before: int, after: int, why: str) -> int:
        if before & ~after:
            self.trace.append((before & ~after, why))
        return after
