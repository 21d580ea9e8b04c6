"""Where a governed call's time goes: the gateway sampled under load, and the call in memory, phase by phase.

Owns what is shown and where it is written. Who samples, counts and stamps is elsewhere.
"""

import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from time import sleep

from bench import trunk
from bench.callgrind import Part, Unavailable
from bench.flame import draw
from bench.load import Run, load
from bench.processes import cpu_s
from bench.report import table
from bench.results import ROOT, Cell, Table
from bench.stacks import Stacks, collapsed, part, record, sampler, shares, system_calls
from bench.target import Lab, Shape, Target

FOLDER = ROOT / "build" / "profile"
LEAST_SHARE = 0.002
FUNCTIONS = 25
METHOD = (
    "`own`: code of this part; `with callees`: this part or what it called, so these do not add up.",
    "Where the processor's counters cannot be read, samples are taken by a timer's interrupt: what the kernel does "
    "with interrupts off then shows where it lets them in again (`finish_task_switch`, `_raw_spin_unlock_irqrestore`).",
    "`[python3]` are functions of an interpreter that was built without their names. py-spy sees no kernel: a system "
    "call is then its C function's.",
)
COUNTER = "instructions:u"


@dataclass(frozen=True)
class Profile:
    """What was found. Shape: `tables` in the order they are shown; `notes` say how each was got."""

    transport: str
    tool: str
    stacks: Stacks
    tables: list[Table]
    notes: list[str]

    def text(self) -> str:
        """The tables and notes, for people."""
        parts = [
            f"**{one.title}**\n\n{table(list(one.columns), [list(row) for row in one.rows])}"
            for one in self.tables
            if one.rows
        ]
        return "\n".join([*parts, "".join(f"- {note}\n" for note in self.notes)])

    def write(self, folder: Path) -> list[Path]:
        """The picture, the stacks and the tables."""
        folder.mkdir(parents=True, exist_ok=True)
        title = f"A governed call, transport {self.transport}, by {self.tool}"
        name = self.transport if self.tool == "perf" else f"{self.transport}.{self.tool}"
        files = {
            f"{name}.svg": draw(title, self.stacks, part),
            f"{name}.stacks.txt": collapsed(self.stacks),
            f"{name}.md": f"# {title}\n\n{self.text()}",
        }
        for file, text in files.items():
            (folder / file).write_text(text)
        return [folder / file for file in files]


def measure(transport: str, seconds: float, tool: str = "") -> Profile:
    """Every table of this module. Errors: bench.callgrind.Unavailable where there is nothing to sample with."""
    tool = tool or sampler()
    with Lab() as lab:
        target = lab.gateway(lab.provider(), Shape(lane=transport == "direct"))
        load(target.url, target.key, 1)
        before_s = cpu_s(target.pids())
        warm = load(target.url, target.key, 2)
        alone_us = 1e6 * (cpu_s(target.pids()) - before_s) / warm.calls
        runs: list[Run] = []
        pids = sorted(target.pids(), key=lambda pid: cpu_s([pid]))

        def loaded() -> None:
            # The sampler is attached a moment after it was started.
            sleep(0.3)
            before_s = cpu_s(pids)
            runs.append(load(target.url, target.key, seconds))
            used_s.append(cpu_s(pids) - before_s)

        used_s: list[float] = []
        stacks = record(tool, pids, seconds, loaded)
        cpu_us = 1e6 * used_s[0] / runs[0].calls
        whole, said = _instructions(target, pids, min(seconds, 3.0))
    notes = [
        f"{stacks.total()} samples by {tool} of {runs[0].calls:,} calls in {seconds:g} s, {cpu_us:.1f} us of CPU each "
        f"while it was sampled, {alone_us:.1f} us just before.",
        *METHOD,
        *said,
    ]
    tables = [_shares(stacks, cpu_us), _kernel(stacks, cpu_us), _functions(stacks, cpu_us)]
    phases, further = _phases(transport)
    return Profile(transport, tool, stacks, [*tables, *whole, *phases], [*notes, *further])


def _shares(stacks: Stacks, cpu_us: float) -> Table:
    rows: list[list[Cell]] = [
        [name, f"{own:.1%}", own * cpu_us, f"{below:.1%}"]
        for name, (own, below) in shares(stacks).items()
        if own >= LEAST_SHARE
    ]
    return Table("CPU by part", ["part", "own", "us a call", "with callees"], rows)


