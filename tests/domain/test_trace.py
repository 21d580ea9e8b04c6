"""A caller's trace goes on with a span of ours; a malformed one stops here."""

import pytest

from kpgate.domain.trace import continue_trace

TRACE = b"0af7651916cd43dd8448eb211c80319c"


def test_a_trace_keeps_its_id_and_flags_and_gets_a_new_span() -> None:
    assert (
        continue_trace(b"00-" + TRACE + b"-b7ad6b7169203331-01", 255)
        == b"00-" + TRACE + b"-00000000000000ff-01"
    )


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01",
        b"00-" + TRACE + b"-" + b"0" * 16 + b"-01",
        b"ff-" + TRACE + b"-b7ad6b7169203331-01",
        b"00-" + TRACE.upper() + b"-b7ad6b7169203331-01",
        b"00-" + TRACE + b"-b7ad6b7169203331-01-more",
    ],
)
def test_a_malformed_trace_is_not_sent_on(sent: bytes) -> None:
    assert continue_trace(sent, 1) is None
