"""Limits as a page of plain Python says them: fractions of a token, dictionaries, no memory to share.

The compiled `_fast.limit` must answer the same to the same questions. Nothing here is fast or sparing.
"""

import math
from dataclasses import dataclass, field
from fractions import Fraction

DONE, REFUSED, NEVER, FULL, STALE = 0, 1, 2, 3, 5
REQUESTS, TOKENS, CONCURRENCY = 0, 1, 2
DEBT_TOKENS_MAX = 1 << 40
# 146,000 years are for ever.
WAIT_US_MAX = 1 << 62


@dataclass(frozen=True)
class Rate:
    """Units in a window, and the burst. Units: microseconds."""

    units: int
    window_us: int
    burst: int


@dataclass(frozen=True)
class Terms:
    """The limits of one scope and number; None and 0 are no limit."""

    scope: int
    number: int
    requests: Rate | None = None
    tokens: Rate | None = None
    concurrency_max: int = 0

    @property
    def limited(self) -> bool:
        return bool(self.requests or self.tokens or self.concurrency_max)


@dataclass
class Bucket:
    """Tokens, exactly."""

    rate: Rate
    tokens: Fraction
    time_us: int

    def flow(self, now_us: int) -> None:
        self.tokens += Fraction((now_us - self.time_us) * self.rate.units, self.rate.window_us)
        self.time_us = now_us
        self.clamp()

    def clamp(self) -> None:
        self.tokens = max(min(self.tokens, Fraction(self.rate.burst)), Fraction(-DEBT_TOKENS_MAX))

    def adapt(self, rate: Rate) -> None:
        self.tokens = Fraction(math.floor(self.tokens * rate.window_us), rate.window_us)
        self.rate = rate
        self.clamp()

    def add(self, tokens: int) -> None:
        self.tokens += tokens
        self.clamp()

    def wait_us(self, tokens: int) -> int | None:
        """None: never."""
        if tokens > self.rate.burst:
            return None
        wait_us = math.ceil((tokens - self.tokens) * self.rate.window_us / self.rate.units)
        return min(max(0, wait_us), WAIT_US_MAX)


@dataclass
class Taken:
    """What an open call took at one gate."""

    terms: Terms
    tokens: int


@dataclass
class Call:
    """An open call: what to give back, the deployment apart."""

    fixed: list[Taken]
    last: Taken | None


@dataclass
class Answer:
    """An outcome, and what the verdict says with it."""

    outcome: int
    chosen: int = -1
    refused: tuple[int, int] = (-1, -1)
    wait_us: int = 0
    requests: tuple[int, int, int] = (-1, -1, -1)
    tokens: tuple[int, int, int] = (-1, -1, -1)
    call: Call | None = None


@dataclass
class Short:
    """Why a gate, or a set of them, has no room: (wait, scope, kind) of the longest; None waits for ever."""

    worst: tuple[float, int, int] | None = None
    crowded: tuple[int, int] | None = None

    @property
    def any(self) -> bool:
        return self.worst is not None or self.crowded is not None

    def note(self, wait: float, scope: int, kind: int) -> None:
        if self.worst is None or wait > self.worst[0]:
            self.worst = (wait, scope, kind)

    @property
    def wait(self) -> float:
        return self.worst[0] if self.worst else 0

    @property
    def rank(self) -> tuple[int, float]:
        if self.wait == math.inf:
            return (2, 0)
        return (1 if self.crowded else 0, self.wait)

    @property
    def named(self) -> tuple[int, int]:
        if self.worst:
            return self.worst[1:]
        assert self.crowded
        return (self.crowded[0], CONCURRENCY)


