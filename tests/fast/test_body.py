"""Bodies read in place: a strict verdict, where known members stand, edits that touch nothing else."""

import json
import re
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpgate._fast.body import BodyError, Keys, scan, splice, splice_parts
from tests.kit.oracle import body as oracle

NAMES = ("model", "stream", "max_tokens", "stream_options", "n", "größe", "x" * 128)
KEYS = Keys(NAMES)
MODEL, STREAM, MAX_TOKENS, STREAM_OPTIONS, N, SIZE, LONG = range(7)

ACCEPTED = [
    b"{}",
    b" \t\r\n{ \t\r\n} \t\r\n",
    b'{"a":0}',
    b'{"a":-0}',
    b'{"a":-0.0e-0}',
    b'{"a":1.5E+10}',
    b'{"a":1e999}',
    b'{"a":123456789012345678901234567890}',
    b'{"a":""}',
    b'{"":1}',
    b'{"a":"\x7f"}',
    b'{"a":"\\u0000"}',
    b'{"a":"\\"\\\\\\/\\b\\f\\n\\r\\t\\uABcd"}',
    b'{"a":"\\ud83d\\ude00"}',
    '{"a":"é€\U0001f600\U0010ffff￿"}'.encode(),
    b'{"a":[[],{},[{}],[1,2],{"b":null}]}',
    b'{"a":true,"b":false,"c":null}',
    b'{"unknown":1,"unknown":2}',
]
HALF_PAIRS = [b'{"a":"\\ud800"}', b'{"a":"\\udc00x"}', b'{"a":"\\ud800\\u0041"}', b'{"\\ud800\\ud800":1}']
REFUSED = [
    b"",
    b" ",
    b"{",
    b"}",
    b"[]",
    b"1",
    b'"a"',
    b"null",
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{\x00}\x00",
    b"{}\x00",
    b"\x00{}",
    b"{}{}",
    b"{}x",
    b"{},",
    b"{a:1}",
    b"{'a':1}",
    b'{"a"}',
    b'{"a":}',
    b'{"a"1}',
    b'{"a"::1}',
    b'{"a":1,}',
    b'{,"a":1}',
    b'{"a":1 "b":2}',
    b'{"a":1,,"b":2}',
    b'{"a":1;"b":2}',
    b"{1:1}",
    b'{"a":[1,]}',
    b'{"a":[,1]}',
    b'{"a":[1 2]}',
    b'{"a":[1}',
    b'{"a":{]}',
    b'{"a":[}]',
    b'{"a":{"b"]}}',
    b'{"a":01}',
    b'{"a":-01}',
    b'{"a":+1}',
    b'{"a":1.}',
    b'{"a":.1}',
    b'{"a":1.e1}',
    b'{"a":1e}',
    b'{"a":1e+}',
    b'{"a":-}',
    b'{"a":--1}',
    b'{"a":0x10}',
    b'{"a":1_0}',
    b'{"a":1 0}',
    b'{"a":NaN}',
    b'{"a":Infinity}',
    b'{"a":-Infinity}',
    b'{"a":True}',
    b'{"a":tru}',
    b'{"a":truex}',
    b'{"a":nul}',
    b'{"a":undefined}',
    b'{"a":"}',
    b'{"a":"\\"}',
    b'{"a":"\\x41"}',
    b'{"a":"\\u12"}',
    b'{"a":"\\u12G4"}',
    b'{"a":"\\u 123"}',
    b'{"a":"\\u+123"}',
    b'{"a":"\\U0041"}',
    b'{"a":"\\',
    b'{"a":"\\u',
    b'{"a":"\n"}',
    b'{"a":"\t"}',
    b'{"a":"\x00"}',
    b'{"a":"\x1f"}',
    b'{"a":"\xff"}',
    b'{"a":"\xc0\x80"}',
    b'{"a":"\xed\xa0\x80"}',
    b'{"a":"\xf4\x90\x80\x80"}',
    b'{"a":"\xe2\x82"}',
    b'{"a":1}/* */',
    b'{"a":1 // x\n}',
    b'{"a":\x0b1}',
    b'{"a":\xc2\xa01}',
    b'{"a":1\x00}',
]


