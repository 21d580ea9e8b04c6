"""FAILOVER: what becomes of a call whose attempt failed, before anything has gone to its caller.

Owns the order that is left, and the call's place among those that retry. Who cannot be asked what the call asks is
passed over as if it were not there: that is no attempt, and takes nothing of the budget. Knows neither transport nor
vendor.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from kpgate.domain.errors import GatewayError
from kpgate.life import Equipment, Life
from kpgate.services.route import Target, without


class Asking(Protocol):
    """What asks deployments: the gateway."""

    clock: Callable[[], int]

    def ask(self, kit: Equipment, life: Life, order: tuple[Target, ...], body: bytes) -> Awaitable[bytes]: ...


async def go_on(
    asking: Asking, kit: Equipment, life: Life, order: tuple[Target, ...], body: bytes, error: GatewayError
) -> bytes:
    """Try the others after an error, until one answers; what it said first.

    Errors: the last one, when no further attempt is allowed; where nobody can be asked what the call asks, why the
    first of them cannot.
    """
    assert life.verdict is not None, "only what was admitted is sent"
    failed: GatewayError | None = None
    retrying = False
    try:
        while True:
            tries, unasked = life.record.attempts, life.unasked
            if life.is_over:
                raise error
            if unasked is not None:
                failed = failed or error
                order = without(order, unasked, tries, failed)
            else:
                if not kit.retrying.allows(error, tries, len(order), kit.ids.given):
                    raise error
                if not retrying:
                    kit.retrying.begin()
                    retrying = True
                if life.decision is not None:
                    order = life.decision.later(order, tries)
                failed = error
                await kit.retrying.pause(tries, asking.clock())
            kit.admit.move(asking.clock(), life.verdict, order[tries % len(order)], life.tokens)
            try:
                return await asking.ask(kit, life, order, body)
            except GatewayError as another:
                # Where it was raised would keep the call.
                error = another.at(life.record.phase)
    finally:
        if retrying:
            kit.retrying.end()
