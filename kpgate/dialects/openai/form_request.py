"""Requests that are forms: audio to be heard, images to be changed. What is read of them; files go along unread.

Source: OpenAI API reference, audio and images pages (checked November 2026).
"""

from collections.abc import Callable
from functools import partial

import msgspec

from kpgate.dialects.openai.form import Field, Form
from kpgate.domain.call import Call
from kpgate.domain.dialect import Counter
from kpgate.domain.errors import InvalidRequest

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
        form.feed(body[at : at + PIECE_BYTES])
    form.finish()
    return form


def hear(form: Form, size: int) -> Call:
    """What a form of so many bytes asks to be heard. Errors: InvalidRequest, naming what was wrong."""
    model = form.fields.get("model")
    if model is None or not model.value:
        raise InvalidRequest("model: this field is required", param="model")
    most = -(-size // HELD_BYTES_A_SECOND)
    streams = _flag(form, "stream") or _text(form, "response_format") in TEXTS
    sent = Sent(form.boundary, model, _text(form, "prompt"), form, most)
    units = -(-size // PRESUMED_BYTES_A_SECOND)
    return Call(model.value, sent, None, streams, units=units, units_max=most)


def draw(form: Form, size: int) -> Call:
    """What a form asks to be made of images. Errors: InvalidRequest, naming what was wrong."""
    model, wanted = form.fields.get("model"), _text(form, "n")
    if model is not None and not model.value:
        raise InvalidRequest("model: expected a name", param="model")
    if wanted and not (wanted.isascii() and wanted.isdigit() and 1 <= int(wanted[:9]) <= IMAGES_MAX):
        raise InvalidRequest(f"n: expected an integer from 1 to {IMAGES_MAX}", param="n")
    count = int(wanted or 1)
    sent = Sent(form.boundary, model, _text(form, "prompt"), form)
    named = model.value if model is not None else IMAGE_MODEL
    return Call(named, sent, None, _flag(form, "stream"), choices=count, units=count)


def decode_hearing(body: bytes, depth_max: int) -> Call:
    """Read a request to hear something. Errors: InvalidRequest, naming what was wrong."""
    return hear(read(body), len(body))


def decode_drawing(body: bytes, depth_max: int) -> Call:
    """Read a request to change images. Errors: InvalidRequest, naming what was wrong."""
    return draw(read(body), len(body))


class Coming:
    """A form that comes in pieces, as `domain.dialect.Intake`: it goes on from its first file, if `needs` stand before.

    Units: `size` is the whole form's bytes, -1 where nobody knows.
    """

    def __init__(self, asks: Callable[[Form, int], Call], needs: tuple[str, ...], size: int) -> None:
        self._form = Form(WANTED)
        self._asks = asks
        self._needs = needs
        self._size = size
        self._count = 0

    @property
    def goes_on(self) -> bool | None:
        """Whether the rest may go on as it comes; None: that is not known yet.

        How much is heard is told by the size: without one a form is read whole.
        """
        form = self._form
        if form.ended or (self._size < 0 and self._asks is hear):
            return False
        if form.files:
            return all(name in form.fields for name in self._needs)
        return None

    def feed(self, piece: bytes) -> None:
        """Take what arrived. Errors: InvalidRequest for what is no form."""
        self._form.feed(piece)

    def call(self) -> Call:
        """What is asked for, as far as it has come. Errors: InvalidRequest, naming what was wrong."""
        self._count = len(self._form.fields)
        return self._asks(self._form, self._size)

    def end(self) -> Call | None:
        """There is no more: what is asked for if fields came since. Errors: InvalidRequest, as `call`; cut short."""
        self._form.finish()
        return self.call() if len(self._form.fields) != self._count else None


def coming(asks: Callable[[Form, int], Call], *needs: str) -> Callable[[int], Coming]:
    """What reads forms of an endpoint as they come."""
    return partial(Coming, asks, needs)


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
