"""JSON as it is written straight."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kpgate._fast.pen import Pen
from tests.kit.oracle import pen as oracle

ODD = st.characters(max_codepoint=0x7F) | st.characters(exclude_categories=["Cs"])
"""As many that are escaped as others."""
TEXTS = st.text(ODD) | st.text(st.sampled_from('"\\\n\x00\x1f\x7f a'), min_size=900, max_size=1100)
WRITTEN = (
    TEXTS.map(lambda said: (Pen.text, said, oracle.text(said)))
    | st.binary(max_size=3000).map(lambda raw: (Pen.raw, raw, raw))
    | st.integers(-(2**63), 2**63 - 1).map(lambda number: (Pen.number, number, b"%d" % number))
)


@example("".join(map(chr, range(0x100))))
@example("\n" * 5000)
@example("x" * 100_000 + '"')
@example("\u20ac\U0001f600" * 700)
@given(TEXTS)
def test_a_text_is_spelled_as_the_oracle_spells_it(said: str) -> None:
    pen = Pen()
    pen.text(said)
    assert pen.done() == oracle.text(said)


@given(st.lists(WRITTEN, max_size=20))
def test_what_is_written_stands_in_its_order(written: list[tuple[object, object, bytes]]) -> None:
    pen = Pen()
    for write, value, _ in written:
        write(pen, value)  # type: ignore[operator]
    assert pen.done() == b"".join(expected for _, _, expected in written)


def test_half_of_a_surrogate_pair_is_no_text_and_nothing_of_it_stands_there() -> None:
    pen = Pen()
    pen.text("before")
    with pytest.raises(UnicodeEncodeError):
        pen.text("\ud800")
    pen.text("after")
    assert pen.done() == b'"before""after"'


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_a_number_of_more_than_64_bits_is_refused(number: int) -> None:
    with pytest.raises(OverflowError):
        Pen().number(number)


@pytest.mark.parametrize("nothing", [None, 1])
def test_only_texts_and_bytes_are_written(nothing: object) -> None:
    with pytest.raises(TypeError):
        Pen().text(nothing)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Pen().raw(nothing)  # type: ignore[arg-type]