def accepts(body: bytes) -> bool:
    try:
        scan(body, KEYS)
    except BodyError as error:
        return not (error.reason and 0 <= error.offset <= len(body))
    return True


def oracle_accepts(body: bytes, depth_max: int = 64) -> bool:
    try:
        oracle.scan(body, NAMES, depth_max)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("body", ACCEPTED)
def test_what_the_rfc_allows_is_accepted(body: bytes) -> None:
    assert accepts(body)
    assert oracle_accepts(body)
    if b"1e999" not in body:  # a number in JSON, but too large for a float
        orjson.loads(body)
        msgspec.json.decode(body)
    assert not scan(body, KEYS).surrogates


@pytest.mark.parametrize("body", HALF_PAIRS)
def test_half_of_a_surrogate_pair_is_accepted_and_flagged(body: bytes) -> None:
    assert scan(body, KEYS).surrogates
    assert oracle_accepts(body)


@pytest.mark.parametrize("body", REFUSED)
def test_what_the_rfc_does_not_allow_is_refused(body: bytes) -> None:
    assert not accepts(body)
    assert not oracle_accepts(body)
    for decode in (orjson.loads, msgspec.json.decode):
        try:
            value = decode(body)
        except ValueError:
            continue
        assert not isinstance(value, dict)


def test_every_cut_of_a_body_is_refused() -> None:
    body = b'{"model":"a\\u00e9\xc3\xa9","n":[1.5e3,{"b":null,"c":[true,false]}],"max_tokens":-12}'
    assert accepts(body)
    for size in range(len(body)):
        assert not accepts(body[:size])
        assert accepts(body[:size] + body[size:])


def test_every_byte_changed_gives_the_oracles_verdict() -> None:
    body = b'{"model":"a\\u00e9\xc3\xa9","n":[1.5e3,{"b":null}],"max_tokens":-12}'
    for at in range(len(body)):
        for byte in b'\x00 "\\{}[]:,.-+0eE1u\x7f\x80\xff':
            changed = body[:at] + bytes((byte,)) + body[at + 1 :]
            assert accepts(changed) == oracle_accepts(changed), changed


def test_utf8_is_judged_as_python_judges_it() -> None:
    tails = (b"", b"\x80", b"\x80\x80", b"\xbf\xbf", b"\x80\x41", b"\xc3")
    for lead in range(0x80, 0x100):
        for second in (0x00, 0x41, *range(0x70, 0x100)):
            for tail in tails:
                text = bytes((lead, second)) + tail
                try:
                    valid = min(text.decode()) >= " "
                except UnicodeDecodeError:
                    valid = False
                assert accepts(b'{"a":"' + text + b'"}') == valid, text


@pytest.mark.parametrize("stop", [b'"', b"\\n", b"\x01", b"\xff", "é".encode()])
def test_a_string_ends_where_it_ends_at_every_length(stop: bytes) -> None:
    for size in (*range(70), *range(180, 380)):
        for rest in (b"", b"y" * 40, b"y" * 300):
            body = b'{"a":"' + b"x" * size + stop + rest + b'"}'
            assert accepts(body) == oracle_accepts(body)


def test_depth_is_counted_with_the_top_level() -> None:
    for depth in (1, 2, 63, 64, 65, 1000, 10_000):
        body = b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)
        assert accepts(body) == (depth <= 64)
        lists = b'{"a":' + b"[" * depth + b"]" * depth + b"}"
        assert accepts(lists) == (depth <= 63)
    deep = b'{"a":' * 1023 + b"{}" + b"}" * 1023
    assert scan(deep, KEYS, 1024).count == 1
    with pytest.raises(BodyError, match="nested too deeply"):
        scan(deep, KEYS, 1023)
    for depth_max in (0, 1025):
        with pytest.raises(ValueError):
            scan(b"{}", KEYS, depth_max)
    with pytest.raises(BodyError, match="nested too deeply"):
        scan(b'{"a":{}}', KEYS, 1)


