"""What every table of the configuration is made of. The tables themselves are in `settings`, `provider`
and `routing`."""

from typing import Annotated

from msgspec import Meta, Struct

Port = Annotated[int, Meta(ge=0, le=65_535)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
MicroKpt = Annotated[int, Meta(ge=0, le=1 << 53)]


class Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of the configuration file. Unknown fields are errors."""
