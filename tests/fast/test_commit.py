"""The one lock: a commit happens whole or not at all, whoever dies at whichever store."""

import os
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from kpgate._fast import limit
from kpgate._fast.commit import DEPLOYMENT, KEY, MODEL, PARTY, Life, Region, Seat, life_is_free
from kpgate._fast.limit import BUSY, DONE, FULL, Gate, Limits, Verdict
from tests.kit.node import Node

STORES = 1_000_000
TERMS = {
    "request_units": 60,
    "request_window_us": 60_000_000,
    "request_burst": 50,
    "token_units": 6000,
    "token_window_us": 60_000_000,
    "token_burst": 5000,
    "concurrency_max": 20,
}
FIXED = tuple(Gate(scope, 1, **TERMS) for scope in (KEY, PARTY, MODEL))
FIRST, SECOND = (Gate(DEPLOYMENT, n, **TERMS) for n in (1, 2))


class Scene:
    """A node with one open call and some history, an actor who may die, and those who heal."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.node = Node(folder)
        self.seat, self.limits = self.node.sit_with(0)
        self.verdict = Verdict()
        for _ in range(2):
            assert self.limits.admit(100, FIXED, (FIRST,), 40, self.verdict) == DONE
        self.gone = self.verdict.call
        assert self.limits.settle(5_000, self.gone, 10) == DONE
        assert self.limits.admit(200_000, FIXED, (FIRST,), 40, self.verdict) == DONE
        self.call = self.verdict.call

    def die(self, seat: Seat) -> None:
        """What the kernel does for a killed process."""
        seat.life.close()

    def heal(self, index: int) -> Limits:
        seat, limits = self.node.sit_with(index)
        assert seat.heal()
        return limits

    def places_left(self, limits: Limits) -> int:
        """How many calls the slab still takes: all places must be free or open, none lost, none twice."""
        gate, handles = Gate(KEY, 7, concurrency_max=1000), set()
        while limits.admit(0, (gate,), (), 0, self.verdict) == DONE:
            handles.add(self.verdict.call)
        assert limits.admit(0, (gate,), (), 0, self.verdict) == FULL
        return len(handles)


def admit(scene: Scene, limits: Limits, seat: Seat) -> None:
    limits.admit(900_000, FIXED, (FIRST,), 77, Verdict())


def settle(scene: Scene, limits: Limits, seat: Seat) -> None:
    limits.settle(900_000, scene.call, 90)


def cancel(scene: Scene, limits: Limits, seat: Seat) -> None:
    limits.cancel(900_000, scene.call)


def move(scene: Scene, limits: Limits, seat: Seat) -> None:
    limits.move(900_000, scene.call, SECOND, 55, Verdict())


def stay(scene: Scene, limits: Limits, seat: Seat) -> None:
    limits.move(900_000, scene.call, FIRST, 55, Verdict())


def settle_late(scene: Scene, limits: Limits, seat: Seat) -> None:
    limits.settle(900_000, scene.gone, 90)


def publish(scene: Scene, limits: Limits, seat: Seat) -> None:
    seat.publish(3, 1234567)


Act = Callable[[Scene, Limits, Seat], None]
ACTS: list[Act] = [admit, settle, cancel, move, stay, settle_late, publish]


def observe(scene: Scene, limits: Limits) -> tuple[object, ...]:
    in_use = tuple(limits.in_use(scope, 1) for scope in (KEY, PARTY, MODEL, DEPLOYMENT))
    open_calls = limits.open_calls()
    state = scene.node.state()
    assert scene.places_left(limits) == scene.node.calls - open_calls
    return (*blank_owner(state), in_use, open_calls, limits.stale_calls())


def blank_owner(state: tuple[object, ...]) -> tuple[object, ...]:
    # Who holds a call depends on who played the part here.
    limits, calls, *rest = state
    assert isinstance(calls, tuple)
    return (limits, tuple((c[0], *c[2:]) if len(c) > 1 else c for c in calls), *rest)


def run(folder: Path, *acts: Act) -> tuple[object, ...]:
    """What stands after these acts, each whole."""
    scene = Scene(folder)
    limits, seat = scene.limits, scene.seat
    for act in acts:
        act(scene, limits, seat)
    return observe(scene, limits)


def stores_of(folder: Path, act: Act) -> int:
    scene = Scene(folder)
    scene.seat.stores_left = STORES
    act(scene, scene.limits, scene.seat)
    return STORES - scene.seat.stores_left


@pytest.mark.parametrize("act", ACTS)
def test_a_death_at_any_store_leaves_all_or_nothing(act: Act, tmp_path: Path) -> None:
    before, after = run(tmp_path / "before"), run(tmp_path / "after", act)
    assert before != after
    total = stores_of(tmp_path / "count", act)
    seen = []
    for n in range(total + 1):
        scene = Scene(tmp_path / f"{n}")
        scene.seat.stores_left = n
        act(scene, scene.limits, scene.seat)
        scene.die(scene.seat)
        found = observe(scene, scene.heal(1))
        assert found in (before, after), f"half a commit after store {n} of {total}"
        seen.append(found == after)
    assert seen == sorted(seen)
    assert seen[0] is False
    assert seen[-1] is True


@pytest.mark.parametrize("act", [admit, settle, move])
def test_a_repair_that_dies_at_any_store_is_repaired(act: Act, tmp_path: Path) -> None:
    states = run(tmp_path / "before"), run(tmp_path / "after", act)
    total = stores_of(tmp_path / "count", act)
    finished = 0
    for n in range(total - 30, total, 3):
        for m in range(0, 40, 2):
            scene = Scene(tmp_path / f"{n}.{m}")
            scene.seat.stores_left = n
            act(scene, scene.limits, scene.seat)
            scene.die(scene.seat)
            healer, _ = scene.node.sit_with(1)
            healer.stores_left = m
            finished += healer.heal()
            scene.die(healer)
            assert observe(scene, scene.heal(2)) in states
    assert finished


PAIRS = [(admit, settle), (settle, admit), (move, cancel), (admit, publish), (settle, move)]


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
        scene.seat.stores_left = n
        one(scene, scene.limits, scene.seat)
        scene.die(scene.seat)
        second, limits = scene.node.sit_with(1)
        second.stores_left = m
        two(scene, limits, second)
        scene.die(second)
        assert observe(scene, scene.heal(2)) in states, f"{n} then {m}"


def test_a_reaper_that_dies_leaves_the_rest_to_the_next(tmp_path: Path) -> None:
    for n in range(0, 120, 3):
        scene = Scene(tmp_path / f"{n}")
        scene.die(scene.seat)
        reaper, limits = scene.node.sit_with(1)
        dead = Life.obtain(scene.node.folder, 0)
        assert dead is not None
        reaper.stores_left = n
        limits.end_dead(1_000_000, dead)
        scene.die(reaper)
        dead.close()
        next_limits = scene.heal(2)
        dead = Life.obtain(scene.node.folder, 0)
        assert dead is not None
        assert next_limits.end_dead(1_000_000, dead) >= 0
        assert next_limits.open_calls() == 0
        assert [next_limits.in_use(scope, 1) for scope in range(4)] == [0] * 4
        assert scene.places_left(next_limits) == scene.node.calls


def test_whoever_claims_a_seat_ends_what_its_last_owner_left(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "n")
    scene.seat.stores_left = 20
    admit(scene, scene.limits, scene.seat)
    scene.die(scene.seat)
    seat, limits = scene.node.sit_with(0)
    assert seat.incarnation == 2
    # The lock is still in the name of the dead, whose life lock is now ours.
    assert limits.end_dead(0, seat.life) == 2
    assert limits.open_calls() == 0
    assert limits.admit(0, FIXED, (FIRST,), 1, scene.verdict) == DONE
    assert limits.end_dead(0, seat.life) == 0
    assert limits.open_calls() == 1


def test_a_reaper_takes_the_lock_over_from_the_dead_whose_life_it_holds(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "n")
    scene.seat.stores_left = 20
    admit(scene, scene.limits, scene.seat)
    scene.die(scene.seat)
    dead = Life.obtain(scene.node.folder, 0)
    assert dead is not None
    limits = scene.node.sit(1)
    assert limits.end_dead(0, dead) == 2
    assert scene.node.region.takeovers == 1


def test_only_the_holder_of_the_life_lock_may_end_a_seats_calls(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "n")
    dead = Life.obtain(scene.node.folder, 5)
    assert dead is not None
    dead.close()
    with pytest.raises(ValueError, match="not held"):
        scene.limits.end_dead(0, dead)
    assert Life.obtain(scene.node.folder, 0) is None
    assert not life_is_free(scene.node.folder, 0)
    assert life_is_free(scene.node.folder, 5)


def test_the_living_are_never_robbed(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "n")
    scene.seat.stores_left = 10
    admit(scene, scene.limits, scene.seat)
    other, limits = scene.node.sit_with(1)
    other.patience_us = 5_000
    for _ in range(4):
        assert limits.admit(0, FIXED, (FIRST,), 1, scene.verdict) == BUSY
    assert not other.heal()
    assert not other.publish(1, 1)
    assert scene.node.region.takeovers == 0
    scene.die(scene.seat)
    assert limits.admit(0, FIXED, (FIRST,), 1, scene.verdict) == DONE
    assert scene.node.region.takeovers == 1


def test_the_calls_of_the_living_are_not_the_reapers(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "n")
    assert scene.limits.seats_with_calls() == {0}
    other = Life.obtain(scene.node.folder, 3)
    assert other is not None
    assert scene.limits.end_dead(0, other) == 0
    assert scene.limits.open_calls() == 2


def test_changes_are_told_in_order_and_only_once(tmp_path: Path) -> None:
    node = Node(tmp_path)
    seat, _ = node.sit_with(0)
    assert node.region.changes(0) == (0, [])
    assert seat.publish(1, 7)
    assert seat.publish(2, (1 << 48) - 1)
    assert node.region.changes(0) == (2, [(1, 7), (2, (1 << 48) - 1)])
    assert node.region.changes(1) == (2, [(2, (1 << 48) - 1)])
    assert node.region.changes(2) == (2, [])
    with pytest.raises(ValueError, match="publish"):
        seat.publish(1, 1 << 48)


def test_whoever_is_too_far_behind_is_told_that_everything_changed(tmp_path: Path) -> None:
    node = Node(tmp_path)
    seat, _ = node.sit_with(0)
    for number in range(4097):
        assert seat.publish(1, number)
    reached, changes = node.region.changes(1)
    assert reached == 4097
    assert changes == [(1, number) for number in range(1, 4097)]
    assert node.region.changes(0) == (4097, None)
    # A generation that was never reached is another node's.
    assert node.region.changes(5000) == (4097, None)


def test_a_region_is_opened_by_path_and_shared(tmp_path: Path) -> None:
    areas = limit.areas(keys=4, parties=4, models=4, deployments=4, calls=4)
    path = tmp_path / "region"
    for made in (Region.create(areas, 2), Region.create(areas, 2, path)):
        opened = Region.open(made.path)
        life = Life.claim(tmp_path, 0, 2)
        Seat(made, life).publish(9, 9)
        assert opened.generation == 1
        life.close()
    path.write_bytes(b"\0" * 100_000)
    with pytest.raises(ValueError, match="not a region"):
        Region.open(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="too short"):
        Region.open(path)


def test_a_shape_that_cannot_be_is_refused(tmp_path: Path) -> None:
    for areas, seats in (({0: (7, 1)}, 1), ({16: (8, 1)}, 1), ({0: (8, 0)}, 1), ({}, 0), ({}, 5000)):
        with pytest.raises(ValueError, match=r"seats|area"):
            Region.create(areas, seats)
    node = Node(tmp_path, seats=1)
    life = Life.obtain(tmp_path, 1)
    assert life is not None
    with pytest.raises(ValueError, match="no seat"):
        Seat(node.region, life)


def test_a_claim_takes_the_first_free_life_and_knows_when_none_is(tmp_path: Path) -> None:
    lives = [Life.claim(tmp_path, 1, 3) for _ in range(3)]
    assert [life.index for life in lives] == [1, 2, 3]
    with pytest.raises(BlockingIOError):
        Life.claim(tmp_path, 1, 3)
    lives[1].close()
    assert Life.claim(tmp_path, 1, 3).index == 2
    assert (tmp_path / "2.life").read_text() == f"{os.getpid()}\n"


def test_who_is_to_live_at_a_seat_outwaits_those_who_only_look(tmp_path: Path) -> None:
    looking = Life.obtain(tmp_path, 1)
    assert looking is not None
    assert Life.obtain(tmp_path, 1, 1_000) is None
    done = threading.Thread(target=looking.close)
    done.start()
    assert Life.obtain(tmp_path, 1, 10_000_000) is not None
    done.join()
