"""What a failed attempt says about an upstream and its credential. The state itself is `_fast.pulse`'s, shared by all
workers.

Only what is the provider's doing counts against it. A limit that it tells of is no failure: it rests until then.
Source: Envoy documentation, outlier detection; OpenAI error codes page (checked November 2026).
"""

from collections.abc import Callable

from kpgate._fast.pulse import Pulse, Rules
from kpgate.domain.errors import Fault, GatewayError, RateLimited, UpstreamTimeout
from kpgate.domain.refusals import STATUSES, is_unpaid
from kpgate.domain.resets import reset_us
from kpgate.domain.routing import Ejection
from kpgate.services.route import Target
from kpgate.services.upstream import Attempt

FAILED, TIMED_OUT, REFUSED = 1, 2, 3
REASONS = {
    0: "",
    FAILED: "it failed or answered 5xx",
    TIMED_OUT: "it did not answer in time",
    REFUSED: "it refused the credential",
}


def rules_of(ejection: Ejection, probe_us: int) -> Rules:
    """The rules that a configuration amounts to. Units: `probe_us` is how long a probe may take."""
    return Rules(
        failures=ejection.failures,
        base_us=int(ejection.base_s * 1_000_000),
        max_us=int(ejection.max_s * 1_000_000),
        percent_max=ejection.percent_max,
        probes=ejection.probes,
        probe_us=probe_us,
        slow_us=int(ejection.slow_start_s * 1_000_000),
        panic_percent=ejection.panic_percent,
    )


class Health:
    """The rules of one configuration, applied. `wall_us` gives the time since the epoch, for resets as instants."""

    def __init__(self, ejection: Ejection, rules: Rules, wall_us: Callable[[], int]) -> None:
        self.rules = rules
        self._limited_max_us = int(ejection.limited_max_s * 1_000_000)
        self._quota_us = int(ejection.quota_s * 1_000_000)
        self._wall_us = wall_us

    def failed(
        self, now_us: int, error: GatewayError, target: Target, peers: tuple[Pulse, ...], attempt: Attempt
    ) -> None:
        """An attempt failed. Order: before the attempt is closed, for its reply is looked at.

        A refusal that is still on its way is not waited for; one that another model is asked for instead is no failure.
        """
        connection = attempt.connection
        status = 0 if connection is None else connection.status
        unpaid = status == 402 or attempt.unpaid
        if isinstance(error, RateLimited) or unpaid:
            if unpaid or is_unpaid(attempt.take_whole() or b""):
                (target.key or target.pulse).cool(now_us + self._quota_us, True)
            else:
                own_us = 0 if connection is None else reset_us(connection.passed, self._wall_us())
                wait_us = min(own_us or error.retry_after_us, self._limited_max_us)
                target.pulse.cool(now_us + wait_us)
        elif error.fault is not Fault.UPSTREAM or status in STATUSES:
            # It is about the call: the provider is well.
            return
        elif status in (401, 403) and target.key is not None:
            # The other credentials may well be good.
            target.key.cool(now_us + self._quota_us, True)
        else:
            why = TIMED_OUT if isinstance(error, UpstreamTimeout) else FAILED
            target.pulse.failed(now_us, REFUSED if status in (401, 403) else why, self.rules, peers)
