"""The OpenAI API's endpoints beside text: moderations, images, speech. What is read of their requests and replies, and
one row each. The bytes are forwarded; only the model's name is put in their place.

Source: OpenAI API reference, moderations, images and audio pages (checked November 2026).
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec

from kpgate._fast.body import Keys, splice
from kpgate.dialects.openai import form_request, reply
from kpgate.dialects.openai.form import Form
from kpgate.dialects.openai.form_request import draw, hear
from kpgate.dialects.openai.reply import TOKENS_MAX
from kpgate.domain.body import read_body
from kpgate.domain.call import Call
from kpgate.domain.dialect import Counter, Endpoint, Framing, Heads, Way
from kpgate.domain.errors import InvalidRequest
from kpgate.domain.passing import Passing, unsaid
from kpgate.domain.usage import Usage

WRITTEN = (b"text/event-stream", b"text/plain", b"text/vtt", b"text/srt", b"application/x-subrip")
"""How the content type begins of what was heard, where it is not JSON."""
JSON = b"content-type: application/json\r\n"
MODEL = 0
READ = Keys(("model", "input", "prompt", "n", "stream"))
"""Every key that is read of a request: a body that has one of them twice is refused."""
MODERATION_MODEL, IMAGE_MODEL = "omni-moderation-latest", "dall-e-2"
"""What OpenAI takes where a request names none."""
IMAGES_MAX = 128
SAID = ("image", "second")
"""Where output may be counted in tokens: the provider says how many."""
SPOKEN = (b"audio/", b"application/octet-stream", b"text/event-stream")
"""How the content type of speech begins."""


class _Part(msgspec.Struct, gc=False):
    type: str
    text: str | None = None


class Moderation(msgspec.Struct, gc=False):
    input: str | list[str | _Part]
    model: str = MODERATION_MODEL


class Picture(msgspec.Struct, gc=False):
    prompt: str
    model: str | None = None
    n: int | None = None
    stream: bool | None = None


class Speech(msgspec.Struct, gc=False):
    model: str
    input: str


_moderation = msgspec.json.Decoder(Moderation)
_picture = msgspec.json.Decoder(Picture)
_speech = msgspec.json.Decoder(Speech)


def decode_moderation(body: bytes, depth_max: int) -> Call:
    """Read a moderation request. Errors: InvalidRequest, naming what was wrong and where."""
    offsets, request = read_body(_moderation, body, READ, depth_max)
    return Call(request.model, request, offsets)


def decode_picture(body: bytes, depth_max: int) -> Call:
    """Read a request for images, each of which is a unit. Errors: InvalidRequest, naming what was wrong and where."""
    offsets, request = read_body(_picture, body, READ, depth_max)
    wanted = images(request.n)
    streams = request.stream is True
    return Call(request.model or IMAGE_MODEL, request, offsets, streams, choices=wanted, units=wanted)


def images(wanted: int | None) -> int:
    """How many images are asked for. Errors: InvalidRequest."""
    if wanted is not None and not 1 <= wanted <= IMAGES_MAX:
        raise InvalidRequest(f"n: expected an integer from 1 to {IMAGES_MAX}", param="n")
    return wanted or 1


def decode_speech(body: bytes, depth_max: int) -> Call:
    """Read a request for speech, each character of which is a unit; what is answered is sent on as it comes.

    Errors: InvalidRequest, naming what was wrong and where.
    """
    offsets, request = read_body(_speech, body, READ, depth_max)
    if not request.input:
        raise InvalidRequest("input: expected a text to speak", param="input")
    return Call(request.model, request, offsets, True, units=len(request.input), apart=True)


def count_moderation(call: Call, vocabulary: Counter, model: str) -> int:
    """The tokens of what is to be judged; images count nothing."""
    asked = call.content.input
    if isinstance(asked, str):
        return vocabulary.count(asked)
    texts = [one if isinstance(one, str) else one.text or "" for one in asked]
    return sum(map(vocabulary.count, texts))


def count_prompt(call: Call, vocabulary: Counter, model: str) -> int:
    """The tokens of the text that an image is made of."""
    return vocabulary.count(call.content.prompt)


def count_speech(call: Call, vocabulary: Counter, model: str) -> int:
    """The tokens of the text that is spoken."""
    return vocabulary.count(call.content.input)


def forward(body: bytes, call: Call, upstream_model: str, cap: int = 0) -> bytes:
    """The caller's bytes with the model's name at the provider."""
    if call.scan.string(MODEL) == upstream_model:
        return body
    return splice(body, call.scan, {MODEL: msgspec.json.encode(upstream_model)})


class _Details(msgspec.Struct, gc=False):
    image_tokens: int | None = None
    audio_tokens: int | None = None


class _Usage(msgspec.Struct, gc=False):
    """Shape: of tokens, or of `seconds`."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _Details | None = None
    input_token_details: _Details | None = None
    seconds: float | None = None


