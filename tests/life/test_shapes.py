"""`/v1/embeddings` and `/v1/rerank` at providers of every shape: one answer whoever gives it, charged alike.

Prices are 2.5 dollars a million tokens, 250 microKPT each, and 0.002 dollars, 200,000 microKPT, a search.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit.gateway_process import TRANSPORTS
from tests.kit.payer import Payer
from tests.kit.vendors import shapes
from tests.kit.vendors.server import VendorServer
from tests.kit.vendors.shapes import SEARCHES, TOKENS, VECTOR
from tests.kit.whole import Whole

TOKEN, SEARCH = 250, 200_000
EMBEDDERS, RANKERS = ("gemini", "cohere", "voyage"), ("cohere", "jina", "voyage")
MODELS = ("plain", "silent", "error-400", "error-429", "error-500", "html", "truncated", "wrong", "odd")
PROVIDERS = {
    "gemini": 'dialect = "gemini"',
    "cohere": 'embeddings = "cohere"\nrerank = "cohere"',
    "jina": "",
    "voyage": 'preset = "voyage"',
}
QUERY, DOCUMENTS = "what is it", ["short", "the longest of them", "in between"]


@pytest.fixture(scope="module")
def server() -> Iterator[VendorServer]:
    with VendorServer(shapes.answer) as server:
        yield server


@pytest.fixture(scope="module", params=TRANSPORTS)
def gate(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, server: VendorServer
) -> Iterator[Whole]:
    said = ["[ledger]\nenabled = true\n[retries]\nmax = 0"]
    for name, more in PROVIDERS.items():
        said.append(
            f'[[providers]]\nname = "{name}"\nbase_url = "{server.url}/{name}"\n{more}\n'
            'api_key = "env:KPGATE_TEST_UPSTREAM"'
        )
        for model in MODELS:
            price = "{ unit = 0.002 }" if name == "cohere" and model == "plain" else "{ input = 2.5 }"
            said.append(
                f'[[models]]\nname = "{name}-{model}"\nprice = {price}\n'
                f'deployments = [{{provider = "{name}", model = "{model}"}}]'
            )
    said.append(
        '[[models]]\nname = "cohere-embed"\nprice = { input = 2.5 }\n'
        'deployments = [{provider = "cohere", model = "plain"}]'
    )
    with Whole(tmp_path_factory.mktemp("shapes"), "\n".join(said), transport=request.param) as gate:
        yield gate


@pytest.fixture
def payer(gate: Whole) -> Payer:
    return Payer(gate)


def embedder(vendor: str, model: str = "plain") -> str:
    return "cohere-embed" if (vendor, model) == ("cohere", "plain") else f"{vendor}-{model}"


def post(payer: Payer, path: str, **body: Any) -> tuple[int, dict[str, str], Any]:
    return payer.gate.post(path, payer.key, json.dumps(body).encode())


@pytest.mark.parametrize("vendor", EMBEDDERS)
def test_embeddings_of_every_vendor_are_openai_s(payer: Payer, server: VendorServer, vendor: str) -> None:
    model = embedder(vendor)
    with payer.client() as ask:
        # The client asks for base64 by itself.
        reply = ask.embeddings.create(model=model, input=["one", "two"], dimensions=2)
        assert [one.embedding for one in reply.data] == [[0.0, 0.5], [1.0, 0.5]]
        assert (reply.model, reply.usage.prompt_tokens) == (model, TOKENS)
        floats = ask.embeddings.create(model=model, input="one", encoding_format="float", user="me")
        assert floats.data[0].embedding == [0.0, *VECTOR][:3]
    assert payer.paid() == 2 * TOKENS * TOKEN
    sent = server.asked[-1]
    assert "user" not in sent.body
    assert (sent.headers.get("x-goog-api-key") or sent.headers["authorization"]).endswith(
        "sk-upstream-canary"
    )


@pytest.mark.parametrize("vendor", EMBEDDERS)
def test_what_is_not_said_is_counted(payer: Payer, vendor: str) -> None:
    status, _, said = post(payer, "/v1/embeddings", model=f"{vendor}-silent", input=["hello", "you"])
    assert status == 200 and said["usage"] == {"prompt_tokens": 2, "total_tokens": 2}
    assert payer.paid() == 2 * TOKEN


def test_fields_of_a_vendor_s_own_go_along(payer: Payer, server: VendorServer) -> None:
    more: dict[str, Any] = {"input": "hello", "input_type": "search_query", "truncate": "END"}
    assert post(payer, "/v1/embeddings", model="cohere-embed", **more)[0] == 200
    assert (server.asked[-1].body["input_type"], server.asked[-1].body["truncate"]) == ("search_query", "END")
    assert (
        post(payer, "/v1/embeddings", model="gemini-plain", input="hello", task_type="CLUSTERING")[0] == 200
    )
    assert server.asked[-1].body["requests"][0]["taskType"] == "CLUSTERING"
    status, _, said = post(payer, "/v1/embeddings", model="gemini-plain", **more)
    assert (status, said["error"]["param"]) == (400, "input_type")


@pytest.mark.parametrize("vendor", EMBEDDERS)
@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"input": [[1, 2]]}, "input"),
        ({"input": [5]}, "input"),
        ({"input": 5}, "input"),
        ({"input": None}, "input"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": "2"}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
    ],
)
def test_what_cannot_be_embedded_is_named(
    payer: Payer, vendor: str, more: dict[str, Any], param: str
) -> None:
    status, _, said = post(payer, "/v1/embeddings", **({"model": embedder(vendor), "input": "hello"} | more))
    assert (status, said["error"]["code"], said["error"]["param"]) == (400, "invalid_request", param), said
    assert payer.paid() == 0


@pytest.mark.parametrize("vendor", RANKERS)
def test_documents_are_put_in_order(payer: Payer, server: VendorServer, vendor: str) -> None:
    model = f"{vendor}-plain"
    asked: dict[str, Any] = {"model": model, "query": QUERY, "documents": DOCUMENTS}
    status, headers, said = post(payer, "/v1/rerank", **asked)
    assert status == 200, said
    assert [one["index"] for one in said["results"]] == [1, 2, 0]
    assert said["results"][0] == {"index": 1, "relevance_score": 1.0}
    cost = SEARCHES * SEARCH if vendor == "cohere" else TOKENS * TOKEN
    # Who paid for one search has put aside one.
    paid = min(cost, SEARCH) if vendor == "cohere" else cost
    assert int(headers["x-kpgate-cost-microkpt"]) == paid
    objects = [{"text": one, "id": 5} for one in DOCUMENTS]
    more = asked | {"documents": objects, "top_n": 1, "return_documents": True, "truncation": True}
    shown = post(payer, "/v1/rerank", **more)[2]
    assert shown["results"] == [{"index": 1, "relevance_score": 1.0, "document": {"text": DOCUMENTS[1]}}]
    assert server.asked[-1].body["documents"] == DOCUMENTS and server.asked[-1].body["truncation"] is True
    assert payer.paid() == 2 * paid
    if vendor == "cohere":
        assert shown["meta"]["billed_units"]["search_units"] == SEARCHES and shown["id"] == "rank-1"
    else:
        assert shown["usage"]["total_tokens"] == TOKENS


@pytest.mark.parametrize("vendor", RANKERS)
def test_an_order_that_nobody_counted_is_counted_here(payer: Payer, vendor: str) -> None:
    said = post(
        payer, "/v1/rerank", model=f"{vendor}-silent", query="one two", documents=["three", "four five"]
    )
    assert said[0] == 200 and said[2]["usage"]["total_tokens"] == 2 * 2 + 3
    assert payer.paid() == 7 * TOKEN


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"query": None}, "query"),
        ({"documents": []}, "documents"),
        ({"documents": "one"}, "documents"),
        ({"documents": [{"title": "x"}]}, "documents[0].text"),
        ({"documents": [5]}, "documents[0]"),
        ({"top_n": 0}, "top_n"),
        ({"top_n": "1"}, "top_n"),
        ({"return_documents": 1}, "return_documents"),
        ({"model": "gemini-plain"}, "model"),
    ],
)
def test_what_cannot_be_ranked_is_named(payer: Payer, more: dict[str, Any], param: str) -> None:
    asked: dict[str, Any] = {"model": "jina-plain", "query": QUERY, "documents": DOCUMENTS}
    status, _, said = post(payer, "/v1/rerank", **(asked | more))
    assert (status, said["error"]["code"], said["error"]["param"]) == (400, "invalid_request", param), said
    assert payer.paid() == 0


ASKED = [("/v1/embeddings", vendor) for vendor in EMBEDDERS] + [("/v1/rerank", vendor) for vendor in RANKERS]


@pytest.mark.parametrize(("path", "vendor"), ASKED)
@pytest.mark.parametrize(
    "model", ["error-429", "error-500", "html", "truncated", "wrong", "odd", "error-400"]
)
def test_misfortune_at_the_provider(payer: Payer, path: str, vendor: str, model: str) -> None:
    body: dict[str, Any] = {"model": f"{vendor}-{model}", "input": "hello", "query": QUERY}
    status, _, said = (
        post(payer, path, **body, documents=DOCUMENTS)
        if "rerank" in path
        else post(payer, path, model=body["model"], input=["hello", "you"])
    )
    if model == "error-400":
        assert (status, said["error"]["message"]) == (400, f"{vendor} does not like it")
    elif model == "wrong" and path == "/v1/rerank" and vendor == "voyage":
        assert status == 200 and said["results"] == [], "no documents is an order of none"
    else:
        wanted = (429, "rate_limited") if model == "error-429" else (502, "upstream_failed")
        assert (status, said["error"]["code"]) == wanted, said
    if status != 200:
        assert payer.paid() == 0