@pytest.mark.parametrize(
    "twin", [b'"model"', b'"\\u006dodel"', b'"mod\\u0065l"', b'"\\u006D\\u006f\\u0064\\u0065\\u006c"']
)
def test_a_known_key_given_twice_is_refused_however_it_is_spelled(twin: bytes) -> None:
    with pytest.raises(BodyError, match="model: given twice") as caught:
        scan(b'{"model":"a","b":1,' + twin + b':"c"}', KEYS)
    assert caught.value.key == "model"
    assert caught.value.offset == 19
    assert scan(b"{" + twin + b':"c"}', KEYS).string(MODEL) == "c"


def test_keys_are_known_by_their_text_alone() -> None:
    body = json.dumps({"größe": 1, "x" * 128: 2, "x" * 127: 3, "x" * 129: 4, "mode": 5, "model ": 6}).encode()
    found = scan(body, KEYS)
    assert (found.integer(SIZE), found.integer(LONG), found.has(MODEL)) == (1, 2, False)
    body = json.dumps({"größe": 1, "x" * 2000: 2}, ensure_ascii=False).encode()
    assert scan(body, KEYS).integer(SIZE) == 1
    spelled = "".join(f"\\u{ord(c):04x}" for c in "x" * 128)
    assert scan(b'{"' + spelled.encode() + b'":7}', KEYS).integer(LONG) == 7


def test_keys_refuse_what_they_cannot_hold() -> None:
    for names in (("a", "a"), ("",), ("x" * 129,), tuple(map(str, range(65)))):
        with pytest.raises(ValueError):
            Keys(names)
    many = Keys(tuple(f"key{i}" for i in range(64)))
    assert len(many) == 64
    found = scan(json.dumps({f"key{i}": i for i in range(64)}).encode(), many)
    assert [found.integer(i) for i in range(64)] == list(range(64))


def test_a_member_is_told_by_place_kind_and_text() -> None:
    body = b' {"model" : "gpt" , "stream":true,"n":null,"max_tokens":[1] }'
    found = scan(body, KEYS)
    assert found.raw(MODEL) == b'"gpt"' == body[found.start(MODEL) : found.end(MODEL)]
    assert (found.first, found.count, found.empty) == (2, 4, False)
    assert (found.has(N), found.raw(N), found.kind(N)) == (True, b"null", "null")
    assert (found.has(SIZE), found.raw(SIZE), found.start(SIZE), found.end(SIZE)) == (False, None, -1, -1)
    kinds = {b"{}": "object", b"[]": "array", b'""': "string", b"-1": "number", b"false": "boolean"}
    for value, kind in kinds.items():
        assert scan(b'{"n":' + value + b"}", KEYS).kind(N) == kind
    assert found.kind(SIZE) == "absent"
    assert scan(b"{ }", KEYS).empty
    for i in (-1, len(NAMES)):
        with pytest.raises(IndexError):
            found.has(i)


def test_text_is_decoded_and_half_pairs_are_named() -> None:
    for text in ("", "gpt-4o", "é€\U0001f600", 'a"\\/\b\f\n\r\t\x00z', "\\u0041"):
        for ascii_only in (True, False):
            body = json.dumps({"model": text}, ensure_ascii=ascii_only).encode()
            assert scan(body, KEYS).string(MODEL) == text
    assert scan(b'{"model":null}', KEYS).string(MODEL) is None
    assert scan(b"{}", KEYS).string(MODEL) is None
    with pytest.raises(BodyError, match="model: holds half of a surrogate pair"):
        scan(b'{"model":"\\ud800"}', KEYS).string(MODEL)


@pytest.mark.parametrize("value", [b"1", b"true", b"[]", b"{}"])
def test_a_string_is_not_something_else(value: bytes) -> None:
    with pytest.raises(BodyError, match=r"^model: expected a string$") as caught:
        scan(b'{"model":' + value + b"}", KEYS).string(MODEL)
    assert (caught.value.key, caught.value.offset) == ("model", 9)


