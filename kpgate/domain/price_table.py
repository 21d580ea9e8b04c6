"""Prices as an operator writes them. What they amount to is `domain/price`'s."""

from typing import Annotated, Literal

from msgspec import Meta

from kpgate.domain.part import Name, Part

Amount = Annotated[float, Meta(ge=0, le=1_000_000_000)]


class ShareOf(Part, frozen=True):
    """What a party gets of each charge."""

    party: Annotated[Name, Meta(description="Who gets it, on its `earn` account.")]
    basis_points: Annotated[int, Meta(ge=1, le=10_000, description="Hundredths of a percent of the charge.")]


class Prices(Part, frozen=True):
    """What calls cost: tokens for a million of a kind, other things each. Kinds that are absent cost what their whole
    costs."""

    input: Annotated[
        Amount | None,
        Meta(description="Prompt tokens; absent, its calls are paid by `unit` or `request` alone."),
    ] = None
    output: Annotated[Amount | None, Meta(description="Output tokens; absent, the model only embeds.")] = None
    cached: Annotated[Amount | None, Meta(description="Prompt tokens from the provider's cache.")] = None
    cache_write: Annotated[Amount | None, Meta(description="Prompt tokens put into that cache.")] = None
    cache_write_long: Annotated[
        Amount | None,
        Meta(description="The same for longer (Anthropic: 1 h, OpenAI: 12 h); or `cache_write`."),
    ] = None
    audio_input: Annotated[Amount | None, Meta(description="Audio tokens of the prompt.")] = None
    image: Annotated[Amount | None, Meta(description="Image tokens of the prompt.")] = None
    reasoning: Annotated[Amount | None, Meta(description="Output tokens spent on reasoning.")] = None
    audio_output: Annotated[Amount | None, Meta(description="Audio tokens of the output.")] = None
    request: Annotated[Amount, Meta(description="A fixed price for each call, not for a million.")] = 0.0
    unit: Annotated[
        Amount,
        Meta(
            description="For each, not for a million, of what an endpoint counts that is no token: an image, a"
            " character that is spoken, a second that is heard, a search ([endpoints.md](endpoints.md))."
        ),
    ] = 0.0
    long_above: Annotated[
        Annotated[int, Meta(ge=1, le=1 << 31)] | None,
        Meta(
            description="Prompt tokens above which the whole call costs what the `long_*` prices say. One that is"
            " absent rises as its whole does; `long_output` alone is then as `output`.",
        ),
    ] = None
    long_input: Annotated[Amount | None, Meta(description="`input` of such a call.")] = None
    long_output: Annotated[Amount | None, Meta(description="`output` of such a call.")] = None
    long_cached: Annotated[Amount | None, Meta(description="`cached` of such a call.")] = None
    long_cache_write: Annotated[Amount | None, Meta(description="`cache_write` of such a call.")] = None
    long_cache_write_long: Annotated[
        Amount | None, Meta(description="`cache_write_long` of such a call.")
    ] = None
    long_reasoning: Annotated[Amount | None, Meta(description="`reasoning` of such a call.")] = None
    long_audio_input: Annotated[Amount | None, Meta(description="`audio_input` of such a call.")] = None
    long_audio_output: Annotated[Amount | None, Meta(description="`audio_output` of such a call.")] = None
    long_image: Annotated[Amount | None, Meta(description="`image` of such a call.")] = None
    currency: Annotated[
        Literal["USD", "KPT"], Meta(description="What the prices are in; dollars by `[ledger] kpt_per_usd`.")
    ] = "USD"
    shares: Annotated[
        tuple[ShareOf, ...],
        Meta(max_length=16, description="Who gets which part of each charge; the rest is the house's."),
    ] = ()
    source: Annotated[str, Meta(description="Where it is from, in words; the catalogue says its page.")] = ""
