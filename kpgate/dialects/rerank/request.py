"""Requests to put documents in order, as Cohere and Jina have them: what is read of one, and how it is answered.

Source: Cohere API reference, "Rerank API (v2)"; Jina AI, Reranker API (checked November 2026).
"""

from math import isfinite
from typing import Any

import msgspec

from kpgate._fast.body import Keys
from kpgate.domain.body import read_body
from kpgate.domain.call import Call
from kpgate.domain.dialect import Counter, Turned
from kpgate.domain.errors import InvalidRequest
from kpgate.domain.usage import Usage

READ = Keys(("model", "query", "documents", "top_n", "return_documents"))
SEARCH_DOCUMENTS, CHUNK_CHARACTERS = 100, 1500
"""A search has so many documents at most, and one that is longer counts as several."""
TOKENS_MAX = 1 << 40


class Document(msgspec.Struct, gc=False):
    text: str


class Asked(msgspec.Struct, gc=False):
    model: str
    query: str
    documents: list[str | Document]
    top_n: int | None = None
    return_documents: bool | None = None


class Ranking(msgspec.Struct, gc=False):
    """A request as it is passed around: `texts` are its documents', `shows` that the reply has them."""

    query: str
    texts: list[str]
    top_n: int | None
    shows: bool


class Rank(msgspec.Struct, gc=False):
    """One document's place, by its index among those that were asked about."""

    index: int
    relevance_score: float


_asked = msgspec.json.Decoder(Asked)


def decode_rerank(body: bytes, depth_max: int) -> Call:
    """Read a request; its units are searches. Errors: InvalidRequest, naming what was wrong and where."""
    offsets, asked = read_body(_asked, body, READ, depth_max)
    if not asked.documents:
        raise InvalidRequest("documents: expected at least one", param="documents")
    if asked.top_n is not None and asked.top_n < 1:
        raise InvalidRequest("top_n: expected an integer from 1 on", param="top_n")
    texts = [one if isinstance(one, str) else one.text for one in asked.documents]
    ranking = Ranking(asked.query, texts, asked.top_n, asked.return_documents is True)
    return Call(asked.model, ranking, offsets, units=searches(ranking))


def searches(ranking: Ranking) -> int:
    """How many searches it is, at most. Source: Cohere, "How does Cohere's pricing work?" (checked November 2026)."""
    chunks = sum(
        1 + max(0, len(text) - 1) // max(1, CHUNK_CHARACTERS - len(ranking.query)) for text in ranking.texts
    )
    return -(-chunks // SEARCH_DOCUMENTS)


def count_rerank(call: Call, vocabulary: Counter, model: str) -> int:
    """The tokens of it all: each document is read with the query."""
    asked = call.content
    total = vocabulary.count(asked.query) * len(asked.texts) + sum(map(vocabulary.count, asked.texts))
    call.counted = total
    return total


def fields(body: bytes) -> dict[str, msgspec.Raw]:
    """What else a request has, which goes along as it is."""
    found = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    return {name: value for name, value in found.items() if name not in READ.names}


def answer(call: Call, ranks: list[Rank], *, named: str = "", tokens: int = 0, searched: int = 0) -> Turned:
    """The reply. Shape: `tokens` and `searched` are the provider's word, 0 where it says nothing.

    Errors: ValueError for documents that nobody asked about.
    """
    asked = call.content
    results: list[dict[str, Any]] = []
    for rank in ranks:
        if not 0 <= rank.index < len(asked.texts) or not isfinite(rank.relevance_score):
            raise ValueError(f"results: {rank.index} is no document that was asked about")
        result: dict[str, Any] = {"index": rank.index, "relevance_score": rank.relevance_score}
        if asked.shows:
            result["document"] = {"text": asked.texts[rank.index]}
        results.append(result)
    if not 0 <= tokens <= TOKENS_MAX or not 0 <= searched <= TOKENS_MAX:
        raise ValueError("usage: expected figures from 0 on")
    read = tokens or call.counted
    said: dict[str, Any] = {"object": "list", "model": call.model, "results": results}
    said["usage"] = {"prompt_tokens": read, "total_tokens": read}
    if named:
        said["id"] = named
    if searched:
        said["meta"] = {"billed_units": {"search_units": searched}}
    used = Usage(tokens, source="provider", units=searched) if tokens or searched else None
    return Turned(msgspec.json.encode(said), used, "")
