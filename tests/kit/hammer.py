"""A process that takes and gives back limits for all it is worth, until it is killed.

Run: `python -m tests.kit.hammer REGION FOLDER SEAT ROUNDS MODE`. It prints a line when it starts and, in the
modes that end, what it was admitted.
"""

import sys
import time

from kpgate._fast.commit import DEPLOYMENT, KEY, MODEL, PARTY, Life, Region, Seat
from kpgate._fast.limit import BUSY, DONE, Gate, Limits, Verdict
from kpgate._fast.metric import Shard

TERMS = {
    # A bucket that hardly fills again: what is missing was taken.
    "request_units": 1,
    "request_window_us": 1 << 42,
    "request_burst": 1 << 40,
    "token_units": 1,
    "token_window_us": 1 << 42,
    "token_burst": 1 << 40,
    "concurrency_max": 1000,
}
FIXED = tuple(Gate(scope, 1, **TERMS) for scope in (KEY, PARTY, MODEL))
CANDIDATES = (Gate(DEPLOYMENT, 1, **TERMS),)
SCARCE = (Gate(KEY, 2, concurrency_max=37),)


def hammer(limits: Limits, shard: Shard, rounds: int) -> None:
    """Admit and settle, counting each admission."""
    counted = shard.counter("admitted")
    verdict = Verdict()
    for i in range(rounds):
        while limits.admit(1000, FIXED, CANDIDATES, 7, verdict) != DONE:
            pass
        counted.add(1)
        while limits.settle(1000, verdict.call, 3 if i % 2 else 11) == BUSY:
            pass


def grab(limits: Limits, rounds: int) -> int:
    """Take places and keep them."""
    verdict = Verdict()
    got = 0
    for _ in range(rounds):
        while (outcome := limits.admit(1000, SCARCE, (), 0, verdict)) == BUSY:
            pass
        got += outcome == DONE
    return got


def main() -> None:
    region_path, folder, index, rounds, mode = sys.argv[1:]
    region = Region.open(region_path)
    life = Life.obtain(folder, int(index))
    assert life is not None
    seat = Seat(region, life)
    limits = Limits(region, seat, 60_000_000)
    ended = limits.end_dead(1000, life)
    while ended < 0:
        ended = limits.end_dead(1000, life)
    print("ready", flush=True)
    if mode == "hammer":
        hammer(limits, Shard(region, int(index)), int(rounds))
    elif mode == "grab":
        print(grab(limits, int(rounds)), flush=True)
    elif mode == "hold":
        # Takes the lock and then never gives it back.
        seat.stores_left = 5
        seat.publish(1, 1)
        print("holding", flush=True)
        time.sleep(60)
    elif mode == "rest":
        time.sleep(60)


if __name__ == "__main__":
    main()
