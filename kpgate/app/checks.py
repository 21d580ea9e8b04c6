"""Active checks of providers, for those that ask for them: whoever fails them is asked last, and comes back once it
passes them again.

One worker of the node makes each check when it is due; what it finds stands in the region for all. Nothing is charged.
"""

from collections.abc import Callable
from dataclasses import replace
from random import uniform
from typing import Any

from kpgate._fast.http1 import UpstreamLost
from kpgate.dialects.through.endpoints import THROUGH
from kpgate.domain.errors import GatewayError
from kpgate.domain.routing import Checks
from kpgate.domain.settings import Provider, Settings
from kpgate.domain.upstream import parse_origin
from kpgate.life import Check, Equipment
from kpgate.services.pool import PoolFull
from kpgate.services.route import Plan, Target
from kpgate.services.upstream import Attempt

SPREAD = 0.25
"""How much earlier or later a check is made than it is due, so that not all are made at once."""
REFUSED = (401, 403)


def checks_of(settings: Settings, plans: tuple[Plan, ...]) -> tuple[Check, ...]:
    """The checks that a configuration asks for: one for each credential of each provider that has any.

    What checks found that are made no more is forgotten.
    """
    found: dict[tuple[str, int], list[Target]] = {}
    providers = {one.name: one for one in settings.providers}
    for plan in plans:
        for target in plan.targets:
            if providers[target.provider].checks is None or THROUGH.path in target.ways:
                target.pulse.unchecked()
            else:
                key = -1 if target.key is None else target.key.number
                found.setdefault((target.provider, key), []).append(target)
    return tuple(_check(providers[name], targets) for (name, _), targets in found.items())


def _check(provider: Provider, targets: list[Target]) -> Check:
    asked = provider.checks
    assert asked is not None, "it was asked for"
    timeout_us = int(asked.timeout_s * 1_000_000)
    pulses = {target.pulse.number: target.pulse for target in targets}
    first = replace(
        targets[0], connect_us=timeout_us, first_byte_us=timeout_us, total_us=timeout_us, idle_us=timeout_us
    )
    return Check(
        tuple(pulses.values()), first, _head(provider, asked, first), asked.enough, int(asked.every_s * 1e6)
    )


def _head(provider: Provider, asked: Checks, target: Target) -> bytes:
    """The request that is sent, empty for none. It has the credential that calls have."""
    if asked.kind == "tcp":
        return b""
    way = next(iter(target.ways.values()))
    rest = way.head.partition(b"\r\n")[2]
    return b"GET %b/models HTTP/1.1\r\n%b\r\n" % (parse_origin(provider.base_url).base_path.encode(), rest)


class Checker:
    """Makes the checks of one worker."""

    def __init__(self, loop: Any, clock: Callable[[], int]) -> None:
        self._loop = loop
        self._clock = clock
        self._running: set[Any] = set()

    def look(self, kit: Equipment, now_us: int) -> None:
        """Begin what is due and no other worker makes. Order: once a second."""
        for check in kit.checks:
            next_us = now_us + int(check.every_us * uniform(1 - SPREAD, 1 + SPREAD))
            if check.pulses[0].due(now_us, next_us):
                task = self._loop.create_task(self._make(kit, check))
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    async def _make(self, kit: Equipment, check: Check) -> None:
        attempt = Attempt(check.target, kit.wheel, self._clock, self._clock())
        well = False
        try:
            if check.head:
                connection = await attempt.send(check.head, b"")
                well = connection.status < 500 and connection.status not in REFUSED
                await attempt.whole(1 << 24)
            else:
                connection = await check.target.pool.open(self._clock() + check.target.connect_us)
                check.target.pool.give(connection)
                well = True
        except PoolFull:
            # Calls have all of its connections: that is no sign of illness.
            return
        except (GatewayError, UpstreamLost):
            well = False
        finally:
            attempt.close()
        for pulse in check.pulses:
            pulse.checked(self._clock(), well, check.enough)
