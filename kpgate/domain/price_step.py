"""Prices that are others for long prompts, and the most that calls come to where some have such a step.

Vendors charge the whole call by the higher prices once its prompt has more than so many tokens, output and what was
read from their cache included; none is known that charges only the tokens beyond. A price without a step knows nothing
of this: its terms, its charge and its bound are `domain/price`'s.
Source: the price tables of LiteLLM and genai-prices, whose rows name the vendors' pages, and Perplexity's list of what
OpenAI and xAI charge through it (checked November 2026). The vendors' own pages were not read.
"""

from collections.abc import Sequence

import msgspec
from msgspec.structs import asdict

from kpgate._fast.bill import Tariff
from kpgate.domain.price import MARGIN_PERCENT, PRICE_MAX, WHOLE, Price
from kpgate.domain.usage import KINDS, Usage

ABOVE = "long_above"
"""The member that terms with a step have, and no others."""
WHOLES = {
    "cached": "input",
    "cache_write": "input",
    "cache_write_long": "input",
    "audio_input": "input",
    "image": "input",
    "reasoning": "output",
    "audio_output": "output",
}
"""What a kind of token is a part of."""


class LongPrice(Price, frozen=True, gc=False, kw_only=True):
    """A price that is another for a call with more than `long_above` prompt tokens: each kind by its `long_*`.

    Shape: fixed price, units and shares are the same for both.
    """

    long_above: int
    long_input: int
    long_output: int
    long_cached: int
    long_cache_write: int
    long_cache_write_long: int
    long_reasoning: int
    long_audio_input: int
    long_audio_output: int
    long_image: int

    @property
    def beyond(self) -> Price:
        """What a long call is charged by."""
        kinds = {kind: getattr(self, f"long_{kind}") for kind in KINDS}
        return Price(**kinds, request=self.request, unit=self.unit, shares=self.shares)

    def at(self, prompt_tokens: int) -> Price:
        """What a call with such a prompt is charged by."""
        return self.beyond if prompt_tokens > self.long_above else self

    def charge(self, usage: Usage, factor: int = WHOLE) -> int:
        """What a call costs: all of it by the step that its prompt is in."""
        if usage.input > self.long_above:
            return self.beyond.charge(usage, factor)
        return super().charge(usage, factor)


def tariff(prices: Sequence[Price], *, estimated: bool) -> Tariff:
    """The dearest of some prices. `estimated` says that prompts are not counted exactly."""
    margin = 100 + MARGIN_PERCENT if estimated else 100
    stepped = [one for one in prices if isinstance(one, LongPrice)]
    steps = []
    for above in sorted({one.long_above for one in stepped}, reverse=True):
        # A shorter prompt is charged as it was: what is dearer there counts on.
        reached = [one.beyond for one in stepped if one.long_above <= above]
        steps.append((above, _dearest([*prices, *reached], margin)))
    return _dearest(prices, margin, tuple(steps))


def _dearest(prices: Sequence[Price], margin: int, steps: tuple[tuple[int, Tariff], ...] = ()) -> Tariff:
    return Tariff(
        max(
            max(one.input, one.cached, one.cache_write, one.cache_write_long, one.audio_input, one.image)
            for one in prices
        ),
        max(max(one.output, one.reasoning, one.audio_output) for one in prices),
        max(one.request for one in prices),
        margin,
        max(one.unit for one in prices),
        steps,
    )


def fill(price: Price, long_above: int, said: dict[str, int]) -> LongPrice:
    """A price with a step, of which only some kinds are said: each other rises as what it is a part of does.

    Shape: `said` has kinds by name, `input` among them; `output` that is not said is as below.
    Errors: ValueError, as `field: what is wrong`, for what rises beyond any price.
    """
    long = {"input": said["input"], "output": said.get("output", price.output)}
    for kind, whole in WHOLES.items():
        long[kind] = said.get(kind, _risen(getattr(price, kind), getattr(price, whole), long[whole]))
        if long[kind] > PRICE_MAX:
            raise ValueError(
                f"long_{kind}: rises with `long_{whole}` to more than any price may be; write it"
            )
    steps = {"long_above": long_above} | {f"long_{kind}": rate for kind, rate in long.items()}
    return msgspec.convert(asdict(price) | steps, LongPrice)


def _risen(part: int, whole: int, long_whole: int) -> int:
    return -(-part * long_whole // whole) if whole else max(part, long_whole)


def read_terms(terms: str) -> Price:
    """The price that a canonical spelling stands for.

    Errors: msgspec.DecodeError.
    """
    stepped = ABOVE in msgspec.json.decode(terms, type=dict[str, msgspec.Raw])
    return msgspec.json.decode(terms, type=LongPrice if stepped else Price)