def _kernel(stacks: Stacks, cpu_us: float) -> Table:
    rows: list[list[Cell]] = [
        [name, f"{share:.1%}", share * cpu_us]
        for name, share in system_calls(stacks).items()
        if share >= LEAST_SHARE
    ]
    return Table("The kernel's part by system call", ["system call", "share", "us a call"], rows)


def _functions(stacks: Stacks, cpu_us: float) -> Table:
    own: Counter[tuple[str, str]] = Counter()
    for stack, count in stacks.items():
        own[part(stack[-1]), stack[-1].rpartition(" (")[0]] += count
    rows: list[list[Cell]] = []
    for (name, function), count in own.most_common(FUNCTIONS):
        share = count / stacks.total()
        rows.append([name, function, f"{share:.1%}", share * cpu_us])
    return Table("Functions", ["part", "function", "own", "us a call"], rows)


def _instructions(target: Target, pids: list[int], seconds: float) -> tuple[list[Table], list[str]]:
    """Instructions a call of the running gateway, where the processor's counters can be read."""
    if shutil.which("perf") is None:
        return [], ["The processor's counters need perf: instructions are callgrind's alone."]
    asked = ["perf", "stat", "-x", ",", "-e", COUNTER]
    tried = subprocess.run([*asked, "true"], capture_output=True, text=True, check=False)
    if _counted(tried.stderr) is None:
        return [], ["The processor's counters cannot be read here: instructions are callgrind's alone."]
    with subprocess.Popen(
        [*asked, "-p", ",".join(map(str, pids)), "--timeout", str(round(seconds * 1000))],
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        run = load(target.url, target.key, seconds)
        found = _counted(child.communicate(timeout=60)[1])
    if found is None:
        return [], ["perf stat counted nothing of the gateway."]
    rows: list[list[Cell]] = [["the running gateway, in user mode", round(found / run.calls)]]
    return [Table("Instructions a call", ["what", "instructions"], rows)], []


def _counted(said: str) -> int | None:
    """What `perf stat -x ,` counted."""
    for line in said.splitlines():
        fields = line.split(",")
        if len(fields) > 2 and fields[2].startswith("instructions") and fields[0].isdigit():
            return int(fields[0])
    return None


def _phases(transport: str) -> tuple[list[Table], list[str]]:
    """A call in memory by phase, in time and, with valgrind, in instructions; and those by part."""
    taken = trunk.timed(transport)
    calls: dict[str, float] = {}
    places: list[Table] = []
    notes = [
        "A call in memory: the real gateway, configured as above, between transports that go nowhere; "
        + CARRIERS[transport]
    ]
    try:
        whole, calls = trunk.counted(transport)
    except Unavailable as error:
        notes.append(f"No instructions: {error}.")
    else:
        calls[trunk.WHOLE] = whole.total / trunk.COUNTED_CALLS
        places.append(_places(whole))
    inside = sum(taken[name] for name in trunk.ORDER)
    counted = sum(calls.get(name, 0.0) for name in trunk.ORDER)
    rows: list[list[Cell]] = []
    for name in trunk.ORDER:
        count = calls.get(name)
        rows.append(
            [
                str(name),
                taken[name] / 1000,
                f"{taken[name] / inside:.1%}",
                None if count is None else round(count),
                None if count is None else f"{count / counted:.1%}",
            ]
        )
    rows.append(["all of them", inside / 1000, "", round(counted) if calls else None, ""])
    outer = round(calls[trunk.WHOLE]) if calls else None
    rows.append(["a call without stamps, and what carries it", taken[trunk.WHOLE] / 1000, "", outer, ""])
    columns = ["phase", "us", "share", "instructions", "share of them"]
    return [Table("A call in memory, by phase", columns, rows), *places], notes


CARRIERS = {
    "granian": "the client's side is a plain Python exchange, so a server's own work is not in it.",
    "direct": "the client's side is the compiled lane, from the request's bytes to the reply's.",
}


def _places(whole: Part) -> Table:
    by_part: dict[str, int] = {}
    for (file, function), count in whole.places.items():
        name = part(f"{function} ({file})")
        by_part[name] = by_part.get(name, 0) + count
    rows: list[list[Cell]] = [
        [name, round(count / trunk.COUNTED_CALLS), f"{count / whole.total:.1%}"]
        for name, count in sorted(by_part.items(), key=lambda one: -one[1])
        if count / whole.total >= LEAST_SHARE / 4
    ]
    return Table("A call in memory, instructions by part", ["part", "instructions", "share"], rows)
