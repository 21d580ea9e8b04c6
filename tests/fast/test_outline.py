"""Outlines: the oracle's places on any JSON, and none for what could be read in two ways."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpgate._fast.body import BodyError, Keys, Scan, scan
from kpgate._fast.outline import Outline, Shape, Value, outline
from tests.kit.oracle.outline import outline as expected

TEXT, NAME, TURN, PICTURE = range(4)
WORDS = Value(string=True, null=True, mark=TEXT)
PART = Value(
    required=("type",),
    single=True,
    members={
        "type": Value(string=True),
        "text": WORDS,
        "picture": Value(null=True, mark=PICTURE, members={"url": Value(string=True)}, required=("url",)),
    },
)
TURNS = Value(
    items=Value(
        required=("role",),
        mark=TURN,
        members={
            "role": Value(string=True, mark=NAME),
            "content": Value(string=True, null=True, items=PART, mark=TEXT),
        },
    )
)
SHAPE = Shape(TURNS, counted=(TEXT,))
KEYS = Keys(("n", "turns", "x"))

NAMES = st.sampled_from(["type", "text", "picture", "url", "role", "content", "other", ""])
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=40)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
PARTS = st.fixed_dictionaries(
    {"type": st.text(max_size=9)},
    optional={
        "text": st.none() | st.text(max_size=40),
        "picture": st.none() | st.fixed_dictionaries({"url": st.text(max_size=9)}),
        "other": ANYTHING,
    },
)
CONVERSATIONS = st.lists(
    st.fixed_dictionaries(
        {"role": st.text(max_size=9)},
        optional={"content": st.none() | st.text(max_size=40) | st.lists(PARTS, max_size=3), "x": ANYTHING},
    ),
    max_size=5,
)


def found(body: bytes, one: Outline | None) -> list[tuple[int, Any]] | None:
    """An outline as the oracle has it, but by mark."""
    if one is None:
        return None
    texts = [(mark, json.loads(b'"' + raw + b'"')) for mark in (TEXT, NAME) for raw in one.raw(mark)]
    objects = [(mark, json.loads(raw)) for mark in (TURN, PICTURE) for raw in one.raw(mark)]
    assert all(isinstance(value, dict) for _, value in objects)
    assert one.count == sum(one.tally(mark) for mark in range(4))
    return texts + [(mark, None) for mark, _ in objects]


def agree(text: str, before: bytes = b"", after: bytes = b"") -> None:
    body = before + text.encode() + after
    one = outline(body, len(before), len(body) - len(after), SHAPE)
    wanted = expected(text, TURNS)
    if wanted is not None:
        wanted = sorted(wanted, key=lambda pair: pair[0])
    assert found(body, one) == wanted
    around = b'{"n":1,"turns":' + text.encode() + b',"x":[{}]}'
    scanned = scan(around, KEYS, 64, 1, SHAPE)
    assert found(around, scanned.outline) == (None if scanned.surrogates else wanted)
    assert said_of(scanned) == said_of(scan(around, KEYS, 64))


def said_of(one: Scan) -> list[object]:
    """What a scan says, but for its outline."""
    places = [(one.start(i), one.end(i)) for i in range(len(KEYS))]
    return [one.first, one.count, one.nested, one.surrogates, *places]


@settings(max_examples=400, deadline=None)
@given(value=CONVERSATIONS, spaced=st.booleans(), escaped=st.booleans())
def test_a_conversation_has_the_outline_that_the_oracle_finds(
    value: Any, spaced: bool, escaped: bool
) -> None:
    text = json.dumps(value, indent=1 if spaced else None, ensure_ascii=escaped)
    agree(text)
    agree(text, b'{"messages":', b',"n":"]"}')


@settings(max_examples=400, deadline=None)
@given(value=ANYTHING | st.lists(ANYTHING, max_size=3))
def test_any_other_value_has_none(value: Any) -> None:
    agree(json.dumps(value))


@settings(max_examples=200, deadline=None)
@given(value=CONVERSATIONS, name=NAMES, data=st.data())
def test_a_known_member_twice_is_no_outline(value: Any, name: str, data: st.DataObject) -> None:
    text = json.dumps(value)
    at = data.draw(st.sampled_from([0, *(place for place, char in enumerate(text) if char == "{")]))
    doubled = f'{text[: at + 1]}"{name}":"x",{text[at + 1 :]}'
    try:
        json.loads(doubled)
    except ValueError:
        # The brace was within a string, or closed at once.
        return
    agree(doubled)


@settings(max_examples=400, deadline=None)
@given(
    value=CONVERSATIONS,
    at=st.integers(0, 10**6),
    cut=st.integers(0, 3),
    put=st.sampled_from(["", '"', ",", ":", "{", "}", "[", "]", "\\u", "\\ud800", "1", "n", "\n", "é"]),
    depth_max=st.integers(1, 6),
)
def test_damaged_bodies_have_the_same_verdict_with_an_outline(
    value: Any, at: int, cut: int, put: str, depth_max: int
) -> None:
    text = json.dumps({"turns": value})
    at %= len(text) + 1
    body = (text[:at] + put + text[at + cut :]).encode()
    said = []
    for shape in (None, SHAPE):
        try:
            said.append(said_of(scan(body, KEYS, depth_max, 1, shape)))
        except BodyError as error:
            said.append([*error.args])
    assert said[0] == said[1]


def test_a_key_with_escapes_is_no_outline() -> None:
    assert outline(b'[{"role":"a"}]', 0, 14, SHAPE) is not None
    body = b'[{"r\\u006fle":"a","role":"b"}]'
    assert outline(body, 0, len(body), SHAPE) is None


@pytest.mark.parametrize("size", [*range(70), *range(180, 380)])
def test_strings_end_where_they_do_at_every_offset(size: int) -> None:
    for tail in ("", '"', "\\", '\\"', "\\\\", "\n", "é", "中", "😀"):
        agree(
            json.dumps([{"role": "r", "content": "x" * size + tail + "y" * (size % 5)}], ensure_ascii=False)
        )


def test_more_places_than_at_first_are_kept() -> None:
    turns = [{"role": f"r{number}", "content": "x" * 100} for number in range(1000)]
    one = outline(body := json.dumps(turns).encode(), 0, len(body), SHAPE)
    assert one is not None and one.tally(TURN) == 1000 and one.raw(NAME)[999] == b"r999"


def test_shapes_and_places_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="mark"):
        Shape(Value(mark=16))
    with pytest.raises(ValueError, match="mark"):
        Shape(Value(), counted=(16,))
    with pytest.raises(ValueError, match="large"):
        Shape(Value(members={str(number): Value() for number in range(40)}))
    with pytest.raises(IndexError):
        outline(b"[]", 0, 3, SHAPE)
    with pytest.raises(TypeError):
        Outline()
