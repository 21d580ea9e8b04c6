"""Holds and transfers killed at every store, and processes killed at random: all or nothing, and nothing lost."""

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from kpgate._fast.account import PLAIN
from kpgate._fast.commit import Life, Seat
from kpgate._fast.credit import DONE, FULL, Decision, Purse
from tests.kit import cashier
from tests.kit.bank import ANCHOR_US, LIFE_US, Bank, Teller
from tests.kit.oracle import credit as plain
from tests.kit.oracle.credit import Books

STORES = 10_000
NOW_US = 900_000
PURSE = Purse(1, (1, 2), party=5, key=6)
LOTS = ((30, ANCHOR_US + 800_000), (40, ANCHOR_US + 2_000_000), (150, ANCHOR_US + 1_000_000))


def open_books(folder: Path) -> Books:
    """What every bank here begins with."""
    books = Books()
    one = books.account(1)
    one.balance, one.floor = 500, -100
    for lot, (amount, expiry_us) in zip(one.lots, LOTS, strict=False):
        lot.amount, lot.expiry_us = amount, expiry_us
    books.account(2).balance = 90
    books.budget(1).caps = (900, 0, 1_000)
    return books


class Scene:
    """A bank with open holds and some history, a teller who may die, and those who heal."""

    def __init__(self, folder: Path) -> None:
        self.bank = Bank(folder, ready=0)
        self.teller = self.bank.sit(0)
        self.teller.accounts.load_account(1, 500, -100, LOTS)
        self.teller.accounts.load_account(2, 90, 0)
        self.teller.accounts.load_budget(1, (900, 0, 1_000))
        credit, decision = self.teller.credit, Decision()
        self.handles = []
        for amount in (60, 70, 20):
            assert credit.hold(100, 0, PURSE, amount, b"before", decision) == DONE
            self.handles.append(decision.handle)
        assert credit.post(200, self.handles.pop(), 10, 0, b"") == DONE
        assert credit.meter(self.handles[0], 33)

    def die(self, seat: Seat) -> None:
        """What the kernel does for a killed process."""
        seat.life.close()

    def heal(self, index: int) -> Teller:
        teller = self.bank.sit(index)
        assert teller.seat.heal()
        return teller

    def observe(self, teller: Teller) -> tuple[object, ...]:
        """What stands, who did it apart: entries are read back, and come to what stands."""
        entries = self.bank.entries()
        books = open_books(self.bank.folder).replay(entries)
        self.bank.check(books)
        accounts, budgets, _, journal, _ = self.bank.state()
        holds = sorted((one.call, one.account, one.amount, one.metered) for one in teller.credit.holds_open())
        decoded = [plain.decode(*entry) for entry in entries]
        said = [replace(entry, seat=0) for entry in decoded if entry]
        seen = (
            accounts,
            budgets,
            journal,
            holds,
            said,
            teller.credit.open_holds(),
            teller.credit.stale_holds(),
        )
        assert self.places_left(teller) == self.bank.holds - len(holds)
        return seen

    def places_left(self, teller: Teller) -> int:
        """How many holds the slab still takes: all places must be free or open, none lost, none twice."""
        assert teller.accounts.load_account(9, 1_000, 0) == DONE
        decision, handles = Decision(), set()
        while (code := teller.credit.hold(NOW_US, 0, Purse(9), 1, b"", decision)) == DONE:
            handles.add(decision.handle)
        assert code == FULL
        return len(handles)


def hold(scene: Scene, teller: Teller) -> None:
    teller.credit.hold(NOW_US, 0, PURSE, 77, b"a note", Decision())


def extend(scene: Scene, teller: Teller) -> None:
    teller.credit.extend(NOW_US, 0, scene.handles[0], 55)


def post(scene: Scene, teller: Teller) -> None:
    teller.credit.post(NOW_US, scene.handles[0], 65, 3, b"usage")


def post_other(scene: Scene, teller: Teller) -> None:
    teller.credit.post(NOW_US, scene.handles[1], 5, 0, b"")


def void(scene: Scene, teller: Teller) -> None:
    teller.credit.void(NOW_US, scene.handles[0], 4, b"")


def transfer(scene: Scene, teller: Teller) -> None:
    legs = ((2, PLAIN, -80, 0), (1, 3, 50, ANCHOR_US + 5_000_000), (1, PLAIN, 30, 0))
    teller.accounts.transfer(NOW_US, legs, False, b"linked")


