"""A process that holds and ends for all it is worth, until it is killed.

Run: `python -m tests.kit.cashier REGION FOLDER SEAT ROUNDS MODE`. It prints a line when it is ready, begins when it is
sent one and, in the mode that ends, prints how many holds it was given.
"""

import random
import sys
import time
from pathlib import Path

from kpgate._fast.commit import Life, Region, Seat
from kpgate._fast.credit import BUSY, DONE, Credit, Decision, Purse
from kpgate._fast.journal import Journal

PRICE = 7
LIFE_US = 60_000_000
# A purse of which all can pay, and one of which only some can.
RICH = (Purse(1, (1, 2)), Purse(2, (2,)), Purse(3))
SCARCE = Purse(4, (4,))


def work(credit: Credit, journal: Journal, chance: random.Random) -> None:
    """Hold, extend, meter and end, with up to five open at a time."""
    now_us = 1_000
    decision = Decision()
    mine: list[int] = []
    while True:
        now_us += 10
        if len(mine) < 5 and chance.random() < 0.6:
            if credit.hold(now_us, 0, chance.choice(RICH), chance.randint(1, 50), b"note", decision) == DONE:
                mine.append(decision.handle)
        elif mine:
            handle = mine[chance.randrange(len(mine))]
            act = chance.randrange(5)
            if act == 0:
                credit.extend(now_us, 0, handle, chance.randint(1, 9))
            elif act == 1:
                credit.meter(handle, chance.randint(0, 60))
            else:
                mine.remove(handle)
                while (
                    credit.void(now_us, handle, 9, b"")
                    if act == 2
                    else credit.post(now_us, handle, chance.randint(0, 60), 0, b"usage")
                ) == BUSY:
                    pass
        journal.flush(journal.tail)
        # The journal that is ready is to last for the test.
        if now_us % 80 == 0:
            time.sleep(0.0001)


def grab(credit: Credit, rounds: int) -> int:
    """Hold the same again and again, and keep it."""
    decision = Decision()
    got = 0
    for _ in range(rounds):
        while (code := credit.hold(1_000, 0, SCARCE, PRICE, b"", decision)) == BUSY:
            pass
        got += code == DONE
    return got


def main() -> None:
    region_path, folder, index, rounds, mode = sys.argv[1:]
    region = Region.open(region_path)
    life = Life.obtain(folder, int(index))
    assert life is not None
    seat = Seat(region, life)
    journal = Journal(region, seat, Path(folder) / "journal")
    credit = Credit(region, seat, journal, LIFE_US)
    while credit.end_dead(1_000, life) < 0:
        pass
    print("ready", flush=True)
    sys.stdin.readline()
    if mode == "work":
        work(credit, journal, random.Random(int(index)))
    else:
        print(grab(credit, int(rounds)), flush=True)


if __name__ == "__main__":
    main()
