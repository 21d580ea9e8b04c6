"""Load on gateways with credits: the clerk is held to the load's core, its CPU told apart.

Owns that split. Knows no figure's bound.
"""

import os
from dataclasses import asdict
from pathlib import Path
from time import monotonic

from bench.governed import Rounds, Series
from bench.load import load
from bench.processes import cpu_s, load_core
from bench.target import Target


def clerk_of(target: Target) -> int:
    """The process that holds the clerk's life lock."""
    return int((target.folder / "data" / "run" / "0.life").read_text())


def set_apart(target: Target) -> None:
    """Hold a target's clerk to the load's core, each of its threads."""
    core = load_core()
    if core is not None:
        for task in Path(f"/proc/{clerk_of(target)}/task").iterdir():
            os.sched_setaffinity(int(task.name), {int(core)})


def play(targets: list[Target], rounds: int, seconds: float) -> tuple[Series, dict[str, list[float]]]:
    """Rounds in turn, the order rotated; and the clerk's CPU seconds a call, of each target."""
    series = Series("A chat call of 0.5 KB")
    clerks: dict[str, list[float]] = {target.name: [] for target in targets}
    for target in targets:
        set_apart(target)
        load(target.url, target.key, 1, keys=target.keys)
    for number in range(rounds):
        turn = number % len(targets)
        found = {}
        for target in [*targets[turn:], *targets[:turn]]:
            clerk = clerk_of(target)
            rest = [pid for pid in target.pids() if pid != clerk]
            before, clerk_before, began = cpu_s(rest), cpu_s([clerk]), monotonic()
            run = load(target.url, target.key, seconds, keys=target.keys)
            used = cpu_s(rest) - before
            clerks[target.name].append((cpu_s([clerk]) - clerk_before) / run.calls)
            fields = asdict(run) | {"cpu_s": used, "busy": used / (monotonic() - began)}
            found[target.name] = type(run)(**fields)
        series.rounds.append(found)
    rounds_found: Rounds = series.rounds
    assert rounds_found, "at least one round"
    return series, clerks
