"""Embeddings in other vendors' shapes: one vector a text, and no reply, whatever it is, does worse than be refused."""

import json
from base64 import b64decode
from struct import unpack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate.dialects.embed.shapes import SHAPES
from kpgate.dialects.openai.endpoints import EMBEDDING
from kpgate.dialects.shaped import shaped
from kpgate.domain.dialect import Heads, Way
from kpgate.domain.errors import InvalidRequest, UpstreamFailed

numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)
vectors = st.lists(st.lists(numbers, min_size=1, max_size=4), min_size=1, max_size=4)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | numbers | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["embeddings", "float", "values", "data", "index", "embedding", "usage", "total_tokens"]),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


def way(name: str, drops: bool = False) -> Way:
    return shaped(EMBEDDING, SHAPES[name], Heads(b"", b""), drops)


def reply(name: str, rows: list[list[float]]) -> bytes:
    shaped_as: dict[str, Any] = {
        "gemini": {"embeddings": [{"values": row} for row in rows]},
        "cohere": {"embeddings": {"float": rows}},
        "voyage": {"data": [{"index": at, "embedding": row} for at, row in enumerate(rows)][::-1]},
    }[name]
    return json.dumps(shaped_as).encode()


@given(vectors)
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("form", ["float", "base64"])
def test_vectors_come_as_they_were_made(name: str, form: str, rows: list[list[float]]) -> None:
    body = json.dumps({"model": "m", "input": ["text"] * len(rows), "encoding_format": form}).encode()
    call, across = EMBEDDING.decode(body, 64), way(name)
    across.forward(body, call, "there", 0)
    assert across.turn is not None
    data = json.loads(across.turn(200, reply(name, rows), call).body)["data"]
    got = [one["embedding"] for one in data]
    if form == "base64":
        got = [list(unpack(f"<{len(b64decode(one)) // 4}f", b64decode(one))) for one in got]
    assert got == rows and [one["index"] for one in data] == list(range(len(rows)))
    with pytest.raises(UpstreamFailed, match="were to be embedded"):
        across.turn(200, reply(name, [*rows, [0.0]]), call)


@given(st.sampled_from(sorted(SHAPES)), values)
def test_any_reply_is_vectors_or_refused(name: str, said: Any) -> None:
    body = b'{"model":"m","input":"text"}'
    call, across = EMBEDDING.decode(body, 64), way(name)
    across.forward(body, call, "there", 0)
    assert across.turn is not None
    for status in (200, 400):
        try:
            found = json.loads(across.turn(status, json.dumps(said).encode(), call).body)
        except UpstreamFailed:
            assert status == 200
        else:
            assert "error" in found if status == 400 else len(found["data"]) == 1


def test_what_gemini_has_not_is_refused_or_left_out_and_named() -> None:
    body = b'{"model":"m","input":"text","truncate":"END","user":"me"}'
    call = EMBEDDING.decode(body, 64)
    with pytest.raises(InvalidRequest, match="truncate: the Gemini embeddings API has nothing for it"):
        way("gemini").forward(body, call, "there", 0)
    sent = json.loads(way("gemini", True).forward(body, call, "tunedModels/x", 0))
    assert sent == {"requests": [{"model": "tunedModels/x", "content": {"parts": [{"text": "text"}]}}]}
    assert call.dropped == "truncate,user"
    assert SHAPES["gemini"].path("a b") == "/models/a%20b:batchEmbedContents"
