"""Durations in rate-limit headers, in plain Python."""


def spell(duration_us: int) -> bytes:
    """As `_fast.digits.spell`."""
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
