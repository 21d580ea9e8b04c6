"""JSON objects written member by member: byte for byte what msgspec writes."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate._fast.members import Members

texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.text(st.sampled_from('ab"\\\n\t\x00\x1f\x7f/é\u2028'), max_size=40),
)
numbers = st.integers(-(1 << 63), (1 << 63) - 1)


@given(
    st.dictionaries(st.sampled_from(["a", "request_id", "c", "d"]), st.one_of(texts, numbers, st.just(True))),
    st.booleans(),
)
def test_an_object_is_msgspecs(said: dict[str, str | int], leaves_out: bool) -> None:
    one = Members()
    for _ in range(2):
        one.begin()
        for name, value in said.items():
            if value is True:
                one.affirm(name.encode(), True)
            elif isinstance(value, str):
                (one.say if leaves_out else one.put)(name.encode(), value)
            else:
                (one.count if leaves_out else one.put_number)(name.encode(), value)
        one.affirm(b"not", False)
        kept = {name: value for name, value in said.items() if value or not leaves_out}
        assert one.take() == msgspec.json.encode(kept)


def test_every_character_of_ascii_is_escaped_as_msgspec_does() -> None:
    one = Members()
    for code in range(128):
        for text in (chr(code), chr(code) + "x" * 30, "x" * 9 + chr(code)):
            one.begin()
            one.put(b"a", text)
            assert one.take() == msgspec.json.encode({"a": text})


def test_what_could_not_be_written_does_not_stand_in_the_next_object() -> None:
    one = Members()
    one.begin()
    one.put(b"a", "b")
    with pytest.raises(UnicodeEncodeError):
        one.put(b"c", "\ud800")
    one.begin()
    one.put(b"large", "\n" * 100_000)
    assert len(one.take()) == 200_012
    one.begin()
    assert one.take() == b"{}"
