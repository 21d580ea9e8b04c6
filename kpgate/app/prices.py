"""Prices as an operator writes them, made into prices as calls are charged by them."""

from kpgate.domain.price import (
    MICROKPT,
    PER,
    PRICE_MAX,
    UNIT_MAX,
    WHOLE,
    Price,
    Share,
    read_price,
)
from kpgate.domain.price_step import LongPrice, fill
from kpgate.domain.settings import Deployment, Ledger, Model, Prices
from kpgate.domain.usage import KINDS

LONG_KINDS = tuple(f"long_{kind}" for kind in KINDS)


def price(written: Prices, ledger: Ledger) -> Price:
    """The price that a table of the configuration amounts to.

    Errors: ValueError, as `field: what is wrong`.
    """
    found: dict[str, int] = {}
    for field in (*KINDS, "request", "unit", *LONG_KINDS):
        value = getattr(written, field)
        if value is None:
            continue
        microkpt = MICROKPT * (ledger.kpt_per_usd if written.currency == "USD" else 1)
        # What is written for one unit is kept for a million of them, as prices of tokens are.
        scale, most = (PER, UNIT_MAX) if field == "unit" else (1, PRICE_MAX)
        try:
            found[field] = read_price(value, microkpt * scale, ledger.markup_basis_points, most)
        except ValueError as error:
            raise ValueError(f"{field}: {error}") from None
    for field, whole in (
        ("input", None),
        ("output", None),
        ("cached", "input"),
        ("cache_write", "input"),
        ("cache_write_long", "cache_write"),
        ("audio_input", "input"),
        ("image", "input"),
        ("reasoning", "output"),
        ("audio_output", "output"),
    ):
        found.setdefault(field, found[whole] if whole else 0)
    long = {name.removeprefix("long_"): found.pop(name) for name in LONG_KINDS if name in found}
    shares = tuple(Share(one.party, one.basis_points) for one in written.shares)
    short = Price(**found, shares=shares)
    if written.long_above is None or "input" not in long:
        return short
    return fill(short, written.long_above, long)


def problems(written: Prices, ledger: Ledger) -> list[str]:
    """What is wrong with a table of prices, each as `field: what`."""
    try:
        found = price(written, ledger)
    except ValueError as error:
        return [str(error)]
    said = _step_problems(written, found)
    if not found.input and (found.output or not (found.unit or found.request)):
        said.append("input: a price of 0 needs `free = true` at the model instead")
    if written.output is not None and not found.output:
        said.append("output: a price of 0 gives output away; leave it out where a model only embeds")
    if sum(one.basis_points for one in found.shares) > WHOLE:
        said.append("shares: come to more than the whole charge")
    if len({one.party for one in found.shares}) < len(found.shares):
        said.append("shares: a party is named twice")
    return said


def _step_problems(written: Prices, found: Price) -> list[str]:
    """What is wrong with what long prompts cost."""
    named = [name for name in LONG_KINDS if getattr(written, name) is not None]
    if written.long_above is None:
        return [f"{name}: needs `long_above`, the prompt tokens above which it holds" for name in named]
    if written.long_input is None:
        return ["long_above: needs `long_input`, what prompt tokens cost above it"]
    if not isinstance(found, LongPrice):
        return []
    said = []
    for name, short, long in (
        ("long_input", found.input, found.long_input),
        ("long_output", found.output, found.long_output),
    ):
        if short and not long:
            said.append(f"{name}: a price of 0 gives long calls away")
        elif long and not short:
            said.append(f"{name}: needs `{name.removeprefix('long_')}`, the price of shorter calls")
    return said


def price_of(model: Model, deployment: Deployment, ledger: Ledger) -> Price | None:
    """The price of a deployment of a model; None where calls cost nothing.

    Errors: ValueError for prices that `problems` tells of.
    """
    written = deployment.price or model.price
    return None if model.free or written is None or not ledger.enabled else price(written, ledger)


def rates_of(model: Model, deployment: Deployment, ledger: Ledger) -> Price | None:
    """What a deployment of a model is said to cost, where nobody is charged for it: to choose by."""
    if model.free:
        return Price(0, 0, 0, 0, 0, 0, 0)
    written = deployment.price or model.price
    return None if written is None else price(written, ledger)


def price_names(models: tuple[Model, ...], ledger: Ledger) -> list[str]:
    """The spelling of every price in force: each is given its version by it."""
    found = [price_of(model, one, ledger) for model in models for one in model.deployments]
    return list(dict.fromkeys(one.terms for one in found if one is not None))
