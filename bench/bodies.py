"""What large request bodies cost: conversations of 64 KB and 1 MB, through nginx unbuffered and through kpgate.

Owns the conversations and the ratios. Owns no load: wrk sends the same body again and again.
"""

import json
from dataclasses import asdict, dataclass
from statistics import median

from bench.load import PROMPT, Run
from bench.results import Cell, Goal, Result, Table, named
from bench.scale import watched
from bench.target import MODEL, Lab, Shape, Target

TURN_BYTES = 2000
WORDS = PROMPT.split()
METHOD = (
    f"Chat calls whose conversation is 64 KB and 1 MB of turns of {TURN_BYTES} bytes each, no two of them alike; wrk "
    "with 32 and 8 connections, one gateway worker and nginx on one core, load and provider on another. nginx with "
    "proxy_request_buffering and proxy_buffering off.",
    "Governed counts every call's tokens exactly. The same body comes again and again: its turns were counted before, "
    "as a conversation's earlier ones are, and are recalled. Ratios are of calls for each second of the target's CPU, "
    "within a round; the median over the rounds is given. The load's core writes and reads each body too: where a "
    "target is far from busy, calls/s are the load's.",
)


@dataclass(frozen=True)
class Size:
    """A body. Shape: `off` and `governed` are the least ratio to nginx and the one aimed at."""

    title: str
    body_bytes: int
    connections: int
    off: tuple[float, float]
    governed: tuple[float, float]


SIZES = (
    Size("64 KB", 64 * 1024, 32, (0.6, 0.9), (0.4, 0.6)),
    Size("1 MB", 1024 * 1024, 8, (0.6, 0.9), (0.25, 0.4)),
)


def conversation(body_bytes: int) -> bytes:
    """A chat request of that length, to the byte."""
    turns, words = list[dict[str, str]](), 0
    value = {"model": MODEL, "max_tokens": 64, "messages": turns}
    while (missing := body_bytes - len(json.dumps(value))) > 2 * TURN_BYTES:
        turns.append(_turn(len(turns), words))
        words += 7
    last = {"role": "user", "content": ""}
    turns.append(last)
    missing = body_bytes - len(json.dumps(value))
    last["content"] = (" ".join(WORDS) * (missing // len(PROMPT) + 1))[:missing]
    return json.dumps(value).encode()


def _turn(number: int, at: int) -> dict[str, str]:
    """A turn of prose that begins elsewhere in it each time and says its number."""
    at %= len(WORDS)
    text = f"Turn {number}: " + " ".join([*WORDS[at:], *WORDS[:at]]) + " "
    content = (text * (TURN_BYTES // len(text) + 1))[:TURN_BYTES]
    return {"role": "assistant" if number % 2 else "user", "content": content}


def play(size: Size, targets: list[Target], rounds: int, seconds: float) -> list[dict[str, Run]]:
    """Load the targets in turn, the order rotated each round."""
    body, found = conversation(size.body_bytes), list[dict[str, Run]]()
    for target in targets:
        watched(target, 1, body, size.connections)
    for number in range(rounds):
        turn = number % len(targets)
        order = [*targets[turn:], *targets[:turn]]
        found.append({one.name: watched(one, seconds, body, size.connections) for one in order})
    return found


def ratio(found: list[dict[str, Run]], over: str, under: str) -> float:
    """Median of the rounds' ratios of calls for each second of CPU."""
    return median(one[over].calls_per_cpu_s / one[under].calls_per_cpu_s for one in found)


def measure(rounds: int, seconds: float, lane: bool = False) -> Result:
    """Every figure of this module."""
    governed, off = Shape(lane=lane), Shape(governed=False, lane=lane)
    goals, tables, raw = [], [], {}
    with Lab() as lab:
        provider = lab.provider()
        nginx = lab.nginx(provider, buffering=False, request_buffering=False)
        targets = [nginx, lab.gateway(provider, off), lab.gateway(provider, governed)]
        for size in SIZES:
            found = play(size, targets, rounds, seconds)
            raw[size.title] = [{name: asdict(run) for name, run in one.items()} for one in found]
            for shape, (bound, aim) in ((off, size.off), (governed, size.governed)):
                value = ratio(found, shape.name, nginx.name)
                what = f"{shape.name} / {nginx.name} by CPU, {size.title}"
                goals.append(Goal(what, value, "at least", bound, aim=aim))
            tables.append(_table(size, found, [target.name for target in targets]))
    return Result(*named("bodies", "Large bodies", lane), METHOD, goals=goals, tables=tables, raw=raw)


def _table(size: Size, found: list[dict[str, Run]], names: list[str]) -> Table:
    rows: list[list[Cell]] = []
    for name in names:
        runs = [one[name] for one in found]
        rate, p99 = median(run.calls_per_s for run in runs), median(run.p99_ms for run in runs)
        cpu_us = 1e6 * median(run.cpu_s / run.calls for run in runs)
        rows.append([name, rate, rate * size.body_bytes / 1e6, p99, cpu_us, median(run.busy for run in runs)])
    columns = ["target", "calls/s", "MB/s", "p99 ms", "CPU us a call", "busy"]
    return Table(f"Bodies of {size.title}, {len(found)} rounds", columns, rows)
