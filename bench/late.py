"""How late chunks come: from the moment the provider writes one to the moment its reader has it.

Owns the stamps' reading. Both ends read the system's monotonic clock, so they are on one machine.
"""

import asyncio
import re
from time import monotonic_ns

from bench.client import Call, Line, Pool
from bench.load import Failed

CLOCK = "clock-1000-1"
STAMP = re.compile(rb'"fp_(\d{19})"')


class Clocked(Line):
    """A connection that notes how old each stamped chunk is. Units: nanoseconds."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self.late_ns: list[int] = []

    def data_received(self, data: bytes) -> None:
        """Asyncio's: bytes came."""
        now = monotonic_ns()
        super().data_received(data)
        self.late_ns.extend(now - int(stamp) for stamp in STAMP.findall(data))


async def watched(pool: Pool, calls: list[Call], seconds: float) -> list[float]:
    """The lateness of the chunks that come in that time. Units: milliseconds.

    Errors: Failed if a chunk carried no whole stamp, or if a tenth of them did not come.
    """
    late: list[int] = []
    for line in pool.lines:
        assert isinstance(line, Clocked)
        line.late_ns = late
    late.clear()
    before = sum(call.chunks for call in calls)
    await asyncio.sleep(seconds)
    seen = sum(call.chunks for call in calls) - before
    if pool.failed or len(late) != seen or seen < 0.9 * len(calls) * seconds:
        name = pool.target.name
        raise Failed(
            f"{name}: {pool.failed or f'{len(late)} stamps in {seen} chunks of {len(calls)} streams'}"
        )
    return [each / 1e6 for each in late]
