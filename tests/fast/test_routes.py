"""The routing table: which model a name means."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpgate._fast.routes import Router
from tests.kit.oracle import routes as oracle


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
