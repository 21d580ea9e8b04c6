"""What a call waits longer for the gateway's sake, at a rate that leaves everybody idle most of the time.

Owns the pace and the subtraction. Open loop: a late reply delays no later call.
"""

import asyncio
from collections.abc import Sequence
from statistics import median
from time import perf_counter

import uvloop

from bench.client import Call, Pool, request, share
from bench.load import chat
from bench.processes import settle
from bench.results import Cell, Goal, Result, Table, named
from bench.target import Lab, Shape, Target

RATE = 500
LINES = 200
METHOD = (
    f"{RATE} chat calls of 0.5 KB a second, open loop, one pool of kept-alive connections a target, the client on "
    "uvloop; straight to the fake provider, through nginx, and through kpgate governed and off, in turn.",
    "Added latency is a percentile less the direct one of the same round; the median over the rounds is given. Over "
    "nginx's is the one median over the other, nginx's taken as a hundredth of a millisecond where it is less.",
)
LEAST_MS = 0.01


async def paced(target: Target, seconds: float, rate: int = RATE) -> list[float]:
    """Calls at a rate. Units: calls a second; milliseconds a call."""
    pool = Pool(target)
    await pool.connect(LINES)
    message, calls = request(target, chat()), [Call() for _ in range(round(rate * seconds))]
    began = perf_counter() + 0.05
    try:
        for number, call in enumerate(calls):
            ahead = began + number / rate - perf_counter()
            if ahead > 0:
                await asyncio.sleep(ahead)
            pool.begin(message, call)
        await pool.drain()
    finally:
        pool.close()
    return [1000 * (call.ended - call.sent) for call in calls]


def measure(rounds: int, seconds: float, lane: bool = False) -> Result:
    """Every figure of this module."""
    found: list[dict[str, tuple[float, float]]] = []
    settle()
    with Lab() as lab:
        provider = lab.provider()
        governed, off = Shape(lane=lane), Shape(governed=False, lane=lane)
        targets = [provider, lab.nginx(provider), lab.gateway(provider, governed), lab.gateway(provider, off)]
        for target in targets:
            uvloop.run(paced(target, 0.5))
        for _ in range(rounds):
            one = {}
            for target in targets:
                times = uvloop.run(paced(target, seconds))
                one[target.name] = (share(times, 0.5), share(times, 0.99))
            found.append(one)
    names = [target.name for target in targets]
    added = {name: [_added(found, name, at) for at in (0, 1)] for name in names}
    rows: list[list[Cell]] = [
        [name, *(median(one[name][at] for one in found) for at in (0, 1)), *added[name]] for name in names
    ]
    columns = ["target", "p50 ms", "p99 ms", "added p50 ms", "added p99 ms"]
    return Result(
        *named("overhead", "Added latency", lane),
        METHOD,
        goals=_goals(added["nginx"], added[governed.name], lane),
        tables=(Table(f"{RATE} calls/s, {rounds} rounds", columns, rows),),
        raw=found,
    )


def _goals(nginx: Sequence[float], governed: Sequence[float], lane: bool) -> Sequence[Goal]:
    if lane:
        p50, p99 = (ours / max(theirs, LEAST_MS) for ours, theirs in zip(governed, nginx, strict=True))
        return (
            Goal("added latency over nginx's, p50", p50, "at most", 2.0, aim=1.5),
            Goal("added latency over nginx's, p99", p99, "at most", 4.0, aim=2.0),
        )
    return (
        Goal("added latency, p50", governed[0], "at most", 0.6, "ms"),
        Goal("added latency, p99", governed[1], "at most", 2.5, "ms"),
    )


def _added(found: list[dict[str, tuple[float, float]]], name: str, at: int) -> float:
    return median(one[name][at] - one["direct"][at] for one in found)
