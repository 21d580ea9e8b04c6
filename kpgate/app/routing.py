"""From models as configured to plans: their targets, one a credential, and how these are chosen among.

It opens no connection. What stands in the region is kept by name: the same upstream is the same over reloads.
"""

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

from kpgate._fast import choice
from kpgate._fast.choice import Choice
from kpgate._fast.commit import DEPLOYMENT, MODEL
from kpgate._fast.pulse import Pulse, Pulses, Rules
from kpgate.app.prices import price_of, rates_of
from kpgate.app.ways import Ways
from kpgate.domain.catalog import ModelFacts
from kpgate.domain.encodings import CALIBRATED, EXACT, encoding_for_model
from kpgate.domain.price import MICROKPT, Price
from kpgate.domain.price_step import LongPrice, tariff
from kpgate.domain.rules import compile_rule
from kpgate.domain.settings import Deployment, Model, Provider, Settings, Timeouts, full_name
from kpgate.proof import Proof
from kpgate.services.admit import gate
from kpgate.services.choose import Ability, Chooser, Ruling, Terms
from kpgate.services.route import Hedging, Plan, Target
from kpgate.services.schemas import Schemas
from kpgate.shadow import Mirror

Numbers = Mapping[tuple[str, str], int]
Candidate = tuple[Pulse, Pulse | None, int, int, int, int, int, int, int, int, int, int, int]
UNKNOWN = ModelFacts(name="-", source="https://kpgate.invalid/", checked="2026-11")
"""Of a model that nobody knows: nothing."""
OWN = "kpgate"
"""Who owns a model that has none but others' deployments."""
FALLBACK_STEP = 1000
"""No deployment's own priority is so large: each fallback comes after all before it."""
STRATEGIES = {
    "weighted": choice.WEIGHTED,
    "cost": choice.COST,
    "latency": choice.LATENCY,
    "least_busy": choice.LEAST_BUSY,
}


def upstream_names(settings: Settings) -> list[str]:
    """What each upstream is numbered by: a model at a provider by one credential; and each of several credentials."""
    found = []
    keys = {one.name: len(one.api_keys) for one in settings.providers}
    for model in settings.models:
        for deployment in model.deployments:
            count = keys.get(deployment.provider, 0)
            found += [_upstream(deployment, place) for place in range(max(1, count))]
    found += [_credential(name, place) for name, count in keys.items() for place in range(count)]
    return list(dict.fromkeys(found))


def _upstream(deployment: Deployment, place: int) -> str:
    by = f"#{place}" if place else ""
    return f"{deployment.provider}{by}/{deployment.model}"


def _credential(provider: str, place: int) -> str:
    return f"{provider}#{place}"


