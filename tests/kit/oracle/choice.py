"""`_fast.choice` in plain Python: the order of candidates, given how each is doing."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

MASK = (1 << 64) - 1
WELL, BACK, HALF_OPEN, LIMITED, SPENT, EJECTED, ILL = range(7)
WEIGHTED, COST, LATENCY, LEAST_BUSY = range(4)


def mix(x: int) -> int:
    """The end of splitmix64."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def fraction(x: int) -> float:
    """Above 0 and below 1."""
    return ((x >> 11) + 0.5) / 9007199254740992.0


@dataclass
class One:
    """A candidate: what is configured, and how it is doing."""

    priority: int = 0
    weight: int = 1
    canary: int = 0
    group: int = 0
    identity: int = 0
    cost: float = 0.0
    open: int = 0
    latency: float = 0.0
    state: int = WELL
    share: int = 100


class OracleChoice:
    """The candidates of one model."""

    def __init__(
        self, ones: Sequence[One], strategy: int = WEIGHTED, sticky: bool = False, panic_percent: int = 0
    ) -> None:
        self.ones = list(ones)
        self.strategy = strategy
        self.sticky = sticky
        self.panic_percent = panic_percent
        self.turn = 0

    def order(self, random: int, eligible: int, session: int = 0) -> tuple[int, ...]:
        """The candidates to try, first to last. No probe is ever to be had."""
        shy: set[int] = set()
        while True:
            out = self._decide(random, eligible, session, shy)
            if not out or out[0] in shy or self.ones[out[0]].state != HALF_OPEN:
                return tuple(out)
            shy.add(out[0])

    def _decide(self, random: int, eligible: int, session: int, shy: set[int]) -> list[int]:
        self._state = random
        first: list[int] = []
        well: list[int] = []
        waiting: list[int] = []
        away: list[int] = []
        asked = [i for i in range(len(self.ones)) if eligible >> i & 1]
        for i in asked:
            one = self.ones[i]
            if one.state > HALF_OPEN or i in shy:
                away.append(i)
            elif one.state == BACK and not self._draw() % 100 < one.share:
                waiting.append(i)
            elif one.canary:
                chosen = mix(session ^ one.identity ^ 0xCA4A41) % 10_000 < one.canary
                (first if chosen else waiting).append(i)
            else:
                well.append(i)
        ill = [i for i in away if self.ones[i].state > SPENT]
        if ill and (len(asked) - len(ill)) * 100 < self.panic_percent * len(asked):
            away = [i for i in away if i not in ill]
            well = sorted(well + ill)
        rest: list[int] = []
        if any(one.group != i for i, one in enumerate(self.ones)):
            turns = self._take_turns(first + well + waiting + away, first + well)
            rest = sorted(i for i in first + well + waiting if i not in turns)
            first, well, waiting = ([i for i in some if i in turns] for some in (first, well, waiting))
        out: list[int] = []
        for some in (first, well, rest, waiting, away):
            for priority in sorted({self.ones[i].priority for i in some}):
                out += self._arrange([i for i in some if self.ones[i].priority == priority], session)
        return out

    def _take_turns(self, members: list[int], well: list[int]) -> set[int]:
        self.turn += 1
        chosen = set()
        for group in {one.group for one in self.ones}:
            mine = sorted(i for i in members if self.ones[i].group == group)
            mine = [i for i in mine if i in well] or mine
            if mine:
                chosen.add(mine[self.turn % len(mine)])
        return chosen

    def _arrange(self, some: list[int], session: int) -> list[int]:
        if len(some) < 2:
            return some
        seeded = self.sticky and session != 0
        drawn = {}
        for i in some:
            number = mix(session ^ self.ones[i].identity) if seeded else self._draw()
            drawn[i] = -log(fraction(number)) / self.ones[i].weight
        some = sorted(some, key=drawn.__getitem__)
        if seeded or self.strategy == WEIGHTED:
            return some
        if self.strategy == LATENCY:
            if self._score(some[1]) < self._score(some[0]):
                some[0], some[1] = some[1], some[0]
            return some
        return sorted(some, key=self._score)

    def _score(self, i: int) -> float:
        one = self.ones[i]
        if self.strategy == COST:
            return one.cost
        if self.strategy == LEAST_BUSY:
            return (one.open + 1) / one.weight
        latency = one.latency if one.latency >= 1 else 1e12 if one.open else 0
        return latency * (one.open + 1)

    def _draw(self) -> int:
        self._state = (self._state + 0x9E3779B97F4A7C15) & MASK
        return mix(self._state)