@dataclass
class Limits:
    """The whole of `_fast.limit`, said plainly."""

    calls_max: int
    buckets: dict[tuple[int, int, int], Bucket] = field(default_factory=dict)
    in_use: dict[tuple[int, int], int] = field(default_factory=dict)
    open: list[Call] = field(default_factory=list)
    stale: int = 0
    last_us: int = 0

    def _bucket(self, terms: Terms, kind: int, rate: Rate) -> Bucket:
        key = (terms.scope, terms.number, kind)
        if key not in self.buckets:
            self.buckets[key] = Bucket(rate, Fraction(rate.burst), self.last_us)
        bucket = self.buckets[key]
        bucket.flow(self.last_us)
        if bucket.rate != rate:
            bucket.adapt(rate)
        return bucket

    def _copy(self) -> tuple[dict[tuple[int, int, int], Bucket], dict[tuple[int, int], int], int]:
        copies = {key: Bucket(b.rate, b.tokens, b.time_us) for key, b in self.buckets.items()}
        return copies, dict(self.in_use), self.last_us

    def _look(self, terms: Terms, tokens: int, short: Short) -> None:
        for kind, rate, amount in ((REQUESTS, terms.requests, 1), (TOKENS, terms.tokens, tokens)):
            if rate:
                wait_us = self._bucket(terms, kind, rate).wait_us(amount)
                if wait_us != 0:
                    short.note(math.inf if wait_us is None else wait_us, terms.scope, kind)
        full = terms.concurrency_max and self.places(terms) >= terms.concurrency_max
        if full and short.crowded is None:
            short.crowded = (terms.scope, terms.number)

    def places(self, terms: Terms) -> int:
        return self.in_use.get((terms.scope, terms.number), 0)

    def _take(self, terms: Terms, tokens: int) -> Taken | None:
        if terms.requests:
            self._bucket(terms, REQUESTS, terms.requests).add(-1)
        if terms.tokens:
            self._bucket(terms, TOKENS, terms.tokens).add(-tokens)
        if terms.concurrency_max:
            self.in_use[terms.scope, terms.number] = self.places(terms) + 1
        return Taken(terms, tokens) if terms.tokens or terms.concurrency_max else None

    def _give(self, taken: Taken, tokens_actual: int) -> None:
        terms = taken.terms
        if terms.tokens and tokens_actual >= 0:
            bucket = self.buckets[terms.scope, terms.number, TOKENS]
            bucket.flow(self.last_us)
            bucket.add(taken.tokens - tokens_actual)
        if terms.concurrency_max:
            self.in_use[terms.scope, terms.number] -= 1

    def _show(self, answer: Answer, gates: list[Terms]) -> Answer:
        for kind in (REQUESTS, TOKENS):
            best = (-1, -1, -1)
            for terms in gates:
                rate = (terms.requests, terms.tokens)[kind]
                if rate:
                    bucket = self._bucket(terms, kind, rate)
                    left = max(0, math.floor(bucket.tokens))
                    reset = (rate.burst - bucket.tokens) * rate.window_us / rate.units
                    if best[0] < 0 or left < best[1]:
                        best = (rate.burst, left, min(math.ceil(reset), WAIT_US_MAX))
            if kind == REQUESTS:
                answer.requests = best
            else:
                answer.tokens = best
        return answer

    def admit(self, now_us: int, fixed: list[Terms], candidates: list[Terms], tokens: int) -> Answer:
        gates = [terms for terms in fixed if terms.limited]
        if not gates and not (candidates and candidates[0].limited):
            return Answer(DONE, chosen=0 if candidates else -1)
        before = self._copy()
        late_us = max(0, self.last_us - now_us)
        self.last_us = max(now_us, self.last_us)
        short = Short()
        for terms in gates:
            self._look(terms, tokens, short)
        chosen, shorts = -1, []
        for i, terms in enumerate(candidates):
            found, untried = Short(), self._copy()
            if terms.limited:
                self._look(terms, tokens, found)
            if not found.any:
                chosen = i
                break
            shorts.append(found)
            # Who was only asked has not been brought under new terms.
            self.buckets, self.in_use, _ = untried
        if short.any or (candidates and chosen < 0):
            answer = self._refuse(short, min(shorts, key=lambda s: s.rank) if chosen < 0 and shorts else None)
            if answer.wait_us > 0:
                answer.wait_us += late_us
            self._show(answer, gates)
            self.buckets, self.in_use, self.last_us = before
            return answer
        last = candidates[chosen] if chosen >= 0 and candidates[chosen].limited else None
        noted = [
            terms for terms in [*gates, *([last] if last else [])] if terms.tokens or terms.concurrency_max
        ]
        if noted and len(self.open) >= self.calls_max:
            answer = self._show(Answer(FULL), gates)
            self.buckets, self.in_use, self.last_us = before
            return answer
        taken = [self._take(terms, tokens) for terms in gates]
        call = Call([t for t in taken if t], self._take(last, tokens) if last else None)
        answer = Answer(DONE, chosen=chosen)
        if noted:
            self.open.append(call)
            answer.call = call
        return self._show(answer, gates)

    def _refuse(self, short: Short, best: Short | None) -> Answer:
        named, wait = (short.named if short.any else (-1, -1)), short.wait
        if best is not None and (not short.any or best.wait > wait):
            named, wait = best.named, best.wait
        if wait == math.inf:
            return Answer(NEVER, refused=named, wait_us=-1)
        return Answer(REFUSED, refused=named, wait_us=int(wait))

    def settle(self, now_us: int, call: Call | None, tokens_actual: int) -> int:
        if call is None:
            return DONE
        self.last_us = max(now_us, self.last_us)
        if not any(call is other for other in self.open):
            self.stale += 1
            return STALE
        for taken in [*call.fixed, *([call.last] if call.last else [])]:
            self._give(taken, tokens_actual)
        self.open = [other for other in self.open if other is not call]
        return DONE

    def move(self, now_us: int, call: Call | None, to: Terms, tokens: int) -> Answer:
        if call is None:
            answer = self.admit(now_us, [], [to], tokens)
            answer.chosen = -1
            answer.requests = answer.tokens = (-1, -1, -1)
            return answer
        before = self._copy()
        late_us = max(0, self.last_us - now_us)
        self.last_us = max(now_us, self.last_us)
        if not any(call is other for other in self.open):
            self.stale += 1
            return Answer(STALE, call=call)
        if call.last:
            self._give(call.last, 0)
        short = Short()
        self._look(to, tokens, short)
        if short.any:
            self.buckets, self.in_use, self.last_us = before
            answer = self._refuse(short, None)
            answer.wait_us += late_us if answer.wait_us > 0 else 0
            answer.call = call
            return answer
        call.last = self._take(to, tokens)
        return Answer(DONE, call=call)
