"""W3C trace context: a caller's trace is continued upstream with a span of our own.

Source: W3C Trace Context, section 3.2 (checked November 2026).
"""

import re

_PARENT = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")


def continue_trace(traceparent: bytes, span: int) -> bytes | None:
    """The `traceparent` to send on, or None if the caller's is malformed.

    Shape: `span` is 64 random bits that are not all zero.
    """
    match = _PARENT.fullmatch(traceparent)
    return None if match is None else b"00-%b-%016x-%b" % (match[1], span, match[2])
