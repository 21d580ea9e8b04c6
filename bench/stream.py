"""What a streamed chunk costs the gateway, and how much later the first byte comes.

Owns the opening of the streams and the window in which chunks and CPU are counted.
"""

import asyncio
import json
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import uvloop

from bench.client import Call, Pool, request, share
from bench.load import PROMPT, Failed
from bench.processes import cpu_s, settle
from bench.results import Cell, Goal, Result, Table, named
from bench.target import Lab, Shape, Target

STREAMS = 1000
RATE = 20
FEW = 200
RAMP_S = 4.0
BOUNDS = {False: (2.0, 1.6), True: (2.0, 1.6)}
LANE_BOUNDS = {False: (1.5, 1.2), True: (1.7, 1.4)}
METHOD = (
    f"{STREAMS} streams of {RATE} chunks a second, opened over {RAMP_S:.0f} s, then held; one gateway worker on one "
    "core, client and provider on another. nginx with proxy_buffering off. CPU a chunk is the CPU of all the "
    "target's processes over the chunks that reached the client in the window.",
    "First byte added is the median of the streams' first bytes less the direct one. On two cores client and provider "
    f"of {STREAMS} streams want more than the one core they have, and the first bytes of those wait for them; so it "
    f"is also taken at {FEW} streams, and that is the figure compared with its bound. Every stream needs a connection "
    "to the provider of its own, and behind TLS a handshake: nginx's first byte waits for it, kpgate opens one ahead "
    "(`preconnect`) once eight are in use.",
)


@dataclass
class Held:
    """A target under streams. Units: microseconds of CPU a chunk; milliseconds to the first byte."""

    cpu_us: float
    first_p50_ms: float
    first_p99_ms: float
    chunks_per_s: float


def streaming(model: str) -> bytes:
    """A chat request that streams."""
    message = {"role": "user", "content": PROMPT}
    return json.dumps({"model": model, "stream": True, "messages": [message]}).encode()


def model_for(seconds: float) -> str:
    """A model whose streams outlive a run of that length."""
    return f"stream-{round(RATE * (RAMP_S + seconds) * 2) + RATE}-{RATE}"


async def opened(pool: Pool, calls: list[Call], message: bytes, over_s: float) -> None:
    """Begin the calls evenly over that time."""
    began = perf_counter()
    for number, call in enumerate(calls):
        ahead = began + number / len(calls) * over_s - perf_counter()
        if ahead > 0.001:
            await asyncio.sleep(ahead)
        pool.begin(message, call)


async def hold(target: Target, model: str, seconds: float, streams: int = STREAMS) -> Held:
    """Open the streams and watch them. Errors: Failed if one ends or is short of chunks."""
    pool = Pool(target, target.context())
    await pool.connect(streams)
    calls = [Call() for _ in range(streams)]
    try:
        await opened(pool, calls, request(target, streaming(model)), RAMP_S)
        await asyncio.sleep(0.5)
        pids = target.pids()
        used, seen, began = cpu_s(pids), sum(call.chunks for call in calls), perf_counter()
        await asyncio.sleep(seconds)
        lasted = perf_counter() - began
        used, seen = cpu_s(pids) - used, sum(call.chunks for call in calls) - seen
        if pool.failed or pool.open != streams:
            raise Failed(f"{target.name}: {pool.failed or 'streams ended early'}")
    finally:
        pool.close()
    if seen < 0.9 * streams * RATE * lasted:
        raise Failed(f"{target.name}: {seen} chunks came of {streams * RATE * lasted:.0f}")
    first = [1000 * (call.first - call.sent) for call in calls]
    return Held(used / seen * 1e6, share(first, 0.5), share(first, 0.99), seen / lasted)


def compare(tls: bool, rounds: int, seconds: float, streams: int, lane: bool) -> dict[str, list[Held]]:
    """Direct, nginx and kpgate in turn, before a provider with or without TLS."""
    model = model_for(seconds)
    found: dict[str, list[Held]] = {}
    with Lab() as lab:
        provider = lab.provider(tls=tls)
        targets = [
            provider,
            lab.nginx(provider, buffering=False),
            lab.gateway(provider, Shape(models=(model,), lane=lane)),
        ]
        for _ in range(rounds):
            for target in targets:
                found.setdefault(target.name, []).append(uvloop.run(hold(target, model, seconds, streams)))
    return found


def measure(rounds: int, seconds: float, lane: bool = False) -> Result:
    """Every figure of this module."""
    settle()
    ours, bounds = Shape(lane=lane).name, LANE_BOUNDS if lane else BOUNDS
    goals, tables, raw = [], [], {}
    for tls in (False, True):
        beside = "the provider behind TLS" if tls else "plain"
        found = compare(tls, rounds, seconds, STREAMS, lane)
        few = compare(tls, rounds, 1, FEW, lane)
        raw[beside] = {name: [vars(one) for one in held] for name, held in found.items()}
        pairs = zip(found[ours], found["nginx unbuffered"], strict=True)
        ratio = median(one.cpu_us / nginx.cpu_us for one, nginx in pairs)
        bound, aim = bounds[tls]
        goals.append(Goal(f"CPU a chunk over nginx's, {beside}", ratio, "at most", bound, aim=aim))
        added = _added(few, ours)
        goals.append(Goal(f"first byte added, {beside}", added, "at most", 1.0, "ms"))
        tables += [_table(f"{STREAMS} streams, {beside}", found), _table(f"{FEW} streams, {beside}", few)]
    return Result(*named("stream", "Streamed chunks", lane), METHOD, goals=goals, tables=tables, raw=raw)


def _table(title: str, found: dict[str, list[Held]]) -> Table:
    rows: list[list[Cell]] = []
    for name, held in found.items():
        figures = [median(one.cpu_us for one in held), median(one.chunks_per_s for one in held)]
        first = [median(one.first_p50_ms for one in held), median(one.first_p99_ms for one in held)]
        rows.append([name, *figures, *first, _added(found, name)])
    columns = ["target", "CPU us a chunk", "chunks/s", "first byte p50 ms", "p99 ms", "added p50 ms"]
    return Table(title, columns, rows)


def _added(found: dict[str, list[Held]], name: str) -> float:
    pairs = zip(found[name], found["direct"], strict=True)
    return median(one.first_p50_ms - direct.first_p50_ms for one, direct in pairs)
