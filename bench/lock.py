"""How dear the one lock of a node is: the pair of commits a call needs, waits for it, how long it is held.

Run: `python -m bench.lock [seconds a run]`. Prints JSON. What the figures decide stands in
docs/decisions/0001-one-lock.md.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from kpgate._fast import limit
from kpgate._fast.commit import DEPLOYMENT, KEY, MODEL, PARTY, Life, Region, Seat
from kpgate._fast.limit import DONE, Gate, Limits, Verdict

TERMS = {
    "request_units": 10**9,
    "request_window_us": 60_000_000,
    "request_burst": 10**9,
    "token_units": 10**11,
    "token_window_us": 60_000_000,
    "token_burst": 10**11,
    "concurrency_max": 100_000,
}
PAIRS_A_LOOK = 200
# A worker's whole budget for a call, of which the commits are a part.
PACE_US = 40


def pairs(limits: Limits, number: int, seconds: float, pace_us: int) -> tuple[int, int]:
    """Admit and settle calls of four gates, three of them everybody's. Shape: (pairs, nanoseconds)."""
    fixed = (Gate(KEY, number, **TERMS), Gate(PARTY, 1, **TERMS), Gate(MODEL, 1, **TERMS))
    candidates = (Gate(DEPLOYMENT, 1, **TERMS),)
    verdict = Verdict()
    clock = time.perf_counter_ns
    start_ns = clock()
    end_ns = start_ns + int(seconds * 1e9)
    done = 0
    while (now_ns := clock()) < end_ns:
        now_us = now_ns // 1000
        for _ in range(PAIRS_A_LOOK):
            if limits.admit(now_us, fixed, candidates, 500, verdict) == DONE:
                limits.settle(now_us, verdict.call, 420)
                done += 1
            if pace_us:
                until_ns = clock() + pace_us * 1000
                while clock() < until_ns:
                    pass
    return done, clock() - start_ns


def work(path: str, folder: str, index: int, seconds: float, pace_us: int) -> None:
    """One process's part; it starts when told and prints its figures."""
    region = Region.open(path)
    life = Life.obtain(folder, index)
    assert life is not None
    seat = Seat(region, life)
    # So that a wait is measured whole, and not cut where a worker would answer "busy".
    seat.patience_us = 10_000_000
    limits = Limits(region, seat, 60_000_000)
    pairs(limits, index, 0.05, 0)
    warm = seat.waits
    print("ready", flush=True)
    sys.stdin.readline()
    done, took_ns = pairs(limits, index, seconds, pace_us)
    waits = [after - before for after, before in zip(seat.waits, warm, strict=True)]
    seat.timed = True
    pairs(limits, index, seconds, pace_us)
    print(
        json.dumps({"pairs": done, "ns": took_ns, "waits": waits, "hold_ns_max": seat.hold_ns_max}),
        flush=True,
    )


def quantile_ns(waits: list[int], commits: int, share: float) -> int:
    """The wait that this share of all commits stayed within, to the next power of two; 0: none."""
    beyond = commits * (1 - share)
    above = 0
    for n in reversed(range(len(waits))):
        above += waits[n]
        if above > beyond:
            return 1 << (n + 1)
    return 0


def run(processes: int, seconds: float, pace_us: int = 0) -> dict[str, Any]:
    """The same work by so many processes at once, on one region."""
    with tempfile.TemporaryDirectory() as folder:
        region = Region.create(limit.areas(), 16)
        command = [sys.executable, "-m", "bench.lock", "--worker", region.path, folder]
        workers = [
            subprocess.Popen(
                [*command, str(index), str(seconds), str(pace_us)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for index in range(processes)
        ]
        try:
            for worker in workers:
                assert worker.stdout is not None
                assert worker.stdout.readline() == "ready\n"
            for worker in workers:
                assert worker.stdin is not None
                worker.stdin.write("go\n")
                worker.stdin.flush()
            parts = [json.loads(worker.communicate()[0]) for worker in workers]
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()
    done = sum(part["pairs"] for part in parts)
    waits = [sum(column) for column in zip(*(part["waits"] for part in parts), strict=True)]
    return {
        "processes": processes,
        "pace_us": pace_us,
        "pairs_per_s": round(sum(part["pairs"] / part["ns"] * 1e9 for part in parts)),
        "pair_ns": None if pace_us else round(sum(part["ns"] for part in parts) / done),
        "waited_share": round(sum(waits) / (2 * done), 6),
        "wait_ns_p99": quantile_ns(waits, 2 * done, 0.99),
        "wait_ns_p9999": quantile_ns(waits, 2 * done, 0.9999),
        "wait_ns_max": quantile_ns(waits, 2 * done, 1.0),
        "hold_ns_max": max(part["hold_ns_max"] for part in parts),
    }


def write_hard(folder: str) -> None:
    """Write and sync until killed."""
    block = os.urandom(1 << 20)
    with Path(folder, "filler").open("wb", buffering=0) as file:
        while True:
            for _ in range(64):
                file.write(block)
            os.fdatasync(file.fileno())
            file.seek(0)


def measure(seconds: float = 1.0) -> dict[str, Any]:
    """All runs. Units: nanoseconds and pairs a second; waits are rounded up to a power of two."""
    runs = [run(processes, seconds) for processes in (1, 2, 4)]
    paced = [run(processes, seconds, PACE_US) for processes in (1, 2, 4)]
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        writer = subprocess.Popen([sys.executable, "-m", "bench.lock", "--writer", folder])
        try:
            under_disk = run(2, seconds, PACE_US)
        finally:
            writer.kill()
            writer.wait()
    return {
        "machine": {"cores": os.cpu_count(), "system": platform.system(), "architecture": platform.machine()},
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
        "seconds_a_run": seconds,
        "gates_a_call": 4,
        "saturated": runs,
        "paced": paced,
        "paced_under_disk_writes": under_disk,
    }


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        path, folder, index, seconds, pace_us = sys.argv[2:]
        work(path, folder, int(index), float(seconds), int(pace_us))
    elif sys.argv[1:2] == ["--writer"]:
        write_hard(sys.argv[2])
    else:
        print(json.dumps(measure(*map(float, sys.argv[1:])), indent=1))


if __name__ == "__main__":
    main()
