"""What calls cost now, as management shows it."""

import msgspec

from kpgate.domain.management import Answer
from kpgate.domain.price import Price, terms_hash
from kpgate.services.route import Routes


def show_prices(routes: Routes) -> Answer:
    """What calls cost now: a row for each deployment of each model. Units: microKPT for a million tokens."""
    rows = []
    for plan in routes.plans:
        for target in plan.targets:
            row = {"model": plan.name, "provider": target.provider, "deployment": target.model}
            source = target.price_source or None
            rows.append({**row, **_shown(target.price, target.price_version), "source": source})
    return {"prices": rows}


def _shown(price: Price | None, version: int) -> Answer:
    """Shape: nothing where calls cost nothing; the hash is what a receipt says as `price_sha256`."""
    if price is None:
        return {"price": None, "version": None, "sha256": None, "shares": []}
    kinds = msgspec.to_builtins(price)
    shares = kinds.pop("shares")
    return {"price": kinds, "version": version, "sha256": terms_hash(price.terms), "shares": shares}
