"""Multipart forms: read the same however they are cut, in one way only, with nothing of the files kept."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kpgate.dialects.openai.form import Form
from kpgate.dialects.openai.form_request import (
    WANTED,
    coming,
    decode_drawing,
    decode_hearing,
    draw,
    forward_form,
    hear,
    sign_form,
)
from kpgate.domain.errors import InvalidRequest

B = b"----WebKitFormBoundary7MA4"


def part(name: str, value: bytes, more: str = "") -> bytes:
    return b'--%b\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n' % (
        B, name.encode(), more.encode(), value,
    )  # fmt: skip


def form(*parts: bytes, end: bytes = b"--" + B + b"--\r\n") -> bytes:
    return b"".join(parts) + end


FILE = part("file", bytes(range(256)) * 40, '; filename="a.mp3"\r\nContent-Type: audio/mpeg')
WHOLE = form(part("model", b"whisper-1"), FILE, part("response_format", b"json"))


def read(body: bytes, size: int) -> Form:
    found = Form(WANTED)
    for at in range(0, len(body), size):
        found.feed(body[at : at + size])
    found.finish()
    return found


@given(st.integers(1, 200), st.binary(max_size=300), st.text(max_size=40))
@example(1, b"\r\n--" + B[:-1], "m")
@example(3, b"\r\n--\r\n\r\n", "")
def test_a_form_cut_anywhere_is_the_same(size: int, content: bytes, model: str) -> None:
    body = form(part("file", content, '; filename="x"'), part("model", model.encode()), part("n", b"2"))
    once, cut = read(body, len(body)), read(body, size)
    assert once.fields == cut.fields and cut.boundary == B
    field = cut.fields["model"]
    assert field.value == model and body[field.start : field.end] == model.encode()


@given(st.binary(max_size=200))
def test_any_bytes_are_a_form_or_refused(body: bytes) -> None:
    for made in (body, b"--x\r\n" + body, form(part("model", b"m"), body, FILE)):
        try:
            read(made, 7)
        except InvalidRequest as error:
            said = error.message
        else:
            said = "a form"
        assert said


BAD: dict[str, tuple[bytes, str | None]] = {
    "twice": (form(part("model", b"a"), FILE, part("model", b"b")), "model"),
    "a file": (form(part("model", b"a", '; filename="m"')), "model"),
    "no end": (form(part("model", b"a"), end=b""), None),
    "cut": (WHOLE[:-8], None),
    "json": (b'{"model": "m"}', None),
    "empty": (b"", None),
    "bare line feeds": (WHOLE.replace(b"\r\n", b"\n"), None),
    "a boundary in a file": (form(part("model", b"a"), part("file", b"x--" + B + b"\r\ny", '; filename="f"')), None),
    "a boundary that goes on": (form(part("model", b"a"), b"--" + B + b"x\r\n"), None),
    "no name": (form(b"--" + B + b"\r\nContent-Disposition: form-data\r\n\r\nx\r\n"), None),
    "two names": (form(part("model", b"a", '; name="n"')), None),
    "two dispositions": (
        form(part("model", b"a", '\r\nContent-Disposition: form-data; name="n"')), None,
    ),
    "an extended name": (form(part("x", b"a", "; name*=utf-8''model")), None),
    "not text": (form(part("model", b"\xff")), "model"),
    "a long value": (form(part("prompt", b"x" * 300_000), part("model", b"a")), "prompt"),
    "many parts": (form(part("model", b"a"), *[part(f"x{at}", b"") for at in range(200)]), None),
    "long headers": (form(part("model", b"a", "\r\nx-y: " + "z" * 9000)), None),
    "no model": (form(FILE), "model"),
    "an empty model": (form(part("model", b""), FILE), "model"),
    "odd stream": (form(part("model", b"a"), part("stream", b"yes")), "stream"),
}  # fmt: skip


@pytest.mark.parametrize("body", BAD)
def test_what_is_no_form_is_refused(body: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        decode_hearing(BAD[body][0], 64)
    assert refused.value.param == BAD[body][1]


def test_the_model_may_stand_behind_large_files() -> None:
    large = part("file", b"x" * 2_000_000, '; filename="a"')
    assert decode_hearing(form(large, part("model", b"m")), 64).model == "m"
    assert decode_hearing(form(part("model", b"m"), large), 64).model == "m"
    with pytest.raises(InvalidRequest, match="twice"):
        decode_hearing(form(part("model", b"m"), large, part("model", b"dear")), 64)


@given(st.binary(max_size=100), st.text("abc-/.:", min_size=1, max_size=20))
def test_only_the_model_s_name_is_changed(content: bytes, name: str) -> None:
    parts = part("file", content, '; filename="x"'), part("model", b"here"), part("language", b"de")
    sent = forward_form(form(*parts), decode_hearing(form(*parts), 64), name)
    assert sent == form(parts[0], part("model", name.encode()), parts[2])
    assert sign_form(b"", sent) == b'content-type: multipart/form-data; boundary="%b"\r\n' % B


def test_images_are_counted() -> None:
    call = decode_drawing(form(part("n", b"3"), part("prompt", b"x"), FILE), 64)
    assert (call.model, call.units, call.choices) == ("dall-e-2", 3, 3)
    assert forward_form(form(FILE), decode_drawing(form(FILE), 64), "up") == form(part("model", b"up"), FILE)
    for wrong in (b"0", b"-1", b"x", b"129", b"1e9", b"9" * 30, "٣".encode()):
        with pytest.raises(InvalidRequest) as refused:
            decode_drawing(form(part("n", wrong)), 64)
        assert refused.value.param == "n"


def test_sound_is_held_for_and_presumed() -> None:
    call = decode_hearing(form(part("model", b"m"), part("file", b"x" * 160_000, '; filename="a"')), 64)
    assert 10 <= call.units <= 11 and 40 <= call.units_max <= 42 and not call.stream
    for name, value in (("stream", b"true"), ("response_format", b"srt")):
        assert decode_hearing(form(part("model", b"m"), part(name, value)), 64).stream
    assert json.dumps(call.model) == '"m"'


def values(found: Form) -> dict[str, Any]:
    return {name: field.value for name, field in found.fields.items()}


def test_names_are_read_as_they_are_quoted() -> None:
    odd = b"--%b\r\ncontent-disposition: FORM-DATA; Name=model\r\nX-Y: z\r\n\r\nm\r\n" % B
    assert values(read(form(odd, part('fi\\"le', b"x")), 5)) == {"model": "m"}


FIELDS = [
    ("model", "here"),
    ("prompt", "a boat"),
    ("n", "2"),
    ("stream", "true"),
    ("response_format", "text"),
]


@given(
    st.permutations(FIELDS),
    st.integers(0, 5),
    st.integers(1, 60),
    st.binary(max_size=200),
    st.sampled_from(["hear", "draw"]),
)
@example([("model", "here"), *FIELDS[1:]], 1, 1, b"\r\n--" + B[:-1], "hear")
@example(list(FIELDS), len(FIELDS), 46, b"\0", "hear")
def test_a_form_that_goes_on_is_what_it_is_as_a_whole(
    fields: list[tuple[str, str]], place: int, size: int, content: bytes, kind: str
) -> None:
    parts = [part(name, value.encode()) for name, value in fields]
    parts.insert(place, part("file", content, '; filename="x"'))
    body = form(*parts)
    asks, decode = (hear, decode_hearing) if kind == "hear" else (draw, decode_drawing)
    needs = ("model",) if kind == "hear" else ("model", "prompt")
    intake, at = coming(asks, *needs)(len(body)), 0
    while intake.goes_on is None and at < len(body):
        intake.feed(body[at : at + size])
        at = min(at + size, len(body))
    before = [name for name, _ in fields[:place]]
    if not intake.goes_on:
        assert b"--" + B + b"--" in body[:at] or not set(needs) <= set(before)
        return
    call, kept = intake.call(), body[:at]
    sent = forward_form(kept, call, "there")
    for start in range(at, len(body), size):
        intake.feed(body[start : start + size])
    call = intake.end() or call
    whole = decode(body, 64)
    assert (call.model, call.stream, call.units, call.choices) == (
        whole.model,
        whole.stream,
        whole.units,
        whole.choices,
    )
    assert (call.units_max, call.content.prompt) == (whole.units_max, whole.content.prompt)
    assert sent + body[at:] == forward_form(body, whole, "there")


def test_how_much_is_heard_is_told_by_the_size() -> None:
    intake = coming(hear, "model")(-1)
    intake.feed(form(part("model", b"m"), FILE))
    assert intake.goes_on is False
    drawn = coming(draw, "model")(-1)
    drawn.feed(part("model", b"m") + part("image", b"x", '; filename="a"')[:-2])
    assert drawn.goes_on is True
    drawn.feed(b"\r\n" + part("n", b"0") + b"--" + B + b"--\r\n")
    with pytest.raises(InvalidRequest, match="from 1 to"):
        drawn.end()


def read_coming(body: bytes) -> Any:
    """What a form asks for that comes in pieces."""
    intake = coming(hear, "model")(len(body))
    for at in range(0, len(body), 7):
        intake.feed(body[at : at + 7])
    return intake.end() or intake.call()


@pytest.mark.parametrize("body", BAD)
def test_what_is_no_form_is_refused_on_its_way_as_well(body: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_coming(BAD[body][0])
    assert refused.value.param == BAD[body][1]
