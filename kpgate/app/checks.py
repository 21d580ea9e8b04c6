"""Active checks of providers, for those that ask for them: whoever fails them is asked last, and comes back once it
passes them again.

One worker of the node makes each check when it is due; what it finds stands in the region for all. Nobody is charged:
what calls of the house's own use is counted apart.
"""

from collections.abc import Callable
from dataclasses import replace
from random import uniform
from typing import Any

from kpgate._fast.http1 import UpstreamLost
from kpgate.dialects.openai.endpoints import CHAT
from kpgate.dialects.through.endpoints import THROUGH
from kpgate.domain.call import Call
from kpgate.domain.dialect import Way
from kpgate.domain.errors import GatewayError, UpstreamFailed
from kpgate.domain.price import PRICE_MAX
from kpgate.domain.routing import Checks
from kpgate.domain.settings import Provider, Settings
from kpgate.domain.upstream import parse_origin
from kpgate.domain.usage import NOTHING, Usage
from kpgate.life import Check, Equipment
from kpgate.services.pool import PoolFull
from kpgate.services.route import Plan, Target
from kpgate.services.upstream import attempt_at

SPREAD = 0.25
"""How much earlier or later a check is made than it is due, so that not all are made at once."""
REFUSED = (401, 403)
ASKED = b'{"model":"check","messages":[{"role":"user","content":"Hi"}],"max_tokens":1}'
"""The call that is made where calls are. Providers whose least is more refuse it, which is an answer too."""


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
    chosen, asking = _asking(targets) if asked.kind == "call" else (targets[0], None)
    first = replace(
        chosen, connect_us=timeout_us, first_byte_us=timeout_us, total_us=timeout_us, idle_us=timeout_us
    )
    every_us = int(asked.every_s * 1e6)
    if asking is not None:
        way, call, body = asking
        return Check(tuple(pulses.values()), first, way.head, asked.enough, every_us, way, call, body)
    return Check(tuple(pulses.values()), first, _head(provider, asked, first), asked.enough, every_us)


def _asking(targets: list[Target]) -> tuple[Target, tuple[Way, Call, bytes] | None]:
    """The cheapest that answers chats, and what it is asked; where none does, connecting is enough."""
    able = [one for one in targets if CHAT.path in one.ways and (one.rates is None or one.rates.output)]
    if not able:
        return targets[0], None
    chosen = min(
        able, key=lambda one: one.rates.input + one.rates.output if one.rates is not None else PRICE_MAX
    )
    way, call = chosen.ways[CHAT.path], CHAT.decode(ASKED, 8)
    return chosen, (way, call, way.forward(ASKED, call, chosen.model, 1))


def _head(provider: Provider, asked: Checks, target: Target) -> bytes:
    """The request that is sent, empty for none. It has the credential that calls have."""
    if asked.kind != "models":
        return b""
    way = next(iter(target.ways.values()))
    rest = way.head.partition(b"\r\n")[2]
    return b"GET %b/models HTTP/1.1\r\n%b\r\n" % (parse_origin(provider.base_url).base_path.encode(), rest)


def _opening(check: Check) -> bytes:
    """A request's head. A signature is of its moment."""
    way = check.way
    if way is None:
        return check.head
    head = check.head + way.sign(check.head, check.body) if way.sign is not None else check.head
    return b"%bcontent-length: %d\r\n\r\n" % (head, len(check.body))


def _used(check: Check, body: bytes) -> Usage:
    """What a call of the house's own used. Errors: UpstreamFailed for an answer that is none."""
    way, call = check.way, check.call
    assert way is not None and call is not None, "it was a call"
    if body.lstrip()[:1] != b"{":
        raise UpstreamFailed("it answered with what is not JSON")
    used = way.find_usage(body) if way.turn is None else way.turn(200, body, call).usage
    return used or NOTHING


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
        attempt = attempt_at(check.target, kit.wheel, self._clock, self._clock())
        well = False
        try:
            if check.head:
                connection = await attempt.send(_opening(check), check.body)
                well = connection.status < 500 and connection.status not in REFUSED
                said = await attempt.whole(1 << 24)
                if check.way is not None and connection.status < 300:
                    kit.meters.check(check.target.provider, _used(check, said))
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
