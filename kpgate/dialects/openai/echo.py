"""The built-in `echo` model: answers with what it was asked, deterministic, with real token counts. No network.

It speaks the OpenAI API as a provider does, so that everything between is what a real provider would meet.
"""

import struct
from base64 import b64encode
from hashlib import blake2b
from math import sqrt
from typing import Annotated, Any, Literal, Protocol

import msgspec
import orjson

from kpgate.dialects.openai.count import count_request, count_text
from kpgate.dialects.openai.request import ChatRequest, CompletionRequest, EmbeddingRequest
from kpgate.domain.dialect import Counter
from kpgate.domain.errors import InvalidRequest

CREATED_S = 1_700_000_000
DIMENSIONS = 256
# It answers on the loop: what would take it long, or much room, is refused.
SAID_LENGTH_MAX = 16 << 20
NUMBERS_MAX = 1 << 20


class Vocabulary(Counter, Protocol):
    """What it takes to cut a text into tokens and count them."""

    def pieces(self, text: str) -> list[bytes]: ...


class _Embedding(EmbeddingRequest):
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=4096)] | None = None
    encoding_format: Literal["float", "base64"] | None = None


def answer(path: str, body: bytes, vocabulary: Vocabulary) -> tuple[bytes, list[bytes]]:
    """What the model says. Shape: the content type, then the reply's pieces as they are to be sent.

    Errors: InvalidRequest for what it does not serve.
    """
    if path == "/embeddings":
        try:
            asked = msgspec.json.decode(body, type=_Embedding)
        except msgspec.ValidationError as error:
            raise InvalidRequest(str(error)) from None
        return b"application/json", [_embed(asked, vocabulary)]
    if path == "/chat/completions":
        chat = msgspec.json.decode(body, type=ChatRequest)
        text = _last_text(chat)
        prompt_tokens = count_request(chat, vocabulary, chat.model)
        cap = chat.max_completion_tokens or chat.max_tokens
        return _complete(_ChatShape(chat.model), chat, text, prompt_tokens, cap, vocabulary)
    completion = msgspec.json.decode(body, type=CompletionRequest)
    text = (
        completion.prompt
        if isinstance(completion.prompt, str)
        else "".join(map(str, completion.prompt or ()))
    )
    prompt_tokens = count_text(completion.prompt or "", vocabulary)
    cap = completion.max_tokens or 16
    return _complete(_TextShape(completion.model), completion, text, prompt_tokens, cap, vocabulary)


class _Shape:
    """How a choice is spelled, whole and in pieces."""

    whole = piece = ""

    def __init__(self, model: str) -> None:
        self.model = model

    def choice(self, index: int, text: str, reason: str) -> dict[str, Any]:
        raise NotImplementedError

    def delta(self, index: int, text: str, reason: str | None) -> dict[str, Any]:
        raise NotImplementedError


class _ChatShape(_Shape):
    whole, piece = "chat.completion", "chat.completion.chunk"

    def choice(self, index: int, text: str, reason: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": text, "refusal": None}
        return {"index": index, "message": message, "logprobs": None, "finish_reason": reason}

    def delta(self, index: int, text: str, reason: str | None) -> dict[str, Any]:
        delta = {"content": text} if reason is None else {}
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}


class _TextShape(_Shape):
    whole = piece = "text_completion"

    def choice(self, index: int, text: str, reason: str) -> dict[str, Any]:
        return {"index": index, "text": text, "logprobs": None, "finish_reason": reason}

    def delta(self, index: int, text: str, reason: str | None) -> dict[str, Any]:
        return {"index": index, "text": text, "logprobs": None, "finish_reason": reason}


def _complete(
    shape: _Shape, request: Any, text: str, prompt_tokens: int, cap: int | None, vocabulary: Vocabulary
) -> tuple[bytes, list[bytes]]:
    tokens, reason = vocabulary.pieces(text), "stop"
    if cap and len(tokens) > cap:
        tokens, reason = tokens[:cap], "length"
    pieces = _whole_characters(tokens)
    choices = request.n or 1
    said = "".join(pieces)
    if len(said) * choices > SAID_LENGTH_MAX:
        raise InvalidRequest(f"n: {choices} times so long a text is more than echo says", param="n")
    output_tokens = vocabulary.count(said) * choices
    usage = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": prompt_tokens + output_tokens,
    }
    frame: dict[str, Any] = {"id": _id(shape.model, text), "created": CREATED_S, "model": shape.model}
    if not request.stream:
        frame |= {"object": shape.whole, "choices": [shape.choice(i, said, reason) for i in range(choices)]}
        return b"application/json", [orjson.dumps(frame | {"usage": usage})]
    frame["object"] = shape.piece
    events = [
        _event(frame | {"choices": [shape.delta(i, piece, None)]}) for piece in pieces for i in range(choices)
    ]
    events += [_event(frame | {"choices": [shape.delta(i, "", reason)]}) for i in range(choices)]
    if request.stream_options is not None and request.stream_options.include_usage:
        events.append(_event(frame | {"choices": [], "usage": usage}))
    return b"text/event-stream", [*events, b"data: [DONE]\n\n"]


def _event(frame: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(frame) + b"\n\n"


def _whole_characters(pieces: list[bytes]) -> list[str]:
    """Tokens as text: one that ends inside a character is joined with the next, and left out if it is the last."""
    texts, pending = [], b""
    for piece in pieces:
        pending += piece
        try:
            texts.append(pending.decode())
            pending = b""
        except UnicodeDecodeError:
            continue
    return texts


def _last_text(chat: ChatRequest) -> str:
    for message in reversed(chat.messages):
        if message.role == "user" and message.content:
            if isinstance(message.content, str):
                return message.content
            return "".join(part.text or "" for part in message.content)
    return "(nothing was asked)"


def _embed(request: _Embedding, vocabulary: Vocabulary) -> bytes:
    """Hashed words: equal texts have equal vectors, similar ones are near."""
    inputs = request.input if isinstance(request.input, list) else [request.input]
    if inputs and all(isinstance(one, int) for one in inputs):
        inputs = [str(inputs)]
    dimensions = request.dimensions or DIMENSIONS
    if len(inputs) * dimensions > NUMBERS_MAX:
        raise InvalidRequest(
            f"input: echo makes {NUMBERS_MAX // dimensions} such vectors at most", param="input"
        )
    rows = []
    for index, one in enumerate(inputs):
        vector = [0.0] * dimensions
        for word in str(one).lower().split() or [""]:
            digest = int.from_bytes(
                blake2b(word.encode("utf-8", "replace"), digest_size=8).digest(), "little"
            )
            vector[digest % dimensions] += 1.0 if digest >> 63 else -1.0
        norm = sqrt(sum(x * x for x in vector)) or 1.0
        unit = [x / norm for x in vector]
        shown: Any = unit
        if request.encoding_format == "base64":
            shown = b64encode(struct.pack(f"<{dimensions}f", *unit)).decode()
        rows.append({"object": "embedding", "index": index, "embedding": shown})
    tokens = count_text(request.input, vocabulary)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return orjson.dumps({"object": "list", "data": rows, "model": request.model, "usage": usage})


def _id(model: str, text: str) -> str:
    return "echo-" + blake2b(f"{model}\0{text}".encode("utf-8", "replace"), digest_size=12).hexdigest()
