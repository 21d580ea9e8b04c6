"""The language of a text: the compiled look at its counts says what the plain one does."""

from hypothesis import given, settings
from hypothesis import strategies as st

from kpgate.domain.language import COMMON, language_of
from kpgate.domain.traits import see
from tests.kit.oracle import language as oracle

WORDS = st.sampled_from(sorted({word for words in COMMON.values() for word in words}))
LETTERS = st.sampled_from(["あ", "カ", "中", "国", "한", "ก", "ש", "λ", "ह", "م", "ж", "é", "x", "Paris"])


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS | LETTERS, max_size=12).map(" ".join))
def test_the_language_is_the_oracles(text: str) -> None:
    seen = see(text)
    said = oracle.language_by(seen.letters, seen.scripts, seen.kinds[: len(COMMON)])
    assert language_of(seen) == said