class _Made(msgspec.Struct, gc=False):
    usage: msgspec.Raw = msgspec.Raw()
    data: list[msgspec.Raw] = []
    duration: Any = None


_usage = msgspec.json.Decoder(_Usage)
_made = msgspec.json.Decoder(_Made)


def decode_usage(raw: bytes) -> Usage | None:
    """A usage object of an image or a transcription. None where it makes no sense."""
    try:
        said = _usage.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    if said.seconds is not None:
        return Usage(source="provider", units=whole_seconds(said.seconds)) if said.seconds > 0 else None
    total, made = said.input_tokens or 0, said.output_tokens or 0
    parts = said.input_tokens_details or said.input_token_details or _Details()
    image, heard = parts.image_tokens or 0, parts.audio_tokens or 0
    if min(total, made, image, heard) < 0 or max(total, made, image, heard) > TOKENS_MAX:
        return None
    return Usage(total, made, source="provider", image=image, audio_input=heard) if total or made else None


def whole_seconds(seconds: float) -> int:
    """Seconds begun."""
    return int(min(-(-seconds // 1), 1 << 31))


def read_usage(body: bytes) -> Usage | None:
    """What a whole reply says was used: images by their number beside tokens, where it says tokens."""
    try:
        said = _made.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    used = decode_usage(bytes(said.usage)) if bytes(said.usage) else None
    if used is not None and said.data:
        used = replace(used, units=len(said.data))
    if used is None and isinstance(said.duration, float | int) and said.duration > 0:
        used = Usage(source="provider", units=whole_seconds(said.duration))
    return used


def find_usage(tail: bytes) -> Usage | None:
    """The last usage that an event stream's end says."""
    at = tail.rfind(b'"usage"')
    begins = tail.find(b"{", at) if at >= 0 else -1
    if begins < 0:
        return None
    text = tail[begins:].decode("utf-8", "replace")
    try:
        end = json.JSONDecoder().raw_decode(text)[1]
    except (ValueError, RecursionError):
        return None
    return decode_usage(text[:end].encode())


def _framer(call: Call) -> Framing:
    return Passing(find_usage)


def _offer(
    path: str,
    decode: Callable[[bytes, int], Call],
    count: Callable[[Call, Counter, str], int],
    unit: str = "",
    stream_type: bytes = b"text/event-stream; charset=utf-8",
) -> Endpoint:
    return Endpoint(
        path=f"/v1{path}",
        dialect="openai",
        upstream_path=path,
        generates=unit in SAID,
        decode=decode,
        count=count,
        encode_error=reply.encode_error,
        encode_error_event=reply.encode_error_event,
        encode_limits=reply.encode_limits,
        unit=unit,
        stream_type=stream_type,
    )


def _form(path: str, asks: Callable[[Form, int], Call], unit: str, *needs: str) -> Endpoint:
    """An endpoint that takes a form, which goes on as it comes if `needs` stand before its files."""
    hears = asks is form_request.hear
    decode = form_request.decode_hearing if hears else form_request.decode_drawing
    endpoint = _offer(path, decode, form_request.count_form, unit)
    stream_type = b"" if hears else endpoint.stream_type
    return replace(endpoint, stream_type=stream_type, intake=form_request.coming(asks, *needs))


MODERATION = _offer("/moderations", decode_moderation, count_moderation)
IMAGES = _offer("/images/generations", decode_picture, count_prompt, "image")
SPEECH = _offer("/audio/speech", decode_speech, count_speech, "character", b"")
TRANSCRIPTION = _form("/audio/transcriptions", hear, "second", "model")
TRANSLATION = _form("/audio/translations", hear, "second", "model")
EDITS = _form("/images/edits", draw, "image", "model", "prompt")
VARIATIONS = _form("/images/variations", draw, "image", "model")
FORMS = (TRANSCRIPTION, TRANSLATION, EDITS, VARIATIONS)
OFFERS = (MODERATION, IMAGES, SPEECH, *FORMS)
_STREAMS = {SPEECH.path: SPOKEN, TRANSCRIPTION.path: WRITTEN, TRANSLATION.path: WRITTEN}


def native(endpoint: Endpoint, heads: Heads) -> Way:
    """The way to a provider that speaks OpenAI: the caller's bytes there, the provider's bytes back."""
    formed = endpoint in FORMS
    return Way(
        head=heads.whole.replace(JSON, b"") if formed else heads.whole,
        stream_head=heads.stream.replace(JSON, b"") if formed else heads.stream,
        forward=form_request.forward_form if formed else forward,
        framer=_framer,
        find_usage=unsaid if endpoint is MODERATION else read_usage,
        sign=form_request.sign_form if formed else None,
        stream_type=_STREAMS.get(endpoint.path, b"text/event-stream"),
    )
