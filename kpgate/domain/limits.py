"""What a limit is: rates of requests and of tokens, and concurrency. Deciding them is `_fast.limit`'s."""

import re
from typing import Annotated

import msgspec
from msgspec import Meta

WINDOW_US = {"s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
UNITS_MAX = 10**12
_RATE = re.compile(r"([0-9]{1,13})/(s|min|h|d)")


class Rate(msgspec.Struct, frozen=True, gc=False):
    """So many units in a window. Units: `window_us` microseconds."""

    units: int
    window_us: int

    def __str__(self) -> str:
        name = next(name for name, window_us in WINDOW_US.items() if window_us == self.window_us)
        return f"{self.units}/{name}"


def parse_rate(text: str) -> Rate:
    """Read a rate such as `600/min`.

    Errors: ValueError, naming the form that is expected.
    """
    match = _RATE.fullmatch(text)
    if match is None or not 1 <= int(match[1]) <= UNITS_MAX:
        raise ValueError(
            f"{text!r} is not a rate: write a whole number from 1, then /s, /min, /h or /d, as 600/min"
        )
    return Rate(int(match[1]), WINDOW_US[match[2]])


class Limits(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The limits of one key, party, model or deployment. What is absent is not limited.

    Units: `requests` and `tokens` are rates such as `600/min`; bursts are whole requests and tokens,
    by default as many as the rate gives in one window.
    """

    requests: Annotated[
        str | None, Meta(description="Rate of requests, as 600/min; the window is s, min, h or d.")
    ] = None
    requests_burst: Annotated[
        int | None, Meta(description="Requests admitted at once; absent, one window's.")
    ] = None
    tokens: Annotated[str | None, Meta(description="Rate of tokens, prompt and output, as 90000/min.")] = None
    tokens_burst: Annotated[
        int | None, Meta(description="Tokens admitted at once; absent, one window's.")
    ] = None
    concurrency: Annotated[int | None, Meta(description="Calls open at once.")] = None

    def problems(self) -> list[str]:
        """What is wrong with these limits, a sentence each."""
        found = []
        for name, rate, burst in (
            ("requests", self.requests, self.requests_burst),
            ("tokens", self.tokens, self.tokens_burst),
        ):
            if rate is not None:
                try:
                    parse_rate(rate)
                except ValueError as error:
                    found.append(f"{name}: {error}")
            if burst is not None and rate is None:
                found.append(f"{name}_burst: has no meaning without {name}")
            if burst is not None and not 1 <= burst <= UNITS_MAX:
                found.append(f"{name}_burst: must be from 1 to {UNITS_MAX}")
        if self.concurrency is not None and not 1 <= self.concurrency <= 1_000_000:
            found.append("concurrency: must be from 1 to 1000000")
        return found


UNLIMITED = Limits()
