"""The demo's settings: the built-in `echo` model beside whatever is configured."""

from msgspec.structs import replace

from kpgate.domain.settings import Deployment, Model, Prices, Provider, Settings

NAME = "echo"
PRICE = Prices(input=2.5, output=10.0)


def with_echo(settings: Settings) -> Settings:
    """The same settings with the `echo` model, where they have none of that name; alone, it is paid for."""
    if any(NAME in (model.name, *model.aliases) for model in settings.models):
        return settings
    provider = next((one for one in settings.providers if one.dialect == "echo"), None)
    providers = settings.providers
    if provider is None:
        provider = Provider(name=NAME, dialect="echo")
        providers = (*providers, provider)
    model = Model(name=NAME, deployments=(Deployment(provider=provider.name, model=NAME),), price=PRICE)
    # Whoever configured models has decided whether calls cost anything.
    ledger = settings.ledger if settings.models else replace(settings.ledger, enabled=True)
    models = (*settings.models, model)
    return replace(settings, providers=providers, models=models, ledger=ledger)
