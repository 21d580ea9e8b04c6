"""How durations are written for callers: `6m0s` in rate-limit headers, whole seconds in `retry-after`."""


def spell(duration_us: int) -> bytes:
    """A duration as OpenAI's rate-limit headers write it: `0s`, `20ms`, `1.5s`, `6m0s`, `1h0m0s`. Rounded up.

    Units: microseconds in.
    """
    if duration_us <= 0:
        return b"0s"
    ms = (duration_us + 999) // 1000
    if ms < 1000:
        return b"%dms" % ms
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    tail = b"%d.%03d" % (seconds, ms) if ms else b"%d" % seconds
    tail = (tail.rstrip(b"0") if ms else tail) + b"s"
    if hours:
        return b"%dh%dm" % (hours, minutes) + tail
    return b"%dm" % minutes + tail if minutes else tail


def whole_seconds(duration_us: int) -> int:
    """The same in whole seconds, rounded up, at least 1."""
    return max(1, (duration_us + 999_999) // 1_000_000)


def whole_ms(duration_us: int) -> int:
    """The same in whole milliseconds, rounded up, at least 1."""
    return max(1, (duration_us + 999) // 1000)
