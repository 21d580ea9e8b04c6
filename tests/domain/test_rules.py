"""The language of rules: what it says, what it refuses and where, and that nothing in it is without bound."""

from operator import eq, ge, gt, le, lt, ne
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpgate.domain import conditions
from kpgate.domain.rules import (
    LENGTH_MAX,
    LIST_MAX,
    NUMBER,
    TEXT,
    TRUTH,
    VARIABLES,
    RuleError,
    compile_rule,
)
from kpgate.domain.traits import Facts, Traits

HEADERS = {"x-team": "red"}
METADATA = {"env": "prod"}
FACTS: dict[str, Any] = {
    "party": "acme",
    "tier": "free",
    "key": "batch-7",
    "model": "auto",
    "prompt_tokens": 1500,
    "output_cap": 0,
    "turns": 2,
    "complexity": 42,
    "language": "de",
    "stream": True,
    "tools": False,
    "images": False,
    "json_schema": True,
    "reasoning": False,
}
"""What `facts` says. Its complexity is 36 for the tokens and 6 for the schema."""


def facts() -> Facts:
    traits = Traits(turns=2, json_schema=True, text="Wie ist das Wetter in Berlin?", metadata=dict(METADATA))
    found = Facts([(name.encode(), value.encode()) for name, value in HEADERS.items()], lambda: traits)
    found.party, found.tier, found.key, found.model = "acme", "free", "batch-7", "auto"
    found.prompt_tokens, found.output_cap, found.stream = 1500, 0, True
    return found


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
    assert compile_rule(rule).test.holds(facts()) is holds


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
        assert compile_rule(text).test.holds(facts()) in (True, False)
    except RuleError as error:
        said = str(error)
    assert not said or said.startswith("at character ")


def test_what_a_rule_reads_is_known_and_there() -> None:
    assert compile_rule('header("x") == "" and tools').names == {"header", "tools"}
    real = facts()
    readers = {TEXT: real.word, NUMBER: real.count, TRUTH: real.has}
    assert {name: readers[kind](name) for name, (kind, _) in VARIABLES.items()} == FACTS
    for read in readers.values():
        with pytest.raises(KeyError):
            read("nothing")


def test_a_part_is_asked_for_its_own_kind_alone() -> None:
    named = conditions.Header(b"x-team")
    test = conditions.Not(conditions.Constant(False))
    for ask in (named.holds, named.number, test.number, test.text):
        with pytest.raises(TypeError):
            ask(facts())


TEXTS = st.sampled_from(["acme", "free", "batch-", "-7", "a", "red", "prod", "de", ""])
NUMBERS = st.sampled_from([0, 3, 4.5, 5, 42, 42.0, 1500, 1501, 10**400])
TRUTHS = st.sampled_from([name for name, (kind, _) in VARIABLES.items() if kind == TRUTH])
NAMES_OF_NUMBERS = st.sampled_from([name for name, (kind, _) in VARIABLES.items() if kind == NUMBER])
NAMES_OF_TEXTS = st.sampled_from(
    [name for name, (kind, _) in VARIABLES.items() if kind == TEXT]
    + ['header("X-Team")', 'header("x-none")', 'metadata["env"]', 'metadata["none"]']
)
SIGNS = {"==": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}
Said = tuple[str, bool]
"""A rule, and whether it is true of `FACTS`."""


def value_of(name: str) -> Any:
    if "(" in name:
        return HEADERS.get(name[8:-2].lower(), "")
    return METADATA.get(name[10:-2], "") if "[" in name else FACTS[name]


@st.composite
def comparisons(draw: st.DrawFn) -> Said:
    what = draw(st.integers(0, 5))
    sign = draw(st.sampled_from(sorted(SIGNS)))
    same = draw(st.sampled_from(["==", "!="]))
    if what == 0:
        name, other = draw(NAMES_OF_NUMBERS), draw(NUMBERS | NAMES_OF_NUMBERS)
        of_other = value_of(other) if isinstance(other, str) else other
        if draw(st.booleans()):
            return f"{name} {sign} {other}", SIGNS[sign](value_of(name), of_other)
        return f"{other} {sign} {name}", SIGNS[sign](of_other, value_of(name))
    if what == 1:
        name, other = draw(NAMES_OF_TEXTS), draw(NAMES_OF_TEXTS)
        return f"{name} {same} {other}", SIGNS[same](value_of(name), value_of(other))
    if what == 2:
        name, text = draw(NAMES_OF_TEXTS), draw(TEXTS)
        word, found = draw(
            st.sampled_from(
                [
                    ("==", value_of(name) == text),
                    ("in", value_of(name) in text),
                    ("contains", text in value_of(name)),
                    ("startswith", value_of(name).startswith(text)),
                    ("endswith", value_of(name).endswith(text)),
                ]
            )
        )
        return f'{name} {word} "{text}"', found
    if what == 3:
        inverse = draw(st.booleans())
        texts = draw(st.booleans())
        name = draw(NAMES_OF_TEXTS if texts else NAMES_OF_NUMBERS)
        values = draw(st.lists(TEXTS if texts else NUMBERS, min_size=1, max_size=4))
        spelled = ", ".join(f'"{value}"' if texts else str(value) for value in values)
        return f"{name} {'not in' if inverse else 'in'} [{spelled}]", (value_of(name) in values) != inverse
    name, other = draw(TRUTHS), draw(TRUTHS | st.sampled_from(["true", "false"]))
    if what == 4:
        return name, FACTS[name]
    of_other = other == "true" if other in ("true", "false") else FACTS[other]
    return f"{name} {same} {other}", SIGNS[same](FACTS[name], of_other)


def joined(parts: st.SearchStrategy[Said]) -> st.SearchStrategy[Said]:
    some = st.lists(parts, min_size=2, max_size=3)
    return (
        parts.map(lambda one: (f"not ({one[0]})", not one[1]))
        | some.map(lambda all_: (" and ".join(f"({rule})" for rule, _ in all_), all(is_ for _, is_ in all_)))
        | some.map(lambda any_: (" or ".join(f"({rule})" for rule, _ in any_), any(is_ for _, is_ in any_)))
    )


@settings(max_examples=500, deadline=None)
@given(st.recursive(comparisons(), joined, max_leaves=5).filter(lambda said: len(said[0]) <= LENGTH_MAX))
def test_a_rule_is_true_where_python_says_so(said: Said) -> None:
    rule, holds = said
    assert compile_rule(rule).test.holds(facts()) is holds
