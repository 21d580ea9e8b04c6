"""Processes that share a region: exact at the limit, healed after kills, stopped owners left their lock."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kpgate._fast.commit import KEY, Life, life_is_free
from kpgate._fast.limit import BUSY, DONE, Limits, Verdict
from kpgate._fast.metric import Shard
from tests.kit import hammer
from tests.kit.node import Node


@contextmanager
def worker(node: Node, index: int, rounds: int, mode: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.kit.hammer",
            node.region.path,
            str(node.folder),
            str(index),
            str(rounds),
            mode,
        ],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_four_processes_at_a_limit_of_k_are_admitted_exactly_k_times(tmp_path: Path) -> None:
    node = Node(tmp_path, calls=200)
    with (
        worker(node, 1, 30, "grab") as a,
        worker(node, 2, 30, "grab") as b,
        worker(node, 3, 30, "grab") as c,
        worker(node, 4, 30, "grab") as d,
    ):
        got = [int(process.stdout.readline()) for process in (a, b, c, d) if process.stdout]
    assert sum(got) == 37
    limits = node.sit(0)
    assert limits.in_use(KEY, 2) == 37
    end_all(node, limits)
    assert limits.in_use(KEY, 2) == 0


def end_all(node: Node, limits: Limits) -> None:
    for index in limits.seats_with_calls():
        dead = Life.obtain(node.folder, index)
        assert dead is not None
        assert limits.end_dead(1000, dead) >= 0
        dead.close()
    assert limits.open_calls() == 0


def test_random_kills_leave_sums_exact_and_counters_at_zero(tmp_path: Path) -> None:
    node = Node(tmp_path, calls=64)
    chance = random.Random(11)
    kills = 0
    for _ in range(6):
        with (
            worker(node, 1, 10**9, "hammer"),
            worker(node, 2, 10**9, "hammer"),
            worker(node, 3, 10**9, "hammer"),
        ):
            # Not a wait for a state: the instant of the kill is what is drawn.
            time.sleep(chance.random() * 0.03)
        kills += 3
    limits = node.sit(0)
    end_all(node, limits)
    assert [limits.in_use(scope, 1) for scope in range(4)] == [0, 0, 0, 0]
    counted = sum(counted_by(node, index) for index in (1, 2, 3))
    spent = []
    for gate in hammer.FIXED:
        verdict = Verdict()
        assert limits.peek(1000, (gate,), verdict) == DONE
        spent.append(
            (
                verdict.requests_limit - verdict.requests_remaining,
                verdict.tokens_limit - verdict.tokens_remaining,
            )
        )
    requests, tokens = spent[0]
    assert spent == [(requests, tokens)] * 3
    # A process dies at most once between a commit and counting it.
    assert counted <= requests <= counted + kills
    assert 0 < tokens <= 11 * requests


def counted_by(node: Node, index: int) -> int:
    return Shard(node.region, index).counter("admitted").value


def test_a_stopped_owner_keeps_the_lock_and_a_killed_one_loses_it(tmp_path: Path) -> None:
    node = Node(tmp_path)
    seat, limits = node.sit_with(0)
    seat.patience_us = 5_000
    with worker(node, 1, 0, "hold") as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "holding\n"
        holder.send_signal(signal.SIGSTOP)
        verdict = Verdict()
        assert limits.admit(0, hammer.FIXED, hammer.CANDIDATES, 1, verdict) == BUSY
        assert node.region.takeovers == 0
        holder.kill()
        holder.wait()
        assert limits.admit(0, hammer.FIXED, hammer.CANDIDATES, 1, verdict) == DONE
    assert node.region.takeovers == 1
    assert life_is_free(node.folder, 1)
