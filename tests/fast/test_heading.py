"""A reply's headers: what was added is what is sent and what is read, each on a line of its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate._fast.digits import decimal, spell
from kpgate._fast.heading import Heading, no_headers

names = st.sampled_from([b"x-request-id", b"x", b"content-type"])
lines = st.binary(max_size=300).filter(lambda value: b"\n" not in value)


@given(st.lists(st.tuples(names, lines), max_size=12))
def test_headers_come_back_as_they_were_added(headers: list[tuple[bytes, bytes]]) -> None:
    heading = Heading()
    heading.extend(headers)
    assert list(heading) == heading.pairs() == headers
    block = b"".join(b"%b: %b\r\n" % header for header in headers)
    assert repr(heading) == f"<Heading {block!r}>"


@given(number=st.integers(-(1 << 63), (1 << 63) - 1), text=st.text(max_size=40))
def test_numbers_durations_and_texts_are_spelled_as_elsewhere(number: int, text: str) -> None:
    text = text.replace("\n", "").encode("utf-8", "ignore").decode()
    heading = Heading()
    heading.count(b"a", number)
    heading.last(b"b", number)
    heading.say(b"c", text)
    assert heading.pairs() == [(b"a", decimal(number)), (b"b", spell(number)), (b"c", text.encode())]
    assert decimal(number) == b"%d" % number


def test_a_value_is_one_line() -> None:
    heading = Heading()
    with pytest.raises(ValueError, match="one line"):
        heading.add(b"a", b"1\r\nset-cookie: x")
    with pytest.raises(ValueError, match="one line"):
        heading.say(b"a", "1\nb")
    assert heading.pairs() == []


@pytest.mark.parametrize("size", [1, 500, 5000])
def test_lines_that_are_written_already_are_pasted(size: int) -> None:
    heading = no_headers()
    heading.add(b"a", b"b")
    heading.paste(b"c: " + b"d" * size + b"\r\ne: f\r\n")
    heading.count(b"g", -(2**63))
    assert list(heading) == [(b"a", b"b"), (b"c", b"d" * size), (b"e", b"f"), (b"g", b"-9223372036854775808")]
