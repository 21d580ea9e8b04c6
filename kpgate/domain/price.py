"""What calls cost: prices a kind of token, the charge of a call, and the most that it may come to.

Pure integer arithmetic. Units: prices are microKPT for a million tokens or units, amounts microKPT. A charge is rounded
once, upwards, to a whole microKPT.
"""

from decimal import Context, Decimal
from fractions import Fraction
from functools import lru_cache
from hashlib import sha256

import msgspec
from msgspec.structs import force_setattr

from kpgate.domain.errors import InvalidRequest
from kpgate.domain.usage import Usage

MICROKPT = 1_000_000
"""microKPT in one KPT."""
PER = 1_000_000
"""Tokens that a price is for."""
WHOLE = 10_000
"""Basis points in one."""
PRICE_MAX = 1 << 50
UNIT_MAX = 1 << 60
AMOUNT_MAX = (1 << 53) - 1
COST_HEADER = "x-kpgate-max-cost-microkpt"
COST_DIGITS_MAX = 15
MARGIN_PERCENT = 15
"""What is added to a prompt's count where it is an estimate."""

_encode = msgspec.json.Encoder(order="sorted").encode
_exact = Context(prec=60)
_PARTS = PER * WHOLE


class Share(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """What a party gets of each charge. Units: hundredths of a percent."""

    party: str
    basis_points: int


class Price(msgspec.Struct, frozen=True, gc=False):
    """The prices of one deployment of a model, by kind of token, for what is counted in other units, and a call.

    Shape: `shares` say who gets what of a charge; the rest is the house's. A kind of cache write that is not said
    costs what the kind before it does: input, `cache_write`, `cache_write_long`.
    """

    input: int
    output: int
    cached: int
    reasoning: int
    audio_input: int
    audio_output: int
    image: int
    request: int = 0
    shares: tuple[Share, ...] = ()
    cache_write: int = -1
    cache_write_long: int = -1
    unit: int = 0

    def __post_init__(self) -> None:
        # Terms from before these kinds do not say them.
        if self.cache_write < 0:
            force_setattr(self, "cache_write", self.input)
        if self.cache_write_long < 0:
            force_setattr(self, "cache_write_long", self.cache_write)

    def charge(self, usage: Usage, factor: int = WHOLE) -> int:
        """What a call costs. Units: `factor` is the caller's, in basis points.

        Parts of a kind are never more than the whole, whatever a provider says: what is counted under two kinds
        is charged as the first of cached, written to a cache for long, written to one, audio, image.
        """
        plain = usage.input
        plain -= (cached := min(usage.cached, plain))
        plain -= (kept := min(usage.cache_write_long, plain))
        plain -= (written := min(usage.cache_write, plain))
        plain -= (audio := min(usage.audio_input, plain))
        plain -= (image := min(usage.image, plain))
        reasoning = min(usage.reasoning, usage.output)
        spoken = min(usage.audio_output, usage.output - reasoning)
        total = (
            plain * self.input
            + cached * self.cached
            + kept * self.cache_write_long
            + written * self.cache_write
            + audio * self.audio_input
            + image * self.image
            + (usage.output - reasoning - spoken) * self.output
            + reasoning * self.reasoning
            + spoken * self.audio_output
            + usage.units * self.unit
        )
        return rounded(total, self.request, factor)

    def at(self, prompt_tokens: int) -> "Price":
        """What a call with such a prompt is charged by: another only where there is a step (`price_step`)."""
        return self

    @property
    def terms(self) -> str:
        """The canonical spelling that a price version stands for."""
        return _encode(self).decode()


@lru_cache(256)
def terms_hash(terms: str) -> str:
    """What a receipt names a price version's terms by."""
    return sha256(terms.encode()).hexdigest()


def rounded(total: int, request: int, factor: int) -> int:
    """Token price and fixed price as an amount: one rounding, upwards."""
    if request:
        total += request * PER
    return -(-total * factor // _PARTS)


def read_price(written: str | float, microkpt: int, markup: int, most: int = PRICE_MAX) -> int:
    """A price as an operator writes it, in microKPT, rounded upwards.

    Units: `microkpt` is what one of its currency is worth, `markup` basis points that are added, `most` as the price.
    Errors: ValueError for what is no number, negative, or too large.
    """
    # A float is what its shortest spelling says: that is what stood in the file.
    text = written if isinstance(written, str) else repr(written)
    try:
        value = Decimal(text, _exact)
    except ArithmeticError:
        raise ValueError(f"expected a price such as 2.50, not {text[:40]!r}") from None
    if not value.is_finite() or value < 0 or len(text) > 40:
        raise ValueError(f"expected a price from 0 on, not {text[:40]!r}")
    exact = Fraction(value) * microkpt * (WHOLE + markup) / WHOLE
    found = -(-exact.numerator // exact.denominator)
    if found > most:
        raise ValueError(f"{text[:40]} is more than any price may be")
    return found


def read_cost_max(written: bytes | None) -> int | None:
    """What a caller says that a call may cost. Units: microKPT. Errors: InvalidRequest."""
    if written is None:
        return None
    if not written.isdigit() or len(written) > COST_DIGITS_MAX:
        raise InvalidRequest(f"{COST_HEADER}: expected a whole number of microKPT", param=COST_HEADER)
    return int(written)
