"""Credits: the compiled rules against the plain ones, with the same questions: answers, state, journal."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kpgate._fast.account import ANYWHERE, NEVER, PLAIN, windows
from kpgate._fast.credit import CHANGED, DONE, FULL, OVER_RANGE, STALE, Decision, Purse
from kpgate._fast.journal import METER
from tests.kit.bank import ANCHOR_US, LIFE_US, Bank
from tests.kit.oracle import credit as plain

DAY_US = 86_400_000_000
AMOUNT_MAX = 2**53 - 1
HOLDS = 4


class Pair:
    """The compiled rules and the plain ones side by side, on three accounts and three budgets."""

    def __init__(self, folder: Path, ready: int = 2) -> None:
        self.bank = Bank(folder, holds=HOLDS, ring_bytes=ready << 17, ready=ready)
        self.teller = self.bank.sit(0)
        self.plain = plain.Oracle(HOLDS, ANCHOR_US, LIFE_US)
        self.now_us = 1_000_000
        self.calls: list[tuple[int, int]] = []
        self.decision = Decision()

    def step(self, move: tuple[Any, ...]) -> None:
        verb, *rest = move
        getattr(self, verb)(*rest)

    def compare(self, code: int, answer: plain.Answer) -> None:
        assert code == answer.code
        if code in (STALE, CHANGED, OVER_RANGE, FULL):
            return
        seen = self.decision
        assert (seen.free, seen.held) == (answer.free, answer.held)
        assert (seen.budget, seen.period) == (answer.budget, answer.period)

    def hold(self, account: int, budgets: tuple[int, ...], amount: int, stale: bool) -> None:
        generation = self.bank.region.generation - stale
        purse = Purse(account, budgets)
        code = self.teller.credit.hold(self.now_us, generation % 2**64, purse, amount, b"", self.decision)
        self.compare(code, self.plain.hold(self.now_us, generation, account, budgets, amount))
        if code == DONE:
            self.calls.append((self.decision.handle, len(self.plain.made) - 1))

    def extend(self, at: int, amount: int, least: int) -> None:
        if at < len(self.calls):
            handle, call = self.calls[at]
            generation = self.bank.region.generation
            least = min(least, amount)
            code = self.teller.credit.extend(self.now_us, generation, handle, amount, self.decision, least)
            self.compare(code, self.plain.extend(self.now_us, generation, call, amount, least))
            if code == DONE:
                assert self.decision.more == self.plain.made[-1].amount

    def meter(self, at: int, amount: int, recorded: bool) -> None:
        if at < len(self.calls):
            handle, call = self.calls[at]
            open_still = self.plain.meter(call, amount)
            assert self.teller.credit.sent(handle) == open_still
            assert self.teller.credit.meter(handle, amount) == open_still
            if recorded and open_still:
                assert self.teller.credit.record_meter(self.now_us, handle) == DONE
                metered = self.plain.books.open[call].metered
                entry = plain.Entry(METER, call, self.plain.now(self.now_us), metered)
                self.plain.books.apply(entry)
                self.plain.made.append(entry)

    def end(self, at: int, actual: int, reason: int) -> None:
        if at < len(self.calls):
            handle, call = self.calls[at]
            if actual < 0:
                code = self.teller.credit.void(self.now_us, handle, reason, b"")
            else:
                code = self.teller.credit.post(self.now_us, handle, actual, reason, b"")
            assert code == self.plain.end(self.now_us, call, actual, reason)

    def expire_holds(self, void_sent: bool) -> None:
        before = len(self.plain.made)
        late = self.plain.end_expired(self.now_us, void_sent)
        assert self.teller.credit.end_expired(self.now_us, void_sent) == len(late)
        # They end by slot; nothing depends on the order, so the journal's is taken over.
        ended = {entry.call: entry for entry in self.plain.made[before:]}
        slots = {call: handle & 0xFFFFFF for handle, call in self.calls if call in ended}
        self.plain.made[before:] = [ended[call] for call in sorted(ended, key=lambda call: slots[call])]

    def transfer(self, legs: list[tuple[int, int, int, int]], forced: bool) -> None:
        timed = tuple(
            (number, slot, delta, ANCHOR_US + after_us if 0 < after_us < NEVER else after_us)
            for number, slot, delta, after_us in legs
        )
        code, lsn = self.teller.accounts.transfer(self.now_us, timed, forced, b"")
        assert code == self.plain.transfer(self.now_us, timed, forced)
        assert bool(lsn) == (code == DONE)

    def expire(self, number: int, slot: int, part: int) -> None:
        lot = self.plain.books.account(number).lots[slot]
        amount = max(1, lot.amount - lot.held - part)
        code, _ = self.teller.accounts.expire(self.now_us, number, slot, amount, b"")
        assert code == self.plain.expire(self.now_us, number, slot, amount)

    def floor(self, number: int, floor: int) -> None:
        assert self.teller.accounts.set_floor(number, floor) == DONE
        self.plain.books.account(number).floor = floor

    def caps(self, number: int, caps: tuple[int, int, int]) -> None:
        assert self.teller.accounts.set_caps(number, caps) == DONE
        self.plain.books.budget(number).caps = caps

    def publish(self) -> None:
        assert self.teller.seat.publish(1, 1)
        self.plain.generation += 1

    def finish(self) -> None:
        """All that stands, and the journal as it is read back, are what the plain rules say."""
        self.bank.check(self.plain.books)
        self.plain.books.check()
        assert self.teller.credit.stale_holds() == self.plain.stale
        assert self.teller.journal.reserved == 352 * len(self.plain.books.open)
        calls: dict[int, int] = {}
        touched: dict[int, int] = {}
        made: list[plain.Entry] = []
        for lsn, kind, body in self.bank.entries():
            entry = plain.decode(lsn, kind, body)
            if entry is not None:
                if kind in (plain.HOLD, plain.TRANSFER):
                    calls[lsn] = len(made)
                made.append(replace(entry, call=calls[entry.call]))
                if kind in (plain.EXTEND, plain.POST, plain.VOID):
                    entry = made[calls[entry.call]]
                touched |= dict.fromkeys((leg[0] for leg in entry.legs), lsn)
                if kind not in (plain.TRANSFER, plain.METER):
                    touched[entry.account] = lsn
        assert made == self.plain.made
        for number in range(3):
            seen = self.teller.accounts.account(0, number)
            assert seen is not None
            assert seen.last_lsn == touched.get(number, 0)


accounts = st.integers(0, 2)
purses = st.lists(st.integers(0, 2), max_size=3, unique=True).map(tuple)
amounts = st.one_of(st.integers(1, 60), st.just(AMOUNT_MAX))
deltas = st.one_of(st.integers(-60, 120), st.sampled_from([AMOUNT_MAX, -AMOUNT_MAX])).filter(bool)
after_us = st.sampled_from([0, 1, DAY_US, 2 * DAY_US, 40 * DAY_US])
# To the plain balance without an expiry, or to a lot.
legs = st.one_of(
    st.tuples(accounts, st.just(PLAIN), deltas, st.just(0)),
    st.tuples(accounts, st.integers(0, 3), deltas, after_us),
)
taken = st.tuples(
    accounts,
    st.just(ANYWHERE),
    st.one_of(st.integers(-120, -1), st.just(-AMOUNT_MAX)),
    st.one_of(after_us, st.just(NEVER)),
)
caps = st.one_of(st.just(0), st.integers(1, 100))
calls = st.integers(0, 9)
moves = st.one_of(
    st.tuples(st.just("hold"), accounts, purses, amounts, st.integers(0, 9).map(lambda n: n == 0)),
    st.tuples(st.just("extend"), calls, amounts, st.one_of(st.just(0), amounts)),
    st.tuples(st.just("meter"), calls, st.integers(0, 80), st.booleans()),
    st.tuples(st.just("end"), calls, st.integers(-1, 80), st.integers(0, 9)),
    st.tuples(st.just("expire_holds"), st.booleans()),
    st.tuples(st.just("transfer"), st.lists(legs, max_size=4), st.booleans()),
    st.tuples(st.just("transfer"), st.lists(st.one_of(taken, legs), min_size=1, max_size=4), st.just(True)),
    st.tuples(st.just("expire"), accounts, st.integers(0, 3), st.integers(0, 1)),
    st.tuples(st.just("floor"), accounts, st.integers(-50, 0)),
    st.tuples(st.just("caps"), st.integers(0, 2), st.tuples(caps, caps, caps)),
    st.tuples(st.just("publish")),
)
steps_us = st.one_of(
    st.integers(-5, 50),
    st.sampled_from([0, LIFE_US, DAY_US // 2, DAY_US, 2 * DAY_US, 17 * DAY_US, 40 * DAY_US]),
)


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(play=st.lists(st.tuples(steps_us, moves), max_size=30))
def test_every_answer_and_entry_is_the_plain_rules(play: list[Any], tmp_path_factory: Any) -> None:
    pair = Pair(tmp_path_factory.mktemp("bank"))
    pair.transfer([(number, PLAIN, 100, 0) for number in range(3)], False)
    for step_us, move in play:
        pair.now_us += step_us
        pair.step(move)
    pair.finish()


def draw(chance: random.Random) -> tuple[Any, ...]:
    """One move of a long history: mostly holds and ends, on accounts that are filled again."""
    number, call, lot = chance.randrange(3), chance.randrange(6), chance.randrange(4)
    budgets = tuple(chance.sample(range(3), chance.randrange(4)))
    caps = (
        chance.choice((0, 0, 150, 400)),
        chance.choice((0, 0, 900, 2_000)),
        chance.choice((0, 0, 0, 9_000)),
    )
    moves: list[tuple[tuple[Any, ...], int]] = [
        (("hold", number, budgets, chance.randint(1, 60), False), 8),
        (("extend", call, chance.choice((5, 20, 200)), chance.choice((0, 1, 15))), 2),
        (("meter", call, chance.randint(0, 60), chance.random() < 0.5), 2),
        (("end", call, chance.randint(-1, 70), chance.randrange(10)), 8),
        (("expire_holds", chance.random() < 0.5), 1),
        (
            ("transfer", [(number, lot, chance.randint(20, 90), chance.choice((DAY_US, 9 * DAY_US)))], False),
            1,
        ),
        (
            ("transfer", [(number, PLAIN, 250, 0), ((number + 1) % 3, PLAIN, -30, 0)], chance.random() < 0.3),
            2,
        ),
        (
            (
                "transfer",
                [(number, ANYWHERE, -chance.randint(1, 150), chance.choice((0, 9 * DAY_US, NEVER)))],
                True,
            ),
            1,
        ),
        (("expire", number, lot, 0), 2),
        (("floor", number, -chance.choice((0, 0, 40))), 1),
        (("caps", number, caps), 1),
    ]
    return chance.choices([move for move, _ in moves], [weight for _, weight in moves])[0]


@pytest.mark.parametrize("seed", range(12))
def test_long_histories_over_days_and_months_are_the_plain_rules(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    # Over the borders of several segments.
    pair = Pair(tmp_path, ready=8)
    for _ in range(2_000):
        pair.now_us += chance.choice((0, 1_000, 1_000_000, DAY_US // 9))
        pair.step(draw(chance))
        # Of those that have ended the last two, for being stale.
        ended = [one for one in pair.calls if one[1] not in pair.plain.books.open]
        pair.calls = [one for one in pair.calls if one not in ended[:-2]]
    pair.finish()


@given(us=st.integers(0, 2**52))
def test_windows_are_the_calendars(us: int) -> None:
    assert windows(us) == plain.windows(us)
