"""What a text is like, counted in one pass."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpgate._fast.prose import Lexicon
from tests.kit.oracle import prose as oracle

WORDS = [["the", "is", "für"], ["der", "is"], ["и", "не"]]
SCRIPTS = [[(0x3040, 0x30FF)], [(0x4E00, 0x9FFF), (0x0370, 0x03FF)]]
LEXICON = Lexicon(WORDS, SCRIPTS)
PIECES = st.sampled_from(
    [
        *(
            "the",
            "The",
            "IS",
            "is",
            "FÜR",
            "der",
            "не",
            "И",
            " ",
            "\n",
            "- ",
            "* a",
            "1. ",
            "12) x",
            "```",
            "`",
        ),
        *("{", "};", ";", "\t", "あ", "中", "λ", "9", "_", "é", "İ", "x"),
    ]
)


def counts(text: str, length_max: int) -> tuple[Any, ...]:
    found = LEXICON.read(text, length_max)
    kinds = tuple(found.of_kind(place) for place in range(3))
    scripts = tuple(found.of_script(place) for place in range(2))
    assert (found.kinds, found.scripts) == (kinds, scripts)
    return (
        found.letters,
        scripts,
        found.words,
        kinds,
        found.fences,
        found.code_lines,
        found.items,
    )


@settings(max_examples=400, deadline=None)
@given(text=st.lists(PIECES, max_size=30).map("".join) | st.text(max_size=60), length_max=st.integers(0, 80))
def test_counts_are_the_oracles(text: str, length_max: int) -> None:
    assert counts(text, length_max) == oracle.read(text, WORDS, SCRIPTS, length_max)


def test_a_text_is_counted_as_people_would() -> None:
    text = "The sky is blue.\n- one\n2) two\n```c\nint f() {\n}\n```\nあ 中"
    letters, scripts, words, kinds, fences, code_lines, items = counts(text, 4000)
    assert (scripts, kinds, fences, code_lines, items) == ((1, 1), (2, 1, 0), 2, 2, 2)
    assert (letters, words) == (25, 11)


def test_a_lexicon_refuses_what_it_cannot_hold() -> None:
    for words in ([["The"]], [["a b"]], [["x" * 33]], [["a"]] * 33):
        with pytest.raises(ValueError):
            Lexicon(words, [])
    with pytest.raises(ValueError):
        Lexicon([], [[(0, 1)]] * 17)
    with pytest.raises(ValueError):
        Lexicon([], [[(0, 1)] * 33])
    assert (LEXICON.kinds, LEXICON.script_count) == (3, 2)
    for place in (-1, 3):
        with pytest.raises(IndexError):
            LEXICON.read("", 1).of_kind(place)
    for place in (-1, 2):
        with pytest.raises(IndexError):
            LEXICON.read("", 1).of_script(place)
