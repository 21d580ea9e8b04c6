"""Requests that are forms: audio to be heard, images to be changed. What is read of them; files go along unread.

Source: OpenAI API reference, audio and images pages (checked November 2026).
"""

import msgspec

from kpgate.dialects.openai.form import Field, Form
from kpgate.domain.call import Call
from kpgate.domain.dialect import Counter
from kpgate.domain.errors import InvalidRequest

MODEL_BYTES_MAX = 1_048_576
"""The model's name stands within so much of a form, or the call is refused: no file is kept to look for it."""
PIECE_BYTES = 65_536
"""What is read of a form at once: what is left of it after a part is moved for each."""
IMAGE_MODEL = "dall-e-2"
IMAGES_MAX = 128
HELD_BYTES_A_SECOND, PRESUMED_BYTES_A_SECOND = 4_000, 16_000
"""Sound of 32 kbit a second is held for; where nobody says how long it was, it had 128."""
TOKENS_A_SECOND = 10
TEXTS = ("text", "srt", "vtt")
WANTED = frozenset(("model", "n", "stream", "prompt", "response_format"))


class Sent(msgspec.Struct, gc=False):
    """What is known of a form. Shape: `place` is the model's name's, None where it has none."""

    boundary: bytes
    place: Field | None
    prompt: str
    form: Form
    seconds: int = 0


def read(body: bytes) -> Form:
    """A form. Errors: InvalidRequest, `param` being what is missing or wrong."""
    form = Form(WANTED)
    for at in range(0, len(body), PIECE_BYTES):
        if at >= MODEL_BYTES_MAX and "model" not in form.fields and not form.ended:
            raise InvalidRequest(
                f"model: is not within the first {MODEL_BYTES_MAX} bytes of the form: send it before the files",
                param="model",
            )
        form.feed(body[at : at + PIECE_BYTES])
    form.finish()
    return form


def decode_hearing(body: bytes, depth_max: int) -> Call:
    """Read a request to hear something. Errors: InvalidRequest, naming what was wrong."""
    form = read(body)
    model = form.fields.get("model")
    if model is None or not model.value:
        raise InvalidRequest("model: this field is required", param="model")
    size = len(body)
    most = -(-size // HELD_BYTES_A_SECOND)
    streams = _flag(form, "stream") or _text(form, "response_format") in TEXTS
    sent = Sent(form.boundary, model, _text(form, "prompt"), form, most)
    units = -(-size // PRESUMED_BYTES_A_SECOND)
    return Call(model.value, sent, None, streams, units=units, units_max=most)


def decode_drawing(body: bytes, depth_max: int) -> Call:
    """Read a request to change images. Errors: InvalidRequest, naming what was wrong."""
    form = read(body)
    model, wanted = form.fields.get("model"), _text(form, "n")
    if model is not None and not model.value:
        raise InvalidRequest("model: expected a name", param="model")
    if wanted and not (wanted.isascii() and wanted.isdigit() and 1 <= int(wanted[:9]) <= IMAGES_MAX):
        raise InvalidRequest(f"n: expected an integer from 1 to {IMAGES_MAX}", param="n")
    count = int(wanted or 1)
    sent = Sent(form.boundary, model, _text(form, "prompt"), form)
    named = model.value if model is not None else IMAGE_MODEL
    return Call(named, sent, None, _flag(form, "stream"), choices=count, units=count)


def count_form(call: Call, vocabulary: Counter, model: str) -> int:
    """The tokens of a form's text, and of as much sound as is held for."""
    sent = call.content
    total: int = vocabulary.count(sent.prompt) + sent.seconds * TOKENS_A_SECOND
    return total


def forward_form(body: bytes, call: Call, upstream_model: str, cap: int = 0) -> bytes:
    """The form with the model's name at the provider."""
    place, boundary = call.content.place, call.content.boundary
    if place is None:
        said = b'Content-Disposition: form-data; name="model"'
        return b"--%b\r\n%b\r\n\r\n%b\r\n%b" % (boundary, said, upstream_model.encode(), body)
    if place.value == upstream_model:
        return body
    return body[: place.start] + upstream_model.encode() + body[place.end :]


def sign_form(head: bytes, sent: bytes) -> bytes:
    """The header that says where the parts end: what was read, whatever the caller's own header says."""
    return b'content-type: multipart/form-data; boundary="%b"\r\n' % sent[2:76].partition(b"\r\n")[0]


def _text(form: Form, name: str) -> str:
    field = form.fields.get(name)
    return field.value if field is not None else ""


def _flag(form: Form, name: str) -> bool:
    said = _text(form, name).lower()
    if said not in ("", "true", "false", "1", "0"):
        raise InvalidRequest(f"{name}: expected true or false", param=name)
    return said in ("true", "1")
