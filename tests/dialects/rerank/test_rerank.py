"""Orders of documents: searches are counted, and no reply, whatever it is, does worse than be refused."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpgate.dialects.rerank.request import Ranking, decode_rerank, searches
from kpgate.dialects.rerank.shapes import RERANK, SHAPES
from kpgate.dialects.shaped import shaped
from kpgate.domain.dialect import Heads
from kpgate.domain.errors import InvalidRequest, UpstreamFailed

values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(
            ["index", "relevance_score", "results", "data", "usage", "meta", "billed_units", "search_units"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip
texts = st.text(max_size=20)


@pytest.mark.parametrize(
    ("query", "documents", "found"),
    [("q", ["d"] * 100, 1), ("q", ["d"] * 101, 2), ("q", ["d" * 3000] * 50, 2), ("q" * 9000, ["d"], 1)],
)
def test_a_search_is_so_many_documents_and_no_longer_ones(
    query: str, documents: list[str], found: int
) -> None:
    assert searches(Ranking(query, documents, None, False)) == found


@given(texts, st.lists(texts, min_size=1, max_size=5), st.none() | st.integers(1, 9), st.booleans())
@pytest.mark.parametrize("name", SHAPES)
def test_what_is_asked_arrives(
    name: str, query: str, documents: list[str], top: int | None, shows: bool
) -> None:
    body = json.dumps(
        {
            "model": "m",
            "query": query,
            "documents": documents,
            "top_n": top,
            "return_documents": shows,
            "own": 1,
        }
    ).encode()
    call = decode_rerank(body, 64)
    sent = json.loads(shaped(RERANK, SHAPES[name], Heads(b"", b""), False).forward(body, call, "there", 0))
    assert (sent["model"], sent["query"], sent["documents"], sent["own"]) == ("there", query, documents, 1)
    assert sent.get("top_k" if name == "voyage" else "top_n") == top


@given(st.sampled_from(sorted(SHAPES)), values | st.fixed_dictionaries({"results": values, "data": values}))
def test_any_reply_is_an_order_or_refused(name: str, said: Any) -> None:
    call = decode_rerank(b'{"model":"m","query":"q","documents":["a","b"]}', 64)
    turn = shaped(RERANK, SHAPES[name], Heads(b"", b""), False).turn
    assert turn is not None
    for status in (200, 400):
        try:
            found = json.loads(turn(status, json.dumps(said).encode(), call).body)
        except UpstreamFailed:
            assert status == 200
        else:
            assert (
                "error" in found if status == 400 else all(0 <= one["index"] < 2 for one in found["results"])
            )


@given(st.binary(max_size=40) | values.map(lambda said: json.dumps(said).encode()))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    with suppress(InvalidRequest):
        assert decode_rerank(body, 64).units >= 1
