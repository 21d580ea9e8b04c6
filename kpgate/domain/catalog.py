"""What is known of models: how much they read and write, what they can do, what their vendor charges.

Owns the form of a row and looking one up. Where rows come from is not its business: somebody reads them for it, a
vendor at a time and only once one of its models is asked for.
"""

from collections.abc import Callable, Iterable
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

Tokens = Annotated[int, Meta(ge=1, le=1 << 31)]
Amount = Annotated[float, Meta(ge=0, le=1_000_000)]
Month = Annotated[str, Meta(pattern=r"^(20\d\d-(0[1-9]|1[0-2]))?$")]
Day = Annotated[str, Meta(pattern=r"^20\d\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$")]
Words = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=300)]
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x20\x7f]+$")]
Vendor = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]*$", max_length=100)]
Modality = Literal["text", "image", "audio", "video", "file"]
Kind = Literal[
    "chat", "completion", "embedding", "rerank", "moderation", "image", "speech", "transcription", "video"
]

Currency = Literal["USD", "KPT"]

KINDS: tuple[str, ...] = get_args(Kind)


class Rates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a vendor charges. Units: `currency` for a million tokens of a kind; `request` for one call.

    Shape: a kind that is absent costs what its whole costs. `cached` and `cache_write` are prompt tokens read from
    and put into the vendor's cache, `cache_write_long` put there for longer than by default. `long_above` prompt
    tokens the `long_*` prices apply to the whole call; one that is absent rises as its whole does.
    """

    input: Amount
    output: Amount | None = None
    cached: Amount | None = None
    cache_write: Amount | None = None
    cache_write_long: Amount | None = None
    reasoning: Amount | None = None
    audio_input: Amount | None = None
    audio_output: Amount | None = None
    image: Amount | None = None
    request: Amount | None = None
    long_above: Tokens | None = None
    long_input: Amount | None = None
    long_output: Amount | None = None
    long_cached: Amount | None = None
    long_cache_write: Amount | None = None
    long_cache_write_long: Amount | None = None
    long_reasoning: Amount | None = None
    long_audio_input: Amount | None = None
    long_audio_output: Amount | None = None
    long_image: Amount | None = None
    currency: Currency = "USD"


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One model at one vendor.

    Shape: None is not known, which is not the same as no. `inputs` and `outputs` are modalities; `source` says who says
    it, `checked` is the month in which that was looked up, `retires` the day on which the vendor ends it.
    Units: `context_window` prompt and output together, `output_tokens_max` a choice, both in tokens.
    """

    name: Name
    vendor: Vendor = ""
    aliases: tuple[Name, ...] = ()
    kind: Kind = "chat"
    context_window: Tokens | None = None
    output_tokens_max: Tokens | None = None
    inputs: tuple[Modality, ...] = ()
    outputs: tuple[Modality, ...] = ()
    tools: bool | None = None
    json_schema: bool | None = None
    reasoning: bool | None = None
    encoding: Literal["cl100k_base", "o200k_base"] | None = None
    price: Rates | None = None
    retires: Day | None = None
    source: Words = ""
    checked: Month = ""

    @property
    def vision(self) -> bool | None:
        """Whether it reads images."""
        return "image" in self.inputs if self.inputs else None


class Catalog:
    """Models by vendor and name.

    Shape: `read` gives the rows of a vendor, none for one that is not known; it is asked once a vendor, when the
    first of its models is looked for. Errors: what `read` raises.
    """

    def __init__(self, read: Callable[[str], Iterable[ModelFacts]]) -> None:
        self._read = read
        self._rows: dict[str, dict[str, ModelFacts]] = {}

    def find(self, vendor: str, model: str) -> ModelFacts | None:
        """What is known of a vendor's model, by its name there or another name for it."""
        rows = self._rows.get(vendor)
        if rows is None:
            rows = self._rows[vendor] = by_name(self._read(vendor))
        return rows.get(model)


def by_name(rows: Iterable[ModelFacts]) -> dict[str, ModelFacts]:
    """Rows by their names and aliases; a name comes before an alias, a later row before an earlier one."""
    kept = {row.name: row for row in rows}
    aliases = {alias: row for row in kept.values() for alias in row.aliases}
    return aliases | kept
