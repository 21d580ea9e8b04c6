# cython: auto_pickle=False, autotestdict=False
"""What calls cost and may cost at the most, in the processor's own integers: products of 128 bits, one rounding.

Owns the arithmetic that every call does; what prices are and where they come from is `domain/price`'s, whose `charge`
says the same at any size. Units: prices microKPT for a million tokens or units, amounts microKPT, `factor` basis
points. Counts are from 0 to 2**63 - 1, prices at most 2**60, a factor at most 2**24: nothing overflows. What is more
than `MOST` is `MOST`, which is more than any account holds.
"""

from libc.stdint cimport int64_t

cdef enum:
    TOKENS_PER_PRICE = 1_000_000
    BASIS_POINTS = 10_000

cdef int64_t A_PRICE_MAX = <int64_t>1 << 60
cdef int64_t SATURATED = <int64_t>1 << 62

MOST = SATURATED


cdef inline int64_t least(int64_t one, int64_t other) noexcept:
    return one if one < other else other


cdef inline int64_t amount_of(int128 total, int64_t factor) noexcept:
    """A sum of prices times counts as an amount: rounded once, upwards."""
    cdef int128 parts
    # Beyond this any factor from 1 on comes to more than MOST; below it the product fits.
    if total >> 102:
        return SATURATED if factor else 0
    parts = total * factor + <int128>TOKENS_PER_PRICE * BASIS_POINTS - 1
    if not parts >> 63:
        # Nearly always: without a division of 128 bits.
        return <int64_t>parts // (<int64_t>TOKENS_PER_PRICE * BASIS_POINTS)
    parts //= <int128>TOKENS_PER_PRICE * BASIS_POINTS
    return SATURATED if parts > SATURATED else <int64_t>parts


cdef int64_t price_of(said, name) except -1:
    found = getattr(said, name)
    if not 0 <= found <= A_PRICE_MAX:
        raise ValueError(f"no price: {name} is {found}")
    return found


cdef class Bill:
    """The prices of one deployment, as `domain.price.Price` has them by name.

    Errors: ValueError for what no price can be.
    """

    def __cinit__(self, price):
        self.input = price_of(price, "input")
        self.output = price_of(price, "output")
        self.cached = price_of(price, "cached")
        self.reasoning = price_of(price, "reasoning")
        self.audio_input = price_of(price, "audio_input")
        self.audio_output = price_of(price, "audio_output")
        self.image = price_of(price, "image")
        self.cache_write = price_of(price, "cache_write")
        self.cache_write_long = price_of(price, "cache_write_long")
        self.unit = price_of(price, "unit")
        self.request = price_of(price, "request")

    cpdef int64_t charge(
        self, int64_t prompt, int64_t output, int64_t cached, int64_t reasoning, int64_t heard, int64_t spoken,
        int64_t seen, int64_t written, int64_t kept, int64_t units, int64_t factor,
    ) except -1:
        """What a call costs, by what it used of each kind. Parts are never more than the whole:
        what is counted under two kinds is charged as the first of cached, written to a cache for long, written to
        one, audio, image; of the output as reasoning.
        """
        cdef int64_t plain = prompt
        cached = least(cached, plain)
        plain -= cached
        kept = least(kept, plain)
        plain -= kept
        written = least(written, plain)
        plain -= written
        heard = least(heard, plain)
        plain -= heard
        seen = least(seen, plain)
        plain -= seen
        reasoning = least(reasoning, output)
        spoken = least(spoken, output - reasoning)
        return amount_of(
            <int128>plain * self.input + <int128>cached * self.cached + <int128>kept * self.cache_write_long
            + <int128>written * self.cache_write + <int128>heard * self.audio_input + <int128>seen * self.image
            + <int128>(output - reasoning - spoken) * self.output + <int128>reasoning * self.reasoning
            + <int128>spoken * self.audio_output + <int128>units * self.unit
            + <int128>self.request * TOKENS_PER_PRICE,
            factor,
        )


cdef class Tariff:
    """The most that a model's calls may cost, over all deployments that may answer.

    Units: as prices; `margin` is what a prompt's count is multiplied by, in percent.
    Shape: `steps` are (above so many prompt tokens, the tariff that holds there), the highest first: its own figures
    hold below all of them. None is less than one before it, so that a bound holds for every shorter prompt.
    Errors: ValueError for what no price can be, and for steps that do not fall.
    """

    def __init__(
        self, int64_t input, int64_t output, int64_t request, int64_t margin=100, int64_t unit=0, tuple steps=()
    ):
        if not 0 <= min(input, output, request, unit) <= max(input, output, request, unit) <= A_PRICE_MAX:
            raise ValueError("no tariff: a price is from 0 to 2**60")
        if not 100 <= margin <= 1000:
            raise ValueError("no tariff: a margin is from 100 to 1000 percent")
        self.input, self.output, self.request = input, output, request
        self.margin, self.unit = margin, unit
        above = [step[0] for step in steps]
        if above != sorted(set(above), reverse=True):
            raise ValueError("no tariff: its steps fall")
        self.steps = steps

    def __repr__(self):
        steps = f", steps={self.steps!r}" if self.steps else ""
        return f"Tariff({self.input}, {self.output}, {self.request}, margin={self.margin}, unit={self.unit}{steps})"

    def __eq__(self, other):
        return isinstance(other, Tariff) and repr(self) == repr(other)

    def __hash__(self):
        return hash(repr(self))

    cdef Tariff at(self, int64_t prompt_tokens):
        """What holds for a prompt, with its margin."""
        cdef int128 most = (<int128>prompt_tokens * self.margin + 99) // 100
        for above, step in self.steps:
            if most > <int64_t>above:
                return step
        return self

    cdef int128 fixed(self, int64_t prompt_tokens, int64_t units) noexcept:
        """What a call costs whatever is answered, before it is rounded."""
        cdef int128 prompt = (<int128>prompt_tokens * self.margin + 99) // 100
        return prompt * self.input + <int128>units * self.unit + <int128>self.request * TOKENS_PER_PRICE

    cpdef int64_t bound(
        self, int64_t prompt_tokens, int64_t output_tokens, int64_t factor=BASIS_POINTS, int64_t units=0
    ) except -1:
        """No call with so many tokens and units costs more."""
        cdef Tariff one = self.at(prompt_tokens) if self.steps else self
        return amount_of(one.fixed(prompt_tokens, units) + <int128>output_tokens * one.output, factor)

    cpdef int64_t affordable(
        self, int64_t amount, int64_t prompt_tokens, int64_t factor=BASIS_POINTS, int64_t units=0
    ) except? -1:
        """The most output tokens with which no call costs more than `amount`. Below 0 where the rest of it does."""
        cdef Tariff one = self.at(prompt_tokens) if self.steps else self
        cdef int128 left = <int128>amount * TOKENS_PER_PRICE * BASIS_POINTS // factor
        left -= one.fixed(prompt_tokens, units)
        if left < 0:
            return -1
        if one.output:
            left //= one.output
        return SATURATED if left > SATURATED else <int64_t>left
