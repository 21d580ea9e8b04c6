"""What must hold between the settings about who answers: models that have others as candidates, rules, strategies."""

import re
from collections.abc import Callable

from kpgate.app.config_checks import Draft, Say
from kpgate.app.settings_tree import Path, did_you_mean
from kpgate.domain.rules import RuleError, compile_rule
from kpgate.domain.settings import Model, Provider

CANDIDATES_MAX = 64
STICKY = re.compile(r"header:[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}|metadata:.{1,100}|user|key|first_turn")
UNKNOWN_STICKY = "expected header:NAME, metadata:KEY, user, key or first_turn"


def check_routing(draft: Draft, report: Say, warn: Say) -> None:
    """Apply every rule; a problem is reported at the path where it is to be mended."""
    models = dict(draft.each(Model))
    by_name = {model.name: model for model in models.values()}
    for path, provider in draft.each(Provider):
        if provider.api_key is not None and provider.api_keys:
            report((*path, "api_keys"), "instead of api_key, not beside it")
        if len(set(provider.api_keys)) < len(provider.api_keys):
            report((*path, "api_keys"), "has one of them twice")
    for path, model in models.items():
        for rule in RULES:
            rule(draft, by_name, (path, model), report, warn)


Models = dict[str, Model]
Placed = tuple[Path, Model]


def _check_sources(draft: Draft, models: Models, placed: Placed, report: Say, warn: Say) -> None:
    """Its deployments, or other models'; at most as many as can be chosen among."""
    path, model = placed
    if bool(model.deployments) == bool(model.candidates):
        report((*path, "deployments"), "expected deployments of its own, or candidates: one of the two")
    if model.candidates and (model.price is not None or model.free):
        report((*path, "price" if model.price else "free"), "each of its candidates has its own price")
    for field in ("candidates", "fallbacks"):
        for place, name in enumerate(getattr(model, field)):
            _check_source(models, model, ((*path, field, place), name), report, warn)
    counts = {part.name: max(1, len(part.api_keys)) for _, part in draft.each(Provider)}
    named = [models[name] for name in (*model.candidates, *model.fallbacks) if name in models]
    total = sum(counts.get(one.provider, 1) for source in (model, *named) for one in source.deployments)
    if total > CANDIDATES_MAX:
        report(
            (*path, "deployments"),
            f"{total} deployments, each credential of a provider counted: at most {CANDIDATES_MAX}",
        )


def _check_source(models: Models, model: Model, at: tuple[Path, str], report: Say, warn: Say) -> None:
    path, name = at
    source = models.get(name)
    if source is None:
        report(path, f'no model is named "{name}"{did_you_mean(name, models)}')
    elif source is model:
        report(path, "is the model itself")
    elif source.candidates:
        report(path, f'"{name}" has candidates itself: name these instead')
    elif source.holding_min_kpt > model.holding_min_kpt:
        report(
            path, f'"{name}" asks for a holding: holding_min_kpt must be {source.holding_min_kpt} here, too'
        )
    elif source.limits.problems() == [] and any(
        value is not None
        for value in (source.limits.requests, source.limits.tokens, source.limits.concurrency)
    ):
        warn(path, f'the limits of "{name}" do not count these calls: those of its deployments do')


def _check_language(draft: Draft, models: Models, placed: Placed, report: Say, warn: Say) -> None:
    """Rules can be read, and what they use is there."""
    path, model = placed
    sources = [model, *[models[name] for name in (*model.candidates, *model.fallbacks) if name in models]]
    known = {source.name for source in sources}
    for source in sources:
        for one in source.deployments:
            known |= {one.provider, f"{one.provider}/{one.model}"}
    for place, rule in enumerate(model.rules):
        at = (*path, "rules", place)
        try:
            compile_rule(rule.when)
        except RuleError as error:
            report((*at, "when"), str(error))
        for number, name in enumerate(rule.use):
            if name not in known:
                report((*at, "use", number), f'"{name}" is none of its candidates{did_you_mean(name, known)}')
    if model.sticky and not STICKY.fullmatch(model.sticky):
        report((*path, "sticky"), UNKNOWN_STICKY)


def _check_costs(draft: Draft, models: Models, placed: Placed, report: Say, warn: Say) -> None:
    """What is chosen by cost has a price."""
    path, model = placed
    routes = {model.route, *(rule.route for rule in model.rules)}
    capped = model.max_cost_microkpt is not None or any(
        rule.max_cost_microkpt is not None for rule in model.rules
    )
    if "cost" not in routes and not capped:
        return
    named = [models[name] for name in (*model.candidates, *model.fallbacks) if name in models]
    for source in (model, *named):
        for one in source.deployments:
            if not source.free and source.price is None and one.price is None:
                report(
                    (*path, "route"),
                    f"is by cost, or capped: {one.provider}/{one.model} of {source.name} has no price",
                )
                return


def _check_canaries(draft: Draft, models: Models, placed: Placed, report: Say, warn: Say) -> None:
    path, model = placed
    if model.deployments and all(one.canary_percent for one in model.deployments):
        report((*path, "deployments"), "are canaries all: one of them must be what is tried against")


def _check_hedges(draft: Draft, models: Models, placed: Placed, report: Say, warn: Say) -> None:
    """There is another deployment to begin at."""
    path, model = placed
    named = [models[name] for name in (*model.candidates, *model.fallbacks) if name in models]
    if model.hedge is not None and sum(len(one.deployments) for one in (model, *named)) < 2:
        warn(
            (*path, "hedge"), "does nothing: there is no second deployment, candidate or fallback to begin at"
        )


def _check_shadows(draft: Draft, models: Models, placed: Placed, report: Say, warn: Say) -> None:
    """There is such a model."""
    path, model = placed
    if model.shadow is not None and model.shadow.model not in models:
        name = model.shadow.model
        report((*path, "shadow", "model"), f'no model is named "{name}"{did_you_mean(name, models)}')


def _check_output(draft: Draft, models: Models, placed: Placed, report: Say, warn: Say) -> None:
    path, model = placed
    if model.output.repair and not model.output.validate:
        report((*path, "output", "repair"), "needs validate = true: else nothing is looked at")


RULES: tuple[Callable[[Draft, Models, Placed, Say, Say], None], ...] = (
    _check_sources,
    _check_language,
    _check_costs,
    _check_canaries,
    _check_hedges,
    _check_shadows,
    _check_output,
)
