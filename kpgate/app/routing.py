"""From models as configured to plans: their targets, one a credential, and how these are chosen among.

It opens no connection. What stands in the region is kept by name: the same upstream is the same over reloads.
"""

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

from kpgate._fast import choice
from kpgate._fast.choice import Choice
from kpgate._fast.commit import DEPLOYMENT, MODEL
from kpgate._fast.pulse import Pulses, Rules
from kpgate.app.prices import price_of
from kpgate.app.ways import Ways
from kpgate.domain.encodings import EXACT, encoding_for_model
from kpgate.domain.price import MICROKPT, tariff
from kpgate.domain.settings import Deployment, Model, Provider, Settings, Timeouts, full_name
from kpgate.services.admit import gate
from kpgate.services.route import Plan, Target

Numbers = Mapping[tuple[str, str], int]
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

    Shape: `pool` gives the connections to a provider, `vocabulary` what counts by an encoding.
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
    ) -> None:
        self._settings = settings
        self._numbers = numbers
        self._rules = rules
        self._ways = ways
        self._pulses = pulses
        self._pool = pool
        self._vocabulary = vocabulary
        self._providers = {one.name: one for one in settings.providers}

    def plans(self) -> list[Plan]:
        """A plan for each model, in the order of the configuration.

        Errors: ReferenceFailed for a secret that is not there.
        """
        return [self._plan(model) for model in self._settings.models]

    def _plan(self, model: Model) -> Plan:
        settings, number = self._settings, self._numbers["model", model.name]
        targets = self._targets(model)
        prices = [target.price for target in targets if target.price is not None]
        encoding, grade = encoding_for_model(model.encoding or model.deployments[0].model)
        return Plan(
            number=number,
            name=model.name,
            gate=gate(MODEL, number, model.limits),
            targets=targets,
            choice=self._choice(model, targets),
            peers=tuple(target.pulse for target in targets),
            vocabulary=self._vocabulary(encoding) if settings.tokens.count else None,
            grade=grade,
            output_cap=model.output_tokens_max or settings.tokens.output_default,
            owner=targets[0].provider,
            matched=any(target.match for target in targets),
            gates=tuple(target.gate for target in targets),
            tariff=tariff(prices, estimated=grade != EXACT) if prices else None,
            holding_min=model.holding_min_kpt * MICROKPT,
        )

    def _choice(self, model: Model, targets: tuple[Target, ...]) -> Choice:
        """How its targets are put in order. Order: targets of one deployment follow each other."""
        written = {full_name(model.name, one): one for one in model.deployments}
        by_number = {self._numbers["deployment", name]: one for name, one in written.items()}
        firsts: dict[int, int] = {}
        candidates = []
        for place, target in enumerate(targets):
            one = by_number[target.number]
            price = target.price
            candidates.append(
                (
                    target.pulse,
                    target.key,
                    one.priority,
                    one.weight,
                    round(one.canary_percent * 100),
                    firsts.setdefault(target.number, place),
                    _identity(full_name(target.home, one)),
                    *((price.input, price.output, price.request) if price is not None else (0, 0, 0)),
                )
            )
        return Choice(candidates, self._rules, STRATEGIES[model.route], bool(model.sticky))

    def _targets(self, model: Model) -> tuple[Target, ...]:
        return tuple(
            self._target(model, deployment, place)
            for deployment in model.deployments
            for place in range(max(1, len(self._providers[deployment.provider].api_keys)))
        )

    def _target(self, model: Model, deployment: Deployment, place: int) -> Target:
        provider = self._providers[deployment.provider]
        number = self._numbers["deployment", full_name(model.name, deployment)]
        price = price_of(model, deployment, self._settings.ledger)
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
            key=self._pulses.of(self._numbers["upstream", _credential(provider.name, place)]) if keys else None,
            connect_us=_us(timeouts.connect_s),
            first_byte_us=_us(timeouts.first_byte_s),
            idle_us=_us(timeouts.idle_s),
            total_us=_us(timeouts.total_s),
            match=tuple((key.lower().encode(), value.encode()) for key, value in deployment.match.items()),
            price=price,
            price_version=self._numbers["price", price.terms] if price is not None else 0,
        )


def _identity(name: str) -> int:
    """64 bits that are a deployment's in every process and configuration."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")


def _us(seconds: float) -> int:
    return int(seconds * 1_000_000)
