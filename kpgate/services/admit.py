"""ADMIT: every limit of a call, taken in one commit or not at all; and given back when it ends."""

from collections.abc import Callable

from kpgate._fast.limit import Gate
from kpgate.domain.call import Call
from kpgate.domain.caller import Caller

FIXED_MAX = 100_000
BUSY_RETRY_US = 100_000
CONCURRENCY_RETRY_US = 250_000

GatesOf = Callable[[Caller], tuple[Gate, Gate]]


def reserve(prompt_tokens: int, call: Call, output_cap: int) -> int:
    """Tokens to reserve: the prompt and, for each choice, the caller's output cap or else `output_cap`."""
    cap = (call.output_cap or output_cap) if output_cap else 0
    return prompt_tokens + call.choices * cap
