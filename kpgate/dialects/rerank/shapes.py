"""How those who put documents in order are asked, and what they answer. What a request shows of its documents is added
here: no provider sends back what it was sent.

Source: Cohere API reference, "Rerank API (v2)"; Jina AI, Reranker API; Voyage AI, "Rerankers" (checked November 2026).
"""

from functools import partial
from typing import Any

import msgspec

from kpgate.dialects.openai import reply
from kpgate.dialects.openai.answer import encode_failure
from kpgate.dialects.rerank.request import Rank, answer, count_rerank, decode_rerank, fields
from kpgate.domain.call import Call
from kpgate.domain.dialect import Aim, Endpoint, Shape, Turned

RERANK = Endpoint(
    path="/v1/rerank",
    dialect="openai",
    upstream_path="/rerank",
    generates=False,
    decode=decode_rerank,
    count=count_rerank,
    encode_error=reply.encode_error,
    encode_error_event=reply.encode_error_event,
    encode_limits=reply.encode_limits,
    encode_failure=encode_failure,
    unit="search",
)


class _Billed(msgspec.Struct, gc=False):
    search_units: float | None = None


class _Meta(msgspec.Struct, gc=False):
    billed_units: _Billed | None = None


class _Cohere(msgspec.Struct, gc=False):
    results: list[Rank]
    id: str | None = None
    meta: _Meta | None = None


class _Used(msgspec.Struct, gc=False):
    total_tokens: int | None = None


class _Jina(msgspec.Struct, gc=False):
    results: list[Rank]
    usage: _Used | None = None


class _Voyage(msgspec.Struct, gc=False):
    data: list[Rank]
    usage: _Used | None = None


_cohere = msgspec.json.Decoder(_Cohere)
_jina = msgspec.json.Decoder(_Jina)
_voyage = msgspec.json.Decoder(_Voyage)


def _encode(body: bytes, call: Call, aim: Aim, most: str, more: dict[str, Any]) -> bytes:
    asked = call.content
    said = {"model": aim.model, "query": asked.query, "documents": asked.texts, **more}
    if asked.top_n is not None:
        said[most] = asked.top_n
    return msgspec.json.encode(fields(body) | said)


def turn_cohere(body: bytes, call: Call) -> Turned:
    """Cohere's reply, which counts searches."""
    said = _cohere.decode(body)
    billed = said.meta.billed_units if said.meta is not None else None
    searched = int(billed.search_units or 0) if billed is not None else 0
    return answer(call, said.results, named=said.id or "", searched=searched)


def turn_jina(body: bytes, call: Call) -> Turned:
    """Jina's reply, which counts tokens."""
    said = _jina.decode(body)
    return answer(call, said.results, tokens=_tokens(said.usage))


def turn_voyage(body: bytes, call: Call) -> Turned:
    """Voyage's reply, which counts tokens."""
    said = _voyage.decode(body)
    return answer(call, said.data, tokens=_tokens(said.usage))


def _tokens(used: _Used | None) -> int:
    return (used.total_tokens or 0) if used is not None else 0


def _path(model: str) -> str:
    return RERANK.upstream_path


_alone = {"return_documents": False}
SHAPES: dict[str, Shape] = {
    "cohere": Shape("Cohere rerank", _path, partial(_encode, most="top_n", more={}), turn_cohere),
    "jina": Shape("Jina rerank", _path, partial(_encode, most="top_n", more=_alone), turn_jina),
    "voyage": Shape("Voyage rerank", _path, partial(_encode, most="top_k", more=_alone), turn_voyage),
}