class Maker:
    """Makes the plans of one configuration.

    Shape: `pool` gives the connections to a provider, `vocabulary` what counts by an encoding, `facts` what is known
    of a model there.
    """

    def __init__(  # house: parameters - what plans are made of, each from somewhere else
        self,
        settings: Settings,
        numbers: Numbers,
        rules: Rules,
        *,
        ways: Ways,
        pulses: Pulses,
        pool: Callable[[Provider, Timeouts], Any],
        vocabulary: Callable[[str], Any],
        facts: Callable[[Provider, Deployment], ModelFacts | None] = lambda provider, deployment: None,
    ) -> None:
        self._settings = settings
        self._numbers = numbers
        self._rules = rules
        self._ways = ways
        self._pulses = pulses
        self._pool = pool
        self._vocabulary = vocabulary
        self._providers = {one.name: one for one in settings.providers}
        self._models = {one.name: one for one in settings.models}
        self._deployments = {
            numbers["deployment", full_name(model.name, one)]: one
            for model in settings.models
            for one in model.deployments
        }
        self._made: dict[str, tuple[Target, ...]] = {}
        self._facts = facts
        self._schemas = Schemas()

    def plans(self) -> list[Plan]:
        """A plan for each model, in the order of the configuration.

        Errors: ReferenceFailed for a secret that is not there.
        """
        plans = [self._plan(model) for model in self._settings.models]
        by_name = {plan.name: plan for plan in plans}
        for model, plan in zip(self._settings.models, plans, strict=True):
            if model.shadow is not None:
                plan.mirror = Mirror(plan.name, by_name[model.shadow.model], model.shadow)
        return plans

    def _plan(self, model: Model) -> Plan:
        settings, number = self._settings, self._numbers["model", model.name]
        sources = [self._models[name] for name in model.candidates] or [model]
        others = [self._models[name] for name in model.fallbacks]
        targets = tuple(target for source in (*sources, *others) for target in self._targets(source))
        prices = [target.price for target in targets if target.price is not None]
        encoding, grade = self._encoding(model, [*sources, *others])
        candidates = self._candidates(targets, set(model.fallbacks))
        plan = Plan(
            number=number,
            name=model.name,
            gate=gate(MODEL, number, model.limits),
            targets=targets,
            choice=Choice(candidates, self._rules, STRATEGIES[model.route], bool(model.sticky)),
            peers=tuple(target.pulse for target in targets),
            vocabulary=self._vocabulary(encoding) if settings.tokens.count else None,
            grade=grade,
            output_cap=max(self._output_cap(source) for source in (*sources, *others)),
            output_max=self._output_max(sources, others),
            owner=targets[0].provider if not model.candidates else OWN,
            everyone=(1 << len(targets)) - 1,
            matched=any(target.match for target in targets),
            gates=tuple(target.gate for target in targets),
            tariff=tariff(prices, estimated=grade != EXACT) if prices else None,
            holding_min=model.holding_min_kpt * MICROKPT,
            chooses=_chooses(model),
            wild="*" in model.name,
            hedging=Hedging(_us(model.hedge.delay_s), model.hedge.budget_percent) if model.hedge else None,
            proof=Proof(self._schemas, model.output.repair) if model.output.validate else None,
        )
        plan.chooser = Chooser(self._terms(model, targets, candidates))
        plan.chooser.plan = plan
        return plan

    def _encoding(self, model: Model, sources: list[Model]) -> tuple[str, str]:
        """What counts a model's prompts. Where candidates differ the count is an estimate for some of them."""
        found = [
            encoding_for_model(source.encoding or one.model)
            for source in sources
            for one in source.deployments
        ]
        first = encoding_for_model(model.encoding) if model.encoding else found[0]
        return first if len(sources) == 1 or set(found) == {first} else (first[0], CALIBRATED)

    def _terms(self, model: Model, targets: tuple[Target, ...], candidates: list[Candidate]) -> Terms:
        own = sum(1 << place for place, one in enumerate(targets) if one.home not in model.fallbacks)
        rulings = []
        for place, rule in enumerate(model.rules, 1):
            named = set(rule.use)
            mask = sum(1 << at for at, target in enumerate(targets) if not named or named & _names_of(target))
            route = None
            if rule.route is not None:
                route = Choice(candidates, self._rules, STRATEGIES[rule.route], bool(model.sticky))
            cost_max = -1 if rule.max_cost_microkpt is None else rule.max_cost_microkpt
            test = compile_rule(rule.when).test
            rulings.append(Ruling(rule.name or str(place), test, mask, route, rule.route or "", cost_max))
        kind, _, name = model.sticky.partition(":")
        # The cheapest comes first, whatever the priorities among its own are.
        level = [(*one[:2], 0 if own >> place & 1 else 1, *one[3:]) for place, one in enumerate(candidates)]
        routes = {model.route, *(rule.route for rule in model.rules)}
        return Terms(
            route=model.route,
            own=own,
            by_cost=Choice(level, self._rules, choice.COST),
            abilities=tuple(
                self._ability(home, targets) for home in dict.fromkeys(one.home for one in targets)
            ),
            rulings=tuple(rulings),
            sticky=(kind, name.lower() if kind == "header" else name),
            filters=bool(model.candidates or model.fallbacks),
            priced=all(one.rates is not None for one in targets),
            tracked=bool(routes & {"latency", "least_busy"}),
            cost_max=-1 if model.max_cost_microkpt is None else model.max_cost_microkpt,
            retries_max=self._settings.retries.max,
        )

    def _ability(self, home: str, targets: tuple[Target, ...]) -> Ability:
        """What a model can do: as the operator says, else as the catalogue has it for its first deployment."""
        model = self._models[home]
        can, first = model.can, model.deployments[0]
        known = self._facts(self._providers[first.provider], first) or UNKNOWN
        return Ability(
            mask=sum(1 << place for place, one in enumerate(targets) if one.home == home),
            home=home,
            context_tokens=can.context_tokens if can.context_tokens is not None else known.context_window,
            vision=can.vision if can.vision is not None else known.vision,
            tools=can.tools if can.tools is not None else known.tools,
            json_schema=can.json_schema if can.json_schema is not None else known.json_schema,
            reasoning=can.reasoning if can.reasoning is not None else known.reasoning,
            output_cap=self._output_cap(model),
        )

    def _output_cap(self, model: Model) -> int:
        """What a call that says no cap is given."""
        default = self._settings.tokens.output_default
        return model.output_tokens_max or min(_most(self._targets(model)) or default, default)

    def _output_max(self, sources: list[Model], others: list[Model]) -> int:
        """The most that a call may ask for; 0 where that is not known of all who may answer."""
        caps = [one.output_tokens_max or _most(self._targets(one)) for one in (*sources, *others)]
        return max(caps) if all(caps) else 0

    def _candidates(self, targets: tuple[Target, ...], fallbacks: set[str]) -> list[Candidate]:
        """The targets as they are put in order. Order: targets of one deployment follow each other."""
        found: list[Candidate] = []
        firsts: dict[int, int] = {}
        steps = {
            name: step
            for step, name in enumerate(
                dict.fromkeys(one.home for one in targets if one.home in fallbacks), 1
            )
        }
        for place, target in enumerate(targets):
            one = self._deployments[target.number]
            found.append(
                (
                    target.pulse,
                    target.key,
                    one.priority + steps.get(target.home, 0) * FALLBACK_STEP,
                    one.weight,
                    round(one.canary_percent * 100),
                    firsts.setdefault(target.number, place),
                    _identity(full_name(target.home, one)),
                    *_costs(target.rates),
                )
            )
        return found

    def _targets(self, model: Model) -> tuple[Target, ...]:
        """A model's own targets. They are the same in every plan that has them."""
        if model.name not in self._made:
            self._made[model.name] = tuple(
                self._target(model, deployment, place)
                for deployment in model.deployments
                for place in range(max(1, len(self._providers[deployment.provider].api_keys)))
            )
        return self._made[model.name]

    def _target(self, model: Model, deployment: Deployment, place: int) -> Target:
        provider = self._providers[deployment.provider]
        number = self._numbers["deployment", full_name(model.name, deployment)]
        price = price_of(model, deployment, self._settings.ledger)
        written = deployment.price or model.price
        timeouts = deployment.timeouts or provider.timeouts
        keys = provider.api_keys
        return Target(
            number=number,
            home=model.name,
            provider=provider.name,
            model=deployment.model,
            gate=gate(DEPLOYMENT, number, deployment.limits),
            pool=self._pool(provider, timeouts),
            ways=self._ways.of(provider, deployment.model, keys[place] if keys else None),
            pulse=self._pulses.of(self._numbers["upstream", _upstream(deployment, place)]),
            key=self._pulses.of(self._numbers["upstream", _credential(provider.name, place)])
            if keys
            else None,
            connect_us=_us(timeouts.connect_s),
            first_byte_us=_us(timeouts.first_byte_s),
            idle_us=_us(timeouts.idle_s),
            total_us=_us(timeouts.total_s),
            match=tuple((key.lower().encode(), value.encode()) for key, value in deployment.match.items()),
            price=price,
            rates=price or rates_of(model, deployment, self._settings.ledger),
            price_version=self._numbers["price", price.terms] if price is not None else 0,
            price_source=written.source if price is not None and written is not None else "",
            facts=self._facts(provider, deployment),
        )