def expire(scene: Scene, teller: Teller) -> None:
    teller.accounts.expire(NOW_US + 1_100_000, 1, 2, 40, b"")


def end_expired(scene: Scene, teller: Teller) -> None:
    teller.credit.end_expired(LIFE_US + 100)


Act = Callable[[Scene, Teller], None]
ACTS: list[Act] = [hold, extend, post, void, transfer, expire]


def run(folder: Path, *acts: Act) -> tuple[object, ...]:
    """What stands after these acts, each whole."""
    scene = Scene(folder)
    for act in acts:
        act(scene, scene.teller)
    return scene.observe(scene.teller)


def stores_of(folder: Path, act: Act) -> int:
    scene = Scene(folder)
    scene.teller.seat.stores_left = STORES
    act(scene, scene.teller)
    return STORES - scene.teller.seat.stores_left


@pytest.mark.parametrize("act", ACTS)
def test_a_death_at_any_store_leaves_all_or_nothing(act: Act, tmp_path: Path) -> None:
    before, after = run(tmp_path / "before"), run(tmp_path / "after", act)
    assert before != after
    total = stores_of(tmp_path / "count", act)
    seen = []
    for n in range(total + 1):
        scene = Scene(tmp_path / f"{n}")
        scene.teller.seat.stores_left = n
        act(scene, scene.teller)
        scene.die(scene.teller.seat)
        found = scene.observe(scene.heal(1))
        assert found in (before, after), f"half a commit after store {n} of {total}"
        seen.append(found == after)
    assert seen == sorted(seen)
    assert seen[0] is False
    assert seen[-1] is True


@pytest.mark.parametrize("act", ACTS)
def test_a_repair_that_dies_at_any_store_is_repaired(act: Act, tmp_path: Path) -> None:
    states = run(tmp_path / "before"), run(tmp_path / "after", act)
    total = stores_of(tmp_path / "count", act)
    finished = 0
    for n in range(total - 25, total, 4):
        for m in range(0, 45, 3):
            scene = Scene(tmp_path / f"{n}.{m}")
            scene.teller.seat.stores_left = n
            act(scene, scene.teller)
            scene.die(scene.teller.seat)
            healer = scene.bank.sit(1).seat
            healer.stores_left = m
            finished += healer.heal()
            scene.die(healer)
            assert scene.observe(scene.heal(2)) in states
    assert finished


