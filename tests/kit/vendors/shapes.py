"""Providers of embeddings and rerankings in shapes of their own: Gemini, Cohere, Jina, Voyage.

Source: Google, "Embeddings"; Cohere API reference, "Embed API (v2)", "Rerank API (v2)"; Jina AI, Reranker API; Voyage
AI, "Text embeddings" and "Rerankers" (checked November 2026).
"""

import json
from typing import Any

from tests.kit.vendors.server import Answer, Asked

Json = dict[str, Any]
VECTOR = [0.5, -0.25, 1.0]
TOKENS, SEARCHES = 2, 2
"""What every provider says was used."""


def answer(asked: Asked) -> Answer:
    """What a provider answers. The first part of the path says whose shape it is, the model's name the scenario."""
    _, vendor, path = asked.path.split("/", 2)
    model = path.partition(":")[0].removeprefix("models/") if vendor == "gemini" else asked.body["model"]
    if model.startswith("error-"):
        return _error(vendor, int(model.removeprefix("error-")))
    if model == "html":
        return Answer(200, "text/html", [b"<html>"])
    if model == "truncated":
        return Answer(200, "application/json", [b'{"results":[{"index":'])
    if model == "wrong":
        return _json({"results": [{"index": 99, "relevance_score": 1}], "data": [], "embeddings": []})
    if model == "odd":
        return _json({"results": "none", "data": {"index": "x"}, "embeddings": {"float": [["x"]]}})
    return _json(ANSWERS[vendor, path.partition(":")[2] or path](asked.body, model == "silent"))


def _json(body: Json) -> Answer:
    return Answer(200, "application/json", [json.dumps(body).encode()])


def _error(vendor: str, status: int) -> Answer:
    message = f"{vendor} does not like it"
    bodies: dict[str, Json] = {
        "gemini": {"error": {"code": status, "message": message, "status": "INVALID_ARGUMENT"}},
        "cohere": {"message": message},
    }
    body = bodies.get(vendor, {"detail": message})
    return Answer(status, "application/json", [json.dumps(body).encode()])


def _gemini(body: Json, silent: bool) -> Json:
    for one in body["requests"]:
        assert one["model"].startswith("models/") and set(one["content"]) == {"parts"}
    count = body["requests"][0].get("outputDimensionality", 3)
    vectors = [{"values": [float(at), *VECTOR][:count]} for at in range(len(body["requests"]))]
    return {"embeddings": vectors} | ({} if silent else {"usageMetadata": {"promptTokenCount": TOKENS}})


def _cohere_embed(body: Json, silent: bool) -> Json:
    assert body["input_type"] and body["embedding_types"] == ["float"]
    vectors = [[float(at), *VECTOR][: body.get("output_dimension", 3)] for at in range(len(body["texts"]))]
    used = (
        {}
        if silent
        else {"meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": TOKENS}}}
    )
    return {"id": "emb-1", "embeddings": {"float": vectors}, "texts": body["texts"]} | used


def _voyage_embed(body: Json, silent: bool) -> Json:
    assert "dimensions" not in body and "encoding_format" not in body
    rows = [
        {
            "object": "embedding",
            "index": at,
            "embedding": [float(at), *VECTOR][: body.get("output_dimension", 3)],
        }
        for at in range(len(body["input"]))
    ]
    used = {} if silent else {"usage": {"total_tokens": TOKENS}}
    return {"object": "list", "data": rows[::-1], "model": body["model"]} | used


def _ranks(documents: list[str], most: int | None) -> list[Json]:
    """The longest document is the most relevant."""
    assert all(isinstance(one, str) for one in documents)
    order = sorted(range(len(documents)), key=lambda at: -len(documents[at]))[:most]
    return [{"index": at, "relevance_score": 1 / (place + 1)} for place, at in enumerate(order)]


def _cohere_rerank(body: Json, silent: bool) -> Json:
    assert "return_documents" not in body
    used = (
        {}
        if silent
        else {"meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": SEARCHES}}}
    )
    return {"id": "rank-1", "results": _ranks(body["documents"], body.get("top_n"))} | used


def _jina_rerank(body: Json, silent: bool) -> Json:
    assert body["return_documents"] is False
    used = {} if silent else {"usage": {"total_tokens": TOKENS}}
    return {
        "model": body["model"],
        "object": "list",
        "results": _ranks(body["documents"], body.get("top_n")),
    } | used


def _voyage_rerank(body: Json, silent: bool) -> Json:
    assert body["return_documents"] is False and "top_n" not in body
    used = {} if silent else {"usage": {"total_tokens": TOKENS}}
    return {
        "object": "list",
        "data": _ranks(body["documents"], body.get("top_k")),
        "model": body["model"],
    } | used


ANSWERS = {
    ("gemini", "batchEmbedContents"): _gemini,
    ("cohere", "embed"): _cohere_embed,
    ("cohere", "rerank"): _cohere_rerank,
    ("jina", "rerank"): _jina_rerank,
    ("voyage", "embeddings"): _voyage_embed,
    ("voyage", "rerank"): _voyage_rerank,
}
