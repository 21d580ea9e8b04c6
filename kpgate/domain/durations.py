"""How durations are written for callers in `retry-after`, whole and rounded up; and read."""

import re
from datetime import UTC, datetime

_UNITS_US = {"s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_DURATION = re.compile(r"([0-9]{1,7})(s|min|h|d)")


def whole_seconds(duration_us: int) -> int:
    """The same in whole seconds, rounded up, at least 1."""
    return max(1, (duration_us + 999_999) // 1_000_000)


def whole_ms(duration_us: int) -> int:
    """The same in whole milliseconds, rounded up, at least 1."""
    return max(1, (duration_us + 999) // 1000)


def read_duration(text: str) -> int:
    """Read a duration such as `90s`, `15min`, `24h` or `30d`. Units: microseconds.

    Errors: ValueError, naming the form that is expected.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text[:64]!r} is not a duration: write a whole number, then s, min, h or d, as 24h"
        )
    return int(match[1]) * _UNITS_US[match[2]]


def read_end(text: str, now_us: int) -> int:
    """Read when something ends: a duration from now, or an RFC 3339 instant with its time zone.

    Units: microseconds since the epoch.
    Errors: ValueError, naming the forms that are expected.
    """
    try:
        return now_us + read_duration(text)
    except ValueError:
        pass
    try:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is None:
            raise ValueError("no time zone")
        return round(instant.timestamp() * 1_000_000)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text[:64]!r} is not a time: write a duration as 30d, or an instant as 2030-01-31T12:00:00Z"
        ) from None


def read_since(text: str, now_us: int) -> int:
    """A beginning: a duration back from now, as 24h, or an RFC 3339 instant. Units: microseconds since the epoch.

    Errors: ValueError, as `read_end`.
    """
    try:
        return max(0, now_us - read_duration(text))
    except ValueError:
        return max(0, read_end(text, now_us))


def instant(at_us: int) -> str | None:
    """An instant in RFC 3339, None for never. Units: microseconds since the epoch."""
    if not at_us:
        return None
    seconds, rest_us = divmod(at_us, 1_000_000)
    whole = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    return f"{whole.isoformat()}.{rest_us // 1000:03}Z"
