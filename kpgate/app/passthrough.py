"""The pass-through as the configuration has it: each provider that opts in is a model of its own, with one deployment.

So keys, limits, prices, credit and records know it as they know every model.
"""

from msgspec.structs import replace

from kpgate.app.config_checks import Draft, Say
from kpgate.domain.settings import Deployment, Ledger, Model, Prices, Provider, Settings
from kpgate.domain.surface import ANYTHING, name_of

NOT_SIGNED = ("echo", "bedrock")
"""Dialects whose providers take no credential as a header."""


def with_passthrough(settings: Settings) -> Settings:
    """Settings with a model for each provider whose other paths may be asked for."""
    opened = tuple(_model(one) for one in settings.providers if one.passthrough is not None)
    return replace(settings, models=settings.models + opened) if opened else settings


def _model(provider: Provider) -> Model:
    asked = provider.passthrough
    assert asked is not None, "it was asked for"
    return Model(
        name=name_of(provider.name),
        deployments=(Deployment(provider=provider.name, model=ANYTHING),),
        limits=asked.limits,
        price=None if not asked.request else Prices(request=asked.request, currency=asked.currency),
        free=asked.free,
    )


def check_passthrough(draft: Draft, report: Say, warn: Say) -> None:
    """What is let through has a price where calls cost something, and a name that no model has."""
    ledger = next((part for _, part in draft.each(Ledger)), Ledger())
    taken = set(draft.model_names.values())
    for path, provider in draft.each(Provider):
        asked, at = provider.passthrough, (*path, "passthrough")
        if asked is None:
            continue
        if provider.dialect in NOT_SIGNED:
            report(at, f"is not there for the dialect {provider.dialect}")
        if name_of(provider.name) in taken:
            report(at, f'a model or alias is named "{name_of(provider.name)}", which is what it is called')
        if asked.free and asked.request is not None:
            report((*at, "free"), "has a price as well: take one of the two away")
        elif not asked.free and asked.request == 0:
            report((*at, "request"), "a price of 0 needs `free = true` instead")
        elif ledger.enabled and not asked.free and asked.request is None:
            report((*at, "request"), "missing: with [ledger] enabled a call has a price, or `free = true`")
        if not asked.paths:
            report((*at, "paths"), "none may be asked for: leave the table out")