def test_booleans_and_integers_are_exact() -> None:
    assert [scan(b'{"stream":' + v + b"}", KEYS).boolean(STREAM) for v in (b"true", b"false", b"null")] == [
        True,
        False,
        False,
    ]
    assert scan(b"{}", KEYS).boolean(STREAM) is False
    for number in (0, 1, -1, 42, 10**18 - 1, -(10**18) + 1):
        assert scan(b'{"n":%d}' % number, KEYS).integer(N) == number
    assert scan(b'{"n":-0}', KEYS).integer(N) == 0
    assert scan(b'{"n":null}', KEYS).integer(N) is None
    for value in (b"1.0", b"1e3", b'"1"', b"true", b"[1]", b"{}"):
        with pytest.raises(BodyError, match=r"^n: expected an integer$"):
            scan(b'{"n":' + value + b"}", KEYS).integer(N)
    for value in (b"1000000000000000000", b"-9223372036854775809", b"9" * 5000):
        with pytest.raises(BodyError, match=r"^n: is out of range$"):
            scan(b'{"n":' + value + b"}", KEYS).integer(N)
    for value in (b"1", b'"true"', b"[]"):
        with pytest.raises(BodyError, match=r"^stream: expected true or false$"):
            scan(b'{"stream":' + value + b"}", KEYS).boolean(STREAM)


def test_an_error_never_quotes_the_body() -> None:
    for body in (b'{"canary":canary}', b'{"canary', b'{"model":"canary","model":"canary"}', b"canary"):
        with pytest.raises(BodyError) as caught:
            scan(body, KEYS)
        assert "canary" not in str(caught.value) + repr(caught.value)


def test_a_large_body_is_read_as_a_small_one_is() -> None:
    filler = json.dumps([{"role": "user", "content": "héllo \n" * 50}] * 400, ensure_ascii=False).encode()
    body = b'{"model":"a","messages":' + filler + b',"n":3}'
    assert len(body) > 100_000
    assert scan(body, KEYS).integer(N) == 3
    for broken in (
        body[:-1],
        body + b"}",
        body.replace(b'"n":3', b'"n":3.'),
        body.replace(b'"n"', b'"model"'),
    ):
        assert not accepts(broken)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8), VALUES, max_size=8)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    value = draw(OBJECTS)
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t: ")]))
    text = json.dumps(
        value,
        ensure_ascii=draw(st.booleans()),
        separators=separators,
        indent=draw(st.sampled_from([None, 1])),
    )
    return text.encode("utf-8", "surrogatepass")


def compare(body: bytes, depth_max: int) -> None:
    try:
        wanted = oracle.scan(body, NAMES, depth_max)
    except ValueError:
        with pytest.raises(BodyError):
            scan(body, KEYS, depth_max)
        return
    found = scan(body, KEYS, depth_max)
    assert (found.first, found.count, found.nested) == (wanted.first, wanted.count, wanted.nested)
    for i in range(len(NAMES)):
        assert found.raw(i) == wanted.raw(i)
        assert found.has(i) == (i in wanted.members)
        if i in wanted.members:
            assert (found.start(i), found.end(i)) == wanted.members[i][1:]


@settings(max_examples=300, deadline=None)
@given(body=bodies(), depth_max=st.integers(1, 6) | st.just(64))
def test_places_and_verdicts_are_the_oracles(body: bytes, depth_max: int) -> None:
    compare(body, depth_max)


@settings(max_examples=500, deadline=None)
@given(
    body=bodies(),
    at=st.integers(0, 10**6),
    cut=st.integers(0, 3),
    put=st.binary(max_size=2)
    | st.sampled_from([b'"', b",", b":", b"{", b"}", b"[", b"]", b"\\u", b"1", b"e", b"."]),
)
def test_damaged_bodies_have_the_oracles_verdict(body: bytes, at: int, cut: int, put: bytes) -> None:
    at %= len(body) + 1
    compare(body[:at] + put + body[at + cut :], 64)


EDITS = st.dictionaries(
    st.integers(0, len(NAMES) - 1),
    st.none() | st.sampled_from([b'"new"', b"{}", b"1234567", b"[1, 2]"]),
    max_size=5,
)


