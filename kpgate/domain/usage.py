"""What a call used, in tokens by kind, and where the figure comes from."""

from dataclasses import dataclass

KINDS = (
    "input",
    "output",
    "cached",
    "reasoning",
    "audio_input",
    "audio_output",
    "image",
    "cache_write",
    "cache_write_long",
)
"""Tokens that are counted apart."""
COUNTS = (*KINDS, "units")
"""What a usage counts, in the order in which it is written down."""


@dataclass(frozen=True)
class Usage:
    """Tokens of one call. Units: tokens; `cached`, `cache_write`, `cache_write_long`, `audio_input` and `image` are
    parts of `input`, each without the others; `reasoning` and `audio_output` of `output`. `units` are no tokens: what
    an endpoint counts beside them, as images or seconds.

    Shape: `cached` was read from the provider's prompt cache, `cache_write` put into it for as long as it keeps things
    by default, `cache_write_long` for longer.
    `source` is `provider` (reported upstream), `counted` (ours, where the provider said nothing) or `none`.
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0
    source: str = "none"
    audio_input: int = 0
    audio_output: int = 0
    image: int = 0
    cache_write: int = 0
    cache_write_long: int = 0
    units: int = 0

    @property
    def written(self) -> int:
        """What was put into the provider's prompt cache, for however long."""
        return self.cache_write + self.cache_write_long

    def plus(self, other: "Usage") -> "Usage":
        """Both together: the provider's word only where both are."""
        source = "provider" if self.source == other.source == "provider" else "counted"
        return Usage(source=source, **{kind: getattr(self, kind) + getattr(other, kind) for kind in COUNTS})

    @property
    def total(self) -> int:
        """Input and output together."""
        return self.input + self.output


NOTHING = Usage()