def _costs(price: Price | None) -> tuple[int, int, int, int, int, int]:
    """What is looked at of a price to choose by. Where there is no step, both are the same."""
    if price is None:
        return 0, 0, 0, 0, 0, 0
    above = price.long_above if isinstance(price, LongPrice) else 0
    long = price.at(above + 1)
    return price.input, price.output, price.request, above, long.input, long.output


def _chooses(model: Model) -> bool:
    """Whether every call of a model is to be decided one by one."""
    plain = model.route == "weighted" and not model.sticky and model.max_cost_microkpt is None
    others = model.candidates or model.fallbacks or model.rules
    return not plain or bool(others) or any(one.canary_percent for one in model.deployments)


def _names_of(target: Target) -> set[str]:
    """What a rule may call a target."""
    return {target.home, target.provider, f"{target.provider}/{target.model}"}


def _most(targets: tuple[Target, ...]) -> int:
    """The most output that any of the targets gives; 0 where that is not known of all of them."""
    caps = [target.facts.output_tokens_max if target.facts is not None else None for target in targets]
    return max((cap or 0 for cap in caps), default=0) if all(caps) else 0


def _identity(name: str) -> int:
    """64 bits that are a deployment's in every process and configuration."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")


def _us(seconds: float) -> int:
    return int(seconds * 1_000_000)
