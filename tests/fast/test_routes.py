"""The routing table: which model a name means, and the order in which deployments are tried."""

import itertools
import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpgate._fast.routes import Picker, Router
from tests.kit.oracle import routes as oracle

EVERYONE = (1 << 64) - 1


def test_exact_names_and_aliases_come_before_patterns() -> None:
    router = Router([["gpt-*"], ["gpt-4o", "best"], ["*"]])
    assert [router.match(name) for name in ("gpt-4o", "best", "gpt-4", "gpt-", "gpt", "")] == [
        1,
        1,
        0,
        0,
        2,
        2,
    ]


def test_the_longest_text_before_the_star_wins() -> None:
    router = Router([["*"], ["gpt-*"], ["gpt-4*"], ["gpt-*-mini"], ["*-mini"], ["claude-*-*x"]])
    wanted = {
        "gpt-4o-mini": 2,
        "gpt-5-mini": 3,
        "gpt-5": 1,
        "o1-mini": 4,
        "o1": 0,
        "claude-a-bx": 5,
        "claude--x": 5,
        "claude-x": 0,
        "*": 0,
    }
    for _ in range(2):
        assert {name: router.match(name) for name in wanted} == wanted


def test_a_star_matches_any_run_and_parts_never_overlap() -> None:
    cases = {
        "a*a": ["aa", "aba"],
        "*ab*ab*": ["abab", "xabyabz"],
        "a**b": ["ab", "axb"],
        "é*\n": ["é\n", "éx\n"],
    }
    for pattern, names in cases.items():
        router = Router([[pattern]])
        assert [router.match(name) for name in names] == [0] * len(names)
    for pattern, name in (
        ("a*a", "a"),
        ("ab*ba", "aba"),
        ("*ab*ab*", "aab"),
        ("*ab*b", "ab"),
        ("a.c*", "abc"),
    ):
        assert Router([[pattern]]).match(name) == -1


def test_the_default_answers_for_what_nothing_matches() -> None:
    assert Router([["a"], ["b"]], default=1).match("c") == 1
    assert Router([["a"], ["b*"]], default=0).match("c") == 0
    assert Router([["a"]]).match("c") == -1
    assert Router([]).match("c") == -1


def test_a_name_that_leads_to_two_models_is_refused() -> None:
    for entries in ([["a"], ["b", "a"]], [["a*"], ["a*"]], [[""]]):
        with pytest.raises(ValueError):
            Router(entries)
    assert Router([["a", "a"]]).match("a") == 0
    for default in (-2, 1):
        with pytest.raises(ValueError):
            Router([["a"]], default=default)


def test_the_memo_is_bounded_by_count_and_length() -> None:
    router = Router([["gpt-*"]], default=-1, memo_max=10)
    for i in range(100):
        assert router.match(f"gpt-{i}") == 0
        assert router.match(f"x-{i}") == -1
        assert router.memo_size <= 10
    long = "gpt-" + "x" * 1000
    before = router.memo_size
    assert router.match(long) == 0
    assert router.memo_size == before


NAMES = st.text(alphabet="ab*é", min_size=1, max_size=6)


@settings(max_examples=400, deadline=None)
@given(
    names=st.lists(NAMES, max_size=8, unique=True),
    asked=st.lists(st.text(alphabet="abé", max_size=8), max_size=8),
    default=st.integers(-1, 0),
)
def test_matching_is_the_oracles(names: list[str], asked: list[str], default: int) -> None:
    entries = [[name] for name in names]
    default = default if entries else -1
    router = Router(entries, default, 4)
    wanted = oracle.OracleRouter(entries, default)
    for name in [*asked, *names, *asked]:
        assert router.match(name) == wanted.match(name)


@settings(max_examples=400, deadline=None)
@given(
    deployments=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 10_000)), min_size=1, max_size=64),
    number=st.integers(0, EVERYONE),
    eligible=st.integers(0, EVERYONE) | st.just(EVERYONE),
    ejected=st.integers(0, EVERYONE) | st.just(0),
)
def test_orders_are_the_oracles(
    deployments: list[tuple[int, int]], number: int, eligible: int, ejected: int
) -> None:
    priorities = [priority for priority, _ in deployments]
    weights = [weight for _, weight in deployments]
    picker = Picker(priorities, weights)
    order = picker.order(number, eligible, ejected)
    assert order == oracle.OraclePicker(priorities, weights).order(number, eligible, ejected)
    assert order == picker.order(number, eligible, ejected)
    assert sorted(order) == [i for i in range(picker.count) if eligible >> i & 1]
    ranks = [(ejected >> i & 1, priorities[i]) for i in order]
    assert ranks == sorted(ranks)
    assert picker.everyone == (1 << len(deployments)) - 1


def test_every_order_comes_as_often_as_its_weights_say() -> None:
    weights = [5, 3, 2, 1]
    picker = Picker([0] * 4, weights)
    numbers = random.Random(20261123)
    rounds = 60_000
    seen = dict.fromkeys(itertools.permutations(range(4)), 0)
    for _ in range(rounds):
        seen[picker.order(numbers.getrandbits(64), 15, 0)] += 1
    chi_square = 0.0
    for order, count in seen.items():
        share = Fraction(1)
        left = sum(weights)
        for i in order:
            share *= Fraction(weights[i], left)
            left -= weights[i]
        expected = float(share * rounds)
        chi_square += (count - expected) ** 2 / expected
    # 23 degrees of freedom: beyond 49.7 once in a thousand; the seed is fixed.
    assert chi_square < 49.7


def test_consecutive_numbers_are_as_good_as_random_ones() -> None:
    picker = Picker([0, 0], [3, 1])
    firsts = sum(picker.order(number, 3, 0)[0] == 0 for number in range(40_000))
    assert abs(firsts - 30_000) < 400


def test_a_deployment_alone_is_tried_alone() -> None:
    picker = Picker([0, 1], [1, 1])
    assert picker.order(7, 3, 0) == (0, 1)
    assert picker.order(7, 3, 1) == (1, 0)
    assert picker.order(7, 3, 3) == (0, 1)
    assert picker.order(7, 2, 0) == (1,)
    assert picker.order(7, 0, 0) == ()
    assert picker.order(7, EVERYONE, EVERYONE) == (0, 1)


def test_pickers_refuse_what_they_cannot_hold() -> None:
    for priorities, weights in (
        ([], []),
        ([0] * 65, [1] * 65),
        ([0], [1, 1]),
        ([0], [0]),
        ([0], [-1]),
        ([0], [1 << 32]),
    ):
        with pytest.raises(ValueError):
            Picker(priorities, weights)
    with pytest.raises(ValueError, match="1 to 64 deployments"):
        Picker([0] * 65, [1] * 65)
    heaviest = Picker([0] * 64, [(1 << 32) - 1] * 64)
    assert sorted(heaviest.order(1, EVERYONE, 0)) == list(range(64))
    assert [Picker([0] * n, [1] * n).everyone for n in range(1, 65)] == [(1 << n) - 1 for n in range(1, 65)]
