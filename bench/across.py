"""What it costs to ask in one dialect what was asked in another: OpenAI in, Anthropic out, beside OpenAI both ways.

Owns the pairs: one gateway, one provider, one request in which the model's name alone differs. Targets, load and
streams are made elsewhere.
"""

from dataclasses import asdict
from statistics import median

import uvloop

from bench.governed import watched
from bench.load import Run, chat
from bench.processes import settle
from bench.results import Cell, Goal, Result, Table, named
from bench.stream import FEW, RATE, Held, hold, model_for
from bench.target import MODEL, Lab, Shape, Target

ACROSS = "claude"
STREAMS = 500
SAME, OTHER = "the same dialect", "across"
METHOD = (
    "One governed gateway worker on one core; load (wrk, 64 connections; for streams our own client) and the fake "
    "provider on another. The same request twice, but for the model's name: one is a model of the provider that speaks "
    "OpenAI's dialect, whose bytes go through, the other of one that speaks Anthropic's.",
    "Whole: in turn, the order changed each round; a ratio of calls for each second of the gateway's CPU is taken "
    "within each round. Streams: CPU for each chunk that came; the first byte with few streams open.",
)


def whole(target: Target, rounds: int, seconds: float) -> list[dict[str, Run]]:
    """Both kinds of calls in turn. Errors: bench.load.Failed at the first call that fails."""
    bodies = {SAME: chat(MODEL), OTHER: chat(ACROSS)}
    for body in bodies.values():
        watched(target, 1, body=body)
    found = []
    for number in range(rounds):
        order = [SAME, OTHER] if number % 2 else [OTHER, SAME]
        found.append({name: watched(target, seconds, body=bodies[name]) for name in order})
    return found


def streamed(target: Target, models: dict[str, str], rounds: int, count: int) -> dict[str, list[Held]]:
    """So many streams of both kinds in turn. Errors: bench.load.Failed if one ends or is short of chunks."""
    found: dict[str, list[Held]] = {}
    for _ in range(rounds):
        for name, model in models.items():
            found.setdefault(name, []).append(uvloop.run(hold(target, model, 3, count)))
    return found


def measure(rounds: int, seconds: float, lane: bool = False) -> Result:
    """Every figure of this module."""
    settle()
    streaming = model_for(3)
    models = {SAME: streaming, OTHER: streaming.replace("stream", ACROSS)}
    with Lab() as lab:
        shape = Shape(lane=lane, models=(streaming,), across=(ACROSS, models[OTHER]))
        target = lab.gateway(lab.provider(), shape)
        calls = whole(target, rounds, seconds)
        fewer = max(3, rounds // 3)
        many = streamed(target, models, fewer, STREAMS)
        few = streamed(target, models, fewer, FEW)
    ratio = median(one[OTHER].calls_per_cpu_s / one[SAME].calls_per_cpu_s for one in calls)
    chunks = median(same.cpu_us / other.cpu_us for same, other in zip(many[SAME], many[OTHER], strict=True))
    added = median(
        other.first_p50_ms - same.first_p50_ms for same, other in zip(few[SAME], few[OTHER], strict=True)
    )
    goals = (
        Goal("whole replies across / same dialect, by CPU", ratio, "at least", 0.75),
        Goal("streamed chunks across / same dialect, by CPU", chunks, "at least", 0.5),
        Goal("first byte added across", added, "at most", 1.0, "ms"),
    )
    rows: list[list[Cell]] = []
    for name in (SAME, OTHER):
        runs = [one[name] for one in calls]
        rows.append(
            [
                name,
                round(median(run.calls_per_s for run in runs)),
                1e6 * median(run.cpu_s / run.calls for run in runs),
                median(one.cpu_us for one in many[name]),
                median(one.first_p50_ms for one in few[name]),
            ]
        )
    columns = ["provider asked in", "calls/s", "CPU us a call", "CPU us a chunk", "first byte p50 ms"]
    table = Table(f"{rounds} rounds; {STREAMS} and {FEW} streams of {RATE} chunks a second", columns, rows)
    raw = {
        "whole": [{name: asdict(run) for name, run in one.items()} for one in calls],
        "streams": {name: [vars(one) for one in held] for name, held in many.items()},
    }
    return Result(*named("across", "Across dialects", lane), METHOD, goals=goals, tables=[table], raw=raw)