PAIRS: list[tuple[Act, Act]] = [
    (hold, post),
    (post, hold),
    (extend, post_other),
    (void, transfer),
    (transfer, extend),
    (post, expire),
    (hold, hold),
    (post, post),
]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0].__name__}-{pair[1].__name__}")
def test_two_deaths_one_after_the_other_leave_whole_commits(pair: tuple[Act, Act], tmp_path: Path) -> None:
    one, two = pair
    folders = iter(tmp_path / f"whole{i}" for i in range(9))
    states = [run(next(folders), *acts) for acts in ((), (one,), (two,), (one, two))]
    totals = stores_of(tmp_path / "one", one), stores_of(tmp_path / "two", two)
    spread = random.Random(5)
    for m in range(0, totals[1] + totals[0] // 2, 2):
        n = spread.randrange(totals[0] + 1)
        scene = Scene(tmp_path / f"{n}.{m}")
        scene.teller.seat.stores_left = n
        one(scene, scene.teller)
        scene.die(scene.teller.seat)
        second = scene.bank.sit(1)
        second.seat.stores_left = m
        two(scene, second)
        scene.die(second.seat)
        assert scene.observe(scene.heal(2)) in states, f"{n} then {m}"


def test_a_reaper_that_dies_leaves_the_rest_to_the_next(tmp_path: Path) -> None:
    ends = []
    for n in range(0, 330, 5):
        scene = Scene(tmp_path / f"{n}")
        scene.die(scene.teller.seat)
        reaper = scene.bank.sit(1)
        dead = Life.obtain(scene.bank.folder, 0)
        assert dead is not None
        reaper.seat.stores_left = n
        reaper.credit.end_dead(NOW_US, dead)
        scene.die(reaper.seat)
        dead.close()
        teller = scene.heal(2)
        dead = Life.obtain(scene.bank.folder, 0)
        assert dead is not None
        ended = teller.credit.end_dead(NOW_US, dead)
        scene.observe(teller)
        said = [entry for entry in (plain.decode(*one) for one in scene.bank.entries()) if entry]
        # The one was sent and metered, the other never sent.
        assert [(e.kind, e.amount) for e in said if e.reason == plain.DIED] == [
            (plain.POST, 33),
            (plain.VOID, 0),
        ]
        ends.append(ended)
    assert set(ends) == {0, 1, 2}


def test_what_was_sent_can_be_given_back_as_well(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.die(scene.teller.seat)
    dead = Life.obtain(scene.bank.folder, 0)
    assert dead is not None
    assert scene.bank.clerk.credit.end_dead(NOW_US, dead, True) == 2
    assert scene.bank.entries()[-1][1] == scene.bank.entries()[-2][1] == plain.VOID


def test_only_the_holder_of_the_life_lock_may_end_a_seats_holds(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    other = Life.obtain(scene.bank.folder, 5)
    assert other is not None
    assert scene.teller.credit.seats_with_holds() == {0}
    assert scene.bank.clerk.credit.end_dead(0, other) == 0
    other.close()
    with pytest.raises(ValueError, match="not held"):
        scene.bank.clerk.credit.end_dead(0, other)
    assert Life.obtain(scene.bank.folder, 0) is None
    assert scene.teller.credit.end_dead(0, scene.teller.seat.life) == 0


@contextmanager
def cashiers(bank: Bank, count: int, rounds: int, mode: str) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that have begun together, killed at the end."""
    command = [sys.executable, "-m", "tests.kit.cashier", bank.region.path, str(bank.folder)]
    with ExitStack() as stack:
        processes = []
        for index in range(1, count + 1):
            process = subprocess.Popen(
                [*command, str(index), str(rounds), mode],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=Path(__file__).parents[2],
            )
            stack.callback(end, process)
            processes.append(process)
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        yield processes
        for process in processes:
            process.kill()


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()


@pytest.mark.parametrize(("count", "free"), [(2, 100), (4, 699), (4, 700), (3, 6)])
def test_of_n_equal_holds_exactly_those_that_are_paid_for_are_admitted(
    count: int, free: int, tmp_path: Path
) -> None:
    bank = Bank(tmp_path, holds=200)
    bank.clerk.accounts.load_account(4, free - 50, -50)
    with cashiers(bank, count, 30, "grab") as processes:
        got = [int(process.stdout.readline()) for process in processes if process.stdout]
    admitted = min(30 * count, free // cashier.PRICE)
    assert sum(got) == admitted
    seen = bank.clerk.accounts.account(0, 4)
    assert seen is not None
    assert (seen.held, seen.free) == (admitted * cashier.PRICE, free - admitted * cashier.PRICE)


def test_random_kills_lose_nothing_and_end_each_hold_once(tmp_path: Path) -> None:
    bank = Bank(tmp_path, holds=64, ring_bytes=1 << 20, segment_bytes=1 << 19, ready=16)
    books = Books()
    for number, balance in ((1, 10**9), (2, 10**9), (3, 40)):
        bank.clerk.accounts.load_account(number, balance, -20)
        books.account(number).balance, books.account(number).floor = balance, -20
    bank.clerk.accounts.load_budget(2, (0, 0, 10**6))
    books.budget(2).caps = (0, 0, 10**6)
    chance = random.Random(7)
    died = 0
    for _ in range(15):
        with cashiers(bank, 3, 0, "work"):
            # Not a wait for a state: the instant of the kill is what is drawn.
            time.sleep(chance.random() * 0.05)
        assert bank.clerk.seat.heal()
        held = [seen.held for number in (1, 2, 3) if (seen := bank.clerk.accounts.account(0, number))]
        assert sum(held) == sum(one.amount for one in bank.clerk.credit.holds_open())
        for index in bank.clerk.credit.seats_with_holds():
            dead = Life.obtain(bank.folder, index)
            assert dead is not None
            died += bank.clerk.credit.end_dead(1_000, dead)
            dead.close()
        assert bank.clerk.credit.open_holds() == bank.clerk.journal.reserved == 0
    entries = bank.entries()
    books.replay(entries)
    bank.check(books)
    assert died and not books.open
    kinds = [kind for _, kind, _ in entries]
    assert kinds.count(plain.HOLD) == kinds.count(plain.POST) + kinds.count(plain.VOID) == len(books.ended)
