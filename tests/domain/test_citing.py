"""Citations at their places: a text cut by them says the same, and bytes and characters lead to each other."""

from hypothesis import given
from hypothesis import strategies as st

from kpgate.domain import citing
from kpgate.domain.call import Call
from kpgate.domain.reply import Citation

texts = st.text(st.characters(codec="utf-8"), max_size=20)


@given(texts, st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=5))
def test_a_text_that_is_cut_says_what_it_said(text: str, spans: list[tuple[int, int]]) -> None:
    found = [Citation(0, 0, title="a")]
    cites = [one for start, end in spans for one in citing.place(found[0], start, end, len(text))]
    pieces = citing.cut(text, cites)
    assert "".join(piece for piece, _ in pieces) == text
    assert all(piece for piece, _ in pieces) or pieces == [("", [])]
    assert sorted(id(one) for _, held in pieces for one in held) == sorted(map(id, cites))
    at = 0
    for piece, held in pieces:
        assert all((one.start < at + len(piece) and at < one.end) or one.end <= at for one in held)
        at += len(piece)


@given(texts, st.integers(0, 20))
def test_bytes_and_characters_lead_to_each_other(text: str, place: int) -> None:
    place = min(place, len(text))
    assert citing.characters(text, citing.size(text, place)) == place


def test_those_within_a_piece_are_placed_in_it() -> None:
    cites = [Citation(2, 4, title="a"), Citation(4, 9, title="b"), Citation(9, 10, title="c")]
    assert citing.within(cites, 4, 3) == [Citation(0, 3, title="b")]
    assert citing.within(cites, 0, 4) == [Citation(2, 4, title="a")]


def test_what_names_nothing_or_is_nowhere_is_none() -> None:
    assert citing.place(Citation(0, 0), 0, 1, 9) == []
    assert citing.place(Citation(0, 0, title="a"), 5, 5, 9) == []
    assert citing.place(Citation(0, 0, title="a"), 8, 99, 9) == [Citation(8, 9, title="a")]


def test_it_is_told_once_that_some_are_left_out() -> None:
    call = Call("m", None, None, dropped="seed")
    citing.leave_out(call)
    citing.leave_out(call)
    assert call.dropped == "seed,citations"