@settings(max_examples=500, deadline=None)
@given(body=bodies(), edits=EDITS)
def test_edits_change_what_they_name_and_nothing_else(body: bytes, edits: dict[int, bytes | None]) -> None:
    found = scan(body, KEYS)
    out = splice(body, found, edits)
    assert json.loads(out) == oracle.splice(body, NAMES, edits)
    again = scan(out, KEYS)
    for i in range(len(NAMES)):
        assert again.raw(i) == (edits[i] if i in edits else found.raw(i))
    assert b"".join(splice_parts(body, found, edits)) == out
    if not any(found.has(i) or value is not None for i, value in edits.items()):
        assert out is body
    # Putting the old values back gives the old bytes, where nothing was added or left out.
    if all(found.has(i) and value is not None for i, value in edits.items()):
        assert splice(out, again, {i: found.raw(i) for i in edits}) == body


@pytest.mark.parametrize(
    ("body", "edits", "wanted"),
    [
        (b'{"model":"a"}', {0: b'"b"'}, b'{"model":"b"}'),
        (b'{ "model" : "a" , "n":1}', {0: b'"bc"'}, b'{ "model" : "bc" , "n":1}'),
        (b'{"n":1}', {3: b"{}"}, b'{"stream_options":{},"n":1}'),
        (b"{}", {3: b"{}", 0: b"1"}, b'{"stream_options":{},"model":1}'),
        (b"{ }", {0: b"1"}, b'{"model":1 }'),
        (b'{"n":1}', {4: None}, b"{}"),
        (b'{"n":1}', {4: None, 0: b"2"}, b'{"model":2}'),
        (b'{"n":1,"z":2}', {4: None}, b'{"z":2}'),
        (b'{"z":2, "n":1 }', {4: None}, b'{"z":2 }'),
        (b'{"z":2,"n":1,"model":3}', {0: None, 4: None}, b'{"z":2}'),
        (b'{"n":1,"z":2,"model":3}', {0: None, 4: None}, b'{"z":2}'),
        (b'{"n":1,"stream":2,"model":3}', {0: None, 1: None, 4: None}, b"{}"),
        (b'{"n":1,"stream":2,"model":3}', {0: None, 1: b"4", 4: None}, b'{"stream":4}'),
        (b'{"\\u006dodel":"a"}', {0: b'"b"'}, b'{"\\u006dodel":"b"}'),
    ],
)
def test_edits_are_spelled_plainly(body: bytes, edits: dict[int, bytes | None], wanted: bytes) -> None:
    assert splice(body, scan(body, KEYS), edits) == wanted


def test_large_bodies_are_handed_on_without_a_copy() -> None:
    body = b'{"messages":"' + b"m" * 100_000 + b'","model":"a","tools":"' + b"t" * 100_000 + b'"}'
    parts = splice_parts(body, scan(body, KEYS), {MODEL: b'"bb"', STREAM_OPTIONS: b"{}"})
    assert b"".join(parts) == splice(body, scan(body, KEYS), {MODEL: b'"bb"', STREAM_OPTIONS: b"{}"})
    views = [part for part in parts if isinstance(part, memoryview)]
    assert all(view.obj is body for view in views)
    assert sum(map(len, views)) > 200_000
    assert len(parts) == 4
    untouched = splice_parts(body, scan(body, KEYS), {N: None})
    assert untouched[0] is body


def test_edits_that_make_no_sense_are_refused() -> None:
    body = b'{"n":1}'
    found = scan(body, KEYS)
    wrong: list[tuple[dict[int, Any], type[Exception]]] = [
        ({99: b"1"}, IndexError),
        ({-1: b"1"}, IndexError),
        ({N: "1"}, TypeError),
        ({N: bytearray(b"1")}, TypeError),
    ]
    for edits, error in wrong:
        with pytest.raises(error):
            splice(body, found, edits)
    with pytest.raises(ValueError, match="another body"):
        splice(bytes(bytearray(body)), found, {N: b"2"})


def test_a_new_name_is_quoted_as_json() -> None:
    keys = Keys(('we"ird\\\n', "größe"))
    out = splice(b"{}", scan(b"{}", keys), {0: b"1", 1: b"2"})
    assert json.loads(out) == {'we"ird\\\n': 1, "größe": 2}


def test_an_error_says_what_and_where() -> None:
    with pytest.raises(BodyError, match=re.escape("expected a value (at byte 9)")):
        scan(b'{"model":}', KEYS)
