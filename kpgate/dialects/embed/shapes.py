"""How other vendors are asked for embeddings, and what they answer.

Source: Google, "Embeddings" (`batchEmbedContents`); Cohere API reference, "Embed API (v2)"; Voyage AI, "Text
embeddings" (checked November 2026).
"""

from typing import Any
from urllib.parse import quote

import msgspec

from kpgate.dialects.embed.request import Vectors, answer, read, rest, texts
from kpgate.domain.call import Call
from kpgate.domain.dialect import Aim, Shape, Turned

TASK = "task_type"


class _Values(msgspec.Struct, gc=False):
    values: list[float]


class _Counted(msgspec.Struct, gc=False, rename="camel"):
    prompt_token_count: int | None = None


class _Gemini(msgspec.Struct, gc=False, rename="camel"):
    embeddings: list[_Values]
    usage_metadata: _Counted | None = None


class _Floats(msgspec.Struct, gc=False):
    float: Vectors


class _Billed(msgspec.Struct, gc=False):
    input_tokens: int | None = None


class _Meta(msgspec.Struct, gc=False):
    billed_units: _Billed | None = None


class _Cohere(msgspec.Struct, gc=False):
    embeddings: _Floats
    meta: _Meta | None = None


class _Item(msgspec.Struct, gc=False):
    index: int
    embedding: list[float]


class _Used(msgspec.Struct, gc=False):
    total_tokens: int | None = None


class _Voyage(msgspec.Struct, gc=False):
    data: list[_Item]
    usage: _Used | None = None


_gemini = msgspec.json.Decoder(_Gemini)
_cohere = msgspec.json.Decoder(_Cohere)
_voyage = msgspec.json.Decoder(_Voyage)


def _named(model: str) -> str:
    return model if model.startswith(("models/", "tunedModels/")) else f"models/{model}"


def _gemini_path(model: str) -> str:
    return "/" + quote(_named(model), safe="/@") + ":batchEmbedContents"


def encode_gemini(body: bytes, call: Call, aim: Aim) -> bytes:
    """A text a request. Errors: Unspeakable for fields that Gemini has not."""
    asked = read(body)
    one: dict[str, Any] = {"model": _named(aim.model)}
    if asked.dimensions is not None:
        one["outputDimensionality"] = asked.dimensions
    for name, value in rest(body).items():
        if name == TASK:
            one["taskType"] = value
        else:
            aim.lack(name)
    found = texts(asked, aim)
    call.content = asked
    return msgspec.json.encode(
        {"requests": [one | {"content": {"parts": [{"text": text}]}} for text in found]}
    )


def turn_gemini(body: bytes, call: Call) -> Turned:
    """Gemini's reply. The older models do not say what was used."""
    said = _gemini.decode(body)
    counted = said.usage_metadata.prompt_token_count if said.usage_metadata is not None else None
    return answer(call.content, call, [one.values for one in said.embeddings], counted or 0)


def encode_cohere(body: bytes, call: Call, aim: Aim) -> bytes:
    """Documents to be found, unless the request has an `input_type`. Its other fields go along. Errors: Unspeakable."""
    asked = read(body)
    said: dict[str, Any] = {"input_type": "search_document"} | rest(body)
    said |= {"model": aim.model, "texts": texts(asked, aim), "embedding_types": ["float"]}
    if asked.dimensions is not None:
        said["output_dimension"] = asked.dimensions
    call.content = asked
    return msgspec.json.encode(said)


def turn_cohere(body: bytes, call: Call) -> Turned:
    """Cohere's reply."""
    said = _cohere.decode(body)
    billed = said.meta.billed_units if said.meta is not None else None
    tokens = (billed.input_tokens or 0) if billed is not None else 0
    return answer(call.content, call, said.embeddings.float, tokens)


def encode_voyage(body: bytes, call: Call, aim: Aim) -> bytes:
    """As OpenAI's, with another name for `dimensions`. Its other fields go along. Errors: Unspeakable."""
    asked = read(body)
    said: dict[str, Any] = {**rest(body), "model": aim.model, "input": texts(asked, aim)}
    if asked.dimensions is not None:
        said["output_dimension"] = asked.dimensions
    call.content = asked
    return msgspec.json.encode(said)


def turn_voyage(body: bytes, call: Call) -> Turned:
    """Voyage's reply, in whichever order."""
    said = _voyage.decode(body)
    data = sorted(said.data, key=lambda one: one.index)
    tokens = (said.usage.total_tokens or 0) if said.usage is not None else 0
    return answer(call.content, call, [one.embedding for one in data], tokens)


def _cohere_path(model: str) -> str:
    return "/embed"


def _voyage_path(model: str) -> str:
    return "/embeddings"


SHAPES: dict[str, Shape] = {
    "gemini": Shape("Gemini embeddings", _gemini_path, encode_gemini, turn_gemini),
    "cohere": Shape("Cohere embed", _cohere_path, encode_cohere, turn_cohere),
    "voyage": Shape("Voyage embeddings", _voyage_path, encode_voyage, turn_voyage),
}
