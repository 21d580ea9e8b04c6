"""The language of rules: what it says, what it refuses and where, and that nothing in it is without bound."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate.domain.rules import LIST_MAX, VARIABLES, RuleError, compile_rule
from kpgate.domain.traits import NO_TRAITS, Facts

FACTS: dict[str, Any] = {
    "party": "acme",
    "tier": "free",
    "key": "batch-7",
    "model": "auto",
    "prompt_tokens": 1500,
    "output_cap": 0,
    "turns": 3,
    "complexity": 42,
    "language": "de",
    "stream": True,
    "tools": False,
    "images": False,
    "json_schema": True,
    "reasoning": False,
}


def facts(**more: Any) -> Any:
    headers, metadata = {b"x-team": "red"}, {"env": "prod"}
    return SimpleNamespace(
        header=lambda name: headers.get(name, ""),
        metadata=lambda key: metadata.get(key, ""),
        **(FACTS | more),
    )


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ('tier == "free" and prompt_tokens < 2_000', True),
        ('tier == "free" and prompt_tokens < 1_500', False),
        ("stream", True),
        ("not stream or tools", False),
        ("not (stream and tools)", True),
        ("not not stream", True),
        ('header("X-Team") == "red"', True),
        ('header("x-other") == ""', True),
        ('metadata["env"] in ["prod", "canary"]', True),
        ('metadata["env"] not in ["prod"]', False),
        ('key startswith "batch-" and not images', True),
        ("key endswith '-7'", True),
        ('party contains "cm"', True),
        ('language in "de,at,ch"', True),
        ("turns in [1, 2, 3]", True),
        ("complexity >= 42 and complexity <= 42.0 and complexity != 41", True),
        ("json_schema == true", True),
        ("tools != false", False),
        ('"free" == tier', True),
        ("2000 > prompt_tokens", True),
        ("prompt_tokens > output_cap", True),
        ("false or true and stream", True),
        ('tier == "a" or tier == "b" or tier == "free"', True),
        ("stream and json_schema and not tools and not images", True),
        (r'key == "batch\-7"', True),
    ],
)
def test_rules_say_what_they_seem_to(rule: str, holds: bool) -> None:
    assert bool(compile_rule(rule).test(facts())) is holds


@pytest.mark.parametrize(
    ("rule", "position", "said"),
    [
        ('tier = "x"', 6, "write `==`"),
        ("stream && tools", 8, "write `and`"),
        ("!stream", 1, "write `not`"),
        ("prompt_tokens", 1, "compare it"),
        ("foo == 1", 1, "there is no 'foo'"),
        ("tier < 3", 6, "cannot compare"),
        ('tier < "b"', 6, "compares numbers"),
        ('tier == "abc', 9, "no end"),
        ('(tier == "a"', 13, "expected `)`"),
        ('tier == "a" tier', 13, "expected the end"),
        ("header(x) == 1", 8, "in quotes"),
        ('metadata("k") == "v"', 9, "expected `[`"),
        ("tier in []", 9, "empty list"),
        ('tier in ["a", 1]', 15, "texts alone"),
        ('"a" in ["a"]', 1, "depends on the call"),
        ("tier contains party", 15, "in quotes or a list"),
        ('turns startswith "1"', 7, "does not go with"),
        ("turns in 3", 7, "does not go with"),
        ("stream and", 11, "expected a variable"),
        ("", 1, "expected a variable"),
        ("tools not images", 11, "expected `in`"),
        ("stream or €", 11, "cannot read"),
        ('tier in ["a" "b"]', 14, "expected `,`"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(rule: str, position: int, said: str) -> None:
    with pytest.raises(RuleError) as caught:
        compile_rule(rule)
    assert caught.value.position == position - 1
    assert said in str(caught.value) and str(caught.value).startswith(f"at character {position}: ")


def test_nothing_is_without_bound() -> None:
    for rule, said in (
        ("stream or " * 200 + "stream", "1000 characters"),
        ("(" * 40 + "stream" + ")" * 40, "16 deep"),
        ("not " * 40 + "stream", "16 deep"),
        ("stream or " * 70 + "stream", "64 parts"),
        (f"turns in [{', '.join('1' for _ in range(LIST_MAX + 1))}]", "100 items"),
    ):
        with pytest.raises(RuleError, match=said):
            compile_rule(rule)


@given(st.text(max_size=60) | st.lists(st.sampled_from(
    ["tier", "==", '"a"', "and", "or", "not", "in", "[", "]", "(", ")", "1", "stream", "header", "<", "contains", ","]
), max_size=12).map(" ".join))  # fmt: skip
def test_any_text_is_a_rule_or_is_refused(text: str) -> None:
    said = ""
    try:
        assert compile_rule(text).test(facts()) in (True, False)
    except RuleError as error:
        said = str(error)
    assert not said or said.startswith("at character ")


def test_what_a_rule_reads_is_known_and_there() -> None:
    assert compile_rule('header("x") == "" and tools').names == {"header", "tools"}
    real = Facts([], lambda: NO_TRAITS)
    assert all(hasattr(real, name) for name in VARIABLES)
