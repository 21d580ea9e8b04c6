"""When a provider that limits may be asked again, by its own headers."""

import pytest

from kpgate.domain.resets import PREFIXES, WAIT_MAX_US, reset_us

NOW_US = 1_795_000_000_000_000  # 2026-11-18T11:06:40Z
SECOND_US = 1_000_000


@pytest.mark.parametrize(
    ("headers", "wait_us"),
    [
        ({}, 0),
        ({"retry-after-ms": "1500"}, 1_500_000),
        ({"retry-after-ms": "1\u00b2"}, 0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, 360 * SECOND_US),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "20ms"}, 20_000),
        ({"x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": "9s"}, 0),
        (
            {
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "2m59.56s",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "1s",
            },
            179_560_000,
        ),
        (
            {
                "anthropic-ratelimit-input-tokens-remaining": "0",
                "anthropic-ratelimit-input-tokens-reset": "2026-11-18T11:07:10Z",
                "anthropic-ratelimit-requests-remaining": "40",
                "anthropic-ratelimit-requests-reset": "2026-11-18T11:09:00Z",
            },
            30 * SECOND_US,
        ),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "12"}, 12 * SECOND_US),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "soon"}, 0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "2026-11-18T11:07:10"}, 0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "2020-01-01T00:00:00Z"}, 0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "9" * 9}, WAIT_MAX_US),
        ({"x-ratelimit-remaining-requests": "0"}, 0),
    ],
)
def test_the_longest_of_what_is_used_up(headers: dict[str, str], wait_us: int) -> None:
    sent = [(name.encode(), value.encode()) for name, value in headers.items()]
    assert all(name.startswith(PREFIXES) for name, _ in sent)
    assert reset_us(sent, NOW_US) == wait_us
