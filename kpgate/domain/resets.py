"""When a provider that limits us may be asked again, by its own headers.

Source: OpenAI rate limits, Anthropic rate limits and Groq rate limits pages (checked November 2026): remaining and
reset by kind, a reset as a duration (`6m0s`, `20ms`) or an instant (RFC 3339); `retry-after` in seconds.
"""

import re
from collections.abc import Sequence
from datetime import datetime

PREFIXES = (b"x-ratelimit-re", b"anthropic-ratelimit-", b"retry-after-ms")
"""How the headers begin that are read here, besides `retry-after`."""

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|h|m|s|d)")
_UNITS_US = {
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1000,
    "us": 1,
    "µs": 1,
}
WAIT_MAX_US = 366 * 86_400_000_000


def reset_us(headers: Sequence[tuple[bytes, bytes]], wall_us: int) -> int:
    """How long to wait until what is used up is there again: the longest, of the kinds with nothing remaining.

    Units: `wall_us` microseconds since the epoch. 0 where the headers do not say.
    """
    remaining: dict[str, str] = {}
    resets: dict[str, int] = {}
    for name, value in headers:
        spelled, text = name.decode("latin-1"), value.decode("latin-1").strip()
        if spelled == "retry-after-ms" and text.isdecimal():
            return min(int(text[:12]) * 1000, WAIT_MAX_US)
        kind = spelled.removeprefix("anthropic-ratelimit-").removeprefix("x-ratelimit-")
        if kind.startswith("remaining-") or kind.endswith("-remaining"):
            remaining[kind.removeprefix("remaining-").removesuffix("-remaining")] = text
        elif kind.startswith("reset-") or kind.endswith("-reset"):
            resets[kind.removeprefix("reset-").removesuffix("-reset")] = _wait_us(text, wall_us)
    return max((resets.get(kind, 0) for kind, left in remaining.items() if left in ("0", "-1")), default=0)


def _wait_us(text: str, wall_us: int) -> int:
    """A duration or an instant, as a wait. 0 for what is neither, or past."""
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text):
        return min(int(float(text) * 1_000_000), WAIT_MAX_US)
    parts = _PART.findall(text[:40])
    if parts and "".join(number + unit for number, unit in parts) == text:
        return min(int(sum(float(number) * _UNITS_US[unit] for number, unit in parts)), WAIT_MAX_US)
    try:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is None:
            return 0
        return min(max(0, int(instant.timestamp() * 1_000_000) - wall_us), WAIT_MAX_US)
    except (ValueError, OverflowError):
        return 0
