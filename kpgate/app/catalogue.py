"""The catalogue's rows, read from files: those that kpgate brings, a file a vendor, and the operator's own.

A vendor's file is read when the first of its models is looked for, and once a process. It knows nothing of where the
rows are used.
"""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

import kpgate
from kpgate.domain.catalog import Catalog, Currency, ModelFacts, by_name

SHIPPED = Path(kpgate.__file__).parent / "catalogue"

Rows = tuple[ModelFacts, ...]


class CatalogueUnreadable(Exception):
    """A file of rows cannot be used. Its message says which one, where and why."""


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of rows. Shape: what the file says at its head holds for those rows that do not say it themselves."""

    models: Rows = ()
    vendor: str = ""
    source: str = ""
    checked: str = ""
    currency: Currency = "USD"


def parse(text: str, name: str) -> Rows:
    """The rows of a file. Shape: each has its vendor, source and month. Order: the file's.

    Errors: CatalogueUnreadable.
    """
    try:
        raw = tomllib.loads(text)
        found = msgspec.convert(raw, File)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise CatalogueUnreadable(f"{name}: not TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise CatalogueUnreadable(f"{name}: {_where(error, raw)}") from None
    rows = []
    for row, written in zip(found.models, raw.get("models", ()), strict=True):
        vendor = row.vendor or found.vendor
        if not vendor:
            raise CatalogueUnreadable(f"{name}: {row.name}: vendor: missing, and the file names none")
        said: dict[str, Any] = {"source": row.source or found.source, "checked": row.checked or found.checked}
        if row.price is not None and "currency" not in written["price"]:
            said["price"] = replace(row.price, currency=found.currency)
        rows.append(replace(row, vendor=vendor, **said))
    return tuple(rows)


def _where(error: msgspec.ValidationError, raw: dict[str, Any]) -> str:
    """A problem with the name of the model it is in."""
    sentence, _, path = str(error).partition(" - at ")
    path = path.strip("`").removeprefix("$.")
    if path.startswith("models["):
        number, _, rest = path.removeprefix("models[").partition("]")
        row = raw["models"][int(number)]
        name = row.get("name") if isinstance(row, dict) else None
        path = f"{name or 'model ' + number}: {rest.removeprefix('.')}".removesuffix(": ")
    return f"{path}: {sentence[:1].lower()}{sentence[1:]}" if path else sentence


def vendors() -> list[str]:
    """The vendors that kpgate brings rows of."""
    return sorted(one.stem for one in SHIPPED.glob("*.toml"))


@cache
def shipped(vendor: str) -> Rows:
    """What kpgate brings of a vendor; nothing of one that it does not know."""
    page = SHIPPED / f"{vendor}.toml"
    if not vendor or not page.is_file():
        return ()
    return parse(
        f'vendor = "{vendor}"\n' + page.read_text(encoding="utf-8"), f"kpgate/catalogue/{vendor}.toml"
    )


def read_own(path: Path) -> Rows:
    """The operator's own rows.

    Errors: CatalogueUnreadable.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise CatalogueUnreadable(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CatalogueUnreadable(f"{path} is not UTF-8 text") from None
    return parse(text, str(path))


class Shelf:
    """Every row in force: the operator's own before those that kpgate brings.

    Shape: `own` may be of vendors that kpgate does not know, as a provider's name.
    """

    def __init__(self, own: Iterable[ModelFacts] = ()) -> None:
        self._own: dict[str, list[ModelFacts]] = {}
        for row in own:
            self._own.setdefault(row.vendor, []).append(row)
        self.catalog = Catalog(self.rows)

    @property
    def vendors(self) -> list[str]:
        """Every vendor with rows."""
        return sorted({*vendors(), *self._own})

    def rows(self, vendor: str) -> list[ModelFacts]:
        """A vendor's rows, each name once. Order: by name."""
        kept = by_name([*shipped(vendor), *self._own.get(vendor, ())])
        return sorted({row.name: row for row in kept.values()}.values(), key=lambda row: row.name)

    def facts(self, provider: str, vendor: str, model: str) -> ModelFacts | None:
        """What is known of a model at a provider: by the operator's rows of that provider, else by its vendor's."""
        own = self.catalog.find(provider, model) if provider in self._own else None
        return own or self.catalog.find(vendor, model)


def open_shelf(file: str | None, read: Callable[[Path], Rows] = read_own) -> Shelf:
    """The rows in force with a file of the operator's own, where there is one.

    Errors: CatalogueUnreadable.
    """
    return Shelf(read(Path(file)) if file else ())


def origin(facts: ModelFacts) -> str:
    """Where a row comes from, in words: `catalogue openai, 2026-11, https://...`."""
    return "catalogue " + ", ".join(part for part in (facts.vendor, facts.checked, facts.source) if part)


def price_table(facts: ModelFacts, known: Mapping[str, Any]) -> dict[str, Any] | None:
    """A row's price as a table of the configuration; None where it has none, or gives output away.

    Shape: `known` are the kinds that such a table may have.
    """
    rates = facts.price
    if rates is None or not rates.input:
        return None
    if rates.output is None and facts.kind not in ("embedding", "rerank", "moderation"):
        return None
    table = {name: value for name, value in msgspec.structs.asdict(rates).items() if value is not None}
    return {name: value for name, value in table.items() if name in known} | {"source": origin(facts)}
