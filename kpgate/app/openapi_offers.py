"""The part of the OpenAPI document that is about the endpoints beside text."""

from typing import Any

from kpgate.app.openapi_parts import open_to_more, ref

Json = dict[str, Any]

JSON, EVENTS = "application/json", "text/event-stream"
AUDIO = ("audio/*", "application/octet-stream")

# Path, operation, summary, request schema, then the content types of the reply.
CALLS: tuple[tuple[str, ...], ...] = (
    (
        "/v1/moderations",
        "createModeration",
        "Say whether texts or images are harmful.",
        "ModerationRequest",
        JSON,
    ),
    ("/v1/images/generations", "createImage", "Make images of a text.", "ImageRequest", JSON, EVENTS),
    (
        "/v1/rerank",
        "createRerank",
        "Put documents in order of how much they have to do with a query; its other fields go along.",
        "RerankRequest",
        JSON,
    ),
    (
        "/v1/audio/speech",
        "createSpeech",
        "Speak a text; what is answered is sent on as it comes.",
        "SpeechRequest",
        *AUDIO,
        EVENTS,
    ),
)

_HEARD = (JSON, EVENTS, "text/plain")
# Path, operation, summary, schema of the form's fields, then the content types of the reply.
FORMS: tuple[tuple[str, ...], ...] = (
    ("/v1/audio/transcriptions", "createTranscription", "Write down what is said.", "HearingForm", *_HEARD),
    ("/v1/audio/translations", "createTranslation", "The same in English.", "HearingForm", *_HEARD),
    ("/v1/images/edits", "createImageEdit", "Change images as a text says.", "DrawingForm", JSON, EVENTS),
    ("/v1/images/variations", "createImageVariation", "Make images like one.", "DrawingForm", JSON),
)

THROUGH = "/providers/{name}/{path}"
NAMED: tuple[tuple[str, Json, str], ...] = (
    ("name", {"type": "string"}, "The provider's name."),
    ("path", {"type": "string"}, "The path at the provider, with its slashes; the query goes along."),
)
# Method, operation, summary.
METHODS: tuple[tuple[str, str, str], ...] = tuple(
    (
        method,
        f"{method}Through",
        f"{method.upper()} a path of a provider's own, where the operator lets it through.",
    )
    for method in ("get", "post", "put", "patch", "delete")
)


def through(call: Json) -> Json:
    """A call whose body and reply are a provider's own."""
    call["requestBody"] = {"required": False, "content": {"*/*": {"schema": {}}}}
    success = call["responses"]["200"]
    success["description"] = "The provider's reply, as it comes; any other status of success likewise."
    success["content"] = {"*/*": {"schema": {}}}
    return call


def form(call: Json) -> Json:
    """A call whose request is a form."""
    content = call["requestBody"]["content"]
    content["multipart/form-data"] = content.pop(JSON)
    return call


def offer(call: Json, kinds: list[str]) -> Json:
    """A call whose reply is of some content types."""
    contents = {kind: {"schema": _content(kind)} for kind in kinds}
    call["responses"]["200"]["content"] = contents
    call["responses"]["200"]["description"] = "The provider's reply."
    return call


def _content(kind: str) -> Json:
    if kind == JSON:
        return ref("Passed")
    return {"type": "string"} if kind == EVENTS else {"type": "string", "contentEncoding": "binary"}


def schemas() -> Json:
    """What is read of the requests."""
    text, named = {"type": "string"}, {"type": ["string", "null"]}
    return {
        "ModerationRequest": open_to_more(
            {"model": text, "input": {"type": ["string", "array"]}}, ("input",)
        ),
        "ImageRequest": open_to_more(
            {
                "model": named,
                "prompt": text,
                "n": {"type": ["integer", "null"], "minimum": 1, "maximum": 128},
                "stream": {"type": ["boolean", "null"]},
            },
            ("prompt",),
        ),
        "HearingForm": open_to_more({"model": text, "stream": text, "response_format": text}, ("model",)),
        "DrawingForm": open_to_more({"model": text, "prompt": text, "n": text, "stream": text}, ()),
        "RerankRequest": open_to_more(_rerank(), ("model", "query", "documents")),
        "SpeechRequest": open_to_more(
            {"model": text, "input": {"type": "string", "minLength": 1}}, ("model", "input")
        ),
    }


def _rerank() -> Json:
    text: Json = {"type": "string"}
    return {
        "model": text,
        "query": text,
        "documents": {
            "type": "array",
            "minItems": 1,
            "items": {"anyOf": [text, open_to_more({"text": text}, ("text",))]},
        },
        "top_n": {"type": ["integer", "null"], "minimum": 1},
        "return_documents": {"type": ["boolean", "null"]},
    }
