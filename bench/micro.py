"""What each compiled module costs a governed call: nanoseconds an operation, and instructions by callgrind.

Owns the measuring; the operations are `bench/operations.py`'s. Run as a module it is counted by callgrind.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from timeit import Timer

from bench.callgrind import count, mark
from bench.operations import OPERATIONS, Operation
from bench.results import Cell, Result, Table

METHOD = (
    "One thread; each operation runs for about 2 ms a round, all of them in turn, and the median of the rounds is "
    "taken, less what an empty function takes. The operations are those that a call makes, most of them once.",
    "Instructions are counted by callgrind: the difference of two run lengths, less an empty function's. They do not "
    "depend on the machine's mood, and hardly on the machine; they say nothing of memory that is far away.",
)
ROUND_S = 0.002
COUNTED = 50
WARM = 20
EMPTY = Operation("empty", lambda: None)

Row = tuple[str, Operation]


@contextmanager
def operations() -> Iterator[list[Row]]:
    """Every operation, by module, an empty one first. They share folders that are gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        rows: list[Row] = [("", EMPTY)]
        for module, make in OPERATIONS.items():
            own = Path(folder, module)
            own.mkdir()
            rows += [(module, one) for one in make(own)]
        yield rows


def times(rows: list[Row], rounds: int) -> list[list[float]]:
    """Each operation's rounds. Units: nanoseconds an operation, the call of it included."""
    timers = [Timer(one.work) for _, one in rows]
    numbers: list[int] = []
    for timer in timers:
        number, taken = timer.autorange()
        numbers.append(max(1, round(number * ROUND_S / taken)))
    found: list[list[float]] = [[] for _ in rows]
    for _ in range(rounds):
        for timer, number, kept in zip(timers, numbers, found, strict=True):
            kept.append(timer.timeit(number) / number * 1e9)
    return found


def instructions() -> list[float]:
    """Each operation's instructions, in the same order. Errors: bench.callgrind.Unavailable."""
    totals = [part.total for part in count("bench.micro")[0]]
    # Three parts an operation: COUNTED times, twice as often, and the way to the next one, which the last has not.
    return [(double - single) / COUNTED for single, double in zip(totals[::3], totals[1::3], strict=True)]


def measure(rounds: int, counting: bool) -> Result:
    """Every figure of this module."""
    counts: list[float] = instructions() if counting else []
    with operations() as rows:
        found = times(rows, rounds)
    medians = [median(kept) for kept in found]
    table: list[list[Cell]] = []
    for at, (module, one) in enumerate(rows[1:], 1):
        row: list[Cell] = [f"`{module}`", one.name, max(0.0, medians[at] - medians[0])]
        row.append(max(0, round(counts[at] - counts[0])) if counts else None)
        table.append(row)
    return Result(
        "micro",
        "Compiled modules",
        METHOD,
        tables=(
            Table(f"An operation, {rounds} rounds", ["module", "operation", "ns", "instructions"], table),
        ),
        notes=(f"An empty function: {medians[0]:.1f} ns, taken off.",),
        raw={
            f"{module} {one.name}".strip(): [round(each, 1) for each in kept]
            for (module, one), kept in zip(rows, found, strict=True)
        },
    )


def main() -> None:
    """What callgrind counts: each operation so often, and twice as often."""
    with operations() as rows:
        for _, one in rows:
            work = one.work
            for _ in range(WARM):
                work()
            for number in (COUNTED, 2 * COUNTED):
                mark()
                for _ in range(number):
                    work()
            mark()


if __name__ == "__main__":
    main()
