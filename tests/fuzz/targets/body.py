"""A request's body: the oracle's verdict, the oracle's members, and edits that mean what the oracle's mean. An outline
of one of them, made on the way, changes nothing of that.

Shape: a byte of settings, a byte that chooses the edits, the body.
"""

import json
import random
from contextlib import suppress
from typing import Any

from kpgate._fast.body import BodyError, Keys, Scan, scan, splice, splice_parts
from kpgate._fast.outline import Shape, Value, outline
from tests.kit.oracle import body as oracle

WORDS = (
    b'"model":',
    b'"stream":true',
    b'"n":',
    b'"stream_options":{"include_usage":true}',
    b'"gr\xc3\xb6\xc3\x9fe":',
    b'"\\u006dodel":',
    b'"mo\\u0064el"',
    b"\\ud83d\\ude00",
    b"\\ud800",
    b"\xf0\x9f\x98\x80",
    b"\xed\xa0\x80",
    b"null",
    b"false",
    b"1e5",
    b"-0.0",
    b"[[",
    b"]]",
    b"}}",
    b'{"a":',
    b" , ",
    b"\xef\xbb\xbf",
)
NAMES = ("model", "stream", "n", "stream_options", "größe", "user", "a", "b", "c")
FEW = Keys(NAMES[:5])
MANY = Keys(NAMES)
DEPTHS = (64, 1, 3, 1024)
VALUES = (None, None, b'"x"', b"0", b"{}", b"[1,2]", b"null", '"größe"'.encode())
OUTLINED = 3
WORD = Value(string=True, null=True, mark=1)
SHAPE = Shape(
    Value(string=True, mark=0, items=WORD, members={"a": WORD, "include_usage": WORD}, required=("a",)), (1,)
)
# The standard library recurses; ours does not.
DEPTH_SURE = 200


def check(data: bytes) -> None:
    if len(data) < 2 or data.count(b"[") + data.count(b"{") > DEPTH_SURE:
        return
    keys = MANY if data[0] & 1 else FEW
    names = keys.names
    depth_max = DEPTHS[data[0] >> 1 & 3]
    body = data[2:]
    if data[0] >> 3 == 7:
        # Over the size from which the interpreter is let go, and a body is spliced in parts.
        body = body.replace(b"{", b"{" + b" " * 70_000, 1)
    try:
        wanted = oracle.scan(body, names, depth_max)
    except ValueError:
        wanted = None
    found = scanned(body, keys, depth_max)
    compare_outlined(found, body, keys, depth_max)
    if isinstance(found, BodyError):
        assert wanted is None, "refused, but the oracle reads it"
        assert 0 <= found.offset <= len(body)
        return
    assert wanted is not None, "read, but the oracle refuses it"
    assert (found.first, found.count, found.nested) == (wanted.first, wanted.count, wanted.nested)
    for i in range(len(names)):
        compare_member(found, wanted, i)
    dice = random.Random(data[1])
    edits = {i: dice.choice(VALUES) for i in dice.sample(range(len(names)), dice.randint(0, len(names)))}
    compare_edits(body, found, wanted, edits)


def scanned(body: bytes, keys: Keys, depth_max: int, shape: Shape | None = None) -> Scan | BodyError:
    try:
        return scan(body, keys, depth_max, OUTLINED, shape)
    except BodyError as error:
        return error


def compare_outlined(found: Scan | BodyError, body: bytes, keys: Keys, depth_max: int) -> None:
    also = scanned(body, keys, depth_max, SHAPE)
    assert type(also) is type(found), "an outline changes the verdict"
    if isinstance(also, BodyError) or isinstance(found, BodyError):
        assert also.args == found.args  # type: ignore[union-attr]
        return
    assert (also.first, also.count, also.nested, also.surrogates) == (
        *(found.first, found.count, found.nested),
        found.surrogates,
    )
    for i in range(len(keys)):
        assert (also.start(i), also.end(i)) == (found.start(i), found.end(i))
    assert found.outline is None
    wanted = None
    if found.has(OUTLINED) and not found.surrogates:
        wanted = outline(body, found.start(OUTLINED), found.end(OUTLINED), SHAPE)
    assert (also.outline is None) == (wanted is None)
    if wanted is not None and also.outline is not None:
        assert [also.outline.spans(mark) for mark in (0, 1)] == [wanted.spans(mark) for mark in (0, 1)]


def compare_member(found: Scan, wanted: oracle.OracleScan, i: int) -> None:
    _, start, end = wanted.members.get(i, (-1, -1, -1))
    assert (found.start(i), found.end(i), found.raw(i)) == (start, end, wanted.raw(i))
    raw = found.raw(i)
    kind = found.kind(i)
    if raw is None:
        assert kind == "absent"
        assert (found.string(i), found.integer(i), found.boolean(i)) == (None, None, False)
        return
    value = None if kind == "number" else wanted.value(i)
    assert kind == "number" or kind == kind_of(value)
    with suppress(BodyError):
        text = found.string(i)
        assert text == (value if kind == "string" else None)
    with suppress(BodyError):
        assert found.integer(i) == (int(raw) if kind == "number" else None)
    with suppress(BodyError):
        assert found.boolean(i) is bool(value)
    if isinstance(value, str) and is_text(value):
        assert found.string(i) == value


def compare_edits(
    body: bytes, found: Scan, wanted: oracle.OracleScan, edits: dict[int, bytes | None]
) -> None:
    edited = splice(body, found, edits)
    assert b"".join(splice_parts(body, found, edits)) == edited
    again = oracle.scan(edited, wanted.names, 1024)
    for i in range(len(wanted.names)):
        assert again.raw(i) == (edits[i] if i in edits else wanted.raw(i)), wanted.names[i]
    removed = sum(value is None and i in wanted.members for i, value in edits.items())
    added = sum(value is not None and i not in wanted.members for i, value in edits.items())
    assert again.count == wanted.count - removed + added
    if not removed and not added:
        unchanged = sum(end - start for i, (_, start, end) in wanted.members.items() if i not in edits)
        assert len(edited) >= unchanged
    assert others(edited, wanted.names) == others(body, wanted.names)


def others(body: bytes, names: tuple[str, ...]) -> list[tuple[str, Any]]:
    """The members that nobody knows, numbers as they were sent."""
    pairs: list[tuple[str, Any]] = []

    def keep(found: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
        pairs[:] = found
        return found

    json.loads(body, object_pairs_hook=keep, parse_int=str, parse_float=str)
    return [(name, value) for name, value in pairs if name not in names]


def kind_of(value: Any) -> str:
    kinds = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    return kinds[type(value)]


def is_text(value: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in value)
