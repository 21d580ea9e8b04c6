"""The endpoints of an OpenAI-compatible provider beside text: moderations, images, speech, transcriptions.

The scenario is the model's name: `plain`, `silent` (nothing is said of what was used), `error-*`, and ways to fail.
Source: OpenAI API reference, moderations, images and audio pages (checked November 2026).
"""

import json
import re
from collections.abc import Iterator
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from tests.kit.vendors.openai import error
from tests.kit.vendors.server import Answer, Asked, sse

PICTURE = "aW1hZ2U="
IMAGE_INPUT, IMAGE_PICTURES, IMAGE_OUTPUT = 50, 40, 272
"""Tokens of a request for images: of its prompt, of these of pictures, and of what was made."""
SOUND = (b"\xff\xf3\x18\x00", b"\x00" * 4096, b"\xff\xfe\n\n\x00")
"""What speech sounds like, in pieces that are no text."""
WORDS, SECONDS = "Hello there.", 8.47
HEARD_INPUT, HEARD_OUTPUT = 14, 45

Json = dict[str, Any]


def answer(asked: Asked) -> Answer:
    """What a provider answers."""
    form = read_form(asked) if asked.body is None else {}
    model = str(asked.body["model"] if asked.body is not None else form["model"])
    if model.startswith("error-"):
        return error(int(model.removeprefix("error-")))
    if model == "html":
        return Answer(200, "text/html", [b"<html>a proxy's page</html>"])
    if model == "truncated":
        return Answer(200, "application/json", [b'{"id": "x", "data": ['], cut=True)
    path = asked.path.removeprefix("/v1").partition("?")[0]
    if path == "/moderations":
        return _moderate(asked.body)
    if path == "/rerank":
        return _json({"results": [{"index": 0, "relevance_score": 0.5}], "usage": {"total_tokens": 4}})
    if path == "/audio/speech":
        return _speak(asked.body, model)
    if path in ("/images/generations", "/images/edits", "/images/variations"):
        wanted = asked.body if asked.body is not None else form
        return _draw(model, int(wanted.get("n") or 1), wanted.get("stream") in (True, "true"))
    assert path in ("/audio/transcriptions", "/audio/translations"), path
    return _hear(form, model)


def read_form(asked: Asked) -> dict[str, Any]:
    """The fields of a form; a file's is its bytes."""
    head = b"content-type: " + asked.headers["content-type"].encode() + b"\r\n\r\n"
    found: dict[str, Any] = {}
    for part in BytesParser(policy=HTTP).parsebytes(head + asked.raw).iter_parts():
        name = re.search(r'name="([^"]*)"', str(part["content-disposition"]))
        assert name is not None
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        is_file = "filename" in str(part["content-disposition"])
        found[name[1]] = content if is_file else content.decode()
    return found


def _json(body: Json) -> Answer:
    return Answer(200, "application/json", [json.dumps(body).encode()])


def _moderate(body: Json) -> Answer:
    asked = body["input"] if isinstance(body["input"], list) else [body["input"]]
    judged = {"flagged": False, "categories": {"violence": False}, "category_scores": {"violence": 0.01}}
    judged["category_applied_input_types"] = {"violence": ["text"]}
    return _json({"id": "modr-1", "model": body["model"], "results": [judged] * len(asked)})


def _draw(model: str, count: int, streamed: bool) -> Answer:
    used: Json = {
        "total_tokens": IMAGE_INPUT + IMAGE_OUTPUT,
        "input_tokens": IMAGE_INPUT,
        "output_tokens": IMAGE_OUTPUT,
        "input_tokens_details": {"text_tokens": IMAGE_INPUT - IMAGE_PICTURES, "image_tokens": IMAGE_PICTURES},
    }
    if streamed:
        partial = {"type": "image_generation.partial_image", "b64_json": PICTURE, "partial_image_index": 0}
        done = {"type": "image_generation.completed", "b64_json": PICTURE * 9000, "usage": used}
        return Answer(200, "text/event-stream", sse(partial, done, named=True))
    made: Json = {"created": 1_700_000_000, "data": [{"b64_json": PICTURE}] * count}
    return _json(made if model == "silent" else made | {"usage": used})


def _speak(body: Json, model: str) -> Answer:
    if body.get("stream_format") == "sse":
        pieces = sse(
            {"type": "speech.audio.delta", "audio": PICTURE},
            {
                "type": "speech.audio.done",
                "usage": {"input_tokens": 4, "output_tokens": 33, "total_tokens": 37},
            },
        )
        return Answer(200, "text/event-stream", pieces)
    if model == "endless":
        return Answer(200, "audio/mpeg", _endless())
    return Answer(200, "audio/mpeg", SOUND[:2] if model == "cut" else SOUND, cut=model == "cut")


def _endless() -> Iterator[bytes]:
    while True:
        yield b"\x00" * 65_536


def _hear(form: dict[str, Any], model: str) -> Answer:
    form_of = form.get("response_format", "json")
    if form_of in ("text", "srt", "vtt"):
        return Answer(200, "text/plain; charset=utf-8", [WORDS.encode() + b"\n"])
    said: Json = {"text": WORDS}
    if form.get("stream") == "true":
        used = {"type": "tokens", "input_tokens": HEARD_INPUT, "output_tokens": HEARD_OUTPUT}
        delta = {"type": "transcript.text.delta", "delta": WORDS}
        return Answer(200, "text/event-stream", sse(delta, {"type": "transcript.text.done", "usage": used}))
    if model == "by-tokens":
        details = {"text_tokens": 0, "audio_tokens": HEARD_INPUT}
        counted = {"input_tokens": HEARD_INPUT, "output_tokens": HEARD_OUTPUT, "input_token_details": details}
        return _json(said | {"usage": {"type": "tokens", "total_tokens": 59} | counted})
    if form_of == "verbose_json":
        said |= {"task": "transcribe", "language": "english", "duration": SECONDS, "segments": []}
    elif model != "silent":
        said["usage"] = {"type": "duration", "seconds": SECONDS}
    return _json(said)
