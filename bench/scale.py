"""What a second worker brings, what a huge prompt does to the others, and what many keys and models cost a call.

Owns the three comparisons. CPU is that of all the gateway's processes.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import monotonic

import uvloop

from bench.client import share
from bench.huge import HUGE_BYTES
from bench.load import CONNECTIONS, Failed, Run, load, of_a_second
from bench.overhead import paced
from bench.processes import cpu_s, load_core, running, settle, until, yielding
from bench.results import Cell, Goal, Result, Table, named
from bench.target import HUGE_PATH, PATH, Lab, Shape, Target

MODELS = 1000
METHOD = (
    "Two workers against one, both free to use every core: chat calls of 0.5 KB by wrk, calls for each second of the "
    "gateway's CPU, in turn, a second each: what else a virtual machine's host does changes within seconds.",
    f"A prompt of {HUGE_BYTES // 1_000_000} MB on one connection, sent again as soon as it is answered, while 500 "
    "small calls a second are made; their p99 with and without it. Who sends it, and the provider of its own that "
    "answers it, have the load's core when nobody else there wants it. The same past the gateway and through nginx "
    "shows what the load's core adds all the same.",
    f"{MODELS} models beside one: CPU a call of the same calls, in turn.",
)


def watched(target: Target, seconds: float, body: bytes = b"", connections: int = CONNECTIONS) -> Run:
    """Load a target. Shape: with its CPU; the usual chat call if `body` is empty."""
    before, began = cpu_s(target.pids()), monotonic()
    run = load(target.url, target.key or "none", seconds, body=body, connections=connections)
    used = cpu_s(target.pids()) - before
    return replace(run, cpu_s=used, busy=used / (monotonic() - began))


def in_turn(targets: Sequence[Target], rounds: int, seconds: float) -> list[list[Run]]:
    """Runs of each target."""
    found: list[list[Run]] = [[] for _ in targets]
    for target in targets:
        load(target.url, target.key, 1)
    for _ in range(rounds):
        for runs, target in zip(found, targets, strict=True):
            runs.append(watched(target, seconds))
    return found


def ratio(over: list[Run], under: list[Run]) -> float:
    """Median of the rounds' ratios of calls for each second of CPU."""
    return median(one.calls_per_cpu_s / other.calls_per_cpu_s for one, other in zip(over, under, strict=True))


def beside_huge(target: Target, way: tuple[int, str], seconds: float, said: Path) -> tuple[list[float], int]:
    """Small calls while huge prompts come back to back. Shape: `way` is the port and the path of huge prompts;
    milliseconds a call; huge calls answered.

    Errors: Failed if a huge call was refused.
    """
    port, path = way
    command = [sys.executable, "-m", "bench.huge", str(port), path, target.key or "none"]
    with running(yielding(command), load_core(), said) as child:
        until(lambda: said.stat().st_size > 0, child, "the sender of huge prompts")
        before = said.stat().st_size
        times = uvloop.run(paced(target, seconds))
        answered = said.stat().st_size - before
        if child.poll() is not None:
            raise Failed(f"{target.name}: a huge prompt failed: {said.read_text()[-200:]}")
    return times, answered


def huge_prompts(
    target: Target, way: tuple[int, str], rounds: int, seconds: float, said: Path
) -> list[float]:
    """The p99 of small calls alone and beside huge ones, and huge calls a second. Units: milliseconds."""
    alone, beside, huge = [], [], 0
    for _ in range(rounds):
        alone.append(share(uvloop.run(paced(target, seconds)), 0.99))
        times, count = beside_huge(target, way, seconds, said)
        beside.append(share(times, 0.99))
        huge += count
    return [median(alone), median(beside), huge / rounds / seconds]


def measure(rounds: int, seconds: float, lane: bool = False) -> Result:
    """Every figure of this module."""
    settle()
    shape = Shape(lane=lane)
    many = tuple(f"model-{number}" for number in range(MODELS - 1))
    with Lab() as lab:
        provider = lab.provider()
        pair = [lab.gateway(provider, replace(shape, workers=count, pinned=False)) for count in (1, 2)]
        one, two = in_turn(pair, of_a_second(rounds, seconds), 1)
    with Lab() as lab:
        provider = lab.provider()
        pair = [lab.gateway(provider, shape), lab.gateway(provider, replace(shape, models=many))]
        few, lots = in_turn(pair, rounds, seconds)
    with Lab() as lab:
        provider, huge = lab.provider(), lab.provider(yields=True).port
        nginx, gateway = lab.nginx(provider, huge=huge), lab.gateway(provider, replace(shape, huge=huge))
        ways = ((provider, huge, PATH), (nginx, nginx.port, HUGE_PATH), (gateway, gateway.port, PATH))
        beside = {
            target.name: huge_prompts(target, (port, path), rounds, seconds, lab.folder / "huge")
            for target, port, path in ways
        }
    rows: list[list[Cell]] = [
        [name, median(run.calls_per_s for run in runs), 1e6 * median(run.cpu_s / run.calls for run in runs)]
        for name, runs in (
            ("1 worker", one),
            ("2 workers", two),
            ("1 model", few),
            (f"{MODELS} models", lots),
        )
    ]
    prompts: list[list[Cell]] = [[name, *figures] for name, figures in beside.items()]
    alone_ms, beside_ms, _ = beside[shape.name]
    return Result(
        *named("scale", "Scale", lane),
        METHOD,
        goals=(
            Goal(
                "2 workers / 1, calls per CPU-second",
                ratio(two, one),
                "at least",
                0.9,
                aim=1.0 if lane else None,
            ),
            Goal("rise of p99 beside 10 MB prompts", beside_ms - alone_ms, "at most", 10, "ms"),
            Goal(f"CPU a call, {MODELS} models / 1", ratio(few, lots), "at most", 1.05),
        ),
        tables=(
            Table(
                f"Workers, {len(one)} rounds, and models, {len(few)} rounds",
                ["gateway", "calls/s", "CPU us a call"],
                rows,
            ),
            Table(
                "500 small calls/s", ["target", "p99 ms alone", "p99 ms beside huge", "huge calls/s"], prompts
            ),
        ),
    )
